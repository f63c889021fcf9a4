//! Child processes of a build: every line that they say is shown, and the last ones are in the error.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Longest time that one program may take: downloads over a slow line take most of it.
const CHILD_SECS_MAX: &str = "3600";
/// Lines of a failed program that its error repeats.
const LINES_SHOWN_MAX: usize = 12;

/// Why a step of a build failed.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program could not be started.
    #[error("{what}: run {program}: install it with the packages that README.md names for builders")]
    Start {
        /// What it was to do.
        what: &'static str,
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended without success.
    #[error("{what}: {program} ended with {status}: {last}")]
    Failed {
        /// What it was to do.
        what: &'static str,
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The last of what it said.
        last: String,
    },
    /// Something is not there.
    #[error("{what}: {reason}")]
    Missing {
        /// What was tried.
        what: &'static str,
        /// Why it does not work.
        reason: String,
    },
    /// A file of the build.
    #[error("use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A program to run, and what for.
pub struct Child {
    program: String,
    what: &'static str,
    command: Command,
}

impl Child {
    /// `program` does `what`.
    pub fn new(program: &str, what: &'static str) -> Self {
        // What hangs is ended; in the foreground, so that whoever interrupts this process interrupts it too.
        let mut command = Command::new("timeout");
        command.args(["--foreground", "--kill-after=30", CHILD_SECS_MAX, program]);
        command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        Self { program: program.to_owned(), what, command }
    }

    /// Adds an argument.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.command.arg(word);
        self
    }

    /// Adds arguments.
    pub fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.command.args(words);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Runs it in a folder.
    pub fn within(mut self, folder: impl AsRef<std::path::Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads.
    pub fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    /// Runs it to its end; `on_line` gets what it says on both streams.
    pub fn run(mut self, on_line: &mut dyn FnMut(&str)) -> Result<(), ChildError> {
        let (reader, writer) = io::pipe().map_err(|source| self.cannot_start(source))?;
        let other = writer.try_clone().map_err(|source| self.cannot_start(source))?;
        self.command.stdout(writer).stderr(other);
        let mut child = self.command.spawn().map_err(|source| self.cannot_start(source))?;
        // The command holds the pipe's other end, which would stay open.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let last = lines(reader, on_line);
        let status = child.wait().map_err(|source| self.cannot_start(source))?;
        self.judge(status, &last)
    }

    /// Runs it to its end, for what it writes; `on_line` gets what it says on standard error.
    pub fn output(mut self, on_line: &mut dyn FnMut(&str)) -> Result<String, ChildError> {
        let output = self.command.output().map_err(|source| self.cannot_start(source))?;
        let last = lines(&output.stderr[..], on_line);
        self.judge(output.status, &last)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn cannot_start(&self, source: io::Error) -> ChildError {
        ChildError::Start { what: self.what, program: self.program.clone(), source }
    }

    fn judge(&self, status: std::process::ExitStatus, last: &VecDeque<String>) -> Result<(), ChildError> {
        // `timeout` says so where it does not find the program.
        const NOT_FOUND: i32 = 127;
        match status.code() {
            Some(0) => Ok(()),
            Some(NOT_FOUND) => Err(self.cannot_start(io::ErrorKind::NotFound.into())),
            _ => Err(ChildError::Failed {
                what: self.what,
                program: self.program.clone(),
                status: status.to_string(),
                last: last.iter().map(String::as_str).collect::<Vec<_>>().join("; "),
            }),
        }
    }
}

/// Hands on every line; the last ones.
fn lines(from: impl Read, on_line: &mut dyn FnMut(&str)) -> VecDeque<String> {
    let mut last = VecDeque::new();
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    // What ends the stream ends the child too, and that is judged.
    while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&bytes);
        // Progress is written over itself: what stands there in the end counts.
        let line = text.trim_end().rsplit('\r').next().unwrap_or_default();
        if !line.is_empty() {
            on_line(line);
            last.push_back(line.to_owned());
            if last.len() > LINES_SHOWN_MAX {
                last.pop_front();
            }
        }
        bytes.clear();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_handed_on() {
        let mut said = Vec::new();
        let child = Child::new("sh", "say something").args(["-c", "echo one; printf '1%%\\r2%%\\n' >&2"]);
        child.run(&mut |line| said.push(line.to_owned())).expect("it runs");
        assert_eq!(said, ["one", "2%"]);
    }

    #[test]
    fn an_error_says_what_failed_and_how() {
        let failed = Child::new("sh", "fail").args(["-c", "echo because; exit 3"]).run(&mut |_| ());
        let text = failed.expect_err("it fails").to_string();
        assert!(text.contains("fail: sh ended with exit status: 3: because"), "{text}");
        let missing = Child::new("no-such-program", "start").run(&mut |_| ());
        assert!(matches!(missing, Err(ChildError::Start { .. })), "{missing:?}");
    }
}
