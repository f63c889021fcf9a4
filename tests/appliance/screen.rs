//! A person in front of the appliance: what stands on its screen, and keys.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};

use super::qmp::Qmp;
use crate::lab::LabError;

/// What systemd is handed by SMBIOS: the screen is told on the second serial port.
pub const CREDENTIALS: &[(&str, &str)] = &[
    ("systemd.extra-unit.screen.service", include_str!("screen.service")),
    ("systemd.unit-dropin.sysinit.target", "[Unit]\nWants=screen.service\n"),
    ("screen.sh", include_str!("screen.sh")),
];
/// The longest wait for something on it: an emulated boot takes a minute on an idle host.
const WAIT_MAX: Duration = Duration::from_secs(280);

/// The rows of a screen, one in a line; nothing where the line is no screen.
fn text(line: &str) -> Option<String> {
    let (columns, cells) = line.split_once(' ')?;
    let columns: usize = columns.parse().ok().filter(|columns| *columns > 0)?;
    let bytes = Base64::decode_vec(cells).ok()?;
    let (cells, _) = bytes.as_chunks::<4>();
    let signs: Vec<char> =
        cells.iter().map(|cell| char::from_u32(u32::from_le_bytes(*cell)).unwrap_or(' ')).collect();
    Some(
        signs
            .chunks(columns)
            .map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n")
            .collect(),
    )
}

/// Screen and keyboard.
pub struct Screen {
    lines: Receiver<String>,
    keyboard: Qmp,
    now: String,
}

impl Screen {
    /// Of a QEMU that runs: the lines of its second serial port, and its keyboard.
    pub fn new(lines: Receiver<String>, keyboard: Qmp) -> Self {
        Self { lines, keyboard, now: String::new() }
    }

    /// Waits until `is_it` likes the screen, and gives what is on it.
    pub fn wait_until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<String, LabError> {
        let began = Instant::now();
        while !is_it(&self.now) {
            self.look(began).map_err(|error| self.missing(what, error, began))?;
        }
        Ok(self.now.clone())
    }

    /// Takes up what it shows next.
    fn look(&mut self, began: Instant) -> Result<(), RecvTimeoutError> {
        let line = self.lines.recv_timeout(WAIT_MAX.saturating_sub(began.elapsed()))?;
        self.now = text(&line).unwrap_or_else(|| std::mem::take(&mut self.now));
        Ok(())
    }

    /// Waits until this stands on it.
    pub fn wait(&mut self, text: &str) -> Result<String, LabError> {
        self.wait_until(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits until the machine is off, or restarts, which ends QEMU.
    pub fn wait_off(&mut self) -> Result<(), LabError> {
        let began = Instant::now();
        loop {
            match self.look(began) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(error) => return Err(self.missing("the last", error, began)),
            }
        }
    }

    fn missing(&self, what: &str, error: RecvTimeoutError, began: Instant) -> LabError {
        LabError::Waited {
            what: format!("{what} on the screen"),
            seconds: began.elapsed().as_secs(),
            why: error.to_string(),
            report: self.now.clone(),
        }
    }

    /// Presses keys together.
    pub fn press(&mut self, keys: &[&str]) -> Result<(), LabError> {
        self.keyboard.press(keys)
    }

    /// Types a text on an American keyboard: small letters, digits and some signs.
    pub fn types(&mut self, text: &str) -> Result<(), LabError> {
        for sign in text.chars() {
            let name = match sign {
                ' ' => "spc",
                '.' => "dot",
                '/' => "slash",
                '-' => "minus",
                _ => &sign.to_string(),
            };
            self.press(&[name])?;
        }
        Ok(())
    }
}
