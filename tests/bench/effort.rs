//! How long and how often to measure.

use std::time::Duration;

/// Lengths and counts of the runs.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds over all contenders; the median is reported.
    pub rounds: usize,
    /// One step of the search for the highest DHCP rate.
    pub dhcp_step: Duration,
    /// The DHCP run that counts.
    pub dhcp_run: Duration,
    /// One HTTP run.
    pub http_run: Duration,
}

/// The figures that are quoted come from this.
pub const FULL: Effort = Effort {
    rounds: 3,
    dhcp_step: Duration::from_secs(2),
    dhcp_run: Duration::from_secs(10),
    http_run: Duration::from_secs(6),
};

/// Enough to see whether everything works and where the figures are, roughly.
pub const QUICK: Effort = Effort {
    rounds: 1,
    dhcp_step: Duration::from_secs(1),
    dhcp_run: Duration::from_secs(3),
    http_run: Duration::from_secs(2),
};
