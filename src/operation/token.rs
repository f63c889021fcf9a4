//! Tokens: what a machine shows to take up an operation. They are derived from a key and never stored: neither
//! the database nor a copy of it holds anything that a machine could show.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key that tokens are derived from; lives outside the database.
#[derive(Clone)]
pub struct SiteKey(pub(super) [u8; 32]);

/// What a token is for: one for another purpose is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Fetching the kernel of an armed boot: it stands in the boot script.
    Kernel,
    /// Taking the work, and reporting how it goes: it stands on the agent's command line.
    Work,
    /// Fetching the answers of an installer: it stands on its kernel's command line.
    AnswerFile,
    /// Reporting that an installer is done: it stands in an answer file.
    Installed,
    /// Reporting the first boot: it stands in a file of the installed system.
    PhoneHome,
    /// Reporting that the installed system runs, for as long as it does: it stands in a file of it.
    Heartbeat,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Work => "work",
            Self::AnswerFile => "answer file",
            Self::Installed => "installed",
            Self::PhoneHome => "phone home",
            Self::Heartbeat => "heartbeat",
        }
    }
}

impl SiteKey {
    /// A key of 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token of one arming (from 1) of an operation: 64 hexadecimal digits.
    pub fn token(&self, purpose: Purpose, operation: &str, arming: u32) -> String {
        self.mac(purpose, operation, arming)
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether `token` is that token; takes the same time for every wrong one.
    pub fn is_token(&self, token: &str, purpose: Purpose, operation: &str, arming: u32) -> bool {
        let Some(bytes) = parse(token) else { return false };
        self.mac(purpose, operation, arming).verify_slice(&bytes).is_ok()
    }

    /// Whether `token` is that of any arming up to this one.
    pub fn was_token(&self, token: &str, purpose: Purpose, operation: &str, armings: u32) -> bool {
        (1..=armings).any(|arming| self.is_token(token, purpose, operation, arming))
    }

    fn mac(&self, purpose: Purpose, operation: &str, arming: u32) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        // No part holds a line end, so no two sets of parts spell the same text.
        mac.update(format!("ironwake token 1\n{}\n{operation}\n{arming}", purpose.label()).as_bytes());
        mac
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(***)")
    }
}

fn parse(token: &str) -> Option<[u8; 32]> {
    let digits = token.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_purpose_operation_and_arming_alone() {
        let key = SiteKey::new([7; 32]);
        let token = key.token(Purpose::Work, "o1", 1);
        assert_eq!(token.len(), 64);
        assert!(key.is_token(&token, Purpose::Work, "o1", 1));
        assert!(!key.is_token(&token, Purpose::Kernel, "o1", 1));
        assert!(!key.is_token(&token, Purpose::Work, "o2", 1));
        assert!(!key.is_token(&token, Purpose::Work, "o1", 2));
        assert!(
            key.was_token(&token, Purpose::Work, "o1", 3) && !key.was_token(&token, Purpose::Work, "o1", 0)
        );
        assert!(!SiteKey::new([8; 32]).is_token(&token, Purpose::Work, "o1", 1));
        for wrong in ["", "x", &token[1..], &"g".repeat(64), &"é".repeat(32)] {
            assert!(!key.is_token(wrong, Purpose::Work, "o1", 1), "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "SiteKey(***)");
    }
}
