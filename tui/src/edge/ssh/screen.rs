//! The client's terminal: what it says of itself, and frames as bytes for it.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::look::{Look, Terminal as Described};
use crate::model::Model;
use crate::view;

/// Larger terminals are shown in part: a frame of this size has 80,000 cells, which are 9 MB in two buffers.
const COLUMNS_MAX: u32 = 400;
/// The same of rows.
const ROWS_MAX: u32 = 200;
/// Of a client that does not know its size (RFC 4254, 6.2: zero is to be ignored).
const COLUMNS: u16 = 80;
/// The same of rows.
const ROWS: u16 = 24;
/// No locale and no name of a terminal is longer.
const VALUE_BYTES_MAX: usize = 256;

/// Another screen than the shell's, pasted text marked, mouse with positions of any size, no cursor.
pub(super) const TAKE: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?25l\x1b[0m\x1b[2J";
/// All of it back. The Linux console has no other screen, so what is on it is cleared.
pub(super) const GIVE_BACK: &[u8] =
    b"\x1b[?1006l\x1b[?1000l\x1b[?2004l\x1b[0m\x1b[2J\x1b[H\x1b[?1049l\x1b[?25h";

/// A terminal as its client describes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    /// Columns and rows.
    pub(super) size: (u16, u16),
    term: String,
    variables: [Option<String>; VARIABLES.len()],
}

/// Variables of the client that are listened to.
const VARIABLES: [&str; 5] = ["COLORTERM", "NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG"];

impl Client {
    /// It asked for a terminal.
    pub(super) fn describe(&mut self, term: &str, columns: u32, rows: u32) {
        term.chars().take(VALUE_BYTES_MAX).collect::<String>().clone_into(&mut self.term);
        self.size = size(columns, rows);
    }

    /// It told a variable; says whether that one is listened to.
    pub(super) fn tell(&mut self, name: &str, value: &str) -> bool {
        let place = VARIABLES.iter().position(|known| *known == name);
        match place {
            Some(place) if value.len() <= VALUE_BYTES_MAX => {
                self.variables[place] = Some(value.to_owned());
                true
            }
            _ => false,
        }
    }

    /// What it can show.
    pub(super) fn look(&self) -> Look {
        let [colorterm, no_color, locales @ ..] = &self.variables;
        let told = |variable: &Option<String>| variable.clone().filter(|value| !value.is_empty());
        // Terminals that speak SSH show UTF-8, unless they are told not to.
        let locale = locales.iter().find_map(told).unwrap_or_else(|| "C.UTF-8".into());
        Look::of(Described {
            term: &self.term,
            colorterm: &told(colorterm).unwrap_or_default(),
            no_color: told(no_color).is_some(),
            locale: &locale,
        })
    }
}

/// Columns and rows within the limits.
pub(super) fn size(columns: u32, rows: u32) -> (u16, u16) {
    let within = |value: u32, max: u32, none: u16| match value {
        0 => none,
        value => u16::try_from(value.min(max)).unwrap_or(none),
    };
    (within(columns, COLUMNS_MAX, COLUMNS), within(rows, ROWS_MAX, ROWS))
}

/// Takes what is drawn.
#[derive(Debug, Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl Sheet {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the client has on its screen.
pub(super) struct Screen {
    sheet: Sheet,
    terminal: Terminal<CrosstermBackend<Sheet>>,
    size: (u16, u16),
}

impl Screen {
    /// An empty one. Its size is told: what asks the terminal itself would ask the server's.
    pub(super) fn new(size: (u16, u16)) -> io::Result<Self> {
        let sheet = Sheet::default();
        let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
        let terminal =
            Terminal::with_options(CrosstermBackend::new(sheet.clone()), TerminalOptions { viewport })?;
        Ok(Self { sheet, terminal, size })
    }

    /// The bytes that make the client's screen show the model.
    pub(super) fn draw(&mut self, model: &Model) -> io::Result<Vec<u8>> {
        let size = (model.setup.columns, model.setup.rows);
        let mut bytes = Vec::new();
        if size != self.size {
            *self = Self::new(size)?;
            bytes.extend_from_slice(b"\x1b[0m\x1b[2J");
        }
        self.terminal.draw(|frame| view::draw(model, frame))?;
        bytes.append(&mut self.sheet.take());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::Colours;

    #[track_caller]
    fn check(term: &str, variables: &[(&str, &str)], colours: Colours, ascii: bool) {
        let mut client = Client::default();
        client.describe(term, 80, 24);
        for (name, value) in variables {
            client.tell(name, value);
        }
        assert_eq!(client.look(), Look { colours, ascii }, "{term} {variables:?}");
    }

    #[test]
    fn a_client_is_believed() {
        check("xterm-256color", &[], Colours::Indexed, false);
        check("xterm-256color", &[("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")], Colours::True, false);
        check("xterm-256color", &[("LANG", "C.UTF-8"), ("LC_ALL", "C")], Colours::Indexed, true);
        check("xterm-256color", &[("NO_COLOR", "1")], Colours::None, false);
        check("xterm-256color", &[("NO_COLOR", "")], Colours::Indexed, false);
        check("linux", &[("LANG", "C.UTF-8")], Colours::Sixteen, true);
    }

    #[test]
    fn only_what_is_listened_to_is_kept() {
        let mut client = Client::default();
        assert!(client.tell("LANG", "C"));
        assert!(!client.tell("LD_PRELOAD", "x") && !client.tell("LANG", &"x".repeat(10_000)));
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!(size(0, 0), (80, 24));
        assert_eq!(size(u32::MAX, u32::MAX), (400, 200));
        assert_eq!(size(1, 2), (1, 2));
    }
}
