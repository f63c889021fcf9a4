//! A word that somebody types again, so that nothing is destroyed by habit.

use std::io::{BufRead, Write};

use anyhow::Context as _;
use tokio::signal::unix::Signal;

use super::output::clean;
use super::{Context, Failure};

/// Whether `word` is typed. Ctrl-C is no; `interrupts` was listened to before the question was seen.
pub async fn typed(word: &str, interrupts: &mut Signal, context: &mut Context) -> Result<bool, Failure> {
    let mut screen = std::io::stderr();
    write!(screen, "Type {} to confirm: ", clean(word))?;
    screen.flush()?;
    context.output.flush()?;
    // A thread of its own: the process may end while it waits for a line.
    let (sender, typed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = sender.send(std::io::stdin().lock().read_line(&mut line).map(|_| line));
    });
    tokio::select! {
        typed = typed => Ok(typed.context("read the terminal")??.trim() == word),
        _ = interrupts.recv() => {
            writeln!(screen)?;
            Ok(false)
        }
    }
}
