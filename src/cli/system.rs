//! `ironwake system`: the appliance itself.

use ironwake_api::{NetworkConfirm, OwnAddress, OwnSystem, ServiceState, SystemPatch};

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// Commands below `system`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the appliance: name, time, addresses, load, services, and what of it can be changed here
    Show,
    /// Change its name, time or keyboard
    Set(SetArgs),
    /// List the time zones and keyboards that can be set
    Choices,
    /// Give an interface another address; it goes back to the one before unless it is confirmed within a minute
    Network(NetworkArgs),
    /// Keep the address that was given last
    Confirm {
        /// What `system network` printed
        token: String,
    },
    /// Start one of its units again
    Restart {
        /// As `system show` names it
        unit: String,
    },
    /// Restart it; machines that boot meanwhile are not answered
    Reboot,
    /// Switch it off
    PowerOff,
}

/// Arguments of `system set`.
#[derive(Debug, clap::Args)]
#[group(id = "change", required = true, multiple = true)]
pub struct SetArgs {
    /// Its name
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Its time zone, such as Europe/Vienna
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Whether its clock is set from the network
    #[arg(long, value_enum)]
    ntp: Option<Switch>,
    /// A server that its clock is set from; may be repeated, and "" names none but those of the system
    #[arg(long = "ntp-server", value_name = "SERVER")]
    ntp_servers: Option<Vec<String>>,
    /// Keyboard of its console
    #[arg(long, value_name = "KEYMAP")]
    keyboard: Option<String>,
}

/// `on` or `off`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Arguments of `system network`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("from").required(true).args(["address", "dhcp"]))]
pub struct NetworkArgs {
    /// The interface
    interface: String,
    /// Another DHCP server gives the address
    #[arg(long)]
    dhcp: bool,
    /// The address with its prefix: 10.0.0.2/24
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The way to other networks
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    gateway: Option<String>,
    /// A name server; may be repeated
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    dns: Vec<String>,
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Show => {
            let system = context.client.system().await?;
            show(&system, context)
        }
        Command::Set(args) => {
            let system = context.client.change_system(&args.patch()).await?;
            show(&system, context)
        }
        Command::Choices => choices(context).await,
        Command::Network(args) => network(args, context).await,
        Command::Confirm { token } => Ok(context.client.confirm_network(&NetworkConfirm { token }).await?),
        Command::Restart { unit } => Ok(context.client.restart_unit(&unit).await?),
        Command::Reboot => Ok(context.client.reboot_system().await?),
        Command::PowerOff => Ok(context.client.power_off_system().await?),
    }
}

impl SetArgs {
    fn patch(self) -> SystemPatch {
        let named = |servers: Vec<String>| servers.into_iter().filter(|server| !server.is_empty()).collect();
        SystemPatch {
            hostname: self.hostname,
            timezone: self.timezone,
            ntp: self.ntp.map(|ntp| ntp == Switch::On),
            ntp_servers: self.ntp_servers.map(named),
            keyboard: self.keyboard,
        }
    }
}

async fn choices(context: &mut Context) -> Result<(), Failure> {
    let choices = context.client.system_choices().await?;
    if context.json {
        return Ok(context.output.json(&choices)?);
    }
    for (heading, names) in [("time zones", &choices.timezones), ("keyboards", &choices.keyboards)] {
        let heading = context.output.styled(heading, Style::Strong);
        context.output.line(heading)?;
        for name in names {
            context.output.line(format!("  {}", clean(name)))?;
        }
        if names.is_empty() {
            context.output.line("  this host lists none")?;
        }
    }
    Ok(())
}

async fn network(args: NetworkArgs, context: &mut Context) -> Result<(), Failure> {
    let NetworkArgs { interface, dhcp, address, gateway, dns } = args;
    let change =
        context.client.change_network(&interface, &OwnAddress { dhcp, address, gateway, dns }).await?;
    if context.json {
        return Ok(context.output.json(&change)?);
    }
    let output = &mut context.output;
    output.line(format!("{} gets {}", clean(&change.interface), clean(&change.to)))?;
    let token = change.token.as_deref().unwrap_or_default();
    output.line(format!(
        "it goes back to what it was at {} UTC, unless: ironwake system confirm {}",
        human::time(change.confirm_by),
        clean(token)
    ))?;
    Ok(())
}

