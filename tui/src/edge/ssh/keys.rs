//! The bytes of a terminal as keys, pastes and mouse: what xterm and the Linux console send (ECMA-48, xterm's control
//! sequences). Pure; no bytes are an error, for what is not understood is skipped.

use std::mem;

use crate::edge::WHEEL_LINES;
use crate::key::{Code, Key};
use crate::message::Message;

/// A sequence that goes on for longer is none that a key sends; mouse positions are the longest, with 16.
const SEQUENCE_BYTES_MAX: usize = 32;
/// A longer paste is cut: the longest text that the console takes is a note.
const PASTE_BYTES_MAX: usize = 64 << 10;
const PASTE_END: &[u8] = b"\x1b[201~";
const ESC: u8 = 0x1b;

/// What a terminal has sent, as far as it is not complete.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

/// What stands at the beginning of some bytes.
enum Read {
    /// So many bytes, and what they mean, if anything.
    Whole(usize, Option<Message>),
    /// More has to come.
    Part,
}

impl Keys {
    /// Takes bytes; gives what is complete by them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.pending.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut at = 0;
        while at < self.pending.len() {
            let rest = &self.pending[at..];
            if let Some(paste) = &mut self.paste {
                let (took, ended) = pasted(paste, rest);
                at += took;
                if !ended {
                    break;
                }
                let text = mem::take(paste);
                self.paste = None;
                messages.push(Message::Paste(String::from_utf8_lossy(&text).into_owned()));
                continue;
            }
            if rest.starts_with(b"\x1b[200~") {
                self.paste = Some(Vec::new());
                at += PASTE_END.len();
                continue;
            }
            match read(rest) {
                Read::Whole(took, message) => {
                    at += took;
                    messages.extend(message);
                }
                Read::Part if rest.len() >= SEQUENCE_BYTES_MAX => at += SEQUENCE_BYTES_MAX,
                Read::Part => break,
            }
        }
        self.pending.drain(..at);
        messages
    }

    /// Whether a key may be incomplete, or may be Escape alone: only time tells.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty() && self.paste.is_none()
    }

    /// Nothing more came in time.
    pub(super) fn give_up(&mut self) -> Option<Message> {
        if !self.waits() {
            return None;
        }
        let is_escape = mem::take(&mut self.pending) == [ESC];
        is_escape.then(|| Message::Key(Key::plain(Code::Esc)))
    }
}

/// Adds to a paste; gives how many bytes were taken and whether it is complete.
fn pasted(paste: &mut Vec<u8>, bytes: &[u8]) -> (usize, bool) {
    let end = bytes.windows(PASTE_END.len()).position(|part| part == PASTE_END);
    // The mark of the end may be cut by the end of what came.
    let part = (1..PASTE_END.len()).rev().find(|length| bytes.ends_with(&PASTE_END[..*length])).unwrap_or(0);
    let text = end.unwrap_or(bytes.len() - part);
    let room = PASTE_BYTES_MAX.saturating_sub(paste.len());
    paste.extend_from_slice(&bytes[..text.min(room)]);
    (end.map_or(text, |end| end + PASTE_END.len()), end.is_some())
}

fn read(bytes: &[u8]) -> Read {
    match bytes {
        [] | [ESC] => Read::Part,
        [ESC, ESC, ..] => Read::Whole(1, Some(Message::Key(Key::plain(Code::Esc)))),
        [ESC, b'O'] => Read::Part,
        [ESC, b'O', last @ b'A'..=b'z', ..] => Read::Whole(3, lettered(*last).map(key)),
        [ESC, b'[', rest @ ..] => sequence(rest),
        [ESC, rest @ ..] => match character(rest) {
            Read::Whole(took, Some(Message::Key(key))) => {
                Read::Whole(took + 1, Some(Message::Key(Key { alt: true, ..key })))
            }
            Read::Whole(took, _) => Read::Whole(took + 1, None),
            Read::Part => Read::Part,
        },
        bytes => character(bytes),
    }
}

fn key(code: Code) -> Message {
    Message::Key(Key::plain(code))
}

