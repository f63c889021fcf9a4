//! Signatures that GnuPG made: of an image, and of a list of checksums.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::server::Peer;
use super::*;

/// A keyring of its own, as GnuPG has it.
struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a folder") }
    }

    fn run(&self, words: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]);
        let output = command.args(words).env("GNUPGHOME", self.home.path()).output().expect("gpg");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn key(&self, name: &str, algorithm: &str, expires: &str) {
        self.run(&["--quick-generate-key", name, algorithm, "sign", expires]);
    }

    fn export(&self, name: &str, to: &Path) {
        fs::write(to, self.run(&["--armor", "--export", name])).expect("a file");
    }

    fn sign(&self, name: &str, file: &Path, options: &[&str]) {
        let file = file.to_str().expect("UTF-8");
        self.run(&[options, &["--local-user", name, "--detach-sign", file]].concat());
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).status();
    }
}

#[test]
fn parity_fl2_mechanism_a_tampered_file_is_not_imported() {
    let gpg = Gpg::new();
    for (name, algorithm) in [("alice@example.org", "ed25519"), ("bob@example.org", "rsa3072")] {
        gpg.key(name, algorithm, "1y");
    }
    let served = tempfile::tempdir().expect("a folder");
    let path = |name: &str| served.path().join(name);
    let image = noise(1 << 20);
    fs::write(path("disk.img"), &image).expect("a file");
    fs::write(path("SHA256SUMS"), format!("{}  disk.img\n", Digest::of(&image))).expect("a file");
    gpg.sign("alice@example.org", &path("disk.img"), &["--armor"]);
    gpg.sign("bob@example.org", &path("SHA256SUMS"), &[]);
    fs::copy(path("disk.img"), path("other.img")).expect("a copy");
    gpg.sign("bob@example.org", &path("other.img"), &["--digest-algo", "SHA512"]);
    let weak = path("weak.img");
    fs::copy(path("disk.img"), &weak).expect("a copy");
    gpg.sign("bob@example.org", &weak, &["--digest-algo", "SHA1"]);
    let keyring = path("keys.asc");
    gpg.export("alice@example.org", &keyring);
    let alice = fs::read_to_string(&keyring).expect("keys");
    let bob = path("bob.asc");
    gpg.export("bob@example.org", &bob);

    let folder = tempfile::tempdir().expect("a folder");
    let server = Peer::python(served.path());
    let daemon = Daemon::start(folder.path(), "");
    let digest = Digest::of(&image).to_string();
    let check = |url: &str, digest: [&str; 2], signature: &str, keys: &Path, code, out: &str, err: &str| {
        let (url, signature) = (server.url(url), server.url(signature));
        let keys = keys.to_str().expect("UTF-8");
        let words = [
            "artifact",
            "import",
            "signed",
            &url,
            digest[0],
            digest[1],
            "--wait",
            "--signature",
            &signature,
            "--keyring",
            keys,
        ];
        daemon.check(&words, code, out, err);
    };
    let sums = server.url("SHA256SUMS");
    let (known, listed) = (["--sha256", &*digest], ["--checksums", &*sums]);
    check("disk.img", known, "disk.img.asc", &keyring, 0, "alice@example.org", "");
    check("disk.img", listed, "SHA256SUMS.sig", &bob, 0, "bob@example.org", "");
    check("other.img", known, "other.img.sig", &bob, 0, "signed by ", "");
    // Nobody in the keyring, a signature of something else, and too weak a digest.
    check("disk.img", known, "disk.img.asc", &bob, 1, "", "is not in the keyring");
    check("disk.img", listed, "other.img.sig", &bob, 1, "", "is not what the key");
    check("weak.img", known, "weak.img.sig", &bob, 1, "", "too weak");
    check("disk.img", known, "keys.asc", &bob, 1, "", "signature cannot be read");
    fs::write(path("none.asc"), "no keys").expect("a file");
    check("disk.img", known, "disk.img.asc", &path("none.asc"), 4, "", "no OpenPGP public key");

    // One byte of the image, then one of the list.
    let mut tampered = image.clone();
    tampered[1000] ^= 1;
    fs::write(path("disk.img"), &tampered).expect("a file");
    let found = Digest::of(&tampered).to_string();
    check("disk.img", known, "disk.img.asc", &keyring, 1, "", "nothing is kept");
    check("disk.img", ["--sha256", &*found], "disk.img.asc", &keyring, 1, "", "is not what the key");
    fs::write(path("SHA256SUMS"), format!("{found}  disk.img\n")).expect("a file");
    check("disk.img", listed, "SHA256SUMS.sig", &bob, 1, "", "is not what the key");

    // A key that is revoked.
    fs::write(path("disk.img"), &image).expect("a file");
    let revoked = gpg.home.path().join("openpgp-revocs.d");
    let fingerprint =
        String::from_utf8(gpg.run(&["--with-colons", "--list-keys", "alice@example.org"])).expect("UTF-8");
    let fingerprint = fingerprint.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).expect("one");
    let revocation = fs::read_to_string(revoked.join(format!("{}.rev", fingerprint.trim_end_matches(':'))));
    let revocation = revocation.expect("a revocation").replace(":-----BEGIN", "-----BEGIN");
    let file = path("revocation.asc");
    fs::write(&file, revocation).expect("a file");
    gpg.run(&["--import", file.to_str().expect("UTF-8")]);
    gpg.export("alice@example.org", &keyring);
    assert_ne!(fs::read_to_string(&keyring).expect("keys"), alice);
    check("disk.img", known, "disk.img.asc", &keyring, 1, "", "revoked");
}
