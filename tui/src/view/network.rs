//! Networks and what they answer, and leases.

use ironwake_api::{DhcpTraffic, HealthState, LeaseState, NetworkHealth, OtherServer, Silence};
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
/// Columns of a sparkline, by the width of the screen.
const SPARK_COLUMNS_MIN: usize = 10;
/// The same at most.
const SPARK_COLUMNS_MAX: usize = 60;

/// Paints both.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let leased = area::leases(model, area);
    let above = Rect {
        x: area.x + 2,
        width: area.width.saturating_sub(3),
        height: leased.y.saturating_sub(area.y),
        ..area
    };
    paint::lines(buffer, above, &networks(model, area.width), 0, model.setup.look);
    leases(model, buffer, leased);
}

/// What is above the leases: each network in a few lines, and an empty one.
pub fn networks(model: &Model, width: u16) -> Vec<Line<'static>> {
    let look = model.setup.look;
    let columns = usize::from(width.saturating_sub(3));
    let networks = model.health.as_ref().map(|health| health.networks.as_slice()).unwrap_or_default();
    let mut lines = vec![paint::heading(look, "Interfaces", "", columns)];
    for network in networks {
        lines.push(answering(look, network));
        lines.push(link(look, network));
        lines.extend(network.traffic.map(|traffic| asked(model, network, &traffic, columns)));
        lines.extend(network.other_servers.iter().map(|server| other_server(model, network, server)));
    }
    if networks.is_empty() && model.health.is_some() {
        let text = "no interface is served; the configuration names one under [[network]]";
        lines.push(paint::line(look, [(text, Tone::Warn)]));
    }
    lines.push(Line::default());
    lines
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

/// Whether and how a network is answered, and how many of its addresses are in use.
fn answering(look: Look, network: &NetworkHealth) -> Line<'static> {
    let (symbol, tone) = health(look, network.state);
    let mode = match network.dhcp.as_str() {
        "proxy" => "proxy: adds boot information beside the DHCP server that is there",
        "server" => "server: leases addresses",
        "off" => "off: answers no DHCP",
        other => other,
    };
    let answers = match network.silence {
        _ if network.answering => ("answering", Tone::Ok),
        Some(Silence::Off) => ("silent", Tone::Dim),
        Some(Silence::Listening) => ("listening", Tone::Busy),
        _ => ("silent", Tone::Warn),
    };
    let mut line = paint::line(
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
        line.spans.push(paint::span(look, "   ", Tone::Plain));
        line.spans.extend(paint::bar(look, BAR_COLUMNS, Some(percent), 0, tone));
        let free = match network.addresses_free {
            0 => String::new(),
            free => format!(", {free} free"),
        };
        let text = format!(" {} of {} leased{free}", network.addresses_bound, network.addresses);
        line.spans.push(paint::span(look, text, Tone::Dim));
    }
    line
}

/// The interface itself, and how the network is in a sentence.
fn link(look: Look, network: &NetworkHealth) -> Line<'static> {
    let message = format!("  {}", network.message);
    let Some(link) = &network.link else {
        return paint::line(look, [(&message, Tone::Dim)]);
    };
    let (word, tone) = match (link.present, link.enabled, link.up, link.speed_mbps) {
        (false, ..) => ("there is no such interface".into(), Tone::Bad),
        (_, false, ..) => ("switched off".into(), Tone::Warn),
        (.., false, _) => ("no cable".into(), Tone::Warn),
        (.., Some(mbps)) => (human::speed(mbps), Tone::Ok),
        (.., None) => ("link".into(), Tone::Ok),
    };
    let mac = link.mac.map(|mac| format!("  {mac}")).unwrap_or_default();
    let mtu = link.mtu.map(|mtu| format!("  MTU {mtu}")).unwrap_or_default();
    let addresses = match link.addresses.as_slice() {
        [] => String::new(),
        some => format!("  {}", some.join(" ")),
    };
    paint::line(
        look,
        [
            ("  ", Tone::Plain),
            (&word, tone),
            (&addresses, Tone::Plain),
            (&message, Tone::Dim),
            (&mac, Tone::Dim),
            (&mtu, Tone::Dim),
        ],
    )
}

/// What a network is asked: a sparkline of the last minutes, and counts since the daemon started.
fn asked(model: &Model, network: &NetworkHealth, traffic: &DhcpTraffic, columns: usize) -> Line<'static> {
    let look = model.setup.look;
    let rates = model.traffic.rates(&network.interface);
    let most = rates.iter().copied().fold(0.0, f64::max);
    let rate = match rates.last() {
        Some(last) => format!(" {} a second, at most {}", human::rate(*last), human::rate(most)),
        None => " counting".into(),
    };
    let grouped = |count: u64| human::grouped(usize::try_from(count).unwrap_or(usize::MAX));
    let counts = format!(
        "   {} requests, {} answers ({} offers, {} acks, {} naks)",
        grouped(traffic.requests),
        grouped(traffic.answers),
        grouped(traffic.offers),
        grouped(traffic.acks),
        grouped(traffic.naks)
    );
    let dropped = match traffic.dropped {
        0 => String::new(),
        dropped => format!("   {} dropped: leases are saved too slowly", grouped(dropped)),
    };
    let spark = (columns / 5).clamp(SPARK_COLUMNS_MIN, SPARK_COLUMNS_MAX);
    let mut line = paint::line(look, [("  ", Tone::Plain)]);
    line.spans.push(paint::sparkline(look, &rates, spark));
    line.spans.push(paint::span(look, rate, Tone::Plain));
    line.spans.push(paint::span(look, dropped, Tone::Bad));
    line.spans.push(paint::span(look, counts, Tone::Dim));
    line
}

/// Another DHCP server that was heard. A proxy expects one.
fn other_server(model: &Model, network: &NetworkHealth, server: &OtherServer) -> Line<'static> {
    let look = model.setup.look;
    let (symbol, tone) = match network.dhcp.as_str() {
        "server" => (look.symbols().warn, Tone::Warn),
        _ => (look.symbols().dot, Tone::Dim),
    };
    let heard = format!("  {}  heard {}", server.mac, human::ago(server.heard_at, model.now));
    paint::line(
        look,
        [
            ("  ", Tone::Plain),
            (symbol, tone),
            (" another DHCP server: ", tone),
            (&server.address, Tone::Plain),
            (&heard, Tone::Dim),
        ],
    )
}

/// Why no address is given, or that one will be.
fn without_leases(model: &Model) -> &'static str {
    let Some(health) = &model.health else { return "" };
    let has = |mode: &str| health.networks.iter().any(|network| network.dhcp == mode);
    match () {
        () if has("server") => "Machines that ask for an address get one, which is listed here.",
        () if has("proxy") => "As a proxy none is given: addresses come from the server that is there.",
        () if health.networks.is_empty() => {
            "No network is served: F2 sets it up, or `network` in the settings."
        }
        () => "DHCP is off: addresses come from the server that is there.",
    }
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
            ("No lease", &[without_leases(model)])
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
