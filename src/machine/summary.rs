//! An inventory in a few words.

use ironwake_api::{Disk, HardwareSummary, Inventory};

use super::identity::identifying_text;

/// What an inventory says of the hardware, for lists.
pub fn summary(inventory: &Inventory) -> HardwareSummary {
    let (cpus, memory) = (&inventory.cpus, &inventory.memory);
    let disks = || inventory.disks.iter().filter(|disk| disk.size_bytes > 0 && is_built_in(disk));
    let model = |cpu: &ironwake_api::Cpu| cpu.model.as_deref().map(words).filter(|model| !model.is_empty());
    HardwareSummary {
        model: model_of(inventory),
        cpu: cpus.iter().find_map(model),
        cpus: count(cpus.len()),
        cores: sum(cpus.iter().map(|cpu| cpu.cores)),
        threads: sum(cpus.iter().map(|cpu| cpu.threads)),
        ram_bytes: memory.installed_bytes.max(memory.total_bytes),
        disks: count(disks().count()),
        disk_bytes: disks().fold(0, |sum: u64, disk| sum.saturating_add(disk.size_bytes)),
        nics: count(inventory.nics.len()),
    }
}

/// Whether a disk belongs to the machine, and not to whoever has plugged it in.
pub fn is_built_in(disk: &Disk) -> bool {
    disk.removable != Some(true) && disk.transport.as_deref() != Some("usb")
}

/// What the system is called, or its board where nobody has filled the system's fields in.
fn model_of(inventory: &Inventory) -> Option<String> {
    let (system, board) = (&inventory.system, &inventory.board);
    let known = |text: &Option<String>| text.as_deref().and_then(identifying_text).map(words);
    let named = |maker: &Option<String>, product: &Option<String>| {
        let product = known(product)?;
        Some(match known(maker) {
            Some(maker) if !product.starts_with(&maker) => format!("{maker} {product}"),
            _ => product,
        })
    };
    named(&system.manufacturer, &system.product)
        .or_else(|| named(&board.manufacturer, &board.product))
        .or_else(|| known(&system.manufacturer))
}

/// Text with single blanks: processors pad their names.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The sum of what is known; none where nothing is.
fn sum(parts: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    parts.flatten().reduce(u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use ironwake_api::{Board, Cpu, Memory, Nic, System};

    use super::*;

    #[test]
    fn hardware_is_summed_up() {
        let cpu = |cores, threads| Cpu {
            model: Some("  Intel(R) Xeon(R)   Gold 6230 ".into()),
            cores,
            threads,
            ..Cpu::default()
        };
        let disk = |size_bytes, removable, transport: &str| Disk {
            size_bytes,
            removable: Some(removable),
            transport: Some(transport.into()),
            ..Disk::default()
        };
        let inventory = Inventory {
            cpus: vec![cpu(Some(20), Some(40)), cpu(Some(20), None)],
            memory: Memory { total_bytes: Some(90), installed_bytes: Some(96), ..Memory::default() },
            disks: vec![
                disk(100, false, "nvme"),
                disk(50, false, "sata"),
                disk(8, true, "sata"),
                disk(8, false, "usb"),
                disk(0, false, "sata"),
            ],
            nics: vec![Nic::default(), Nic::default()],
            ..Inventory::default()
        };
        let expected = HardwareSummary {
            model: None,
            cpu: Some("Intel(R) Xeon(R) Gold 6230".into()),
            cpus: 2,
            cores: Some(40),
            threads: Some(40),
            ram_bytes: Some(96),
            disks: 2,
            disk_bytes: 150,
            nics: 2,
        };
        assert_eq!(summary(&inventory), expected);
        assert_eq!(summary(&Inventory::default()), HardwareSummary::default());
    }

    #[test]
    fn a_model_without_default_values_is_found() {
        let check = |system: [&str; 2], board: [&str; 2], expected: Option<&str>| {
            let text = |text: &str| Some(text.to_owned());
            let inventory = Inventory {
                system: System {
                    manufacturer: text(system[0]),
                    product: text(system[1]),
                    ..System::default()
                },
                board: Board { manufacturer: text(board[0]), product: text(board[1]), ..Board::default() },
                ..Inventory::default()
            };
            assert_eq!(summary(&inventory).model.as_deref(), expected);
        };
        check(["Dell Inc.", "PowerEdge R640"], ["Dell Inc.", "0H28RR"], Some("Dell Inc. PowerEdge R640"));
        check(["HP", "HP EliteDesk 800"], ["HP", "8054"], Some("HP EliteDesk 800"));
        check(["To Be Filled By O.E.M.", "Default string"], ["ASRock", "X570D4U"], Some("ASRock X570D4U"));
        check(["Supermicro", "Default string"], ["", "None"], Some("Supermicro"));
        check(["", ""], ["", ""], None);
    }
}
