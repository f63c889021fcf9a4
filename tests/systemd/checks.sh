#!/bin/bash
# Runs in a guest of tests/systemd.rs, under its systemd, and judges the installed service. Each check is a
# function; `ok NAME` or `failed NAME: WHY` tells how it went. The first that fails is the last; `end` ends all.
# shellcheck disable=SC2086 # $sockets is a list of words
set -u
export NO_COLOR=1

# Anything that is waited for: emulated machines are slow, and hosts loaded.
wait_max=60
big_bytes=$((48 << 20))
site=10.99.0.1
socket=/run/ironwake/api.sock
sockets="ironwake.socket ironwake-api-console.socket ironwake-api-ssh.socket"
boot=/usr/lib/ironwake/boot

fail() { echo "$*" >&2; exit 1; }

property() { systemctl show --property "$1" --value "${2:-ironwake.service}"; }

same() { # WHAT FOUND EXPECTED
    [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}

holds() { # WHAT TEXT PART...
    local what=$1 text=$2 part
    shift 2
    for part; do
        [[ $text == *"$part"* ]] || fail "$what lacks $part: $text"
    done
}

# Looks again until a condition is met.
wait_for() { # WHAT COMMAND...
    local what=$1 end=$((SECONDS + wait_max))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "waited $wait_max s for $what"
        sleep 0.1
    done
}

# What the service said since it was last started.
said() {
    journalctl --sync
    journalctl --quiet --output "$1" "_SYSTEMD_INVOCATION_ID=$(property InvocationID)"
}

answers() { ironwake machine list --json >/dev/null || fail "the API does not answer"; }

# Settings of the service for one check, in the form of a drop-in.
dropin() { # NAME TEXT
    mkdir -p /run/systemd/system/ironwake.service.d
    printf '%s\n' "$2" >"/run/systemd/system/ironwake.service.d/$1.conf"
    systemctl daemon-reload
}

no_dropin() {
    rm "/run/systemd/system/ironwake.service.d/$1.conf"
    systemctl daemon-reload
}

starts_when_it_says_so() {
    systemctl enable --now ironwake.service || fail "it does not start: $(systemctl status ironwake.service)"
    same Type "$(property Type)" notify
    same ActiveState "$(property ActiveState)" active
    same StatusText "$(property StatusText)" serving
    local unit
    for unit in $sockets; do
        same "$unit" "$(systemctl is-active $unit) $(systemctl is-enabled $unit)" "active enabled"
    done
}

is_confined() {
    local user status name
    user=$(id -u ironwake)
    status=$(</proc/"$(property MainPID)"/status)
    holds "its status" "$status" "Uid:	$user	$user	$user	$user" "NoNewPrivs:	1"
    # Bits 10 and 13: CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    for name in CapEff CapPrm CapBnd; do
        holds "its status" "$status" "$name:	0000000000002400"
    done
    systemd-analyze security --no-pager --threshold=20 ironwake.service >/run/security ||
        fail "$(tail -n 1 /run/security)"
}

# The builder's namespace with a range of ids, under what its unit leaves to setuid programs.
lets_the_builder_have_a_namespace() {
    local unit=ironwake-builder.service user map
    user=$(property User "$unit")
    echo "$user:655360:65536" | tee /etc/subuid >/etc/subgid
    printf '[Service]\nType=oneshot\nUser=%s\nCapabilityBoundingSet=%s\nStandardOutput=file:/run/map\nExecStart=%s\n' \
        "$user" "$(property CapabilityBoundingSet "$unit")" \
        "unshare --user --map-root-user --map-auto cat /proc/self/uid_map" >/run/systemd/system/namespace.service
    systemctl daemon-reload
    systemctl start namespace.service || fail "it has none: $(journalctl --quiet --output cat --unit namespace.service)"
    map=$(</run/map)
    holds "its map" "$map" 655360
    systemctl start "$unit" || fail "it does not start"
    same ActiveState "$(property ActiveState "$unit")" active
    systemctl stop "$unit"
    same Result "$(property Result "$unit")" success
}

is_configured_by_credential() {
    holds "its health" "$(ironwake health --json)" '"interface": "veth0"'
    grep -q '^interface = "eth0"' /etc/ironwake/ironwake.toml || fail "the file says the same as the credential"
}

writes_fields_to_the_journal() {
    local entries
    ironwake probe dhcp --interface veth1 --arch uefi-ia32 --mac 02:00:00:00:00:99 --timeout-ms 2000 >/dev/null
    entries=$(said json)
    holds "the journal" "$(grep '"DHCP is served"' <<<"$entries")" '"_TRANSPORT":"journal"' \
        '"INTERFACE":"veth0"' '"MODE":"proxy"' '"SYSLOG_IDENTIFIER":"ironwake"' '"PRIORITY":"5"'
    holds "the journal" "$(grep '"MAC":"02:00:00:00:00:99"' <<<"$entries")" \
        '"INTERFACE":"veth0"' '"KIND":"DISCOVER"' '"TARGET":"ironwake::serve::dhcp::session"'
}

sticks=/run/ironwake-sticks

# The disk on USB that says so of itself: 1 is removable.
usb_disk() { # REMOVABLE
    local disk
    for disk in /sys/block/sd*; do
        [ "$(cat "$disk/removable" 2>/dev/null)" != "$1" ] || basename "$disk"
    done
}

is_there() { [ -n "$(usb_disk "$1")" ] && [ -b "/dev/$(usb_disk "$1")1" ]; }

is_mounted() { mountpoint -q "$1"; }

is_not_mounted() { ! mountpoint -q "$1" && [ ! -e "$1" ]; }

finds_keys_on_a_stick() {
    local stick disk rules=/usr/lib/udev/rules.d/70-ironwake-stick.rules
    udevadm verify --no-summary "$rules" || fail "udev does not understand $rules"
    same "whose the folder is" "$(stat -c '%U %G %a' $sticks)" "root ironwake 750"
    same "what is found" "$(ironwake key found --json)" "[]"
    # With its driver the stick is plugged in. The daemon runs already: the mount has to reach its namespace.
    mkdir -p /usr/lib/modules
    cp -R /usr/lib/checks/modules "/usr/lib/modules/$(uname -r)"
    # It misses lists that nobody needs here.
    depmod 2>/dev/null || fail "depmod fails"
    modprobe -a xhci-pci usb-storage sd_mod vfat nls_ascii nls_cp437 || fail "the modules cannot be loaded"
    wait_for "the stick" is_there 1
    wait_for "the disk" is_there 0
    stick=$(usb_disk 1)1
    disk=$(usb_disk 0)1
    wait_for "the mount of $stick" is_mounted "$sticks/$stick"
    holds "its mount" "$(grep " $sticks/$stick " /proc/self/mounts)" "/dev/$stick " " vfat " ro, nosuid nodev noexec nosymfollow
    holds "what is found" "$(ironwake key found --json)" '"label": "STICK"' '"path": "ironwake/anna.pub"' \
        '"comment": "anna@laptop"' '"listed": false'
    systemctl restart ironwake.service || fail "it does not start again"
    holds "what is found" "$(ironwake key found --json)" '"label": "STICK"' '"comment": "anna@laptop"'
    ironwake key add - <"$sticks/$stick/ironwake/anna.pub" || fail "the key is not added"
    holds "what is found" "$(ironwake key found --json)" '"listed": true'
    # What is not removable is left alone: by this time udev is done with it.
    udevadm settle
    is_not_mounted "$sticks/$disk" || fail "$disk is mounted"
    same "its unit" "$(systemctl is-active "ironwake-stick@$disk.service")" inactive
    # Pulled out.
    echo 1 >"$(readlink -f "/sys/block/${stick%1}/device")/../../../../remove" || fail "it cannot be pulled out"
    wait_for "the end of the mount" is_not_mounted "$sticks/$stick"
    same "what is found" "$(ironwake key found --json)" "[]"
    same "its unit" "$(systemctl is-active "ironwake-stick@$stick.service")" inactive
}

keeps_its_socket_over_a_restart() {
    local inode main
    inode=$(stat -c %i "$socket")
    main=$(property MainPID)
    systemctl restart ironwake.service || fail "it does not start again"
    [ "$main" != "$(property MainPID)" ] || fail "it did not start again"
    same "the socket's inode" "$(stat -c %i "$socket")" "$inode"
    same "the socket's owner" "$(stat -c '%U %G %a' "$socket")" "ironwake ironwake 660"
    holds "the journal" "$(said json)" "\"SOCKET\":\"$socket\""
    answers
}

# Whether a client is connected or waits: the listening socket has the path too.
has_a_client() { [ "$(grep -c " $socket\$" /proc/net/unix)" -gt 1 ]; }

# A client comes while the daemon takes no connections, and COMMAND ends that daemon.
queue_and() { # COMMAND...
    local client
    kill -STOP "$(property MainPID)"
    answers &
    client=$!
    wait_for "the client in the queue" has_a_client
    "$@" || fail "cannot: $*"
    wait "$client" || fail "the client is lost"
}

# CP10, as far as it is about units: who is killed is started again, and takes those who wait.
serves_who_waits_in_the_queue() {
    queue_and systemctl restart ironwake.service
    # This daemon dies without having taken the connection: it is the next one's.
    queue_and systemctl kill --signal=KILL ironwake.service
    same NRestarts "$(property NRestarts)" 1
}

stops_in_time_with_transfers_drained() {
    local transfer before taken
    curl -sS --limit-rate 12M -o /run/taken "http://$site:8080/boot/files/ipxe.efi" &
    transfer=$!
    wait_for "the transfer" test -s /run/taken
    before=${EPOCHREALTIME/./}
    systemctl stop ironwake.service
    taken=$(((${EPOCHREALTIME/./} - before) / 1000))
    echo "    it took $taken ms"
    [ "$taken" -lt 10000 ] || fail "it took $taken ms"
    same Result "$(property Result)" success
    same ExecMainStatus "$(property ExecMainStatus)" 0
    wait "$transfer" || fail "the transfer broke off"
    same "the transfer" "$(stat -c %s /run/taken)" "$big_bytes"
    rm /run/taken
}

is_started_by_a_client() {
    same ActiveState "$(property ActiveState)" inactive
    answers
    same ActiveState "$(property ActiveState)" active
}

is_restarted_by_the_watchdog() {
    local main
    # The shortest that a loaded host is fast enough for.
    dropin watchdog $'[Service]\nWatchdogSec=10'
    systemctl restart ironwake.service
    main=$(property MainPID)
    kill -STOP "$main"
    wait_for "another process" another_serves "$main"
    same NRestarts "$(property NRestarts)" 1
    journalctl --sync
    holds "the journal" "$(journalctl --quiet --output cat --unit ironwake.service)" "Watchdog timeout"
    answers
    no_dropin watchdog
}

another_serves() { # PID
    local main
    # Asked first: between two processes there is none, and its state may be that of either.
    main=$(property MainPID)
    [ "$main" != 0 ] && [ "$main" != "$1" ] && [ "$(property ActiveState)" = active ]
}

takes_a_socket_for_machines() {
    local units=/run/systemd/system
    # As ironwake.socket tells operators, with an address of this guest.
    sed -n 's/^#   \(.*\)/\1/p' /usr/lib/systemd/system/ironwake.socket >/run/example
    sed -n '/ironwake-http.socket$/,/^# .*service.d/p' /run/example |
        sed "s/10.0.0.1:80/$site:80/" >$units/ironwake-http.socket
    dropin http "$(sed -n '/service.d/,$p' /run/example)"
    grep -q "$site:80" $units/ironwake-http.socket || fail "the example has another form: $(cat /run/example)"
    systemctl restart ironwake.service
    holds "the journal" "$(said json)" "\"ADDRESS\":\"$site:80\""
    curl -fsS -o /dev/null --range 0-9 "http://$site:80/boot/files/ipxe.efi" ||
        fail "nobody answers on the passed socket"
    ! curl -fsS "http://$site:8080/" 2>/dev/null || fail "it listens by itself too"
    no_dropin http
    systemctl stop ironwake-http.socket
    rm $units/ironwake-http.socket
    systemctl daemon-reload
}

works_without_its_socket_unit() {
    systemctl stop ironwake.service $sockets
    [ ! -e "$socket" ] || fail "the path is left although nobody listens"
    systemctl mask --quiet --runtime $sockets
    systemctl start ironwake.service || fail "it does not start"
    same "the socket's owner" "$(stat -c '%U %G %a' "$socket")" "ironwake ironwake 660"
    same "the console's" "$(stat -c '%U %G %a' /run/ironwake/console.sock)" "ironwake ironwake-console 660"
    same "that of SSH" "$(stat -c '%U %G %a' /run/ironwake/ssh.sock)" "ironwake ironwake-ssh 660"
    answers
    systemctl stop ironwake.service
    systemctl unmask --quiet --runtime $sockets
    # What the daemon left is no obstacle.
    systemctl start ironwake.service
    holds "the journal" "$(said json)" "\"SOCKET\":\"$socket\""
    answers
}

does_not_repeat_a_wrong_configuration() {
    systemctl stop ironwake.service $sockets
    printf '\n[[network]]\ninterfaze = "veth0"\n' >/etc/credstore/ironwake.toml
    ! systemctl start ironwake.service 2>/dev/null || fail "it starts"
    same "its state" "$(property ActiveState) $(property SubState)" "failed failed"
    same ExecMainStatus "$(property ExecMainStatus)" 6
    same NRestarts "$(property NRestarts)" 0
    holds "the journal" "$(said cat)" "/run/credentials/ironwake.service/ironwake.toml:3:1: "
}

prepare() {
    local sum
    insmod /usr/lib/checks/veth.ko.xz
    ip link add veth0 type veth peer name veth1
    ip address add "$site/24" dev veth0
    ip link set veth0 up
    ip link set veth1 up
    # A file that takes seconds to fetch.
    mkdir -p "$boot/loaders"
    head -c "$big_bytes" /dev/zero >"$boot/loaders/ipxe.efi"
    sum=$(sha256sum <"$boot/loaders/ipxe.efi" | cut -c 1-64)
    printf '{"layout": 1, "files": [{"name": "loaders/ipxe.efi", "package": "none", "version": "0",
        "sha256": "%s", "size": %s}]}\n' "$sum" "$big_bytes" >"$boot/manifest.json"
}

check() { # NAME
    local why
    # Checks start it more often than a unit may start by itself.
    systemctl reset-failed ironwake.service $sockets 2>/dev/null
    if why=$("$1" 2>&1); then
        echo "ok $1"
        [ -z "$why" ] || echo "$why"
    else
        echo "failed $1: $(tail -n 20 <<<"$why")"
        journalctl --sync
        journalctl --quiet --output short-monotonic --no-hostname --lines 20
        echo end
        # The next one would find the service as this one left it.
        exit 1
    fi
}

prepare
check starts_when_it_says_so
check is_confined
check lets_the_builder_have_a_namespace
check is_configured_by_credential
check writes_fields_to_the_journal
check finds_keys_on_a_stick
check keeps_its_socket_over_a_restart
check serves_who_waits_in_the_queue
check stops_in_time_with_transfers_drained
check is_started_by_a_client
check is_restarted_by_the_watchdog
check takes_a_socket_for_machines
check works_without_its_socket_unit
check does_not_repeat_a_wrong_configuration
echo end
