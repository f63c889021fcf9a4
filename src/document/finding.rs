//! What is wrong in a file, shown so that it can be put right: place, line, caret, remedy.

use std::fmt;
use std::ops::Range;

/// More mistakes than this are counted, not shown: nobody reads on, and a hostile file stays cheap.
const SHOWN_MAX: usize = 100;
/// Characters of a long line that are shown around the mistake.
const LINE_CHARS_MAX: usize = 120;

/// What is shown in place of a secret.
const HIDDEN: &str = "***";

/// All mistakes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// The file's name as given.
    pub file: String,
    /// Mistakes in the file's order.
    pub list: Vec<Mistake>,
    /// How many more there are.
    pub more: usize,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found and what is wrong with it.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line, or the part of it around the mistake.
    excerpt: String,
    /// Characters of `excerpt` before the caret, and carets.
    caret: (usize, usize),
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f, "\n")?;
            }
            mistake.write(&self.file, f)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n\n... and {more} more"),
        }
    }
}

impl Mistake {
    fn write(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, excerpt, caret: (before, carets), .. } = self;
        let margin = line.to_string().len();
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{line} | {excerpt}")?;
        write!(f, "{:margin$} | {:before$}{}", "", "", "^".repeat(*carets))?;
        if let Some(help) = &self.help {
            write!(f, " {help}")?;
        }
        Ok(())
    }
}

/// What the checks found, by place in the text.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    /// Where secrets stand: no mistake on their lines shows them.
    veils: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Finding {
    span: Range<usize>,
    message: String,
    help: Option<String>,
    /// What stands behind the mistake in its line may be a secret.
    veiled: bool,
}

impl Findings {
    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.list.push(Finding { span, message: message.into(), help: help.into(), veiled: false });
    }

    /// Adds a mistake of a value that may be a secret: its name is pointed at, and the value is not shown.
    pub(crate) fn add_veiled(&mut self, name: Range<usize>, message: impl Into<String>, help: String) {
        self.list.push(Finding { span: name, message: message.into(), help: Some(help), veiled: true });
    }

    /// What stands here is a secret: it is shown by no mistake, whatever that is about.
    pub(crate) fn veil(&mut self, secret: Range<usize>) {
        self.veils.push(secret);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What lies before `offset`, and what behind it with its place from there on.
    pub(crate) fn split_at(self, offset: usize) -> (Self, Self) {
        let (mut before, mut behind) = (Self::default(), Self::default());
        for mut finding in self.list {
            if finding.span.start < offset {
                before.list.push(finding);
            } else {
                finding.span = finding.span.start - offset..finding.span.end - offset;
                behind.list.push(finding);
            }
        }
        for veil in self.veils {
            match veil.start < offset {
                true => before.veils.push(veil),
                false => behind.veils.push(veil.start - offset..veil.end - offset),
            }
        }
        (before, behind)
    }

    /// Adds what `other` found on lines where nothing is found yet: a line that cannot be parsed
    /// would otherwise be blamed twice.
    pub(crate) fn add_elsewhere(&mut self, other: Self, text: &str) {
        let blamed: Vec<usize> = self.list.iter().map(|finding| line_of(text, finding.span.start)).collect();
        self.list.extend(other.list.into_iter().filter(|f| !blamed.contains(&line_of(text, f.span.start))));
        self.veils.extend(other.veils);
    }

    /// Adds what `other` found in a value of the document, which stands at `span`.
    pub(crate) fn add_at(&mut self, span: &Range<usize>, key: &str, other: Self) {
        let whole = |finding: Finding| Finding {
            span: span.clone(),
            message: format!("in {key}: {}", finding.message),
            help: finding.help,
            veiled: finding.veiled,
        };
        self.list.extend(other.list.into_iter().map(whole));
    }

    pub(crate) fn into_mistakes(mut self, file: &str, text: &str) -> Mistakes {
        self.list.sort_by_key(|finding| finding.span.start);
        let more = self.list.len().saturating_sub(SHOWN_MAX);
        self.list.truncate(SHOWN_MAX);
        let list = self.list.into_iter().map(|finding| locate(finding, &self.veils, text)).collect();
        Mistakes { file: file.into(), list, more }
    }
}

