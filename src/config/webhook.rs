//! `[[webhook]]` and `[registration]`: what is told to others over HTTP.

use std::ops::Range;
use std::path::PathBuf;

use hyper::header::{HeaderName, HeaderValue};
use ironwake_api::EventKind;
use minijinja::Environment;

use super::value::{Wrong, line, path};
use crate::document::value::quoted;
use crate::document::{At, Field, Findings, Reader, Section};
use crate::profile::Secret;

/// Webhooks at once: each has a task and a place in the store.
const WEBHOOKS_MAX: usize = 64;
/// Longest URL, template and header.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The name that registration has in the log of deliveries.
pub const REGISTRATION: &str = "registration";

/// `[[webhook]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it is called in the log.
    pub name: String,
    /// Where events are sent. It may hold a secret in its path.
    pub url: Secret<String>,
    /// Patterns of event names; all without any.
    pub events: Vec<String>,
    /// What deliveries are signed with.
    pub secret: Option<SecretSource>,
    /// A file with certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// `[registration]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Template of the URL.
    pub url: Secret<String>,
    /// `POST`, `PUT` or `PATCH`.
    pub method: &'static str,
    /// `Name: value`
    pub headers: Vec<Secret<String>>,
    /// More of these, a line each.
    pub headers_file: Option<PathBuf>,
    /// Template of the body; the machine, its host and the operation as JSON without one.
    pub template: Option<String>,
    /// A file with certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The configuration.
    Written(Secret<String>),
    /// A file, read for each delivery.
    File(PathBuf),
    /// A credential that systemd passes.
    Credential(String),
}

/// The engine for URL and body of a registration. The file that is its configuration vouches for it, so values are written as
/// they are; `json` writes one as JSON.
pub fn templates<'s>() -> Environment<'s> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("json", |value: minijinja::Value| {
        serde_json::to_string(&value)
            .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string()))
    });
    environment
}

/// The same for a URL: what a host says of itself cannot become more than a part of a path or a query.
pub fn url_templates<'s>() -> Environment<'s> {
    let mut environment = templates();
    environment.set_formatter(|out, _, value| {
        if value.is_undefined() {
            return Err(minijinja::ErrorKind::UndefinedError.into());
        }
        let text = value.to_string();
        for byte in text.bytes() {
            // RFC 3986, section 2.3: unreserved.
            match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                true => write!(out, "{}", byte as char)?,
                false => write!(out, "%{byte:02X}")?,
            }
        }
        Ok(())
    });
    environment
}

/// `[[webhook]]` as it is written.
pub(super) struct RawWebhook {
    span: Range<usize>,
    name: Field<String>,
    url: Field<String>,
    events: Field<Vec<At<String>>>,
    secret: Field<String>,
    secret_file: Field<PathBuf>,
    secret_credential: Field<String>,
    ca_file: Field<PathBuf>,
}

/// `[registration]` as it is written.
pub(super) struct RawRegistration {
    span: Range<usize>,
    url: Field<String>,
    method: Field<&'static str>,
    headers: Field<Vec<At<String>>>,
    headers_file: Field<PathBuf>,
    template: Field<String>,
    ca_file: Field<PathBuf>,
}

pub(super) fn read_webhook(
    section: Section<'_, '_>,
    span: Range<usize>,
    findings: &mut Findings,
) -> RawWebhook {
    let mut reader = Reader::new(section, findings);
    let webhook = RawWebhook {
        span,
        name: reader.text("name", "chat", name),
        url: reader.secret("url", url),
        events: reader.texts("events", "operation_*", pattern),
        secret: reader.secret("secret", secret),
        secret_file: reader.text("secret_file", "/etc/ironwake/webhook.secret", path),
        secret_credential: reader.text("secret_credential", "webhook.secret", name),
        ca_file: reader.text("ca_file", "/etc/ironwake/ca.pem", path),
    };
    reader.finish();
    webhook
}

pub(super) fn read_registration(
    section: Section<'_, '_>,
    span: Range<usize>,
    findings: &mut Findings,
) -> RawRegistration {
    let mut reader = Reader::new(section, findings);
    let registration = RawRegistration {
        span,
        url: reader.secret("url", url_template),
        method: reader.text("method", "PUT", method),
        headers: reader.secrets("headers", header),
        headers_file: reader.text("headers_file", "/etc/ironwake/registration.headers", path),
        template: reader.text("template", "{\"name\": {{ host.hostname | json }}}", template),
        ca_file: reader.text("ca_file", "/etc/ironwake/ca.pem", path),
    };
    reader.finish();
    registration
}

