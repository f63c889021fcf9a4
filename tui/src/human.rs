//! What only a console shows of figures and times; texts that fit a column.

use ironwake_api::Millis;
use ironwake_api::human::steers;
pub use ironwake_api::human::{clock, duration, short, size, time};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A disk's size as its label has it, in powers of ten: `960 GB`, `1.9 TB`.
pub fn disk(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64 / 1e6, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let shown = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {}", shown.strip_suffix(".0").unwrap_or(&shown), UNITS[unit])
}

/// How long ago, short: `now`, `42 s`, `3 m`, `5 h`, `12 d`.
pub fn age(at: Millis, now: Millis) -> String {
    let secs = now.saturating_sub(at) / 1000;
    match secs {
        0..10 => "now".into(),
        10..60 => format!("{secs} s"),
        60..3600 => format!("{} m", secs / 60),
        3600..86_400 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// The same in a sentence: `just now`, `3 m ago`.
pub fn ago(at: Millis, now: Millis) -> String {
    match age(at, now).as_str() {
        "now" => "just now".into(),
        age => format!("{age} ago"),
    }
}

/// How long until: `in 3 m`, `over`.
pub fn until(at: Millis, now: Millis) -> String {
    if at <= now { "over".into() } else { format!("in {}", duration((at - now) / 1000 * 1000)) }
}

/// How long is left until then, short: `58 m left`, `over`.
pub fn left(at: Millis, now: Millis) -> String {
    if at <= now { "over".into() } else { format!("{} left", age(0, (at - now).max(10_000))) }
}

/// A recent point in time: the time of day today, else with the date.
pub fn when(at: Millis, now: Millis) -> String {
    if at / 86_400_000 == now / 86_400_000 { clock(at) } else { time(at)[5..16].to_owned() }
}

/// The speed of a link: `100 Mbit/s`, `2.5 Gbit/s`.
pub fn speed(mbps: u32) -> String {
    if mbps >= 1000 { format!("{} Gbit/s", f64::from(mbps) / 1000.0) } else { format!("{mbps} Mbit/s") }
}

/// How many a second: `0`, `0.3`, `12`.
pub fn rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 9.95 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// A text as a sentence begins.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `1 machine`, `3 machines`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(number)) }
}

/// `10,000`
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `text` without what a terminal would obey; a space stands for it, which every font has.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// `text` in at most `columns`, `end` for what is cut off.
pub fn fit(text: &str, columns: usize, end: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(end.width());
    let mut used = 0;
    let mut kept = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        kept.push(c);
    }
    if columns >= end.width() {
        kept.push_str(end);
    }
    kept
}

/// `text` in lines of at most `columns`, broken between words where that can be done.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        let line = lines.last_mut().expect("there is always one");
        let gap = usize::from(!line.is_empty());
        if line.width() + gap + word.width() <= columns {
            line.push_str(&" "[..gap]);
            line.push_str(&word);
            continue;
        }
        while word.width() > columns {
            let head = fit(&word, columns, "");
            if head.is_empty() {
                break;
            }
            word = word[head.len()..].to_owned();
            lines.push(head);
        }
        lines.push(word);
    }
    if lines.len() > 1 && lines[0].is_empty() {
        lines.remove(0);
    }
    lines
}

/// What a mistake at a place of a file says, without the line that it is in: that line is what was typed.
pub fn sentences(detail: &str) -> Vec<String> {
    let said = |line: &str| match line.split_once('|') {
        Some((number, _)) if number.trim().parse::<usize>().is_ok() => String::new(),
        Some((gutter, marked)) if gutter.trim().is_empty() => {
            marked.trim().trim_start_matches('^').trim().to_owned()
        }
        _ => line.trim().to_owned(),
    };
    detail.lines().map(said).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_and_counts() {
        assert_eq!(
            [960_197_124_096, 1_920_383_410_176, 512_110_190_592].map(disk),
            ["960 GB", "1.9 TB", "512 GB"]
        );
        assert_eq!(when(1_773_500_966_000, 1_773_500_967_000), "15:09:26");
        assert_eq!(when(1_773_500_966_000, 1_773_600_967_000), "03-14 15:09");
        assert_eq!((ago(1000, 2000), ago(0, 180_000)), ("just now".into(), "3 m ago".into()));
        assert_eq!([left(9, 9), left(1, 0), left(180_000, 1)], ["over", "10 s left", "2 m left"]);
        assert_eq!([100, 2500, 10_000].map(speed), ["100 Mbit/s", "2.5 Gbit/s", "10 Gbit/s"]);
        assert_eq!([0.0, 0.31, 9.97, 1234.4].map(rate), ["0", "0.3", "10", "1234"]);
        assert_eq!([7, 999, 1000, 1_234_567].map(grouped), ["7", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn texts_fit() {
        assert_eq!(fit("abcdef", 4, "…"), "abc…");
        assert_eq!(fit("日本語", 4, "…"), "日…");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(clean("a\x1b[31mb\u{202e}c"), "a [31mb c");
    }

    #[test]
    fn a_mistake_is_told_without_the_line_that_was_typed() {
        let detail = "settings.toml:4:10: \"rulez\" is not one of the choices\n  |\n4 | policy = \"rulez\"\n  |          ^^^^^^^ did you mean \"rules\"?\n";
        let said = ["settings.toml:4:10: \"rulez\" is not one of the choices", "did you mean \"rules\"?"];
        assert_eq!(sentences(detail), said);
        assert_eq!(sentences("a | b"), ["a | b"]);
    }
}
