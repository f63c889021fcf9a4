//! A server process: started, waited for, its memory read, ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A server that is not ready by then will not be: Ironwake listens for other DHCP servers first.
pub const READY_WITHIN: Duration = Duration::from_secs(30);
/// The daemon promises to end within 10 seconds of SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(12);
/// How often to look whether something has happened.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    /// Told once it has ended.
    ended: Receiver<()>,
    /// Its state, its log and its sockets.
    pub state: PathBuf,
}

impl Server {
    /// Starts `command`, its output going to `log` in the state folder.
    pub fn start(name: &'static str, state: PathBuf, mut command: Command) -> Result<Self> {
        let log = fs::File::create(state.join("log"))?;
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        let child = command.spawn().with_context(|| format!("start {name}: {command:?}"))?;
        let (end, ended) = channel();
        let pid = Pid::from_raw(child.id() as i32);
        thread::spawn(move || {
            // It is left for its owner to reap; an owner that is gone hears nothing.
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let _ = end.send(());
        });
        Ok(Self { name, child, ended, state })
    }

    /// Waits until `ready` says so; fails when the server ends or takes too long.
    pub fn ready(mut self, mut ready: impl FnMut() -> Result<bool>) -> Result<Self> {
        let end = Instant::now() + READY_WITHIN;
        while !ready()? {
            // No server tells when it is ready, so it is asked again and again; its end is an event.
            if self.ended.recv_timeout(LOOK_EVERY).is_ok() {
                let status = self.child.wait()?;
                bail!("{} ended at once ({status}): {}", self.name, self.last_words());
            }
            if Instant::now() > end {
                bail!("{} was not ready within {READY_WITHIN:?}: {}", self.name, self.last_words());
            }
        }
        Ok(self)
    }

    /// Anonymous and shared memory of the server and its children, in MB; mapped files are the kernel's to keep
    /// or drop, and are not counted.
    pub fn private_megabytes(&self) -> Result<f64> {
        let mut kilobytes = 0;
        for pid in family(self.child.id())? {
            kilobytes += private_kilobytes(pid)?;
        }
        Ok(kilobytes as f64 / 1000.0 * 1.024)
    }

    /// Ends the server as its service manager would.
    pub fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        if self.ended.recv_timeout(END_WITHIN).is_err() {
            bail!("{} did not end within {END_WITHIN:?} of SIGTERM", self.name);
        }
        self.child.wait()?;
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.state.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail harmlessly when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and its children, such as nginx and its workers.
fn family(pid: u32) -> Result<Vec<u32>> {
    let mut pids = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(task?.path().join("children"))?;
        pids.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    Ok(pids)
}

fn private_kilobytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(Path::new(&path)).with_context(|| format!("read {path}"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().split(' ').next()?.parse::<u64>().ok()
    };
    let anonymous = field("RssAnon").with_context(|| format!("no RssAnon in {path}"))?;
    Ok(anonymous + field("RssShmem").unwrap_or(0))
}
