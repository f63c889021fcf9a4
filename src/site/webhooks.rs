//! Webhooks: each event that one wants is sent, in order, until it is taken or given up. How far each is stands in the
//! store, so nothing is lost by a restart, and nothing is queued in memory.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderName, HeaderValue};
use ironwake_api::{
    Actor, DeliveryOutcome, Event, EventKind, OperationKind, OperationState, WebhookDelivery,
};
use sha2::Sha256;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Site, SiteError};
use crate::config::{
    Config, REGISTRATION, Registration, SecretSource, Webhook, parse_header, templates, url_templates,
};
use crate::machine::glob;
use crate::remote::push::{Answer, Outgoing, SendError, origin, send};
use crate::store::Change;

/// Events that are read at once.
const PAGE: u32 = 100;
/// Tries of one event. With pauses that double to the longest, about two hours.
pub const TRIES_MAX: u32 = 20;
/// The first pause before an event is sent again, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// A secret's file; a longer one is another file.
const SECRET_BYTES_MAX: u64 = 4096;
/// Deliveries of one answer.
const DELIVERIES_SHOWN: u32 = 100;

/// Who is told.
#[derive(Debug, Clone)]
pub(super) enum Receiver {
    Webhook(Webhook),
    Registration(Registration),
}

/// How one try went.
struct Tried {
    status: Option<u16>,
    problem: Option<String>,
    again: bool,
}

/// Why nothing can be sent, without secrets.
struct Unsendable {
    problem: String,
    /// Files may be there in a while, or be mended; what is in the event and in the configuration stays as it is.
    again: bool,
}

impl Unsendable {
    fn lasting(problem: impl std::fmt::Display) -> Self {
        Self { problem: problem.to_string(), again: false }
    }

    fn passing(problem: impl std::fmt::Display) -> Self {
        Self { problem: problem.to_string(), again: true }
    }
}

/// Everyone that the configuration names.
pub(super) fn receivers(config: &Config) -> Vec<Receiver> {
    let webhooks = config.webhooks.iter().cloned().map(Receiver::Webhook);
    webhooks.chain(config.registration.clone().map(Receiver::Registration)).collect()
}

impl Receiver {
    fn name(&self) -> &str {
        match self {
            Self::Webhook(webhook) => &webhook.name,
            Self::Registration(_) => REGISTRATION,
        }
    }

    fn url(&self) -> &str {
        match self {
            Self::Webhook(webhook) => webhook.url.reveal(),
            Self::Registration(registration) => registration.url.reveal(),
        }
    }

    fn wants(&self, kind: &EventKind) -> bool {
        match self {
            Self::Webhook(webhook) => match kind {
                EventKind::WebhookTest { webhook: name } => *name == webhook.name,
                kind => {
                    let name = name(kind);
                    webhook.events.is_empty() || webhook.events.iter().any(|pattern| glob(pattern, &name))
                }
            },
            Self::Registration(_) => matches!(
                kind,
                EventKind::OperationChanged { work: OperationKind::Rebuild, to: OperationState::Ready, .. }
            ),
        }
    }
}

