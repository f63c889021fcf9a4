#!/bin/sh
# The root filesystem, before it is packed: settings that are those of the appliance, taken from where it has them.
# Buildroot calls it with TARGET_DIR in its environment.
set -eu

target=${TARGET_DIR:?Buildroot sets it}
tree=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$tree/Cargo.toml" | head -n 1)

# Settings of the appliance that need nothing of Debian. TYPE root-x86-64 is `root`: that of the board's own architecture.
for file in usr/lib/repart.d/50-root-a.conf usr/lib/repart.d/60-root-b.conf usr/lib/repart.d/70-var.conf \
    usr/lib/systemd/network/80-ironwake.network \
    usr/lib/systemd/journald.conf.d/50-ironwake.conf usr/lib/systemd/logind.conf.d/50-ironwake.conf \
    usr/lib/systemd/system/systemd-networkd-wait-online.service.d/50-ironwake.conf; do
    mkdir -p "$target/${file%/*}"
    sed 's/^Type=root-x86-64$/Type=root/' "$tree/appliance/files/$file" >"$target/$file"
done

# ironwake-init mounts everything.
: >"$target/etc/fstab"
# Each appliance makes its own, on /var.
: >"$target/etc/machine-id"

# What boot menus and `ironwake` show.
sed -i -e "s/^PRETTY_NAME=.*/PRETTY_NAME=\"Ironwake $version\"/" -e '/^IMAGE_\(ID\|VERSION\)=/d' "$target/usr/lib/os-release"
printf 'IMAGE_ID=ironwake\nIMAGE_VERSION=%s\n' "$version" >>"$target/usr/lib/os-release"
# The clock of a board without a battery starts here.
: >"$target/usr/lib/clock-epoch"

# No login on any line: the console is the way in.
mkdir -p "$target/etc/systemd/system-generators"
ln -sfn /dev/null "$target/etc/systemd/system-generators/systemd-getty-generator"
# /var is mounted before systemd starts, so no line of fstab asks for it to grow.
mkdir -p "$target/usr/lib/systemd/system/local-fs.target.wants"
ln -sfn ../systemd-growfs@.service "$target/usr/lib/systemd/system/local-fs.target.wants/systemd-growfs@var.service"
