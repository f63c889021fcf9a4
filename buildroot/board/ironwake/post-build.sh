#!/bin/sh
# The root filesystem, before it is packed: settings that are those of the appliance, taken from where it has them.
# Buildroot calls it with TARGET_DIR in its environment.
set -eu

target=${TARGET_DIR:?Buildroot sets it}
tree=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$tree/Cargo.toml" | head -n 1)

# What the appliance lays over its packages, but for what is of Debian or of its initrd: its mounts, the builder's ids, and rules
# that find the disk which was booted.
cp -R "$tree/appliance/files/." "$target"
rm -rf "$target/etc/subuid" "$target/etc/subgid" "$target/usr/lib/systemd/system/efi.mount" \
    "$target/usr/lib/systemd/system/efi.automount" "$target/usr/lib/udev/ironwake-disk" \
    "$target/usr/lib/udev/rules.d/65-ironwake-disk.rules"
# Its root partitions are of x86-64; `root` is that of the board's own architecture.
sed -i 's/^Type=root-x86-64$/Type=root/' "$target"/usr/lib/repart.d/*.conf

# ironwake-init mounts everything.
: >"$target/etc/fstab"
# Each appliance makes its own, on /var.
: >"$target/etc/machine-id"

# Its identifier is another than the appliance's: that one is updated, and installed on disks, by means that are not here.
sed -i -e "s/^PRETTY_NAME=.*/PRETTY_NAME=\"Ironwake $version\"/" -e '/^IMAGE_\(ID\|VERSION\)=/d' "$target/usr/lib/os-release"
printf 'IMAGE_ID=ironwake-buildroot\nIMAGE_VERSION=%s\n' "$version" >>"$target/usr/lib/os-release"
# The clock of a board without a battery starts here.
: >"$target/usr/lib/clock-epoch"

# No login on any line: the console is the way in.
mkdir -p "$target/etc/systemd/system-generators"
ln -sfn /dev/null "$target/etc/systemd/system-generators/systemd-getty-generator"
# /var is mounted before systemd starts, so no line of fstab asks for it to grow.
mkdir -p "$target/usr/lib/systemd/system/local-fs.target.wants"
ln -sfn ../systemd-growfs@.service "$target/usr/lib/systemd/system/local-fs.target.wants/systemd-growfs@var.service"
