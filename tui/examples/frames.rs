//! How long the console takes to draw ten thousand machines on a screen of 200×60: JSON with milliseconds on standard output.
//! `./dev bench console` runs it, in the release profile.

#[allow(dead_code)]
#[path = "../tests/console/fleet.rs"]
mod fleet;
#[allow(dead_code)]
#[path = "../tests/console/harness.rs"]
mod harness;

use std::io::{self, Write};
use std::time::Instant;

use ironwake_api::{Event, EventKind};
use ironwake_tui::look::{Colours, Look};
use ironwake_tui::message::Message;
use ironwake_tui::view;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use harness::{Console, NOW};

/// Columns and rows.
const SIZE: (u16, u16) = (200, 60);
/// How often each is measured; the 99th of a hundred counts.
const ROUNDS: usize = 200;
/// Events that come together on a busy site.
const BURST: usize = 200;

/// Takes bytes as a terminal does, and counts them.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time, in milliseconds, within which 99 of 100 rounds are done.
fn measure(mut round: impl FnMut(usize)) -> f64 {
    let mut took: Vec<f64> = (0..ROUNDS)
        .map(|number| {
            let began = Instant::now();
            round(number);
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[ROUNDS * 99 / 100]
}

fn burst(number: usize) -> Vec<Event> {
    (0..BURST)
        .map(|place| Event {
            id: (2000 + number * BURST + place) as i64,
            at: NOW,
            actor: ironwake_api::Actor::Machine,
            machine: Some(fleet::id((number * BURST + place) as u64 % 10_000 + 1)),
            kind: EventKind::AttemptStarted {
                attempt: 1,
                mac: "52:54:00:00:00:01".parse().expect("an address"),
            },
        })
        .collect()
}

fn main() -> io::Result<()> {
    let mut console = Console::with(SIZE.0, SIZE.1, fleet::many());
    console.model.setup.look = Look { colours: Colours::True, ascii: false };
    let viewport = Viewport::Fixed(Rect::new(0, 0, SIZE.0, SIZE.1));
    let backend = CrosstermBackend::new(Counted(0));
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
    let mut draw = |console: &Console| {
        terminal.draw(|frame| view::draw(&console.model, frame)).expect("drawn");
    };
    draw(&console);
    let frame = measure(|number| {
        console.take(Message::Tick { now: NOW + number as u64 * 250 });
        draw(&console);
    });
    let scroll = measure(|number| {
        console.keys(if number % 2 == 0 { "down" } else { "pagedown" });
        draw(&console);
    });
    let events = measure(|number| {
        console.take(Message::Events(burst(number)));
        draw(&console);
    });
    println!("{{\"frame_ms\": {frame:.3}, \"scroll_ms\": {scroll:.3}, \"events_ms\": {events:.3}}}");
    Ok(())
}
