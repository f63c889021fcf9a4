#!/bin/bash
# Runs in the appliance: the first screen in a line, `COLUMNS BASE64`, of 32-bit characters as the kernel has them (vcs(4)).
set -u
stty -F /dev/ttyS1 raw
before=
while :; do
    now="$(stty -F /dev/tty1 size | cut -d ' ' -f 2) $(base64 --wrap=0 /dev/vcsu1)"
    if [ "$now" != "$before" ]; then
        # Firmware wrote to this port too.
        printf '\n%s\n' "$now"
        before=$now
    fi
    sleep 0.2
done
