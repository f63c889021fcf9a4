//! One shell: a program on a terminal or on pipes, at the other end of a connection.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ironwake_api::{ShellExit, ShellFrame, ShellFrames, ShellStart, Terminal, Window};
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How long the operator's side may take to say what is to be run.
const START_WAIT: Duration = Duration::from_secs(30);
/// How long programs may take to end by themselves once the operator has left.
const HANGUP_WAIT: Duration = Duration::from_secs(2);
/// Bytes that are taken over at once.
const PIECE_BYTES: usize = 16 << 10;
/// What is run where nothing is named: the shell that reads /etc/profile.
const SHELL: [&str; 2] = ["sh", "-l"];
/// As shells have it.
const NOT_FOUND: u8 = 127;
/// Added to a signal's number.
const SIGNALLED: i32 = 128;

/// Runs what the other end asks for, to its end. How that was, for the screen.
pub(super) fn serve(stream: TcpStream) -> String {
    match begin(&stream) {
        Ok((frames, start)) => match run(&stream, frames, &start) {
            Ok(exit) => format!("exit code {}", exit.code),
            Err(error) => format!("it could not be run: {error}"),
        },
        Err(error) => format!("it did not begin: {error}"),
    }
}

/// Says that this machine is there, and hears what is to be run.
fn begin(mut stream: &TcpStream) -> io::Result<(ShellFrames, ShellStart)> {
    stream.set_read_timeout(Some(START_WAIT))?;
    stream.write_all(&ShellFrame::Ready.encode())?;
    let mut frames = ShellFrames::default();
    match next_frame(stream, &mut frames)? {
        Some(ShellFrame::Start(start)) => {
            stream.set_read_timeout(None)?;
            Ok((frames, start))
        }
        Some(other) => Err(io::Error::other(format!("it began with {other:?}"))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn next_frame(mut stream: impl Read, frames: &mut ShellFrames) -> io::Result<Option<ShellFrame>> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        if let Some(frame) = frames.next_frame().map_err(io::Error::other)? {
            return Ok(Some(frame));
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            length => frames.push(&piece[..length]),
        }
    }
}

/// The program, and where its input goes and its output comes from.
struct Running {
    child: Child,
    input: Box<dyn Write + Send>,
    output: Box<dyn Read + Send>,
    errors: Option<Box<dyn Read + Send>>,
    /// The terminal's other end, for its size.
    terminal: Option<OwnedFd>,
}

fn run(stream: &TcpStream, frames: ShellFrames, start: &ShellStart) -> io::Result<ShellExit> {
    let sender = Mutex::new(stream);
    let send =
        |frame: ShellFrame| sender.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame.encode());
    let Running { mut child, input, output, errors, terminal } = match spawn(start) {
        Ok(running) => running,
        Err(error) => {
            let command = start.command.first().map_or(SHELL[0], String::as_str);
            let exit = ShellExit { code: NOT_FOUND, error: Some(format!("{command}: {error}")) };
            send(ShellFrame::Exit(exit.clone()))?;
            let _ = stream.shutdown(Shutdown::Both);
            return Ok(exit);
        }
    };
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            take_input(stream, frames, input, terminal);
            // The operator has left, or it has ended and nobody is there any more.
            hang_up(group, &ended);
        });
        let errors =
            errors.map(|errors| scope.spawn(|| carry(errors, |bytes| send(ShellFrame::Errors(bytes)))));
        carry(output, |bytes| send(ShellFrame::Output(bytes)));
        if let Some(errors) = errors {
            let _ = errors.join();
        }
        let exit = child.wait().map(|status| ShellExit { code: code(status), error: None });
        ended.store(true, Ordering::SeqCst);
        if let Ok(exit) = &exit {
            let _ = send(ShellFrame::Exit(exit.clone()));
        }
        // Ends the reading of input too.
        let _ = stream.shutdown(Shutdown::Both);
        exit
    })
}

fn spawn(start: &ShellStart) -> io::Result<Running> {
    let words: Vec<&str> = match start.command.is_empty() {
        true => SHELL.to_vec(),
        false => start.command.iter().map(String::as_str).collect(),
    };
    match &start.terminal {
        Some(terminal) => spawn_on_terminal(&words, terminal),
        None => spawn_on_pipes(&words),
    }
}

fn spawn_on_terminal(words: &[&str], terminal: &Terminal) -> io::Result<Running> {
    let pair = openpty(Some(&size_of(terminal.window)), None)?;
    // A session of its own, whose terminal this is: Ctrl-C and jobs work, and all of it ends with the terminal.
    let mut command = command("setsid");
    command.arg("-c").args(words).env("TERM", terminal.kind.as_str());
    command.stdin(pair.slave.try_clone()?).stdout(pair.slave.try_clone()?).stderr(pair.slave);
    let child = command.spawn()?;
    // Its copies of the terminal's end go with it: the last reader then sees the end.
    drop(command);
    Ok(Running {
        child,
        input: Box::new(File::from(pair.master.try_clone()?)),
        output: Box::new(File::from(pair.master.try_clone()?)),
        errors: None,
        terminal: Some(pair.master),
    })
}

