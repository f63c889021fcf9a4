//! What lies above a screen: palette, search, questions, words that are typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{area, frame, paint};
use crate::bindings::BINDINGS;
use crate::human;
use crate::input::Input;
use crate::look::{Look, Tone};
use crate::message::Asked;
use crate::model::Model;
use crate::model::overlay::{Entry, Login, LoginStep, Overlay, Palette};

/// Widest box.
const BOX_COLUMNS: u16 = 72;
/// Lines of what is asked; more would push the answer off the screen.
const QUESTION_LINES_MAX: usize = 14;

/// Paints what is open.
pub fn show(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    match &model.overlay {
        None | Some(Overlay::Help { .. }) => {}
        Some(Overlay::Search) => {
            let Some(search) = model.search() else { return };
            let y = model.setup.rows.saturating_sub(1);
            let rect = Rect { x: 0, y, width: model.setup.columns.min(50), height: 1 };
            frame::clear(buffer, rect, look);
            paint::put(buffer, 1, y, 2, &paint::line(look, [("/", Tone::Accent)]), look);
            typed(buffer, Rect { x: 3, width: rect.width - 4, ..rect }, search, false, look);
        }
        Some(Overlay::Palette(palette)) => paint_palette(model, palette, buffer),
        Some(Overlay::Login(open)) => login(model, open, buffer),
        Some(Overlay::Prompt(prompt)) => {
            let inner = frame::dialog(model, buffer, prompt.title, BOX_COLUMNS, 5, Tone::Accent);
            typed(buffer, Rect { height: 1, ..inner }, &prompt.input, false, look);
            paint::put(
                buffer,
                inner.x,
                inner.y + 2,
                inner.width,
                &paint::line(look, [(prompt.help, Tone::Dim)]),
                look,
            );
        }
        Some(Overlay::Question(question)) => {
            let lines = wrapped(&question.lines, look);
            let height = lines.len() as u16 + 4;
            let inner = frame::dialog(model, buffer, &question.title, BOX_COLUMNS, height, Tone::Warn);
            paint::lines(buffer, inner, &lines, 0, look);
            let answer =
                [("y", Tone::Accent), (" yes   ", Tone::Dim), ("n", Tone::Accent), (" no", Tone::Dim)];
            paint::put(buffer, inner.x, inner.bottom() - 1, inner.width, &paint::line(look, answer), look);
        }
        Some(Overlay::Demanded(demanded)) => {
            let lines = wrapped(&demanded.lines, look);
            let height = lines.len() as u16 + 5;
            let inner = frame::dialog(model, buffer, &demanded.title, BOX_COLUMNS, height, Tone::Bad);
            paint::lines(buffer, inner, &lines, 0, look);
            let text = format!("Type {} to confirm: ", demanded.demand.word());
            let width = text.len() as u16;
            let y = inner.bottom() - 1;
            paint::put(buffer, inner.x, y, inner.width, &paint::line(look, [(&text, Tone::Strong)]), look);
            let rest = Rect { x: inner.x + width, y, width: inner.width.saturating_sub(width), height: 1 };
            typed(buffer, rest, &demanded.input, false, look);
        }
    }
}

/// What is asked for a login, and why.
fn login(model: &Model, login: &Login, buffer: &mut Buffer) {
    let look = model.setup.look;
    let mut lines: Vec<String> = match login.then.first() {
        Some(waiting) => vec![format!("{} needs a login.", title(&waiting.asked))],
        None => Vec::new(),
    };
    let (heading, label) = match login.step {
        LoginStep::Password => ("Log in", "Password or PIN: "),
        LoginStep::First => {
            let before = match model.access.whoami.as_ref().map(|who| who.password_set) {
                Some(true) => "Sessions of the one before end. ",
                Some(false) => "No password is set yet. ",
                None => "",
            };
            let which = "Choose one: 8 characters or more, or a PIN of 6 digits or more.";
            lines.push(format!("{before}{which}"));
            ("Set the administrator's password", "New password or PIN: ")
        }
        LoginStep::Again(_) => ("Set the administrator's password", "The same again: "),
    };
    let mut lines = wrapped(&lines, look);
    if let Some(said) = &login.said {
        lines.extend(
            human::wrap(said, usize::from(BOX_COLUMNS - 4))
                .into_iter()
                .map(|text| paint::line(look, [(&text, Tone::Bad)])),
        );
    }
    let height = lines.len() as u16 + if lines.is_empty() { 3 } else { 4 };
    let inner = frame::dialog(model, buffer, heading, BOX_COLUMNS, height, Tone::Accent);
    paint::lines(buffer, inner, &lines, 0, look);
    let y = inner.bottom() - 1;
    let width = label.len() as u16;
    let label = if login.is_asking { "Asking the daemon" } else { label };
    paint::put(buffer, inner.x, y, inner.width, &paint::line(look, [(label, Tone::Strong)]), look);
    if !login.is_asking {
        let rest = Rect { x: inner.x + width, y, width: inner.width.saturating_sub(width), height: 1 };
        typed(buffer, rest, &login.input, true, look);
    }
}

