//! One console of one client. It waits for its client's bytes, the daemon's messages and the clock, and draws when the frame
//! before has left: a client that reads slowly gets fewer frames, not older ones.

use std::fmt;
use std::future::pending;
use std::time::Duration;

use ironwake_api::client::Client as Daemon;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::told;
use super::keys::Keys;
use super::screen::{self, Client, GIVE_BACK, Screen, TAKE};
use crate::edge::backend::Backend;
use crate::edge::{BATCH_MAX, BEAT_EVERY, FRAME_EVERY, TICK_EVERY, log_out, now, place};
use crate::key::{Code, Key};
use crate::message::Message;
use crate::model::{Model, Setup};
use crate::request::Request;
use crate::update::update_all;

/// Escape alone is told from the beginning of another key by what does not follow it. A key's bytes come together, but a
/// line may hold them up.
const ESCAPE_WAIT: Duration = Duration::from_millis(50);
/// Frames that wait behind the one that is being sent.
const FRAMES_MAX: usize = 1;
/// How long a client may take to read the last frame when all is over.
const END_WRITE_MAX: Duration = Duration::from_secs(2);

/// What a session begins with.
pub(super) struct Opened {
    /// Where the client's bytes come from and go to.
    pub(super) channel: Channel<Msg>,
    /// What its terminal is.
    pub(super) client: Client,
    /// The daemon.
    pub(super) daemon: Daemon,
    /// The key that the client showed; none where it was a password.
    pub(super) key: Option<String>,
    /// How long it may be left alone.
    pub(super) idle: Duration,
    /// Whether the server ends.
    pub(super) stop: watch::Receiver<bool>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its person left it.
    Left,
    /// The client is not there any more.
    ClientGone,
    /// Nobody pressed a key for so long.
    Idle(Duration),
    /// The key that it was opened with is not listed any more.
    Unlisted,
    /// The server ends.
    Stopped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("it was left"),
            Self::ClientGone => f.write_str("the client has gone"),
            Self::Idle(time) => write!(f, "no key for {} s", time.as_secs()),
            Self::Unlisted => f.write_str("its key is not listed any more"),
            Self::Stopped => f.write_str("the server ends"),
        }
    }
}

/// Runs a console until its end. If it breaks, the client's terminal is put back nevertheless.
pub(super) async fn run(opened: Opened) -> Result<End, JoinError> {
    let Opened { channel, client, daemon, key, idle, stop } = opened;
    let (mut reader, writer) = channel.split();
    let (frames, frames_out) = mpsc::channel(FRAMES_MAX);
    let sending = tokio::spawn(send(writer.make_writer(), frames_out));
    let last = frames.clone();
    let console: JoinHandle<(End, ChannelReadHalf)> = tokio::spawn(async move {
        let end = console(&mut reader, client, daemon, key, idle, stop, frames).await;
        (end, reader)
    });
    let ended = console.await;
    let said = match &ended {
        Ok((End::Idle(_) | End::Unlisted | End::Stopped, _)) => {
            format!("ironwake: {}\r\n", ended.as_ref().map(|end| end.0).unwrap_or(End::Left))
        }
        Ok(_) => String::new(),
        Err(_) => "ironwake: this console has broken; another one can be opened\r\n".to_owned(),
    };
    let code = u32::from(ended.is_err());
    let farewell = async {
        let _ = last.send([GIVE_BACK, said.as_bytes()].concat()).await;
        drop(last);
        let _ = sending.await;
        let _ = writer.exit_status(code).await;
        let _ = writer.eof().await;
        let _ = writer.close().await;
    };
    // What the client still sends is taken, or what it is sent would wait for that.
    let ended = ended.map(|(end, mut reader)| {
        tokio::spawn(async move { while reader.wait().await.is_some() {} });
        end
    });
    let _ = timeout(END_WRITE_MAX, farewell).await;
    ended
}

