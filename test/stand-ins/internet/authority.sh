#!/bin/sh
#
# Makes a certificate authority in the folder /ca and a certificate of it for each name given, all valid for 30 days.
#
#   authority.sh NAME ...
#
# Leaves ca.pem; bundle.pem, which adds it to the system's authorities; and NAME.crt and NAME.key, which only root reads.
# The authority's own key is not kept.
set -eu
umask 077
cd /ca

certificate() { # SUBJECT [OPTION OF openssl req ...]
  subject=$1
  shift
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$subject" "$@"
}

certificate "Rehearsal authority" -keyout /tmp/ca.key -out ca.pem -addext keyUsage=critical,keyCertSign
for host; do
  certificate "$host" -keyout "$host.key" -out "$host.crt" -CA ca.pem -CAkey /tmp/ca.key \
    -addext "subjectAltName=DNS:$host" -addext basicConstraints=critical,CA:FALSE
done
cat /etc/ssl/certs/ca-certificates.crt ca.pem >bundle.pem
chmod 644 ca.pem bundle.pem ./*.crt
