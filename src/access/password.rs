//! The administrator's password or PIN: what is kept of it. What is taken as one is in the contract, for whoever asks for it.
//!
//! Kept is its hash by argon2id (RFC 9106), as text in the form of the PHC:
//! `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`, salt and hash in base64 without padding.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
pub use ironwake_api::{PASSWORD_BYTES_MAX, check_password};
use sha2::{Digest as _, Sha256};

/// Memory, passes and lanes as OWASP recommends them: 19 MiB, of which the daemon fills one at a time.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What a file may ask for: a wrong one must not fill the memory of the daemon.
const MEMORY_KIB_MAX: u32 = 256 << 10;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 4;
/// Random bytes of a salt.
pub const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl PasswordHash {
    /// The hash of a password. Takes some ten milliseconds of a core and 19 MiB; says why it could not.
    pub fn of(password: &str, salt: [u8; SALT_BYTES]) -> Result<Self, String> {
        let mut made = Self {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: salt.to_vec(),
            hash: vec![0; HASH_BYTES],
        };
        made.hash = made.compute(password)?;
        Ok(made)
    }

    /// Whether this is the password. Takes as long as [`PasswordHash::of`].
    pub fn matches(&self, password: &str) -> Result<bool, String> {
        let found = self.compute(password)?;
        // Digests differ in bits that nobody chooses, so where they do tells nothing of the hash.
        Ok(Sha256::digest(found) == Sha256::digest(&self.hash))
    }

    fn compute(&self, password: &str) -> Result<Vec<u8>, String> {
        let parameters = Params::new(self.memory_kib, self.passes, self.lanes, Some(self.hash.len()));
        let parameters = parameters.map_err(|error| error.to_string())?;
        let mut hash = vec![0; self.hash.len()];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(password.as_bytes(), &self.salt, &mut hash)
            .map_err(|error| error.to_string())?;
        Ok(hash)
    }

    /// The text that is kept.
    pub fn encode(&self) -> String {
        let Self { memory_kib, passes, lanes, salt, hash } = self;
        let base64 = |bytes: &[u8]| Base64Unpadded::encode_string(bytes);
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${}${}", base64(salt), base64(hash))
    }

    /// Reads such a text; what is wrong with it, without any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "it is no hash of a password, `$argon2id$v=19$m=...,t=...,p=...$SALT$HASH`".to_owned();
        let mut fields = text.trim_end().split('$');
        if [fields.next(), fields.next(), fields.next()] != [Some(""), Some("argon2id"), Some("v=19")] {
            return Err(wrong());
        }
        let mut numbers = fields.next().ok_or_else(wrong)?.split(',');
        let mut number = |name: &str, max: u32| {
            let text = numbers.next().and_then(|field| field.strip_prefix(name)?.strip_prefix('='));
            let number: u32 = text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
            if number > max { Err(format!("its {name} is {number}: at most {max}")) } else { Ok(number) }
        };
        let (memory_kib, passes, lanes) =
            (number("m", MEMORY_KIB_MAX)?, number("t", PASSES_MAX)?, number("p", LANES_MAX)?);
        let mut bytes = || Base64Unpadded::decode_vec(fields.next().unwrap_or("-")).map_err(|_| wrong());
        let (salt, hash) = (bytes()?, bytes()?);
        let legal = Params::new(memory_kib, passes, lanes, Some(hash.len())).is_ok();
        if !legal || salt.len() < 8 || hash.len() < 16 || fields.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { memory_kib, passes, lanes, salt, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `said` is empty for a password that is taken.
    #[track_caller]
    fn check(password: &str, said: &str) {
        let found = check_password(password).err().unwrap_or_default();
        assert!(found.starts_with(said) && found.is_empty() == said.is_empty(), "{password}: {found}");
        assert!(password.len() < 3 || !found.contains(password), "{found}");
    }

    #[test]
    fn a_pin_has_six_digits_and_a_password_eight_characters() {
        check("123456", "");
        check("12345", "it has 5 digits: at least 6");
        check("", "it has 0 digits");
        check("hunter2", "it has 7 characters: at least 6 for a PIN of digits, 8");
        check("hunter23", "");
        check("пароль77", "");
        check("hunter2\t2", "it has a control character");
        check(&"x".repeat(PASSWORD_BYTES_MAX), "");
        check(&"x".repeat(PASSWORD_BYTES_MAX + 1), "it has 1025 bytes");
    }

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = PasswordHash::of("correct horse", [7; SALT_BYTES]).expect("a hash");
        assert_eq!(hash.matches("correct horse"), Ok(true));
        for wrong in ["correct horsE", "", "correct horse "] {
            assert_eq!(hash.matches(wrong), Ok(false), "{wrong}");
        }
        let text = hash.encode();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{text}");
        assert_eq!(PasswordHash::parse(&format!("{text}\n")), Ok(hash.clone()));
        assert_ne!(PasswordHash::of("correct horse", [8; SALT_BYTES]).expect("a hash").encode(), text);
        assert_eq!(format!("{hash:?}"), "PasswordHash(***)");
    }

    #[test]
    fn hashes_of_other_programs_are_read() {
        // A test vector of the reference implementation.
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = PasswordHash::parse(text).expect("a hash");
        assert_eq!((hash.matches("password"), hash.encode().as_str()), (Ok(true), text));
    }

    #[test]
    fn what_is_no_hash_is_refused_before_it_costs_anything() {
        let good = PasswordHash::of("correct horse", [7; SALT_BYTES]).expect("a hash").encode();
        for (from, to) in [
            ("$argon2id", "$argon2i"),
            ("v=19", "v=16"),
            ("m=19456", "m=99999999"),
            ("m=19456", "m=1"),
            ("t=2", "t=17"),
            ("p=1", "p=0"),
            ("t=2,", ""),
            ("BwcHBwcHBwcHBwcHBwcHBw", "Bwc"),
            ("BwcHBwcHBwcHBwcHBwcHBw", "B!"),
        ] {
            let text = good.replace(from, to);
            assert!(text != good && PasswordHash::parse(&text).is_err(), "{text}");
        }
        for text in ["", "$", "secret", &format!("{good}$x"), good.rsplit_once('$').expect("two").0] {
            assert!(PasswordHash::parse(text).is_err(), "{text}");
        }
    }
}
