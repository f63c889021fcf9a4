//! The order of the table of machines.

use super::row::Row;

/// By what the table is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// Name, numbers by their value.
    Name,
    /// What wants attention first.
    Condition,
    /// Heard of last.
    Seen,
    /// Address.
    Address,
    /// Manufacturer and product.
    Model,
    /// Profile.
    Profile,
}

impl SortBy {
    /// Every one, in the order in which they are gone through.
    pub const ALL: [Self; 6] =
        [Self::Name, Self::Condition, Self::Seen, Self::Address, Self::Model, Self::Profile];

    /// The next one.
    pub fn next(self) -> Self {
        let place = Self::ALL.iter().position(|other| *other == self).unwrap_or(0);
        Self::ALL[(place + 1) % Self::ALL.len()]
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Condition => "state",
            Self::Seen => "seen",
            Self::Address => "address",
            Self::Model => "model",
            Self::Profile => "profile",
        }
    }
}

/// Sorts places in `rows`.
pub(super) fn sort(rows: &[Row], shown: &mut [usize], sort: SortBy) {
    let by_name = |a: &usize, b: &usize| rows[*a].name_key.cmp(&rows[*b].name_key);
    match sort {
        SortBy::Name => shown.sort_unstable_by(by_name),
        SortBy::Condition => {
            shown.sort_unstable_by(|a, b| rows[*a].condition.cmp(&rows[*b].condition).then(by_name(a, b)))
        }
        SortBy::Seen => {
            // By the minute: machines that call often would change places all the time.
            let minute =
                |place: &usize| std::cmp::Reverse(rows[*place].machine.seen_at.map(|at| at / 60_000));
            shown.sort_unstable_by(|a, b| minute(a).cmp(&minute(b)).then(by_name(a, b)));
        }
        SortBy::Address => {
            let address = |place: &usize| {
                let address = rows[*place].machine.address.as_deref();
                address
                    .and_then(|text| text.parse::<std::net::Ipv4Addr>().ok())
                    .map_or(u64::MAX, |ip| u32::from(ip).into())
            };
            shown.sort_unstable_by(|a, b| address(a).cmp(&address(b)).then(by_name(a, b)));
        }
        SortBy::Model => {
            let model = |place: &usize| {
                let machine = &rows[*place].machine;
                (machine.manufacturer.is_none(), machine.manufacturer.clone(), machine.product.clone())
            };
            shown.sort_by_cached_key(|place| (model(place), rows[*place].name_key.clone()));
        }
        SortBy::Profile => shown.sort_by_cached_key(|place| {
            let row = &rows[*place];
            (row.profile().is_none(), row.profile().map(str::to_owned), row.name_key.clone())
        }),
    }
}