/// Sends frames, each whole.
async fn send(writer: impl AsyncWrite, mut frames: mpsc::Receiver<Vec<u8>>) {
    tokio::pin!(writer);
    while let Some(frame) = frames.recv().await {
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// What a session waits for.
enum Came {
    Bytes(Vec<u8>),
    Size(u32, u32),
    Daemon(Message),
    Time,
    Escape,
    Ready(mpsc::OwnedPermit<Vec<u8>>),
    End(End),
}

async fn console(
    reader: &mut ChannelReadHalf,
    client: Client,
    daemon: Daemon,
    key: Option<String>,
    idle: Duration,
    mut stop: watch::Receiver<bool>,
    frames: mpsc::Sender<Vec<u8>>,
) -> End {
    let mut model = Model::new(setup(&client, &daemon));
    let leaving = daemon.clone();
    let (mut backend, mut answers) = Backend::start(daemon);
    let Ok(mut screen) = Screen::new(client.size) else { return End::ClientGone };
    let mut keys = Keys::default();
    let mut escape_at = None;
    let (mut tick_at, mut frame_at) = (Instant::now() + TICK_EVERY, Instant::now());
    let mut idle_at = Instant::now() + idle;
    let mut before = TAKE.to_vec();
    let mut is_stale = true;
    let end = loop {
        let came = tokio::select! {
            biased;
            () = told(&mut stop) => Came::End(End::Stopped),
            () = sleep_until(idle_at) => Came::End(End::Idle(idle)),
            permit = paced(&frames, frame_at), if is_stale => match permit {
                Some(permit) => Came::Ready(permit),
                None => Came::End(End::ClientGone),
            },
            came = heard(reader) => came,
            () = at(escape_at) => Came::Escape,
            () = sleep_until(tick_at) => Came::Time,
            Some(message) = answers.recv() => Came::Daemon(message),
        };
        let mut batch = Vec::new();
        match came {
            Came::End(end) => break end,
            Came::Ready(permit) => {
                let mut bytes = std::mem::take(&mut before);
                let Ok(mut drawn) = screen.draw(&model) else { break End::ClientGone };
                bytes.append(&mut drawn);
                permit.send(bytes);
                frame_at = Instant::now() + FRAME_EVERY;
                is_stale = false;
                continue;
            }
            Came::Bytes(bytes) => {
                idle_at = Instant::now() + idle;
                batch = keys.feed(&bytes);
                escape_at = keys.waits().then(|| Instant::now() + ESCAPE_WAIT);
            }
            Came::Escape => {
                batch.extend(keys.give_up());
                escape_at = None;
            }
            Came::Size(columns, rows) => {
                let (columns, rows) = screen::size(columns, rows);
                batch.push(Message::Resize { columns, rows });
            }
            Came::Time => batch.push(Message::Tick { now: now() }),
            Came::Daemon(message) => {
                batch.push(message);
                while batch.len() < BATCH_MAX
                    && let Ok(message) = answers.try_recv()
                {
                    batch.push(message);
                }
                // A session that was locked may be looked at still; one whose key was taken away may not.
                let is_over = batch.iter().any(|message| matches!(message, Message::Locked { .. }));
                if is_over
                    && let Some(key) = &key
                    && matches!(leaving.key_is_listed(key).await, Ok(false))
                {
                    break End::Unlisted;
                }
            }
        }
        take(&mut model, batch, &mut backend).await;
        if model.ended {
            break End::Left;
        }
        let every = if model.moves() { BEAT_EVERY } else { TICK_EVERY };
        if tick_at <= Instant::now() || tick_at > Instant::now() + every {
            tick_at = Instant::now() + every;
        }
        is_stale = true;
    };
    if !model.ended {
        take(&mut model, vec![Message::Key(Key::plain(Code::Char('q')))], &mut backend).await;
    }
    drop(frames);
    // An operation that nobody confirmed is taken back, for as long as it takes; the client does not wait for that, nor for
    // the end of its session.
    tokio::spawn(async move {
        backend.end(answers).await;
        log_out(&leaving).await;
    });
    end
}

fn setup(client: &Client, daemon: &Daemon) -> Setup {
    let asked = daemon.place();
    let (columns, rows) = client.size;
    Setup {
        name: place::name(&asked),
        place: asked.to_string(),
        look: client.look(),
        columns,
        rows,
        now: now(),
    }
}

/// Waits until a frame may follow and the one before has begun to leave.
async fn paced(frames: &mpsc::Sender<Vec<u8>>, frame_at: Instant) -> Option<mpsc::OwnedPermit<Vec<u8>>> {
    sleep_until(frame_at).await;
    frames.clone().reserve_owned().await.ok()
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// What the client says next.
async fn heard(reader: &mut ChannelReadHalf) -> Came {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Data { data }) => return Came::Bytes(data.to_vec()),
            Some(ChannelMsg::WindowChange { col_width, row_height, .. }) => {
                return Came::Size(col_width, row_height);
            }
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return Came::End(End::ClientGone),
            Some(_) => {}
        }
    }
}

async fn take(model: &mut Model, batch: Vec<Message>, backend: &mut Backend) {
    let mut batch = batch.into_iter().peekable();
    while batch.peek().is_some() && !model.ended {
        let requests = update_all(model, batch.by_ref().take(BATCH_MAX));
        for request in requests.into_iter().filter(|request| *request != Request::Quit) {
            backend.perform(request);
        }
        // A whole packet of keys is not to keep other sessions waiting.
        yield_now().await;
    }
}