/// One character of UTF-8, or what a control code stands for.
fn character(bytes: &[u8]) -> Read {
    let first = bytes[0];
    let control = |letter: u8| Key { code: Code::Char(char::from(letter)), ctrl: true, alt: false };
    let key = match first {
        b'\r' | b'\n' => Key::plain(Code::Enter),
        b'\t' => Key::plain(Code::Tab),
        // Terminals differ in which of the two their key sends.
        0x7f | 0x08 => Key::plain(Code::Backspace),
        0 => control(b' '),
        0x01..=0x1a => control(first - 1 + b'a'),
        0x1c..=0x1f => control(first - 0x1c + b'4'),
        ESC => return Read::Whole(1, None),
        _ => {
            let length = match first {
                ..0x80 => 1,
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return Read::Whole(1, None),
            };
            let wrong = bytes.iter().take(length).skip(1).any(|byte| byte & 0xc0 != 0x80);
            if wrong {
                return Read::Whole(1, None);
            }
            if bytes.len() < length {
                return Read::Part;
            }
            let typed = std::str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next());
            return Read::Whole(length, typed.map(|c| Message::Key(Key::plain(Code::Char(c)))));
        }
    };
    Read::Whole(1, Some(Message::Key(key)))
}

/// What follows `ESC [`.
fn sequence(bytes: &[u8]) -> Read {
    const INTRODUCER: usize = 2;
    match bytes {
        [] | [b'['] => return Read::Part,
        // The Linux console's function keys.
        [b'[', letter, ..] => {
            let function = matches!(letter, b'A'..=b'E').then(|| key(Code::F(letter - b'A' + 1)));
            return Read::Whole(INTRODUCER + 2, function);
        }
        // A mouse as terminals without SGR positions tell it: three bytes that could be anything.
        [b'M', rest @ ..] => {
            return if rest.len() < 3 { Read::Part } else { Read::Whole(INTRODUCER + 4, None) };
        }
        _ => {}
    }
    let mut within = bytes.iter().take(SEQUENCE_BYTES_MAX - INTRODUCER);
    let Some(end) = within.position(|byte| !matches!(byte, 0x20..=0x3f)) else { return Read::Part };
    if !matches!(bytes[end], 0x40..=0x7e) {
        // Broken off by another control code, which is read by itself.
        return Read::Whole(INTRODUCER + end, None);
    }
    Read::Whole(INTRODUCER + end + 1, meaning(&bytes[..end], bytes[end]))
}

/// What a whole sequence means.
fn meaning(parameters: &[u8], last: u8) -> Option<Message> {
    let text = std::str::from_utf8(parameters).ok()?;
    if let Some(position) = text.strip_prefix('<') {
        return mouse(position, last);
    }
    let number = |place: usize| {
        let field = text.split(';').nth(place)?;
        field.split(':').next()?.parse::<u16>().ok()
    };
    let code = match last {
        b'~' => numbered(number(0)?)?,
        b'Z' => Code::BackTab,
        letter => lettered(letter)?,
    };
    // One more than a sum of bits: 1 Shift, 2 Alt, 4 Control.
    let held = number(1).unwrap_or(1).saturating_sub(1);
    Some(Message::Key(Key { code, ctrl: held & 4 != 0, alt: held & 2 != 0 }))
}

/// Keys that are told by a letter.
fn lettered(letter: u8) -> Option<Code> {
    Some(match letter {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'F' => Code::End,
        b'H' => Code::Home,
        b'M' => Code::Enter,
        b'P'..=b'S' => Code::F(letter - b'P' + 1),
        _ => return None,
    })
}

/// Keys that are told by a number.
fn numbered(number: u16) -> Option<Code> {
    Some(match number {
        1 | 7 => Code::Home,
        3 => Code::Delete,
        4 | 8 => Code::End,
        5 => Code::PageUp,
        6 => Code::PageDown,
        // The numbers have gaps where the VT220's keyboard had.
        11..=15 => Code::F(number as u8 - 10),
        17..=21 => Code::F(number as u8 - 11),
        23 | 24 => Code::F(number as u8 - 12),
        _ => return None,
    })
}

