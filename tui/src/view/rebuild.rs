//! The steps of a rebuild or a wipe.

use ironwake_api::{DryRun, OperationKind, ProfileFit};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{dialogs, disks, paint};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::wizard::{Stage, Wizard};
use crate::model::{Model, condition};

/// Columns of a variable's name.
const NAME_COLUMNS: usize = 18;
/// Rows above what a step shows: title, steps, and lines between.
const HEAD_ROWS: u16 = 3;
/// Columns of a disk's picture.
const PICTURE_COLUMNS_MAX: usize = 90;
/// Names that are listed of many machines.
const NAMES_MAX: usize = 6;

/// Paints the step that is open.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let Some(wizard) = &model.wizard else { return };
    head(model, wizard, buffer, area);
    let body = body(area);
    match wizard.stage {
        Stage::Profile => profiles(model, wizard, buffer, body),
        Stage::Values => values(model, wizard, buffer, body),
        Stage::Disk => choices(model, wizard, buffer, body),
        Stage::Confirm => confirm(model, wizard, buffer, body),
    }
}

/// What a step has of the screen.
pub fn body(area: Rect) -> Rect {
    Rect { y: area.y + HEAD_ROWS, height: area.height.saturating_sub(HEAD_ROWS), ..area }
}

/// The first field that is shown, and how many are.
pub fn fields_shown(wizard: &Wizard, area: Rect) -> (usize, usize) {
    let height = usize::from(area.height.saturating_sub(3)).max(1);
    ((wizard.field + 1).saturating_sub(height), height)
}

/// The first row of each disk or rule that may be chosen, and its rows.
pub fn choice_rows(look: Look, wizard: &Wizard, area: Rect) -> Vec<(u16, u16)> {
    let mut y = area.y;
    let mut rows = Vec::new();
    for choice in wizard.choices() {
        let disk = choice.disk.and_then(|place| wizard.inventory.as_ref()?.disks.get(place));
        // The disk, its picture and legend, and an empty line; a rule is one line.
        let height = disk.map_or(1, |disk| 3 + disks::legend(look, disk, picture_columns(area)).len() as u16);
        rows.push((y, height));
        y += height;
    }
    rows
}

fn picture_columns(area: Rect) -> usize {
    usize::from(area.width).saturating_sub(8).min(PICTURE_COLUMNS_MAX)
}

fn head(model: &Model, wizard: &Wizard, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let what = if wizard.kind == OperationKind::Wipe { "Wipe" } else { "Rebuild" };
    let mut names = wizard.names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    if wizard.names.len() > NAMES_MAX {
        names.push_str(&format!(" and {} more", wizard.names.len() - NAMES_MAX));
    }
    let title = paint::line(
        look,
        [("  ", Tone::Plain), (what, Tone::Accent), (" ", Tone::Plain), (&names, Tone::Strong)],
    );
    paint::put(buffer, area.x, area.y, area.width, &title, look);
    let steps: &[(Stage, &str)] = match wizard.kind {
        OperationKind::Wipe => &[(Stage::Disk, "Disk"), (Stage::Confirm, "Confirm")],
        _ => &[
            (Stage::Profile, "Profile"),
            (Stage::Values, "Values"),
            (Stage::Disk, "Disk"),
            (Stage::Confirm, "Confirm"),
        ],
    };
    let mut spans = vec![paint::span(look, "  ", Tone::Plain)];
    for (place, (stage, word)) in steps.iter().enumerate() {
        let (symbol, tone) = match stage.cmp(&wizard.stage) {
            std::cmp::Ordering::Less => (symbols.ok, Tone::Ok),
            std::cmp::Ordering::Equal => (symbols.arrow, Tone::Accent),
            std::cmp::Ordering::Greater => (symbols.unknown, Tone::Faint),
        };
        if place > 0 {
            spans.push(paint::span(look, format!(" {} ", symbols.rule.repeat(2)), Tone::Faint));
        }
        spans.push(paint::span(look, format!("{symbol} {word}"), tone));
    }
    paint::put(buffer, area.x, area.y + 1, area.width, &Line::from(spans), look);
}

