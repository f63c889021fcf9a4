//! The chosen machine beside the list, or in a few lines below it.

use ironwake_api::Nic;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::machines::{model_of, stage, state};
use super::paint::{self, fact};
use super::{disks, events, operations};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::Model;
use crate::model::past::Scope;
use crate::model::row::{Boot, Row};
use crate::model::telling;

/// Past operations that are shown.
const OPERATIONS_SHOWN: usize = 4;
/// Disks and NICs that are drawn; more are counted.
const PARTS_SHOWN: usize = 6;
/// Events need a heading and some lines to tell anything.
const EVENTS_ROWS_MIN: usize = 4;

/// Paints the panel, behind a rail: what the machine is, what is in it, what was done, and what happened last.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    for y in area.y..area.bottom() {
        paint::put(buffer, area.x, y, 1, &paint::line(look, [(look.symbols().rail, Tone::Faint)]), look);
    }
    let Some(row) = model.fleet.chosen() else { return };
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    let columns = usize::from(inner.width);
    let mut lines = head(model, row, columns);
    facts(model, row, &mut lines);
    parts(model, row, columns, &mut lines);
    notes(model, row, columns, &mut lines);
    done(model, row, columns, &mut lines);
    let left = usize::from(inner.height).saturating_sub(lines.len() + 1);
    if left >= EVENTS_ROWS_MIN {
        lines.push(Line::default());
        happened(model, row, columns, left, &mut lines);
    }
    paint::lines(buffer, inner, &lines, 0, look);
}

/// Name, condition, how far it is, and why it went no further.
fn head(model: &Model, row: &Row, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let mut title = vec![paint::span(look, row.machine.called(), Tone::Strong), Span::raw("  ")];
    title.extend(state(model, row));
    let mut lines = vec![Line::from(title)];
    let running = model.works.of_machine(&row.machine.id).find(|operation| !operation.state.has_ended());
    match running {
        Some(operation) => {
            lines.push(operations::progress(model, operation, columns));
            if let Some(said) = model.works.said.get(&operation.id).filter(|_| operation.progress.is_some()) {
                lines.push(paint::line(look, [(said, Tone::Dim)]));
            }
        }
        None => {
            let diagnosis = row.boot.as_ref().and_then(|boot| boot.diagnosis.as_ref());
            let arrow = look.symbols().arrow;
            let why = row.why_failed();
            let found = row.boot.as_ref().and_then(Boot::why);
            let remedy = diagnosis.map(|found| format!("{arrow} {}", found.remedy));
            for text in why.into_iter().chain(found).chain(remedy) {
                let wrapped = human::wrap(&text, columns).into_iter();
                lines.extend(wrapped.map(|text| paint::line(look, [(&text, Tone::Plain)])));
            }
            let stage = stage(model, row, columns);
            if lines.len() == 1 && stage.width() > 0 {
                lines.push(stage);
            }
        }
    }
    lines.push(Line::default());
    lines
}

fn facts(model: &Model, row: &Row, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    let machine = &row.machine;
    let mut say = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(fact(look, label, value, Tone::Plain));
        }
    };
    say("model", Some(model_of(machine.manufacturer.as_deref(), machine.product.as_deref())));
    say("serial", machine.serial.clone());
    if let Some(profile) = &machine.profile {
        let since = human::ago(profile.since, model.now);
        say(
            "profile",
            Some(format!("{} {}, {} {since}", profile.name, profile.version, profile.standing.name())),
        );
    }
    if let Some(hardware) = row.hardware() {
        let cores = if hardware.cores > 0 { format!("  {} cores", hardware.cores) } else { String::new() };
        say("processor", Some(format!("{}{cores}", hardware.processor)));
        say("memory", Some(hardware.memory_cell()));
    }
    say("address", machine.address.clone());
    // Cards are drawn with their addresses below, where they are known.
    if model.fleet.parts(&machine.id).is_none_or(|parts| parts.nics.is_empty()) {
        for (place, mac) in machine.macs.iter().enumerate() {
            say(if place == 0 { "MAC" } else { "" }, Some(mac.to_string()));
        }
    }
    say("enrolment", Some(machine.enrolment.name().into()));
    say("tags", Some(machine.tags.join("  ")));
    say("seen", machine.seen_at.map(|at| human::ago(at, model.now)));
    if let Some(host) = &machine.host {
        say("host", host.host.hostname.clone());
        say("system", host.host.os.clone());
    }
}