/// The nearest character boundary at or before `offset`.
fn boundary(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset.min(text.len()))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..boundary(text, offset)].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn locate(finding: Finding, veils: &[Range<usize>], text: &str) -> Mistake {
    // A mistake at the very end, such as a string left open, is shown on the last line that has text.
    let start = match boundary(text, finding.span.start) {
        end if end == text.len() => text.trim_end().len(),
        start => start,
    };
    let end = boundary(text, finding.span.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let column = text[line_start..start].chars().count() + 1;
    let (mut before, mut length) =
        (column - 1, text[start..end.min(line_end)].trim_end().chars().count().max(1));
    // A line with a secret ends with it: nothing behind is shown.
    let secret = |veil: &&Range<usize>| veil.start < line_end && veil.end > line_start;
    let cut = veils.iter().filter(secret).map(|veil| veil.start.max(line_start)).min();
    let mut shown = match cut {
        Some(cut) => text[line_start..cut].to_owned() + HIDDEN,
        None if finding.veiled => format!("{} = {HIDDEN}", text[line_start..end.min(line_end)].trim_end()),
        None => text[line_start..line_end].trim_end().to_owned(),
    };
    if cut.is_some_and(|cut| start.max(end) > cut) {
        // The caret stands under what is shown in the secret's place.
        let chars = shown.chars().count();
        before = before.min(chars - HIDDEN.len());
        length = chars - before;
    }
    let skipped =
        if before + length > LINE_CHARS_MAX { before.saturating_sub(LINE_CHARS_MAX / 4) } else { 0 };
    shown = shown
        .chars()
        .skip(skipped)
        .take(LINE_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Mistake {
        line: line_of(text, start),
        column,
        message: finding.message,
        help: finding.help,
        excerpt: shown.trim_end().to_owned(),
        caret: (before - skipped, length.min(LINE_CHARS_MAX)),
    }
}

/// The one of `candidates` that `word` probably means.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    /// Longer words are not misspelt keys.
    const WORD_CHARS_MAX: usize = 40;
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase).collect();
    if word.len() > WORD_CHARS_MAX {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    let best = candidates.iter().map(|candidate| (distance(&word, candidate), *candidate)).min()?;
    (best.0 <= allowed).then_some(best.1)
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn distance(word: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.chars().collect();
    let mut rows: [Vec<usize>; 3] = [vec![], (0..=other.len()).collect(), vec![0; other.len() + 1]];
    for i in 1..=word.len() {
        let [two_above, above, row] = &mut rows;
        row[0] = i;
        for j in 1..=other.len() {
            let substituted = above[j - 1] + usize::from(word[i - 1] != other[j - 1]);
            row[j] = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1] {
                row[j] = row[j].min(two_above[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
        rows[2] = vec![0; other.len() + 1];
    }
    rows[1][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_key() {
        let keys = ["range", "router", "reservation", "dhcp"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, &keys), expected, "{word}");
        check("rnage", Some("range"));
        check("ranges", Some("range"));
        check("Router", Some("router"));
        check("dchp", Some("dhcp"));
        check("reservatoin", Some("reservation"));
        check("colour", None);
        check("", None);
        check(&"r".repeat(5000), None);
    }

    fn check_place(text: &str, span: Range<usize>, expected: &str) {
        let mut findings = Findings::default();
        findings.add(span, "wrong", None);
        assert_eq!(findings.into_mistakes("f", text).to_string(), expected);
    }

    #[test]
    fn the_caret_stands_under_the_mistake() {
        check_place("a = 1\nbé = 22\n", 12..14, "f:2:6: wrong\n  |\n2 | bé = 22\n  |      ^^");
        check_place("a = \"\n", 6..6, "f:1:6: wrong\n  |\n1 | a = \"\n  |      ^");
        check_place("", 0..0, "f:1:1: wrong\n  |\n1 | \n  | ^");
    }

    #[test]
    fn a_value_that_may_be_secret_is_not_shown() {
        let mut findings = Findings::default();
        findings.add_veiled(4..5, "wrong", "right".into());
        let shown = findings.into_mistakes("f", "[v]\na = [\"hunter2\", 1]\n").to_string();
        assert_eq!(shown, "f:2:1: wrong\n  |\n2 | a = ***\n  | ^ right");
    }

    #[test]
    fn nothing_of_a_secret_is_shown_whatever_is_wrong_on_its_line() {
        #[track_caller]
        fn check(text: &str, wrong: Range<usize>, expected: &str) {
            let mut findings = Findings::default();
            let from = text.find("hunter").expect("a secret");
            findings.veil(from..text.rfind("ter2").expect("a secret") + 4);
            findings.add(wrong, "wrong", None);
            let shown = findings.into_mistakes("f", text).to_string();
            assert!(!shown.contains("hunter") && !shown.contains("ter2"), "{shown}");
            assert_eq!(shown.split_once('\n').expect("lines").1, expected, "{text}");
        }
        check("a = hunter2", 4..11, "  |\n1 | a = ***\n  |     ^^^");
        check("a = hunter2, b = 1", 13..14, "  |\n1 | a = ***\n  |     ^^^");
        check("{ c = 1, a = hunter2 }", 6..7, "  |\n1 | { c = 1, a = ***\n  |       ^");
        check("[hunter\nter2]", 8..11, "  |\n2 | ***\n  | ^^^");
        check("a = hunter2\nb = 1", 16..17, "  |\n2 | b = 1\n  |     ^");
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let mut findings = Findings::default();
        findings.add(500..501, "wrong", None);
        let shown = findings.into_mistakes("f", &text).to_string();
        assert!(shown.starts_with("f:1:501: wrong"), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2].find('X'), lines[3].find('^'));
    }
}
