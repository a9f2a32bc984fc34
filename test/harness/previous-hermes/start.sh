#!/bin/sh
# Starts Hermes on the disk at /opt/data, as uid 10000.
set -eu
chown -R 10000:10000 /opt/data
cat >/opt/data/config.yaml <<EOF
model: {provider: openrouter, default: $HERMES_MODEL}
terminal: {backend: modal}
EOF
exec setpriv --reuid=10000 --regid=10000 --clear-groups -- hermes gateway run
