#!/bin/sh
#
# The first process of a sandbox, in namespaces of its own: gives it its disk and runs what it was made for.
#
#   sandbox.sh FOLDER LAYERS MEGABYTES COMMAND ...
#
# FOLDER gets what is written; LAYERS are the folders below it, the newest first, with colons between them.
set -eu
folder=$1 layers=$2 megabytes=$3
shift 3
mount --make-rprivate /
mkdir -p "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
mkdir -p proc dev sys
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
mkdir -p dev/shm
cp /etc/resolv.conf /etc/hosts etc/
hostname modal
prlimit --pid $$ --data="$((megabytes << 20))"
exec chroot . setpriv --bounding-set=-sys_admin,-net_admin "$@"
