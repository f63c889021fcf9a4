//! The appliance itself: what it is, how it is, what runs, and how it is set.

use ironwake_api::{OwnSystem, ServiceState, SettingOrigin, SystemClock, SystemInterface, SystemService};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::network::health;
use super::{medium, paint};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::{Model, own};

/// From this width on, health and settings stand beside the system.
const BESIDE_FROM_COLUMNS: u16 = 140;
/// Columns of a bar.
const BAR_COLUMNS: usize = 24;
/// From here on a bar wants attention.
const FULL_PERCENT: u8 = 90;
/// How all of it is kept, and brought back.
const BACKUP: &str = "`ssh HOST backup - --stdin > FILE`; `restore` brings it back";

/// Paints the text, from where it was scrolled to.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let mut x = area.x + 2;
    for (lines, columns) in parts(model, area.width) {
        let part = Rect { x, width: columns, ..area };
        paint::lines(buffer, part, &lines, model.own.scroll, look);
        x += columns + 2;
    }
}

/// How many lines there are.
pub fn height(model: &Model, width: u16) -> usize {
    parts(model, width).iter().map(|(lines, _)| lines.len()).max().unwrap_or(0)
}

/// What stands beside one another, each with its columns.
fn parts(model: &Model, width: u16) -> Vec<(Vec<Line<'static>>, u16)> {
    let whole = width.saturating_sub(3);
    if width >= BESIDE_FROM_COLUMNS {
        let half = whole.saturating_sub(2) / 2;
        return vec![(system(model, half), half), (rest(model, half), half)];
    }
    let mut lines = system(model, whole);
    lines.push(Line::default());
    lines.extend(rest(model, whole));
    vec![(lines, whole)]
}

fn system(model: &Model, columns: u16) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let columns = usize::from(columns);
    let Some(system) = &model.own.system else {
        return vec![paint::line(look, [("Asking the daemon …", Tone::Dim)])];
    };
    let mut lines = about(model, system);
    lines.extend(medium::installation(model, columns));
    lines.extend(closed(model, columns));
    if let Some(update) = &model.own.update {
        lines.extend([Line::default(), paint::heading(look, "Updates", "U goes on", columns)]);
        lines.extend(super::update::lines(look, update, columns));
    }
    lines.extend([Line::default(), paint::heading(look, "Load", "", columns)]);
    lines.extend(load(look, system));
    lines.extend([Line::default(), paint::heading(look, "Interfaces", "", columns)]);
    lines.extend(system.interfaces.iter().map(|interface| an_interface(look, interface)));
    if system.interfaces.is_empty() {
        lines.push(paint::line(look, [("none but the loopback", Tone::Dim)]));
    }
    lines.extend([Line::default(), paint::heading(look, "Services", "", columns)]);
    lines.extend(system.services.iter().map(|service| a_service(look, service)));
    lines
}

/// Name, version, times, keyboard and where it is reached.
fn about(model: &Model, system: &OwnSystem) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let schema = model.version.as_ref().map(|version| format!("   store schema {}", version.schema));
    let up = human::duration(system.uptime_secs * 1000);
    let daemon = human::duration(system.now.saturating_sub(system.started_at) / 1000 * 1000);
    let zone = system.clock.timezone.as_deref().unwrap_or("time zone unknown");
    let mut time =
        paint::fact(look, "time", format!("{} UTC   {zone}   ", human::time(system.now)), Tone::Plain);
    time.spans.extend(clock(look, &system.clock));
    let mut lines = vec![
        paint::line(
            look,
            [
                (&system.hostname, Tone::Strong),
                (&format!("   Ironwake {}", system.version), Tone::Plain),
                (schema.as_deref().unwrap_or(""), Tone::Dim),
            ],
        ),
        paint::fact(look, "up for", format!("{up}, the daemon for {daemon}"), Tone::Plain),
        time,
    ];
    if !system.clock.ntp_servers.is_empty() {
        lines.push(paint::fact(look, "time servers", system.clock.ntp_servers.join(", "), Tone::Plain));
    }
    let keyboard = system.keyboard.as_deref();
    lines.push(paint::fact(look, "keyboard", keyboard.unwrap_or("not set"), Tone::Plain));
    let (url, tone) = match &system.url {
        Some(url) => (format!("{url}/"), Tone::Plain),
        None => ("nothing on the network; `listen` of [api] is the setting".into(), Tone::Dim),
    };
    lines.push(paint::fact(look, "reached at", url, tone));
    lines.push(paint::fact(look, "asked at", &model.setup.place, Tone::Dim));
    lines.extend(medium::runs_from(model));
    lines.push(paint::fact(look, "backup", BACKUP, Tone::Dim));
    lines
}

