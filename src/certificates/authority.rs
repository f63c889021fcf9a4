//! The appliance's own certificate authority: made at the first start, kept beside the database.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{CertificateError, fingerprint};
use crate::private;

/// In the state directory: certificate and key in one file, so that they are never of two authorities.
const FILE: &str = "authority.pem";
/// A certificate and a key have a kilobyte.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Every client has to be given its successor by hand, so it outlives the appliance.
const LIFE: Duration = Duration::from_secs(25 * 366 * 86_400);
/// 2026-01-01. A host without a battery believes that it is 1970 at its first start.
const CLOCK_MIN: Duration = Duration::from_secs(1_767_225_600);
/// A client's clock may be behind this one.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);
/// The authority is good from 2020-01-01 on, whatever the clock said when it was made.
const BEGIN: Duration = Duration::from_secs(1_577_836_800);

/// An authority that issues certificates for the API.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    fingerprint: String,
    expires_at: SystemTime,
}

/// A certificate of this authority and its key, which lives in memory only.
pub(super) struct Issued {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    pub expires_at: SystemTime,
}

impl Authority {
    /// Reads the authority of a state directory, or makes it.
    pub fn open(state: &Path, now: SystemTime) -> Result<Self, CertificateError> {
        let path = state.join(FILE);
        let wrong = |why: String| CertificateError::Authority { path: path.clone(), why };
        if let Some(bytes) = private::read(&path, FILE_BYTES_MAX)? {
            let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text".into()))?;
            return Self::parse(&text).map_err(wrong);
        }
        let text = make(now).map_err(|error| wrong(error.to_string()))?;
        let made = Self::parse(&text).map_err(wrong)?;
        private::write(&path, text.as_bytes())?;
        tracing::info!(fingerprint = made.fingerprint, "made a certificate authority for the API");
        Ok(made)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let key =
            PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| format!("its key: {error}"))?;
        let key = KeyPair::try_from(&key).map_err(|error| format!("its key: {error}"))?;
        let der = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| format!("its certificate: {error}"))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&der).map_err(|error| format!("its certificate: {error}"))?;
        let same = parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
        if !same {
            return Err("its key is not that of its certificate".into());
        }
        let secs = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
        // Its text without the key; PEM is the same text for the same bytes.
        let end = "-----END CERTIFICATE-----\n";
        let length = text.find(end).map(|at| at + end.len()).ok_or("its certificate does not end")?;
        Ok(Self {
            fingerprint: fingerprint(&der),
            issuer: Issuer::from_ca_cert_der(&der, key).map_err(|error| error.to_string())?,
            certificate: text[..length].to_owned(),
            expires_at: UNIX_EPOCH + Duration::from_secs(secs),
        })
    }

    /// What clients are given.
    pub fn shown(&self) -> ironwake_api::Authority {
        let expires = self.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        ironwake_api::Authority {
            certificate: self.certificate.clone(),
            fingerprint: self.fingerprint.clone(),
            expires_at: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A certificate of a server with these names and addresses.
    pub(super) fn issue(
        &self,
        names: &[String],
        now: SystemTime,
        life: Duration,
    ) -> Result<Issued, CertificateError> {
        let failed = |error: rcgen::Error| CertificateError::Issue(error.to_string());
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial()?);
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + life).into();
        params.distinguished_name = named("Ironwake API");
        params.subject_alt_names =
            names.iter().map(|name| alternative(name)).collect::<Result<_, _>>().map_err(failed)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            expires_at: now + life,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.fingerprint)
    }
}

/// Certificate and key of a fresh authority, in PEM.
fn make(now: SystemTime) -> Result<String, CertificateError> {
    let failed = |error: rcgen::Error| CertificateError::Issue(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    let serial = serial()?;
    // Appliances are told apart where a client trusts several.
    let own: String = serial.to_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.serial_number = Some(serial);
    params.not_before = (UNIX_EPOCH + BEGIN).into();
    params.not_after = (now.max(UNIX_EPOCH + CLOCK_MIN) + LIFE).into();
    params.distinguished_name = named(&format!("Ironwake {own}"));
    // It signs servers, and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(failed)?;
    // One line end for both, whatever the crate writes.
    let text = format!("{}{}", certificate.pem(), key.serialize_pem());
    Ok(text.replace("\r\n", "\n"))
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn alternative(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

/// Positive, and unguessable (CA/Browser Forum Baseline Requirements, section 7.1).
fn serial() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| CertificateError::Issue(format!("take random bytes: {error}")))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