/// What waits, as a sentence begins.
fn title(asked: &Asked) -> String {
    let what = match asked {
        Asked::Do(what) | Asked::Show(what) => what.as_str(),
        Asked::Make => "recording the operation",
        Asked::Arm => "arming",
        Asked::Machine(_) | Asked::Login => "this",
    };
    let mut chars = what.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn wrapped(lines: &[String], look: Look) -> Vec<Line<'static>> {
    let columns = usize::from(BOX_COLUMNS - 4);
    let lines = lines.iter().flat_map(|line| {
        let indent = line.len() - line.trim_start().len();
        human::wrap(line, columns - indent)
            .into_iter()
            .map(move |text| format!("{}{text}", " ".repeat(indent)))
    });
    lines.take(QUESTION_LINES_MAX).map(|text| paint::line(look, [(&text, Tone::Plain)])).collect()
}

/// A line that is typed, with its cursor.
pub fn typed(buffer: &mut Buffer, area: Rect, input: &Input, secret: bool, look: Look) {
    let (text, cursor) = input.window(usize::from(area.width.saturating_sub(1)), secret);
    paint::put(buffer, area.x, area.y, area.width, &paint::line(look, [(&text, Tone::Strong)]), look);
    let x = area.x + cursor as u16;
    if x < buffer.area.right() && area.y < buffer.area.bottom() {
        buffer[(x, area.y)].modifier.insert(ratatui::style::Modifier::REVERSED);
    }
}

fn paint_palette(model: &Model, palette: &Palette, buffer: &mut Buffer) {
    let look = model.setup.look;
    let height = area::PALETTE_ROWS as u16 + 4;
    let inner = frame::dialog(model, buffer, "Commands", BOX_COLUMNS, height, Tone::Accent);
    paint::put(buffer, inner.x, inner.y, 2, &paint::line(look, [(":", Tone::Accent)]), look);
    typed(
        buffer,
        Rect { x: inner.x + 2, width: inner.width - 2, height: 1, ..inner },
        &palette.input,
        false,
        look,
    );
    if palette.entries.is_empty() {
        let line = paint::line(look, [("nothing of that name", Tone::Dim)]);
        paint::put(buffer, inner.x, inner.y + 2, inner.width, &line, look);
    }
    let rows = usize::from(inner.height.saturating_sub(2));
    for (row, place) in palette.list.shown(palette.entries.len(), rows.min(area::PALETTE_ROWS)).enumerate() {
        let y = inner.y + 2 + row as u16;
        let (name, help, key) = match &palette.entries[place] {
            Entry::Binding(place) => {
                let binding = &BINDINGS[*place];
                (binding.name.to_owned(), binding.help.to_owned(), binding.keys[0].to_owned())
            }
            Entry::Machine(_, name) => (name.clone(), "open this machine".into(), String::new()),
        };
        if place == palette.list.cursor {
            let line = Rect { x: inner.x - 1, y, width: inner.width + 2, height: 1 };
            buffer.set_style(line, look.chosen());
        }
        let name = human::fit(&name, 26, look.symbols().cut);
        let key_columns = key.len() as u16;
        let room = inner.width.saturating_sub(key_columns + 2);
        let line = paint::line(look, [(&format!("{name:<27}"), Tone::Strong), (&help, Tone::Dim)]);
        paint::put(buffer, inner.x, y, room, &line, look);
        paint::put(
            buffer,
            inner.right() - key_columns,
            y,
            key_columns,
            &paint::line(look, [(&key, Tone::Accent)]),
            look,
        );
    }
}
