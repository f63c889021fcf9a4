//! The chosen machine beside the list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::machines::{model_of, stage, state};
use super::paint::{self, fact};
use crate::human;
use crate::look::Tone;
use crate::model::Model;
use crate::model::row::name_of;
use crate::model::telling;

/// Past operations that are shown.
const OPERATIONS_SHOWN: usize = 6;

/// Paints the panel, behind a rail.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    for y in area.y..area.bottom() {
        paint::put(buffer, area.x, y, 1, &paint::line(look, [(look.symbols().rail, Tone::Faint)]), look);
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    paint::lines(buffer, inner, &lines(model, usize::from(inner.width)), 0, look);
}

fn lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let Some(row) = model.fleet.chosen() else { return Vec::new() };
    let machine = &row.machine;
    let mut lines = vec![paint::line(look, [(&name_of(machine), Tone::Strong)])];
    let mut condition = state(model, row);
    condition.push(paint::span(look, "  ", Tone::Plain));
    let used = Line::from(condition.clone()).width();
    condition.extend(stage(model, row, columns.saturating_sub(used)).spans);
    lines.push(Line::from(condition));
    // What the table has to cut is told in full here.
    let why = row.failure.as_ref().map(|failure| failure.reason.clone());
    let diagnosis = row.boot.as_ref().and_then(|boot| boot.diagnosis.clone());
    let remedy = diagnosis.as_ref().map(|diagnosis| format!("{} {}", look.symbols().arrow, diagnosis.remedy));
    for text in why.into_iter().chain(diagnosis.map(|diagnosis| diagnosis.message)).chain(remedy) {
        lines.extend(
            human::wrap(&text, columns).into_iter().map(|text| paint::line(look, [(&text, Tone::Dim)])),
        );
    }
    lines.push(Line::default());
    let mut say = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(fact(look, label, value, Tone::Plain));
        }
    };
    say("model", Some(model_of(machine.manufacturer.as_deref(), machine.product.as_deref())));
    say("serial", machine.serial.clone());
    if let Some(hardware) = &row.hardware {
        say("processor", Some(hardware.processor.clone()));
        say("cores", (hardware.cores > 0).then(|| hardware.cores.to_string()));
        say("memory", Some(hardware.memory_cell()));
        say("disks", Some(hardware.disks_cell().replace('+', ", ")));
    }
    for (place, mac) in machine.macs.iter().enumerate() {
        say(if place == 0 { "addresses" } else { "" }, Some(mac.to_string()));
    }
    say("", machine.address.clone());
    say("enrolment", Some(machine.enrolment.name().into()));
    say("tags", Some(machine.tags.join(" ")));
    say("seen", machine.seen_at.map(|at| human::ago(at, model.now)));
    if let Some(host) = &machine.host {
        say("host", host.host.hostname.clone());
        say("system", host.host.os.clone());
    }
    if let Some(notes) = &machine.notes {
        lines.push(Line::default());
        lines.extend(
            human::wrap(notes, columns).into_iter().map(|text| paint::line(look, [(&text, Tone::Plain)])),
        );
    }
    let operations: Vec<_> = model.works.of_machine(&machine.id).take(OPERATIONS_SHOWN).collect();
    if !operations.is_empty() {
        lines.push(Line::default());
        lines.push(paint::heading(look, "Operations", "", columns));
    }
    for operation in operations {
        let what = operation.profile.as_ref().map_or(String::new(), |choice| format!(" {}", choice.name));
        let symbol = super::operations::symbol(model, operation);
        let age = human::age(operation.state_since, model.now);
        let text = format!("{:<8}{what}  {}", operation.kind, telling::state_word(operation.state));
        lines.push(Line::from(vec![
            paint::span(look, format!("{symbol} "), telling::state_tone(operation.state)),
            paint::span(
                look,
                human::fit(
                    &format!("{text:<width$}", width = columns.saturating_sub(8)),
                    columns.saturating_sub(8),
                    look.symbols().cut,
                ),
                Tone::Plain,
            ),
            paint::span(look, format!("{age:>6}"), Tone::Dim),
        ]));
    }
    lines
}
