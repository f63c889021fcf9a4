//! Which part of a file a request wants (RFC 9110 §13 and §14).

use std::ops::Range;

/// What a request's headers say about the file that it names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conditions<'a> {
    /// `Range`
    pub range: Option<&'a str>,
    /// `If-Range`
    pub if_range: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
}

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// 200 and all of it.
    Whole,
    /// 206 and this part.
    Part(Range<u64>),
    /// 304: the client has it.
    NotModified,
    /// 416: nothing of what was asked is there.
    Unsatisfiable,
}

/// Selects what a request gets of a file of `size` bytes, whose strong entity tag is `etag`.
///
/// Ranges that are malformed, or several at once, are answered with the whole file, as §14.2 allows.
pub(super) fn select(conditions: Conditions<'_>, etag: &str, size: u64) -> Selection {
    if conditions.if_none_match.is_some_and(|tags| matches(tags, etag)) {
        return Selection::NotModified;
    }
    // A tag that differs, and any date, means that the client's part is of another file.
    if conditions.if_range.is_some_and(|tag| tag.trim() != etag) {
        return Selection::Whole;
    }
    conditions.range.map_or(Selection::Whole, |range| part(range, size))
}

/// Whether one of a list of entity tags is `etag`; weak tags count, as §13.1.2 has it.
fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn part(range: &str, size: u64) -> Selection {
    let unit_and_set = range.split_once('=');
    let Some((_, set)) = unit_and_set.filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes")) else {
        return Selection::Whole;
    };
    let Some((first, last)) = set.trim().split_once('-') else { return Selection::Whole };
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => match suffix.min(size) {
            0 => Selection::Unsatisfiable,
            length => Selection::Part(size - length..size),
        },
        (Some(first), _) if first >= size && last_is_valid(last, first) => Selection::Unsatisfiable,
        (Some(first), None) if last.is_empty() => Selection::Part(first..size),
        (Some(first), Some(last)) if first <= last => Selection::Part(first..last.saturating_add(1).min(size)),
        _ => Selection::Whole,
    }
}

fn last_is_valid(last: &str, first: u64) -> bool {
    last.is_empty() || number(last).is_some_and(|last| first <= last)
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number that does not fit lies behind the end of any file.
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(range: &str, expected: Selection) {
        let conditions = Conditions { range: Some(range), ..Conditions::default() };
        assert_eq!(select(conditions, "\"tag\"", 1000), expected, "{range}");
    }

    #[test]
    fn single_ranges_are_cut_to_the_file() {
        check("bytes=0-0", Selection::Part(0..1));
        check("bytes=10-19", Selection::Part(10..20));
        check("Bytes = 10-", Selection::Part(10..1000));
        check("bytes=990-2000", Selection::Part(990..1000));
        check("bytes=-1", Selection::Part(999..1000));
        check("bytes=-5000", Selection::Part(0..1000));
        check("bytes=0-99999999999999999999999", Selection::Part(0..1000));
    }

    #[test]
    fn what_lies_behind_the_file_is_unsatisfiable() {
        check("bytes=1000-", Selection::Unsatisfiable);
        check("bytes=5000-6000", Selection::Unsatisfiable);
        check("bytes=-0", Selection::Unsatisfiable);
        check("bytes=99999999999999999999999-", Selection::Unsatisfiable);
    }

    #[test]
    fn what_is_not_one_range_gets_the_whole() {
        for range in ["bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=+1-2", "bytes=0-1,5-6", "lines=1-2", "1-2"] {
            check(range, Selection::Whole);
        }
    }

    #[test]
    fn tags_decide_first() {
        let check = |if_none_match, if_range, expected| {
            let conditions = Conditions { range: Some("bytes=1-2"), if_range, if_none_match };
            assert_eq!(select(conditions, "\"tag\"", 1000), expected, "{if_none_match:?} {if_range:?}");
        };
        check(Some("\"tag\""), None, Selection::NotModified);
        check(Some("\"other\", W/\"tag\""), None, Selection::NotModified);
        check(Some("*"), None, Selection::NotModified);
        check(Some("\"other\""), None, Selection::Part(1..3));
        check(None, Some("\"tag\""), Selection::Part(1..3));
        check(None, Some("\"other\""), Selection::Whole);
        check(None, Some("Wed, 21 Oct 2015 07:28:00 GMT"), Selection::Whole);
    }

    proptest! {
        #[test]
        fn any_range_lies_inside_the_file(range in "bytes=[0-9]{0,5}-[0-9]{0,5}", size in 0..20_000u64) {
            let conditions = Conditions { range: Some(&range), ..Conditions::default() };
            if let Selection::Part(part) = select(conditions, "", size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