/// A mouse's position in SGR form, `button;column;row`.
fn mouse(position: &str, last: u8) -> Option<Message> {
    let mut fields = position.split(';').map(|field| field.parse::<u16>().ok());
    let (button, column, row) = (fields.next()??, fields.next()??, fields.next()??);
    match (button, last) {
        (0, b'M') => Some(Message::Click { column: column.checked_sub(1)?, row: row.checked_sub(1)? }),
        (64, _) => Some(Message::Wheel(-WHEEL_LINES)),
        (65, _) => Some(Message::Wheel(WHEEL_LINES)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Message> {
        let mut keys = Keys::default();
        let mut messages = keys.feed(bytes);
        messages.extend(keys.give_up());
        messages
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let shown: Vec<String> = all(bytes)
            .into_iter()
            .map(|message| match message {
                Message::Key(key) => key.to_string(),
                Message::Paste(text) => format!("paste({text})"),
                Message::Wheel(lines) => format!("wheel({lines})"),
                Message::Click { column, row } => format!("click({column},{row})"),
                other => panic!("{other:?} is nothing that a terminal sends"),
            })
            .collect();
        assert_eq!(shown.join(" "), expected, "{bytes:?}");
        // It is the same in pieces.
        let mut keys = Keys::default();
        let mut pieces: Vec<Message> = bytes.iter().flat_map(|byte| keys.feed(&[*byte])).collect();
        pieces.extend(keys.give_up());
        assert_eq!(pieces, all(bytes), "{bytes:?} in pieces");
    }

    #[test]
    fn what_keyboards_send() {
        check(b"aZ /", "a Z space /");
        check("ä€😀".as_bytes(), "ä € 😀");
        check(b"\r\n\t\x7f\x08", "enter enter tab backspace backspace");
        check(b"\x10\x03\x00", "ctrl-p ctrl-c ctrl-space");
        check(b"\x1b", "esc");
        check(b"\x1b\x1b", "esc esc");
        check(b"\x1bx", "alt-x");
        check(b"\x1b[A\x1bOB\x1b[C\x1bOD", "up down right left");
        check(b"\x1b[1;5C\x1b[1;3A", "ctrl-right alt-up");
        check(b"\x1b[H\x1b[4~\x1b[5~\x1b[6~\x1b[3~\x1b[Z", "home end pageup pagedown delete shift-tab");
        check(b"\x1bOP\x1b[15~\x1b[17~\x1b[24~\x1b[[A\x1b[[E", "f1 f5 f6 f12 f1 f5");
    }

    #[test]
    fn mice_and_pastes() {
        check(b"\x1b[<0;12;5M\x1b[<0;12;5m", "click(11,4)");
        check(b"\x1b[<64;1;1M\x1b[<65;1;1M", "wheel(-3) wheel(3)");
        check(b"\x1b[M !!q", "q");
        check(b"\x1b[200~q\x1b[A\r\x1b[201~q", "paste(q\u{1b}[A\r) q");
    }

    #[test]
    fn what_is_not_understood_is_skipped() {
        check(b"\xff\xc3(\x80", "(");
        check(b"\x1b[?1;2c\x1b[99~\x1b[<0;0;0Mq", "q");
        check(b"\x1b[1\x1b[A", "up");
        check(b"\x1b[1;", "");
        check(&[b"\x1b[".as_slice(), &[b'1'; 100], b"q"].concat(), &format!("{} q", vec!["1"; 70].join(" ")));
    }

    #[test]
    fn a_paste_without_an_end_is_kept_small() {
        let mut keys = Keys::default();
        keys.feed(b"\x1b[200~");
        for _ in 0..100 {
            assert!(keys.feed(&[b'a'; 4096]).is_empty());
        }
        assert!(keys.pending.len() < PASTE_END.len() && !keys.waits());
        assert_eq!(keys.feed(PASTE_END), [Message::Paste("a".repeat(PASTE_BYTES_MAX))]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(pieces: Vec<Vec<u8>>) {
            let mut keys = Keys::default();
            for piece in pieces {
                keys.feed(&piece);
                prop_assert!(keys.pending.len() < SEQUENCE_BYTES_MAX);
                if piece.len() % 3 == 0 {
                    keys.give_up();
                    prop_assert!(!keys.waits());
                }
            }
        }

        #[test]
        fn what_looks_like_sequences_does_not_either(text in "(\u{1b}|\\[|O|<|[0-9;:~AMmZ]|200~|201~|[a-zä])*") {
            let mut keys = Keys::default();
            keys.feed(text.as_bytes());
            keys.give_up();
        }
    }
}
