//! What the daemon hears of the work. Beginnings and ends are said until they are heard; progress may be lost.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use ironwake_api::{AgentReport, Disk, MacAddr, Progress, WorkReport};

use super::meter::{Meter, Rate};
use crate::{backoff::Backoff, chance, cmdline::Token, screen::Screen, server::Server};

/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// How often the screen shows it.
const SCREEN_EVERY: u32 = 10;
/// An end that is not heard for so long is not said any more: the machine goes on by itself.
const END_WAIT: Duration = Duration::from_secs(600);

/// The daemon has ended the operation, or does not know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended(pub String);

/// Where one operation's reports go.
#[derive(Debug, Clone)]
pub struct Reports {
    /// The daemon.
    pub server: Server,
    /// What the operation was claimed with.
    pub token: Token,
    /// The operation.
    pub operation: String,
    /// The machine's id.
    pub machine: String,
    /// The MAC address that this boot came through.
    pub boot_mac: MacAddr,
    /// The machine's consoles.
    pub screen: Screen,
}

impl Reports {
    /// Says that the first write is about to come, until the daemon agrees or does not.
    pub fn began(&self) -> Result<(), Ended> {
        self.insist(&WorkReport::Began, None).map_err(Ended)
    }

    /// Says what is on the disks that were written.
    pub fn disks(&self, disks: Vec<Disk>) {
        self.end(&WorkReport::Disks { disks });
    }

    /// Says that all is done.
    pub fn done(&self) {
        self.end(&WorkReport::Done);
    }

    /// Says that it cannot go on, and why.
    pub fn failed(&self, reason: &str) {
        self.screen.say(format!("the operation failed: {reason}"));
        self.end(&WorkReport::Failed { reason: reason.to_owned() });
    }

    /// Says something that the operation does not depend on.
    pub fn note(&self, message: &str) {
        self.screen.say(message);
        let report = AgentReport { boot_mac: self.boot_mac, message: message.to_owned(), failed: false };
        if let Err(error) = self.server.report(&self.machine, &report) {
            self.screen.say(format!("the server did not hear that: {error}"));
        }
    }

    /// Does the work while another thread reports how far it is. If the daemon has ended the operation, the
    /// meter says so to the work.
    pub fn while_reporting<T>(&self, meter: &Meter, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (finished, finish) = channel::<()>();
            scope.spawn(move || {
                let mut rate = Rate::new(Instant::now());
                let mut looks = 0u32;
                while finish.recv_timeout(PROGRESS_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let progress = rate.look(meter, Instant::now());
                    let what = meter.what();
                    looks += 1;
                    if what.is_empty() {
                        continue;
                    }
                    if looks.is_multiple_of(SCREEN_EVERY) {
                        self.screen.say(line(&what, &progress));
                    }
                    let report = WorkReport::Progress { progress, what };
                    let answer = self.server.report_work(&self.token, &self.operation, &report);
                    if answer.is_err_and(|error| error.is_final()) {
                        meter.end();
                    }
                }
            });
            let result = work();
            drop(finished);
            result
        })
    }

    fn end(&self, report: &WorkReport) {
        if let Err(reason) = self.insist(report, Some(END_WAIT)) {
            self.screen.say(format!("the server did not take that: {reason}"));
        }
    }

    /// Until it is heard, or for as long as given.
    fn insist(&self, report: &WorkReport, patience: Option<Duration>) -> Result<(), String> {
        let (mut backoff, began) = (Backoff::default(), Instant::now());
        loop {
            let Err(error) = self.server.report_work(&self.token, &self.operation, report) else {
                return Ok(());
            };
            if error.is_final() || patience.is_some_and(|patience| began.elapsed() > patience) {
                return Err(error.to_string());
            }
            let wait = backoff.next(chance::jitter());
            self.screen
                .say(format!("the report is not heard: {error}; again in {:.0} s", wait.as_secs_f32()));
            thread::sleep(wait);
        }
    }
}

fn line(what: &str, progress: &Progress) -> String {
    let rate = progress.bytes_per_sec / 1_000_000;
    match progress.percent() {
        Some(percent) => format!("{what}: {percent} %, {rate} MB/s"),
        None => format!("{what}: {} MB, {rate} MB/s", progress.done_bytes / 1_000_000),
    }
}
