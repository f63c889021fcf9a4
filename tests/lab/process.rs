//! Child processes: their output goes to a file, and none outlives the lab.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cleanup;
use super::error::LabError;

/// How often a child's end is looked for: the kernel tells only its one parent, by a signal.
const REAP_EVERY: Duration = Duration::from_millis(20);

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output appended to `log`. The calling thread has to outlive the child: the
    /// kernel sends the parent-death signal when the *thread* ends.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, LabError> {
        let open = || File::options().create(true).append(true).open(log);
        let stdout = open().map_err(LabError::io(format!("open {}", log.display())))?;
        let stderr = open().map_err(LabError::io(format!("open {}", log.display())))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = spawn(name, &mut command)?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), status: None })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = cleanup::reap_child(&mut self.child, |child| child.try_wait()).ok().flatten();
        }
        self.status
    }

    /// Kills it as the kernel would (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            self.status = cleanup::reap_child(&mut self.child, |child| child.wait().map(Some)).ok().flatten();
        }
    }

    /// Asks it to end (SIGTERM) and waits at most `limit`; `None` if it still runs then.
    pub fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        if self.ended().is_none() {
            let _ = kill(Pid::from_raw(self.pid() as i32), Signal::SIGTERM);
        }
        let deadline = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::park_timeout(REAP_EVERY);
        }
        self.status
    }

    /// The last `lines` lines of its output.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its name, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A child whose standard output is read; killed when dropped.
#[derive(Debug)]
pub struct Piped(pub Child);

impl Piped {
    /// Starts `command` with its standard output as a pipe and its errors appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, LabError> {
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(LabError::io(format!("open {}", log.display())))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        Ok(Self(spawn(name, &mut command)?))
    }

    /// What it writes, line by line, until it ends.
    pub fn lines(&mut self) -> Receiver<String> {
        let output = self.0.stdout.take().expect("it is piped, and taken once");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
        lines
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = cleanup::reap_child(&mut self.0, |child| child.wait().map(Some));
    }
}

fn spawn(name: &str, command: &mut Command) -> Result<Child, LabError> {
    let parent = nix::unistd::getpid();
    // A process group of its own: the terminal's ^C reaches only the lab, which then ends its children in order.
    command.process_group(0);
    // SAFETY: prctl(2) and getppid(2) are async-signal-safe, and the closure allocates nothing.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the line above.
            if nix::unistd::getppid() != parent {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        });
    }
    cleanup::spawn_child(command).map_err(|source| LabError::Start { program: name.to_owned(), source })
}

/// Runs a command to its end and returns its standard output; anything but success is an error.
pub fn run(command: &mut Command) -> Result<String, LabError> {
    let line = line_of(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| LabError::Start { program: line.clone(), source })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let output_text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    Err(LabError::Command { line, status: output.status.to_string(), output: output_text })
}

fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        line.push(' ');
        line.push_str(&word.to_string_lossy());
    }
    line
}

/// The last `lines` lines of a file, without the control characters with which firmware paints its screen.
pub fn tail(path: &Path, lines: usize) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = plain(&String::from_utf8_lossy(&bytes));
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    kept[kept.len().saturating_sub(lines)..].join("\n")
}

/// Text without escape sequences (ECMA-48 CSI) and control characters.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                // A cursor move often stands for a line break on these screens.
                if chars.find(|c| ('@'..='~').contains(c)).is_some_and(|end| end == 'H') {
                    out.push('\n');
                }
            }
            '\u{1b}' => {
                chars.next();
            }
            '\n' => out.push('\n'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_reads_as_lines() {
        assert_eq!(plain("\u{1b}[2J\u{1b}[01;01Hone\u{1b}[0m\r\n\u{1b}[03;01Htwo\u{1b}c"), "\none\n\ntwo");
    }

    #[test]
    fn a_child_ends_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo started; exec cat /dev/zero > /dev/null"]);
        let mut process = Process::start("cat", command, &log).expect("start");
        assert!(process.ended().is_none());
        let pid = process.pid();
        process.kill();
        assert!(process.ended().is_some());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
