#!/usr/bin/env bash
# Starts the Hermes gateway: checks the environment and the disk, seals what on the disk could override the image, drops root.
#
# Contract. A refused setting ends the container with exit code 1 and one sentence for each on stderr; no value is printed.
# A default that stands as (ENV) here is set by the image, in the Dockerfile.
#   API_SERVER_KEY          required  bearer of the API, at least 16 characters and no placeholder (Hermes' own rule)
#   OPENROUTER_API_KEY      required  key of the only model provider
#   HERMES_MODEL            required  OpenRouter id with its vendor, e.g. openai/gpt-5.5; used for chats, cron and side tasks
#   MODAL_TOKEN_ID          required  } the workspace in which commands, files and code run;
#   MODAL_TOKEN_SECRET      required  } without them Hermes silently drops these tools
#   API_SERVER_PORT         8642      port of the API; PORT is for the platform only
#   API_SERVER_HOST         0.0.0.0   address of the API
#   API_SERVER_MODEL_NAME   -         the one model id under /v1/models
#   SANDBOX_CPU             (ENV)     cores of a sandbox, requested and at most
#   SANDBOX_MEMORY_MB       (ENV)     MiB of its memory, requested and at most
#   SANDBOX_IDLE_MINUTES    (ENV)     minutes without a command after which it is saved and ended
#   SANDBOX_BACKGROUND_MINUTES (ENV)  the same, while a process runs in the background
#   SANDBOX_NETWORK         (ENV)     what its code reaches: open, none, or CIDRs with commas between them
#   HERMES_TIMEZONE         (ENV)     zone of the agent and its jobs
#   VOICE_MODEL             (ENV)     OpenRouter id of the model that turns speech into text, or none
#   EXA_API_KEY             -         switches web search and page reading on
#   SANDBOX_PACKAGES        (ENV)     what its image has besides Python: apt:NAME and pip's NAME or NAME==VERSION, with commas
#   SANDBOX_SECRETS         -         variables of sandboxes: NAME=value, with commas; everybody: before a name that isn't the owner's alone
#   FILE_LIMIT_MB           (ENV)     size of a file that an answer may carry
#   SESSION_DAYS            (ENV)     days after which a session that nobody went on with is deleted
#   JOB_MINUTES             (ENV)     least minutes between two runs of a job
#   JOBS_PER_PERSON         (ENV)     jobs that one person may have
#   JOB_TURNS               (ENV)     calls of the model that a run may take
#   JOB_TOKENS              (ENV)     tokens that all runs of a job may take on a day; cached ones count a tenth
#   TELEGRAM_BOT_TOKEN      -         switches Telegram on; needs TELEGRAM_ALLOWED_USERS
#   TELEGRAM_ALLOWED_USERS  -         comma-separated numeric user ids; everybody else is ignored
#   TELEGRAM_HOME_CHANNEL   -         chat id for messages that no chat asked for, e.g. of cron jobs
#   PRIVATE_NETWORKS        IPv4's   networks, with blanks between them, in which no host may be that Modal names for a sandbox
#   SSL_CERT_FILE           Debian's  authorities by which the hosts outside are known
#   HERMES_HOME, HERMES_MANAGED_DIR, HERMES_WAY   set by the image: the disk, /opt/data; the managed scope, /etc/hermes; the sockets
#                                     between Hermes and HAProxy, /run/way
# Disk: mounted at /opt/data, writable, with 64 MiB free. Must start as root; Hermes itself runs as uid and gid 10000.
# SIGTERM ends it with 0 once running chats have finished. One that takes longer than agent.restart_drain_timeout (config.yaml)
# is cut and everything is saved 5 s later, but its thread can hold the process until the platform kills it.
set -euo pipefail

readonly DATA=$HERMES_HOME MANAGED=$HERMES_MANAGED_DIR HERMES_ID=10000 MIN_FREE_MIB=64

