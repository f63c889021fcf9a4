//! What lies above a screen: palette, search, questions, words that are typed.

use ironwake_api::SystemAction;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{area, frame, paint};
use crate::bindings::BINDINGS;
use crate::human;
use crate::input::Input;
use crate::key::Key;
use crate::look::{Look, Tone};
use crate::message::Asked;
use crate::model::overlay::{
    Editor, Entry, Login, LoginStep, Overlay, OwnEdit, Palette, Pick, Picker, Question, SettingEdit,
};
use crate::model::{Model, condition, own};

/// Widest box.
const BOX_COLUMNS: u16 = 72;
/// Lines of what is asked; more would push the answer off the screen.
const QUESTION_LINES_MAX: usize = 14;

/// A text of several lines is shown as wide as people read.
const EDITOR_COLUMNS: u16 = 88;
/// Some lines of text, and what the keys do.
const EDITOR_ROWS_MIN: u16 = 8;
/// Lines of why a setting is refused.
const REFUSED_LINES_MAX: usize = 8;
/// Keys and words that answer a question.
const ANSWERS: [(&str, &str); 2] = [("y", "yes"), ("n", "no")];
/// Between answers: a click beside one is not the other.
const ANSWERS_GAP: u16 = 3;
/// Tags and kinds are short.
const PICKER_COLUMNS: u16 = 48;