fn profiles(model: &Model, wizard: &Wizard, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let profiles = wizard.profiles(model.profiles.as_ref());
    if profiles.is_empty() {
        return paint::empty(buffer, area, "Asking for profiles …", &[], look);
    }
    for (row, profile) in profiles.iter().enumerate().take(usize::from(area.height)) {
        let y = area.y + row as u16;
        let chosen = row == wizard.profile;
        paint::choose(buffer, area, y, chosen, false, look);
        let (symbol, tone) = match wizard.fit(&profile.name) {
            Some(fit) if !fit.fits => (symbols.bad, Tone::Bad),
            Some(fit) if !fit.missing.is_empty() => (symbols.warn, Tone::Warn),
            Some(_) => (symbols.ok, Tone::Ok),
            None => (symbols.dot, Tone::Faint),
        };
        let line = paint::line(
            look,
            [
                (symbol, tone),
                (&format!(" {:<22}", profile.name), Tone::Strong),
                (&format!("{:<11}", profile.kind), Tone::Accent),
                (&profile.summary, Tone::Plain),
                (&format!("  {}", profile.origin), Tone::Faint),
            ],
        );
        paint::put(buffer, area.x + paint::GUTTER, y, area.width - paint::GUTTER - 1, &line, look);
    }
    let refused = model.profiles.as_ref().map(|profiles| profiles.refused.as_slice()).unwrap_or_default();
    let mut lines = vec![Line::default()];
    if let Some(fit) = profiles.get(wizard.profile).and_then(|profile| wizard.fit(&profile.name)) {
        lines.extend(fitting(look, fit, usize::from(area.width.saturating_sub(3))));
    }
    for profile in refused {
        lines.push(paint::line(
            look,
            [
                (look.symbols().warn, Tone::Warn),
                (" ", Tone::Plain),
                (&profile.folder, Tone::Warn),
                (" is not in force: ", Tone::Dim),
                (&profile.mistakes, Tone::Dim),
            ],
        ));
    }
    let used = profiles.len() as u16;
    let below = Rect {
        x: area.x + 2,
        y: area.y + used,
        width: area.width.saturating_sub(3),
        height: area.height.saturating_sub(used),
    };
    paint::lines(buffer, below, &lines, 0, look);
}

/// Whether the profile under the cursor fits, every reason why not, and what is not here yet that it needs.
fn fitting(look: Look, fit: &ProfileFit, columns: usize) -> Vec<Line<'static>> {
    let symbols = look.symbols();
    let head = match fit.fits {
        true if fit.disks.is_empty() => paint::line(look, [("fits this machine", Tone::Ok)]),
        true => {
            let text = format!(" on {}", fit.disks.join(", "));
            paint::line(look, [("fits this machine", Tone::Ok), (&text, Tone::Plain)])
        }
        false => paint::line(look, [("does not fit this machine", Tone::Bad)]),
    };
    let mut lines = vec![head];
    let reasons = fit.reasons.iter().map(|reason| (symbols.bad, Tone::Bad, reason));
    let missing = fit.missing.iter().map(|missing| (symbols.warn, Tone::Warn, missing));
    for (symbol, tone, text) in reasons.chain(missing) {
        let wrapped = human::wrap(text, columns.saturating_sub(4)).into_iter().enumerate();
        lines.extend(wrapped.map(|(row, text)| {
            let lead = if row == 0 { symbol } else { " " };
            paint::line(look, [("  ", Tone::Plain), (lead, tone), (" ", tone), (&text, Tone::Plain)])
        }));
    }
    lines.push(Line::default());
    lines
}

fn values(model: &Model, wizard: &Wizard, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let (top, height) = fields_shown(wizard, area);
    for (row, field) in wizard.fields.iter().enumerate().skip(top).take(height) {
        let y = area.y + (row - top) as u16;
        let chosen = row == wizard.field;
        paint::choose(buffer, area, y, chosen, false, look);
        let wrong = field.wrong();
        let (symbol, tone) = match (&wrong, field.input.is_empty()) {
            (Some(_), true) => (symbols.unknown, Tone::Warn),
            (Some(_), false) => (symbols.bad, Tone::Bad),
            (None, true) => (symbols.dot, Tone::Faint),
            (None, false) => (symbols.ok, Tone::Ok),
        };
        let name = human::fit(&field.variable.name, NAME_COLUMNS, symbols.cut);
        let label = paint::line(
            look,
            [(symbol, tone), (" ", tone), (&format!("{name:<NAME_COLUMNS$} "), Tone::Strong)],
        );
        let x = area.x + paint::GUTTER;
        paint::put(buffer, x, y, area.width, &label, look);
        let value = Rect {
            x: x + label.width() as u16,
            y,
            width: area.width.saturating_sub(paint::GUTTER + label.width() as u16 + 1),
            height: 1,
        };
        if field.input.is_empty() && !chosen {
            let tone = if field.given.is_some() { Tone::Dim } else { Tone::Faint };
            let hint = paint::line(look, [(&field.unless_typed(), tone)]);
            paint::put(buffer, value.x, y, value.width, &hint, look);
        } else if chosen {
            dialogs::typed(buffer, value, &field.input, field.variable.secret, look);
        } else {
            let (text, _) = field.input.window(usize::from(value.width), field.variable.secret);
            paint::put(buffer, value.x, y, value.width, &paint::line(look, [(&text, Tone::Plain)]), look);
        }
    }
    let Some(field) = wizard.fields.get(wizard.field) else {
        return paint::empty(buffer, area, "This profile needs nothing", &["enter goes on"], look);
    };
    let y = area.bottom().saturating_sub(2);
    let secret = if field.variable.secret { ", kept secret" } else { "" };
    let choices = match field.choices().as_slice() {
        [] => String::new(),
        some => format!("{}  ", some.join(" | ")),
    };
    let about = paint::line(
        look,
        [
            ("  ", Tone::Plain),
            (&field.variable.kind, Tone::Accent),
            (secret, Tone::Accent),
            ("  ", Tone::Plain),
            (&choices, Tone::Plain),
            (&field.variable.help, Tone::Dim),
        ],
    );
    paint::put(buffer, area.x, y, area.width, &about, look);
    if let Some(wrong) = field.wrong().filter(|_| !field.input.is_empty()) {
        paint::put(
            buffer,
            area.x,
            y + 1,
            area.width,
            &paint::line(
                look,
                [("  ", Tone::Plain), (symbols.bad, Tone::Bad), (" ", Tone::Bad), (&wrong, Tone::Bad)],
            ),
            look,
        );
    }
}

