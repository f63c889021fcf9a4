//! A program in a real terminal: tmux, on a server of its own, takes keys and gives screens.

#![allow(dead_code, reason = "each program uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What is waited for comes within that, also on a loaded host.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How often a screen is looked at: tmux tells nobody that it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A key that changes nothing is not waited for any longer.
const KEY_TIME_MAX: Duration = Duration::from_secs(5);

/// A terminal; ended with what runs in it when dropped.
pub struct Terminal {
    server: PathBuf,
}

impl Terminal {
    /// Opens one of this size, with the server's socket in `folder`, that runs `line` in a shell.
    pub fn open(folder: &Path, (columns, rows): (usize, usize), line: &str) -> Result<Self> {
        let terminal = Self { server: folder.join("tmux") };
        let line = format!("exec env LC_ALL=C.UTF-8 COLORTERM=truecolor TERM=tmux-256color {line}");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &line])?;
        Ok(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Result<String> {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.server).args(["-f", "/dev/null", "-u"]).args(words).env_remove("TMUX");
        let output = tmux.output().context("run tmux (package tmux)")?;
        if !output.status.success() {
            bail!("tmux {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Presses a key, as tmux names it, and waits until the screen has changed, so that keys are not faster than a person's.
    pub fn key(&self, key: &str) -> Result<()> {
        let before = self.screen()?;
        self.tmux(&["send-keys", key])?;
        let began = Instant::now();
        while self.screen()? == before && began.elapsed() < KEY_TIME_MAX {
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Types a text.
    pub fn types(&self, text: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", text]).map(drop)
    }

    /// What tmux says of it, by a format such as `#{cursor_flag}`.
    pub fn told(&self, format: &str) -> Result<String> {
        Ok(self.tmux(&["display-message", "-p", format])?.trim().to_owned())
    }

    /// The process that runs in it.
    pub fn pid(&self) -> Result<u32> {
        let pid = self.tmux(&["display-message", "-p", "#{pane_pid}"])?;
        pid.trim().parse().with_context(|| format!("{pid:?} is no process id"))
    }

    /// What is shown, as text.
    pub fn screen(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What is shown, with the escape sequences of its colours.
    pub fn coloured(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p", "-e", "-N"])
    }

    /// Waits until a text is shown; the screen that has it.
    pub fn wait(&self, text: &str) -> Result<String> {
        self.wait_until(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits until what ran in it has ended, and the terminal with it.
    pub fn wait_end(&self) -> Result<()> {
        let began = Instant::now();
        while let Ok(screen) = self.screen() {
            if began.elapsed() > PATIENCE {
                bail!("it goes on, with\n{screen}");
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits until a screen is as it should be; that screen.
    pub fn wait_until(&self, what: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
        let began = Instant::now();
        loop {
            let screen = self.screen()?;
            if fits(&screen) {
                return Ok(screen);
            }
            if began.elapsed() > PATIENCE {
                bail!("{what} is not on\n{screen}");
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}