# Paths in the disk's top folder from which Hermes 0.19.0 takes settings, credentials or code. The agent owns the rest of the
# disk, so each is replaced at every boot by something root-owned and empty, which the sticky bit keeps it from exchanging.
readonly SEALED_FILES=(
  config.yaml      # the managed scope wins per key only, and some readers skip it when this file is missing: a copy of it
  .env             # loaded over the environment, and again before each chat
  .op.env          # loaded after it: a 1Password token that opens a further source of secrets
  auth.json        # stored credentials with a base_url of their own, tried before OPENROUTER_API_KEY
  gateway.json     # legacy settings below config.yaml: platforms, quick commands
  active_profile   # names a folder in profiles/ to use instead of this one
)
readonly SEALED_FOLDERS=(
  hooks            # hooks/*/handler.py runs at every boot, whatever the settings
  plugins          # Python imported at boot
  scripts          # run by cron jobs and webhooks on the gateway
  profiles         # further homes, each with its own config.yaml, .env and hooks
  pairing platforms platforms/pairing  # lists of chat users that are admitted besides TELEGRAM_ALLOWED_USERS
  bin              # searched for helpers (uv, bws, tirith)
  node             # put on PATH for subprocesses
  node_modules     # searched for browser helpers
  lsp              # language servers
)
# These count by existing, so nothing may take their place; Hermes acts on them when it starts.
readonly REMOVED=(
  .managed         # switches to the rules of a NixOS host
  .container-mode  # makes the hermes command look for a container to run in
  .drain_request.json         # has every chat refused for as long as it is there
  .gateway-planned-stop.json  # ends the gateway
)

problems=()

# A value pasted with a line break, or with a character that nobody sees, fails later, in ways that don't name it.
check_characters() {
  local LC_ALL=C name
  for name in API_SERVER_KEY OPENROUTER_API_KEY HERMES_MODEL MODAL_TOKEN_ID MODAL_TOKEN_SECRET EXA_API_KEY SANDBOX_SECRETS \
    TELEGRAM_BOT_TOKEN TELEGRAM_ALLOWED_USERS TELEGRAM_HOME_CHANNEL; do
    if [[ ${!name:-} == *[$'\n\r']* ]]; then
      problems+=("$name contains a line break; set it again as a single line.")
    elif [[ $name =~ KEY|TOKEN|SECRETS && ${!name:-} == *[!!-~]* ]]; then
      problems+=("$name contains a character that isn't printable ASCII, as no key does; copy it again where it was made.")
    fi
  done
}

check_required() {
  local name
  for name in OPENROUTER_API_KEY MODAL_TOKEN_ID MODAL_TOKEN_SECRET; do
    if [[ -z ${!name:-} ]]; then
      problems+=("$name is missing; set it in the service's environment.")
    fi
  done
}