fn clock(look: Look, clock: &SystemClock) -> [Span<'static>; 2] {
    let symbols = look.symbols();
    let (symbol, tone, words) = match (clock.ntp, clock.synchronized) {
        (Some(true), Some(true)) => (symbols.ok, Tone::Ok, "set from the network"),
        (Some(true), _) => (symbols.warn, Tone::Warn, "not yet set from the network"),
        (Some(false), _) => (symbols.unknown, Tone::Dim, "not set from the network"),
        (None, _) => (symbols.unknown, Tone::Dim, "how it is set is unknown"),
    };
    [paint::span(look, symbol, tone), paint::span(look, format!(" {words}"), tone)]
}

/// Processors, memory and disk as bars.
fn load(look: Look, system: &OwnSystem) -> [Line<'static>; 3] {
    let share =
        |used: u64, total: u64| u8::try_from((used * 100).checked_div(total).unwrap_or(0)).unwrap_or(100);
    let meter = |label: &str, percent: u8, text: String| {
        let tone = if percent >= FULL_PERCENT { Tone::Warn } else { Tone::Accent };
        let mut line = paint::fact(look, label, "", Tone::Plain);
        line.spans.extend(paint::bar(look, BAR_COLUMNS, Some(percent), 0, tone));
        line.spans.push(paint::span(look, format!(" {percent:>3} %"), Tone::Strong));
        line.spans.push(paint::span(look, format!("  {text}"), Tone::Dim));
        line
    };
    let of = |free: u64, total: u64| {
        let used = total.saturating_sub(free);
        (
            share(used, total),
            format!("{} of {}, {} free", human::size(used), human::size(total), human::size(free)),
        )
    };
    let (memory, memory_text) = of(system.memory.available_bytes, system.memory.total_bytes);
    let (disk, disk_text) = of(system.disk.free_bytes, system.disk.total_bytes);
    let count = human::count(system.cpu.count as usize, "processor");
    [
        meter("processors", system.cpu.used_percent, format!("of {count}")),
        meter("memory", memory, memory_text),
        meter("disk", disk, disk_text),
    ]
}

fn an_interface(look: Look, interface: &SystemInterface) -> Line<'static> {
    let symbols = look.symbols();
    let (symbol, tone, word) = match (interface.up, interface.link) {
        (false, _) => (symbols.unknown, Tone::Dim, "off"),
        (true, false) => (symbols.warn, Tone::Warn, "no cable"),
        (true, true) => (symbols.ok, Tone::Ok, "up"),
    };
    let mac = interface.mac.map(|mac| mac.to_string()).unwrap_or_default();
    paint::line(
        look,
        [
            (symbol, tone),
            (&format!(" {:<12}", interface.name), Tone::Strong),
            (&format!("{word:<10}"), tone),
            (&format!("{mac:<19}"), Tone::Dim),
            (&interface.addresses.join("  "), Tone::Plain),
        ],
    )
}

