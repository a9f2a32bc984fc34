package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"tailscale.com/tailcfg"
)

// machine is how the admin API shows a node.
type machine struct {
	ID        tailcfg.StableNodeID
	Name      string // full DNS name without the trailing dot
	Addresses []netip.Prefix
	Tags      []string
	Approved  bool
	Expired   bool
	Connected bool // it is polling for netmaps right now
}

// adminAPI is for the tests:
//
//	GET    /login-server           URL for the nodes' --login-server flag, as plain text
//	GET    /settings               {"HTTPS": bool, "Approval": bool, "Ports": [443] or null}
//	PATCH  /settings               any of these fields; connected nodes hear of it at once
//	PUT    /keys/{key}             {"Tags": [...], "Login": who owns its machines, "Preapproved": bool, "Revoked": bool}
//	GET    /machines               list of machines
//	PATCH  /machines/{name or ID}  {"Name": first label, "Approved": bool, "Expired": bool, "Offline": bool}, each optional
//	DELETE /machines/{name or ID}  remove the machine from the tailnet
//
// {name} is the first label of the DNS name. Errors: 400 for bad JSON, 404 for an unknown machine.
func (t *tailnet) adminAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login-server", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, t.URL) })
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		reply(w, t.settings)
	})
	mux.HandleFunc("PATCH /settings", func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !decode(w, r, &t.settings) {
			return
		}
		t.notifyLocked()
		reply(w, t.settings)
	})
	mux.HandleFunc("PUT /keys/{key}", func(w http.ResponseWriter, r *http.Request) {
		var info authKeyInfo
		if !decode(w, r, &info) {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.Keys[r.PathValue("key")] = info
		reply(w, info)
	})
	mux.HandleFunc("GET /machines", func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		machines := []machine{}
		for _, node := range t.nodesLocked() {
			machines = append(machines, t.machineLocked(node))
		}
		reply(w, machines)
	})
	mux.HandleFunc("PATCH /machines/{machine}", t.patchMachine)
	mux.HandleFunc("DELETE /machines/{machine}", func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if node := t.findLocked(w, r); node != nil {
			t.removed[node.Key] = true
			t.notifyLocked()
		}
	})
	return mux
}

func (t *tailnet) patchMachine(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Name                       *string
		Approved, Expired, Offline *bool
	}
	if !decode(w, r, &change) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	node := t.findLocked(w, r)
	if node == nil {
		return
	}
	if change.Name != nil {
		node.Name = *change.Name + "." + t.domain + "."
	}
	if change.Approved != nil {
		node.MachineAuthorized = *change.Approved
	}
	if change.Expired != nil {
		node.KeyExpiry = time.Time{}
		if *change.Expired {
			node.KeyExpiry = time.Now().Add(-time.Minute)
		}
	}
	if change.Offline != nil {
		t.offline[node.Key] = *change.Offline
	}
	t.storeLocked(node)
	reply(w, t.machineLocked(node))
}

func (t *tailnet) machineLocked(node *tailcfg.Node) machine {
	return machine{
		ID:        node.StableID,
		Name:      strings.TrimSuffix(node.Name, "."),
		Addresses: node.Addresses,
		Tags:      node.Tags,
		Approved:  node.MachineAuthorized,
		Expired:   !node.KeyExpiry.IsZero() && node.KeyExpiry.Before(time.Now()),
		Connected: t.polls[node.Key] > 0,
	}
}

func (t *tailnet) findLocked(w http.ResponseWriter, r *http.Request) *tailcfg.Node {
	for _, node := range t.nodesLocked() {
		label, _, _ := strings.Cut(node.Name, ".")
		if wanted := r.PathValue("machine"); wanted == label || wanted == string(node.StableID) {
			return node
		}
	}
	http.NotFound(w, r)
	return nil
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
