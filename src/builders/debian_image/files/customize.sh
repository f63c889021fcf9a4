#!/bin/sh
# Makes the packages' tree into a system that boots from a disk; mmdebstrap calls it with the tree's path, in its
# user namespace, with /proc and /dev mounted in the tree. Needs IRONWAKE_ROOT_UUID and IRONWAKE_ESP_UUID.
set -eu
root=$1

printf 'UUID=%s / ext4 errors=remount-ro 0 1\nUUID=%s /boot/efi vfat noauto,umask=0077 0 0\n' \
    "$IRONWAKE_ROOT_UUID" "$IRONWAKE_ESP_UUID" >"$root/etc/fstab"
mkdir -p "$root/boot/efi" "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<'CFG'
# Ironwake's image. The kernel's package keeps the links /vmlinuz and /initrd.img at its newest version, and
# those that end in .old at the one before: this file need not change with them.
set timeout_style=hidden
set timeout=1
set default=0
set fallback=1
menuentry "Debian" {
    linux /vmlinuz root=UUID=@ROOT@ ro quiet console=ttyS0,115200n8 console=tty0
    initrd /initrd.img
}
menuentry "Debian, the kernel before" {
    linux /vmlinuz.old root=UUID=@ROOT@ ro console=ttyS0,115200n8 console=tty0
    initrd /initrd.img.old
}
menuentry "Debian, recovery" {
    linux /vmlinuz root=UUID=@ROOT@ ro single console=ttyS0,115200n8 console=tty0
    initrd /initrd.img
}
CFG
sed -i "s/@ROOT@/$IRONWAKE_ROOT_UUID/" "$root/boot/grub/grub.cfg"

# Keys of a host are its own: they are made before its SSH server starts for the first time. An RSA key takes
# a slow machine half a minute, and every client of the last ten years knows the others.
rm -f "$root"/etc/ssh/ssh_host_*
mkdir -p "$root/etc/ssh/sshd_config.d" "$root/etc/systemd/system/ssh.service.d"
printf 'HostKey /etc/ssh/ssh_host_ed25519_key\nHostKey /etc/ssh/ssh_host_ecdsa_key\n' \
    >"$root/etc/ssh/sshd_config.d/10-host-keys.conf"
cat >"$root/usr/local/sbin/make-host-keys" <<'KEYS'
#!/bin/sh
set -eu
for type in ed25519 ecdsa; do
    key=/etc/ssh/ssh_host_${type}_key
    [ -s "$key" ] || ssh-keygen -q -t "$type" -N '' -f "$key" </dev/null
done
KEYS
chmod 755 "$root/usr/local/sbin/make-host-keys"
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/local/sbin/make-host-keys\nExecStartPre=/usr/sbin/sshd -t\n' \
    >"$root/etc/systemd/system/ssh.service.d/host-keys.conf"

printf 'LANG=C.UTF-8\n' >"$root/etc/default/locale"
printf 'localhost\n' >"$root/etc/hostname"
chroot "$root" systemctl -q enable systemd-networkd.service systemd-resolved.service
# There is no LVM, which these take snapshots with.
chroot "$root" systemctl -q mask e2scrub_all.timer e2scrub_reap.service

chroot "$root" update-initramfs -c -k all
# The kernel's package made the links to itself; those to the initramfs it leaves to whoever makes one.
for link in "" .old; do
    kernel=$(readlink "$root/vmlinuz$link")
    ln -sf "boot/initrd.img-${kernel#boot/vmlinuz-}" "$root/initrd.img$link"
done

# What boots the image comes from its own release, and is taken out again: the running system has no use for it. It
# is fetched from out here, since resolvers in the tree are for the system that will run.
mkdir "$root/boot-files"
(
    cd "$root/boot-files"
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download \
        grub-common grub-efi-amd64-signed grub-pc-bin libdevmapper1.02.1 shim-signed
)
# shellcheck disable=SC2016 # it is for the shell in there
chroot "$root" sh -eu -c '
    cd /boot-files
    for deb in *.deb; do dpkg-deb -x "$deb" x; done
    printf "search --no-floppy --fs-uuid --set=root %s\nset prefix=(\$root)/boot/grub\nconfigfile (\$root)/boot/grub/grub.cfg\n" \
        "$IRONWAKE_ROOT_UUID" >grub.cfg
    LD_LIBRARY_PATH=x/usr/lib/x86_64-linux-gnu x/usr/bin/grub-mkimage \
        -d x/usr/lib/grub/i386-pc -O i386-pc -p /boot/grub -c grub.cfg -o core.img \
        biosdisk part_gpt ext2 search search_fs_uuid configfile normal linux test echo keystatus
    cp x/usr/lib/grub/i386-pc/boot.img x/usr/lib/shim/shimx64.efi.signed \
        x/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed .
    rm -rf x *.deb'
# What apt went by: whoever ordered the build compares.
sha256sum "$root"/var/lib/apt/lists/*_InRelease | cut -c 1-64 | LC_ALL=C sort >"$root/boot-files/releases"