fn a_service(look: Look, service: &SystemService) -> Line<'static> {
    let symbols = look.symbols();
    let (symbol, tone, word) = match service.state {
        ServiceState::Active => (symbols.ok, Tone::Ok, "active"),
        ServiceState::Inactive => (symbols.unknown, Tone::Dim, "inactive"),
        ServiceState::Failed => (symbols.bad, Tone::Bad, "failed"),
        ServiceState::Changing => (symbols.idle, Tone::Busy, "changing"),
        ServiceState::Absent => (symbols.none, Tone::Faint, "not installed"),
        ServiceState::Unknown => (symbols.none, Tone::Faint, "unknown"),
    };
    paint::line(
        look,
        [
            (symbol, tone),
            (&format!(" {:<23}", service.name), Tone::Strong),
            (&format!("{word:<15}"), tone),
            (&service.what, Tone::Dim),
        ],
    )
}

/// What cannot be changed here, and why, in the daemon's words.
fn closed(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let closed = model.own.closed();
    if closed.is_empty() {
        return Vec::new();
    }
    let all = model.own.system.as_ref().map_or(0, |system| system.changes.len());
    let mut lines = vec![Line::default(), paint::heading(look, "Cannot be changed here", "", columns)];
    for (why, actions) in closed {
        let what = match actions.len() == all {
            true => "nothing of the system".to_owned(),
            false => actions.iter().map(|what| own::word(*what)).collect::<Vec<_>>().join(", "),
        };
        let text = format!("{what}: {why}");
        let wrapped = human::wrap(&text, columns.saturating_sub(2));
        lines.extend(wrapped.into_iter().enumerate().map(|(row, text)| {
            let lead = if row == 0 { look.symbols().warn } else { " " };
            paint::line(look, [(lead, Tone::Warn), (" ", Tone::Plain), (&text, Tone::Plain)])
        }));
    }
    lines
}

/// Health and settings.
fn rest(model: &Model, columns: u16) -> Vec<Line<'static>> {
    let columns = usize::from(columns);
    let mut lines = checks(model, columns);
    lines.push(Line::default());
    settings(model, columns, &mut lines);
    lines
}

fn checks(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let mut lines = vec![paint::heading(look, "Health", "", columns)];
    let Some(found) = &model.health else {
        lines.push(paint::line(look, [("not known yet", Tone::Dim)]));
        return lines;
    };
    for check in &found.checks {
        let (symbol, tone) = health(look, check.state);
        lines.push(paint::line(
            look,
            [
                (symbol, tone),
                (" ", tone),
                (&format!("{:<12}", check.name), Tone::Strong),
                (&check.message, Tone::Plain),
            ],
        ));
        if let Some(remedy) = &check.remedy {
            for (place, text) in human::wrap(remedy, columns.saturating_sub(16)).into_iter().enumerate() {
                let arrow = if place == 0 { look.symbols().arrow } else { " " };
                let lead = format!("{:14}{arrow} ", "");
                lines.push(paint::line(look, [(&lead, Tone::Accent), (&text, Tone::Plain)]));
            }
        }
    }
    lines
}

/// Settings that somebody set; the others are on a screen of their own.
fn settings(model: &Model, columns: usize, lines: &mut Vec<Line<'static>>) {
    let look = model.setup.look;
    if !model.access.shows_settings() {
        lines.push(paint::heading(look, "Settings", "", columns));
        let how = "Shown to who has logged in with the password: ctrl-l";
        lines.push(paint::line(look, [(how, Tone::Dim)]));
        return;
    }
    let restart = model.settings.all.as_ref().map(|all| all.restart.as_slice()).unwrap_or_default();
    lines.push(paint::heading(look, "Settings", "enter shows all of them, and changes them", columns));
    if !restart.is_empty() {
        let text = format!(" after the next start: {}", restart.join(", "));
        lines.push(paint::line(look, [(look.symbols().warn, Tone::Warn), (&text, Tone::Warn)]));
    }
    let set = model.settings.settings().iter().filter(|setting| setting.origin != SettingOrigin::Default);
    lines.extend(set.map(|setting| super::settings::brief(look, setting, columns)));
}
