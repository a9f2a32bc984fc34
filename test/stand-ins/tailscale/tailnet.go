package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

// keyLifetime is how long a login of an untagged node lasts, as on a real
// tailnet; tagged nodes don't expire.
const keyLifetime = 180 * 24 * time.Hour

// firstUser is the ID of the first user with a login. testcontrol gives each node
// one of its own, from 1 on.
const firstUser tailcfg.UserID = 1000

// settings can be switched while nodes are connected.
type settings struct {
	HTTPS    bool     // HTTPS certificates are enabled for the tailnet
	Approval bool     // new machines wait for an admin's approval
	Ports    []uint16 // TCP ports that the policy grants between all nodes; nil grants everything
}

// authKeyInfo describes an auth key. Keys are reusable.
type authKeyInfo struct {
	Tags        []string // given to the nodes that join with it
	Login       string   // of the user whom its nodes belong to, such as alice@github; empty for testcontrol's own
	Preapproved bool     // its nodes need no approval
	Revoked     bool
}

// tailnet puts rules around testcontrol.Server, which stores the nodes.
type tailnet struct {
	settings
	URL  string // the nodes' --login-server
	Keys map[string]authKeyInfo

	control *testcontrol.Server
	domain  string
	machine http.Handler // testcontrol's own handler of the requests inside the encrypted connection

	mu      sync.Mutex
	users   []string // logins; the index is what the ID lies above firstUser
	removed map[key.NodePublic]bool // testcontrol can't forget a node
	offline map[key.NodePublic]bool // nodes whose map polls are refused
	polls   map[key.NodePublic]int  // map streams under way
	changed chan struct{}           // closed and replaced whenever netmaps have to be sent again
}

func newTailnet(url, domain string, derp *tailcfg.DERPMap) *tailnet {
	t := &tailnet{
		URL:     url,
		Keys:    map[string]authKeyInfo{},
		control: &testcontrol.Server{ExplicitBaseURL: url, MagicDNSDomain: domain, DERPMap: derp},
		domain:  domain,
		removed: map[key.NodePublic]bool{},
		offline: map[key.NodePublic]bool{},
		polls:   map[key.NodePublic]int{},
		changed: make(chan struct{}),
	}
	t.control.AltMapStream = t.serveMap
	t.interceptRegistration()
	return t
}

