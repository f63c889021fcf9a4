//! Recordings: what the console was told at its start, then each message, as JSON lines. What is typed into a secret value
//! is recorded as asterisks.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use ironwake_api::{OneTimePassword, Secret};

use crate::first::Told;
use crate::key::{Code, Key};
use crate::message::{Answer, Message};
use crate::model::{Model, Setup};

/// A recording that is written.
#[derive(Debug)]
pub struct Recorder {
    file: File,
}

impl Recorder {
    /// Begins a recording that only its owner may read: it holds what the daemon answered.
    pub fn create(path: &Path, setup: &Setup) -> anyhow::Result<Self> {
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let mut file = opened.with_context(|| format!("write the recording {}", path.display()))?;
        line(&mut file, setup)?;
        Ok(Self { file })
    }

    /// Records a message that is about to reach `model`.
    pub fn record(&mut self, model: &Model, message: &Message) -> io::Result<()> {
        line(&mut self.file, &veiled(model, message))
    }
}

fn line(file: &mut File, value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    file.write_all(&text)
}

fn veiled(model: &Model, message: &Message) -> Message {
    match message {
        Message::Key(key) if model.is_typing_a_secret() && key.typed().is_some() => {
            Message::Key(Key::plain(Code::Char('*')))
        }
        Message::Paste(text) if model.is_typing_a_secret() => {
            Message::Paste("*".repeat(text.chars().count()))
        }
        Message::Answer(answer) => match &**answer {
            Answer::First(Told::OneTimePassword(made)) => {
                let password = Secret("*".repeat(made.password.0.chars().count()));
                let made = OneTimePassword { password, ..made.clone() };
                Message::Answer(Box::new(Answer::First(Told::OneTimePassword(made))))
            }
            _ => message.clone(),
        },
        other => other.clone(),
    }
}

/// Reads a recording.
pub fn read(path: &Path) -> anyhow::Result<(Setup, Vec<Message>)> {
    let file = File::open(path).with_context(|| format!("read the recording {}", path.display()))?;
    let mut lines = BufReader::new(file).lines();
    let first = lines.next().context("the recording is empty")??;
    let setup = serde_json::from_str(&first).context("line 1 does not say how the console was started")?;
    let mut messages = Vec::new();
    for (place, line) in lines.enumerate() {
        let message =
            serde_json::from_str(&line?).with_context(|| format!("line {} is no message", place + 2))?;
        messages.push(message);
    }
    Ok((setup, messages))
}
