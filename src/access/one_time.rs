//! One-time passwords: random, easy to read out and to type, good for ten minutes. One of them lets keys be added, once.
//!
//! Kept is an HMAC-SHA256 under a random key that nothing else has. It need not be slow: nobody guesses 80 random bits in ten
//! minutes however fast the hash is.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use ironwake_api::Millis;
use sha2::Sha256;

/// Time to walk to another desk, log in there, and find the right key.
pub const TIME_MAX: Millis = 10 * 60 * 1000;
/// Random bytes of one: sixteen characters.
pub const RANDOM_BYTES: usize = 10;
/// Random bytes of the key that it is kept under.
pub const KEY_BYTES: usize = 32;
/// Five bits a character. Letters that look like digits are not among them (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters between two hyphens.
const GROUP_CHARS: usize = 4;

/// What is kept of one.
pub struct OneTime {
    key: [u8; KEY_BYTES],
    tag: Vec<u8>,
    expires_at: Millis,
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneTime(***, until {})", self.expires_at)
    }
}

impl OneTime {
    /// One that is made at this moment, and its text.
    pub fn make(random: [u8; RANDOM_BYTES], key: [u8; KEY_BYTES], now: Millis) -> (Self, String) {
        let text = spell(random);
        let tag = mac(&key, &text).finalize().into_bytes().to_vec();
        (Self { key, tag, expires_at: now + TIME_MAX }, text)
    }

    /// When it ends.
    pub fn expires_at(&self) -> Millis {
        self.expires_at
    }

    /// Whether it is good still. A clock that was set back makes it last no longer.
    pub fn is_good(&self, now: Millis) -> bool {
        now < self.expires_at && self.expires_at - now <= TIME_MAX
    }

    /// Whether this is its text, in capitals or without hyphens too. Takes as long for any text of that length.
    pub fn matches(&self, shown: &str) -> bool {
        mac(&self.key, shown).verify_slice(&self.tag).is_ok()
    }
}

fn spell(random: [u8; RANDOM_BYTES]) -> String {
    let bits = random.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let chars = RANDOM_BYTES * 8 / 5;
    let mut text = String::new();
    for place in 0..chars {
        if place > 0 && place % GROUP_CHARS == 0 {
            text.push('-');
        }
        let digit = bits >> (5 * (chars - 1 - place)) & 31;
        text.push(char::from(ALPHABET[digit as usize]));
    }
    text
}

/// Over what counts of a text: what is typed for a character that looks alike is that character.
fn mac(key: &[u8; KEY_BYTES], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    for byte in text.bytes() {
        match byte.to_ascii_lowercase() {
            b'-' | b' ' => {}
            b'o' => mac.update(b"0"),
            b'i' | b'l' => mac.update(b"1"),
            other => mac.update(&[other]),
        }
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000_000;

    fn made() -> (OneTime, String) {
        OneTime::make([0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf], [7; KEY_BYTES], NOW)
    }

    #[test]
    fn it_is_four_groups_of_four() {
        let (kept, text) = made();
        assert_eq!(text, "0123-4567-89ab-cdef");
        assert_eq!(format!("{kept:?}"), "OneTime(***, until 1000600000)");
        let (_, all) = OneTime::make([0xff; RANDOM_BYTES], [7; KEY_BYTES], NOW);
        assert_eq!(all, "zzzz-zzzz-zzzz-zzzz");
    }

    #[test]
    fn it_is_known_however_it_is_typed_and_nothing_else_is() {
        let (kept, text) = made();
        for typed in [text.as_str(), "0123456789ABCDEF", "o123-4567-89ab-cdef", "Ol23 4567 89ab cdef"] {
            assert!(kept.matches(typed), "{typed}");
        }
        for wrong in
            ["", "0123-4567-89ab-cdeg", "0123-4567-89ab", "0123-4567-89ab-cdef0", "1123-4567-89ab-cdef"]
        {
            assert!(!kept.matches(wrong), "{wrong}");
        }
        let (other, _) = OneTime::make([1; RANDOM_BYTES], [7; KEY_BYTES], NOW);
        assert!(!other.matches(&text));
    }

    #[test]
    fn it_ends_after_ten_minutes_whatever_the_clock_does() {
        let (kept, _) = made();
        assert!(kept.is_good(NOW) && kept.is_good(NOW + TIME_MAX - 1));
        assert!(!kept.is_good(NOW + TIME_MAX) && !kept.is_good(NOW - 1) && !kept.is_good(0));
        assert_eq!(kept.expires_at(), NOW + TIME_MAX);
    }
}
