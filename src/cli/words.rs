//! A line of words as a shell would read it (POSIX.1-2024, shell command language, 2.2 and 2.3), but with nothing in it that a
//! shell would do: no expansion, no operators.

/// What a shell would act on, unless it is in quotes.
const OPERATORS: &str = "|&;<>()$`\n";
/// What it acts on in double quotes too.
const EXPANDED: &str = "$`";

/// The words of a line; what is wrong with it and what would be right.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(unclosed('\'')),
                    }
                }
            }
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                // A line goes on behind it.
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("the line ends with `\\`, which stands before another character".into()),
            },
            c if OPERATORS.contains(c) => return Err(no_shell(c)),
            // A comment, where a word begins with it.
            '#' if word.is_none() => return Err(no_shell(c)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What stands in double quotes, up to their end.
fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some('\n') => {}
                Some(c) => word.extend(['\\', c]),
                None => return Err(unclosed('"')),
            },
            Some(c) if EXPANDED.contains(c) => return Err(no_shell(c)),
            Some(c) => word.push(c),
            None => return Err(unclosed('"')),
        }
    }
}

fn unclosed(quote: char) -> String {
    format!("a {quote} is not closed: put another one behind its text")
}

fn no_shell(c: char) -> String {
    format!(
        "there is no shell here that would act on {c:?}: put it into single quotes, or do that where you are"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        assert_eq!(
            split(line).as_deref(),
            Ok(expected.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().as_slice()),
            "{line}"
        );
    }

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        let said = split(line).expect_err("it is refused");
        assert!(said.contains(expected), "{line}: {said}");
    }

    #[test]
    fn words_are_split_and_quotes_are_taken_off() {
        check("", &[]);
        check("  machine\tlist  --json ", &["machine", "list", "--json"]);
        check("a'b c'd \"e f\" ''", &["ab cd", "e f", ""]);
        check(r#"a\ b "\"\\\$\`\x" '\'"#, &["a b", r#""\$`\x"#, r"\"]);
        check("\"it's\" 'say \"x\"' '$HOME;|&'", &["it's", "say \"x\"", "$HOME;|&"]);
        check(
            "a=b#c serial=S4* ~x {y} --var 'k=[\"a\"]'",
            &["a=b#c", "serial=S4*", "~x", "{y}", "--var", "k=[\"a\"]"],
        );
    }

    #[test]
    fn what_only_a_shell_would_do_is_refused() {
        for (line, shown) in [
            ("machine list; rm -rf /", "';'"),
            ("machine list | less", "'|'"),
            ("a && b", "'&'"),
            ("a > /etc/passwd", "'>'"),
            ("a < b", "'<'"),
            ("a $(b)", "'$'"),
            ("a `b`", "'`'"),
            ("a \"$HOME\"", "'$'"),
            ("a \"`b`\"", "'`'"),
            ("(a)", "'('"),
            ("a\nb", "'\\n'"),
            ("# a", "'#'"),
        ] {
            check_refused(line, shown);
        }
        check_refused("a 'b", "' is not closed");
        check_refused("a \"b", "\" is not closed");
        check_refused("a \"b\\", "\" is not closed");
        check_refused("a\\", "ends with");
    }

    proptest! {
        #[test]
        fn no_line_breaks_it_and_a_quoted_word_stays_whole(text in "\\PC*") {
            let _ = split(&text);
            let quoted = format!("'{}'", text.replace('\'', "'\\''"));
            prop_assert_eq!(split(&quoted), Ok(vec![text]));
        }
    }
}
