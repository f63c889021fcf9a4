//! The text/event-stream format (WHATWG HTML, section 9.2): bytes in, data of events out.

/// Longest data of one event: an event with a whole inventory's changes is some kilobytes.
const DATA_BYTES_MAX: usize = 4 << 20;

/// Collects bytes until events are whole.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    data: String,
    has_data: bool,
    /// The last byte was CR, so an LF that follows belongs to it.
    after_cr: bool,
    opening: Opening,
}

/// What a stream begins with: a block of lines that is no event, or the first event.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    /// It has come.
    pub whole: bool,
    /// The id that it gives.
    pub id: Option<i64>,
}

/// An event or a line of it is longer than [`DATA_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl SseParser {
    /// Takes bytes as they come; gives the data of each event that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let joined = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                _ if joined => {}
                b'\r' | b'\n' => events.extend(self.end_line()?),
                _ if self.line.len() == DATA_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// What of the opening has come.
    pub(super) fn opening(&self) -> Opening {
        self.opening
    }

    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            self.opening.whole = true;
            let data = std::mem::take(&mut self.data);
            return Ok(std::mem::take(&mut self.has_data).then_some(data));
        }
        if !self.opening.whole
            && let Some(id) = line.strip_prefix(b"id:")
        {
            self.opening.id = std::str::from_utf8(id).ok().and_then(|id| id.trim().parse().ok());
        }
        // Behind the opening, comments, `id:` and `event:` say nothing that the data does not say too.
        let Some(value) = line.strip_prefix(b"data:") else { return Ok(None) };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if self.data.len() + value.len() > DATA_BYTES_MAX {
            return Err(TooLong);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push('\n');
        }
        self.data.push_str(&String::from_utf8_lossy(value));
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let stream = b": hello\n\nid: 1\nevent: x\ndata: one\n\ndata:two\r\ndata: lines\r\n\r\ndata: \xc3\xa9\n\ndata: open";
        for size in 1..stream.len() {
            let mut parser = SseParser::default();
            let mut events = Vec::new();
            for chunk in stream.chunks(size) {
                events.extend(parser.push(chunk).expect("short"));
            }
            assert_eq!(events, ["one", "two\nlines", "é"], "in pieces of {size}");
        }
    }

    #[test]
    fn the_opening_says_where_the_stream_begins() {
        let mut parser = SseParser::default();
        assert_eq!(parser.push(b"id: 41\nretry: 2000\n"), Ok(Vec::new()));
        assert!(!parser.opening().whole);
        assert_eq!(parser.push(b"\nid: 42\ndata: x\n\n"), Ok(vec!["x".to_owned()]));
        assert_eq!(parser.opening(), Opening { whole: true, id: Some(41) });
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; 1 << 20];
        let refused = (0..8).map(|_| parser.push(&piece)).find(Result::is_err);
        assert_eq!(refused, Some(Err(TooLong)));
    }
}
