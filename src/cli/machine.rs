//! `ironwake machine`: list, show and change machines.

use ironwake_api::{
    ArmRequest, Attempt, BulkAction, Enrolment, Machine, MachineNew, MachinePatch, MachineQuery,
    OperationBrief, Order, OrderKind, SecureBoot,
};

use super::machine_list::{self, work};
use super::output::{Style, clean};
use super::selection::{self, Selected};
use super::{Context, Failure, host, human, inventory, operation, timeline, values};

/// Boot attempts that `show` prints, where not told otherwise.
const ATTEMPTS_SHOWN: usize = 1;

/// Commands below `machine`. KEY is an id, its beginning, a name, MAC, UUID or serial.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List machines
    List(ListArgs),
    /// Show one machine: identity, what runs there, inventory, latest boot
    Show {
        /// Id, its beginning, name, MAC, UUID or serial
        key: String,
        /// How many boot attempts to show
        #[arg(long, value_name = "N", default_value_t = ATTEMPTS_SHOWN)]
        attempts: usize,
    },
    /// Register a machine before it is ever seen
    Add(AddArgs),
    /// Make machines known
    Enroll {
        #[command(flatten)]
        machines: Selected,
    },
    /// Change names, notes, tags or policy of machines
    Edit(EditArgs),
    /// Delete records of machines; what boots again comes back as unknown
    Delete {
        #[command(flatten)]
        machines: Selected,
    },
    /// Let the machine's next boot begin the operation that is recorded for it
    Arm {
        /// Id, its beginning, name, MAC, UUID or serial
        key: String,
        /// How long this is possible, in minutes
        #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=10_080))]
        minutes: Option<u64>,
    },
    /// Set what profiles are filled with for a machine
    Set(values::Args),
    /// Take the arming back
    Disarm {
        /// Id, its beginning, name, MAC, UUID or serial
        key: String,
    },
    /// Give an order to a machine that waits in discovery
    Order {
        /// Id, its beginning, name, MAC, UUID or serial
        key: String,
        /// What to do
        order: OrderWord,
        /// Why, for the machine's screen
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Arguments of `machine list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only in this state
    #[arg(long, value_name = "STATE")]
    enrolment: Option<EnrolmentWord>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only with this MAC address
    #[arg(long)]
    mac: Option<String>,
    /// Only of this manufacturer
    #[arg(long)]
    manufacturer: Option<String>,
    /// Only this product
    #[arg(long)]
    product: Option<String>,
    /// Only with this text in name, serial, UUID, manufacturer, product, MAC, tags or notes
    #[arg(value_name = "TEXT")]
    search: Option<String>,
}

/// Arguments of `machine add`.
#[derive(Debug, clap::Args)]
#[group(id = "identity", required = true, multiple = true, args = ["mac", "uuid", "serial"])]
pub struct AddArgs {
    /// MAC address, in any spelling; may be repeated
    #[arg(long)]
    mac: Vec<String>,
    /// SMBIOS UUID
    #[arg(long)]
    uuid: Option<String>,
    /// System serial number
    #[arg(long)]
    serial: Option<String>,
    /// Name, a hostname
    #[arg(long)]
    name: Option<String>,
    /// Tag; may be repeated
    #[arg(long)]
    tag: Vec<String>,
    /// Notes
    #[arg(long)]
    notes: Option<String>,
}

/// Arguments of `machine edit`.
#[derive(Debug, clap::Args)]
#[group(id = "change", required = true, multiple = true, args = ["name", "notes", "tag", "no_tags", "add_tag", "remove_tag", "secure_boot", "discover"])]
pub struct EditArgs {
    #[command(flatten)]
    machines: Selected,
    /// Name, a hostname; empty removes it
    #[arg(long)]
    name: Option<String>,
    /// Notes; empty removes them
    #[arg(long)]
    notes: Option<String>,
    /// All tags, replacing those before; may be repeated
    #[arg(long)]
    tag: Vec<String>,
    /// Remove all tags
    #[arg(long, conflicts_with = "tag")]
    no_tags: bool,
    /// Tag to have besides; may be repeated
    #[arg(long, value_name = "TAG")]
    add_tag: Vec<String>,
    /// Tag to have no more; may be repeated
    #[arg(long, value_name = "TAG")]
    remove_tag: Vec<String>,
    /// What to serve its firmware: the signed shim (on), iPXE (off), or what its boots showed (auto)
    #[arg(long, value_name = "POLICY")]
    secure_boot: Option<SecureBootWord>,
    /// Whether its next boot is discovery
    #[arg(long, value_name = "true|false")]
    discover: Option<bool>,
}

/// `--enrolment`
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum EnrolmentWord {
    /// Registered, never seen
    Registered,
    /// Seen, not known
    Unenrolled,
    /// Known
    Enrolled,
}

/// `--secure-boot`
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum SecureBootWord {
    /// What its boots showed
    Auto,
    /// Always the signed shim
    On,
    /// Always iPXE
    Off,
}

/// What can be ordered.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum OrderWord {
    /// Reboot
    Reboot,
    /// Power off
    PowerOff,
    /// Read the inventory again
    Inventory,
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List(args) => {
            let machines = context.client.machines_all(&args.into()).await?;
            Ok(machine_list::write(&machines, context)?)
        }
        Command::Show { key, attempts } => show(&key, attempts, context).await,
        Command::Add(args) => {
            let machine = context.client.register(&args.into()).await?;
            done("registered", &machine, context)
        }
        Command::Enroll { machines } => match machines.only() {
            Some(key) => {
                let machine = context.client.enroll(key).await?;
                done("enrolled", &machine, context)
            }
            None => many("enrolled", machines, BulkAction::Enroll, context).await,
        },
        Command::Edit(args) => {
            let machines = args.machines.clone();
            match machines.only() {
                Some(key) => {
                    let machine = context.client.edit(key, &args.into()).await?;
                    done("changed", &machine, context)
                }
                None => many("changed", machines, BulkAction::Edit(args.into()), context).await,
            }
        }
        Command::Set(args) => values::set(args, context).await,
        Command::Delete { machines } => match machines.only() {
            Some(key) => {
                context.client.delete(key).await?;
                if context.json {
                    Ok(())
                } else {
                    Ok(context.output.line(format!("deleted {}", clean(key)))?)
                }
            }
            None => many("deleted", machines, BulkAction::Delete, context).await,
        },
        Command::Arm { key, minutes } => {
            let running = running(&key, context).await?;
            let request = ArmRequest { armed_secs: minutes.map(|minutes| minutes * 60) };
            operation::done(&context.client.arm(&running.id, &request).await?, context)
        }
        Command::Disarm { key } => {
            let running = running(&key, context).await?;
            operation::done(&context.client.disarm(&running.id).await?, context)
        }
        Command::Order { key, order, reason } => {
            let order = match order {
                OrderWord::Reboot => OrderKind::Reboot,
                OrderWord::PowerOff => OrderKind::PowerOff,
                OrderWord::Inventory => OrderKind::Inventory,
            };
            context.client.order(&key, &Order { order, reason }).await?;
            if context.json { Ok(()) } else { Ok(context.output.line(format!("ordered {}", clean(&key)))?) }
        }
    }
}

async fn many(
    what: &str,
    machines: Selected,
    action: BulkAction,
    context: &mut Context,
) -> Result<(), Failure> {
    let answer = machines.bulk(action, context).await?;
    selection::show(what, &answer, context)
}

/// The operation that runs on a machine.
async fn running(key: &str, context: &Context) -> Result<OperationBrief, Failure> {
    let mut machine = context.client.machine(key).await?;
    let running = machine.operation.take();
    let nothing = || {
        anyhow::anyhow!(
            "nothing is recorded for machine {}: `ironwake rebuild`, `wipe` and `inspect` make an operation",
            machine.called()
        )
    };
    Ok(*running.ok_or_else(nothing)?)
}

fn done(what: &str, machine: &Machine, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        return Ok(context.output.json(machine)?);
    }
    Ok(context.output.line(format!("{what} {}", clean(&machine.called())))?)
}

async fn show(key: &str, attempts_shown: usize, context: &mut Context) -> Result<(), Failure> {
    let machine = context.client.machine(key).await?;
    if context.json {
        return Ok(context.output.json(&machine)?);
    }
    let attempts =
        if attempts_shown > 0 { attempts(&machine.id, attempts_shown, context).await? } else { Vec::new() };
    let values = context.client.machine_values(&machine.id).await?;
    write_identity(&machine, context)?;
    values::write(&values, context)?;
    if let Some(found) = &machine.host {
        host::write(found, &mut context.output)?;
    }
    context.output.line("")?;
    match &machine.inventory {
        Some(found) => inventory::write(found, &mut context.output)?,
        None => context.output.line("no inventory yet: it comes when the machine boots into discovery")?,
    }
    for attempt in &attempts {
        context.output.line("")?;
        timeline::write(attempt, &mut context.output)?;
    }
    Ok(())
}

/// The newest attempts with their stages, which a list may leave out.
async fn attempts(id: &str, shown: usize, context: &Context) -> Result<Vec<Attempt>, Failure> {
    let mut attempts = context.client.attempts(id).await?;
    attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.id));
    attempts.truncate(shown);
    for attempt in &mut attempts {
        if attempt.stages.is_empty() {
            *attempt = context.client.attempt(attempt.id).await?;
        }
    }
    Ok(attempts)
}

fn write_identity(machine: &Machine, context: &mut Context) -> std::io::Result<()> {
    let now = human::now();
    let at = |at: Option<u64>| at.map(|at| format!("{} ({})", human::time(at), human::ago(at, now)));
    let macs: Vec<String> = machine.macs.iter().map(ToString::to_string).collect();
    let policy = match machine.secure_boot {
        SecureBoot::Auto => None,
        SecureBoot::On => Some("on: always the signed shim".to_owned()),
        SecureBoot::Off => Some("off: always iPXE".to_owned()),
    };
    let fields = [
        ("id", Some(machine.id.clone())),
        ("name", machine.name.clone()),
        ("state", Some(machine.enrolment.name().to_owned())),
        ("MAC", Some(macs.join(", "))),
        ("address", machine.address.clone()),
        ("UUID", machine.uuid.clone()),
        ("serial", machine.serial.clone()),
        ("asset tag", machine.asset_tag.clone()),
        ("tags", (!machine.tags.is_empty()).then(|| machine.tags.join(", "))),
        ("notes", machine.notes.clone()),
        ("secure boot", policy),
        (
            "work",
            machine.operation.as_deref().map(|running| format!("{} ({})", work(running, now), running.id)),
        ),
        (
            "profile",
            machine.profile.as_deref().map(|profile| {
                let (name, version) = (&profile.name, &profile.version);
                let since = human::ago(profile.since, now);
                format!("{name} {version}, {} {since} ({})", profile.standing.name(), profile.operation)
            }),
        ),
        ("next boot", machine.discover_next.then(|| "discovery, as asked".to_owned())),
        ("seen", at(machine.seen_at)),
        ("inventory", at(machine.inventory_at)),
    ];
    for (name, value) in fields {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let name = context.output.styled(&format!("{name:12}"), Style::Faint);
            context.output.line(format!("{name}{}", clean(&value)))?;
        }
    }
    Ok(())
}

impl From<ListArgs> for MachineQuery {
    fn from(args: ListArgs) -> Self {
        Self {
            enrolment: args.enrolment.map(|word| match word {
                EnrolmentWord::Registered => Enrolment::Registered,
                EnrolmentWord::Unenrolled => Enrolment::Unenrolled,
                EnrolmentWord::Enrolled => Enrolment::Enrolled,
            }),
            tag: args.tag,
            mac: args.mac,
            manufacturer: args.manufacturer,
            product: args.product,
            search: args.search,
            ..Self::default()
        }
    }
}

impl From<AddArgs> for MachineNew {
    fn from(args: AddArgs) -> Self {
        let AddArgs { mac, uuid, serial, name, tag, notes } = args;
        Self { name, macs: mac, uuid, serial, tags: tag, notes }
    }
}

impl From<EditArgs> for MachinePatch {
    fn from(args: EditArgs) -> Self {
        // An empty text is how a shell says "nothing": null in the contract.
        let clearing = |text: Option<String>| text.map(|text| Some(text).filter(|text| !text.is_empty()));
        Self {
            name: clearing(args.name),
            notes: clearing(args.notes),
            tags: (args.no_tags || !args.tag.is_empty()).then_some(args.tag),
            add_tags: args.add_tag,
            remove_tags: args.remove_tag,
            secure_boot: args.secure_boot.map(|word| match word {
                SecureBootWord::Auto => SecureBoot::Auto,
                SecureBootWord::On => SecureBoot::On,
                SecureBootWord::Off => SecureBoot::Off,
            }),
            discover_next: args.discover,
        }
    }
}
