//! What a template names, and where: variables, filters, tests and other templates. The template engine finds
//! an unknown filter only when it gets there; a profile is to be refused before that.

/// What a word is to the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A variable or fact, with its parts: `machine.name`.
    Name,
    /// What stands behind `|`.
    Filter,
    /// What stands behind `is`.
    Test,
    /// What is included, imported or extended.
    Template,
}

/// One word of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'s> {
    pub text: &'s str,
    /// Offset in bytes.
    pub at: usize,
    pub role: Role,
}

/// Every word between the marks `{{ }}` and `{% %}`. The source has to be one that the engine could compile.
pub(super) fn words(source: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = source[at..].find('{').map(|offset| at + offset) {
        let inside = open + 2;
        at = match source.as_bytes().get(open + 1) {
            Some(b'#') => end_of(source, inside, "#}"),
            Some(b'{') => Lexer::new(source, inside, "}}").run(&mut found),
            Some(b'%') if statement(source, inside) == "raw" => end_of_raw(source, inside),
            Some(b'%') => Lexer::new(source, inside, "%}").run(&mut found),
            _ => open + 1,
        };
    }
    found
}

fn end_of(source: &str, from: usize, mark: &str) -> usize {
    source[from..].find(mark).map_or(source.len(), |offset| from + offset + mark.len())
}

/// The first word of a statement.
fn statement(source: &str, inside: usize) -> &str {
    let rest = source[inside..].trim_start_matches(['-', '+']).trim_start();
    &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

fn end_of_raw(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = source[at..].find("{%").map(|offset| at + offset) {
        at = open + 2;
        if statement(source, at) == "endraw" {
            return end_of(source, at, "%}");
        }
    }
    source.len()
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    end: &'static str,
    /// The two words or marks before.
    before: [&'s str; 2],
}

impl<'s> Lexer<'s> {
    fn new(source: &'s str, at: usize, end: &'static str) -> Self {
        Self { source, at, end, before: [""; 2] }
    }

    /// Reads to the end mark; gives the offset behind it.
    fn run(mut self, found: &mut Vec<Word<'s>>) -> usize {
        while let Some(c) = self.source[self.at..].chars().next() {
            if self.source[self.at..].starts_with(self.end) {
                return self.at + self.end.len();
            }
            match c {
                '"' | '\'' => self.string(c, found),
                'a'..='z' | 'A'..='Z' | '_' => self.word(found),
                c if c.is_whitespace() => self.at += c.len_utf8(),
                c => self.step(c.len_utf8()),
            }
        }
        self.at
    }

    /// Takes so many bytes as one word or mark.
    fn step(&mut self, bytes: usize) {
        let text = &self.source[self.at..self.at + bytes];
        self.before = [self.before[1], text];
        self.at += bytes;
    }

    fn string(&mut self, quote: char, found: &mut Vec<Word<'s>>) {
        let from = self.at + 1;
        let mut escaped = false;
        let closing = |(_, c): &(usize, char)| {
            let closes = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        };
        let length = self.source[from..].char_indices().find(closing).map(|(offset, _)| offset);
        let to = length.map_or(self.source.len(), |length| from + length);
        if matches!(self.before[1], "include" | "import" | "from" | "extends") {
            found.push(Word { text: &self.source[from..to], at: from, role: Role::Template });
        }
        self.step((to + 1).min(self.source.len()) - self.at);
    }

    fn word(&mut self, found: &mut Vec<Word<'s>>) {
        let rest = &self.source[self.at..];
        let name =
            |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let mut length = name(rest);
        let role = match self.before {
            [_, "|"] | [_, "filter"] => Some(Role::Filter),
            [_, "is"] | ["is", "not"] => Some(Role::Test),
            // A part of something that has no name: `list[0].part`.
            [_, "."] => None,
            _ => Some(Role::Name),
        };
        if role == Some(Role::Name) {
            while let Some(part) = rest[length..].strip_prefix('.')
                && part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            {
                length += 1 + name(part);
            }
        }
        if let Some(role) = role.filter(|role| *role != Role::Test || &rest[..length] != "not") {
            found.push(Word { text: &rest[..length], at: self.at, role });
        }
        self.step(length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &[(&str, Role)]) {
        let found: Vec<(&str, Role)> = words(source).iter().map(|word| (word.text, word.role)).collect();
        assert_eq!(found, expected, "{source}");
        for word in words(source) {
            assert!(source[word.at..].starts_with(word.text));
        }
    }

    #[test]
    fn words_have_roles() {
        use Role::*;
        check("a {b} {{ machine.name | yaml }} c", &[("machine.name", Name), ("yaml", Filter)]);
        check("{{ 'a | b }}' ~ x }}", &[("x", Name)]);
        check("{{ \"\\\"}}\" }}{{ y }}", &[("y", Name)]);
        check("{# {{ a }} #}{% raw %}{{ b }}{% endraw %}{{ c }}", &[("c", Name)]);
        check("{%- raw -%}{{ b }}{%- endraw -%}{{ c }}", &[("c", Name)]);
        check(
            "{% if a is not none %}{% endif %}",
            &[("if", Name), ("a", Name), ("is", Name), ("none", Test), ("endif", Name)],
        );
        check("{% include 'x.sh' %}", &[("include", Name), ("x.sh", Template)]);
        check("{{ a[0].b }}", &[("a", Name)]);
        check("{% filter shell %}", &[("filter", Name), ("shell", Filter)]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(source in "[{}%#'\"a-c| \\\\é-]{0,40}") {
            words(&source);
        }
    }
}
