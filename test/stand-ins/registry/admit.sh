#!/bin/bash
#
# Makes these the registry's only accounts, beside its own: reads a line with the user's name and one with the password,
# for each. The registry notices by itself.
set -eu
umask 077
cp /registry/own-account /registry/accounts.new
while IFS= read -r user && IFS= read -r password; do
  printf '%s' "$password" | htpasswd -iB /registry/accounts.new "$user"
done
mv /registry/accounts.new /registry/accounts
