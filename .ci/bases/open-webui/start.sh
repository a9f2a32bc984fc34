#!/usr/bin/env bash
#
# Starts Open WebUI as upstream's start.sh does (see ../build.sh for what is left out).
#   HOST, PORT            where to listen; default 0.0.0.0:8080
#   WEBUI_SECRET_KEY      signs the sessions; default: generated once into .webui_secret_key beside this script
#   FORWARDED_ALLOW_IPS   proxies whose X-Forwarded-* headers count; default *
#   UVICORN_WORKERS       default 1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ -z "${WEBUI_SECRET_KEY:-}" ]; then
  [ -e .webui_secret_key ] || (umask 077 && head -c 24 /dev/urandom | base64 >.webui_secret_key)
  WEBUI_SECRET_KEY=$(cat .webui_secret_key)
  export WEBUI_SECRET_KEY
fi

exec python3 -m uvicorn open_webui.main:app --host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" \
  --forwarded-allow-ips "${FORWARDED_ALLOW_IPS:-*}" --workers "${UVICORN_WORKERS:-1}"
