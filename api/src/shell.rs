//! A shell on a machine in rescue: what goes over a connection once it speaks [`SHELL_PROTOCOL`].
//!
//! The agent asks `POST /boot/v1/operations/{id}/shell` with `Upgrade: ironwake-shell` again and again; the operator's
//! `POST /api/v1/machines/{key}/shell` with the same header is joined to the agent's, and the daemon hands bytes from one
//! to the other. Both answers are 101. Each side then sends [`ShellFrame`]s: one byte that says which, two that say how
//! many bytes follow (most significant first), and those.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Value of the header `Upgrade`.
pub const SHELL_PROTOCOL: &str = "ironwake-shell";
/// Bytes of one frame behind its head: the length has two bytes.
pub const SHELL_FRAME_BYTES_MAX: usize = u16::MAX as usize;
/// Kind and length.
const HEAD_BYTES: usize = 3;

/// One message of either side.
#[derive(Clone, PartialEq, Eq)]
pub enum ShellFrame {
    /// The machine is there; its first message.
    Ready,
    /// What is to be run; the operator's first message, sent once.
    Start(ShellStart),
    /// What the operator typed.
    Input(Vec<u8>),
    /// Nothing more will be typed.
    InputEnd,
    /// The operator's window has another size.
    Window(Window),
    /// What came out; with a terminal all of it.
    Output(Vec<u8>),
    /// What came out as errors.
    Errors(Vec<u8>),
    /// It has ended; the machine's last message.
    Exit(ShellExit),
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellStart {
    /// Program and arguments as they are; a shell where there are none.
    pub command: Vec<String>,
    /// The terminal that it gets; pipes without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Its kind, as `TERM` has it.
    pub kind: String,
    /// Its size.
    pub window: Window,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellExit {
    /// Exit code; as shells have it, 128 and the signal's number where a signal ended it, 127 where it was not found.
    pub code: u8,
    /// Why it could not be run, where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Bytes that are no frames of this protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellNonsense(String);

impl fmt::Display for ShellNonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not what a shell's connection carries: {}", self.0)
    }
}

impl std::error::Error for ShellNonsense {}

/// What is typed and what comes out may be secret: neither is shown.
impl fmt::Debug for ShellFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = match self {
            Self::Input(bytes) => ("Input", bytes.len()),
            Self::Output(bytes) => ("Output", bytes.len()),
            Self::Errors(bytes) => ("Errors", bytes.len()),
            Self::Ready => ("Ready", 0),
            Self::Start(_) => ("Start", 0),
            Self::InputEnd => ("InputEnd", 0),
            Self::Window(_) => ("Window", 0),
            Self::Exit(exit) => return write!(f, "Exit({})", exit.code),
        };
        write!(f, "{name}({bytes} bytes)")
    }
}

impl ShellFrame {
    /// The bytes of this frame. What has more than [`SHELL_FRAME_BYTES_MAX`] is several frames of its kind.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match self {
            Self::Ready => (b'r', Vec::new()),
            Self::Start(start) => (b's', json(start)),
            Self::Input(bytes) => (b'i', bytes.clone()),
            Self::InputEnd => (b'z', Vec::new()),
            Self::Window(window) => (b'w', json(window)),
            Self::Output(bytes) => (b'o', bytes.clone()),
            Self::Errors(bytes) => (b'e', bytes.clone()),
            Self::Exit(exit) => (b'x', json(exit)),
        };
        let mut encoded = Vec::with_capacity(payload.len() + HEAD_BYTES);
        let mut pieces = payload.chunks(SHELL_FRAME_BYTES_MAX);
        // Also what has no bytes is a frame.
        let mut next = pieces.next().or(Some(&[]));
        while let Some(piece) = next {
            encoded.push(kind);
            encoded.extend((piece.len() as u16).to_be_bytes());
            encoded.extend(piece);
            next = pieces.next();
        }
        encoded
    }

    fn parse(kind: u8, payload: &[u8]) -> Result<Self, ShellNonsense> {
        let nonsense = |error: serde_json::Error| ShellNonsense(error.to_string());
        Ok(match kind {
            b'r' => Self::Ready,
            b's' => Self::Start(serde_json::from_slice(payload).map_err(nonsense)?),
            b'i' => Self::Input(payload.to_vec()),
            b'z' => Self::InputEnd,
            b'w' => Self::Window(serde_json::from_slice(payload).map_err(nonsense)?),
            b'o' => Self::Output(payload.to_vec()),
            b'e' => Self::Errors(payload.to_vec()),
            b'x' => Self::Exit(serde_json::from_slice(payload).map_err(nonsense)?),
            other => return Err(ShellNonsense(format!("a frame of kind {other:#04x}"))),
        })
    }
}

/// Structures of plain fields, which cannot fail.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Frames from bytes that come in pieces of any size.
#[derive(Debug, Default)]
pub struct ShellFrames {
    bytes: Vec<u8>,
}

impl ShellFrames {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is in. Ask until there is none: what is pushed without is kept.
    pub fn next_frame(&mut self) -> Result<Option<ShellFrame>, ShellNonsense> {
        let Some((&[kind, high, low], rest)) = self.bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = ShellFrame::parse(kind, payload)?;
        self.bytes.drain(..HEAD_BYTES + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut ShellFrames) -> Vec<ShellFrame> {
        std::iter::from_fn(|| frames.next_frame().expect("frames")).collect()
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let window = Window { rows: 24, columns: 80 };
        let start = ShellStart {
            command: vec!["ls".into(), "a b".into()],
            terminal: Some(Terminal { kind: "xterm".into(), window }),
        };
        let sent = [
            ShellFrame::Ready,
            ShellFrame::Start(start),
            ShellFrame::Input(b"ls\r".to_vec()),
            ShellFrame::Window(window),
            ShellFrame::InputEnd,
            ShellFrame::Output(Vec::new()),
            ShellFrame::Errors(b"\xff\0".to_vec()),
            ShellFrame::Exit(ShellExit { code: 127, error: Some("not found".into()) }),
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(ShellFrame::encode).collect();
        for size in 1..bytes.len() {
            let mut frames = ShellFrames::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(size) {
                frames.push(piece);
                got.extend(all(&mut frames));
            }
            assert_eq!(got, sent, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_long_is_several_frames() {
        let long = vec![7; SHELL_FRAME_BYTES_MAX + 1];
        let mut frames = ShellFrames::default();
        frames.push(&ShellFrame::Output(long).encode());
        let lengths: Vec<usize> = all(&mut frames)
            .iter()
            .map(|frame| match frame {
                ShellFrame::Output(bytes) => bytes.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(lengths, [SHELL_FRAME_BYTES_MAX, 1]);
    }

    #[test]
    fn nonsense_is_refused_and_nothing_typed_is_shown() {
        for bytes in [&b"?\0\0"[..], b"s\0\x02{}", b"w\0\x01x"] {
            let mut frames = ShellFrames::default();
            frames.push(bytes);
            assert!(frames.next_frame().is_err(), "{bytes:?}");
        }
        assert_eq!(format!("{:?}", ShellFrame::Input(b"hunter2".to_vec())), "Input(7 bytes)");
    }
}
