//! Somebody who guesses the administrator's password over SSH, from ever other addresses and as fast as is answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use super::api::Connection;
use super::ours;

/// As many as wait for their turn; the daemon tells others to come again.
const GUESSERS: u64 = 16;
/// What they do not guess.
const PASSWORD: &str = "correct horse battery";
/// Their answers: it was compared, and was wrong.
const WRONG: u16 = 401;
/// They are slowed down, or too many.
const LATER: [u16; 2] = [429, 503];

/// Logins that go on until they are ended.
pub struct Guessing {
    over: Arc<AtomicBool>,
    guessers: Vec<JoinHandle<Result<Guesses>>>,
}

/// What became of the logins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guesses {
    /// Passwords that were compared, which is what takes a processor.
    pub compared: u64,
    /// All that were answered.
    pub answered: u64,
}

impl Guessing {
    /// Sets a password, and begins to show others.
    pub fn begin(state: &Path) -> Result<Self> {
        let set = Connection::open(&ours::socket(state))?.ask(
            "PUT",
            "/password",
            &json!({ "password": PASSWORD }),
        )?;
        if set.0 != 204 {
            bail!("PUT /api/v1/password: {}: {}", set.0, set.1);
        }
        let (over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let socket = ours::ssh_socket(state);
        let guesser = |_| {
            let (over, next, socket) = (over.clone(), next.clone(), socket.clone());
            thread::spawn(move || guess(&socket, &over, &next))
        };
        let guessers = (0..GUESSERS).map(guesser).collect();
        Ok(Self { over, guessers })
    }

    /// Ends them.
    pub fn end(self) -> Result<Guesses> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Guesses::default();
        for guesser in self.guessers {
            let guesses = guesser.join().map_err(|_| anyhow!("a thread that guesses panicked"))??;
            all.compared += guesses.compared;
            all.answered += guesses.answered;
        }
        Ok(all)
    }
}

fn guess(socket: &Path, over: &AtomicBool, next: &AtomicU64) -> Result<Guesses> {
    let mut guesses = Guesses::default();
    while !over.load(Ordering::Relaxed) {
        let [.., high, middle, low] = next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let body = json!({ "password": "wrong horse battery", "from": format!("10.{high}.{middle}.{low}") });
        // The SSH server has a connection for each as well.
        let (status, text) = Connection::open(socket)?.ask("POST", "/login", &body)?;
        match status {
            WRONG => guesses.compared += 1,
            status if LATER.contains(&status) => {}
            status => bail!("POST /api/v1/login: {status}: {text}"),
        }
        guesses.answered += 1;
    }
    Ok(guesses)
}
