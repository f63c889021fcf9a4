#!/bin/bash
# Runs in the appliance that tests/appliance.rs boots, and tells what it finds: `NAME: VALUE` in lines, and `end`.
set -u
export NO_COLOR=1 LC_ALL=C.UTF-8

# Anything that is waited for: emulated machines are slow, and hosts loaded.
wait_max=200
state=/var/lib/appliance/etc/upper
stty -F /dev/ttyS1 raw

say() { printf '%s: %s\n' "$1" "$2"; }

# What a command says, in one line.
line() { "$@" 2>&1 | paste -sd ';'; }

property() { systemctl show --property "$1" --value ${2:+"$2"}; }

# The text of the first screen, line by line; what is no ASCII is a blank.
screen() {
    fold -w "$(stty -F /dev/tty1 size | cut -d ' ' -f 2)" /dev/vcs1 | tr -c '[:print:]\n' ' ' | sed 's/ *$//'
}

wait_for() { # WHAT COMMAND...
    local what=$1 end=$((SECONDS + wait_max))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { say failed "waited $wait_max s for $what"; return; }
        sleep 0.2
    done
}

shows() { screen | grep -q Ironwake; }
discovers() { ironwake artifact list --json | tr -d ' \n' | grep -q '"name":"discovery/initramfs"[^}]*"state":"done"'; }
listens() { grep -q ':0016 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; }

# Firmware wrote to this port too.
echo
say began "$(cut -d ' ' -f 1 /proc/uptime) s"
say clock "$(date +%s)"
say built "$(stat -c %Y /usr/lib/clock-epoch)"
wait_for "the daemon" systemctl --quiet is-active ironwake.service
wait_for "the console" shows
wait_for "port 22" listens
/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=$wait_max

for unit in ironwake ironwake-builder ironwake-console@tty1 ironwake-ssh systemd-networkd systemd-resolved systemd-timesyncd; do
    say "$unit" "$(systemctl is-active "$unit.service")"
done
say failed-units "$(systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1 | paste -sd ' ')"
say restarts "$(property NRestarts ironwake.service)"

links=/dev/disk/ironwake
say medium "$(cat /run/ironwake-medium)"
say links "$(find $links -type l -printf '%f\n' | LC_ALL=C sort | paste -sd ' ')"
if [ -e $links/disk ]; then
    disk=$(readlink -f $links/disk)
    say disk "$(lsblk -bdnro NAME,TRAN "$disk")"
    say partitions "$(lsblk -nro PARTLABEL "$disk" | sed '/^$/d' | paste -sd ' ')"
    # In the order of PARTITIONS: bios-boot has no link.
    for link in esp root root-other var; do
        say "link-$link" "$(lsblk -dnro PARTLABEL "$(readlink -f $links/$link)")"
    done
fi
say version "$(sed -n 's/^IMAGE_VERSION=//p' /etc/os-release)"
say verity "$(cut -d - -f 1-2 /sys/class/block/"$(basename "$(readlink -f "$(findmnt -no SOURCE /)")")"/dm/uuid)"
say var "$(findmnt -no FSTYPE /var)"
say root-password "$(grep -hs '^root:' /etc/passwd /etc/shadow | cut -d : -f 1-2 | paste -sd ' ')"
say logins "$(systemctl list-units --state=active,activating --plain --no-legend '*getty*.service' 'debug-shell.service' | cut -d ' ' -f 1 | paste -sd ' ')"
say lockdown "$(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/security/lockdown)"
secure=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
say secure-boot "$([ ! -e $secure ] || od -An -t u1 -j 4 $secure | tr -d ' ')"

# A good boot is counted as one where it is counted at all.
blessed() { systemctl --quiet is-active systemd-bless-boot.service; }
[ ! -e /sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f ] || wait_for "the boot to be blessed" blessed
say kernels "$(cd /efi/EFI/Linux && echo *)"
say grubenv "$(sed '/^#/d' /efi/ironwake/grubenv | paste -sd ' ')"
say efi-mode "$(stat -c '%a %U' /efi)"
say root "$(findmnt -no FSTYPE,OPTIONS /)"
say root-written "$(touch /usr/probe 2>/dev/null && echo yes || echo no)"
say etc "$(findmnt -no FSTYPE /etc)"
say var-mib "$(($(stat -f -c '%b * %S' /var) / 1048576))"

say machine-id "$(cat /etc/machine-id)"
say machine-id-kept "$(cat $state/machine-id)"
# Debian's console-setup keeps there what it made of the keyboard's settings.
say changed-in-etc "$(find $state -type f ! -path '*/console-setup/*' -printf '%P\n' | LC_ALL=C sort | paste -sd ' ')"
say host-key "$(find /var/lib/ironwake-ssh -type f -exec sha256sum {} + | cut -c 1-64 | paste -sd ' ')"
say journal "$(ls /var/log/journal)"
say journal-boots "$(journalctl --quiet --list-boots | wc -l)"
say journal-max "$(journalctl --quiet --boot --identifier systemd-journald --output cat | grep -o 'max [0-9.]*[MG]' | paste -sd ' ')"

say address "$(ip -brief -4 address show scope global | tr -s ' ')"
say setup "$(line ironwake setup show)"
say health "$(line ironwake health)"
say machines-before "$(line ironwake machine list --json)"
ironwake machine add --mac 52:54:00:77:00:01 --name probe >/dev/null 2>&1
say machines "$(line ironwake machine list --json)"

wait_for "the discovery image" discovers
say discovery "$(journalctl --quiet --boot --unit ironwake.service --output json | grep -o '"REASON":"[^"]*"' | tail -n 1)"
say daemon-ready-ms "$(($(property ActiveEnterTimestampMonotonic ironwake.service) / 1000))"
say initrd-left-ms "$(($(property UserspaceTimestampMonotonic) / 1000))"
screen | sed 's/^/screen: /'
# Its last line has no end.
echo
# What a test wants done in there.
[ ! -e "$CREDENTIALS_DIRECTORY/probe.do" ] || line bash "$CREDENTIALS_DIRECTORY/probe.do" | sed 's/^/did: /'
echo
sync
echo end
