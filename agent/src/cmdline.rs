//! The kernel command line: where the daemon is, which NIC this boot came through, and the token of an armed boot.

use std::fmt;

use ironwake_api::MacAddr;

/// How long a machine waits for an order where the command line and the daemon say nothing.
const IDLE_SECS_DEFAULT: u64 = 600;
/// A token is at least 128 bits in base64url.
const TOKEN_CHARS_MIN: usize = 22;
/// Longer than any: 512 bits as hexadecimal digits.
const TOKEN_CHARS_MAX: usize = 128;

/// What an armed boot shows to claim its operation. It is a secret: neither `Debug` nor the screen shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Hexadecimal digits or base64url, of sane length.
    pub fn parse(value: &str) -> Option<Self> {
        let sane = (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&value.len())
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        sane.then(|| Self(value.to_owned()))
    }

    /// The text, for the header that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} characters)", self.0.len())
    }
}

/// What the boot script tells the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmdline {
    /// The daemon's base URL, without a slash at its end.
    pub url: Option<String>,
    /// The NIC this boot came through (`BOOTIF=01-…`, as iPXE and PXELINUX write it).
    pub boot_mac: Option<MacAddr>,
    /// Seconds without any answer of the daemon before the machine reboots; 0 waits for ever.
    pub idle_secs: u64,
    /// The token of an armed boot (`ironwake.operation=…`); nothing is written without one.
    pub token: Option<Token>,
}

impl Cmdline {
    /// Reads `/proc/cmdline`'s text. Unknown words are the kernel's; of repeated words the last one counts.
    pub fn parse(text: &str) -> Self {
        let mut cmdline = Self { url: None, boot_mac: None, idle_secs: IDLE_SECS_DEFAULT, token: None };
        for word in text.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            match key {
                "ironwake.url" => cmdline.url = usable_url(value),
                "BOOTIF" => cmdline.boot_mac = parse_bootif(value),
                "ironwake.idle_secs" => cmdline.idle_secs = value.parse().unwrap_or(IDLE_SECS_DEFAULT),
                "ironwake.operation" => cmdline.token = Token::parse(value),
                _ => {}
            }
        }
        cmdline
    }
}

fn usable_url(value: &str) -> Option<String> {
    let host = value.strip_prefix("http://")?;
    (!host.is_empty()).then(|| value.trim_end_matches('/').to_owned())
}

/// PXELINUX puts the hardware type (`01`, Ethernet) before the address; iPXE scripts may leave it out.
fn parse_bootif(value: &str) -> Option<MacAddr> {
    let address = match value.len() {
        20 => value.strip_prefix("01-").or_else(|| value.strip_prefix("01:"))?,
        _ => value,
    };
    address.parse().ok().filter(MacAddr::is_unicast)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, url: Option<&str>, mac: Option<&str>, idle_secs: u64) {
        let cmdline = Cmdline::parse(text);
        assert_eq!(cmdline.url.as_deref(), url, "{text}");
        assert_eq!(cmdline.boot_mac.map(|mac| mac.to_string()).as_deref(), mac, "{text}");
        assert_eq!(cmdline.idle_secs, idle_secs, "{text}");
    }

    #[test]
    fn boot_scripts_words_are_read() {
        check(
            "quiet ironwake.url=http://10.0.0.1:8080 BOOTIF=01-52-54-00-AB-00-01 console=ttyS0\n",
            Some("http://10.0.0.1:8080"),
            Some("52:54:00:ab:00:01"),
            600,
        );
        check("ironwake.url=http://10.0.0.1/ ironwake.idle_secs=30", Some("http://10.0.0.1"), None, 30);
        check("BOOTIF=52:54:00:ab:00:01", None, Some("52:54:00:ab:00:01"), 600);
    }

    #[test]
    fn nonsense_is_left_out() {
        check("", None, None, 600);
        check("ironwake.url= BOOTIF= ironwake.idle_secs=soon", None, None, 600);
        check("ironwake.url=ftp://10.0.0.1 BOOTIF=01-00-00-00-00-00-00", None, None, 600);
    }

    #[test]
    fn a_token_is_bounded_and_stays_hidden() {
        let token = |value: &str| {
            let cmdline = Cmdline::parse(&format!("quiet ironwake.operation={value} x=y"));
            assert!(value.is_empty() || !format!("{cmdline:?}").contains(value));
            cmdline.token.map(|token| token.expose().to_owned())
        };
        for good in ["0123456789abcdef0123456789abcdef", "-_AZaz09-_AZaz09-_AZaz", &"a".repeat(128)] {
            assert_eq!(token(good).as_deref(), Some(good));
        }
        for bad in ["", "short", &"a".repeat(129), "0123456789abcdef0123456789abcde/"] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }
}
