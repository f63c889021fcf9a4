//! Hardware as a tree: what it is, what is in it, and pictures of its disks and cables.

use ironwake_api::{Inventory, Nic};
use ratatui::text::{Line, Span};

use super::{disks, paint};
use crate::human;
use crate::look::{Look, Tone};

/// Columns of a disk's picture.
const PICTURE_COLUMNS_MAX: usize = 96;
/// Memory modules that are shown one by one.
const MODULES_MAX: usize = 32;
/// Columns of a cable.
const CABLE_COLUMNS: usize = 6;

/// A tree: branches with what is below them.
struct Tree {
    look: Look,
    lines: Vec<Line<'static>>,
}

impl Tree {
    fn root(&mut self, title: &str, rest: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        self.lines
            .push(paint::line(self.look, [(&format!("{title:<11}"), Tone::Accent), (rest, Tone::Plain)]));
    }

    fn branch(&mut self, last: bool, spans: Vec<Span<'static>>) {
        let symbols = self.look.symbols();
        let mut line =
            vec![paint::span(self.look, if last { symbols.last } else { symbols.branch }, Tone::Faint)];
        line.extend(spans);
        self.lines.push(Line::from(line));
    }

    fn below(&mut self, last: bool, spans: Vec<Span<'static>>) {
        let trunk = if last { "  " } else { self.look.symbols().trunk };
        let mut line = vec![paint::span(self.look, trunk, Tone::Faint), Span::raw("  ")];
        line.extend(spans);
        self.lines.push(Line::from(line));
    }

    fn text(&self, text: impl AsRef<str>, tone: Tone) -> Span<'static> {
        paint::span(self.look, text, tone)
    }
}

/// The tree of an inventory.
pub fn lines(look: Look, inventory: &Inventory, columns: usize) -> Vec<Line<'static>> {
    let mut tree = Tree { look, lines: Vec::new() };
    system(&mut tree, inventory);
    processors(&mut tree, inventory);
    memory(&mut tree, inventory);
    storage(&mut tree, inventory, columns);
    network(&mut tree, inventory);
    devices(&mut tree, inventory);
    if !inventory.notes.is_empty() {
        tree.root("Notes", "what could not be read, or looked wrong");
        for (place, note) in inventory.notes.iter().enumerate() {
            let text = vec![tree.text(note, Tone::Warn)];
            tree.branch(place + 1 == inventory.notes.len(), text);
        }
    }
    tree.lines
}

fn joined(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("  ")
}

fn system(tree: &mut Tree, inventory: &Inventory) {
    let (system, board, firmware) = (&inventory.system, &inventory.board, &inventory.firmware);
    let model = super::machines::model_of(system.manufacturer.as_deref(), system.product.as_deref());
    tree.root("System", &joined(&[Some(&model), system.serial.as_deref(), inventory.hypervisor.as_deref()]));
    let board = joined(&[board.manufacturer.as_deref(), board.product.as_deref(), board.version.as_deref()]);
    let secure = match firmware.secure_boot {
        Some(true) => "Secure Boot on",
        Some(false) => "Secure Boot off",
        None => "",
    };
    let tpm = firmware.tpm.as_ref().map(|tpm| format!("TPM {}", tpm.version.as_deref().unwrap_or("?")));
    let mode = firmware.mode.as_deref().map(str::to_uppercase);
    let version =
        joined(&[firmware.vendor.as_deref(), firmware.version.as_deref(), firmware.date.as_deref()]);
    let state = joined(&[mode.as_deref(), Some(secure), tpm.as_deref()]);
    let bmc = inventory.bmc.as_ref().map(|bmc| {
        joined(&[
            bmc.address.as_deref(),
            bmc.interface.as_deref(),
            bmc.ipmi_version.as_deref(),
            bmc.firmware.as_deref(),
        ])
    });
    let mut rows = vec![("board", board), ("chassis", inventory.chassis.kind.clone().unwrap_or_default())];
    rows.extend([("firmware", version), ("boot", state), ("BMC", bmc.unwrap_or_default())]);
    rows.retain(|row| !row.1.is_empty());
    for (place, (label, text)) in rows.iter().enumerate() {
        let spans = vec![tree.text(format!("{label:<10}"), Tone::Dim), tree.text(text, Tone::Plain)];
        tree.branch(place + 1 == rows.len(), spans);
    }
}