fn spawn_on_pipes(words: &[&str]) -> io::Result<Running> {
    let mut command = command(words[0]);
    command.args(&words[1..]).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let gone = || io::Error::other("a pipe is missing");
    Ok(Running {
        input: Box::new(child.stdin.take().ok_or_else(gone)?),
        output: Box::new(child.stdout.take().ok_or_else(gone)?),
        errors: Some(Box::new(child.stderr.take().ok_or_else(gone)?)),
        child,
        terminal: None,
    })
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/bin").env("HOME", "/root").env("USER", "root").env("SHELL", "/bin/sh");
    if std::path::Path::new("/root").is_dir() {
        command.current_dir("/root");
    }
    command
}

/// Hands on what the operator sends until there is no more of it.
fn take_input(
    stream: &TcpStream,
    mut frames: ShellFrames,
    input: Box<dyn Write + Send>,
    terminal: Option<OwnedFd>,
) {
    let mut input = Some(input);
    while let Ok(Some(frame)) = next_frame(stream, &mut frames) {
        match frame {
            ShellFrame::Input(bytes) => {
                // What has closed its input does not want more.
                if input.as_mut().is_some_and(|input| input.write_all(&bytes).is_err()) {
                    input = None;
                }
            }
            ShellFrame::InputEnd => input = None,
            ShellFrame::Window(window) => {
                if let Some(terminal) = &terminal {
                    set_size(terminal, window);
                }
            }
            _ => return,
        }
    }
}

/// Ends what still runs: politely, then not.
fn hang_up(group: Pid, ended: &AtomicBool) {
    for signal in [Signal::SIGHUP, Signal::SIGKILL] {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let _ = killpg(group, signal);
        thread::sleep(HANGUP_WAIT);
    }
}

/// Until the end; a terminal that nobody has open any more ends with an error, which is as good.
fn carry(mut from: impl Read, mut send: impl FnMut(Vec<u8>) -> io::Result<()>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(length @ 1..) => {
                if send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code =
        status.code().or(status.signal().map(|signal| SIGNALLED + signal)).unwrap_or(i32::from(NOT_FOUND));
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn size_of(window: Window) -> Winsize {
    Winsize { ws_row: window.rows, ws_col: window.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn set_size(terminal: &OwnedFd, window: Window) {
    let size = size_of(window);
    // SAFETY: the descriptor is open, and the kernel only reads the structure, which lives for the call.
    let _ = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What comes back for a start and some input: output, errors, how it ended.
    fn check(start: ShellStart, input: &[ShellFrame]) -> (String, String, ShellExit) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let machine = thread::spawn(move || serve(TcpStream::connect(address).expect("a connection")));
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        let mut frames = ShellFrames::default();
        assert_eq!(next_frame(&stream, &mut frames).expect("frames"), Some(ShellFrame::Ready));
        stream.write_all(&ShellFrame::Start(start).encode()).expect("sent");
        for frame in input {
            stream.write_all(&frame.encode()).expect("sent");
        }
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let exit = loop {
            match next_frame(&stream, &mut frames).expect("frames").expect("an exit before the end") {
                ShellFrame::Output(bytes) => output.extend(bytes),
                ShellFrame::Errors(bytes) => errors.extend(bytes),
                ShellFrame::Exit(exit) => break exit,
                other => panic!("{other:?}"),
            }
        };
        machine.join().expect("it ends");
        (String::from_utf8_lossy(&output).into(), String::from_utf8_lossy(&errors).into(), exit)
    }

    fn start(words: &[&str], terminal: Option<Terminal>) -> ShellStart {
        ShellStart { command: words.iter().map(|word| (*word).to_owned()).collect(), terminal }
    }

    #[test]
    fn parity_cp15_a_command_gives_its_output_and_its_exit_code() {
        let script = "cat; echo wrong >&2; exit 3";
        let input = [ShellFrame::Input(b"typed".to_vec()), ShellFrame::InputEnd];
        let (output, errors, exit) = check(start(&["sh", "-c", script], None), &input);
        assert_eq!((output.as_str(), errors.as_str(), exit.code), ("typed", "wrong\n", 3));
        let (.., exit) = check(start(&["sh", "-c", "kill -9 $$"], None), &[]);
        assert_eq!(exit.code, 137);
        let (.., exit) = check(start(&["/no/such/program"], None), &[]);
        assert!(exit.code == 127 && exit.error.is_some_and(|error| error.contains("/no/such/program")));
    }

    #[test]
    fn all_of_a_long_output_comes() {
        let (output, ..) = check(start(&["sh", "-c", "head -c 1000000 /dev/zero"], None), &[]);
        assert_eq!(output.len(), 1_000_000);
    }

    #[test]
    fn a_terminal_has_the_operators_size() {
        let window = Window { rows: 33, columns: 101 };
        let terminal = Terminal { kind: "vt100".into(), window };
        let script = "tty -s && stty size && echo $TERM; exit 5";
        let (output, _, exit) = check(start(&["sh", "-c", script], Some(terminal)), &[]);
        assert_eq!((output.as_str(), exit.code), ("33 101\r\nvt100\r\n", 5));
    }

    #[test]
    fn what_still_runs_ends_when_the_operator_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let machine = thread::spawn(move || serve(TcpStream::connect(address).expect("a connection")));
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(&ShellFrame::Start(start(&["sleep", "1000"], None)).encode()).expect("sent");
        let mut frames = ShellFrames::default();
        assert_eq!(next_frame(&stream, &mut frames).expect("frames"), Some(ShellFrame::Ready));
        drop(stream);
        assert_eq!(machine.join().expect("it ends"), "exit code 129");
    }
}
