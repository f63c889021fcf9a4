//! A terminal: keys in, frames out. It is put back as it was however the console ends.

use std::io::{self, Stdout, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, panic};

use anyhow::Context as _;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, EventStream,
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use futures_util::{FutureExt, Stream, StreamExt};
use ironwake_api::client::Client;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::backend::Backend;
use super::record::{self, Recorder};
use super::{BATCH_MAX, BEAT_EVERY, FRAME_EVERY, TICK_EVERY, WHEEL_LINES, log_out, now, place};
use crate::key::{Code, Key};
use crate::look::{Look, Terminal as Described};
use crate::message::Message;
use crate::model::{Model, Setup};
use crate::request::Request;
use crate::update::{update, update_all};
use crate::view;

/// How long one message of a recording is shown.
const REPLAY_EVERY: Duration = Duration::from_millis(40);

/// Has a console that was built for tests break at its first key, which shows what it leaves behind.
const PANICS_VARIABLE: &str = "IRONWAKE_CONSOLE_PANICS";

/// What the terminal says of itself.
pub fn look() -> Look {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable).into_iter().find(|value| !value.is_empty());
    Look::of(Described {
        term: &variable("TERM"),
        colorterm: &variable("COLORTERM"),
        no_color: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        locale: &locale.unwrap_or_default(),
    })
}

/// The terminal, taken over until it is dropped.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn take() -> anyhow::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            // First, so that what the panic says can be read.
            give_back();
            before(panicked);
        }));
        enable_raw_mode().context("take over the terminal")?;
        TAKEN.store(true, Ordering::Relaxed);
        let entered = execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableMouseCapture,
            cursor::Hide
        );
        if entered.is_err() {
            give_back();
        }
        entered.context("write to the terminal")?;
        Ok(Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))? })
    }

    fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.terminal.draw(|frame| view::draw(model, frame)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether the terminal is taken over.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Puts the terminal back as it was, once: to leave the other screen again would put the cursor where it was before, over what a
/// panic has said meanwhile.
fn give_back() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
    let _ = io::stdout().flush();
}

/// What ends a console from outside.
struct Stops([Signal; 3]);

