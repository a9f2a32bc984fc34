#!/usr/bin/env bash
#
# Joins the tailnet, publishes Open WebUI there over HTTPS, then runs it.
# The arguments are the command that starts the app (default: the image's CMD).
# Tailscale's own containerboot isn't used: it has no sentence for each refusal, and leaves the key in the environment.
#
# The app listens on a Unix socket, and only root and the app's own user get
# into its folder: tailscaled is the one way to it. What the platform finds on
# PORT is a stub that refuses everybody (door.py). The app itself can open no
# connection (confined); relay.py connects it with the agent, and with nobody else.
#
# The order is join, serve, app, stub: a mistake in the settings ends the
# container within seconds, and no port is bound before the app answers, so that
# the platform never takes the deploy for live too early. From then on the
# container lives exactly as long as tailscaled, the app, its way to the agent,
# what reads documents for it (extractor.py), the stub and the machine's login do.
#
# Environment
#   Required, and handed on to the app, which documents them at
#   https://docs.openwebui.com/reference/env-configuration:
#     WEBUI_URL                 https://<machine name>.<tailnet>.ts.net, how the UI is reached
#     OPENAI_API_BASE_URL       the agent's API, http://HOST:PORT/v1
#     OPENAI_API_KEY            its key
#     WEBUI_SECRET_KEY          signs the sessions
#     WEBUI_ADMIN_EMAIL, WEBUI_ADMIN_PASSWORD, WEBUI_ADMIN_NAME
#                               the admin account that the first boot creates (admin.py has more)
#   Optional: PORT               what the platform waits for (default 8080)
#     VOICE                     false (default): the page has neither microphone nor voice mode.
#                               true: it has both, and the agent turns speech into text.
#   and for the app whatever else it understands, such as
#     WEBUI_AUTH_TRUSTED_EMAIL_HEADER
#                               none (default): people sign in with a password.
#                               Tailscale-User-Login: by their login on the tailnet.
#   For the tailnet, none of it visible to the app:
#     TS_HOSTNAME               required: machine name, the first label of WEBUI_URL's host
#     TS_AUTHKEY                auth key (tskey-auth-...), which carries the node's tag; with
#                               Tailnet Lock one that is signed (tskey-auth-...--TL...). Used
#                               only while the disk holds no valid login.
#     TS_NO_LOGS_NO_SUPPORT     true (default): tailscaled uploads no logs. Set it to false for
#                               a tailnet that demands network flow logs.
#   Only the tests set these:
#     TS_EXTRA_ARGS             further flags of `tailscale up`, separated by blanks (none)
#     TS_TAILSCALED_EXTRA_ARGS  further flags of tailscaled, separated by blanks (none)
#     TS_JOIN_TIMEOUT           seconds to wait for the control plane (default 300)
#     SSL_CERT_FILE             CA bundle for tailscaled as well as the app (the system's)
#     DATA_DIR                  where the disk is, for the app too (default /app/backend/data)
#     UVICORN_UDS               the app's socket (default /var/lib/open-webui/socket)
#     HERMES_SOCKET             its way to the agent; the image sets it
#
# Disk: must be mounted at DATA_DIR. The node's state lies in its folder tailscale/,
# which only root can read: with it lost, the node joins as another machine. All else
# there is handed to the app's user, 10001, so the container must start as root.
#
# Exit code: 0 after SIGTERM or SIGINT, once the app and then tailscaled have
# stopped; otherwise never 0, whether the start was refused (one sentence on
# stderr says why), one of the five processes ended, or the login did.

set -euo pipefail