// interceptRegistration puts serveRegister in front of testcontrol's handler.
// testcontrol has no hook there, and its RequireAuthKey refuses a known node
// that comes back without a key, the very case a restart depends on. The
// requests arrive inside Noise connections whose peer it keeps in a private
// context key, so its own private mux is the only place to hook in.
func (t *tailnet) interceptRegistration() {
	// testcontrol builds its mux at the first request.
	t.control.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/generate_204", nil))
	field := reflect.ValueOf(t.control).Elem().FieldByName("mux")
	original := *(**http.ServeMux)(unsafe.Pointer(field.UnsafeAddr()))

	mux := http.NewServeMux()
	for _, path := range []string{"/key", "/ts2021", "/generate_204", "/machine/map", "/machine/set-dns", "/machine/update-health"} {
		mux.Handle(path, original)
	}
	mux.HandleFunc("/machine/tka/", func(w http.ResponseWriter, r *http.Request) {
		original.ServeHTTP(w, r)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.notifyLocked() // a signature counts once the netmaps have it
	})
	mux.HandleFunc("/machine/register", t.serveRegister)
	mux.HandleFunc("/machine/feature/query", serveFeatureQuery)
	// testcontrol would panic instead.
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("not imitated: %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	t.machine = original
	*(**http.ServeMux)(unsafe.Pointer(field.UnsafeAddr())) = mux
}

// serveRegister answers a node's wish to log in or to come back.
func (t *tailnet) serveRegister(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req tailcfg.RegisterRequest
	if err == nil {
		err = json.Unmarshal(body, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var info *authKeyInfo
	if req.Auth != nil && req.Auth.AuthKey != "" {
		// A key is judged even when the node is known and healthy, as on a real tailnet.
		found, ok := t.key(req.Auth.AuthKey)
		if !ok || found.Revoked {
			reply(w, tailcfg.RegisterResponse{Error: "invalid key: unable to validate API key"})
			return
		}
		info = &found
	} else if req.Followup != "" {
		<-r.Context().Done() // nobody visits the login URL
		return
	} else if !t.isMember(req.NodeKey) {
		reply(w, tailcfg.RegisterResponse{AuthURL: t.URL + "/a/0123456789abcdef"})
		return
	}
	if !req.Expiry.IsZero() && req.Expiry.Before(time.Now()) {
		t.expire(req.NodeKey) // a logout; testcontrol then reports the key as expired
	}

	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	t.machine.ServeHTTP(answer, r)
	var res tailcfg.RegisterResponse
	if err := json.Unmarshal(answer.Body.Bytes(), &res); err != nil {
		http.Error(w, answer.Body.String(), answer.Code)
		return
	}
	if !res.NodeKeyExpired { // otherwise the node comes again with a new node key
		t.admit(&req, info)
	}
	reply(w, res)
}

// admit finishes a registration that testcontrol has stored: tags, name, approval and expiry.
func (t *tailnet) admit(req *tailcfg.RegisterRequest, info *authKeyInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	node := t.control.Node(req.NodeKey)
	for _, other := range t.nodesLocked() {
		if other.Key != node.Key && other.Machine == node.Machine {
			t.removed[other.Key] = true // the same machine with its former node key
		}
	}
	delete(t.removed, node.Key)
	if info != nil {
		node.Tags = info.Tags
		node.MachineAuthorized = !t.Approval || info.Preapproved
		node.KeyExpiry = time.Time{}
		if len(node.Tags) == 0 {
			node.KeyExpiry = time.Now().Add(keyLifetime)
		}
		if info.Login != "" {
			node.User = t.userLocked(info.Login)
		}
		t.nameLocked(node, req.Hostinfo.Hostname)
	}
	t.storeLocked(node)
}

// userLocked gives the ID of the user with a login, a new one for a new login.
func (t *tailnet) userLocked(login string) tailcfg.UserID {
	at := slices.Index(t.users, login)
	if at < 0 {
		at = len(t.users)
		t.users = append(t.users, login)
	}
	return firstUser + tailcfg.UserID(at)
}

// serveMap answers testcontrol's map requests: an update that a node reports
// about itself, or the stream of netmaps. It takes the place of testcontrol's
// own stream, which sends fixed policies and capabilities.
func (t *tailnet) serveMap(ctx context.Context, w testcontrol.MapStreamWriter, req *tailcfg.MapRequest) {
	t.mu.Lock()
	node := t.control.Node(req.NodeKey)
	refused := node == nil || t.removed[req.NodeKey] || t.offline[req.NodeKey]
	if !refused && !req.Stream && !req.ReadOnly {
		node.Endpoints, node.DiscoKey, node.Cap = req.Endpoints, req.DiscoKey, req.Version
		if req.Hostinfo != nil {
			if req.Hostinfo.Hostname != node.Hostinfo.Hostname() {
				t.nameLocked(node, req.Hostinfo.Hostname)
			}
			node.Hostinfo = req.Hostinfo.View()
			if info := req.Hostinfo.NetInfo; info != nil && info.PreferredDERP != 0 {
				node.HomeDERP = info.PreferredDERP
			}
		}
		t.storeLocked(node)
	}
	t.mu.Unlock()
	if refused {
		return
	}
	if !req.Stream {
		w.SendMapMessage(&tailcfg.MapResponse{})
		return
	}

	t.countPoll(req.NodeKey, 1)
	defer t.countPoll(req.NodeKey, -1)
	for {
		res, changed := t.netmap(req)
		if res == nil || w.SendMapMessage(res) != nil {
			return
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waiting = false
			case <-time.After(50 * time.Second): // nodes give a silent control plane up after two minutes
				if w.SendMapMessage(&tailcfg.MapResponse{KeepAlive: true}) != nil {
					return
				}
			}
		}
	}
}

// netmap is what the node of req may know, and a channel that is closed when
// this has changed; nil for a node that is cut off.
func (t *tailnet) netmap(req *tailcfg.MapRequest) (*tailcfg.MapResponse, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	res, err := t.control.MapResponse(req)
	if err != nil || res == nil || t.removed[req.NodeKey] || t.offline[req.NodeKey] {
		return nil, nil
	}
	// testcontrol's clock stands in 2020, where no node key ever expires.
	now := time.Now()
	res.ControlTime = &now
	res.Node.Online = new(true)
	res.Node.CapMap = tailcfg.NodeCapMap{
		// The most permissive tailnet: whether anything becomes public is up to the node.
		tailcfg.NodeAttrFunnel:                       nil,
		tailcfg.CapabilityTailnetLock:                nil,
		tailcfg.CapabilityFunnelPorts + "?ports=443": nil,
	}
	res.DNSConfig = &tailcfg.DNSConfig{Proxied: true, Domains: []string{t.domain}}
	if t.HTTPS {
		res.Node.CapMap[tailcfg.CapabilityHTTPS] = nil
		res.DNSConfig.CertDomains = []string{strings.TrimSuffix(res.Node.Name, ".")}
	}
	res.Node.Capabilities = nil // the older form of CapMap
	for at, login := range t.users {
		res.UserProfiles = append(res.UserProfiles, tailcfg.UserProfile{ID: firstUser + tailcfg.UserID(at), LoginName: login, DisplayName: login})
	}
	res.PacketFilter = t.filter()
	res.Peers = slices.DeleteFunc(res.Peers, func(peer *tailcfg.Node) bool {
		peer.Online = new(t.polls[peer.Key] > 0)
		return t.removed[peer.Key]
	})
	return res, t.changed
}

func (t *tailnet) filter() []tailcfg.FilterRule {
	if t.Ports == nil {
		return tailcfg.FilterAllowAll
	}
	rule := tailcfg.FilterRule{SrcIPs: []string{"*"}, IPProto: []int{6}}
	for _, port := range t.Ports {
		rule.DstPorts = append(rule.DstPorts, tailcfg.NetPortRange{IP: "*", Ports: tailcfg.PortRange{First: port, Last: port}})
	}
	return []tailcfg.FilterRule{rule}
}

// nameLocked names a node after its host name, with -1, -2, … when another
// machine has the name. It keeps this name until the host name changes, even
// when the other machine goes.
func (t *tailnet) nameLocked(node *tailcfg.Node, hostname string) {
	for i := 0; ; i++ {
		name := hostname
		if i > 0 {
			name = fmt.Sprintf("%s-%d", hostname, i)
		}
		name = fmt.Sprintf("%s.%s.", name, t.domain)
		if !slices.ContainsFunc(t.nodesLocked(), func(n *tailcfg.Node) bool { return n.Name == name && n.Key != node.Key }) {
			node.Name = name
			return
		}
	}
}

// nodesLocked lists the machines of the tailnet.
func (t *tailnet) nodesLocked() []*tailcfg.Node {
	return slices.DeleteFunc(t.control.AllNodes(), func(n *tailcfg.Node) bool { return t.removed[n.Key] })
}

func (t *tailnet) storeLocked(node *tailcfg.Node) {
	t.control.UpdateNode(node)
	t.notifyLocked()
}

func (t *tailnet) notifyLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tailnet) countPoll(node key.NodePublic, delta int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.polls[node] += delta
	t.notifyLocked()
}

func (t *tailnet) key(k string) (authKeyInfo, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, ok := t.Keys[k]
	return info, ok
}

// isMember reports whether a node that brings no auth key is let in. An expired
// one is, for testcontrol then tells it to renew its node key.
func (t *tailnet) isMember(node key.NodePublic) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.control.Node(node) != nil && !t.removed[node]
}

func (t *tailnet) expire(nodeKey key.NodePublic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if node := t.control.Node(nodeKey); node != nil {
		node.KeyExpiry = time.Now().Add(-time.Minute)
		t.storeLocked(node)
	}
}

// serveFeatureQuery tells `tailscale serve` to wait until an admin enables
// HTTPS, as a real tailnet does.
func serveFeatureQuery(w http.ResponseWriter, r *http.Request) {
	reply(w, tailcfg.QueryFeatureResponse{Text: "HTTPS is not enabled on your tailnet.", URL: "https://login.tailscale.com/f/https", ShouldWait: true})
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}
