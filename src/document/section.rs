//! A table of the file, read key by key. Serde stops at the first mistake and points at whole tables;
//! reading by hand finds every mistake, each at its place.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Findings, nearest};
use super::veil::{SECRET_TABLES, may_be_secret};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// What the file says for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// Nothing.
    Absent,
    /// Something that is wrong and already reported.
    Bad,
    /// A value.
    Given(At<T>),
}

impl<T> Field<T> {
    /// The value, where there is one.
    pub(crate) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Given(at) => Some(at.value),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(crate) fn value_or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }
}

/// A value of the file with its place.
pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// One table of the file while it is read.
pub(crate) struct Section<'a, 'i> {
    /// As errors name it: `[http]`, `[[network]]`, or `the file` for the top.
    name: Cow<'static, str>,
    table: &'a DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'a, 'i> Section<'a, 'i> {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, table: &'a DeTable<'i>) -> Self {
        Self { name: name.into(), table, known: Vec::new() }
    }

    fn find(&mut self, key: &'static str) -> Option<&'a Value<'i>> {
        self.known.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Where a key stands; the document's beginning if it does not.
    pub(crate) fn place_of(&self, key: &str) -> Range<usize> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map_or(0..0, |(name, _)| name.span())
    }

    /// Reads one key; `read` reports what is wrong and returns nothing then.
    pub(crate) fn field<T>(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
        read: impl FnOnce(&Value<'i>, &mut Findings) -> Option<T>,
    ) -> Field<T> {
        let Some(found) = self.find(key) else { return Field::Absent };
        match read(found, findings) {
            Some(value) => Field::Given(At { value, span: found.span() }),
            None => Field::Bad,
        }
    }

    /// A table below this one.
    pub(crate) fn section(
        &mut self,
        key: &'static str,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Section<'a, 'i>> {
        let found = self.find(key)?;
        match found.get_ref() {
            DeValue::Table(table) => Some(Section::new(name, table)),
            _ => {
                let message =
                    format!("`{key}` is {}, and should be a table", found_for(key, found, findings));
                findings.add(found.span(), message, format!("write a section {name}"));
                None
            }
        }
    }

    /// An array of tables below this one, each with its place. `None` where it is something else.
    pub(crate) fn sections(
        &mut self,
        key: &'static str,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Vec<(Section<'a, 'i>, Range<usize>)>> {
        let Some(found) = self.find(key) else { return Some(Vec::new()) };
        let wrong = |value: &Value<'_>, findings: &mut Findings| {
            let message =
                format!("`{key}` is {}, and should be a list of tables", found_for(key, value, findings));
            findings.add(value.span(), message, format!("write {name}, with two brackets, once for each"));
        };
        let DeValue::Array(items) = found.get_ref() else {
            wrong(found, findings);
            return None;
        };
        let mut sections = Vec::new();
        let mut all_tables = true;
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => sections.push((Section::new(name, table), item.span())),
                _ => {
                    wrong(item, findings);
                    all_tables = false;
                }
            }
        }
        all_tables.then_some(sections)
    }

    /// The tables below this one that the writer named, each with its name: `[variables.NAME]`.
    pub(crate) fn named_sections(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Vec<(At<String>, Section<'a, 'i>)> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let DeValue::Table(tables) = found.get_ref() else {
            let message = format!("`{key}` is {}, and should be a table", describe(found.get_ref()));
            findings.add(found.span(), message, format!("write a section [{key}.NAME] for each"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in tables.iter() {
            let shown = shorten(name.get_ref());
            match value.get_ref() {
                DeValue::Table(table) => {
                    let at = At { value: name.get_ref().clone().into_owned(), span: name.span() };
                    sections.push((at, Section::new(format!("[{key}.{shown}]"), table)));
                }
                other => {
                    let message = format!("`{key}.{shown}` is {}, and should be a table", describe(other));
                    findings.add(value.span(), message, format!("write a section [{key}.{shown}]"));
                }
            }
        }
        sections
    }

    /// Every key of a table whose keys its writer chooses.
    pub(crate) fn entries(self) -> impl Iterator<Item = (At<String>, &'a Value<'i>)> {
        self.table.iter().map(|(name, value)| {
            (At { value: name.get_ref().clone().into_owned(), span: name.span() }, value)
        })
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self, findings: &mut Findings) {
        for (key, value) in self.table.iter() {
            if self.known.iter().any(|known| known == key.get_ref()) {
                continue;
            }
            if may_be_secret(&self.name, key.get_ref()) {
                findings.veil(value.span());
            }
            let help = match nearest(key.get_ref(), &self.known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            findings.add(
                key.span(),
                format!("unknown key `{}` in {}", shorten(key.get_ref()), self.name),
                help,
            );
        }
    }
}

/// What stands in place of a table or a list of tables, for messages.
fn found_for(key: &str, value: &Value<'_>, findings: &mut Findings) -> String {
    if SECRET_TABLES.contains(&key) {
        findings.veil(value.span());
        return "something else".into();
    }
    describe(value.get_ref())
}

/// What a value is, for messages.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {:?}", shorten(text)),
        DeValue::Integer(number) => format!("the number {}", shorten(number.as_str())),
        DeValue::Float(number) => format!("the number {}", shorten(number.as_str())),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// Keeps one long value from filling the screen.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
