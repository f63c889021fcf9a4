"""Writes an SPDX 2.3 document of what is in the image: sbom.py VERSION PACKAGES BOOT_MANIFEST CARGO_LOCK.

Debian's packages are those that dpkg had installed and those that boot files were taken from; crates are all that Cargo.lock
names, of which a build may use fewer. Its time is SOURCE_DATE_EPOCH.
"""

import datetime
import hashlib
import json
import os
import re
import sys
import tomllib
from urllib.parse import quote

UNKNOWN = "NOASSERTION"


def package(identifier, name, version, purl, supplier=UNKNOWN, sha256=None):
    """One package as SPDX has it."""
    entry = {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", identifier),
        "name": name,
        "versionInfo": version,
        "supplier": supplier,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }
    if sha256:
        entry["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    return entry


def debian(name, version, arch, sha256=None):
    """A binary package of Debian."""
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={arch}&distro=trixie"
    return package(f"deb-{name}", name, version, purl, "Organization: Debian", sha256)


def debian_packages(listed, manifest):
    """Those of dpkg's list, and those of boot files that it does not have."""
    with open(listed, encoding="utf-8") as file:
        found = {name: debian(name, version, arch) for name, version, arch, *_ in map(str.split, file)}
    with open(manifest, encoding="utf-8") as file:
        for entry in json.load(file)["files"]:
            name = entry["package"]
            # The kernel and the firmware of the lab's machines are not taken from there.
            if name != "ovmf" and not name.startswith("linux-image-"):
                found.setdefault(name, debian(name, entry["version"], "amd64", entry["deb_sha256"]))
    return [found[name] for name in sorted(found)]


def crates(lock):
    """What Cargo.lock names, without the workspace's own."""
    with open(lock, "rb") as file:
        entries = [entry for entry in tomllib.load(file)["package"] if "source" in entry]
    for entry in entries:
        name, version = entry["name"], entry["version"]
        yield package(f"crate-{name}-{version}", name, version, f"pkg:cargo/{name}@{version}", sha256=entry.get("checksum"))


def main():
    version, listed, manifest, lock = sys.argv[1:]
    image = package("image", "ironwake-image", version, f"pkg:generic/ironwake-image@{version}")
    parts = [*debian_packages(listed, manifest), *crates(lock)]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    created = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"ironwake-{version}-amd64",
        "documentNamespace": f"urn:ironwake:spdx:{version}:{digest}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: ironwake-appliance-build"]},
        "packages": [image, *parts],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": image["SPDXID"]},
            *(
                {"spdxElementId": image["SPDXID"], "relationshipType": "CONTAINS", "relatedSpdxElement": part["SPDXID"]}
                for part in parts
            ),
        ],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


main()