/// Disks and cables, drawn.
fn parts(model: &Model, row: &Row, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    let Some(parts) = model.fleet.parts(&row.machine.id) else { return };
    let more = |count: usize, lines: &mut Vec<Line<'static>>| {
        if count > PARTS_SHOWN {
            let text = format!("and {} more", count - PARTS_SHOWN);
            lines.push(paint::line(look, [(&text, Tone::Dim)]));
        }
    };
    if !parts.disks.is_empty() {
        lines.push(Line::default());
        lines.push(paint::heading(look, "Disks", "", columns));
    }
    for disk in parts.disks.iter().take(PARTS_SHOWN) {
        let about = format!("  {}", disk.model.as_deref().unwrap_or(""));
        let size = format!("{:>7}", human::disk(disk.size_bytes));
        let name = format!("{:<9}", disk.name);
        lines.push(paint::line(look, [(&name, Tone::Strong), (&size, Tone::Plain), (&about, Tone::Dim)]));
        lines.push(disks::picture(look, disk, columns));
        lines.extend(disks::legend(look, disk, columns));
    }
    more(parts.disks.len(), lines);
    if !parts.nics.is_empty() {
        lines.push(Line::default());
        lines.push(paint::heading(look, "Network", "", columns));
    }
    for nic in parts.nics.iter().take(PARTS_SHOWN) {
        lines.push(card(look, nic));
    }
    more(parts.nics.len(), lines);
}

/// Paints what was done with a machine and what happened to it, behind a rail, beside what it is.
pub fn history(model: &Model, row: &Row, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    for y in area.y..area.bottom() {
        paint::put(buffer, area.x, y, 1, &paint::line(look, [(look.symbols().rail, Tone::Faint)]), look);
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    let columns = usize::from(inner.width);
    let mut lines = Vec::new();
    done(model, row, columns, &mut lines);
    lines.push(Line::default());
    happened(model, row, columns, usize::from(inner.height).saturating_sub(lines.len()), &mut lines);
    // What is done begins with the line that parts it from what stands above it elsewhere.
    lines.remove(0);
    paint::lines(buffer, inner, &lines, 0, look);
}

fn card(look: Look, nic: &Nic) -> Line<'static> {
    let mac = nic.mac.or(nic.permanent_mac).map(|mac| mac.to_string()).unwrap_or_default();
    let symbols = look.symbols();
    let (symbol, tone, link) = match (nic.link, nic.speed_mbps) {
        (Some(true), Some(mbps)) => (symbols.ok, Tone::Ok, human::speed(mbps)),
        (Some(true), None) => (symbols.ok, Tone::Ok, "link".to_owned()),
        (Some(false), _) => (symbols.unknown, Tone::Faint, "no link".to_owned()),
        (None, _) => (symbols.idle, Tone::Faint, String::new()),
    };
    let neighbour = nic.lldp.as_ref().map(|lldp| {
        let system = lldp.system.as_deref().or(lldp.chassis.as_deref()).unwrap_or_default();
        format!("  {} {system} {}", symbols.arrow, lldp.port.as_deref().unwrap_or_default())
    });
    let name = format!(" {:<8}", nic.name);
    let link = format!("  {link}");
    let neighbour = neighbour.unwrap_or_default();
    paint::line(
        look,
        [(symbol, tone), (&name, Tone::Strong), (&mac, Tone::Plain), (&link, tone), (&neighbour, Tone::Dim)],
    )
}

fn notes(model: &Model, row: &Row, columns: usize, lines: &mut Vec<Line<'static>>) {
    /// The rest is on the machine's own tab.
    const NOTES_LINES_MAX: usize = 6;
    let Some(notes) = &row.machine.notes else { return };
    let look = model.setup.look;
    lines.push(Line::default());
    lines.push(paint::heading(look, "Notes", "", columns));
    let wrapped = notes.lines().flat_map(|line| human::wrap(line, columns)).take(NOTES_LINES_MAX);
    lines.extend(wrapped.map(|text| paint::line(look, [(&text, Tone::Plain)])));
}

/// What was done with it last.
fn done(model: &Model, row: &Row, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    let operations: Vec<_> = model.works.of_machine(&row.machine.id).take(OPERATIONS_SHOWN).collect();
    if operations.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(paint::heading(look, "Operations", "", columns));
    for operation in operations {
        let what = operation.profile.as_ref().map_or(String::new(), |choice| format!(" {}", choice.name));
        let symbol = operations::symbol(model, operation);
        let age = human::age(operation.state_since, model.now);
        let text = format!("{:<8}{what}  {}", operation.kind, telling::state_word(operation.state));
        lines.push(aligned(look, columns, symbol, telling::state_tone(operation.state), &text, &age));
    }
}

