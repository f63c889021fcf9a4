//! One machine, tab by tab.

use ironwake_api::{Machine, Reachability, SecureBoot};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{self, fact};
use super::{area, boots, disks, hardware, machines, operations, panel};
use crate::human;
use crate::look::Tone;
use crate::model::hardware::Brief;
use crate::model::machine::Tab;
use crate::model::row::Row;
use crate::model::{Model, telling};

/// Columns of a disk's picture in the overview.
const PICTURE_COLUMNS: usize = 84;

/// Between tabs.
const TAB_GAP: u16 = 3;

/// Paints the machine that is open.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let Some(opened) = &model.opened else { return };
    head(model, buffer, area);
    let body = area::machine_body(area);
    match opened.tab {
        Tab::Boots => boots::show(model, opened, buffer, body, area),
        Tab::Operations => operations_tab(model, buffer, body),
        _ => {
            let beside = model.fleet.get(&opened.id).filter(|_| is_split(opened.tab, body.width));
            let width = text_width(opened.tab, body.width);
            if let Some(row) = beside {
                let rest = Rect { x: body.x + width, width: body.width - width, ..body };
                panel::history(model, row, buffer, rest);
            }
            let inner = Rect { x: body.x + 2, width: width.saturating_sub(3), ..body };
            let lines = text(model, usize::from(inner.width));
            if lines.is_empty() {
                let (what, next) = match opened.tab {
                    Tab::Hardware => (
                        "No inventory yet",
                        "It comes with the first boot into discovery; i asks for another.",
                    ),
                    Tab::Host => ("Nothing of ours runs on it", "b makes it into what a profile says."),
                    Tab::Notes => ("No notes", "N writes some."),
                    _ => ("Asking the daemon …", ""),
                };
                return paint::empty(buffer, body, what, &[next], look);
            }
            paint::lines(buffer, inner, &lines, opened.scroll, look);
        }
    }
}

fn record(model: &Model) -> Option<&Machine> {
    let opened = model.opened.as_ref()?;
    opened.machine.as_ref().or_else(|| model.fleet.get(&opened.id).map(|row| &row.machine))
}

fn head(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let symbols = look.symbols();
    let Some(opened) = &model.opened else { return };
    let mut title = vec![Span::raw("  ")];
    title.push(paint::span(
        look,
        record(model).map_or_else(|| human::short(&opened.id).to_owned(), Machine::called),
        Tone::Strong,
    ));
    title.push(Span::raw("   "));
    if let Some(row) = model.fleet.get(&opened.id) {
        title.extend(machines::state(model, row));
        title.push(Span::raw("  "));
        let used = Line::from(title.clone()).width();
        title.extend(machines::stage(model, row, usize::from(area.width).saturating_sub(used + 2)).spans);
    }
    paint::put(buffer, area.x, area.y, area.width, &Line::from(title), look);
    let mut x = area.x + 2;
    for tab in Tab::ALL {
        let open = tab == opened.tab;
        let tone = if open { Tone::Accent } else { Tone::Dim };
        let line = paint::line(look, [(tab.title(), tone)]);
        let width = line.width() as u16;
        paint::put(buffer, x, area.y + 1, width, &line, look);
        if open {
            paint::fill(buffer, x, area.y + 2, width, symbols.heavy, look.style(Tone::Accent));
        }
        x += width + TAB_GAP;
    }
}

/// The tab at a column of the tabs' row.
pub fn tab_at(area: Rect, column: u16) -> Option<Tab> {
    let mut x = area.x + 2;
    for tab in Tab::ALL {
        let width = tab.title().len() as u16;
        // Half of the gap belongs to each of the two beside it.
        if (x.saturating_sub(1)..x + width + TAB_GAP - 1).contains(&column) {
            return Some(tab);
        }
        x += width + TAB_GAP;
    }
    None
}

/// Whether what happened is told beside a tab.
fn is_split(tab: Tab, width: u16) -> bool {
    tab == Tab::Overview && width >= area::SPLIT_FROM_COLUMNS
}

/// Columns of a tab's text, its margins with it.
fn text_width(tab: Tab, width: u16) -> u16 {
    if is_split(tab, width) { width / 5 * 3 } else { width }
}

/// How many lines the open tab has, where it scrolls.
pub fn scrolled_lines(model: &Model, width: u16) -> usize {
    let Some(opened) = model.opened.as_ref().filter(|opened| area::scrolls(opened.tab)) else { return 0 };
    text(model, usize::from(text_width(opened.tab, width).saturating_sub(3))).len()
}

