"""Removes firmware that no kernel module asks for: firmware.py MODULES FIRMWARE."""

import fnmatch
import os
import subprocess
import sys

modules, firmware = sys.argv[1:]

files = [os.path.join(at, name) for at, _, names in os.walk(modules) for name in names if ".ko" in name]
asked = set(subprocess.run(["modinfo", "-F", "firmware", *files], check=True, capture_output=True, text=True).stdout.split())

# A package may hold a file packed, which the kernel finds under its plain name.
present = {}
for at, _, names in os.walk(firmware):
    for name in names:
        path = os.path.join(at, name)
        plain = os.path.relpath(path, firmware).removesuffix(".xz").removesuffix(".zst")
        present[plain] = path

patterns = [name for name in asked if any(sign in name for sign in "*?[")]
kept = set()
for plain, path in present.items():
    if plain in asked or any(fnmatch.fnmatchcase(plain, pattern) for pattern in patterns):
        # What a link leads to stays, with every link in between.
        while path not in kept:
            kept.add(path)
            if os.path.islink(path):
                path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))

for path in present.values():
    if path not in kept:
        os.remove(path)
for at, _, _ in os.walk(firmware, topdown=False):
    if not os.listdir(at):
        os.rmdir(at)
