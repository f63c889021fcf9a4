//! The paths that Rust source names, `use` trees spelt out: enough of a lexer, not a parser.

/// A path as written, such as `["crate", "boot", "decide"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    /// Line, from 1.
    pub line: usize,
    /// How many inline modules (`mod tests { … }`) it is in.
    pub inline_depth: usize,
    /// Whether one of them is called `tests`.
    pub in_tests: bool,
    /// Its segments.
    pub segments: Vec<String>,
}

impl NamedPath {
    /// Whether `wanted` (`a::b`) occurs in it as consecutive segments. A single lower-case name is a crate's,
    /// and has to come first: fields and modules may share it.
    pub fn names(&self, wanted: &str) -> bool {
        let wanted: Vec<&str> = wanted.split("::").collect();
        let first_only = wanted[0].chars().all(|c| c.is_lowercase() || c == '_');
        let mut windows = self.segments.windows(wanted.len());
        let same = |window: &[String]| window.iter().zip(&wanted).all(|(one, other)| one == other);
        if first_only { windows.next().is_some_and(same) } else { windows.any(same) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Mark(char),
}

/// Every path in `source`; single words count as paths of one segment.
pub fn paths(source: &str) -> Vec<NamedPath> {
    let tokens = tokens(&code(source));
    let mut found = Vec::new();
    let mut braces: usize = 0;
    // The inline modules that are open: the braces outside each, and whether it is called `tests`.
    let mut inline: Vec<(usize, bool)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Mark('{') => {
                let named = at >= 2 && matches!(&tokens[at - 1].1, Token::Word(_));
                if named && tokens[at - 2].1 == Token::Word("mod".into()) {
                    inline.push((braces, tokens[at - 1].1 == Token::Word("tests".into())));
                }
                braces += 1;
                at += 1;
            }
            Token::Mark('}') => {
                braces = braces.saturating_sub(1);
                if inline.last().is_some_and(|module| module.0 == braces) {
                    inline.pop();
                }
                at += 1;
            }
            // Fields and methods are no paths, but `..=crate::A` is one.
            Token::Mark('.') if tokens.get(at + 1).is_some_and(|next| matches!(next.1, Token::Word(_))) => {
                at += if at > 0 && tokens[at - 1].1 == Token::Mark('.') { 1 } else { 2 };
            }
            Token::Word(_) => at = tree(&tokens, at, &[], &inline, &mut found),
            _ => at += 1,
        }
    }
    found
}

/// Reads one path, or a whole tree in braces, from `at`; returns where it ends.
fn tree(
    tokens: &[(usize, Token)],
    mut at: usize,
    before: &[String],
    inside: &[(usize, bool)],
    found: &mut Vec<NamedPath>,
) -> usize {
    let mut segments = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.0);
    while let Some((_, Token::Word(word))) = tokens.get(at) {
        segments.push(word.clone());
        at += 1;
        if tokens.get(at).map(|token| &token.1) != Some(&Token::PathSeparator) {
            break;
        }
        at += 1;
        if tokens.get(at).map(|token| &token.1) == Some(&Token::Mark('{')) {
            at += 1;
            while let Some((_, token)) = tokens.get(at) {
                match token {
                    Token::Mark('}') => return at + 1,
                    Token::Word(_) => at = tree(tokens, at, &segments, inside, found),
                    _ => at += 1,
                }
            }
            return at;
        }
    }
    let in_tests = inside.iter().any(|module| module.1);
    found.push(NamedPath { line, inline_depth: inside.len(), in_tests, segments });
    at
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            ':' if chars.peek() == Some(&':') => {
                chars.next();
                found.push((line, Token::PathSeparator));
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(next);
                }
                found.push((line, Token::Word(word)));
            }
            c if c.is_whitespace() => {}
            c => found.push((line, Token::Mark(c))),
        }
    }
    found
}

/// The source with comments, strings and characters blanked, lines kept.
pub fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => find(&chars, at, "\n"),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment(&chars, at),
            '"' => string(&chars, at),
            'r' if !word_before => raw_string(&chars, at + 1).unwrap_or(at),
            'b' if !word_before && chars.get(at + 1) == Some(&'r') => {
                raw_string(&chars, at + 2).unwrap_or(at)
            }
            '\'' => character(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn find(chars: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    let rest = &chars[from.min(chars.len())..];
    rest.windows(end.len()).position(|window| window == end).map_or(chars.len(), |offset| from + offset)
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `from` is behind the `r`.
fn raw_string(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars.get(from..)?.iter().take_while(|c| **c == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    Some((find(chars, from + hashes + 1, &end) + end.len()).min(chars.len()))
}

/// A character literal, not a lifetime.
fn character(chars: &[char], from: usize) -> Option<usize> {
    if chars.get(from + 1) == Some(&'\\') {
        return Some((find(chars, from + 3, "'") + 1).min(chars.len()));
    }
    (chars.get(from + 2) == Some(&'\'')).then_some(from + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let found: Vec<String> = paths(source).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn trees_are_spelt_out() {
        check(
            "use crate::{boot::{self, Plan}, dhcp};",
            &["use", "crate::boot::self", "crate::boot::Plan", "crate::dhcp"],
        );
        check("a::b(c.d::<e>()); 0..=f::g", &["a::b", "c", "e", "0", "f::g"]);
        check(
            "pub use super::super::http::Server as Other;",
            &["pub", "use", "super::super::http::Server", "as", "Other"],
        );
    }

    #[test]
    fn comments_and_strings_name_nothing() {
        check("// std::fs\n/* a /* b */ c */ x", &["x"]);
        check(
            r###"f("std::fs \" tokio", r#"a " b"#, b"x", br"y", 'z', '\'', '"', '\u{1f}', "q")"###,
            &["f", "b"],
        );
        check("fn f<'a>(x: &'a str) {}", &["fn", "f", "a", "x", "a", "str"]);
        check("let r = 1; for r in r {}", &["let", "r", "1", "for", "r", "in", "r"]);
    }

    #[test]
    fn lines_and_inline_modules_are_counted() {
        let found = paths("a;\n\"\n\n\";\nmod tests {\n fn f() { b }\n}\nc");
        let place = |name: &str| {
            found.iter().find(|path| path.segments == [name]).map(|path| (path.line, path.inline_depth))
        };
        assert_eq!((place("a"), place("b"), place("c")), (Some((1, 0)), Some((6, 1)), Some((8, 0))));
    }

    #[test]
    fn crates_are_named_first_and_items_anywhere() {
        let path = |text: &str| paths(text).remove(0);
        assert!(path("tokio::net::UdpSocket").names("tokio"));
        assert!(path("tokio::net::UdpSocket").names("UdpSocket"));
        assert!(!path("self::tokio").names("tokio"));
        assert!(path("std::time::Instant::now").names("Instant::now"));
        assert!(!path("std::fsync").names("std::fs"));
    }
}