/// Paints what is open.
pub fn show(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    match &model.overlay {
        None | Some(Overlay::Help { .. } | Overlay::Code(_)) => {}
        Some(Overlay::Search) => {
            let Some(search) = model.search() else { return };
            let y = model.setup.rows.saturating_sub(1);
            let rect = Rect { x: 0, y, width: model.setup.columns.min(frame::SEARCH_COLUMNS), height: 1 };
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
        Some(Overlay::Editor(editor)) => paint_editor(model, editor, buffer),
        Some(Overlay::Picker(picker)) => paint_picker(model, picker, buffer),
        Some(Overlay::Setting(edit)) => paint_setting(model, edit, buffer),
        Some(Overlay::Own(edit)) => paint_own(model, edit, buffer),
        Some(Overlay::Question(question)) => {
            let lines = wrapped(&question.lines, look);
            let height = question_box(model, question).height;
            let inner = frame::dialog(model, buffer, &question.title, BOX_COLUMNS, height, Tone::Warn);
            paint::lines(buffer, inner, &lines, 0, look);
            for ((rect, _), (key, word)) in answers(model, question).into_iter().zip(ANSWERS) {
                let text = format!(" {word}");
                let line = paint::line(look, [(key, Tone::Accent), (&text, Tone::Dim)]);
                paint::put(buffer, rect.x, rect.y, rect.width, &line, look);
            }
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
        Asked::Do(what) | Asked::Show(what) | Asked::Setting(what) => what.as_str(),
        Asked::System(what) => own::word(*what),
        Asked::Disks => "showing the disks",
        Asked::Make => "recording the operation",
        Asked::Arm => "arming",
        Asked::First(what) => what.words(),
        Asked::Machine(_) | Asked::Login => "this",
    };
    human::capital(what)
}

/// Where a question lies.
pub fn question_box(model: &Model, question: &Question) -> Rect {
    let height = wrapped(&question.lines, model.setup.look).len() as u16 + 4;
    frame::dialog_place(model, BOX_COLUMNS, height)
}

/// Where the answers to a question lie, and their keys.
pub fn answers(model: &Model, question: &Question) -> Vec<(Rect, Key)> {
    let inner = frame::dialog_inner(question_box(model, question));
    let mut x = inner.x;
    let mut answers = Vec::new();
    for (key, word) in ANSWERS {
        let width = (key.len() + 1 + word.len()) as u16;
        let rect = Rect { x, y: inner.bottom() - 1, width, height: 1 };
        answers.push((rect, key.parse().expect("a key of the table")));
        x += width + ANSWERS_GAP;
    }
    answers
}

/// Where the palette lies.
pub fn palette_box(model: &Model) -> Rect {
    frame::dialog_place(model, BOX_COLUMNS, area::palette_rows(model) as u16 + area::ENTRIES_AROUND_ROWS)
}

/// Where a picker lies.
pub fn picker_box(model: &Model) -> Rect {
    frame::dialog_place(model, PICKER_COLUMNS, area::picker_rows(model) as u16 + area::ENTRIES_AROUND_ROWS)
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
    let height = palette_box(model).height;
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
    let rows = area::palette_rows(model);
    for (row, place) in palette.list.shown(palette.entries.len(), rows).enumerate() {
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

fn paint_editor(model: &Model, editor: &Editor, buffer: &mut Buffer) {
    let look = model.setup.look;
    let height = (model.setup.rows * 2 / 3).max(EDITOR_ROWS_MIN);
    let title = format!("Notes of {}", editor.title);
    let inner = frame::dialog(model, buffer, &title, EDITOR_COLUMNS, height, Tone::Accent);
    let room = Rect { height: inner.height.saturating_sub(1), ..inner };
    let rows = editor.text.window(usize::from(room.width), usize::from(room.height));
    for (place, row) in rows.iter().enumerate() {
        let y = room.y + place as u16;
        paint::put(buffer, room.x, y, room.width, &paint::line(look, [(&row.text, Tone::Plain)]), look);
        if let Some(column) = row.cursor.filter(|column| *column < usize::from(room.width)) {
            buffer[(room.x + column as u16, y)].modifier.insert(ratatui::style::Modifier::REVERSED);
        }
    }
    let saving = format!("{} saving …", condition::busy(look.symbols(), model.beat()));
    let said = if editor.saving {
        paint::line(look, [(&saving, Tone::Busy)])
    } else {
        paint::line(
            look,
            [("ctrl-s", Tone::Accent), (" save   ", Tone::Dim), ("esc", Tone::Accent), (" leave", Tone::Dim)],
        )
    };
    paint::put(buffer, inner.x, inner.bottom() - 1, inner.width, &said, look);
}

fn paint_picker(model: &Model, picker: &Picker, buffer: &mut Buffer) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let (title, everything) = match picker.what {
        Pick::Tags => ("Machines with the tags", "all machines"),
        Pick::About => ("Events about", "everything"),
        Pick::Timezone => ("Time zone", ""),
        Pick::Keyboard => ("Keyboard", ""),
        Pick::Unit => ("Start again", ""),
        Pick::Interface => ("Another address for", ""),
        Pick::Disk => ("Install it on", ""),
    };
    let height = picker_box(model).height;
    let inner = frame::dialog(model, buffer, title, PICKER_COLUMNS, height, Tone::Accent);
    paint::put(buffer, inner.x, inner.y, 2, &paint::line(look, [("/", Tone::Accent)]), look);
    let line = Rect { x: inner.x + 2, width: inner.width - 2, height: 1, ..inner };
    typed(buffer, line, &picker.input, false, look);
    let shown = picker.shown();
    if shown.is_empty() {
        let line = paint::line(look, [("nothing of that name", Tone::Dim)]);
        paint::put(buffer, inner.x, inner.y + 2, inner.width, &line, look);
    }
    let rows = area::picker_rows(model);
    for (row, place) in picker.list.shown(shown.len(), rows).enumerate() {
        let y = inner.y + 2 + row as u16;
        if place == picker.list.cursor {
            let line = Rect { x: inner.x - 1, y, width: inner.width + 2, height: 1 };
            buffer.set_style(line, look.chosen());
        }
        let (chosen, name, about) = match shown[place] {
            None => (picker.chosen.is_empty(), everything, ""),
            Some((name, about)) => (picker.chosen.contains(name), name.as_str(), about.as_str()),
        };
        let mark = if chosen { symbols.marked } else { " " };
        let line = paint::line(look, [(mark, Tone::Accent), (" ", Tone::Plain), (name, Tone::Strong)]);
        let about = paint::line(look, [(about, Tone::Dim)]);
        // What is chosen is read first: what stands beside it has the rest of the line.
        let columns = (about.width() as u16).min(inner.width.saturating_sub(line.width() as u16 + 1));
        paint::put(buffer, inner.x, y, inner.width.saturating_sub(columns), &line, look);
        paint::put(buffer, inner.right() - columns, y, columns, &about, look);
    }
}

fn paint_setting(model: &Model, edit: &SettingEdit, buffer: &mut Buffer) {
    let secret = if edit.secret { ", kept secret: type the whole of it" } else { "" };
    let help = format!("{}{secret}", edit.kind.help());
    let SettingEdit { input, refused, sending, secret, .. } = edit;
    paint_value(model, buffer, &edit.key, (input, *secret), &help, refused, *sending);
}

fn paint_own(model: &Model, edit: &OwnEdit, buffer: &mut Buffer) {
    let help = match edit.what {
        SystemAction::Hostname => "such as boot-1",
        SystemAction::NtpServers => "names or addresses, with spaces between; with none, those of the system",
        SystemAction::Network => "dhcp; or address/prefix, gateway (or none), name servers, spaces between",
        _ => "its name, as this host knows it",
    };
    let title = match edit.interface.as_str() {
        "" => own::word(edit.what).to_owned(),
        interface => format!("{} of {interface}", own::word(edit.what)),
    };
    let title = human::capital(&title);
    paint_value(model, buffer, &title, (&edit.input, false), help, &edit.refused, edit.sending);
}

/// A value that is typed (and whether it is secret), what would be right, and why it was refused.
fn paint_value(
    model: &Model,
    buffer: &mut Buffer,
    title: &str,
    (input, secret): (&Input, bool),
    help: &str,
    refused: &[String],
    sending: bool,
) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let columns = usize::from(EDITOR_COLUMNS.min(model.setup.columns.saturating_sub(2)) - 6);
    let refused: Vec<String> =
        refused.iter().flat_map(|text| human::wrap(text, columns)).take(REFUSED_LINES_MAX).collect();
    let height = 5 + refused.len() as u16 + u16::from(!refused.is_empty());
    let tone = if refused.is_empty() { Tone::Accent } else { Tone::Bad };
    let inner = frame::dialog(model, buffer, title, EDITOR_COLUMNS, height, tone);
    typed(buffer, Rect { height: 1, ..inner }, input, secret, look);
    let checks = format!("{} the daemon checks it …", condition::busy(symbols, model.beat()));
    let said = if sending { (checks.as_str(), Tone::Busy) } else { (help, Tone::Dim) };
    let y = inner.y + 2;
    paint::put(buffer, inner.x, y, inner.width, &paint::line(look, [(said.0, said.1)]), look);
    for (row, text) in refused.iter().enumerate() {
        let lead = if row == 0 { symbols.bad } else { " " };
        let line = paint::line(look, [(lead, Tone::Bad), (" ", Tone::Plain), (text, Tone::Plain)]);
        paint::put(buffer, inner.x, y + 2 + row as u16, inner.width, &line, look);
    }
}