pub(super) fn check_webhooks(raw: Vec<RawWebhook>, findings: &mut Findings) -> Vec<Webhook> {
    if let Some(webhook) = raw.get(WEBHOOKS_MAX) {
        findings.add(webhook.span.clone(), format!("more than {WEBHOOKS_MAX} webhooks"), None);
        return Vec::new();
    }
    let mut webhooks: Vec<Webhook> = Vec::new();
    for raw in raw {
        for (absent, key) in [(raw.name.is_absent(), "name"), (raw.url.is_absent(), "url")] {
            if absent {
                let help = format!("add {key} = \"…\"");
                findings.add(raw.span.clone(), format!("this [[webhook]] has no {key}"), help);
            }
        }
        if let Some(name) = raw.name.given() {
            let taken = webhooks.iter().any(|other| other.name == name.value);
            if taken || name.value == REGISTRATION {
                let message = format!("the name {:?} is taken", name.value);
                findings.add(name.span.clone(), message, "give each its own name".to_owned());
            }
        }
        let sources = [
            raw.secret
                .given()
                .map(|at| (at.span.clone(), SecretSource::Written(Secret::new(at.value.clone())))),
            raw.secret_file.given().map(|at| (at.span.clone(), SecretSource::File(at.value.clone()))),
            raw.secret_credential
                .given()
                .map(|at| (at.span.clone(), SecretSource::Credential(at.value.clone()))),
        ];
        let mut sources = sources.into_iter().flatten();
        let secret = sources.next().map(|(_, source)| source);
        if let Some((span, _)) = sources.next() {
            findings.add(span, "this [[webhook]] has several secrets", "keep one of them".to_owned());
        }
        webhooks.push(Webhook {
            name: raw.name.value_or(String::new()),
            url: Secret::new(raw.url.value_or(String::new())),
            events: raw.events.value().unwrap_or_default().into_iter().map(|at| at.value).collect(),
            secret,
            ca_file: raw.ca_file.value(),
        });
    }
    webhooks
}

pub(super) fn check_registration(
    raw: Option<RawRegistration>,
    findings: &mut Findings,
) -> Option<Registration> {
    let raw = raw?;
    if raw.url.is_absent() {
        let help = "add url = \"https://…\", or remove the section".to_owned();
        findings.add(raw.span, "[registration] says nowhere to register", help);
    }
    let headers = raw.headers.value().unwrap_or_default();
    Some(Registration {
        url: Secret::new(raw.url.value_or(String::new())),
        method: raw.method.value_or("POST"),
        headers: headers.into_iter().map(|at| Secret::new(at.value)).collect(),
        headers_file: raw.headers_file.value(),
        template: raw.template.value(),
        ca_file: raw.ca_file.value(),
    })
}

fn name(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.len() <= 63 && text.chars().all(legal) && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err((format!("{} is not a name", quoted(text)), "1 to 63 letters, digits and . _ -".into()))
}

fn url(text: &str) -> Result<String, Wrong> {
    let legal = |uri: &hyper::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.host().is_some_and(|host| !host.is_empty())
    };
    match text.parse::<hyper::Uri>().ok().filter(legal) {
        Some(_) => Ok(text.to_owned()),
        // Not repeated: it may hold a secret.
        None => Err((
            "it is no URL to send to".into(),
            "http or https, without user and password, such as \"https://hooks.example.org/a\"".into(),
        )),
    }
}

fn url_template(text: &str) -> Result<String, Wrong> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.is_empty() || host.contains(['@', '{', ' ']) {
        return Err((
            "it is no URL to send to".into(),
            "https://HOST/PATH, without user and password, and with a host that is always the same".into(),
        ));
    }
    // What the engine says of it may repeat a part.
    template(text).map_err(|_| {
        (
            "it is no template".into(),
            "as in profiles: https://inventory.example.org/hosts/{{ machine.id }}".into(),
        )
    })
}

fn template(text: &str) -> Result<String, Wrong> {
    if text.len() > TEXT_BYTES_MAX {
        return Err((format!("it has {} bytes", text.len()), format!("at most {TEXT_BYTES_MAX}")));
    }
    match templates().template_from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err((format!("it is no template: {error}"), "as in profiles: {{ machine.id }}".into())),
    }
}

