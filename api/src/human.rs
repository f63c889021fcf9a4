//! Figures and texts as people read them, the same in every program that shows them.

use crate::Millis;

/// Bytes in binary units: `612 B`, `1.5 MiB`, `16 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    // 1023.95 would be shown as "1024.0" of the smaller unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let shown = format!("{value:.1}");
    format!("{} {}", shown.strip_suffix(".0").unwrap_or(&shown), UNITS[unit])
}

/// A duration in its two largest units: `850 ms`, `12.3 s`, `4 m 05 s`, `2 d 3 h`.
pub fn duration(millis: u64) -> String {
    let secs = millis / 1000;
    match secs {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", secs, millis % 1000 / 100),
        60..3600 => format!("{} m {:02} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {:02} m", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

/// A point in time, UTC: `2026-03-14 15:09:26`.
pub fn time(at: Millis) -> String {
    let (year, month, day) = date(at / 86_400_000);
    format!("{year:04}-{month:02}-{day:02} {}", clock(at))
}

/// The time of day, UTC: `15:09:26`.
pub fn clock(at: Millis) -> String {
    let secs = at / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", secs / 3600, secs % 3600 / 60, secs % 60)
}

/// The Gregorian date of a day since 1970. Years run from March, so that the leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day_of_month)
}

/// The part of an id by which people tell records apart: the last group of a UUID, whose beginning is a time.
pub fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

/// Whether a terminal would obey this character, or show what follows in another order: what machines say of themselves is
/// shown, not executed.
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        let check = |bytes: u64, expected: &str| assert_eq!(size(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1 KiB");
        check(1_572_864, "1.5 MiB");
        check((1 << 30) - 1, "1 GiB");
        check(17_179_869_184, "16 GiB");
        check(u64::MAX, "16 EiB");
    }

    #[test]
    fn times_are_utc() {
        let check = |at: Millis, expected: &str| assert_eq!(time(at), expected);
        check(0, "1970-01-01 00:00:00");
        check(951_782_400_000, "2000-02-29 00:00:00");
        check(951_868_800_000, "2000-03-01 00:00:00");
        check(1_773_500_966_000, "2026-03-14 15:09:26");
        check(4_107_542_399_000, "2100-02-28 23:59:59");
        check(4_107_542_400_000, "2100-03-01 00:00:00");
        let _ = time(u64::MAX);
    }

    #[test]
    fn durations_have_two_units() {
        let check = |millis: u64, expected: &str| assert_eq!(duration(millis), expected);
        check(850, "850 ms");
        check(12_345, "12.3 s");
        check(245_000, "4 m 05 s");
        check(7_500_000, "2 h 05 m");
        check(183_600_000, "2 d 3 h");
    }

    #[test]
    fn what_steers_a_terminal_is_known() {
        assert!(['\x1b', '\n', '\u{9b}', '\u{202e}', '\u{2066}'].into_iter().all(steers));
        assert!(!['a', 'ü', '日', ' ', '\u{fffd}'].into_iter().any(steers));
    }
}