fn choices(model: &Model, wizard: &Wizard, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let choices = wizard.choices();
    let mut y = area.y;
    if choices.is_empty() {
        return paint::empty(
            buffer,
            area,
            "No disk of this machine is known",
            &["esc, then i has its hardware read at its next boot"],
            look,
        );
    }
    let rows = choice_rows(look, wizard, area);
    for (place, choice) in choices.iter().enumerate() {
        let (from, height) = rows[place];
        if from + 1 >= area.bottom() {
            break;
        }
        y = from;
        let chosen = place == wizard.disk;
        paint::choose(buffer, area, y, chosen, false, look);
        let disk = choice.disk.and_then(|place| wizard.inventory.as_ref()?.disks.get(place));
        let Some(disk) = disk else {
            let line = paint::line(
                look,
                [(&format!("{:<12}", choice.rule), Tone::Strong), (&choice.title, Tone::Plain)],
            );
            paint::put(buffer, area.x + paint::GUTTER, y, area.width - paint::GUTTER, &line, look);
            y += height;
            continue;
        };
        let about = format!(
            "  {}  {}",
            disk.model.as_deref().unwrap_or(""),
            disk.serial.as_deref().unwrap_or("no serial number")
        );
        let warn = match (disk.removable, disk.read_only) {
            (Some(true), _) => "  removable",
            (_, Some(true)) => "  read only",
            _ => "",
        };
        let line = paint::line(
            look,
            [
                (&format!("{:<10}", disk.name), Tone::Strong),
                (&format!("{:>7}", human::disk(disk.size_bytes)), Tone::Plain),
                (&about, Tone::Dim),
                (warn, Tone::Warn),
            ],
        );
        paint::put(buffer, area.x + paint::GUTTER, y, area.width - paint::GUTTER, &line, look);
        let columns = picture_columns(area);
        paint::put(buffer, area.x + 4, y + 1, area.width - 4, &disks::picture(look, disk, columns), look);
        let legend = disks::legend(look, disk, columns);
        for (row, line) in legend.iter().enumerate().take(usize::from(area.bottom().saturating_sub(y + 2))) {
            paint::put(buffer, area.x + 5, y + 2 + row as u16, area.width - 5, line, look);
        }
        y += height;
    }
    if !wizard.refused.is_empty() {
        let columns = usize::from(area.width).saturating_sub(5);
        let mut lines = Vec::new();
        for text in &wizard.refused {
            let wrapped = human::wrap(text, columns).into_iter().enumerate();
            lines.extend(wrapped.map(|(row, text)| {
                let lead = if row == 0 { look.symbols().bad } else { " " };
                paint::line(look, [(lead, Tone::Bad), (" ", Tone::Bad), (&text, Tone::Bad)])
            }));
        }
        paint::lines(
            buffer,
            Rect { x: area.x + 2, y, width: area.width - 3, height: area.bottom().saturating_sub(y) },
            &lines,
            0,
            look,
        );
    }
}