fn text(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let (Some(opened), Some(machine)) = (&model.opened, record(model)) else { return Vec::new() };
    match opened.tab {
        Tab::Overview => overview(model, machine, columns),
        Tab::Hardware => machine
            .inventory
            .as_ref()
            .map(|inventory| hardware::lines(look, inventory, columns))
            .unwrap_or_default(),
        Tab::Host => host(model, machine),
        Tab::Notes => {
            let notes = machine.notes.as_deref().unwrap_or_default();
            notes.lines().flat_map(|line| human::wrap(line, columns)).map(Line::from).collect()
        }
        Tab::Boots | Tab::Operations => Vec::new(),
    }
}

fn overview(model: &Model, machine: &Machine, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let symbols = look.symbols();
    let mut lines = Vec::new();
    let row = model.fleet.get(&machine.id);
    let mut trouble = |what: &str, next: &str| {
        for (lead, text, tone) in [(symbols.bad, what, Tone::Bad), (symbols.arrow, next, Tone::Accent)] {
            for (place, text) in human::wrap(text, columns.saturating_sub(3)).into_iter().enumerate() {
                let lead = if place == 0 { lead } else { " " };
                let text_tone = if tone == Tone::Bad { Tone::Bad } else { Tone::Plain };
                lines.push(paint::line(look, [(lead, tone), (" ", Tone::Plain), (&text, text_tone)]));
            }
        }
        lines.push(Line::default());
    };
    if let Some(failure) = row.and_then(|row| row.failure.as_ref()) {
        let what = format!(
            "The last operation failed while {}: {}",
            telling::state_word(failure.stage),
            failure.reason
        );
        trouble(&what, "Operations shows its history; b begins another");
    } else if let Some(why) = row.and_then(Row::why_failed) {
        trouble(&why, "Operations shows its history; b begins another");
    }
    if let Some(found) = row.and_then(|row| row.boot.as_ref()?.diagnosis.as_ref()) {
        trouble(&found.message, &found.remedy);
    }
    let none = symbols.none;
    let mut say = |label: &str, value: Option<&str>| {
        let (value, tone) =
            value.filter(|value| !value.is_empty()).map_or((none, Tone::Faint), |value| (value, Tone::Plain));
        lines.push(fact(look, label, value, tone));
    };
    let model_name = machines::model_of(machine.manufacturer.as_deref(), machine.product.as_deref());
    say("model", Some(&model_name));
    say("serial", machine.serial.as_deref());
    say("uuid", machine.uuid.as_deref());
    if machine.asset_tag.is_some() {
        say("asset tag", machine.asset_tag.as_deref());
    }
    say("MAC", Some(&machine.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join("  ")));
    say("address", machine.address.as_deref());
    say("enrolment", Some(machine.enrolment.name()));
    say("tags", Some(&machine.tags.join("  ")));
    let secure = match (machine.secure_boot, machine.secure_boot_seen) {
        (_, Some(true)) => "enforced",
        (_, Some(false)) => "off",
        (SecureBoot::On, None) => "treated as on",
        (SecureBoot::Off, None) => "treated as off",
        (SecureBoot::Auto, None) => "",
    };
    say("Secure Boot", Some(secure));
    say("seen", machine.seen_at.map(|at| human::ago(at, model.now)).as_deref());
    say("inventory", machine.inventory_at.map(|at| human::ago(at, model.now)).as_deref());
    if machine.discover_next {
        say("next boot", Some("discovery, as was asked"));
    }
    if let Some(hardware) = &machine.hardware {
        let brief = Brief::of(hardware);
        lines.push(Line::default());
        let cores = format!("{}  {} cores", brief.processor, brief.cores);
        lines.push(fact(look, "processor", cores, Tone::Plain));
        lines.push(fact(look, "memory", brief.memory_cell(), Tone::Plain));
    }
    if let Some(inventory) = &machine.inventory {
        for (place, disk) in inventory.disks.iter().enumerate() {
            let mut line = fact(
                look,
                if place == 0 { "disks" } else { "" },
                format!("{:<8} {:>7}  ", disk.name, human::disk(disk.size_bytes)),
                Tone::Plain,
            );
            let used = line.width();
            let room = columns.saturating_sub(used + 1).min(PICTURE_COLUMNS);
            line.spans.extend(disks::picture(look, disk, room).spans);
            lines.push(line);
            for legend in disks::legend(look, disk, columns.saturating_sub(used + 1)) {
                lines.push(legend_below(used, legend));
            }
        }
    }
    if let Some(notes) = &machine.notes {
        lines.push(Line::default());
        let wrapped = notes.lines().flat_map(|line| human::wrap(line, columns));
        lines.extend(wrapped.map(|text| paint::line(look, [(&text, Tone::Plain)])));
    }
    lines
}

