#!/bin/sh
# Starts Hermes on the disk at /opt/data, as uid 10000.
set -eu
find /opt/data -path /opt/data/.disk-id -o -exec chown -h 10000:10000 {} +
cat >/opt/data/config.yaml <<EOF
model: {provider: openrouter, default: $HERMES_MODEL}
terminal: {backend: modal}
EOF
exec setpriv --reuid=10000 --regid=10000 --clear-groups -- hermes gateway run
