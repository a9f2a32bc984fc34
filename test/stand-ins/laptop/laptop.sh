#!/usr/bin/env bash
#
# Plays the owner's laptop: runs tailscaled, without a network device of its own, and makes Chromium trust the
# rehearsal's authority. Prints "ready" once `tailscale up` can be called; joining is up to the caller. Ends with
# tailscaled, with its code, and at SIGTERM.
#
# Chromium and everything else reach the tailnet through the SOCKS proxy on port 1055 of every interface.
#
# Environment
#   SSL_CERT_FILE  CA bundle for tailscaled and curl (the system's)
# Files
#   /ca/ca.pem     certificate of the rehearsal's authority
# The machine's login lies in the home folder and goes with the container.

set -euo pipefail

# Where Chromium looks for authorities of the user's own. Made anew, for after a restart it is there already.
readonly NSS=$HOME/.pki/nssdb

rm -rf "$NSS"
mkdir -p "$NSS"
certutil -d "sql:$NSS" -N --empty-password
certutil -d "sql:$NSS" -A -n rehearsal -t C,, -i /ca/ca.pem

tailscaled --tun=userspace-networking --statedir="$HOME/tailscale" --socks5-server=0.0.0.0:1055 --no-logs-no-support &
trap 'kill -TERM $!' TERM INT
until tailscale status --json >/dev/null 2>&1; do
  kill -0 $! || wait $! # ends with tailscaled's code, by errexit
  sleep 0.1
done
echo ready
wait $!
