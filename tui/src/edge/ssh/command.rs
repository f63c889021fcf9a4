//! One command of a client: the `ironwake` command as a child without a shell, in the client's session. What the client sends
//! is its input, and what it writes goes to the client.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ironwake_api::client::Client;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{interval, sleep, timeout};
use tracing::warn;

use super::connection::told;

/// The longest command: some hundred machines by name.
pub(super) const LINE_BYTES_MAX: usize = 32 << 10;
/// How long a command may run: the longest rebuild of many machines that is waited for.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// How often the daemon is told that its session is used; locks wait for a minute at least.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How long what was written may take to reach the client behind the command's end.
const END_WRITE_MAX: Duration = Duration::from_secs(60);
/// Standard error (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// What is carried at once.
const PIECE_BYTES: usize = 16 << 10;
/// Ctrl-C and Ctrl-D, as a client in a terminal of its own sends them.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
/// What shells say of a program that could not be started.
const NOT_STARTED: u32 = 127;
/// What shells say of a program that was ended by SIGKILL.
const KILLED: u32 = 137;

/// Variables of the child, which has no others. Arguments can be read by every user of the host, these cannot.
const SOCKET: &str = "IRONWAKE_SOCKET";
const SESSION: &str = "IRONWAKE_SESSION";
const LINE: &str = "IRONWAKE_LINE";
/// What of the `ironwake` command takes the line from there.
const SUBCOMMAND: &str = "over-ssh";

/// A command that is to be run.
pub(super) struct Asked {
    /// Where its bytes come from and go to.
    pub(super) channel: Channel<Msg>,
    /// The command, as the client sent it.
    pub(super) line: String,
    /// The `ironwake` program.
    pub(super) program: PathBuf,
    /// Whether the client has a terminal, which it leaves to the other side to look after.
    pub(super) terminal: bool,
    /// The daemon's socket.
    pub(super) socket: PathBuf,
    /// The session's token.
    pub(super) token: String,
    /// The daemon, in the same session.
    pub(super) daemon: Client,
    /// Ends with the connection.
    pub(super) gone: oneshot::Receiver<()>,
    /// Whether the server ends.
    pub(super) stop: watch::Receiver<bool>,
}

/// A child that does not outlive this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or is made to.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command until its end, or that of its client; gives its exit code.
pub(super) async fn run(asked: Asked) -> u32 {
    let Asked { channel, line, program, terminal, socket, token, daemon, gone, stop } = asked;
    let (mut reader, writer) = channel.split();
    let mut command = Command::new(&program);
    command
        .arg(SUBCOMMAND)
        .env_clear()
        .env(SOCKET, socket)
        .env(SESSION, token)
        .env(LINE, line)
        .current_dir("/");
    let code = match start(command) {
        Ok((running, input, output, errors)) => {
            let output = tokio::spawn(forward(output, writer.make_writer(), terminal));
            let errors = tokio::spawn(forward(errors, writer.make_writer_ext(Some(STDERR)), terminal));
            let fed = feed(&mut reader, input, terminal);
            let code = until_end(running, fed, &daemon, gone, stop).await;
            let sent = async {
                let _ = output.await;
                let _ = errors.await;
            };
            // Who has gone, or reads nothing, does not get the rest.
            if code != KILLED {
                let _ = timeout(END_WRITE_MAX, sent).await;
            }
            code
        }
        Err(error) => {
            warn!("start {}: {error}", program.display());
            let said = format!("ironwake: the command cannot be started: {error}\r\n");
            let _ = writer.make_writer_ext(Some(STDERR)).write_all(said.as_bytes()).await;
            NOT_STARTED
        }
    };
    let _ = writer.exit_status(code).await;
    let _ = writer.eof().await;
    let _ = writer.close().await;
    code
}

type Started = (Running, pipe::Sender, pipe::Receiver, pipe::Receiver);

fn start(mut command: Command) -> io::Result<Started> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(piped.spawn()?);
    let missing = || io::Error::other("a pipe is missing");
    let input = running.0.stdin.take().ok_or_else(missing)?;
    let output = running.0.stdout.take().ok_or_else(missing)?;
    let errors = running.0.stderr.take().ok_or_else(missing)?;
    Ok((
        running,
        pipe::Sender::from_owned_fd(input.into())?,
        pipe::Receiver::from_owned_fd(output.into())?,
        pipe::Receiver::from_owned_fd(errors.into())?,
    ))
}

