//! Following the event stream: it continues behind the last event seen, over restarts of the daemon.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::sse::SseParser;
use super::{Client, ClientError, REQUEST_TIME_MAX, query_of, refusal};
use crate::Event;

/// The daemon sends a comment every 15 s; a stream that is silent for three of them is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// First wait before connecting again; it doubles up to [`RECONNECT_WAIT_MAX`].
const RECONNECT_WAIT: Duration = Duration::from_millis(100);
/// Longest wait before connecting again.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// A daemon that was there and does not come back within this is reported: an upgrade takes seconds.
const GONE_TIME_MAX: Duration = Duration::from_secs(120);
/// A refusal's body.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// What comes on a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Something happened.
    Event(Box<Event>),
    /// The connection broke. It is made again by itself; what happens meanwhile comes then.
    Lost {
        /// How, in a sentence without a full stop.
        why: String,
    },
    /// The connection is back.
    Back,
}

/// Events as they happen.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    machine: Option<String>,
    kind: Option<String>,
    after: Option<i64>,
    body: Option<Incoming>,
    parser: SseParser,
    ready: VecDeque<Event>,
    connected_before: bool,
}

impl EventStream {
    pub(super) fn new(client: Client, after: Option<i64>, machine: Option<String>) -> Self {
        let (parser, ready) = Default::default();
        Self { client, machine, kind: None, after, body: None, parser, ready, connected_before: false }
    }

    /// The same with events of these kinds alone; to be said before it connects.
    pub fn of_kinds(mut self, kinds: &[&str]) -> Self {
        self.kind = Some(kinds.join(","));
        self
    }

    /// Id of the last event given, or of the one behind which the stream began, to continue behind it later.
    pub fn last_id(&self) -> Option<i64> {
        self.after
    }

    /// Connects, so that nothing that happens from here on is missed, whatever breaks. [`Self::next`] does it when needed.
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        if self.body.is_none() {
            self.open().await?;
        }
        Ok(())
    }

    /// The next event; waits for it. A broken connection is made again, the first one only once.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Signal::Event(event) = self.next_signal().await? {
                return Ok(*event);
            }
        }
    }

    /// The next event, or that the connection broke, or that it is back. Dropping the call loses neither.
    pub async fn next_signal(&mut self) -> Result<Signal, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = Some(event.id);
                return Ok(Signal::Event(Box::new(event)));
            }
            let Some(body) = &mut self.body else {
                let again = self.connected_before;
                self.reconnect().await?;
                if again {
                    return Ok(Signal::Back);
                }
                continue;
            };
            let why = match timeout(SILENCE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.take(&bytes)?;
                    }
                    continue;
                }
                Ok(Some(Err(error))) => format!("the event stream broke: {error}"),
                Ok(None) => "the daemon has ended the event stream".to_owned(),
                Err(_) => format!("nothing was heard for {} s", SILENCE_MAX.as_secs()),
            };
            self.body = None;
            return Ok(Signal::Lost { why });
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let events = self.parser.push(bytes);
        for data in events.map_err(|_| ClientError::Protocol("an event is too long".into()))? {
            let event: Event = serde_json::from_str(&data)
                .map_err(|error| ClientError::Protocol(format!("read an event: {error}")))?;
            // What was seen before the connection broke may be sent again.
            let last = self.ready.back().map(|event| event.id).or(self.after);
            if last.is_none_or(|last| event.id > last) {
                self.ready.push_back(event);
            }
        }
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        if !self.connected_before {
            return self.open().await;
        }
        let began = Instant::now();
        let mut wait = RECONNECT_WAIT;
        loop {
            // Before the first try too: a daemon that accepts and hangs up must not be asked in a tight loop.
            tokio::time::sleep(wait).await;
            match self.open().await {
                Err(ClientError::NotReachable { .. } | ClientError::Protocol(_))
                    if began.elapsed() < GONE_TIME_MAX =>
                {
                    wait = (wait * 2).min(RECONNECT_WAIT_MAX);
                }
                opened => return opened,
            }
        }
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        #[derive(serde::Serialize)]
        struct Query<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            after: Option<i64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            machine: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            kind: Option<&'a str>,
        }
        let (machine, kind) = (self.machine.as_deref(), self.kind.as_deref());
        let query = query_of(&Query { after: self.after, machine, kind });
        let mut request = Request::builder().uri(format!("/api/v1/events/stream{query}"));
        if let Some(after) = self.after {
            request = request.header("last-event-id", after);
        }
        let opened = timeout(REQUEST_TIME_MAX, self.client.open(request, Bytes::new())).await;
        let answer =
            opened.map_err(|_| ClientError::Protocol("the event stream does not answer".into()))??;
        let status = answer.status();
        if !status.is_success() {
            let body =
                timeout(REQUEST_TIME_MAX, Limited::new(answer.into_body(), PROBLEM_BYTES_MAX).collect())
                    .await;
            let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
            return Err(refusal(status, &body));
        }
        self.parser = SseParser::default();
        let mut body = answer.into_body();
        if self.after.is_none() {
            let opening = timeout(REQUEST_TIME_MAX, self.read_opening(&mut body)).await;
            opening.map_err(|_| ClientError::Protocol("the event stream does not begin".into()))??;
        }
        self.body = Some(body);
        self.connected_before = true;
        Ok(())
    }

    /// Learns behind which event a stream begins that was asked for without one: if it breaks before the first, it is
    /// continued from there.
    async fn read_opening(&mut self, body: &mut Incoming) -> Result<(), ClientError> {
        while !self.parser.opening().whole {
            let Some(Ok(frame)) = body.frame().await else {
                return Err(ClientError::Protocol("the event stream breaks off before it begins".into()));
            };
            if let Ok(bytes) = frame.into_data() {
                self.take(&bytes)?;
            }
        }
        self.after = self.parser.opening().id;
        Ok(())
    }
}
