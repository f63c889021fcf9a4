//! Public keys of people who may log in: text in the format of OpenSSH's `authorized_keys` (sshd(8)).

use base64ct::{Base64, Encoding};

/// Kinds of keys that the SSH server can check signatures of (RFC 4253, 5656, 8332, 8709; OpenSSH's PROTOCOL.u2f).
const KINDS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
/// Kinds that are keys all the same.
const KINDS_NOT_TAKEN: &[&str] = &["ssh-rsa", "ssh-dss"];
/// The longest key, in base64: one of RSA with 16,384 bits.
const KEY_CHARS_MAX: usize = 4096;
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

/// A public key: what of it is signed with, without its comment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    bytes: Vec<u8>,
}

/// A key that opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: PublicKey,
    /// Whose it is, as the line says.
    pub comment: String,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Keys that open, in their order.
    pub keys: Vec<Listed>,
    /// Line, and what is wrong there.
    pub warnings: Vec<(usize, String)>,
}

impl PublicKey {
    /// Reads kind and base64, and nothing behind them; what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let (kind, base64) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if words.next().is_some() {
            return Err("something stands behind the key: kind and base64 are all there is".into());
        }
        Self::of(kind, base64)
    }

    fn of(kind: &str, base64: &str) -> Result<Self, String> {
        if KINDS_NOT_TAKEN.contains(&kind) {
            return Err("RSA and DSA are not supported; make a key with ssh-keygen -t ed25519".into());
        }
        let no_key = || "no public key (kind, base64, comment)".to_owned();
        if !KINDS.contains(&kind) || base64.len() > KEY_CHARS_MAX {
            return Err(no_key());
        }
        let bytes = Base64::decode_vec(base64).map_err(|_| no_key())?;
        // The kind is in the bytes once more, and has to be the same (RFC 4253, section 6.6).
        let length = u32::try_from(kind.len()).unwrap_or_default().to_be_bytes();
        let body = bytes.strip_prefix(&length).and_then(|rest| rest.strip_prefix(kind.as_bytes()));
        match body {
            Some(body) if !body.is_empty() => Ok(Self { bytes }),
            _ => Err(no_key()),
        }
    }
}

impl Listing {
    /// The comment of a key, if it opens.
    pub fn find(&self, key: &PublicKey) -> Option<&str> {
        self.keys.iter().find(|listed| listed.key == *key).map(|listed| listed.comment.as_str())
    }
}

/// Reads a file of keys. A line that cannot be taken is a warning, as with OpenSSH.
pub fn parse_listing(text: &str) -> Listing {
    let mut listing = Listing::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (options, key) = split(line);
        let narrowing = options.iter().find(|name| NARROWING.contains(&name.to_ascii_lowercase().as_str()));
        let mut words = key.splitn(3, char::is_whitespace);
        let (kind, base64) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let what = match (PublicKey::of(kind, base64), narrowing) {
            (_, Some(name)) => format!(
                "the key is not taken: option {name} would let it do less than a console does, and is not supported"
            ),
            (Err(why), _) => format!("the key is not taken: {why}"),
            (Ok(key), None) => {
                let comment = words.next().unwrap_or_default().trim().to_owned();
                listing.keys.push(Listed { key, comment });
                if options.is_empty() {
                    continue;
                }
                format!("options are ignored: {}", options.join(", "))
            }
        };
        listing.warnings.push((number, what));
    }
    listing
}

/// The names of a line's options, and its key. Values may be in quotes, with spaces and commas.
fn split(line: &str) -> (Vec<String>, &str) {
    let first = line.split_whitespace().next().unwrap_or_default();
    if KINDS.contains(&first) || KINDS_NOT_TAKEN.contains(&first) {
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
            c if !in_value && !quoted => {
                if let Some(name) = names.last_mut() {
                    name.push(c);
                }
            }
            _ => {}
        }
    }
    (names, key.trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    /// How many keys are taken, and what is said.
    #[track_caller]
    fn check(text: &str, keys: usize, warnings: &[(usize, &str)]) {
        let said = parse_listing(text);
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
        check("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 anna", 0, &[(1, "ssh-keygen -t ed25519")]);
        let of_another_kind = KEY.replace("ssh-ed25519", "ecdsa-sha2-nistp256");
        check(&of_another_kind, 0, &[(1, "no public key")]);
    }

    #[test]
    fn a_key_is_found_whatever_its_comment() {
        let listing = parse_listing(&format!("{KEY}   anna at home \n"));
        let key = PublicKey::parse(KEY).expect("a key");
        assert_eq!(listing.find(&key), Some("anna at home"));
        let another = PublicKey::parse(&KEY.replace("OIeZJ", "OIeZI")).expect("a key");
        assert_eq!(listing.find(&another), None);
        assert!(PublicKey::parse(&format!("{KEY} anna")).is_err() && PublicKey::parse("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\PC|[\n\" ,=\\\\]|ssh-ed25519 |from=)*") {
            parse_listing(&text);
            let _ = PublicKey::parse(&text);
        }
    }
}
