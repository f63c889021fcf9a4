//! Tokens of the API: 256 random bits, shown once and kept as a digest.
//!
//! The digest is one SHA-256, not a slow hash: slow hashes make guessing dear where people choose the secret. Nobody
//! guesses 256 random bits however fast the hash is, and a slow one would let anybody on the network keep the
//! daemon's cores busy with wrong tokens.

use ironwake_api::Token;
use sha2::{Digest as _, Sha256};

/// What a token begins with, so that people and programs that look for leaked secrets know it.
const PREFIX: &str = "iwt_";
/// Random bytes of one.
const BYTES: usize = 32;
/// Longest name of one.
pub const NAME_BYTES_MAX: usize = 64;

/// A token as it is stored: nothing of it can be shown to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What is shown of it.
    pub token: Token,
    /// SHA-256 of its text.
    pub digest: [u8; 32],
}

/// The text of a token of these random bytes.
pub fn spell(random: [u8; BYTES]) -> String {
    random.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// What a token is looked up by; `None` for what is no token.
pub fn digest_of(secret: &str) -> Option<[u8; 32]> {
    let digits = secret.strip_prefix(PREFIX)?;
    let legal = digits.len() == 2 * BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    legal.then(|| Sha256::digest(secret.as_bytes()).into())
}

/// Checks a token's name; what is wrong and what would be right.
pub fn check_token_name(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if begins && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is not a token's name: 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.', the first a letter or digit"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let secret = spell([0xa5; 32]);
        assert_eq!(secret.len(), 4 + 64);
        let digest = digest_of(&secret).expect("a token");
        assert_eq!(digest_of(&secret), Some(digest));
        assert_ne!(digest_of(&spell([0xa6; 32])), Some(digest));
        assert!(!secret.contains(&digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        let secret = spell([1; 32]);
        for text in
            ["", "iwt_", &secret[4..], &secret[..67], &format!("{secret}0"), &secret.replace("01", "zz")]
        {
            assert_eq!(digest_of(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_short_words() {
        let check = |name: &str, good: bool| assert_eq!(check_token_name(name).is_ok(), good, "{name}");
        check("ci", true);
        check("ansible-2.prod_x", true);
        check("", false);
        check("-x", false);
        check("a b", false);
        check("a/b", false);
        check(&"x".repeat(65), false);
    }
}