fn processors(tree: &mut Tree, inventory: &Inventory) {
    let cores: u32 = inventory.cpus.iter().filter_map(|cpu| cpu.cores).sum();
    let threads: u32 = inventory.cpus.iter().filter_map(|cpu| cpu.threads).sum();
    tree.root("Processors", &format!("{cores} cores, {threads} threads"));
    for (place, cpu) in inventory.cpus.iter().enumerate() {
        let speed =
            cpu.mhz_max.map(|mhz| format!("  {}.{} GHz", mhz / 1000, mhz % 1000 / 100)).unwrap_or_default();
        let features = joined(&[
            cpu.virtualization.as_deref(),
            cpu.flags.iter().find(|flag| flag.starts_with("x86-64")).map(String::as_str),
        ]);
        let spans = vec![
            tree.text(format!("{:<10}", cpu.socket.as_deref().unwrap_or("")), Tone::Dim),
            tree.text(cpu.model.as_deref().unwrap_or("unknown"), Tone::Plain),
            tree.text(format!("  {} cores", cpu.cores.unwrap_or(0)), Tone::Plain),
            tree.text(format!("{speed}  {features}"), Tone::Dim),
        ];
        tree.branch(place + 1 == inventory.cpus.len(), spans);
    }
}

fn memory(tree: &mut Tree, inventory: &Inventory) {
    let memory = &inventory.memory;
    // As it is sold, else as the kernel has it.
    let total = memory.installed_bytes.filter(|bytes| *bytes > 0).or(memory.total_bytes);
    let total = total.map(human::size).unwrap_or_else(|| "unknown".into());
    let slots = memory
        .slots
        .map(|slots| format!("  {} of {slots} slots filled", memory.dimms.len()))
        .unwrap_or_default();
    tree.root("Memory", &format!("{total}{slots}"));
    for (place, dimm) in memory.dimms.iter().take(MODULES_MAX).enumerate() {
        let speed = dimm.speed_mts.map(|speed| format!("{speed} MT/s")).unwrap_or_default();
        let spans = vec![
            tree.text(format!("{:<10}", dimm.slot.as_deref().unwrap_or("")), Tone::Dim),
            tree.text(format!("{:>8}", dimm.size_bytes.map(human::size).unwrap_or_default()), Tone::Plain),
            tree.text(format!("  {}", joined(&[dimm.kind.as_deref(), Some(&speed)])), Tone::Plain),
            tree.text(
                format!("  {}", joined(&[dimm.manufacturer.as_deref(), dimm.part.as_deref()])),
                Tone::Dim,
            ),
        ];
        tree.branch(place + 1 == memory.dimms.len().min(MODULES_MAX), spans);
    }
}

fn storage(tree: &mut Tree, inventory: &Inventory, columns: usize) {
    let total: u64 = inventory.disks.iter().map(|disk| disk.size_bytes).sum();
    let rest = if inventory.disks.is_empty() {
        "none".into()
    } else {
        format!("{}, {} in all", human::count(inventory.disks.len(), "disk"), human::disk(total))
    };
    tree.root("Disks", &rest);
    for (place, disk) in inventory.disks.iter().enumerate() {
        let last = place + 1 == inventory.disks.len();
        let kind = match (disk.removable, disk.rotational) {
            (Some(true), _) => "removable",
            (_, Some(true)) => "spinning",
            _ => "",
        };
        let spans = vec![
            tree.text(format!("{:<10}", disk.name), Tone::Strong),
            tree.text(format!("{:>7}", human::disk(disk.size_bytes)), Tone::Plain),
            tree.text(
                format!("  {}", joined(&[disk.model.as_deref(), disk.transport.as_deref(), Some(kind)])),
                Tone::Plain,
            ),
            tree.text(format!("  {}", joined(&[disk.serial.as_deref(), disk.table.as_deref()])), Tone::Dim),
        ];
        tree.branch(last, spans);
        let picture = disks::picture(tree.look, disk, columns.saturating_sub(5).min(PICTURE_COLUMNS_MAX));
        tree.below(last, picture.spans);
        for legend in disks::legend(tree.look, disk, columns.saturating_sub(6)) {
            let mut spans = vec![Span::raw(" ")];
            spans.extend(legend.spans);
            tree.below(last, spans);
        }
    }
}

