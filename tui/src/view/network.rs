//! Networks and what they answer, and leases.

use ironwake_api::{HealthState, LeaseState, NetworkHealth};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::area;
use super::paint::{self, Column, column, right};
use crate::human;
use crate::look::{Look, Tone};
use crate::model::Model;

const COLUMNS: [Column; 7] = [
    column("address", 15, 15, 0),
    column("mac", 17, 17, 1),
    column("host", 14, 26, 2),
    column("state", 11, 11, 3),
    right("ends", 12, 12, 4),
    column("machine", 16, 28, 5),
    column("network", 10, 16, 6),
];
/// Columns of the bar of addresses in use.
const BAR_COLUMNS: usize = 16;

/// Paints both.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let networks = model.health.as_ref().map(|health| health.networks.as_slice()).unwrap_or_default();
    let mut y = area.y;
    let columns = usize::from(area.width.saturating_sub(3));
    paint::put(buffer, area.x + 2, y, area.width - 3, &paint::heading(look, "Interfaces", "", columns), look);
    y += 1;
    for network in networks {
        for line in interface(look, network) {
            paint::put(buffer, area.x + 2, y, area.width - 3, &line, look);
            y += 1;
        }
    }
    if networks.is_empty() && model.health.is_some() {
        let line = paint::line(
            look,
            [("no interface is served; the configuration names one under [[network]]", Tone::Warn)],
        );
        paint::put(buffer, area.x + 2, y, area.width - 3, &line, look);
    }
    leases(model, buffer, area::leases(model, area));
}

/// The symbol of how something is.
pub fn health(look: Look, state: HealthState) -> (&'static str, Tone) {
    let symbols = look.symbols();
    match state {
        HealthState::Ok => (symbols.ok, Tone::Ok),
        HealthState::Degraded => (symbols.warn, Tone::Warn),
        HealthState::Failed => (symbols.bad, Tone::Bad),
    }
}

fn interface(look: Look, network: &NetworkHealth) -> [Line<'static>; 2] {
    let (symbol, tone) = health(look, network.state);
    let mode = match network.dhcp.as_str() {
        "proxy" => "proxy: adds boot information beside the DHCP server that is there",
        "server" => "server: leases addresses",
        "off" => "off: answers no DHCP",
        other => other,
    };
    let answers = if network.answering { ("answering", Tone::Ok) } else { ("silent", Tone::Warn) };
    let mut first = paint::line(
        look,
        [
            (symbol, tone),
            (" ", tone),
            (&format!("{:<12}", network.interface), Tone::Strong),
            (&format!("{:<11}", answers.0), answers.1),
            (mode, Tone::Plain),
        ],
    );
    let share = (network.addresses_bound * 100).checked_div(network.addresses);
    if let Some(share) = share {
        let percent = u8::try_from(share).unwrap_or(100);
        let tone = if percent >= 90 { Tone::Warn } else { Tone::Accent };
        first.spans.push(paint::span(look, "   ", Tone::Plain));
        first.spans.extend(paint::bar(look, BAR_COLUMNS, Some(percent), 0, tone));
        first.spans.push(paint::span(
            look,
            format!(" {} of {} leased", network.addresses_bound, network.addresses),
            Tone::Dim,
        ));
    }
    let second = match &network.other_server {
        Some(server) => paint::line(
            look,
            [
                ("  another DHCP server answers here: ", Tone::Warn),
                (server, Tone::Warn),
                ("  ", Tone::Plain),
                (&network.message, Tone::Dim),
            ],
        ),
        None => paint::line(look, [("  ", Tone::Plain), (&network.message, Tone::Dim)]),
    };
    [first, second]
}

fn leases(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.setup.look;
    let shown = model.leases.shown();
    let columns = usize::from(area.width.saturating_sub(3));
    let found = if model.leases.search.is_empty() {
        String::new()
    } else {
        format!("\"{}\"", model.leases.search.text())
    };
    let rest = format!("{} {found}", human::grouped(shown.len()));
    paint::put(
        buffer,
        area.x + 2,
        area.y,
        area.width - 3,
        &paint::heading(look, "Leases", rest.trim(), columns),
        look,
    );
    let body = area::below_head(area);
    if shown.is_empty() {
        let (what, next): (&str, &[&str]) = if model.leases.loaded {
            ("No lease", &["As a proxy none is given: addresses come from the server that is there."])
        } else {
            ("Asking the daemon …", &[])
        };
        return paint::empty(buffer, body, what, next, look);
    }
    let (table, widths) = paint::table(buffer, area, &COLUMNS, ("", ""), look);
    for (row, place) in model.leases.list.shown(shown.len(), usize::from(body.height)).enumerate() {
        let lease = shown[place];
        let y = body.y + row as u16;
        paint::choose(buffer, area, y, place == model.leases.list.cursor, false, look);
        let over = lease.expires_at <= model.now;
        let (symbol, tone, word) = match lease.state {
            LeaseState::Bound if over => (look.symbols().unknown, Tone::Dim, "over"),
            LeaseState::Bound => (look.symbols().ok, Tone::Ok, "bound"),
            LeaseState::Released => (look.symbols().unknown, Tone::Dim, "released"),
            LeaseState::Declined => (look.symbols().warn, Tone::Warn, "declined"),
        };
        let machine = model.fleet.with_mac(lease.mac).map(|row| row.machine.called());
        let text = |text: &str, tone| Line::from(paint::span(look, text, tone));
        let cells = [
            text(&lease.address, Tone::Strong),
            text(&lease.mac.to_string(), Tone::Plain),
            text(lease.hostname.as_deref().unwrap_or(""), Tone::Plain),
            paint::line(look, [(symbol, tone), (" ", tone), (word, tone)]),
            text(&human::until(lease.expires_at, model.now), Tone::Dim),
            text(&machine.unwrap_or_default(), Tone::Plain),
            text(&lease.network, Tone::Dim),
        ];
        paint::row(buffer, Rect { y, height: 1, ..table }, &COLUMNS, &widths, &cells, look);
    }
}
