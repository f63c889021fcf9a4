//! `ironwake password`: what the administrator logs in with at the console and over SSH.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use anyhow::{Context as _, bail};
use ironwake_api::Secret;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Failure};

/// What is read of a password, and one more that shows that it is longer. The daemon takes fewer.
const BYTES_MAX: u64 = 4096;

/// Commands below `password`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Set the administrator's password, of 8 characters or more, or a PIN, of 6 digits or more; asks for it twice
    Set {
        /// Read it from standard input, one line, in place of asking
        #[arg(long)]
        stdin: bool,
    },
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    let Command::Set { stdin } = command;
    let password = if stdin { line()? } else { asked("New password or PIN: ", true).await? };
    context.client.set_password(password).await?;
    eprintln!("the password is set; sessions of the one before have ended");
    Ok(())
}

/// One line of standard input, and no byte behind it.
pub(super) fn line() -> anyhow::Result<Secret> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(BYTES_MAX + 1).read_until(b'\n', &mut bytes).context("read the password")?;
    if bytes.len() as u64 > BYTES_MAX {
        bail!("the line on standard input has more than {BYTES_MAX} bytes: it should be a password");
    }
    let text = String::from_utf8(bytes).ok().context("the line on standard input is not UTF-8")?;
    Ok(Secret(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// What is typed on the terminal without being shown, twice where it is to be known. Ctrl-C leaves the terminal as it was.
pub(super) async fn asked(what: &'static str, twice: bool) -> anyhow::Result<Secret> {
    if !std::io::stdin().is_terminal() {
        bail!("standard input is no terminal to ask on: give the password on it with --stdin");
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hidden = Hidden::enter()?;
    let typing = tokio::task::spawn_blocking(move || -> anyhow::Result<Secret> {
        let first = ask(what)?;
        if twice && ask("The same again: ")? != first {
            bail!("the two are not the same: nothing was changed");
        }
        Ok(first)
    });
    let typed = tokio::select! {
        typed = typing => typed.context("ask for the password")?,
        _ = interrupt.recv() => {
            drop(hidden);
            // The thread that waits for a line would hold up the end.
            std::process::exit(130);
        }
    };
    drop(hidden);
    typed
}

fn ask(what: &str) -> anyhow::Result<Secret> {
    eprint!("{what}");
    std::io::stderr().flush()?;
    let typed = line()?;
    eprintln!();
    Ok(typed)
}

/// The terminal shows nothing of what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn enter() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).context("look at the terminal")?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &hidden).context("hide what is typed")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing is left to say it to if this fails.
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &self.0);
    }
}
