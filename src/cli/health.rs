//! `ironwake health` and `ironwake version`.

use ironwake_api::client::ClientError;
use ironwake_api::{DhcpTraffic, HealthState, NetworkLink};
use serde::Serialize;

use super::output::{Style, clean};
use super::{Context, Failure};

fn shown(state: HealthState) -> (&'static str, Style) {
    match state {
        HealthState::Ok => ("ok", Style::Good),
        HealthState::Degraded => ("degraded", Style::Warning),
        HealthState::Failed => ("failed", Style::Bad),
    }
}

pub async fn health(context: &mut Context) -> Result<(), Failure> {
    let health = context.client.health().await?;
    let healthy = health.state == HealthState::Ok;
    if context.json {
        context.output.json(&health)?;
        return if healthy { Ok(()) } else { Err(Failure::Findings) };
    }
    let output = &mut context.output;
    let label = |state: HealthState, output: &super::Output| {
        let (text, style) = shown(state);
        output.styled(&format!("{text:8}"), style)
    };
    output.line(format!("{}  {}", label(health.state, output), "all together"))?;
    for check in &health.checks {
        let line =
            format!("{}  {}: {}", label(check.state, output), clean(&check.name), clean(&check.message));
        output.line(line)?;
        if let Some(remedy) = &check.remedy {
            output.line(format!("          next: {}", clean(remedy)))?;
        }
    }
    for network in &health.networks {
        let used = match network.addresses {
            0 => String::new(),
            all => {
                let (used, free) = (network.addresses_bound, network.addresses_free);
                format!(" ({used} of {all} addresses in use, {free} free)")
            }
        };
        let other = network.other_server.as_deref().map(|server| format!("; another DHCP server: {server}"));
        let line = format!(
            "{}  {} {}: {}{used}{}",
            label(network.state, output),
            clean(&network.interface),
            clean(&network.dhcp),
            clean(&network.message),
            clean(&other.unwrap_or_default()),
        );
        output.line(line)?;
        if let Some(link) = &network.link {
            output.line(format!("          {}", clean(&interface(link))))?;
        }
        if let Some(traffic) = &network.traffic {
            let DhcpTraffic { requests, answers, offers, acks, naks, .. } = traffic;
            output.line(format!(
                "          {requests} DHCP requests, {answers} answers: {offers} OFFER, {acks} ACK, {naks} NAK"
            ))?;
        }
    }
    if healthy { Ok(()) } else { Err(Failure::Findings) }
}

/// `link up, 1000 Mbit/s, 52:54:00:12:34:56, 10.0.0.1/24`
fn interface(link: &NetworkLink) -> String {
    let state = match (link.present, link.enabled, link.up) {
        (false, ..) => "there is no such interface",
        (_, false, _) => "switched off",
        (_, _, false) => "no link",
        _ => "link up",
    };
    let speed = link.speed_mbps.map(|speed| format!("{speed} Mbit/s"));
    let mac = link.mac.map(|mac| mac.to_string());
    let parts = [Some(state.to_owned()), speed, mac].into_iter().flatten();
    parts.chain(link.addresses.iter().cloned()).collect::<Vec<_>>().join(", ")
}

#[derive(Serialize)]
struct Versions {
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<ironwake_api::Version>,
}

/// The daemon's version is shown where there is one: asking needs no daemon.
pub async fn version(context: &mut Context) -> Result<(), Failure> {
    let daemon = match context.client.version().await {
        Ok(version) => Some(version),
        Err(ClientError::NotReachable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let versions = Versions { command: env!("CARGO_PKG_VERSION"), daemon };
    if context.json {
        return Ok(context.output.json(&versions)?);
    }
    context.output.line(format!("ironwake {}", versions.command))?;
    let daemon = match versions.daemon {
        Some(daemon) => format!("daemon   {} (store schema {})", clean(&daemon.version), daemon.schema),
        None => "daemon   not reachable".into(),
    };
    Ok(context.output.line(daemon)?)
}