/// What happened to it last, the newest first.
fn happened(model: &Model, row: &Row, columns: usize, rows: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    let scope = Scope::of_machine(&row.machine.id);
    let mut events = model.tail.of(&scope).take(rows.saturating_sub(1)).peekable();
    if events.peek().is_none() {
        return;
    }
    lines.push(paint::heading(look, "Events", "", columns));
    for event in events {
        let (tone, text) = telling::event(&event.kind);
        let age = human::age(event.at, model.now);
        let tone = if tone == Tone::Plain { Tone::Faint } else { tone };
        lines.push(aligned(look, columns, events::symbol(look, tone), tone, &text, &age));
    }
}

/// A symbol, a text that is cut, and an age at the right.
fn aligned(look: Look, columns: usize, symbol: &str, tone: Tone, text: &str, age: &str) -> Line<'static> {
    /// Symbol, gap and age.
    const AROUND_COLUMNS: usize = 8;
    let room = columns.saturating_sub(AROUND_COLUMNS);
    let text = human::fit(&human::clean(text), room, look.symbols().cut);
    let pad = room.saturating_sub(unicode_width::UnicodeWidthStr::width(text.as_str()));
    Line::from(vec![
        paint::span(look, format!("{symbol} "), tone),
        paint::span(look, text, Tone::Plain),
        Span::raw(" ".repeat(pad)),
        paint::span(look, format!("{age:>6}"), Tone::Dim),
    ])
}

/// Paints the machine in a few lines below the list: what the table had no room for.
pub fn strip(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let Some(row) = model.fleet.chosen() else { return };
    let machine = &row.machine;
    let columns = usize::from(area.width.saturating_sub(3));
    let room = usize::from(area.height.saturating_sub(1));
    paint::fill(buffer, area.x, area.y, area.width, symbols.rule, look.style(Tone::Faint));
    let mut first = vec![paint::span(look, machine.called(), Tone::Strong), Span::raw("  ")];
    first.extend(state(model, row));
    first.push(Span::raw("  "));
    let used = Line::from(first.clone()).width();
    let diagnosis = row.boot.as_ref().and_then(|boot| boot.diagnosis.as_ref());
    let found = row.boot.as_ref().and_then(Boot::why);
    let why = match (row.why_failed(), found, &machine.operation) {
        (_, _, Some(_)) | (None, None, None) => None,
        (Some(why), ..) => Some(why),
        (None, Some(found), None) => Some(match diagnosis {
            Some(told) => format!("{found} {} {}", symbols.arrow, told.remedy),
            None => found,
        }),
    };
    let mut lines = Vec::new();
    match why {
        Some(why) => {
            // The first line is shorter by what stands before it.
            let mut words = human::wrap(&why, columns.saturating_sub(used)).into_iter();
            first.push(paint::span(look, words.next().unwrap_or_default(), Tone::Plain));
            let rest = words.collect::<Vec<_>>().join(" ");
            lines.push(Line::from(first));
            if !rest.is_empty() {
                let wrapped = human::wrap(&rest, columns).into_iter();
                lines.extend(wrapped.map(|text| paint::line(look, [(&text, Tone::Plain)])));
            }
        }
        None => {
            first.extend(stage(model, row, columns.saturating_sub(used)).spans);
            lines.push(Line::from(first));
        }
    }
    let more = about(look, row);
    let kept = human::wrap(&more, columns).len().min(room.saturating_sub(1)).min(2);
    lines.truncate(room.saturating_sub(kept));
    lines.extend(
        human::wrap(&more, columns)
            .into_iter()
            .take(kept)
            .map(|text| paint::line(look, [(&text, Tone::Dim)])),
    );
    let inner = Rect { x: area.x + 2, y: area.y + 1, width: area.width - 3, height: area.height - 1 };
    for (place, line) in lines.iter().take(room).enumerate() {
        paint::put(buffer, inner.x, inner.y + place as u16, inner.width, line, look);
    }
}

/// Addresses, model and tags in one text.
fn about(look: Look, row: &Row) -> String {
    let machine = &row.machine;
    let mac = machine.macs.first().filter(|_| machine.name.is_some()).map(ToString::to_string);
    let model = model_of(machine.manufacturer.as_deref(), machine.product.as_deref());
    let hardware = row.hardware();
    let hardware = hardware.as_ref();
    let parts = [
        machine.address.clone(),
        mac,
        Some(model),
        row.profile().map(str::to_owned),
        hardware.map(|brief| brief.memory_cell()),
        hardware.map(|brief| brief.disks_cell()),
        Some(machine.tags.join(" ")),
    ];
    let told: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    told.join(&format!(" {} ", look.symbols().dot))
}
