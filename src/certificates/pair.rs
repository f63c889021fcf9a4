//! A certificate with its key, ready to be served: issued, or read from two files.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::Authority;
use super::{CertificateError, Shown, fingerprint, names};

/// How long a certificate of our own is good for.
pub(super) const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// It is renewed when less than this is left: a month, in which an operator may look why it was not.
pub(super) const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// A file of an operator: a chain of certificates has some kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What connections are served with.
pub(super) struct Pair {
    pub config: Arc<ServerConfig>,
    pub shown: Shown,
    /// What it was made of: the names, or what the files held.
    made_of: MadeOf,
    issued_at: SystemTime,
}

#[derive(PartialEq, Eq)]
enum MadeOf {
    Names(Vec<String>),
    Files(Vec<u8>, Vec<u8>),
}

/// A certificate of our own, where `before` does not do any more.
pub(super) fn own(
    authority: &Authority,
    further: &[String],
    before: Option<&Pair>,
    now: SystemTime,
) -> Result<Option<Pair>, CertificateError> {
    let made_of = MadeOf::Names(names::of_this_host(further));
    let fresh = |pair: &&Pair| {
        // Of a clock that was set back, nothing is known but that it was wrong.
        let left = pair.shown.expires_at.duration_since(now).unwrap_or_default();
        left > RENEW_BEFORE && pair.issued_at <= now && pair.made_of == made_of
    };
    if before.as_ref().is_some_and(fresh) {
        return Ok(None);
    }
    let MadeOf::Names(names) = &made_of else { return Ok(None) };
    let issued = authority.issue(names, now, LIFE)?;
    let shown = Shown { fingerprint: fingerprint(&issued.certificate), expires_at: issued.expires_at };
    let config = config(vec![issued.certificate], issued.key).map_err(CertificateError::Issue)?;
    Ok(Some(Pair { config, shown, made_of, issued_at: now }))
}

/// What two files hold, where that is something else than `before`.
pub(super) fn given(
    certificate: &Path,
    key: &Path,
    before: Option<&Pair>,
    now: SystemTime,
) -> Result<Option<Pair>, CertificateError> {
    let made_of = MadeOf::Files(read(certificate)?, read(key)?);
    if before.is_some_and(|pair| pair.made_of == made_of) {
        return Ok(None);
    }
    let MadeOf::Files(certificates, private) = &made_of else { return Ok(None) };
    let wrong = |path: &Path, why: String| CertificateError::Given { path: path.into(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(certificate, format!("it is not PEM: {error}")))?;
    let Some(first) = chain.first() else {
        return Err(wrong(certificate, "there is no certificate in it, as PEM".into()));
    };
    let (begins, expires_at) = validity(first).map_err(|why| wrong(certificate, why))?;
    if expires_at <= now {
        return Err(wrong(certificate, "it has ended: renew it".into()));
    }
    if begins > now {
        return Err(wrong(certificate, "it is not good yet: is the clock of this host right?".into()));
    }
    let shown = Shown { fingerprint: fingerprint(first), expires_at };
    let private = PrivateKeyDer::from_pem_slice(private)
        .map_err(|_| wrong(key, "there is no private key in it, as PEM without a passphrase".into()))?;
    let config = config(chain, private)
        .map_err(|why| wrong(key, format!("not of {}: {why}", certificate.display())))?;
    Ok(Some(Pair { config, shown, made_of, issued_at: now }))
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|source| CertificateError::Read { path: path.into(), source })?;
    Ok(bytes)
}

fn validity(certificate: &CertificateDer<'_>) -> Result<(SystemTime, SystemTime), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| format!("its first certificate cannot be read: {error}"))?;
    let at = |secs: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(secs).unwrap_or_default());
    let validity = parsed.validity();
    Ok((at(validity.not_before.timestamp()), at(validity.not_after.timestamp())))
}

/// TLS 1.3 alone: every client of this decade speaks it, and nothing in it can be chosen badly.
fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
