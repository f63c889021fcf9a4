//! Public keys of people who may log in: text in the format of OpenSSH's `authorized_keys` (sshd(8)).

use base64ct::{Base64, Base64Unpadded, Encoding};
use ironwake_api::{Actor, Millis, SshKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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
/// Keys that can be added: those of all people of a large site.
pub const ADDED_KEYS_MAX: usize = 256;
/// The longest comment of a key that is added: it is shown wherever the key is.
const COMMENT_CHARS_MAX: usize = 256;
/// The longest line of a key that is added: its kind, its base64 and a comment, each as long as it may be.
const LINE_BYTES_MAX: usize = 64 + KEY_CHARS_MAX + 4 * COMMENT_CHARS_MAX;
/// Wrong lines that are told; whoever hands in something else than keys is told enough by these.
const MISTAKES_MAX: usize = 10;
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    /// Length and text of the kind, and what each kind has behind it (RFC 4253, section 6.6).
    bytes: Vec<u8>,
}

/// A key that was added, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedKey {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub comment: String,
    /// When it was added.
    pub at: Millis,
    /// By whom.
    pub by: Actor,
}

/// A key that opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: PublicKey,
    /// Whose it is, as the line says.
    pub comment: String,
    /// Where it stands, from 1 on.
    pub line: usize,
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
            Some(body) if is_whole(kind, body) => Ok(Self { bytes }),
            _ => Err(no_key()),
        }
    }

    /// Such as `ssh-ed25519`.
    pub fn kind(&self) -> &str {
        // It was found there when the key was read.
        let found = KINDS.iter().find(|kind| self.bytes.get(4..4 + kind.len()) == Some(kind.as_bytes()));
        found.copied().unwrap_or_default()
    }

    /// What it is known by: `SHA256:` and base64 without padding, as OpenSSH writes it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", Base64Unpadded::encode_string(&Sha256::digest(&self.bytes)))
    }

    /// As it is shown.
    pub fn shown(&self, comment: &str) -> SshKey {
        SshKey { fingerprint: self.fingerprint(), kind: self.kind().to_owned(), comment: comment.to_owned() }
    }
}

/// Kind and base64, as files have them.
impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), Base64::encode_string(&self.bytes))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Listing {
    /// The comment of a key, if it opens.
    pub fn find(&self, key: &PublicKey) -> Option<&str> {
        self.keys.iter().find(|listed| listed.key == *key).map(|listed| listed.comment.as_str())
    }
}

/// Lines that are to hold a key, each with its number.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let trimmed = (1..).zip(text.lines().map(str::trim));
    trimmed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads keys that are to be added: every line has to be one, without options. Gives the good ones, each once, and the
/// mistakes, each with its line, the first few of them. What is wrong is told without the line's text.
pub fn parse_added(text: &str) -> Listing {
    let mut read = Listing::default();
    for (number, line) in lines(text) {
        match parse_line(line) {
            Ok(_) if read.keys.len() == ADDED_KEYS_MAX => {
                read.warnings.push((number, format!("more than {ADDED_KEYS_MAX} keys")));
                break;
            }
            Ok((key, comment)) if read.find(&key).is_none() => {
                read.keys.push(Listed { key, comment: comment.to_owned(), line: number });
            }
            Ok(_) => {}
            Err(why) => {
                read.warnings.push((number, why));
                // The rest of a private key says nothing more.
                if is_private(line) || read.warnings.len() == MISTAKES_MAX {
                    break;
                }
            }
        }
    }
    read
}

/// Whether what follows the kind is as long as keys of that kind are: one that was cut off would open nothing (RFC 8709, section
/// 4; RFC 5656, section 3.1; OpenSSH's PROTOCOL.u2f).
fn is_whole(kind: &str, body: &[u8]) -> bool {
    let (point, curve) = match kind.trim_start_matches("sk-").trim_end_matches("@openssh.com") {
        "ssh-ed25519" => (32, None),
        "ecdsa-sha2-nistp256" => (65, Some("nistp256")),
        "ecdsa-sha2-nistp384" => (97, Some("nistp384")),
        "ecdsa-sha2-nistp521" => (133, Some("nistp521")),
        _ => return false,
    };
    let Some(rest) = curve.map_or(Some(body), |curve| {
        string(body).filter(|(name, _)| *name == curve.as_bytes()).map(|(_, rest)| rest)
    }) else {
        return false;
    };
    let Some((found, rest)) = string(rest) else { return false };
    // Those of security keys name the application that they are for.
    let ends = if kind.starts_with("sk-") {
        string(rest).is_some_and(|(_, rest)| rest.is_empty())
    } else {
        rest.is_empty()
    };
    found.len() == point && ends
}