impl Stops {
    fn new() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        let [terminate, hangup, quit] = kinds.map(signal);
        Ok(Self([terminate?, hangup?, quit?]))
    }

    async fn wait(&mut self) {
        let [terminate, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

/// Runs the console on this terminal until it is left.
pub async fn run(client: Client, record: Option<PathBuf>) -> anyhow::Result<()> {
    let (columns, rows) = crossterm::terminal::size().context("this is no terminal")?;
    let asked = client.place();
    let setup = Setup {
        name: place::name(&asked),
        place: asked.to_string(),
        look: look(),
        columns,
        rows,
        now: now(),
    };
    let mut recorder = record.map(|path| Recorder::create(&path, &setup)).transpose()?;
    let mut stops = Stops::new()?;
    let leaving = client.clone();
    let (mut backend, mut answers) = Backend::start(client);
    let mut screen = Screen::take()?;
    let mut model = Model::new(setup);
    let ended = console(&mut model, &mut screen, &mut backend, &mut answers, &mut recorder, &mut stops).await;
    drop(screen);
    backend.end(answers).await;
    log_out(&leaving).await;
    ended
}

async fn console(
    model: &mut Model,
    screen: &mut Screen,
    backend: &mut Backend,
    answers: &mut mpsc::Receiver<Message>,
    recorder: &mut Option<Recorder>,
    stops: &mut Stops,
) -> anyhow::Result<()> {
    let mut keys = pin!(EventStream::new().filter_map(|event| async { event.ok().and_then(message) }));
    let mut tick_at = Instant::now() + TICK_EVERY;
    let mut drawn_at = Instant::now();
    screen.draw(model)?;
    while !model.ended {
        let first = tokio::select! {
            key = keys.next() => match key {
                Some(message) => message,
                // The terminal is gone.
                None => break,
            },
            Some(message) = answers.recv() => message,
            () = sleep_until(tick_at) => Message::Tick { now: now() },
            () = stops.wait() => {
                take(model, vec![Message::Key(Key::plain(Code::Char('q')))], backend, recorder)?;
                break;
            }
        };
        let mut batch = vec![first];
        drain(&mut batch, &mut keys, answers);
        // Frames that follow too fast are one frame; what comes while it waits is in it.
        let next_at = drawn_at + FRAME_EVERY;
        if Instant::now() < next_at {
            sleep_until(next_at).await;
            drain(&mut batch, &mut keys, answers);
        }
        if cfg!(debug_assertions) && env::var_os(PANICS_VARIABLE).is_some() {
            assert!(!batch.iter().any(|message| matches!(message, Message::Key(_))), "a key was pressed");
        }
        take(model, batch, backend, recorder)?;
        let every = if model.moves() { BEAT_EVERY } else { TICK_EVERY };
        if tick_at <= Instant::now() || tick_at > Instant::now() + every {
            tick_at = Instant::now() + every;
        }
        drawn_at = Instant::now();
        screen.draw(model)?;
    }
    Ok(())
}

/// Takes messages that are there already.
fn drain(
    batch: &mut Vec<Message>,
    keys: &mut (impl Stream<Item = Message> + Unpin),
    answers: &mut mpsc::Receiver<Message>,
) {
    while batch.len() < BATCH_MAX {
        let waiting = keys.next().now_or_never().flatten().or_else(|| answers.try_recv().ok());
        let Some(message) = waiting else { break };
        batch.push(message);
    }
}

fn take(
    model: &mut Model,
    batch: Vec<Message>,
    backend: &mut Backend,
    recorder: &mut Option<Recorder>,
) -> anyhow::Result<()> {
    let requests = match recorder {
        None => update_all(model, batch),
        // Whether a secret is being typed is known only once what came before was taken.
        Some(recorder) => {
            let mut requests = Vec::new();
            for message in batch {
                recorder.record(model, &message).context("write the recording")?;
                requests.extend(update(model, message));
            }
            requests
        }
    };
    for request in requests.into_iter().filter(|request| *request != Request::Quit) {
        backend.perform(request);
    }
    Ok(())
}

/// Plays a recording on this terminal, then waits for a key.
pub async fn replay(path: PathBuf) -> anyhow::Result<()> {
    let (setup, messages) = record::read(&path)?;
    let mut stops = Stops::new()?;
    let mut screen = Screen::take()?;
    let mut model = Model::new(setup);
    let mut keys = pin!(EventStream::new().filter_map(|event| async { event.ok().and_then(message) }));
    for message in messages {
        update(&mut model, message);
        screen.draw(&model)?;
        tokio::select! {
            () = tokio::time::sleep(REPLAY_EVERY) => {}
            () = stops.wait() => return Ok(()),
            Some(Message::Key(_)) = keys.next() => return Ok(()),
        }
    }
    tokio::select! {
        () = stops.wait() => {}
        _ = keys.next() => {}
    }
    Ok(())
}

/// What the terminal says, as a message.
fn message(event: Event) -> Option<Message> {
    match event {
        Event::Key(event) if event.kind != KeyEventKind::Release => key(event).map(Message::Key),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(columns, rows) => Some(Message::Resize { columns, rows }),
        Event::Mouse(event) => match event.kind {
            MouseEventKind::ScrollUp => Some(Message::Wheel(-WHEEL_LINES)),
            MouseEventKind::ScrollDown => Some(Message::Wheel(WHEEL_LINES)),
            MouseEventKind::Down(MouseButton::Left) => {
                Some(Message::Click { column: event.column, row: event.row })
            }
            _ => None,
        },
        _ => None,
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    let code = match event.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::F(number) => Code::F(number),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        _ => return None,
    };
    let held = |modifier| event.modifiers.contains(modifier);
    Some(Key { code, ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT) })
}
