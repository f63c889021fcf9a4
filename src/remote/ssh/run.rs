//! A script on a host: fed to a shell, watched, ended.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::output::{Output, Stream};
use super::{Session, SshError};
use crate::profile::Mask;

/// How long a process group has to end by itself once it is told to.
const END_SECS: u64 = 2;
/// How long telling it may take.
const KILL_MAX: Duration = Duration::from_secs(END_SECS + 5);
/// How long a shell that was just asked for may take to say its number.
const MARK_MAX: Duration = Duration::from_secs(5);
/// Before the mark comes what the login shell says by itself, if its owner made it talkative.
const GREETING_BYTES_MAX: usize = 16 << 10;
/// What the number of the process group is marked with.
const MARK: &[u8] = b"ironwake-process ";

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// `sh` or `bash`.
    pub shell: &'static str,
    /// What it reads. Its own input is empty.
    pub text: &'a str,
    /// How long it may take.
    pub timeout: Duration,
    /// What is masked in what it writes.
    pub mask: &'a Mask,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(u32),
    /// By a signal.
    Signal(String),
    /// It took too long and was ended.
    TimedOut,
    /// It was not wanted any more and was ended.
    Stopped,
}

/// A script that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How.
    pub end: End,
    /// The end of what it wrote to its output and its errors, as they came, without secrets.
    pub output: String,
    /// How many bytes before that are not kept.
    pub output_cut_bytes: u64,
}

impl Session {
    /// Runs a script until it ends, its time is over or `stop` is cancelled.
    pub async fn run(&self, script: Script<'_>, stop: &CancellationToken) -> Result<Ran, SshError> {
        let (said, mut group) = oneshot::channel();
        let mut heard = Heard::new(script.mask, Some(said));
        let end = {
            let mut running = pin!(self.attend(script, &mut heard));
            let end = tokio::select! {
                ended = &mut running => Ok(ended?),
                () = tokio::time::sleep(script.timeout) => Err(End::TimedOut),
                () = stop.cancelled() => Err(End::Stopped),
            };
            // What has just begun is waited for, to know what to end.
            let marked = async {
                tokio::select! {
                    biased;
                    group = &mut group => group.ok(),
                    _ = &mut running => None,
                }
            };
            match end {
                Ok(end) => end,
                Err(end) => {
                    if let Ok(Some(group)) = tokio::time::timeout(MARK_MAX, marked).await {
                        self.kill(group).await;
                    }
                    end
                }
            }
        };
        heard.flush();
        let (output, output_cut_bytes) = heard.output.text();
        Ok(Ran { end, output, output_cut_bytes })
    }

    /// Whether the script ended, and how; what it wrote is in `heard` even if it did not.
    async fn attend(&self, script: Script<'_>, heard: &mut Heard) -> Result<End, SshError> {
        let mut channel = self.shell(script.shell).await?;
        // In braces it is read as a whole before any of it runs, and nothing that it runs can read the rest of it.
        let text = format!("{{ {}\n}} </dev/null\n", script.text);
        channel.data_bytes(text.into_bytes()).await.map_err(|error| self.broken(error))?;
        channel.eof().await.map_err(|error| self.broken(error))?;
        let mut end = None;
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => heard.output(&data),
                ChannelMsg::ExtendedData { data, .. } => heard.output.push(Stream::Errors, &data),
                ChannelMsg::ExitStatus { exit_status } => end = Some(End::Code(exit_status)),
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    end = Some(End::Signal(format!("{signal_name:?}")));
                }
                ChannelMsg::Failure => return Err(self.broken("the host does not run commands")),
                // A child that was left behind holds the output open; the script itself has ended.
                ChannelMsg::Eof | ChannelMsg::Close if end.is_some() => break,
                _ => {}
            }
        }
        end.ok_or_else(|| self.broken("it ended before the script did"))
    }

    fn shell(&self, shell: &str) -> impl Future<Output = Result<Channel<Msg>, SshError>> {
        // Whatever the login shell is, it understands this; `exec` keeps the number that is said.
        let mark = String::from_utf8_lossy(MARK);
        let command = format!("exec sh -c 'echo \"{mark}$$\"; exec {shell} -s'");
        async move {
            let channel = self.handle.channel_open_session().await.map_err(|error| self.broken(error))?;
            channel.exec(true, command).await.map_err(|error| self.broken(error))?;
            Ok(channel)
        }
    }

    /// Ends a process group. What cannot be told is left to the end of the connection.
    async fn kill(&self, group: u32) {
        let command = format!(
            "exec sh -c 'kill -s TERM -- -{group} && sleep {END_SECS}; kill -s KILL -- -{group} 2>/dev/null'"
        );
        let telling = async {
            let mut channel = self.handle.channel_open_session().await.ok()?;
            channel.exec(true, command).await.ok()?;
            while channel.wait().await.is_some() {}
            Some(())
        };
        let _ = tokio::time::timeout(KILL_MAX, telling).await;
    }
}

/// What came from a script so far.
struct Heard {
    output: Output,
    /// What came before the mark.
    greeting: Vec<u8>,
    marked: bool,
    /// Takes the number of the process group.
    said: Option<oneshot::Sender<u32>>,
}

impl Heard {
    fn new(mask: &Mask, said: Option<oneshot::Sender<u32>>) -> Self {
        Self { output: Output::new(mask), greeting: Vec::new(), marked: false, said }
    }

    fn output(&mut self, data: &[u8]) {
        if self.marked {
            return self.output.push(Stream::Output, data);
        }
        self.greeting.extend_from_slice(data);
        let found = self.greeting.windows(MARK.len()).position(|part| part == MARK);
        let line = found.and_then(|at| {
            let end = self.greeting[at..].iter().position(|byte| *byte == b'\n')?;
            Some(at..at + end)
        });
        if let Some(line) = line {
            let digits = &self.greeting[line.start + MARK.len()..line.end];
            let group = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            if let (Some(group), Some(said)) = (group, self.said.take()) {
                let _ = said.send(group);
            }
            self.greeting.drain(..=line.end);
            self.marked = true;
            let rest = std::mem::take(&mut self.greeting);
            self.output.push(Stream::Output, &rest);
        } else if self.greeting.len() > GREETING_BYTES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.marked = true;
        let rest = std::mem::take(&mut self.greeting);
        self.output.push(Stream::Output, &rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_group_is_heard_wherever_it_is_cut() {
        let said = b"welcome\nironwake-process 4711\nhello\n";
        for at in 0..said.len() {
            let (sender, mut group) = oneshot::channel();
            let mut heard = Heard::new(&Mask::default(), Some(sender));
            heard.output(&said[..at]);
            heard.output(&said[at..]);
            assert_eq!(group.try_recv(), Ok(4711), "{at}");
            assert_eq!(heard.output.text().0, "hello\n");
        }
        let mut heard = Heard::new(&Mask::default(), None);
        heard.output(b"no mark");
        heard.flush();
        assert_eq!(heard.output.text().0, "no mark");
    }
}
