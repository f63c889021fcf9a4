//! A machine's hardware in a few words, for the table and the panel beside it.

use ironwake_api::{Disk, HardwareSummary, Inventory, Nic};

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
    /// Disks that are built in.
    pub disks: u32,
    /// Bytes of those disks together.
    pub disk_bytes: u64,
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
    /// What the daemon has summed up.
    pub fn of(summary: &HardwareSummary) -> Self {
        let mut processor = human::clean(summary.cpu.as_deref().unwrap_or_default());
        for word in NOISE {
            processor = processor.replace(word, " ");
        }
        let processor = processor.split('@').next().unwrap_or_default();
        let words: Vec<&str> = processor.split_whitespace().filter(|word| !word.ends_with("-Core")).collect();
        Self {
            processor: words.join(" "),
            cores: summary.cores.unwrap_or(0),
            memory_bytes: summary.ram_bytes.unwrap_or(0),
            disks: summary.disks,
            disk_bytes: summary.disk_bytes,
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

    /// `960 GB`, `3: 8.2 TB`: how many, where they are several, and how much they hold together.
    pub fn disks_cell(&self) -> String {
        match self.disks {
            0 => String::new(),
            1 => human::disk(self.disk_bytes),
            several => format!("{several}: {}", human::disk(self.disk_bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_is_told_in_a_few_words() {
        let summary = |cpu: &str, disks, disk_bytes| HardwareSummary {
            cpu: Some(cpu.into()),
            cores: Some(64),
            disks,
            disk_bytes,
            ..HardwareSummary::default()
        };
        let brief = Brief::of(&summary("Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", 3, 8_161_615_945_728));
        assert_eq!(brief.processor_cell(), " 64 Xeon Gold 6338");
        assert_eq!(brief.disks_cell(), "3: 8.2 TB");
        let amd = Brief::of(&summary("AMD EPYC 7713 64-Core Processor", 1, 960_197_124_096));
        assert_eq!((amd.processor.as_str(), amd.disks_cell().as_str()), ("EPYC 7713", "960 GB"));
        assert_eq!(Brief::of(&HardwareSummary::default()), Brief::default());
    }
}
