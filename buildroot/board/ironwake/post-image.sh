#!/bin/sh
# Makes the disk of Buildroot's root filesystem, kernel and GRUB: ironwake-VERSION-ARCHITECTURE.img among the images.
# Buildroot calls it with BINARIES_DIR, BUILD_DIR and BR2_CONFIG in its environment, and its host tools in PATH.
set -eu
export LC_ALL=C

images=${BINARIES_DIR:?Buildroot sets it}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tree=$(CDPATH='' cd -- "$here/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$tree/Cargo.toml" | head -n 1)
# Data and hashes of dm-verity, in bytes.
block=4096
slot=$((512 * 1024 * 1024))

fail() { printf 'post-image.sh: %s\n' "$*" >&2; exit 1; }

# Salts and identifiers are those of the version and of what they are for: two builds are the same.
digest() { printf 'ironwake %s %s %s' "$version" "$arch" "$1" | sha256sum | cut -c 1-64; }
identifier() { digest "$1" | sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/'; }

if grep -q '^BR2_x86_64=y' "${BR2_CONFIG:?Buildroot sets it}"; then
    arch=x86_64 kernel=$images/bzImage root_type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709
    consoles='console=ttyS0,115200 console=tty0'
elif grep -q '^BR2_aarch64=y' "$BR2_CONFIG"; then
    arch=aarch64 kernel=$images/Image root_type=b921b045-1df0-41c3-af44-4c6f280d3fae
    # What the firmware names, by the device tree or ACPI.
    consoles=
else
    fail "$BR2_CONFIG is for an architecture without a layout here: x86_64 and aarch64 have one"
fi
[ -f "$kernel" ] || fail "there is no kernel at $kernel"

# The root: a squashfs with its dm-verity tree behind it.
cp "$images/rootfs.squashfs" "$images/root.img"
size=$(stat -c %s "$images/root.img")
[ $((size % block)) = 0 ] || fail "rootfs.squashfs has $size bytes, which is no multiple of $block: set BR2_TARGET_ROOTFS_SQUASHFS_PAD"
salt=$(digest salt)
blocks=$((size / block))
root_hash=$(veritysetup format --hash=sha256 --data-block-size=$block --hash-block-size=$block --data-blocks=$blocks \
    --hash-offset="$size" --salt="$salt" --uuid="$(identifier verity)" "$images/root.img" "$images/root.img" |
    sed -n 's/^Root hash:[[:space:]]*//p')
[ -n "$root_hash" ] || fail "veritysetup told no root hash"
[ "$(stat -c %s "$images/root.img")" -le $slot ] || fail "the root has $(stat -c %s "$images/root.img") bytes, a slot $slot: leave packages out"

# The kernel sets up the device by itself (Documentation/admin-guide/device-mapper/dm-init.rst): it needs no initrd. The tree
# begins behind its superblock, which takes a block.
device=PARTLABEL=ironwake_$version
table="0 $((blocks * block / 512)) verity 1 $device $device $block $block $blocks $((blocks + 1)) sha256 $root_hash $salt"
command_line="\"dm-mod.create=ironwake,,,ro,$table\" dm-mod.waitfor=$device root=/dev/dm-0 rootfstype=squashfs ro \
init=/usr/sbin/ironwake-init panic=30 quiet loglevel=3 systemd.show_status=no systemd.gpt_auto=no${consoles:+ $consoles}"

rm -rf "$images/ironwake-esp"
mkdir "$images/ironwake-esp"
cp "$kernel" "$images/ironwake-esp/ironwake_$version.vmlinuz"
sed "s|@VERSION@|$version|g; s|@COMMAND_LINE@|$command_line|" "$here/grub.cfg" >"$images/ironwake-esp/grub.cfg"
[ -z "${SOURCE_DATE_EPOCH:-}" ] || find "$images/ironwake-esp" "$images/efi-part" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# Lines of the BIOS boot partition are for x86_64 alone.
bios=/^#bios/d
[ "$arch" != x86_64 ] || bios='s/^#bios//'
sed -e "$bios" -e "s|@VERSION@|$version|g; s|@ARCH@|$arch|; s|@ROOT_TYPE@|$root_type|" -e "s|@DISK@|$(identifier disk)|" \
    -e "s|@BIOS@|$(identifier bios-boot)|; s|@ESP@|$(identifier esp)|; s|@ROOT@|$(identifier root)|" \
    -e "s|@OTHER@|$(identifier other)|; s|@VAR@|$(identifier var)|" "$here/genimage.cfg.in" >"$images/genimage.cfg"
if [ "$arch" = x86_64 ]; then
    cp "$images/grub.img" "$images/bios-boot.img"
    truncate -s %512 "$images/bios-boot.img"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/nothing"
genimage --rootpath "$work/nothing" --tmppath "$work/work" --inputpath "$images" --outputpath "$images" --config "$images/genimage.cfg"

disk=$images/ironwake-$version-$arch.img
if [ "$arch" = x86_64 ]; then
    set -- "${BUILD_DIR:?Buildroot sets it}"/grub2-*/build-i386-pc/grub-core/boot.img
    [ -f "$1" ] || fail "GRUB for BIOS left no $1"
    python3 -I "$tree/appliance/make/mbr.py" "$disk" "$1"
fi
(cd "$images" && sha256sum "${disk##*/}" >"${disk##*/}.sha256")