fn show(system: &OwnSystem, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        return Ok(context.output.json(system)?);
    }
    let output = &mut context.output;
    let of = |free: u64, total: u64| format!("{} of {} free", human::size(free), human::size(total));
    let clock = &system.clock;
    let ntp = match (clock.ntp, clock.synchronized) {
        (Some(true), Some(true)) => "set from the network",
        (Some(true), _) => "to be set from the network, and not yet",
        (Some(false), _) => "not set from the network",
        (None, _) => "unknown",
    };
    let servers = match clock.ntp_servers.as_slice() {
        [] => String::new(),
        servers => format!(" by {}", servers.join(", ")),
    };
    let lines = [
        ("name", system.hostname.clone()),
        ("version", system.version.clone()),
        ("API", system.url.clone().unwrap_or_else(|| "not on the network ([api] listen)".into())),
        ("time", format!("{} UTC", human::time(system.now))),
        ("time zone", clock.timezone.clone().unwrap_or_else(|| "unknown".into())),
        ("clock", format!("{ntp}{servers}")),
        ("keyboard", system.keyboard.clone().unwrap_or_else(|| "not set".into())),
        ("up for", human::duration(system.uptime_secs * 1000)),
        ("daemon for", human::duration(system.now.saturating_sub(system.started_at))),
        ("processors", format!("{}, {} % busy", system.cpu.count, system.cpu.used_percent)),
        ("memory", of(system.memory.available_bytes, system.memory.total_bytes)),
        ("disk", of(system.disk.free_bytes, system.disk.total_bytes)),
    ];
    for (name, value) in lines {
        output.line(format!("{name:12}{}", clean(&value)))?;
    }
    let mut table = Table::new(&["INTERFACE", "LINK", "MAC", "ADDRESSES"]);
    for interface in &system.interfaces {
        let (link, style) = match (interface.up, interface.link) {
            (false, _) => ("off", Style::Faint),
            (true, false) => ("no cable", Style::Warning),
            (true, true) => ("up", Style::Good),
        };
        table.row([
            (interface.name.clone(), Style::Plain),
            (link.to_owned(), style),
            (interface.mac.map(|mac| mac.to_string()).unwrap_or_default(), Style::Plain),
            (interface.addresses.join(", "), Style::Plain),
        ]);
    }
    output.line("")?;
    table.write(output, "no interfaces")?;
    let mut table = Table::new(&["UNIT", "STATE", "WHAT"]);
    for service in &system.services {
        let (state, style) = state(service.state);
        table.row([
            (service.name.clone(), Style::Plain),
            (state.to_owned(), style),
            (service.what.clone(), Style::Plain),
        ]);
    }
    output.line("")?;
    table.write(output, "no units")?;
    let closed = system.changes.iter().filter_map(|change| Some((change.what, change.unavailable.as_ref()?)));
    for (what, why) in closed {
        let line = output.styled(&format!("{what} cannot be changed here: {}", clean(why)), Style::Warning);
        output.line(line)?;
    }
    if let Some(change) = &system.network_change {
        let (interface, to) = (clean(&change.interface), clean(&change.to));
        let by = human::time(change.confirm_by);
        output.line(format!("{interface} has {to} until {by} UTC, unless it is confirmed"))?;
    }
    Ok(())
}

fn state(state: ServiceState) -> (&'static str, Style) {
    match state {
        ServiceState::Active => ("active", Style::Good),
        ServiceState::Inactive => ("inactive", Style::Faint),
        ServiceState::Failed => ("failed", Style::Bad),
        ServiceState::Changing => ("changing", Style::Warning),
        ServiceState::Absent => ("not installed", Style::Faint),
        ServiceState::Unknown => ("unknown", Style::Faint),
    }
}