/// What the machine becomes: its name, what it needs, and the steps on its host.
fn comes_to(look: Look, run: &DryRun, columns: usize) -> Vec<Line<'static>> {
    /// Of a digest, as many characters as tell two apart.
    const DIGEST_CHARS: usize = 12;
    let mut lines = Vec::new();
    let needs = run.artifacts.iter().map(|artifact| {
        let digest = artifact.sha256.get(..DIGEST_CHARS).unwrap_or(&artifact.sha256);
        format!("{} ({digest})", artifact.name)
    });
    let rows = [
        ("host name", run.hostname.clone().unwrap_or_default()),
        ("written from", needs.collect::<Vec<_>>().join(", ")),
        ("steps", run.steps.join(", ")),
    ];
    for (label, text) in rows.into_iter().filter(|(_, text)| !text.is_empty()) {
        let room = columns.saturating_sub(paint::LABEL_COLUMNS);
        let wrapped = human::wrap(&text, room).into_iter().enumerate();
        lines.extend(
            wrapped
                .map(|(row, text)| paint::fact(look, if row == 0 { label } else { "" }, text, Tone::Plain)),
        );
    }
    if !lines.is_empty() {
        lines.insert(0, Line::default());
    }
    lines
}

fn confirm(model: &Model, wizard: &Wizard, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    if wizard.making {
        return paint::empty(
            buffer,
            area,
            &format!("{} The daemon checks it …", condition::busy(symbols, model.beat())),
            &[],
            look,
        );
    }
    let columns = usize::from(area.width.saturating_sub(3));
    let mut lines = vec![
        paint::line(
            look,
            [(symbols.warn, Tone::Bad), (" All of this is overwritten, and cannot be had back:", Tone::Bad)],
        ),
        Line::default(),
    ];
    for (name, operation) in &wizard.made {
        let profile = operation
            .profile
            .as_ref()
            .map(|choice| format!("  {} {} {}", symbols.arrow, choice.name, choice.version))
            .unwrap_or_default();
        lines.push(paint::line(look, [(name, Tone::Strong), (&profile, Tone::Accent)]));
        for disk in &operation.disks {
            let about = format!(
                "  {}  {}",
                disk.model.as_deref().unwrap_or(""),
                disk.serial.as_deref().unwrap_or("")
            );
            lines.push(paint::line(
                look,
                [
                    ("  ", Tone::Plain),
                    (&format!("{:<10}", disk.name), Tone::Strong),
                    (&format!("{:>7}", human::disk(disk.size_bytes)), Tone::Plain),
                    (&about, Tone::Dim),
                ],
            ));
            let told = disk.told();
            for text in &told {
                lines.push(paint::line(look, [("    ", Tone::Plain), (text, Tone::Plain)]));
            }
            for holder in &disk.holders {
                let text =
                    format!("    part of {}: what else is in it may be of no use without", holder.name());
                lines.push(paint::line(look, [(&text, Tone::Warn)]));
            }
            if told.is_empty() {
                lines.push(paint::line(look, [("    nothing that is known", Tone::Dim)]));
            }
        }
    }
    lines.extend(wizard.run.iter().flat_map(|run| comes_to(look, run, columns)));
    for (name, why) in &wizard.refusals {
        lines.push(paint::line(
            look,
            [
                (symbols.bad, Tone::Bad),
                (" ", Tone::Plain),
                (name, Tone::Strong),
                (": refused, ", Tone::Dim),
                (why, Tone::Dim),
            ],
        ));
    }
    let inner = Rect {
        x: area.x + 2,
        width: area.width.saturating_sub(3),
        height: area.height.saturating_sub(3),
        ..area
    };
    let scroll = wizard.scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    paint::lines(buffer, inner, &lines, scroll, look);
    let y = area.bottom().saturating_sub(2);
    let Some(demand) = &wizard.demand else {
        let line = paint::line(look, [("Nothing was recorded; esc goes back", Tone::Warn)]);
        return paint::put(buffer, area.x + 2, y, area.width, &line, look);
    };
    if wizard.arming {
        let line = paint::line(
            look,
            [(condition::busy(symbols, model.beat()), Tone::Busy), (" arming …", Tone::Busy)],
        );
        return paint::put(buffer, area.x + 2, y, area.width, &line, look);
    }
    let rule = paint::line(look, [(&symbols.rule.repeat(columns), Tone::Faint)]);
    paint::put(buffer, area.x + 2, y - 1, area.width, &rule, look);
    let what = if wizard.machines.len() == 1 { "the machine's name" } else { "how many machines" };
    let text = format!("To arm it, type {what}, {}: ", demand.word());
    paint::put(buffer, area.x + 2, y, area.width, &paint::line(look, [(&text, Tone::Strong)]), look);
    let x = area.x + 2 + unicode_width::UnicodeWidthStr::width(text.as_str()) as u16;
    let rest = Rect { x, y, width: area.right().saturating_sub(x + 1), height: 1 };
    dialogs::typed(buffer, rest, &wizard.typed, false, look);
}