fn network(tree: &mut Tree, inventory: &Inventory) {
    let links = inventory.nics.iter().filter(|nic| nic.link == Some(true)).count();
    tree.root(
        "Network",
        &format!("{}, {links} with a link", human::count(inventory.nics.len(), "interface")),
    );
    for (place, nic) in inventory.nics.iter().enumerate() {
        let last = place + 1 == inventory.nics.len();
        let mac = nic.mac.or(nic.permanent_mac).map(|mac| mac.to_string()).unwrap_or_default();
        let mut spans = vec![
            tree.text(format!("{:<10}", nic.name), Tone::Strong),
            tree.text(format!("{mac:<17}  "), Tone::Plain),
        ];
        spans.extend(cable(tree.look, nic));
        tree.branch(last, spans);
        let pxe = if nic.boot { Some("booted through this one") } else { None };
        let addresses = nic.addresses.join(" ");
        let about = joined(&[nic.driver.as_deref(), nic.pci.as_deref(), Some(&addresses), pxe]);
        if !about.is_empty() {
            let spans = vec![tree.text(about, Tone::Dim)];
            tree.below(last, spans);
        }
    }
}

/// A port, its cable, and what is at the other end.
pub fn cable(look: Look, nic: &Nic) -> Vec<Span<'static>> {
    let symbols = look.symbols();
    match nic.link {
        Some(true) => {
            let speed = match nic.speed_mbps {
                Some(mbps) if mbps >= 1000 => format!(" {} Gbit/s ", f64::from(mbps) / 1000.0),
                Some(mbps) => format!(" {mbps} Mbit/s "),
                None => " link ".to_owned(),
            };
            let other = nic.lldp.as_ref().map(|lldp| {
                let vlan = lldp.vlan.map(|vlan| format!("vlan {vlan}"));
                let system = lldp.system.as_deref().or(lldp.chassis.as_deref());
                format!(" {}", joined(&[system, lldp.port.as_deref(), vlan.as_deref()]))
            });
            vec![
                paint::span(look, symbols.ok, Tone::Ok),
                paint::span(look, symbols.cable.repeat(CABLE_COLUMNS), Tone::Ok),
                paint::span(look, speed, Tone::Plain),
                paint::span(look, symbols.cable.repeat(CABLE_COLUMNS), Tone::Ok),
                paint::span(look, symbols.ok, Tone::Ok),
                paint::span(look, other.unwrap_or_default(), Tone::Dim),
            ]
        }
        Some(false) => vec![
            paint::span(look, symbols.unknown, Tone::Faint),
            paint::span(look, symbols.no_cable.repeat(CABLE_COLUMNS), Tone::Faint),
            paint::span(look, " no link", Tone::Dim),
        ],
        None => vec![paint::span(look, "link not known", Tone::Dim)],
    }
}

fn devices(tree: &mut Tree, inventory: &Inventory) {
    let gpus = inventory
        .gpus
        .iter()
        .map(|gpu| (joined(&[gpu.vendor.as_deref(), gpu.name.as_deref()]), gpu.pci.clone()));
    let usb = inventory.usb.iter().map(|usb| {
        (joined(&[usb.manufacturer.as_deref(), usb.product.as_deref()]), format!("usb {}", usb.path))
    });
    let devices: Vec<(String, String)> = gpus.chain(usb).collect();
    if devices.is_empty() {
        return;
    }
    tree.root("Devices", &format!("{} PCI functions, {} on USB", inventory.pci.len(), inventory.usb.len()));
    for (place, (what, at)) in devices.iter().enumerate() {
        let spans = vec![tree.text(what, Tone::Plain), tree.text(format!("  {at}"), Tone::Dim)];
        tree.branch(place + 1 == devices.len(), spans);
    }
}
