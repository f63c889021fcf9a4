//! Times as commands show them; figures are those of the contract's crate.

use std::time::{SystemTime, UNIX_EPOCH};

pub use ironwake_api::human::{duration, size, time};
use ironwake_api::{Actor, Millis};

/// The time, in milliseconds since 1970.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago: `3 m ago`.
pub fn ago(at: Millis, now: Millis) -> String {
    let secs = now.saturating_sub(at) / 1000;
    match secs {
        0..5 => "just now".into(),
        5..60 => format!("{secs} s ago"),
        60..3600 => format!("{} m ago", secs / 60),
        3600..86_400 => format!("{} h ago", secs / 3600),
        _ => format!("{} d ago", secs / 86_400),
    }
}

/// Who did something that only people do.
pub fn person(actor: &Actor) -> String {
    match actor {
        Actor::Operator(name) => name.clone(),
        Actor::Token(name) => format!("token {name}"),
        Actor::Machine | Actor::Daemon => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_has_one_unit() {
        assert_eq!(ago(1000, 2000), "just now");
        assert_eq!(ago(0, 180_000), "3 m ago");
    }
}
