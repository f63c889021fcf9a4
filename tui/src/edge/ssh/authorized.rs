//! Who may log in: public keys of a file in the format of OpenSSH's `authorized_keys` (sshd(8)).

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use russh::keys::PublicKey;
use russh::keys::ssh_key::Algorithm;
use tracing::{info, warn};

/// A longer file is no list of people's keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What the mode of the file may not give: writing by anybody else, who could let himself in.
const OTHERS_WRITE: u32 = 0o022;
/// Options that let fewer people in, or let them do less than a console does. A key with one of them is not taken, for
/// without the option it would open more than its line says.
const NARROWING: &[&str] = &[
    "cert-authority",
    "command",
    "expiry-time",
    "from",
    "no-pty",
    "principals",
    "restrict",
    "verify-required",
];

/// A key that opens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    key: PublicKey,
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    keys: Vec<Allowed>,
    /// Line, and what is wrong there.
    warnings: Vec<(usize, String)>,
}

/// The file as it was last read.
#[derive(Debug)]
pub(super) struct Authorized {
    path: PathBuf,
    read: Mutex<Read>,
}

/// What tells whether a file has changed: its number, its size, seconds and nanoseconds of its change.
type Mark = (u64, u64, i64, i64);

#[derive(Debug, Default)]
struct Read {
    mark: Option<Mark>,
    keys: Vec<Allowed>,
    /// What was said of its absence, to say it once.
    failed: Option<String>,
}

impl Authorized {
    /// Reads the file, and says in the log what it finds.
    pub(super) fn new(path: PathBuf) -> Self {
        let authorized = Self { path, read: Mutex::new(Read::default()) };
        authorized.is_empty();
        authorized
    }

    /// The comment of the key, if it may log in.
    pub(super) fn find(&self, key: &PublicKey) -> Option<String> {
        self.with(|keys| {
            let found = keys.iter().find(|allowed| allowed.key.key_data() == key.key_data());
            found.map(|allowed| allowed.key.comment().to_string())
        })
    }

    /// Whether nobody may log in.
    pub(super) fn is_empty(&self) -> bool {
        self.with(<[Allowed]>::is_empty)
    }

    fn with<T>(&self, ask: impl FnOnce(&[Allowed]) -> T) -> T {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut read);
        ask(&read.keys)
    }

    /// Reads the file again if it has changed. One that cannot be read lets nobody in.
    fn refresh(&self, read: &mut Read) {
        let path = self.path.display();
        match self.load(read.mark) {
            Ok(None) => {}
            Ok(Some((mark, said))) => {
                for (line, what) in &said.warnings {
                    warn!("{path}:{line}: {what}");
                }
                info!("{path}: {} may log in", counted(said.keys.len()));
                *read = Read { mark: Some(mark), keys: said.keys, failed: None };
            }
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => format!("nobody may log in: there is no file {path}"),
                    _ => format!("nobody may log in: read {path}: {error}"),
                };
                if read.failed.as_ref() != Some(&why) {
                    warn!("{why}");
                }
                *read = Read { failed: Some(why), ..Read::default() };
            }
        }
    }

    /// What the file says, unless it is as it was `before`.
    fn load(&self, before: Option<Mark>) -> io::Result<Option<(Mark, Said)>> {
        if before == Some(mark(&fs::metadata(&self.path)?)) {
            return Ok(None);
        }
        let file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        if metadata.mode() & OTHERS_WRITE != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(io::Error::other(format!("others may write it (mode {mode:04o})")));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        Ok(Some((mark(&metadata), parse(&String::from_utf8_lossy(&bytes)))))
    }
}

fn mark(metadata: &Metadata) -> Mark {
    (metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec())
}

fn counted(keys: usize) -> String {
    match keys {
        0 => "nobody".into(),
        1 => "one key".into(),
        keys => format!("{keys} keys"),
    }
}

fn parse(text: &str) -> Said {
    let mut said = Said::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (options, key) = split(line);
        let narrowing = options.iter().find(|name| NARROWING.contains(&name.to_ascii_lowercase().as_str()));
        let what = match (key.parse::<PublicKey>(), narrowing) {
            (_, Some(name)) => format!(
                "the key is not taken: option {name} would let it do less than a console does, and is not supported"
            ),
            (Err(error), _) => format!("no public key (kind, base64, comment): {error}"),
            (Ok(key), _) if matches!(key.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa) => {
                "the key is not taken: RSA and DSA are not supported; make one with ssh-keygen -t ed25519"
                    .into()
            }
            (Ok(key), None) => {
                said.keys.push(Allowed { key });
                if options.is_empty() {
                    continue;
                }
                format!("options are ignored: {}", options.join(", "))
            }
        };
        said.warnings.push((number, what));
    }
    said
}

/// The names of a line's options, and its key. Values may be in quotes, with spaces and commas.
fn split(line: &str) -> (Vec<String>, &str) {
    let is_kind = |word: &str| {
        ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix)) && !word.contains(['=', ','])
    };
    if is_kind(line.split_whitespace().next().unwrap_or_default()) {
        return (Vec::new(), line);
    }
    let (mut quoted, mut escaped) = (false, false);
    let end = line.find(|c: char| {
        match c {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        c.is_whitespace() && !quoted
    });
    let (options, key) = line.split_at(end.unwrap_or(line.len()));
    let mut names = vec![String::new()];
    let (mut quoted, mut in_value) = (false, false);
    for c in options.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                names.push(String::new());
                in_value = false;
            }
            '=' => in_value = true,
            c if !in_value && !quoted => names.last_mut().expect("one is there").push(c),
            _ => {}
        }
    }
    (names, key.trim_start())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    /// How many keys are taken, and what is said.
    #[track_caller]
    fn check(text: &str, keys: usize, warnings: &[(usize, &str)]) {
        let said = parse(text);
        assert_eq!(said.keys.len(), keys, "{said:?}");
        assert_eq!(said.warnings.len(), warnings.len(), "{said:?}");
        for ((line, found), (expected_line, expected)) in said.warnings.iter().zip(warnings) {
            assert!(line == expected_line && found.contains(expected), "{line}: {found}");
        }
    }

    #[test]
    fn lines_are_read_as_openssh_does() {
        check(&format!("# people\n\n{KEY} anna@example\n  {KEY}\n"), 2, &[]);
        let options = r#"no-port-forwarding,environment="A=b \" c, d""#;
        check(&format!("{options} {KEY} a b c"), 1, &[(1, "ignored: no-port-forwarding, environment")]);
        check(&format!("{KEY}\nfrom=\"10.0.0.0/8\" {KEY}"), 1, &[(2, "option from")]);
        check(&format!("pty,Command=\"true\" {KEY}"), 0, &[(1, "option Command")]);
        check("ssh-ed25519 AAAA\nhello\n\"", 0, &[(1, "no public key"), (2, "no public"), (3, "no public")]);
    }

    #[test]
    fn the_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_keys");
        let authorized = Authorized::new(path.clone());
        let key: PublicKey = KEY.parse().expect("a key");
        assert!(authorized.is_empty() && authorized.find(&key).is_none());
        fs::write(&path, format!("{KEY} anna\n")).expect("written");
        assert_eq!(authorized.find(&key).as_deref(), Some("anna"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
        assert!(authorized.find(&key).is_none(), "anybody could have written it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        assert!(authorized.find(&key).is_some());
        fs::remove_file(&path).expect("removed");
        assert!(authorized.find(&key).is_none());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\PC|[\n\" ,=\\\\]|ssh-ed25519 |from=)*") {
            parse(&text);
        }
    }
}
