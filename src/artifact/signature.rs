//! Detached OpenPGP signatures (RFC 9580) of images and lists of checksums.
//!
//! Trusted are the keys that the operator gives with an import, and no others: there is no web of trust here. What
//! is asked of such a key is that it says itself that it may sign, and that it is neither revoked nor expired.

use std::io::Read;
use std::time::Duration;

use ironwake_api::Millis;
use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, Timestamp, VerifyingKey};

/// Largest file of signatures: one has some hundred bytes.
pub const SIGNATURE_BYTES_MAX: usize = 64 << 10;
/// Keys of one keyring, and signatures of one file.
const KEYS_MAX: usize = 256;
const SIGNATURES_MAX: usize = 16;
/// Clocks differ: a signature may be this much from the future.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);
/// Digests that nobody can forge; older keys and signatures have SHA-1 or worse.
const STRONG: &[HashAlgorithm] = &[
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
    HashAlgorithm::Sha224,
    HashAlgorithm::Sha3_256,
    HashAlgorithm::Sha3_512,
];

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The keys cannot be read.
    #[error(
        "the keyring has no OpenPGP public key that can be read: `gpg --export --armor KEY` writes one{0}"
    )]
    Keyring(String),
    /// The signature cannot be read.
    #[error("the signature cannot be read: expected a detached one of OpenPGP (.asc, .sig, .gpg){0}")]
    Unreadable(String),
    /// None of the keys made it.
    #[error("{what} was signed by the key {signer}, which is not in the keyring")]
    Stranger {
        /// What was signed.
        what: &'static str,
        /// Who signed.
        signer: String,
    },
    /// The key, or how it was used, is no good.
    #[error("{what} was signed by the key {signer}, which does not count: {why}")]
    Unfit {
        /// What was signed.
        what: &'static str,
        /// Who signed.
        signer: String,
        /// Why.
        why: String,
    },
    /// It is the signature of something else.
    #[error("{what} is not what the key {signer} signed: nothing is kept")]
    Tampered {
        /// What was signed.
        what: &'static str,
        /// Who signed.
        signer: String,
    },
}

/// Public keys whose signatures count.
pub struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Reads keys, armoured or not.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadSignature> {
        let keys = match SignedPublicKey::from_reader_many(bytes) {
            Ok((keys, _)) => keys,
            Err(error) => return Err(BadSignature::Keyring(format!(" ({error})"))),
        };
        // One key of a kind that is not known here does not spoil the others.
        let keys: Vec<_> = keys.take(KEYS_MAX).filter_map(Result::ok).collect();
        match keys.is_empty() {
            true => Err(BadSignature::Keyring(String::new())),
            false => Ok(Self(keys)),
        }
    }

    /// Whose key signed all of `data`, which errors call `what`.
    pub fn verify(
        &self,
        what: &'static str,
        signature: &[u8],
        data: &[u8],
        now: Millis,
    ) -> Result<String, BadSignature> {
        let unreadable = |why: &dyn std::fmt::Display| BadSignature::Unreadable(format!(" ({why})"));
        let (found, _) =
            DetachedSignature::from_reader_many(signature).map_err(|error| unreadable(&error))?;
        let found: Vec<_> = found.take(SIGNATURES_MAX).filter_map(Result::ok).collect();
        let mut worst = BadSignature::Unreadable(String::new());
        for DetachedSignature { signature } in found {
            match self.verify_one(what, &signature, data, now) {
                Ok(signer) => return Ok(signer),
                // A stranger's signature beside one that does not count says less.
                Err(BadSignature::Stranger { .. }) if !matches!(worst, BadSignature::Unreadable(_)) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    fn verify_one(
        &self,
        what: &'static str,
        signature: &Signature,
        data: &[u8],
        now: Millis,
    ) -> Result<String, BadSignature> {
        let signer = signer(signature);
        let Some((key, part)) = self.0.iter().find_map(|key| Some((key, part(key, signature)?))) else {
            return Err(BadSignature::Stranger { what, signer });
        };
        let unfit = |why: String| BadSignature::Unfit { what, signer: signer.clone(), why };
        fresh(signature, now).map_err(unfit)?;
        primary_fits(key, matches!(part, Part::Primary), now).map_err(unfit)?;
        let verified = match part {
            Part::Primary => verified(signature, &key.primary_key, data),
            Part::Subkey(subkey) => {
                subkey_fits(key, subkey, now).map_err(unfit)?;
                verified(signature, &subkey.key, data)
            }
        };
        if !verified {
            return Err(BadSignature::Tampered { what, signer });
        }
        let name = key.details.users.first().and_then(|user| user.id.as_str());
        let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(format!("{:X} {name}", key.fingerprint()).trim_end().to_owned())
    }
}

/// Which part of a key signed.
enum Part<'k> {
    Primary,
    Subkey(&'k SignedPublicSubKey),
}

fn part<'k>(key: &'k SignedPublicKey, signature: &Signature) -> Option<Part<'k>> {
    if made_by(signature, &key.primary_key) {
        return Some(Part::Primary);
    }
    key.public_subkeys.iter().find(|subkey| made_by(signature, &subkey.key)).map(Part::Subkey)
}

