#!/bin/bash
# Runs in the appliance that tests/appliance_install.rs boots: installs it on the disk TARGET if that is not the one that was
# booted, and tells what it finds: `NAME: VALUE` in lines, and `end`.
set -u
export NO_COLOR=1 LC_ALL=C.UTF-8

wait_max=200
stty -F /dev/ttyS1 raw

say() { printf '%s: %s\n' "$1" "$2"; }

# What a command says, in one line.
line() { "$@" 2>&1 | paste -sd ' '; }

wait_for() { # WHAT COMMAND...
    local what=$1 end=$((SECONDS + wait_max))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { say failed "waited $wait_max s for $what"; return; }
        sleep 0.2
    done
}

has_host_key() { [ -n "$(find /var/lib/ironwake-ssh -type f)" ]; }

echo
say began "$(cut -d ' ' -f 1 /proc/uptime) s"
wait_for "the daemon" systemctl --quiet is-active ironwake.service
wait_for "the host key" has_host_key

disks=$(ironwake appliance disks --json | tr -d ' \n')
removable=$(printf '%s' "$disks" | grep -o '"booted_from":{[^}]*}' | grep -o '"removable":[a-z]*' | cut -d : -f 2)
say booted-removable "$removable"
say disks "$(line ironwake appliance disks)"
if [ "$removable" = true ]; then
    ironwake machine add --mac 52:54:00:77:00:01 --name probe >/dev/null 2>&1
    target=$(lsblk -dnro NAME,SERIAL | sed -n 's/ TARGET$//p')
    say refused "$(line ironwake appliance install --disk /dev/sda --yes-wipe sda)"
    say wrong-name "$(line ironwake appliance install --disk serial=TARGET --yes-wipe sda)"
    began=$SECONDS
    state=$(ironwake appliance install --disk serial=TARGET --yes-wipe "$target" --json 2>&1 | tr -d '\n')
    say installed "$(printf '%s' "$state" | grep -o '"phase": *"[a-z_]*"' | cut -d '"' -f 4)"
    say install-state "$state"
    say install-secs "$((SECONDS - began))"
    say install-log "$(journalctl --quiet --boot --unit ironwake-install.service --output cat | paste -sd ';')"
fi

disk=$(findmnt -no SOURCE /var | sed 's/p\?[0-9]*$//')
say disk "$(lsblk -bdnro NAME,SIZE "$disk")"
say partitions "$(lsblk -nro PARTLABEL "$disk" | sed '/^$/d' | paste -sd ' ')"
say identifiers "$(lsblk -nro PARTUUID "$disk" | sed '/^$/d' | paste -sd ' ')"
say failed-units "$(systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1 | paste -sd ' ')"
say hostname "$(hostname)"
say machine-id "$(cat /etc/machine-id)"
say host-key "$(find /var/lib/ironwake-ssh -type f -exec sha256sum {} + | cut -c 1-64 | paste -sd ' ')"
say authority "$(sha256sum </var/lib/ironwake/authority.pem | cut -c 1-64)"
say machines "$(ironwake machine list --json | grep -o '"\(id\|mac\|name\)": *"[^"]*"\|52:54:00:77:00:01' | paste -sd ' ')"
say journal-boots "$(journalctl --quiet --list-boots | wc -l)"
say boot-order "$(find /sys/firmware/efi/efivars -name 'Boot*' 2>/dev/null | wc -l)"
echo
sync
echo end
systemctl poweroff