/// A legend below its picture, which begins behind `used` columns.
fn legend_below(used: usize, legend: Line<'static>) -> Line<'static> {
    let mut spans = vec![Span::raw(" ".repeat(used + 1))];
    spans.extend(legend.spans);
    Line::from(spans)
}

fn host(model: &Model, machine: &Machine) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let Some(machine_host) = &machine.host else { return Vec::new() };
    let host = &machine_host.host;
    let symbols = look.symbols();
    let called = human::ago(host.at, model.now);
    let (symbol, tone, word) = match machine_host.reachability {
        Reachability::Calling => (symbols.ok, Tone::Ok, format!("calls as it should, {called}")),
        Reachability::Silent => (symbols.warn, Tone::Warn, format!("silent, called last {called}")),
        Reachability::Unwatched => (
            symbols.unknown,
            Tone::Dim,
            format!("called {called}; its profile does not have it call regularly"),
        ),
    };
    let mut lines = vec![paint::line(look, [(symbol, tone), (" ", tone), (&word, tone)]), Line::default()];
    let mut say = |label: &str, value: Option<&str>| {
        if let Some(value) = value {
            lines.push(fact(look, label, value, Tone::Plain));
        }
    };
    say("hostname", host.hostname.as_deref());
    say("system", host.os.as_deref());
    say("kernel", host.kernel.as_deref());
    for (place, address) in host.addresses.iter().enumerate() {
        say(if place == 0 { "addresses" } else { "" }, Some(address));
    }
    say("called from", Some(&host.from));
    // What it said then, and the time since: it has not booted again unless an event said so.
    let uptime =
        host.uptime_secs.map(|secs| human::duration(secs * 1000 + model.now.saturating_sub(host.at)));
    say("up for", uptime.as_deref());
    let every = machine_host.heartbeat_secs.map(|secs| format!("every {}", human::duration(secs * 1000)));
    say("calls", every.as_deref());
    say("boot id", host.boot_id.as_deref());
    say("installed by", Some(human::short(&machine_host.operation)));
    for (place, key) in host.ssh_keys.iter().enumerate() {
        say(if place == 0 { "SSH keys" } else { "" }, Some(key));
    }
    lines
}

fn operations_tab(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let Some(opened) = &model.opened else { return };
    let all: Vec<_> = model.works.of_machine(&opened.id).collect();
    if all.is_empty() {
        if !model.works.knows(&opened.id) {
            return paint::empty(buffer, area, "Asking the daemon …", &[], look);
        }
        let next = ["b rebuilds it, i reads its hardware again, w wipes its disks."];
        return paint::empty(buffer, area, "Nothing was done with it", &next, look);
    }
    for (row, place) in opened.operation_list.shown(all.len(), usize::from(area.height)).enumerate() {
        let operation = all[place];
        let y = area.y + row as u16;
        paint::choose(buffer, area, y, place == opened.operation_list.cursor, false, look);
        let profile = operation.profile.as_ref().map_or("", |choice| &choice.name);
        let mut spans = vec![
            paint::span(look, format!("{:<12} ", human::when(operation.created_at, model.now)), Tone::Dim),
            paint::span(look, format!("{:<8} ", operation.kind), Tone::Plain),
        ];
        let state = operations::state(model, operation);
        let pad = 13_usize.saturating_sub(state.width());
        spans.extend(state.spans);
        spans.push(Span::raw(" ".repeat(pad)));
        spans.push(paint::span(look, format!("{profile:<16} "), Tone::Dim));
        let used = Line::from(spans.clone()).width() + usize::from(paint::GUTTER);
        spans.extend(
            operations::progress(model, operation, usize::from(area.width).saturating_sub(used + 1)).spans,
        );
        paint::put(buffer, area.x + paint::GUTTER, y, area.width - paint::GUTTER, &Line::from(spans), look);
    }
}