impl Site {
    /// Sends events to whoever the configuration names, until `shutdown`.
    pub async fn deliver_webhooks(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        for receiver in self.receivers.clone() {
            let (site, shutdown) = (self.clone(), shutdown.clone());
            tasks.spawn(async move {
                while let Some(Err(error)) = shutdown.run_until_cancelled(site.follow_events(&receiver)).await
                {
                    warn!(webhook = receiver.name(), %error, "events were not read");
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        shutdown.cancelled().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Every webhook with its last try.
    pub async fn webhooks(&self) -> Result<Vec<ironwake_api::Webhook>, SiteError> {
        let mut shown = Vec::new();
        for receiver in &self.receivers {
            let (events, signed) = match receiver {
                Receiver::Webhook(webhook) => (webhook.events.clone(), webhook.secret.is_some()),
                Receiver::Registration(_) => (vec!["operation_changed".into()], false),
            };
            let last_event = self.store.last_event();
            let cursor = self.store.webhook_cursor(receiver.name()).await?.unwrap_or(last_event);
            shown.push(ironwake_api::Webhook {
                name: receiver.name().to_owned(),
                target: origin(receiver.url()),
                events,
                signed,
                cursor,
                behind: last_event.saturating_sub(cursor),
                last: self.store.webhook_deliveries(receiver.name(), 1).await?.pop(),
            });
        }
        Ok(shown)
    }

    /// The last tries of a webhook, newest first.
    pub async fn webhook_deliveries(&self, name: &str) -> Result<Vec<WebhookDelivery>, SiteError> {
        let receiver = self.receiver(name)?;
        Ok(self.store.webhook_deliveries(receiver.name(), DELIVERIES_SHOWN).await?)
    }

    /// Sends a webhook an event of its own, once; how that went.
    pub async fn test_webhook(&self, name: &str, actor: Actor) -> Result<WebhookDelivery, SiteError> {
        let receiver = self.receiver(name)?.clone();
        if matches!(receiver, Receiver::Registration(_)) {
            let message = "a registration is sent when a host is ready: there is nothing to try it with";
            return Err(SiteError::Conflict(message.into()));
        }
        let kind = EventKind::WebhookTest { webhook: name.to_owned() };
        let event = Event { id: 0, at: self.now(), actor, machine: None, kind };
        let delivery = self.attempt_delivery(&receiver, &event, TRIES_MAX).await?;
        self.store.save(vec![Change::WebhookDelivery(Box::new(delivery.clone()))]).await?;
        Ok(delivery)
    }

    fn receiver(&self, name: &str) -> Result<&Receiver, SiteError> {
        let found = self.receivers.iter().find(|receiver| receiver.name() == name);
        found.ok_or_else(|| SiteError::NoSuchWebhook(name.to_owned()))
    }

    async fn follow_events(&self, receiver: &Receiver) -> Result<(), SiteError> {
        let webhook = receiver.name().to_owned();
        let mut committed = self.store.subscribe();
        let mut cursor = match self.store.webhook_cursor(&webhook).await? {
            Some(cursor) => cursor,
            // What was before it is none of its business.
            None => {
                let event = self.store.last_event();
                self.store.save(vec![Change::WebhookCursor { webhook: webhook.clone(), event }]).await?;
                event
            }
        };
        loop {
            let page = self.store.events_after(cursor, None, PAGE).await?;
            let Some(last) = page.last().map(|event| event.id) else {
                match committed.recv().await {
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Ok(()),
                }
            };
            for event in page.iter().filter(|event| receiver.wants(&event.kind)) {
                self.deliver(receiver, event).await?;
            }
            cursor = last;
            self.store.save(vec![Change::WebhookCursor { webhook: webhook.clone(), event: cursor }]).await?;
        }
    }

    /// Sends one event until it is taken or given up.
    async fn deliver(&self, receiver: &Receiver, event: &Event) -> Result<(), SiteError> {
        let mut pause = PAUSE;
        for try_number in 1..=TRIES_MAX {
            let delivery = self.attempt_delivery(receiver, event, try_number).await?;
            let outcome = delivery.outcome;
            let mut changes = vec![Change::WebhookDelivery(Box::new(delivery))];
            if outcome != DeliveryOutcome::Retried {
                let webhook = receiver.name().to_owned();
                changes.push(Change::WebhookCursor { webhook, event: event.id });
            }
            self.store.save(changes).await?;
            if outcome != DeliveryOutcome::Retried {
                return Ok(());
            }
            // Between half of it and the whole: receivers that failed together are not asked together.
            let jitter = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
            tokio::time::sleep(pause.mul_f64(0.5 + jitter / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    async fn attempt_delivery(
        &self,
        receiver: &Receiver,
        event: &Event,
        try_number: u32,
    ) -> Result<WebhookDelivery, SiteError> {
        let at = self.now();
        let began = tokio::time::Instant::now();
        let tried = match self.outgoing(receiver, event).await? {
            Err(Unsendable { problem, again }) => Tried { status: None, problem: Some(problem), again },
            Ok((method, url, headers, body, ca_file)) => {
                let outgoing = Outgoing { method, url: &url, headers, body, ca_file: ca_file.as_deref() };
                match send(outgoing).await {
                    Ok(answer) => judge(&answer),
                    Err(error) => {
                        let again = !matches!(error, SendError::Url);
                        Tried { status: None, problem: Some(error.to_string()), again }
                    }
                }
            }
        };
        Ok(WebhookDelivery {
            webhook: receiver.name().to_owned(),
            event: event.id,
            kind: name(&event.kind),
            try_number,
            at,
            took_ms: began.elapsed().as_millis() as u64,
            outcome: match (&tried.problem, tried.again && try_number < TRIES_MAX) {
                (None, _) => DeliveryOutcome::Delivered,
                (Some(_), true) => DeliveryOutcome::Retried,
                (Some(_), false) => DeliveryOutcome::GivenUp,
            },
            status: tried.status,
            problem: tried.problem,
        })
    }

    /// What is sent; or why it cannot be. An error is the store's, and says nothing of the event.
    async fn outgoing(
        &self,
        receiver: &Receiver,
        event: &Event,
    ) -> Result<Result<Parts, Unsendable>, SiteError> {
        Ok(match receiver {
            Receiver::Webhook(webhook) => signed(webhook, event, self.now()),
            Receiver::Registration(registration) => {
                let EventKind::OperationChanged { operation, .. } = &event.kind else {
                    return Ok(Err(Unsendable::lasting("no host is ready by this event")));
                };
                let operation = match self.stored(operation).await {
                    Ok(record) => record.operation,
                    Err(SiteError::NoSuchOperation(_)) => {
                        let problem = "the host's machine was deleted with its operations";
                        return Ok(Err(Unsendable::lasting(problem)));
                    }
                    Err(error) => return Err(error),
                };
                let machine = self.machine(&operation.machine).ok();
                registered(registration, &machine, &operation)
            }
        })
    }
}

/// Method, URL, headers, body, and whom to trust.
type Parts = (&'static str, String, Vec<(HeaderName, HeaderValue)>, Vec<u8>, Option<std::path::PathBuf>);

/// A webhook's event with its signature.
fn signed(webhook: &Webhook, event: &Event, now: u64) -> Result<Parts, Unsendable> {
    let body = serde_json::to_vec(event).map_err(Unsendable::lasting)?;
    let timestamp = (now / 1000).to_string();
    let mut headers = vec![
        (HeaderName::from_static("x-ironwake-event"), value(&name(&event.kind))?),
        (HeaderName::from_static("x-ironwake-delivery"), value(&event.id.to_string())?),
        (HeaderName::from_static("x-ironwake-timestamp"), value(&timestamp)?),
    ];
    if let Some(source) = &webhook.secret {
        let secret = secret(source).map_err(Unsendable::passing)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("HMAC takes keys of every length");
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(&body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        headers.push((HeaderName::from_static("x-ironwake-signature"), value(&format!("sha256={hex}"))?));
    }
    Ok(("POST", webhook.url.reveal().clone(), headers, body, webhook.ca_file.clone()))
}

/// A ready host as an external inventory wants it.
fn registered(
    registration: &Registration,
    machine: &Option<ironwake_api::Machine>,
    operation: &ironwake_api::Operation,
) -> Result<Parts, Unsendable> {
    let context = serde_json::json!({ "machine": machine, "host": operation.host, "operation": operation });
    let render = |what: &str, engine: minijinja::Environment<'_>, text: &str| {
        let context = minijinja::Value::from(minijinja::value::Serde(&context));
        let failed = |error| Unsendable::lasting(format!("the template of the {what} fails: {error}"));
        engine.render_str(text, context).map_err(failed)
    };
    let url = render("URL", url_templates(), registration.url.reveal())?;
    let body = match &registration.template {
        Some(template) => render("body", templates(), template)?,
        None => context.to_string(),
    };
    let mut headers: Vec<_> =
        registration.headers.iter().filter_map(|header| parse_header(header.reveal())).collect();
    if let Some(path) = &registration.headers_file {
        let bytes = read(path).map_err(Unsendable::passing)?;
        for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.trim().is_empty()) {
            let wrong = || Unsendable::passing(format!("{} holds a line that is no header", path.display()));
            headers.push(parse_header(line).ok_or_else(wrong)?);
        }
    }
    Ok((registration.method, url, headers, body.into_bytes(), registration.ca_file.clone()))
}

fn judge(answer: &Answer) -> Tried {
    let problem = (!(200..300).contains(&answer.status)).then(|| match answer.text.as_str() {
        "" => format!("it answered {}", answer.status),
        text => format!("it answered {}: {text}", answer.status),
    });
    // What it refuses now it would refuse then; the others may pass.
    let again = matches!(answer.status, 408 | 425 | 429 | 500..);
    Tried { status: Some(answer.status), problem, again }
}

fn secret(source: &SecretSource) -> Result<Vec<u8>, String> {
    match source {
        SecretSource::Written(secret) => Ok(secret.reveal().clone().into_bytes()),
        SecretSource::File(path) => read(path),
        SecretSource::Credential(name) => {
            let path = crate::systemd::Environment::read().credential(name);
            read(&path.ok_or_else(|| format!("systemd passes no credential {name:?}"))?)
        }
    }
    .and_then(|secret| if secret.is_empty() { Err("its secret is empty".into()) } else { Ok(secret) })
}

/// A small file, without the line end that editors write.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("read {}: {error}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("{} has more than {SECRET_BYTES_MAX} bytes", path.display()));
    }
    bytes.truncate(bytes.trim_ascii_end().len());
    Ok(bytes)
}

fn value(text: &str) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_str(text).map_err(Unsendable::lasting)
}

/// The name that `kind` has in JSON.
fn name(kind: &EventKind) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned()
}