readonly APP_ID=10001 # user and group of the app, the same as in the Dockerfile
readonly EXTRACTOR_ID=10002 # user and group of what reads documents, the same as there
readonly NOBODY=65534
readonly PORT=${PORT:-8080}
readonly DATA_DIR=${DATA_DIR:-/app/backend/data}
readonly SOCKET=${UVICORN_UDS:-/var/lib/open-webui/socket}
readonly STATE_DIR=$DATA_DIR/tailscale
readonly JOIN_TIMEOUT=${TS_JOIN_TIMEOUT:-300}
readonly APP_GRACE=50       # seconds; below the platform's own limit, and GRACE in backup.py
readonly COMMAND_TIMEOUT=20 # seconds for one call of the tailscale CLI, within JOIN_TIMEOUT
readonly LOGIN_CHECK=60     # seconds between two looks at the login, which take 15 ms of the CPU each
readonly SUGGESTIONS=${BASH_SOURCE[0]%/*}/suggestions.json # what the first screen offers
readonly HERMES_URL='^http://([A-Za-z0-9.-]+):([0-9]+)/v1$'
readonly FREE_MB=16         # what the disk must have room for
readonly LOGIN_HEADER=Tailscale-User-Login # which tailscaled sets, whatever was sent
readonly TAG=tag:hermes     # what the tailnet's policy grants port 443 of; tailnetTag in config.ts
readonly ADMIN=https://login.tailscale.com/admin

tailscaled_pid=
app_pid=
extractor_pid=
relay_pid=
door_pid=
watcher_pid=

log() { printf 'entrypoint: %s\n' "$*" >&2; }

# Stops everything first, so that the sentence is the last line of the log. People look there.
die() {
  stop_all
  log "$@"
  exit 1
}

# Starts this script anew without TS_AUTHKEY and hands the key over on a file
# descriptor: `unset` alone would leave it readable in /proc/1/environ.
hide_authkey() {
  local key=$TS_AUTHKEY
  unset TS_AUTHKEY
  TS_AUTHKEY_FD=9 exec "$BASH" "$0" "$@" 9<<<"$key"
}

# Moves the key into the variable authkey, which is not exported.
take_authkey() {
  authkey=
  [[ -v TS_AUTHKEY_FD ]] || return 0
  IFS= read -r -u "$TS_AUTHKEY_FD" authkey
  exec 9<&-
}

check_environment() {
  local name problems=()
  for name in WEBUI_URL TS_HOSTNAME OPENAI_API_BASE_URL OPENAI_API_KEY WEBUI_SECRET_KEY \
    WEBUI_ADMIN_EMAIL WEBUI_ADMIN_PASSWORD WEBUI_ADMIN_NAME; do
    [[ -n ${!name-} ]] || problems+=("$name is missing or empty: set it in the service's environment.")
  done
  if [[ -n ${WEBUI_URL-} && ! $WEBUI_URL =~ ^https://[a-z0-9-]+(\.[a-z0-9-]+)+/?$ ]]; then
    problems+=("WEBUI_URL must look like https://open-webui.tailnet-name.ts.net, with no port or path, but is $WEBUI_URL.")
  elif [[ -n ${WEBUI_URL-} && -n ${TS_HOSTNAME-} && $(webui_host) != "$TS_HOSTNAME".* ]]; then
    problems+=("TS_HOSTNAME is $TS_HOSTNAME but WEBUI_URL is $WEBUI_URL: make TS_HOSTNAME the first part of its host.")
  fi
  if [[ -n ${OPENAI_API_BASE_URL-} && ! $OPENAI_API_BASE_URL =~ $HERMES_URL ]]; then
    problems+=("OPENAI_API_BASE_URL must look like http://hermes:8642/v1, but is $OPENAI_API_BASE_URL.")
  fi
  # Any other header comes through as it was sent: everybody could be anybody.
  if [[ ${WEBUI_AUTH_TRUSTED_EMAIL_HEADER:-$LOGIN_HEADER} != "$LOGIN_HEADER" ]]; then
    problems+=("WEBUI_AUTH_TRUSTED_EMAIL_HEADER must be $LOGIN_HEADER, which Tailscale alone sets, but is $WEBUI_AUTH_TRUSTED_EMAIL_HEADER.")
  fi
  for name in WEBUI_AUTH_TRUSTED_{NAME,ROLE,GROUPS}_HEADER; do
    [[ -z ${!name-} ]] || problems+=("$name is set, and anybody could send what it names: take it out of the service's environment.")
  done
  if [[ ! $JOIN_TIMEOUT =~ ^[1-9][0-9]{0,4}$ ]]; then
    problems+=("TS_JOIN_TIMEOUT is $JOIN_TIMEOUT: make it a whole number of seconds, such as 300, or take it out.")
  fi
  ((${#problems[@]} == 0)) && return
  for name in "${problems[@]}"; do log "$name"; done
  exit 1
}

webui_host() {
  local host=${WEBUI_URL#https://}
  printf '%s' "${host%/}"
}

# Without a disk the login would be lost at every deploy; on a full one Open
# WebUI would run and fail at every message.
check_disk() {
  local probe=$STATE_DIR/.probe
  mountpoint -q "$DATA_DIR" || die "No disk is mounted at $DATA_DIR: attach one there, accounts, chats and the node's login are kept on it."
  # A link that an app running without this script may have left.
  [[ ! -L $STATE_DIR ]] || rm -f "$STATE_DIR"
  install -d -m 700 "$STATE_DIR" || die "The disk at $DATA_DIR can't be written to: attach one that is not read-only."
  head -c "${FREE_MB}M" /dev/zero >"$probe" || {
    rm -f "$probe"
    die "The disk at $DATA_DIR has less than $FREE_MB MB left or can't be written to: enlarge it or delete old files."
  }
  rm -f "$probe"
  # Whoever had it before, as on a disk that was restored by hand: its owner could read the machine's key.
  chown -hR 0:0 "$STATE_DIR"
}

# An empty environment, so that tailscaled sees no secret of the app; the memory
# limit is soft and holds its garbage collector at some 50 MB. Without the list of ports, which the
# admin console shows as "Services", it doesn't read through /proc each second.
start_tailscaled() {
  local flags=(--tun=userspace-networking --statedir="$STATE_DIR")
  local extra
  [[ ${TS_NO_LOGS_NO_SUPPORT:-true} == false ]] || flags+=(--no-logs-no-support)
  read -ra extra <<<"${TS_TAILSCALED_EXTRA_ARGS-}"
  env -i PATH="$PATH" HOME="$STATE_DIR" GOMEMLIMIT=64MiB TS_DEBUG_DISABLE_PORTLIST=1 ${SSL_CERT_FILE:+SSL_CERT_FILE="$SSL_CERT_FILE"} \
    tailscaled "${flags[@]}" "${extra[@]}" &
  tailscaled_pid=$!
}

# status FILTER: a value out of tailscaled's status; empty while it doesn't answer.
status() {
  bounded tailscale status --json 2>/dev/null | jq -r "$1" || true
}

# bounded COMMAND...: a time limit, and `wait` in place of a foreground command,
# so that a signal is handled at once.
bounded() {
  timeout "$((JOIN_TIMEOUT < COMMAND_TIMEOUT ? JOIN_TIMEOUT : COMMAND_TIMEOUT))" "$@" &
  wait "$!"
}

# Returns once the node is on the tailnet with the flags given here.
#
# The key is sent only when tailscaled says it needs a login: control refuses an
# expired key even from a healthy node, and takes that node off the tailnet.
# A control plane that doesn't answer is waited for, and a signature; the limit
# makes the platform start over. Needs `authkey`.
join_tailnet() {
  local state health sign='' told='' configured='' start=$SECONDS next_line=5
  log "Joining the tailnet as $TS_HOSTNAME."
  while ((SECONDS - start < JOIN_TIMEOUT)); do
    kill -0 "$tailscaled_pid" 2>/dev/null || die "tailscaled stopped while joining: see its log above."
    state=$(status .BackendState)
    case $state in
      NeedsLogin) log_in && configured=yes ;;
      NeedsMachineAuth) die "The machine $TS_HOSTNAME waits for approval: approve it at $ADMIN/machines, or use an auth key that is pre-approved." ;;
      Running | Stopped)
        [[ $configured ]] || { tailscale_up "correct TS_EXTRA_ARGS" && configured=yes; }
        if [[ $configured ]]; then
          sign=$(signing_command)
          [[ -z $sign && $(status .Self.Online) == true ]] && return
        fi
        ;;
    esac
    if [[ $sign && ! $told ]]; then
      log "Tailnet Lock keeps $TS_HOSTNAME out until it is signed. On a device with a signing key run: $sign"
      told=yes
    fi
    if ((SECONDS - start >= next_line)); then
      health=$(status '.Health // [] | join(" ")')
      log "Waiting for the tailnet ($((SECONDS - start)) of $JOIN_TIMEOUT s, state ${state:-unknown}).${health:+ Tailscale says: $health}"
      next_line=$((next_line + 15))
    fi
    sleep 0.2
  done
  [[ -z $sign ]] || die "Tailnet Lock still keeps this machine out. On a device with a signing key run: $sign"
  health=$(status '.Health // [] | join(" ")')
  [[ -z $health ]] || die "The tailnet couldn't be joined within $JOIN_TIMEOUT s. Tailscale says: $health"
  die "The tailnet couldn't be joined within $JOIN_TIMEOUT s: is Tailscale's control plane up and reachable from here (https://status.tailscale.com)?"
}

# The command that lets this machine in, where Tailnet Lock is on and nobody has
# signed it; empty otherwise. The node counts as online all the same, and no other
# one would talk to it (tkaFilterNetmapLocked in ipn/ipnlocal/tailnet-lock.go).
signing_command() {
  bounded tailscale lock status --json 2>/dev/null |
    jq -r 'select(.Enabled and (.NodeKeySigned | not)) | "tailscale lock sign \(.NodeKey) \(.PublicKey)"' || true
}

log_in() {
  local LC_ALL=C # for the range of characters
  case $authkey in
    '') die "This node needs a login and TS_AUTHKEY is empty: set it to an auth key made at $ADMIN/settings/keys." ;;
    tskey-api-*) die "TS_AUTHKEY is an API access token (tskey-api-...): set it to an auth key (tskey-auth-...) made at $ADMIN/settings/keys." ;;
    *[!!-~]*) die "TS_AUTHKEY contains a character that isn't printable ASCII, as no key does: copy it again from $ADMIN/settings/keys." ;;
  esac
  # A file descriptor keeps the key out of argv and off the disk.
  tailscale_up "make a new auth key at $ADMIN/settings/keys and set TS_AUTHKEY${TS_EXTRA_ARGS:+, or correct TS_EXTRA_ARGS}" --auth-key="file:"<(printf '%s' "$authkey")
}

# tailscale_up ADVICE [FLAG...]: configures the node. Fails while the control
# plane doesn't answer; a refusal ends the container, for it would come again.
tailscale_up() {
  local advice=$1 rc=0 extra
  shift
  read -ra extra <<<"${TS_EXTRA_ARGS-}"
  bounded tailscale up --reset --hostname="$TS_HOSTNAME" --accept-dns=false --accept-routes=false "${extra[@]}" "$@" || rc=$?
  ((rc == 0 || rc == 124)) || die "Tailscale refused, its reason stands above: $advice."
  return "$rc"
}

# What only the tailnet's admin can put right: four answers, a line each, of one look.
check_tailnet() {
  local https name tagged expiry
  { read -r https && read -r name && read -r tagged && read -r expiry; } < <(status "
    (.CertDomains | length), (.Self.DNSName | rtrimstr(\".\")), (.Self.Tags // [] | index(\"$TAG\") != null), (.Self.KeyExpiry // \"\")") || true
  [[ $https -gt 0 ]] || die "The tailnet has no HTTPS certificates: click Enable HTTPS at $ADMIN/dns."
  # Under another name the pages would load and the chat fail: the app accepts one origin only.
  [[ $name == "$(webui_host)" ]] || die "This machine is called $name but WEBUI_URL says $(webui_host): remove the old machine of that name at $ADMIN/machines and rename this one, or correct WEBUI_URL."
  # Without it the policy takes the machine for a device of its owner, and grants what it grants those.
  [[ $tagged == true ]] || die "This machine has no $TAG: set TS_AUTHKEY to an auth key with $TAG, made at $ADMIN/settings/keys, delete this machine at $ADMIN/machines, and start again."
  [[ -z $expiry ]] || log "WARNING: this machine's login expires on $expiry, and the UI can't be reached from then on: disable key expiry at $ADMIN/machines."
}

# The app's server makes the socket so that everybody may open it: the folder is
# the lock. One that a killed app has left would be taken for the new one's.
lock_socket() {
  local folder=${SOCKET%/*}
  install -d -m 770 "$folder"
  chown "root:$APP_ID" "$folder"
  rm -f "$SOCKET"
}

# Publishes the app, and only the app, to the tailnet. What an earlier version
# or a hand has left in the stored configuration is removed first.
publish() {
  local target=unix:$SOCKET
  bounded tailscale serve reset || die "tailscale serve reset failed, see above."
  bounded tailscale serve --bg --https=443 "$target" >/dev/null || die "tailscale serve failed, see above."
  bounded tailscale serve status --json | jq -e --arg site "$(webui_host):443" --arg target "$target" '
    .TCP == {"443": {HTTPS: true}} and .Web == {($site): {Handlers: {"/": {Proxy: $target}}}}
    and ([.AllowFunnel[]?, .Services[]?, .Foreground[]?] | any | not)' >/dev/null ||
    die "Tailscale serves something other than $WEBUI_URL for this tailnet only: look at \"tailscale serve status\"."
  log "Open WebUI is published at $WEBUI_URL, for the tailnet only."
}

# Runs the app without root, and with Unix sockets alone. As root its users with
# admin rights, whose functions are Python code in the server, could reach tailscaled and
# make the machine public (Funnel), or read the machine's key. The disk belongs to the
# app but for the node's state, which the sticky bit keeps in its place.
start_app() {
  local name
  for name in "${!TS_@}"; do unset "$name"; done
  DEFAULT_PROMPT_SUGGESTIONS=$(<"$SUGGESTIONS")
  export DEFAULT_PROMPT_SUGGESTIONS
  [[ ${VOICE:-false} == false ]] ||
    export AUDIO_STT_ENGINE=openai USER_PERMISSIONS_CHAT_STT=true USER_PERMISSIONS_CHAT_CALL=true
  chown "root:$APP_ID" "$DATA_DIR"
  chmod 1770 "$DATA_DIR"
  find "$DATA_DIR" -mindepth 1 \( -path "$STATE_DIR" -o -path "$DATA_DIR/.disk-id" -o -path "$DATA_DIR/.before" -o -path "$DATA_DIR/.part" -o -path "$DATA_DIR/.going-back" \) -prune -o ! -user "$APP_ID" -exec chown -h "$APP_ID:$APP_ID" {} +
  keep_admin
  UVICORN_UDS=$SOCKET as_app "$@" &
  app_pid=$!
}

as_app() {
  HOME=$DATA_DIR exec confined "$APP_ID" "$@"
}

# With another way to sign in, nobody would be the admin.
keep_admin() {
  local said
  said=$(as_app python3 -I /usr/local/lib/admin.py "$DATA_DIR") || die "${said:-The accounts on the disk are unreadable, see above.}"
  [[ -z $said ]] || log "$said"
}

# A user of its own, an empty environment and Unix sockets alone, for it reads foreign files with large libraries.
start_extractor() {
  confined "$EXTRACTOR_ID" \
    env -i PATH="$PATH" MALLOC_ARENA_MAX=1 python3 -I -S -W ignore /usr/local/lib/extractor/extractor.py /var/lib/extractor/socket &
  extractor_pid=$!
}

# The app's way to the agent; the folder of its socket is nobody's, and open to the app alone.
start_relay() {
  [[ $OPENAI_API_BASE_URL =~ $HERMES_URL ]]
  rm -f "$HERMES_SOCKET"
  as_nobody relay.py "$HERMES_SOCKET" "${BASH_REMATCH[@]:1}" &
  relay_pid=$!
}

as_nobody() {
  exec setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups --no-new-privs \
    env -i PATH="$PATH" MALLOC_ARENA_MAX=1 python3 -I -S "/usr/local/lib/$1" "${@:2}"
}

# What the platform finds on PORT once the app answers. Nobody gets further than to it from the private network, so it is
# nobody's, in an empty environment.
open_door() {
  {
    until curl --silent --fail --output /dev/null --max-time 5 --unix-socket "$SOCKET" http://localhost/ready; do sleep 0.5; done
    as_nobody door.py "$PORT"
  } &
  door_pid=$!
}

# stop PID SECONDS: SIGTERM, and SIGKILL when that isn't heeded in time.
stop() {
  [[ -n $1 ]] && kill -TERM "$1" 2>/dev/null || return 0
  timeout "$2" tail --pid="$1" -s 0.1 -f /dev/null || kill -KILL "$1" 2>/dev/null || true
}

# The app goes first: it may be in the middle of an answer that travels through tailscaled.
stop_all() {
  trap '' TERM INT
  [[ -z $watcher_pid ]] || kill "$watcher_pid" 2>/dev/null || true
  stop "$app_pid" "$APP_GRACE"
  stop "$door_pid" 1
  stop "$relay_pid" 1
  stop "$extractor_pid" 1
  stop "$tailscaled_pid" 5
}

# Returns when the machine's login is over. The page is out of reach then, and all processes run on as if nothing was.
watch_login() {
  while sleep "$LOGIN_CHECK"; do
    [[ $(status .BackendState) == NeedsLogin ]] && return
  done
}

supervise() {
  local rc=0 ended processes=("$tailscaled_pid" "$extractor_pid" "$relay_pid" "$app_pid" "$door_pid")
  watch_login >/dev/null 2>&1 &
  watcher_pid=$!
  # `wait -n` misses a process that ended earlier, so check first that all are alive.
  for ended in "${processes[@]}" ''; do kill -0 "$ended" 2>/dev/null || break; done
  if [[ $ended ]]; then wait "$ended" || rc=$?; else wait -n -p ended "${processes[@]}" "$watcher_pid" || rc=$?; fi
  case $ended in
    "$watcher_pid") log "This machine's login has expired or was removed at $ADMIN/machines: stopping the container, the next start logs in with TS_AUTHKEY." ;;
    "$app_pid") log "Open WebUI ended with code $rc: stopping the container." ;;
    "$door_pid") log "The stub on port $PORT ended with code $rc: stopping the container." ;;
    "$relay_pid") log "What connects Open WebUI with Hermes ended with code $rc: stopping the container." ;;
    "$extractor_pid") log "What reads documents ended with code $rc: stopping the container." ;;
    *) log "tailscaled ended with code $rc: stopping the container." ;;
  esac
  return 1
}

main() {
  [[ -v TS_AUTHKEY ]] && hide_authkey "$@"
  trap 'exit 0' TERM INT
  trap stop_all EXIT
  take_authkey
  check_environment
  check_disk
  # It says itself what the kernel of this machine doesn't do.
  confined "$APP_ID" true || exit 1
  start_tailscaled
  join_tailnet
  unset authkey
  check_tailnet
  lock_socket
  publish
  start_extractor
  start_relay
  start_app "$@"
  open_door
  supervise
}

main "$@"
