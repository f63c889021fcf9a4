//! How things look: tones of meaning, in as many colours as the terminal has, and symbols in UTF-8 or ASCII.

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

/// What a piece of text means; never a colour by itself, for a state is told by symbol and word too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Text.
    Plain,
    /// Text that the eye is to find first.
    Strong,
    /// Labels, and what matters less.
    Dim,
    /// Rules, rails and what only structures.
    Faint,
    /// Where one is, and what can be pressed.
    Accent,
    /// Works.
    Ok,
    /// Wants attention.
    Warn,
    /// Does not work.
    Bad,
    /// Is being worked on.
    Busy,
}

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    /// None; attributes only.
    None,
    /// The sixteen of the Linux console.
    Sixteen,
    /// 256, of which 240 are the same everywhere.
    Indexed,
    /// 24 bits.
    True,
}

/// How the console looks on one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Colours.
    pub colours: Colours,
    /// Whether only ASCII can be shown.
    pub ascii: bool,
}

/// What a terminal says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal<'a> {
    /// `TERM`
    pub term: &'a str,
    /// `COLORTERM`
    pub colorterm: &'a str,
    /// Whether `NO_COLOR` is set to anything (no-color.org).
    pub no_color: bool,
    /// The locale of characters: the first that is set of `LC_ALL`, `LC_CTYPE` and `LANG`.
    pub locale: &'a str,
}

impl Look {
    /// What a terminal can show.
    pub fn of(terminal: Terminal<'_>) -> Self {
        let Terminal { term, colorterm, no_color, locale } = terminal;
        let colours = match () {
            () if no_color || term.is_empty() || term == "dumb" || term.ends_with("-m") => Colours::None,
            () if colorterm == "truecolor" || colorterm == "24bit" || term.contains("direct") => {
                Colours::True
            }
            () if term.contains("256color") => Colours::Indexed,
            () => Colours::Sixteen,
        };
        let utf8 = locale.to_ascii_lowercase().replace('-', "").contains("utf8");
        // The font of the Linux console has 256 glyphs, and no locale says which.
        let ascii = !utf8 || term == "linux" || term == "dumb" || term.starts_with("vt");
        Self { colours, ascii }
    }

    /// The style of a tone.
    pub fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        let colour = |(rgb, index, sixteen): (u32, u8, Color)| match self.colours {
            Colours::None => style,
            Colours::Sixteen => style.fg(sixteen),
            Colours::Indexed => style.fg(Color::Indexed(index)),
            Colours::True => style.fg(Color::from_u32(rgb)),
        };
        match tone {
            Tone::Plain => style,
            Tone::Strong => style.add_modifier(Modifier::BOLD),
            Tone::Dim if self.colours == Colours::None => style.add_modifier(Modifier::DIM),
            Tone::Faint if self.colours == Colours::None => style.add_modifier(Modifier::DIM),
            Tone::Dim => colour((0x008b_95a7, 245, Color::Gray)),
            Tone::Faint => colour((0x0049_5162, 239, Color::DarkGray)),
            Tone::Accent => colour((0x005f_b3d9, 74, Color::Cyan)),
            Tone::Ok => colour((0x007f_c98a, 114, Color::Green)),
            Tone::Warn => colour((0x00e5_b567, 179, Color::Yellow)),
            Tone::Bad => colour((0x00ea_6f6f, 203, Color::LightRed)).add_modifier(Modifier::BOLD),
            Tone::Busy => colour((0x0093_a8ff, 111, Color::LightBlue)),
        }
    }

    /// The background of the chosen line.
    pub fn chosen(self) -> Style {
        match self.colours {
            Colours::None => Style::new().add_modifier(Modifier::REVERSED),
            Colours::Sixteen => Style::new().bg(Color::Blue).fg(Color::White),
            Colours::Indexed => Style::new().bg(Color::Indexed(237)),
            Colours::True => Style::new().bg(Color::from_u32(0x0026_3040)),
        }
    }

    /// The background of what lies above the screen: palette, questions, help.
    pub fn raised(self) -> Style {
        match self.colours {
            Colours::None | Colours::Sixteen => Style::new(),
            Colours::Indexed => Style::new().bg(Color::Indexed(235)),
            Colours::True => Style::new().bg(Color::from_u32(0x001b_212b)),
        }
    }

    /// The background of one of several parts side by side, where there are colours enough for one that text can be read on.
    pub fn part(self, place: usize) -> Style {
        /// Blue, green, violet and amber, dark: as 24 bits and among the 256.
        const PARTS: [(u32, u8); 4] =
            [(0x001f_4257, 24), (0x0024_4a2f, 22), (0x0039_3a6b, 60), (0x0056_4322, 58)];
        let (rgb, index) = PARTS[place % PARTS.len()];
        match self.colours {
            Colours::None | Colours::Sixteen => Style::new(),
            Colours::Indexed => Style::new().bg(Color::Indexed(index)),
            Colours::True => Style::new().bg(Color::from_u32(rgb)),
        }
    }

    /// Its symbols.
    pub fn symbols(self) -> &'static Symbols {
        if self.ascii { &ASCII } else { &UTF8 }
    }
}