/// A string with its length before it (RFC 4251, section 5), and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Whether a private key begins here, whatever wrote it (RFC 7468, OpenSSH's PROTOCOL.key, PuTTY).
fn is_private(line: &str) -> bool {
    line.starts_with("PuTTY-User-Key-File")
        || (line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY"))
}

/// Key and comment of one line.
fn parse_line(line: &str) -> Result<(PublicKey, &str), String> {
    if is_private(line) {
        return Err(
            "that is a private key, which its owner shows to nobody: hand in the file that ends with .pub"
                .into(),
        );
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it has {} bytes: at most {LINE_BYTES_MAX}", line.len()));
    }
    let (options, key) = split(line);
    let mut words = key.splitn(3, char::is_whitespace);
    let key = PublicKey::of(words.next().unwrap_or_default(), words.next().unwrap_or_default())?;
    if !options.is_empty() {
        return Err(format!(
            "options ({}) are not taken: leave them out, or write the line into the operator's file",
            options.join(", ")
        ));
    }
    let comment = words.next().unwrap_or_default().trim();
    if comment.chars().count() > COMMENT_CHARS_MAX {
        return Err(format!("its comment is longer than {COMMENT_CHARS_MAX} characters"));
    }
    if comment.chars().any(ironwake_api::human::steers) {
        return Err("its comment has a character that would steer a terminal".into());
    }
    Ok((key, comment))
}

/// Reads a file of keys. A line that cannot be taken is a warning, as with OpenSSH.
pub fn parse_listing(text: &str) -> Listing {
    let mut listing = Listing::default();
    for (number, line) in lines(text) {
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
                listing.keys.push(Listed { key, comment, line: number });
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

    /// How many keys could be added, and what is said.
    #[track_caller]
    fn check_added(text: &str, keys: usize, mistakes: &[(usize, &str)]) {
        let said = parse_added(text);
        assert_eq!(said.keys.len(), keys, "{said:?}");
        assert_eq!(said.warnings.len(), mistakes.len(), "{said:?}");
        for ((line, found), (expected_line, expected)) in said.warnings.iter().zip(mistakes) {
            assert!(line == expected_line && found.contains(expected), "{line}: {found}");
        }
    }

    #[test]
    fn what_is_added_is_keys_line_by_line_without_options() {
        check_added(&format!("# mine\r\n\r\n{KEY} anna@laptop\r\n  {KEY} again\n"), 1, &[]);
        check_added(
            &format!("{KEY}\nhello\nno-pty {KEY}"),
            1,
            &[(2, "no public key"), (3, "options (no-pty)")],
        );
        check_added("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 anna", 0, &[(1, "ssh-keygen -t ed25519")]);
        let comment = |length: usize| format!("{KEY} {}", "é".repeat(length));
        check_added(&comment(COMMENT_CHARS_MAX), 1, &[]);
        check_added(&comment(COMMENT_CHARS_MAX + 1), 0, &[(1, "longer than 256 characters")]);
        check_added(&comment(LINE_BYTES_MAX), 0, &[(1, "bytes: at most 5184")]);
        let cut_off = &KEY[..KEY.len() - 8];
        check_added(cut_off, 0, &[(1, "no public key")]);
        check_added(&format!("{KEY} \u{1b}[31m"), 0, &[(1, "steer a terminal")]);
        assert_eq!(parse_added(&"x\n".repeat(1000)).warnings.len(), MISTAKES_MAX);
    }

    #[test]
    fn more_keys_than_can_be_added_are_not_read() {
        let line = |number: u16| {
            let body = number.to_be_bytes().repeat(16);
            let bytes = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &body].concat();
            format!("ssh-ed25519 {}\n", Base64::encode_string(&bytes))
        };
        let lines = |count: u16| (0..count).map(line).collect::<String>();
        let max = ADDED_KEYS_MAX as u16;
        check_added(&lines(max), ADDED_KEYS_MAX, &[]);
        check_added(&lines(max + 9), ADDED_KEYS_MAX, &[(ADDED_KEYS_MAX + 1, "more than 256 keys")]);
    }

    #[test]
    fn a_private_key_is_one_mistake_and_is_not_repeated() {
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\nAAAAB\n";
        check_added(text, 0, &[(1, "a private key")]);
        assert!(!format!("{:?}", parse_added(text)).contains("b3Blb"));
        check_added("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", 0, &[(1, "a private key")]);
    }

    #[test]
    fn a_key_is_known_by_its_fingerprint_and_kept_as_its_line() {
        let key = PublicKey::parse(KEY).expect("a key");
        // What `ssh-keygen -l` says of it.
        let shown = key.shown("anna");
        assert_eq!(shown.fingerprint, "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE");
        assert_eq!((shown.kind.as_str(), shown.comment.as_str()), ("ssh-ed25519", "anna"));
        assert_eq!(key.to_string(), KEY);
        let kept = serde_json::to_string(&key).expect("JSON");
        assert_eq!(kept, format!("{KEY:?}"));
        assert_eq!(serde_json::from_str::<PublicKey>(&kept).expect("the same"), key);
        assert!(serde_json::from_str::<PublicKey>("\"ssh-ed25519 AAAA\"").is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\PC|[\n\" ,=\\\\]|ssh-ed25519 |from=)*") {
            parse_listing(&text);
            parse_added(&text);
            let _ = PublicKey::parse(&text);
        }
    }
}
