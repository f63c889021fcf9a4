#!/bin/sh
# Makes a root filesystem of the tar archive "$1" in the file "$2", and leaves beside it what boots the image.
# Runs in a user namespace, in a directory of its own; its environment has IRONWAKE_ROOT_UUID and ROOT_BYTES.
set -eu
trap 'rm -rf root' EXIT
rm -rf root
mkdir -m 755 root
# The kernel makes the devices.
tar -x -p --numeric-owner --exclude='./dev/*' -C root -f "$1"
mv root/boot-files/* .
rm -rf root/boot-files
# What this host's apt needs to reach the mirror is no business of the image.
rm -f root/etc/apt/apt.conf.d/99mmdebstrap root/var/log/apt/* root/var/log/*.log root/var/cache/ldconfig/aux-cache
: >root/etc/machine-id
# The caches that systemd would bring up to date at the first boot are.
touch -d "@$SOURCE_DATE_EPOCH" root/etc/.updated root/var/.updated
# Newer times are those of this build; mke2fs sees to those that cannot be set, by the same variable.
find root -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
truncate -s "$ROOT_BYTES" "$2"
# The image's own mke2fs: what it makes does not depend on this host's. It takes this for a small filesystem, but it
# is grown to whatever disk it comes to. Its loader is named where it is: the usual name may be an absolute link, which
# leads to this host's.
libs=root/usr/lib/x86_64-linux-gnu
MKE2FS_CONFIG=root/etc/mke2fs.conf LD_LIBRARY_PATH=$libs $libs/ld-linux-x86-64.so.2 root/usr/sbin/mke2fs \
    -q -F -t ext4 -T default -b 4096 -L root -O '^orphan_file,^metadata_csum_seed' -U "$IRONWAKE_ROOT_UUID" \
    -E "hash_seed=$IRONWAKE_ROOT_UUID,root_owner=0:0" -d root "$2"
