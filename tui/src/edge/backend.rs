//! The daemon, as messages: its events as they happen, its health, and that it is gone.

use std::error::Error;
use std::time::Duration;

use futures_util::FutureExt;
use ironwake_api::Event;
use ironwake_api::client::{Client, ClientError, EventStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{now, perform};
use crate::message::{Answer, Message};
use crate::request::Request;

/// Messages that wait to be shown: a burst of a large site.
const MESSAGES_MAX: usize = 1024;
/// Events in one message.
const BURST_EVENTS_MAX: usize = 512;
/// How often health is asked for; that also tells that the daemon is gone.
const HEALTH_EVERY: Duration = Duration::from_secs(3);
/// A daemon that answers nothing for so long is lost.
const HEALTH_TIME_MAX: Duration = Duration::from_secs(6);
/// First wait before connecting again; it doubles.
const RECONNECT_WAIT: Duration = Duration::from_millis(250);
/// Longest wait before connecting again.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the end waits for what was asked before it.
const END_TIME_MAX: Duration = Duration::from_secs(3);

/// The daemon.
#[derive(Debug)]
pub struct Backend {
    client: Client,
    messages: mpsc::Sender<Message>,
    tasks: JoinSet<()>,
}

impl Backend {
    /// Begins to follow the daemon; what it says comes out of the receiver.
    pub fn start(client: Client) -> (Self, mpsc::Receiver<Message>) {
        let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(client.clone(), messages.clone()));
        (Self { client, messages, tasks }, receiver)
    }

    /// Asks for something; the answer is a message.
    pub fn perform(&mut self, request: Request) {
        // What has ended is dropped, so that the set does not grow.
        while self.tasks.try_join_next().is_some() {}
        let (client, messages) = (self.client.clone(), self.messages.clone());
        self.tasks.spawn(async move {
            for message in perform::perform(&client, request, &messages).await {
                let _ = messages.send(message).await;
            }
        });
    }

    /// Lets what was asked come to its end: an operation that nobody confirmed is to be taken back. The answers go nowhere.
    pub async fn end(mut self, mut receiver: mpsc::Receiver<Message>) {
        let drained = async { while receiver.recv().await.is_some() {} };
        let ended = async {
            // The task that follows never ends by itself.
            while self.tasks.len() > 1 && self.tasks.join_next().await.is_some() {}
        };
        tokio::select! {
            () = drained => {}
            _ = timeout(END_TIME_MAX, ended) => {}
        }
    }
}

async fn follow(client: Client, messages: mpsc::Sender<Message>) {
    let mut last = None;
    let mut wait = RECONNECT_WAIT;
    while !messages.is_closed() {
        let mut stream = client.follow(last, None);
        let lost = match stream.connect().await {
            Ok(()) => {
                wait = RECONNECT_WAIT;
                let connected = Message::Connected { last_event: stream.last_id() };
                if messages.send(connected).await.is_err() {
                    return;
                }
                let lost = listen(&client, &mut stream, &messages).await;
                last = stream.last_id();
                lost
            }
            Err(error) if client.forget(&client.shown(), &error) => {
                if messages.send(perform::locked()).await.is_err() {
                    return;
                }
                continue;
            }
            Err(error) => sentence(&error),
        };
        let retry_at = now() + wait.as_millis() as u64;
        if messages.send(Message::Lost { why: lost, retry_at }).await.is_err() {
            return;
        }
        sleep(wait).await;
        wait = (wait * 2).min(RECONNECT_WAIT_MAX);
    }
}

/// Passes events on until the daemon is lost; says why.
async fn listen(client: &Client, stream: &mut EventStream, messages: &mpsc::Sender<Message>) -> String {
    let mut health_at = Instant::now() + HEALTH_EVERY;
    loop {
        let message = tokio::select! {
            event = stream.next() => match event {
                Ok(event) => Message::Events(burst(event, stream)),
                // The stream has ended with its session; it goes on without.
                Err(error) if client.forget(&client.shown(), &error) => perform::locked(),
                Err(error) => return sentence(&error),
            },
            () = tokio::time::sleep_until(health_at) => {
                health_at = Instant::now() + HEALTH_EVERY;
                let shown = client.shown();
                match timeout(HEALTH_TIME_MAX, client.health()).await {
                    Ok(Ok(health)) => Message::Answer(Box::new(Answer::Health(health))),
                    Ok(Err(error)) if client.forget(&shown, &error) => perform::locked(),
                    Ok(Err(error)) => return sentence(&error),
                    Err(_) => return format!("no answer within {} s", HEALTH_TIME_MAX.as_secs()),
                }
            }
        };
        if messages.send(message).await.is_err() {
            return String::new();
        }
    }
}

/// The event and those that wait behind it: they are shown together.
fn burst(first: Event, stream: &mut EventStream) -> Vec<Event> {
    let mut events = vec![first];
    while events.len() < BURST_EVENTS_MAX
        && let Some(Ok(event)) = stream.next().now_or_never()
    {
        events.push(event);
    }
    events
}

/// An error with its cause, in one line.
pub(super) fn sentence(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