/// Waits for the child's end, and brings it about when nobody is to get what it does.
async fn until_end(
    mut running: Running,
    fed: impl Future<Output = ()>,
    daemon: &Client,
    gone: oneshot::Receiver<()>,
    mut stop: watch::Receiver<bool>,
) -> u32 {
    let Ok(ends) = signal(SignalKind::child()) else { return KILLED };
    let kept = async {
        let mut every = interval(RENEW_EVERY);
        loop {
            every.tick().await;
            // A session that is over is told to the command itself.
            let _ = daemon.renew().await;
        }
    };
    tokio::select! {
        status = ended(&mut running, ends) => status.map_or(KILLED, code),
        () = fed => KILLED,
        _ = gone => KILLED,
        () = told(&mut stop) => KILLED,
        () = sleep(COMMAND_TIME_MAX) => KILLED,
        () = kept => KILLED,
    }
}

async fn ended(running: &mut Running, mut ends: Signal) -> io::Result<ExitStatus> {
    loop {
        // Asked behind the signal's registration, so that no end is missed.
        if let Some(status) = running.0.try_wait()? {
            return Ok(status);
        }
        if ends.recv().await.is_none() {
            return Err(io::Error::other("no more ends of children are told"));
        }
    }
}

/// The code that a client is told.
fn code(status: ExitStatus) -> u32 {
    status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(KILLED)
}

/// Gives the child what the client sends; returns when the client has gone, or wants the command to end.
async fn feed(reader: &mut ChannelReadHalf, input: pipe::Sender, terminal: bool) {
    let mut input = Some(input);
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Data { data }) => {
                let (data, wish) = typed(&data, terminal);
                // One that reads nothing more may still write.
                if let Some(open) = &mut input
                    && open.write_all(data).await.is_err()
                {
                    input = None;
                }
                match wish {
                    Some(INTERRUPT) => return,
                    Some(_) => input = None,
                    None => {}
                }
            }
            Some(ChannelMsg::Eof) => input = None,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}

/// What of the bytes is input, and which key behind it a terminal would have acted on.
fn typed(bytes: &[u8], terminal: bool) -> (&[u8], Option<u8>) {
    let place = bytes.iter().position(|byte| terminal && [INTERRUPT, END].contains(byte));
    place.map_or((bytes, None), |place| (&bytes[..place], Some(bytes[place])))
}

/// Gives the client what the child writes.
async fn forward(mut from: impl AsyncRead + Unpin, to: impl AsyncWrite, terminal: bool) {
    tokio::pin!(to);
    let mut piece = vec![0; PIECE_BYTES];
    // An error says that one of both has gone.
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let sent = match terminal {
            true => to.write_all(&lines(&piece[..count])).await,
            false => to.write_all(&piece[..count]).await,
        };
        if sent.is_err() {
            return;
        }
    }
    let _ = to.flush().await;
}

/// Text as a terminal would show it whose lines begin at the left.
fn lines(bytes: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if *byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(*byte);
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_client_is_told_the_exit_code() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(9)), KILLED);
    }

    #[test]
    fn a_terminal_is_looked_after() {
        assert_eq!(lines(b"a\nb\n"), b"a\r\nb\r\n");
        assert_eq!(typed(b"a\x03b", true), (&b"a"[..], Some(INTERRUPT)));
        assert_eq!(typed(b"\x04", true), (&b""[..], Some(END)));
        assert_eq!(typed(b"a\x03b", false), (&b"a\x03b"[..], None));
    }

    #[tokio::test]
    async fn an_end_is_noticed_and_a_child_does_not_outlive_its_command() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exit 7"]);
        let (mut running, input, _output, _errors) = start(command).expect("sh is there");
        drop(input);
        let ends = signal(SignalKind::child()).expect("a signal");
        assert_eq!(ended(&mut running, ends).await.expect("it ends").code(), Some(7));
        let mut command = Command::new("sleep");
        command.arg("1000");
        let (running, ..) = start(command).expect("sleep is there");
        let id = running.0.id();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
