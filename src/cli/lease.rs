//! `ironwake lease`: DHCP leases.

use ironwake_api::LeaseState;

use super::output::Style;
use super::table::Table;
use super::{Context, Failure, human};

/// Commands below `lease`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List leases
    List,
}

pub async fn list(context: &mut Context) -> Result<(), Failure> {
    let leases = context.client.leases().await?;
    if context.json {
        return Ok(context.output.json(&leases)?);
    }
    let now = human::now();
    let mut table = Table::new(&["ADDRESS", "MAC", "HOSTNAME", "STATE", "ENDS", "NETWORK"]);
    for lease in leases {
        let (state, style) = match lease.state {
            LeaseState::Bound if lease.expires_at <= now => ("expired", Style::Faint),
            LeaseState::Bound => ("bound", Style::Good),
            LeaseState::Released => ("released", Style::Faint),
            LeaseState::Declined => ("declined", Style::Warning),
        };
        let ends = match lease.expires_at.checked_sub(now) {
            Some(left) => format!("in {}", human::duration(left)),
            None => human::ago(lease.expires_at, now),
        };
        let plain = |text: String| (text, Style::Plain);
        table.row([
            plain(lease.address),
            plain(lease.mac.to_string()),
            plain(lease.hostname.unwrap_or_default()),
            (state.to_owned(), style),
            plain(ends),
            plain(lease.network),
        ]);
    }
    Ok(table
        .write(&mut context.output, "no leases: in proxy mode another DHCP server gives the addresses")?)
}