fn made_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    match signature.issuer_fingerprint()[..] {
        [] => signature.issuer_key_id().into_iter().any(|id| *id == key.legacy_key_id()),
        ref named => named.iter().any(|fingerprint| **fingerprint == key.fingerprint()),
    }
}

fn signer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "(it names none)".into())
}

fn verified(signature: &Signature, key: &impl VerifyingKey, data: impl Read) -> bool {
    signature.verify(key, data).is_ok()
}

/// Whether the signature itself is one of data, strong, and of our time.
fn fresh(signature: &Signature, now: Millis) -> Result<(), String> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("it is not a signature of data".into());
    }
    if !is_strong(signature) {
        return Err("its digest is too weak (SHA-1 or worse)".into());
    }
    let Some(created) = signature.created() else {
        return Err("it does not say when it was made".into());
    };
    if seconds(created) > now / 1000 + AHEAD_MAX.as_secs() {
        return Err("it was made in the future: compare this host's clock".into());
    }
    let lasts = signature.signature_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    match lasts > 0 && seconds(created) + lasts < now / 1000 {
        true => Err("the signature has expired".into()),
        false => Ok(()),
    }
}

/// Whether a key counts at all, by its newest word about itself.
fn primary_fits(key: &SignedPublicKey, signs_itself: bool, now: Millis) -> Result<(), String> {
    // A revocation counts unread: whoever put one into the keyring means it.
    if !key.details.revocation_signatures.is_empty() {
        return Err("it is revoked".into());
    }
    let primary = &key.primary_key;
    let of_users = key.details.users.iter().flat_map(|user| {
        let own = |signature: &&Signature| {
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(own)
    });
    let direct = key.details.direct_signatures.iter().filter(|word| word.verify_key(primary).is_ok());
    let newest = of_users.chain(direct).max_by_key(|word| word.created().map(seconds));
    let Some(newest) = newest else { return Err("it says nothing about itself that can be verified".into()) };
    not_expired(primary, newest, now)?;
    let flags = newest.key_flags();
    // A key without flags may do what its algorithm can.
    let silent = !flags.sign() && !flags.certify() && !flags.encrypt_comms() && !flags.encrypt_storage();
    match signs_itself && !silent && !flags.sign() {
        true => Err("it is not made for signing".into()),
        false => Ok(()),
    }
}

/// Whether a part of a key belongs to it and may sign.
fn subkey_fits(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: Millis) -> Result<(), String> {
    let revoked = |word: &Signature| word.typ() == Some(SignatureType::SubkeyRevocation);
    if subkey.signatures.iter().any(revoked) {
        return Err("it is revoked".into());
    }
    let primary = &key.primary_key;
    let bound = subkey
        .signatures
        .iter()
        .filter(|word| is_strong(word) && word.verify_subkey_binding(primary, &subkey.key).is_ok());
    let Some(newest) = bound.max_by_key(|word| word.created().map(seconds)) else {
        return Err("nothing that can be verified binds it to its key".into());
    };
    // Without its own word, anybody could bind somebody's key to theirs.
    let agrees = newest
        .embedded_signature()
        .is_some_and(|word| word.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !newest.key_flags().sign() || !agrees {
        return Err("it is not made for signing".into());
    }
    not_expired(&subkey.key, newest, now)
}

fn not_expired(key: &impl KeyDetails, word: &Signature, now: Millis) -> Result<(), String> {
    let lasts = word.key_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    match lasts > 0 && seconds(key.created_at()) + lasts < now / 1000 {
        true => Err("it has expired: keys are often extended, so look for a newer copy of it".into()),
        false => Ok(()),
    }
}

fn is_strong(signature: &Signature) -> bool {
    signature.hash_alg().is_some_and(|digest| STRONG.contains(&digest))
}

fn seconds(at: Timestamp) -> u64 {
    u64::from(at.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_key_and_no_signature_is_refused() {
        for bytes in [&b""[..], b"hello", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END", &[0x99; 40]] {
            assert!(matches!(Keyring::parse(bytes), Err(BadSignature::Keyring(_))), "{bytes:?}");
            let error = Keyring(Vec::new()).verify("the image", bytes, b"data", 0).unwrap_err();
            assert!(matches!(error, BadSignature::Unreadable(_)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), tag in 0xc0_u8..) {
            let tagged = [&[tag], &bytes[..]].concat();
            let _ = Keyring::parse(&tagged);
            let _ = Keyring(Vec::new()).verify("the image", &tagged, &bytes, 0);
        }
    }
}
