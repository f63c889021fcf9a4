//! Where a command writes: standard output, as wide as it is, in colour where a person looks.

use std::io::{self, BufWriter, IsTerminal, Write};

use ironwake_api::human::steers;
use serde::Serialize;

/// Width of a line where it is not known.
const WIDTH: usize = 100;
/// Narrower terminals get lines of this width all the same.
const WIDTH_MIN: usize = 40;

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No colour.
    Plain,
    /// Headings.
    Strong,
    /// Less important.
    Faint,
    /// It is well.
    Good,
    /// It needs a look.
    Warning,
    /// It is wrong.
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// A command's output.
pub struct Output {
    writer: Box<dyn Write + Send>,
    /// Columns of a line; `None` where lines are not shown but processed: nothing is cut then.
    width: Option<usize>,
    colour: bool,
}

impl Output {
    /// Standard output.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        // https://no-color.org: any value but the empty one.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = terminal.then(|| width_of_terminal().max(WIDTH_MIN));
        Self { writer: Box::new(BufWriter::new(stdout)), width, colour: terminal && !refused && !dumb }
    }

    /// Output of a fixed width without colour.
    #[cfg(test)]
    pub fn plain(writer: impl Write + Send + 'static, width: Option<usize>) -> Self {
        Self { writer: Box::new(writer), width, colour: false }
    }

    /// Columns of a line; `None` is no limit.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes one line.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.writer, "{}", text.as_ref())
    }

    /// Text in a style, if this output has colours.
    pub fn styled(&self, text: &str, style: Style) -> String {
        if self.colour && style != Style::Plain {
            format!("{}{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// Writes one value as indented JSON.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.writer, value)?;
        writeln!(self.writer)
    }

    /// Writes one value as one line of JSON, at once.
    pub fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, value)?;
        writeln!(self.writer)?;
        self.flush()
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Sends what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn width_of_terminal() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// Text of a machine without what would steer a terminal or break a table: control characters and bidi overrides.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}
