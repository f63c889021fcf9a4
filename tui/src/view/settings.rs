//! Every setting: its value, where that comes from, and when it counts.

use ironwake_api::{Setting, SettingOrigin};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::area;
use super::paint::{self, Column, column};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::Model;
use crate::model::setting::{Only, SECRET};

const COLUMNS: [Column; 5] = [
    column("setting", 26, 44, 0),
    column("value", 24, 60, 1),
    column("from", 10, 10, 2),
    column("counts", 12, 12, 3),
    column("place", 20, 60, 4),
];

/// Paints the list, and the chosen setting in full below it.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let book = &model.settings;
    counts(model, buffer, area);
    let (list, strip) = area::settings(area);
    let body = area::below_head(list);
    let shown = book.shown();
    if shown.is_empty() {
        let (what, next): (&str, &[&str]) = match (&book.all, book.settings().is_empty()) {
            (None, _) => ("Asking the daemon …", &[]),
            (Some(_), true) => ("No settings", &["n sets one by its key"]),
            (Some(_), false) => ("No setting fits", &["esc shows all of them again"]),
        };
        return paint::empty(buffer, body, what, next, look);
    }
    let (table, widths) = paint::table(buffer, list, &COLUMNS, ("", ""), look);
    for (row, place) in book.list.shown(shown.len(), usize::from(body.height)).enumerate() {
        let setting = shown[place];
        let y = body.y + row as u16;
        paint::choose(buffer, list, y, place == book.list.cursor, false, look);
        let (origin, tone) = origin(setting.origin);
        let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
        let is_default = setting.origin == SettingOrigin::Default;
        let (key_tone, value_tone) =
            if is_default { (Tone::Plain, Tone::Dim) } else { (Tone::Strong, Tone::Plain) };
        let cells = [
            text(&setting.key, key_tone),
            text(if setting.value.is_empty() { "not set" } else { &setting.value }, value_tone),
            text(origin, tone),
            waits(model, setting),
            text(setting.place.as_deref().unwrap_or(""), Tone::Dim),
        ];
        paint::row(buffer, Rect { y, height: 1, ..table }, &COLUMNS, &widths, &cells, look);
    }
    if let (Some(strip), Some(setting)) = (strip, book.chosen()) {
        about(model, setting, buffer, strip);
    }
}

/// How many there are, how many are set, and what narrows the list.
fn counts(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let book = &model.settings;
    let of = |fits: &dyn Fn(&Setting) -> bool| book.settings().iter().filter(|setting| fits(setting)).count();
    let set = of(&|setting| setting.origin != SettingOrigin::Default);
    let changed = of(&|setting| setting.origin == SettingOrigin::Settings);
    let waiting = of(&|setting| book.waits(&setting.key));
    let mut left = vec![Span::raw("  ")];
    for (symbol, tone, number, word) in [
        (symbols.dot, Tone::Dim, book.settings().len(), "settings"),
        (symbols.ok, Tone::Plain, set, "set"),
        (symbols.ok, Tone::Accent, changed, "through the API"),
        (symbols.warn, Tone::Warn, waiting, "wait for a restart"),
    ] {
        left.push(paint::span(look, symbol, if number > 0 { tone } else { Tone::Faint }));
        left.push(paint::span(look, format!(" {number}"), Tone::Plain));
        left.push(paint::span(look, format!(" {word}   "), Tone::Dim));
    }
    let mut narrowed = Vec::new();
    narrowed.extend((book.only != Only::All).then(|| book.only.word().to_owned()));
    narrowed.extend((!book.search.is_empty()).then(|| format!("\"{}\"", book.search.text())));
    left.push(paint::span(look, narrowed.join(" + "), Tone::Accent));
    paint::put(buffer, area.x, area.y, area.width, &Line::from(left), look);
}

fn origin(origin: SettingOrigin) -> (&'static str, Tone) {
    match origin {
        SettingOrigin::Default => ("default", Tone::Faint),
        SettingOrigin::File => ("file", Tone::Plain),
        SettingOrigin::Credential => ("credential", Tone::Plain),
        SettingOrigin::Settings => ("API", Tone::Accent),
    }
}

/// When a setting counts.
fn waits(model: &Model, setting: &Setting) -> Line<'static> {
    let look = model.setup.look;
    if model.settings.waits(&setting.key) {
        return paint::line(look, [(look.symbols().warn, Tone::Warn), (" next start", Tone::Warn)]);
    }
    paint::line(look, [("in force", Tone::Faint)])
}

/// The chosen setting in full, and what can be done with it.
fn about(model: &Model, setting: &Setting, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    paint::fill(buffer, area.x, area.y, area.width, look.symbols().rule, look.style(Tone::Faint));
    let columns = usize::from(area.width.saturating_sub(3));
    let title = format!("{} = ", setting.key);
    let from = match (&setting.place, setting.origin) {
        (None, _) => "nobody set it: this is the default".to_owned(),
        (Some(place), SettingOrigin::Settings) => format!("{place}; u takes it back"),
        (Some(place), SettingOrigin::Credential) => {
            format!("credential {place}; a change through the API wins")
        }
        (Some(place), _) => format!("{place}; a change through the API wins"),
    };
    let value = if setting.value == SECRET { "kept secret" } else { &setting.value };
    let text = format!("{title}{value}");
    let mut lines: Vec<Line<'static>> =
        human::wrap(&text, columns).iter().map(|text| paint::line(look, [(text, Tone::Plain)])).collect();
    lines.truncate(usize::from(area.height).saturating_sub(2));
    lines.push(paint::line(look, [(&from, Tone::Dim)]));
    for (row, line) in lines.iter().enumerate() {
        paint::put(buffer, area.x + 2, area.y + 1 + row as u16, area.width - 3, line, look);
    }
}

/// A setting in a line of at most `columns`, for what lists only some of them.
pub fn brief(look: Look, setting: &Setting, columns: usize) -> Line<'static> {
    /// The longest word for where one comes from.
    const ORIGIN_COLUMNS: usize = 10;
    let (origin, tone) = origin(setting.origin);
    let room = columns.saturating_sub(ORIGIN_COLUMNS + 2);
    let key_columns = (room * 2 / 5).min(40);
    let value_columns = room.saturating_sub(key_columns).min(60);
    let fitted = |text: &str, columns: usize| {
        let text = human::fit(&human::clean(text), columns.saturating_sub(1), look.symbols().cut);
        format!("{text:<columns$}")
    };
    let (key, value) = (fitted(&setting.key, key_columns), fitted(&setting.value, value_columns));
    paint::line(look, [(&key, Tone::Strong), (&value, Tone::Plain), (origin, tone)])
}
