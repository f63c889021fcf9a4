//! The key pair of one operation.

use std::fmt;
use std::sync::Arc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use zeroize::Zeroizing;

/// What a private key of Ed25519 is made from (RFC 8032).
pub const SEED_BYTES: usize = 32;

/// An Ed25519 key pair. `Debug` shows its public half alone.
#[derive(Clone)]
pub struct LoginKey {
    private: Arc<PrivateKey>,
    seed: Zeroizing<[u8; SEED_BYTES]>,
}

impl LoginKey {
    /// A pair that nobody has had before.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(&mut *seed)?;
        Ok(Self::from_seed(seed))
    }

    /// The pair that this seed makes.
    pub fn from_seed(seed: Zeroizing<[u8; SEED_BYTES]>) -> Self {
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
        let private = PrivateKey::new(pair, "").expect("a pair without a password is a key");
        Self { private: Arc::new(private), seed }
    }

    /// What it is made from: to be sealed at once.
    pub fn seed(&self) -> &[u8; SEED_BYTES] {
        &self.seed
    }

    /// The public half as a line of `authorized_keys`.
    pub fn public_line(&self, comment: &str) -> String {
        let line = self.private.public_key().to_openssh().expect("a public key has a text");
        format!("{} {comment}", line.trim())
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        self.private.clone()
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginKey({})", self.public_line("").trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_is_another_one_and_comes_back_from_its_seed() {
        let (a, b) = (LoginKey::generate().unwrap(), LoginKey::generate().unwrap());
        let line = a.public_line("ironwake-o1");
        assert!(line.starts_with("ssh-ed25519 AAAA") && line.ends_with(" ironwake-o1"), "{line}");
        assert_ne!(line, b.public_line("ironwake-o1"));
        assert_eq!(LoginKey::from_seed(Zeroizing::new(*a.seed())).public_line("ironwake-o1"), line);
        assert!(!format!("{a:?}").contains("PRIVATE"));
    }
}