# Hermes lives on without a listener when it refuses the key, so refuse first (has_usable_secret in its hermes_cli/auth.py).
check_api_key() {
  local key=${API_SERVER_KEY:-}
  if ((${#key} < 16)) || [[ ${key,,} == your_api_key_here ]]; then
    problems+=("API_SERVER_KEY is missing, shorter than 16 characters or a placeholder; set a random one, e.g. from openssl rand -hex 32.")
  fi
}

# The rules for these values stand in config.ts, too; a unit test compares what both take.
check_model() {
  local LC_ALL=C word='[A-Za-z0-9][A-Za-z0-9._-]*' name='[A-Za-z0-9._-]+'
  if [[ ! ${HERMES_MODEL:-} =~ ^~?$word/$word(:$name)?(@preset/$name)?$ ]]; then
    problems+=("HERMES_MODEL must be an OpenRouter model id with its vendor, e.g. openai/gpt-5.5.")
  fi
  if [[ ! ${VOICE_MODEL:-} =~ ^(none|$word/$word)$ ]]; then
    problems+=("VOICE_MODEL must be none or an OpenRouter model id with its vendor, e.g. openai/whisper-large-v3-turbo.")
  fi
}

# Without the list Hermes answers strangers with a pairing code, and * admits everybody.
check_telegram() {
  if [[ -n ${TELEGRAM_BOT_TOKEN:-} && ! ${TELEGRAM_ALLOWED_USERS:-} =~ ^[0-9]+(\ *,\ *[0-9]+)*$ ]]; then
    problems+=("TELEGRAM_BOT_TOKEN needs TELEGRAM_ALLOWED_USERS, the numeric ids of the users who may talk to the bot, separated by commas.")
  fi
}

# config.ts says more about each; here only what Modal's client would refuse at the first command.
check_sandbox() {
  local name='(apt:[a-z0-9][a-z0-9+.-]+|[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.!+]+)?)'
  local range='^[0-9]+(\.[0-9]+)?-[0-9]+(\.[0-9]+)?$' cidr='[0-9]+(\.[0-9]+){3}/[0-9]+'
  if [[ ! ${SANDBOX_CPU:-} =~ $range ]]; then
    problems+=("SANDBOX_CPU must be the cores that a sandbox requests and its limit, e.g. 0.25-2.")
  fi
  if [[ ! ${SANDBOX_MEMORY_MB:-} =~ ^[0-9]+-[0-9]+$ ]]; then
    problems+=("SANDBOX_MEMORY_MB must be the MiB that a sandbox requests and its limit, e.g. 512-4096.")
  fi
  if [[ ! ${SANDBOX_IDLE_MINUTES:-} =~ ^[0-9]+$ ]]; then
    problems+=("SANDBOX_IDLE_MINUTES must be a number of minutes, e.g. 4.")
  fi
  if [[ ! ${SANDBOX_BACKGROUND_MINUTES:-} =~ ^[0-9]+$ ]]; then
    problems+=("SANDBOX_BACKGROUND_MINUTES must be a number of minutes, e.g. 120.")
  fi
  if [[ ! ${SANDBOX_NETWORK:-} =~ ^(open|none|$cidr(,$cidr)*)$ ]]; then
    problems+=("SANDBOX_NETWORK must be open, none or networks with commas between them, e.g. 1.1.1.1/32.")
  fi
  if [[ ! ${SANDBOX_PACKAGES:-} =~ ^$name(,$name)*$ ]]; then
    problems+=("SANDBOX_PACKAGES must be none or packages with commas between them, e.g. apt:git,pandas.")
  fi
  local variable='(everybody:)?[A-Z][A-Z0-9_]*=[^,]+'
  if [[ -n ${SANDBOX_SECRETS:-} && ! $SANDBOX_SECRETS =~ ^$variable(,$variable)*$ ]]; then
    problems+=("SANDBOX_SECRETS must be NAME=value, with commas between several, the names in capitals.")
  fi
}

check_numbers() {
  if [[ ! ${FILE_LIMIT_MB:-} =~ ^[1-9][0-9]{0,3}$ ]]; then
    problems+=("FILE_LIMIT_MB must be a number of MB, e.g. 10.")
  fi
  if [[ ! ${SESSION_DAYS:-} =~ ^[1-9][0-9]{0,4}$ ]]; then
    problems+=("SESSION_DAYS must be a number of days, e.g. 90.")
  fi
  local name
  for name in JOB_MINUTES JOBS_PER_PERSON JOB_TURNS JOB_TOKENS; do
    if [[ ! ${!name:-} =~ ^[1-9][0-9]{0,8}$ ]]; then
      problems+=("$name must be a whole number above 0.")
    fi
  done
}

# Hermes goes on answering on a full disk and silently saves nothing.
check_disk() {
  local free
  if (($(id -u) != 0)); then
    problems+=("The container must start as root, to seal $DATA before it drops to uid $HERMES_ID; remove the user override.")
  elif ! mountpoint --quiet "$DATA"; then
    problems+=("No disk is mounted at $DATA, so everything would be lost with the next deploy; attach the disk there.")
  elif ! probe_write; then
    problems+=("The disk at $DATA can't be written; attach it read-write and repair or grow it if it is damaged or full.")
  elif ! free=$(df --output=avail --block-size=1M "$DATA" | tail -n 1) || ((free < MIN_FREE_MIB)); then
    problems+=("The disk at $DATA has less than $MIN_FREE_MIB MiB free, and Hermes would silently stop saving; grow the disk.")
  fi
}

probe_write() {
  local probe
  probe=$(mktemp -- "$DATA/.write-probe.XXXXXXXX" 2>/dev/null) || return 1
  rm -f -- "$probe"
}

refuse_if_problems() {
  if ((${#problems[@]} > 0)); then
    printf 'entrypoint: %s\n' "${problems[@]}" >&2
    exit 1
  fi
}

# rm and the commands below never follow a symlink that the agent left under one of these names: a folder is removed before
# what would be in it, and nothing of the agent runs yet that could put one back between two of them.
seal_disk() {
  chown "root:$HERMES_ID" "$DATA"
  chmod 1770 "$DATA"
  rm -rf -- "${SEALED_FILES[@]/#/$DATA/}" "${SEALED_FOLDERS[@]/#/$DATA/}" "${REMOVED[@]/#/$DATA/}"
  # A backup restored as root, or what a command of root has left anywhere on the disk.
  find "$DATA" -mindepth 1 \( -path "$DATA/lost+found" -o -path "$DATA/.disk-id" -o -path "$DATA/.before" -o -path "$DATA/.part" -o -path "$DATA/.going-back" \) -prune -o ! -uid "$HERMES_ID" \
    -exec chown --no-dereference "$HERMES_ID:$HERMES_ID" {} +
  install -m 0444 /dev/null "$DATA/.env"
  install -m 0444 /dev/null "$DATA/.op.env"
  install -m 0444 /dev/null "$DATA/active_profile"
  install -m 0444 "$MANAGED/config.yaml" "$DATA/config.yaml"
  install -m 0444 /dev/stdin "$DATA/auth.json" <<<'{}'
  install -m 0444 /dev/stdin "$DATA/gateway.json" <<<'{}'
  mkdir -- "${SEALED_FOLDERS[@]/#/$DATA/}"
  chmod 0555 -- "${SEALED_FOLDERS[@]/#/$DATA/}"
}

# HAProxy alone has the way out, and the credentials (haproxy.cfg): this comes before Hermes, begins it again when it ends, and waits
# until it is there. A signal that stops the container is for Hermes, which still needs it then.
start_way_out() {
  export SSL_CERT_FILE=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  cat "$SSL_CERT_FILE" "$HERMES_WAY/hosts.crt" >"$HERMES_WAY/authorities.pem"
  rm -f "$HERMES_WAY/out/routers"
  (
    trap '' INT
    # What a slow reader hasn't had of its answer is in HAProxy then.
    trap 'kill -USR1 $! && wait $!; exit' TERM
    while :; do
      PATH=$PATH:/usr/sbin setsid haproxy -db -f /etc/egress/haproxy.cfg &
      wait $! || true
      echo "HAProxy, the way out, has ended; it starts again." >&2
      sleep 1
    done
  ) &
  way_out=$!
  timeout 30 bash -c "until [[ -e '$HERMES_WAY/out/routers' ]]; do sleep 0.05; done" && return
  echo "entrypoint: HAProxy, the way out, doesn't start; its reason stands above." >&2
  exit 1
}

start_hermes() {
  local code=0
  # Hermes reads the former for each question to a model: it has HAProxy's certificate alone. Modal's client needs the others, too.
  export HERMES_CA_BUNDLE=$HERMES_WAY/hosts.crt SSL_CERT_FILE=$HERMES_WAY/authorities.pem MODAL_SERVER_URL=http://api.modal.com:80
  # Hermes gets the signal, too.
  trap : INT
  confined "$HERMES_ID" hermes-gateway gateway run --external-supervisor || code=$?
  { kill "$way_out"; wait "$way_out"; } || true
  exit "$code"
}

main() {
  check_characters
  check_api_key
  check_required
  check_model
  check_telegram
  check_sandbox
  check_numbers
  check_disk
  refuse_if_problems
  seal_disk
  start_way_out
  start_hermes
}

main
