"""Makes the manifest of the boot files in a folder true for it: boot_manifest.py FOLDER [PACKAGE VERSION DEB_SHA256].

Files that are not in the folder go. Those of the kernel are of the package that is named, or stay what they are.
"""

import hashlib
import json
import os
import sys

KERNEL = ("kernel/vmlinuz", "kernel/modules.sha256")


def main():
    folder, *kernel = sys.argv[1:]
    path = os.path.join(folder, "manifest.json")
    with open(path, encoding="utf-8") as file:
        manifest = json.load(file)
    files = [entry for entry in manifest["files"] if os.path.exists(os.path.join(folder, entry["name"]))]
    if kernel:
        files = [entry for entry in files if entry["name"] not in KERNEL]
        files += kernel_files(folder, *kernel)
    manifest["files"] = files
    with open(path, "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")


def kernel_files(folder, package, version, deb):
    """The entries of the kernel's files."""
    for name in KERNEL:
        with open(os.path.join(folder, name), "rb") as file:
            content = file.read()
        digest = hashlib.sha256(content).hexdigest()
        yield {"name": name, "package": package, "version": version, "deb_sha256": deb, "sha256": digest, "size": len(content)}


main()