/// Symbols, each one column wide unless said otherwise.
#[derive(Debug)]
pub struct Symbols {
    /// Beside the name of the appliance.
    pub mark: &'static str,
    /// Works.
    pub ok: &'static str,
    /// Wants attention.
    pub warn: &'static str,
    /// Does not work.
    pub bad: &'static str,
    /// Waits.
    pub idle: &'static str,
    /// Not known.
    pub unknown: &'static str,
    /// Pictures of what is being worked on.
    pub busy: &'static [&'static str],
    /// The chosen line.
    pub cursor: &'static str,
    /// A marked line.
    pub marked: &'static str,
    /// Something leads to something.
    pub arrow: &'static str,
    /// Sorted with the smallest first.
    pub ascending: &'static str,
    /// Sorted with the largest first.
    pub descending: &'static str,
    /// Text that is cut off.
    pub cut: &'static str,
    /// Between things of one line.
    pub dot: &'static str,
    /// Nothing there.
    pub none: &'static str,
    /// The rule below the tabs.
    pub rule: &'static str,
    /// The rule below the open tab, the done part of a bar.
    pub heavy: &'static str,
    /// Where the done part of a bar ends.
    pub bar_tip: &'static str,
    /// The part of a bar that is not done.
    pub bar_rest: &'static str,
    /// A rail down a timeline.
    pub rail: &'static str,
    /// A branch of a tree, two columns.
    pub branch: &'static str,
    /// The last branch of a tree, two columns.
    pub last: &'static str,
    /// Beside a branch that goes on, two columns.
    pub trunk: &'static str,
    /// Edges of a disk's picture.
    pub edge: &'static str,
    /// Room on a disk that nothing holds.
    pub free: &'static str,
    /// A cable.
    pub cable: &'static str,
    /// No cable.
    pub no_cable: &'static str,
    /// Corners and edges of boxes, as `ratatui` names its sets.
    pub boxes: ratatui::symbols::border::Set<'static>,
    /// Levels of a sparkline, the lowest first.
    pub levels: &'static [&'static str],
    /// Is pinned.
    pub pin: &'static str,
    /// Is locked.
    pub lock: &'static str,
}

/// What most terminals show.
pub const UTF8: Symbols = Symbols {
    mark: "◆",
    ok: "●",
    warn: "▲",
    bad: "✖",
    idle: "◌",
    unknown: "○",
    busy: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    cursor: "▌",
    marked: "✓",
    arrow: "→",
    ascending: "▴",
    descending: "▾",
    cut: "…",
    dot: "·",
    none: "–",
    rule: "─",
    heavy: "━",
    bar_tip: "╸",
    bar_rest: "─",
    rail: "│",
    branch: "├╴",
    last: "└╴",
    trunk: "│ ",
    edge: "▏",
    free: "░",
    cable: "━",
    no_cable: "┄",
    boxes: ratatui::symbols::border::ROUNDED,
    levels: &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    pin: "◈",
    lock: "⚿",
};

/// What every terminal shows.
pub const ASCII: Symbols = Symbols {
    mark: "#",
    ok: "*",
    warn: "!",
    bad: "x",
    idle: ".",
    unknown: "o",
    busy: &["|", "/", "-", "\\"],
    cursor: ">",
    marked: "+",
    arrow: "->",
    ascending: "^",
    descending: "v",
    cut: "~",
    dot: ",",
    none: "-",
    rule: "-",
    heavy: "=",
    bar_tip: ">",
    bar_rest: ".",
    rail: "|",
    branch: "|-",
    last: "`-",
    trunk: "| ",
    edge: "|",
    free: ".",
    cable: "=",
    no_cable: ".",
    boxes: ratatui::symbols::border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
    levels: &[" ", ".", ":", "-", "=", "+", "*", "#", "@"],
    pin: "p",
    lock: "%",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(term: &str, colorterm: &str, no_color: bool, locale: &str, colours: Colours, ascii: bool) {
        let look = Look::of(Terminal { term, colorterm, no_color, locale });
        assert_eq!(look, Look { colours, ascii }, "{term} {colorterm} {locale}");
    }

    #[test]
    fn a_terminal_is_believed() {
        check("xterm-256color", "truecolor", false, "en_US.UTF-8", Colours::True, false);
        check("tmux-256color", "", false, "C.utf8", Colours::Indexed, false);
        check("xterm-256color", "truecolor", true, "C.UTF-8", Colours::None, false);
        check("linux", "", false, "C.UTF-8", Colours::Sixteen, true);
        check("xterm", "", false, "C", Colours::Sixteen, true);
        check("", "", false, "", Colours::None, true);
        check("vt220", "", false, "C.UTF-8", Colours::Sixteen, true);
    }

    #[test]
    fn plain_symbols_are_plain() {
        assert!(format!("{ASCII:?}").is_ascii());
    }
}
