//! What the agent shows, line by line, on the screen and on serial lines.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::Instant,
};

use nix::sys::termios::{self, BaudRate, SetArg};

/// Lines that a slow serial line may be behind; more are dropped rather than waited for.
const LINES_QUEUED_MAX: usize = 256;
/// Always tried, whatever the kernel's command line says.
const CONSOLES: [&str; 2] = ["tty0", "ttyS0"];

/// All consoles of the machine. Writing never blocks.
#[derive(Debug, Clone)]
pub struct Screen {
    consoles: Vec<SyncSender<String>>,
    started: Instant,
}

impl Screen {
    /// Opens every console below `root/dev`: the screen, the first serial line, and those the kernel uses.
    pub fn open(root: &Path) -> Self {
        let active = fs::read_to_string(root.join("sys/class/tty/console/active")).unwrap_or_default();
        let active: Vec<&str> = active.split_ascii_whitespace().collect();
        let mut names = CONSOLES.to_vec();
        names.extend(active.iter().copied().filter(|name| !CONSOLES.contains(name)));
        let consoles =
            names.iter().filter_map(|name| open_console(root, name, active.contains(name))).collect();
        Self { consoles, started: Instant::now() }
    }

    /// Shows one line with the seconds since the agent started.
    pub fn say(&self, line: impl AsRef<str>) {
        let text = format!("[{:7.2}] {}\r\n", self.started.elapsed().as_secs_f32(), printable(line.as_ref()));
        for console in &self.consoles {
            // A full queue means that this console is stuck; the others are not.
            let _ = console.try_send(text.clone());
        }
    }
}

/// What comes from firmware, disks and switches may hold escape sequences.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn open_console(root: &Path, name: &str, is_kernels: bool) -> Option<SyncSender<String>> {
    let path = root.join("dev").join(name);
    let mut file =
        OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path).ok()?;
    // Opened without waiting for a modem's carrier, then written with waiting.
    let flags = nix::fcntl::OFlag::O_NOCTTY;
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(flags)).ok()?;
    if name.starts_with("ttyS") && !is_kernels {
        set_speed(&file)?;
    }
    let (sender, receiver) = sync_channel::<String>(LINES_QUEUED_MAX);
    thread::spawn(move || {
        for line in receiver {
            // A serial line that is not there fails at the first byte.
            if file.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    });
    Some(sender)
}

/// The kernel leaves a serial line that it does not use itself at 9600 baud.
fn set_speed(file: &fs::File) -> Option<()> {
    let mut settings = termios::tcgetattr(file).ok()?;
    termios::cfsetspeed(&mut settings, BaudRate::B115200).ok()?;
    termios::tcsetattr(file, SetArg::TCSANOW, &settings).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_screen() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a [2Jb c");
    }

    #[test]
    fn a_machine_without_consoles_says_nothing_and_lives() {
        let root = tempfile::tempdir().expect("a folder");
        Screen::open(root.path()).say("hello");
    }
}
