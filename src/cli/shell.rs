//! `ironwake rescue` and `ironwake shell`: a system in RAM, and a shell on it.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;

use ironwake_api::client::{ClientError, ShellReader, ShellWriter};
use ironwake_api::{
    OperationKind, OperationNew, SHELL_FRAME_BYTES_MAX, ShellExit, ShellFrame, ShellStart, Terminal, Window,
};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::assignment::Variables;
use super::begin::{BeginArgs, begin, new};
use super::{Context, Failure};

/// Ctrl-]: leaves the shell. One key, and no program uses it.
const ESCAPE: u8 = 0x1d;
/// Pieces of what is typed that wait to be sent.
const TYPED_MAX: usize = 16;

/// Arguments of `rescue`.
#[derive(Debug, clap::Args)]
pub struct RescueArgs {
    #[command(flatten)]
    begin: BeginArgs,
    /// Run this profile of kind live, such as memtest, instead of the discovery image with a shell
    #[arg(long)]
    profile: Option<String>,
    #[command(flatten)]
    variables: Variables,
}

impl RescueArgs {
    /// Whether any of its values is in a file.
    pub fn reads_files(&self) -> bool {
        self.variables.reads_files()
    }
}

/// Arguments of `shell`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ctrl-] leaves the shell. The exit code is that of what ran on the machine.\n\
    The machine stays in rescue until `ironwake operation cancel` ends it, or its time is over; then it boots its disk.")]
pub struct ShellArgs {
    /// Machine: id, its beginning, name, MAC, UUID or serial
    machine: String,
    /// Give the command a terminal
    #[arg(long, short)]
    tty: bool,
    /// What to run instead of a shell, with its arguments as they are
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `ironwake rescue`
pub async fn rescue(args: RescueArgs, context: &mut Context) -> Result<(), Failure> {
    let new = OperationNew {
        profile: args.profile,
        variables: args.variables.read()?,
        ..new(OperationKind::Rescue, Vec::new())
    };
    begin(args.begin, new, true, context).await
}

/// `ironwake shell`
pub async fn shell(args: ShellArgs, context: &mut Context) -> Result<(), Failure> {
    let wants_terminal = args.tty || args.command.is_empty();
    let on_terminal = wants_terminal && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.tty && !on_terminal {
        return Err(anyhow::anyhow!("--tty needs a terminal, and standard input or output is none").into());
    }
    let kind = std::env::var("TERM").unwrap_or_else(|_| "vt100".into());
    let terminal = on_terminal.then(|| Terminal { kind, window: window() });
    let (reader, mut writer) = context.client.shell(&args.machine).await?;
    writer.send(&ShellFrame::Start(ShellStart { command: args.command, terminal })).await?;
    if on_terminal {
        eprintln!("Ctrl-] leaves the shell");
    }
    let raw = on_terminal.then(RawMode::enter).transpose()?;
    let ended = talk(reader, writer, on_terminal).await;
    drop(raw);
    match ended? {
        Some(ShellExit { code: 0, .. }) => Ok(()),
        Some(ShellExit { code, error }) => {
            if let Some(error) = error {
                eprintln!("error: {error}");
            }
            Err(Failure::OfCommand { code })
        }
        None => {
            eprintln!("left the shell");
            Ok(())
        }
    }
}

/// Carries what is typed and shown, until the program has ended; `None` where the operator left before.
async fn talk(
    mut reader: ShellReader,
    mut writer: ShellWriter,
    on_terminal: bool,
) -> Result<Option<ShellExit>, Failure> {
    let mut typed = typed();
    let mut has_more = true;
    let mut resized = signal(SignalKind::window_change())?;
    let (mut output, mut errors) = (std::io::stdout(), std::io::stderr());
    loop {
        tokio::select! {
            frame = reader.next() => match frame? {
                Some(ShellFrame::Output(bytes)) => {
                    output.write_all(&bytes)?;
                    output.flush()?;
                }
                Some(ShellFrame::Errors(bytes)) => errors.write_all(&bytes)?,
                Some(ShellFrame::Exit(exit)) => return Ok(Some(exit)),
                Some(_) => {}
                None => {
                    let why = "the connection to the machine ended: it restarted, the operation has ended, or the daemon has";
                    return Err(ClientError::Protocol(why.into()).into());
                }
            },
            bytes = typed.recv(), if has_more => match bytes {
                Some(bytes) => match bytes.iter().position(|byte| on_terminal && *byte == ESCAPE) {
                    Some(at) => {
                        writer.send(&ShellFrame::Input(bytes[..at].to_vec())).await?;
                        return Ok(None);
                    }
                    None => writer.send(&ShellFrame::Input(bytes)).await?,
                },
                None => {
                    writer.send(&ShellFrame::InputEnd).await?;
                    has_more = false;
                }
            },
            _ = resized.recv(), if on_terminal => writer.send(&ShellFrame::Window(window())).await?,
        }
    }
}

/// What comes by standard input. Read by a thread that nobody waits for: a read cannot be taken back.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(TYPED_MAX);
    std::thread::spawn(move || {
        let mut piece = vec![0; SHELL_FRAME_BYTES_MAX];
        while let Ok(length @ 1..) = std::io::stdin().lock().read(&mut piece) {
            if sender.blocking_send(piece[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn window() -> Window {
    let size = terminal_size::terminal_size();
    let (columns, rows) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
    Window { rows, columns }
}

/// The terminal hands over each key as it is, until this is dropped.
struct RawMode(Termios);

impl RawMode {
    fn enter() -> Result<Self, Failure> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).map_err(std::io::Error::from)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &raw).map_err(std::io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing is left to say it to if this fails.
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &self.0);
    }
}
