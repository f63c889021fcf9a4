//! The table of machines.

use ironwake_api::{OperationState, ProfileStanding};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{self, Column, column, right};
use super::{area, panel};
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::condition::Condition;
use crate::model::order::SortBy;
use crate::model::row::{Boot, Row};
use crate::model::telling;

/// Columns of a bar beside its percentage.
const BAR_COLUMNS_MAX: usize = 24;
/// Columns of a percentage with the gap before it.
const PERCENT_COLUMNS: usize = 5;

/// The table's columns.
pub const COLUMNS: [Column; 12] = [
    column("name", 17, 28, 0),
    column("state", 13, 13, 1),
    column("stage", 30, 48, 2),
    column("address", 15, 15, 4),
    right("seen", 5, 6, 3),
    column("profile", 12, 18, 5),
    column("mac", 17, 17, 6),
    column("model", 14, 26, 7),
    right("ram", 8, 8, 8),
    column("disks", 10, 22, 9),
    column("cpu", 12, 30, 10),
    column("tags", 10, 24, 11),
];

/// Paints the table, and the chosen machine beside it where there is room.
pub fn show(model: &Model, buffer: &mut Buffer, whole: Rect) {
    let look = model.setup.look;
    let area::Machines { list, panel: beside, strip: below } = area::machines(whole);
    summary(model, buffer, list);
    let fleet = &model.fleet;
    let body = area::below_head(list);
    if fleet.shown.is_empty() {
        match (fleet.loaded, fleet.rows.is_empty()) {
            (false, _) => paint::empty(buffer, body, "Asking the daemon …", &[], look),
            (true, true) => paint::empty(
                buffer,
                body,
                "No machine yet",
                &[
                    "Power one on in this network and let it boot from the network:",
                    "it appears here with its first packet.",
                ],
                look,
            ),
            (true, false) => {
                paint::empty(buffer, body, "No machine fits", &["esc shows all of them again"], look)
            }
        }
    } else {
        let symbols = look.symbols();
        let order = if fleet.reverse { symbols.descending } else { symbols.ascending };
        let title = match fleet.sort {
            SortBy::Condition => "state",
            other => other.word(),
        };
        let (table, widths) = paint::table(buffer, list, &COLUMNS, (title, order), look);
        for (row, place) in fleet.list.shown(fleet.shown.len(), usize::from(body.height)).enumerate() {
            let machine = &fleet.rows[fleet.shown[place]];
            let y = body.y + row as u16;
            let marked = fleet.marked.contains(&machine.machine.id);
            paint::choose(buffer, list, y, place == fleet.list.cursor, marked, look);
            let cells = cells(model, machine, usize::from(widths[2]));
            paint::row(buffer, Rect { y, height: 1, ..table }, &COLUMNS, &widths, &cells, look);
        }
    }
    if let Some(beside) = beside {
        panel::show(model, buffer, beside);
    }
    if let Some(below) = below {
        panel::strip(model, buffer, below);
    }
}

/// How many there are in each condition, and what narrows the list.
fn summary(model: &Model, buffer: &mut Buffer, list: Rect) {
    let look = model.setup.look;
    let fleet = &model.fleet;
    let symbols = look.symbols();
    let counts = |gap: &str| {
        let mut left = vec![Span::raw("  ")];
        for (condition, count) in fleet.counts() {
            left.push(paint::span(look, condition.symbol(symbols, model.beat()), condition.tone()));
            left.push(paint::span(look, format!(" {}", human::grouped(count)), Tone::Plain));
            left.push(paint::span(look, format!(" {}{gap}", condition.word()), Tone::Dim));
        }
        Line::from(left)
    };
    let mut narrowed = Vec::new();
    narrowed.extend(fleet.only.map(|only| only.word().to_owned()));
    narrowed.extend(fleet.tagged.iter().map(|tag| format!("tag {tag}")));
    narrowed.extend((!fleet.search.is_empty()).then(|| format!("\"{}\"", fleet.search.text())));
    let right = if narrowed.is_empty() {
        Line::default()
    } else {
        let shown = format!("{} of {} ", human::grouped(fleet.shown.len()), human::grouped(fleet.rows.len()));
        paint::line(look, [(&narrowed.join(" + "), Tone::Accent), ("  ", Tone::Plain), (&shown, Tone::Dim)])
    };
    let width = right.width() as u16;
    let room = list.width.saturating_sub(width + 1);
    // Where there are many, they stand closer.
    let left =
        Some(counts("   ")).filter(|line| line.width() <= usize::from(room)).unwrap_or_else(|| counts("  "));
    paint::put(buffer, list.x, list.y, room, &left, look);
    paint::put(buffer, list.right().saturating_sub(width), list.y, width, &right, look);
}

