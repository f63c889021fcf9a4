//! An inventory in a few words, for the table and the panel beside it.

use ironwake_api::{Disk, Inventory, Nic};

use crate::human;

/// Hardware in a few words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brief {
    /// `Xeon Gold 6338`, without what every processor has in its name.
    pub processor: String,
    /// Cores in all.
    pub cores: u32,
    /// Memory as it is sold.
    pub memory_bytes: u64,
    /// Sizes of the disks that stay in, the largest first.
    pub disks: Vec<u64>,
}

/// What the panel beside the list draws of one machine.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Its disks with their partitions.
    pub disks: Vec<Disk>,
    /// Its NICs.
    pub nics: Vec<Nic>,
}

impl Parts {
    /// What an inventory says.
    pub fn of(inventory: &Inventory) -> Self {
        Self { disks: inventory.disks.clone(), nics: inventory.nics.clone() }
    }
}

/// Words of processor names that tell nothing.
const NOISE: [&str; 9] =
    ["(R)", "(TM)", "(tm)", "CPU", "Processor", "processor", "Intel", "AMD", "with Radeon Graphics"];

impl Brief {
    /// What an inventory says.
    pub fn of(inventory: &Inventory) -> Self {
        let model = inventory.cpus.first().and_then(|cpu| cpu.model.as_deref()).unwrap_or_default();
        let mut processor = human::clean(model);
        for word in NOISE {
            processor = processor.replace(word, " ");
        }
        let processor = processor.split('@').next().unwrap_or_default();
        let words: Vec<&str> = processor.split_whitespace().filter(|word| !word.ends_with("-Core")).collect();
        let mut disks: Vec<u64> = inventory
            .disks
            .iter()
            .filter(|disk| disk.removable != Some(true))
            .map(|disk| disk.size_bytes)
            .collect();
        disks.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            processor: words.join(" "),
            cores: inventory.cpus.iter().filter_map(|cpu| cpu.cores).sum(),
            memory_bytes: memory_bytes(inventory).unwrap_or(0),
            disks,
        }
    }

    /// `16 × Xeon …`, for the table: cores first, since they align.
    pub fn processor_cell(&self) -> String {
        if self.cores == 0 { self.processor.clone() } else { format!("{:>3} {}", self.cores, self.processor) }
    }

    /// `256 GiB`
    pub fn memory_cell(&self) -> String {
        if self.memory_bytes == 0 { String::new() } else { human::size(self.memory_bytes) }
    }

    /// `2 × 960 GB`, `480 GB + 2 × 4 TB`
    pub fn disks_cell(&self) -> String {
        let mut groups: Vec<(u64, usize)> = Vec::new();
        for size in &self.disks {
            match groups.last_mut() {
                Some((same, count)) if same == size => *count += 1,
                _ => groups.push((*size, 1)),
            }
        }
        let shown = groups.iter().map(|(size, count)| {
            let size = human::disk(*size);
            if *count > 1 { format!("{count}x{}", size.replace(' ', "")) } else { size.replace(' ', "") }
        });
        shown.collect::<Vec<_>>().join("+")
    }
}

/// Memory as it is sold, else as the kernel has it.
pub fn memory_bytes(inventory: &Inventory) -> Option<u64> {
    inventory.memory.installed_bytes.filter(|bytes| *bytes > 0).or(inventory.memory.total_bytes)
}

#[cfg(test)]
mod tests {
    use ironwake_api::{Cpu, Disk};

    use super::*;

    #[test]
    fn hardware_is_told_in_a_few_words() {
        let cpu = |model: &str| Cpu { model: Some(model.into()), cores: Some(32), ..Cpu::default() };
        let disk = |size_bytes| Disk { size_bytes, ..Disk::default() };
        let inventory = Inventory {
            cpus: vec![cpu("Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz"), cpu("")],
            disks: vec![disk(480_103_981_056), disk(3_840_755_982_336), disk(3_840_755_982_336)],
            ..Inventory::default()
        };
        let brief = Brief::of(&inventory);
        assert_eq!(brief.processor_cell(), " 64 Xeon Gold 6338");
        assert_eq!(brief.disks_cell(), "2x3.8TB+480GB");
        let amd = Inventory { cpus: vec![cpu("AMD EPYC 7713 64-Core Processor")], ..Inventory::default() };
        assert_eq!(Brief::of(&amd).processor, "EPYC 7713");
    }
}
