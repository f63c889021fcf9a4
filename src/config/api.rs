//! `[api]`: the operators' API over HTTPS.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::value;
use crate::document::value::{Wrong, hostname, quoted};
use crate::document::{At, Field, Findings, Reader, Section};

/// `[api]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Api {
    /// Where it listens; nowhere by default.
    pub listen: Option<SocketAddr>,
    /// A certificate of the operator's, in place of one of the appliance's own authority.
    pub certificate: Option<CertificateFiles>,
    /// Further names and addresses in the certificate of the own authority.
    pub names: Vec<String>,
}

/// `api.certificate` and `api.key`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and those that lead from it to an authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What the section says.
pub(super) struct RawApi {
    pub listen: Field<SocketAddr>,
    pub certificate: Field<PathBuf>,
    pub key: Field<PathBuf>,
    pub names: Field<Vec<At<String>>>,
}

pub(super) fn read(section: Option<Section<'_, '_>>, findings: &mut Findings) -> RawApi {
    let mut reader = Reader::new(section, findings);
    let api = RawApi {
        listen: reader.text("listen", "0.0.0.0:8443", listen),
        certificate: reader.text("certificate", "/etc/ironwake/api.crt", value::path),
        key: reader.text("key", "/etc/ironwake/api.key", value::path),
        names: reader.texts("names", "boot.example.org", name),
    };
    reader.finish();
    api
}

/// `http` is where machines are served, and where that is said.
pub(super) fn check(raw: RawApi, http: SocketAddr, findings: &mut Findings) -> Api {
    if let Some(at) = raw.listen.given() {
        let (ours, theirs) = (at.value, http);
        let same = ours.ip() == theirs.ip() || ours.ip().is_unspecified() || theirs.ip().is_unspecified();
        if same && ours.port() == theirs.port() {
            let message =
                format!("port {} is where machines are served without TLS, [http] listen", ours.port());
            findings.add(at.span.clone(), message, "another port, such as 8443".to_owned());
        }
    }
    let mut lacks = |given: &Field<PathBuf>, other: &Field<PathBuf>, what: &str| {
        if let (Some(at), true) = (given.given(), other.is_absent()) {
            let help = format!("add {what} = \"/etc/ironwake/api.{what}\"");
            findings.add(at.span.clone(), format!("there is no {what} that belongs to it"), help);
        }
    };
    lacks(&raw.certificate, &raw.key, "key");
    lacks(&raw.key, &raw.certificate, "certificate");
    if let (Some(at), false) = (raw.names.given(), raw.certificate.is_absent()) {
        let help = "remove names, or certificate and key".to_owned();
        findings.add(at.span.clone(), "a certificate that is given has names of its own", help);
    }
    let files = raw.certificate.value().zip(raw.key.value());
    Api {
        listen: raw.listen.value(),
        certificate: files.map(|(certificate, key)| CertificateFiles { certificate, key }),
        names: raw.names.value().unwrap_or_default().into_iter().map(|at| at.value).collect(),
    }
}

/// An address of either family; clients are told the port too.
fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    let help = || "an address and a port, such as \"0.0.0.0:8443\" or \"[::]:8443\"".to_owned();
    let wrong = |why: &str| (format!("{} {why}", quoted(text)), help());
    let read: SocketAddr = text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(_) => wrong("has no port"),
        Err(_) => wrong("is not an address and a port"),
    })?;
    if read.port() == 0 {
        return Err(wrong("leaves the port open, and operators have to know it"));
    }
    if read.ip().is_multicast() || read.ip() == IpAddr::from([255, 255, 255, 255]) {
        return Err(wrong("is not an address to listen on"));
    }
    Ok(read)
}

/// A host name or an address.
fn name(text: &str) -> Result<String, Wrong> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => hostname(text).map(|name| name.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[track_caller]
    fn check(section: &str, expected: &[&str]) {
        let text = format!("[[network]]\ninterface = \"br0\"\n[api]\n{section}\n");
        let said = match Config::parse(&text, "f") {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.list.into_iter().map(|mistake| mistake.message).collect(),
        };
        assert_eq!(said, expected, "{section}");
    }

    #[test]
    fn it_is_off_unless_it_is_told_where_to_listen() {
        let config = Config::parse("[[network]]\ninterface = \"br0\"\n", "f").expect("legal");
        assert_eq!(config.api, super::Api::default());
        check("listen = \"0.0.0.0:8443\"", &[]);
        check("listen = \"[::]:8443\"\nnames = [\"Boot.example.org\", \"2001:db8::1\"]", &[]);
        check("listen = \"10.0.0.1\"", &["\"10.0.0.1\" has no port"]);
        check(
            "listen = \"0.0.0.0:0\"",
            &["\"0.0.0.0:0\" leaves the port open, and operators have to know it"],
        );
        check("listen = \"224.0.0.1:8443\"", &["\"224.0.0.1:8443\" is not an address to listen on"]);
        check("names = \"a b\"", &["\"a b\" is not a host name"]);
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        check(
            "listen = \"10.0.0.1:8080\"",
            &["port 8080 is where machines are served without TLS, [http] listen"],
        );
        check("certificate = \"/a.crt\"", &["there is no key that belongs to it"]);
        check("key = \"/a.key\"", &["there is no certificate that belongs to it"]);
        let names = "a certificate that is given has names of its own";
        check("certificate = \"/a.crt\"\nkey = \"/a.key\"\nnames = \"a\"", &[names]);
    }
}
