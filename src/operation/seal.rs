//! Sealing: what has to be kept, and must not be readable from the database or a copy of it.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::SiteKey;

/// A nonce's bytes: so many that random ones do not meet.
pub const NONCE_BYTES: usize = 24;

impl SiteKey {
    /// Seals `plain` for the thing that `what` names: it opens under that name alone. `nonce` is random, and stands
    /// before what is sealed.
    pub fn seal(&self, what: &str, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let payload = Payload { msg: plain, aad: what.as_bytes() };
        let sealed =
            self.cipher().encrypt(&XNonce::from(nonce), payload).expect("some bytes are not too many");
        [&nonce[..], &sealed].concat()
    }

    /// What was sealed under this name; `None` for anything else, and for another key.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: what.as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0)
            .expect("HMAC takes keys of every length");
        // No token is derived from a text that begins so.
        mac.update(b"ironwake seal 1");
        let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        XChaCha20Poly1305::new((&*key).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_name_alone() {
        let key = SiteKey::new([7; 32]);
        let sealed = key.seal("login o1", b"a secret", [1; NONCE_BYTES]);
        assert!(!sealed.windows(8).any(|part| part == b"a secret"));
        assert_eq!(key.open("login o1", &sealed).unwrap().as_slice(), b"a secret");
        assert_ne!(key.seal("login o1", b"a secret", [2; NONCE_BYTES]), sealed);
        assert_eq!(key.open("login o2", &sealed), None);
        assert_eq!(SiteKey::new([8; 32]).open("login o1", &sealed), None);
        for (at, _) in sealed.iter().enumerate() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open("login o1", &changed), None, "byte {at}");
        }
        assert_eq!(key.open("login o1", &sealed[..NONCE_BYTES - 1]), None);
    }
}
