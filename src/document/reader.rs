//! A section that is read key by key, each value by what its kind means.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::finding::Findings;
use super::section::{At, Field, Section, Value};
use super::value::{self, Wrong, boolean, text, texts};

/// Reads one table, handing out what its keys say.
pub(crate) struct Reader<'a, 'i, 'f> {
    section: Option<Section<'a, 'i>>,
    findings: &'f mut Findings,
}

impl<'a, 'i, 'f> Reader<'a, 'i, 'f> {
    pub(crate) fn new(section: impl Into<Option<Section<'a, 'i>>>, findings: &'f mut Findings) -> Self {
        Self { section: section.into(), findings }
    }

    pub(crate) fn field<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'i>, &mut Findings) -> Option<T>,
    ) -> Field<T> {
        match &mut self.section {
            Some(section) => section.field(key, self.findings, read),
            None => Field::Absent,
        }
    }

    pub(crate) fn text<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: fn(&str) -> Result<T, Wrong>,
    ) -> Field<T> {
        self.field(key, |found, findings| text(found, findings, example, parse))
    }

    pub(crate) fn texts<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: fn(&str) -> Result<T, Wrong>,
    ) -> Field<Vec<At<T>>> {
        self.field(key, |found, findings| texts(found, findings, example, parse))
    }

    /// A text that nobody is shown.
    pub(crate) fn secret<T>(&mut self, key: &'static str, parse: fn(&str) -> Result<T, Wrong>) -> Field<T> {
        self.field(key, |found, findings| value::secret(found, findings, parse))
    }

    /// One text that nobody is shown, or a list of them.
    pub(crate) fn secrets<T>(
        &mut self,
        key: &'static str,
        parse: fn(&str) -> Result<T, Wrong>,
    ) -> Field<Vec<At<T>>> {
        self.field(key, |found, findings| value::secrets(found, findings, parse))
    }

    pub(crate) fn boolean(&mut self, key: &'static str) -> Field<bool> {
        self.field(key, boolean)
    }

    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Field<Duration> {
        self.field(key, |found, findings| text(found, findings, "12h", |text| value::duration(text, bounds)))
    }

    /// A table below this one, read by `read` with the place of its name.
    pub(crate) fn table<T>(
        &mut self,
        key: &'static str,
        name: &'static str,
        read: fn(Section<'a, 'i>, Range<usize>, &mut Findings) -> T,
    ) -> Option<T> {
        let section = self.section.as_mut()?;
        let span = section.place_of(key);
        let found = section.section(key, name, self.findings)?;
        Some(read(found, span, self.findings))
    }

    /// A list of tables, each read by `read`; `None` where it is something else.
    pub(crate) fn tables<T>(
        &mut self,
        key: &'static str,
        name: &'static str,
        read: fn(Section<'a, 'i>, Range<usize>, &mut Findings) -> T,
    ) -> Option<Vec<T>> {
        let Some(section) = &mut self.section else { return Some(Vec::new()) };
        let found = section.sections(key, name, self.findings)?;
        Some(found.into_iter().map(|(section, span)| read(section, span, self.findings)).collect())
    }

    pub(crate) fn finish(self) {
        if let Some(section) = self.section {
            section.finish(self.findings);
        }
    }
}
