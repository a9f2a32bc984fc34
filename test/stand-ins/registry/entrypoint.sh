#!/bin/bash
#
# One store of images with three ways in; ends when one of them dies.
#
#   443   TLS, under the name of the certificate /ca/NAME.crt, .key (NAME: $REGISTRY_NAME)
#   5000  the same without TLS, for a Docker engine that has it published on its loopback
#   5001  on this container's own loopback: reads without a password, see mirror.yml
#
# Its own account is `rehearsal`, with a new password at each start in /registry/own-password. Others: admit.sh.
set -eu
umask 077
openssl rand -hex 24 >/registry/own-password
htpasswd -ciB /registry/own-account rehearsal </registry/own-password
bash /registry/admit.sh </dev/null

serve() { # CONFIGURATION [VARIABLE=VALUE ...]
  env "${@:2}" docker-registry serve "/registry/$1" &
  servers+=("$!")
}
servers=()
serve registry.yml REGISTRY_HTTP_ADDR=:443 \
  "REGISTRY_HTTP_TLS_CERTIFICATE=/ca/$REGISTRY_NAME.crt" "REGISTRY_HTTP_TLS_KEY=/ca/$REGISTRY_NAME.key"
serve registry.yml REGISTRY_HTTP_ADDR=:5000
serve mirror.yml

for port in 443 5000 5001; do
  until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
done && echo ready &
wait -n "${servers[@]}"
exit 1