fn method(text: &str) -> Result<&'static str, Wrong> {
    let methods = [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH")];
    crate::document::value::word(text, &methods)
}

fn header(text: &str) -> Result<String, Wrong> {
    match parse_header(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(("it is no header".into(), "\"Name: value\"".into())),
    }
}

/// `Name: value` as a header.
pub fn parse_header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

fn secret(text: &str) -> Result<String, Wrong> {
    match text.len() {
        16.. => Ok(text.to_owned()),
        _ => Err(("a secret that is too short".into(), "at least 16 characters".into())),
    }
}

fn pattern(text: &str) -> Result<String, Wrong> {
    let text = line(text)?;
    match EventKind::NAMES.iter().any(|name| crate::machine::glob(&text, name)) {
        true => Ok(text),
        false => {
            let near = crate::document::nearest(&text, EventKind::NAMES);
            let help = near.map_or("`ironwake events` shows their names".into(), |near| {
                format!("did you mean {near:?}?")
            });
            Err((format!("no event is called {}", quoted(&text)), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    /// What is wrong with a text is told without what is secret in it.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = Config::parse(text, "f").expect_err("wrong").to_string();
        assert!(!said.contains("hunter"), "{said}");
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn a_secret_that_cannot_be_parsed_is_not_shown() {
        check("[[webhook]]\nsecret = \"hunter2\n", "2 | secret =***");
        check("[[webhook]]\nsecret = \"hunter2", "2 | secret =***");
        check("[[webhook]]\nurl = https://user:hunter@host/?t=hunter\n", "2 | url =***");
        check("[[webhook]]\nname = \"a\", url = \"http://hunter\"\n", "2 | name = \"a\", url =***");
        check(
            "webhook = [{ name = \"a\", secret = \"hunter }]\n",
            "1 | webhook = [{ name = \"a\", secret =***",
        );
        check("[values]\npassword = \"hunter2\n", "2 | password =***");
        check("[tag.\"rack=a\".values]\npassword = hunter2\n", "2 | password =***");
        check("values.password = hunter2\n", "1 | values.password =***");
        check("[registration]\nheaders = [\n  \"Token: hunter,\n]\n", "3 | ***");
        check("[values]\nkeys = [\n  \"hunter,\n]\n", "3 | ***");
        check("[http]\nlisten = \"10.0.0.1:80\n", "2 | listen = \"10.0.0.1:80");
    }

    #[test]
    fn a_secret_that_is_wrong_is_not_shown() {
        let network = "[[network]]\ninterface = \"br0\"\n";
        let check = |text: &str, expected: &str| check(&format!("{text}\n{network}"), expected);
        check("[[webhook]]\nname = \"a\"\nurl = \"https://user:hunter@host/\"", "url = ***\n");
        check("[[webhook]]\nname = \"a\"\nurl = \"ftp://host/?token=hunter\"", "it is no URL to send to");
        check("[[webhook]]\nname = \"a\"\nurl = [\"hunter\"]", "this is no string");
        check("[[webhook]]\nname = \"a\"\nurl = \"http://h\"\nsecret = \"hunter\"", "secret = ***");
        check("[[webhook]]\nname = \"a\"\nurl = \"http://h\"\nsecret = {hunter2 = 1}", "this is no string");
        check("[registration]\nurl = \"http://h/{{ hunter2\"", "it is no template");
        check("[registration]\nurl = \"http://h/\"\nheaders = [\"X: y\", \"hunter2\"]", "it is no header");
        check("[registration]\nurl = \"http://h/\"\nheaders = {hunter2 = 1}", "this is no string");
        check("[[webhook]]\nurl = \"http://hunter/\"", "this [[webhook]] has no name");
        check("webhook = [{ name = \"é\", url = \"http://hunter/\" }]", "is not a name");
        check("registration = [{ url = \"http://hunter/\" }]", "should be a table");
        check("webhook = { url = \"http://hunter/\" }", "should be a list of tables");
        check("values = \"hunter2\"", "should be a table");
        check("[[webhook]]\nsercet = \"hunter2\"", "did you mean `secret`?");
        check("[[network]]\nsecret = \"hunter2\"", "unknown key `secret` in [[network]]");
    }
}