fn cells(model: &Model, row: &Row, stage_columns: usize) -> [Line<'static>; 12] {
    let look = model.setup.look;
    let machine = &row.machine;
    let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
    let maybe = |value: Option<&str>, tone| match value {
        Some(value) if !value.is_empty() => text(value, tone),
        _ => text(look.symbols().none, Tone::Faint),
    };
    let name_tone = if machine.name.is_some() { Tone::Strong } else { Tone::Plain };
    let hardware = row.hardware();
    let hardware = hardware.as_ref();
    let model_name = model_of(machine.manufacturer.as_deref(), machine.product.as_deref());
    // A machine without a name is shown by its address, which need not stand there twice.
    let mac = machine.macs.first().filter(|_| machine.name.is_some()).map(ToString::to_string);
    [
        text(&machine.called(), name_tone),
        Line::from(state(model, row)),
        stage(model, row, stage_columns),
        maybe(machine.address.as_deref(), Tone::Plain),
        maybe(machine.seen_at.map(|at| human::age(at, model.now)).as_deref(), Tone::Dim),
        maybe(row.profile(), profile_tone(row)),
        maybe(mac.as_deref(), Tone::Dim),
        maybe(Some(&model_name), Tone::Dim),
        maybe(hardware.map(|brief| brief.memory_cell()).as_deref(), Tone::Dim),
        maybe(hardware.map(|brief| brief.disks_cell()).as_deref(), Tone::Dim),
        maybe(hardware.map(|brief| brief.processor_cell()).as_deref(), Tone::Dim),
        maybe(Some(&machine.tags.join(" ")), Tone::Dim),
    ]
}

/// How a machine's profile is to be seen: whether all of it is there.
fn profile_tone(row: &Row) -> Tone {
    match row.machine.profile.as_ref().map(|profile| profile.standing) {
        Some(ProfileStanding::Failed) => Tone::Bad,
        Some(ProfileStanding::Installing) => Tone::Busy,
        Some(ProfileStanding::Installed) | None => Tone::Plain,
    }
}

/// Manufacturer and product in a few words, what both say once.
pub fn model_of(manufacturer: Option<&str>, product: Option<&str>) -> String {
    /// What companies have behind their names.
    const FORMS: [&str; 8] = ["Inc.", "Inc", "Ltd.", "Corporation", "Corp.", "GmbH", "Co.,", "Computer"];
    let maker: Vec<&str> =
        manufacturer.unwrap_or_default().split_whitespace().filter(|word| !FORMS.contains(word)).collect();
    let maker = maker.join(" ").trim_end_matches(',').to_owned();
    let product = product.unwrap_or_default();
    if product.to_lowercase().starts_with(&maker.to_lowercase()) {
        return product.to_owned();
    }
    format!("{maker} {product}").trim().to_owned()
}

/// The symbol and the word of a machine's condition.
pub fn state(model: &Model, row: &Row) -> Vec<Span<'static>> {
    let look = model.setup.look;
    let word = match (&row.machine.operation, row.condition) {
        (Some(operation), Condition::Working) => telling::state_word(operation.state),
        (_, condition) => condition.word(),
    };
    let symbol = row.condition.symbol(look.symbols(), model.beat());
    vec![
        paint::span(look, format!("{symbol} "), row.condition.tone()),
        paint::span(look, word, row.condition.tone()),
    ]
}

/// How far it is, or why it went no further.
pub fn stage(model: &Model, row: &Row, columns: usize) -> Line<'static> {
    let look = model.setup.look;
    let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
    if let Some(operation) = &row.machine.operation {
        let progress = row.progress.as_ref();
        return match (operation.state, progress) {
            (OperationState::Registered, _) => text("waits to be armed", Tone::Dim),
            (OperationState::PxeReady, _) => match operation.armed_until {
                Some(until) => {
                    text(&format!("waits for its boot, {}", human::left(until, model.now)), Tone::Dim)
                }
                None => text("waits for its boot", Tone::Dim),
            },
            (_, Some((progress, _))) if progress.percent().is_some() => {
                let percent = progress.percent();
                let bar_columns = columns.saturating_sub(PERCENT_COLUMNS).min(BAR_COLUMNS_MAX);
                let mut spans = paint::bar(look, bar_columns, percent, model.beat(), Tone::Busy);
                spans.push(paint::span(look, format!(" {:>3}%", percent.unwrap_or(0)), Tone::Plain));
                Line::from(spans)
            }
            (OperationState::FirstBoot | OperationState::Installed, _) => text("boots its disk", Tone::Dim),
            (OperationState::Joining, _) => {
                let step = operation.step.as_ref().map(|step| format!("step {step}"));
                text(step.as_deref().unwrap_or("runs the last steps"), Tone::Dim)
            }
            (_, Some((_, what))) if !what.is_empty() => text(what, Tone::Dim),
            _ => {
                match row.boot.as_ref().filter(|boot| boot.is_running()).and_then(|boot| boot.stage.as_ref())
                {
                    Some(stage) => text(&telling::stage_brief(stage), Tone::Dim),
                    None => Line::from(paint::bar(
                        look,
                        columns.min(BAR_COLUMNS_MAX),
                        None,
                        model.beat(),
                        Tone::Busy,
                    )),
                }
            }
        };
    }
    match row.condition {
        Condition::Booting => {
            let stage = row.boot.as_ref().and_then(|boot| boot.stage.as_ref());
            text(&stage.map_or_else(|| "first packet".into(), telling::stage_brief), Tone::Dim)
        }
        Condition::Failed => text(&row.why_failed().unwrap_or_default(), Tone::Plain),
        Condition::BootFailed => {
            let why = row.boot.as_ref().and_then(Boot::why);
            text(&why.unwrap_or_default(), Tone::Plain)
        }
        Condition::Silent | Condition::Ready => {
            let host = row.machine.host.as_ref().map(|host| &host.host);
            text(
                host.and_then(|host| host.os.as_deref().or(host.hostname.as_deref())).unwrap_or(""),
                Tone::Dim,
            )
        }
        Condition::Unknown if row.machine.inventory_at.is_some() => {
            text("inventory in, e enrolls", Tone::Dim)
        }
        _ => text("", Tone::Dim),
    }
}
