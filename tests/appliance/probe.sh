#!/bin/bash
# Runs in the appliance that tests/appliance.rs boots, and tells what it finds: `NAME VALUE` in lines, `end` at the end.
set -u
export NO_COLOR=1 LC_ALL=C.UTF-8

# Anything that is waited for: emulated machines are slow, and hosts loaded.
wait_max=120
stty -F /dev/ttyS1 raw

say() { printf '%s\n' "$*"; }

property() { systemctl show --property "$1" --value "$2"; }

# The text of the first screen, line by line.
screen() { fold -w "$(stty -F /dev/tty1 size | cut -d ' ' -f 2)" /dev/vcs1 | tr -c '[:print:]\n' ' ' | sed 's/ *$//'; }

shows() { screen | grep -q Ironwake; }

wait_for() { # WHAT COMMAND...
    local what=$1 end=$((SECONDS + wait_max))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { say "failed waited $wait_max s for $what"; return; }
        sleep 0.2
    done
}

# What is done once, and has to be there at the next boot.
mark=/var/lib/appliance/probe
wait_for "the daemon" systemctl --quiet is-active ironwake.service
say "boot $([ -e "$mark" ] && echo again || echo first)"
for unit in ironwake ironwake-builder ironwake-console@tty1 ironwake-ssh systemd-networkd systemd-resolved systemd-timesyncd dbus; do
    say "unit $unit $(systemctl is-active "$unit.service")"
done
say "daemon-restarts $(property NRestarts ironwake.service)"
say "failed-units $(systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1 | paste -sd ' ')"
say "kernel-to-daemon-ms $(($(property ActiveEnterTimestampMonotonic ironwake.service) / 1000))"
say "userspace-ms $(($(systemctl show --property UserspaceTimestampMonotonic --value) / 1000))"
say "memory-used-mib $(awk '/^MemTotal/{t=$2}/^MemAvailable/{a=$2}END{print int((t-a)/1024)}' /proc/meminfo)"
say "root $(findmnt -no FSTYPE,OPTIONS / | tr -s ' ' | cut -d , -f 1)"
say "root-written $(touch /usr/probe 2>/dev/null && echo yes || echo no)"
say "etc $(findmnt -no FSTYPE /etc)"
say "var $(findmnt -no FSTYPE /var)"
say "var-mib $(($(stat -f -c '%b * %S' /var) / 1048576))"
say "disk $(lsblk -bnro NAME,SIZE,TRAN "$(findmnt -no SOURCE / | sed 's/p\?[0-9]*$//')" | head -n 1)"
say "partitions $(lsblk -nro PARTLABEL "$(findmnt -no SOURCE / | sed 's/p\?[0-9]*$//')" | paste -sd ' ')"
say "machine-id $(cat /etc/machine-id)"
say "machine-id-written $(cat /var/lib/appliance/etc/upper/machine-id)"
say "host-key $(find /var/lib/ironwake-ssh -type f -exec sha256sum {} + | cut -c 1-64 | paste -sd ' ')"
say "journal $(ls /var/log/journal) $(journalctl --list-boots -q | wc -l)"
say "journal-max $(journalctl -q -b -u systemd-journald -g 'System Journal' -o cat | grep -o 'max [^,]*' | tail -n 1)"
say "addresses $(networkctl list --no-legend --no-pager | awk '$3 == "ether" {print $2, $4, $5}' | paste -sd ';')"
say "api $(ironwake machine list --json | tr -d '\n' | cut -c 1-200)"
say "health $(ironwake health | paste -sd ';')"
say "setup $(ironwake setup show 2>&1 | paste -sd ';')"
wait_for "port 2222" grep -q ':08AE 0\{8,\}:0000 0A' /proc/net/tcp /proc/net/tcp6
wait_for "the console" shows
screen | sed 's/^/screen /'
systemd-analyze blame --no-pager | head -n 12 | sed 's/^ */blame /'
systemd-analyze time | sed 's/^/time /'
grep -H VmRSS /proc/[0-9]*/status | sort -k 2 -rn | head -n 12 | while IFS=':	 ' read -r file _ kib _; do
    say "process $kib $(cat "${file%status}comm")"
done
[ -e "$mark" ] || touch "$mark"
sync
say end
