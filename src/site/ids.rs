//! Ids of machines, operations and batches: their order is that in which they were made, however the clock was set.

use std::sync::Mutex;

use ironwake_api::Millis;
use uuid::{NoContext, Timestamp, Uuid};

use super::Site;

/// The time of the last id.
#[derive(Default)]
pub(super) struct Ids(Mutex<Millis>);

impl Ids {
    /// No id is before this one.
    pub fn seen(&self, id: &str) {
        let time = id.parse::<Uuid>().ok().and_then(|id| id.get_timestamp()).map(|time| time.to_unix());
        if let Some((secs, nanos)) = time {
            let mut last = self.0.lock().expect("no panic while held");
            *last = (*last).max(secs * 1000 + Millis::from(nanos) / 1_000_000);
        }
    }

    /// The next id (UUID of version 7, RFC 9562): of this millisecond, or of one later than that of the last id.
    fn next(&self, now: Millis) -> String {
        let mut last = self.0.lock().expect("no panic while held");
        *last = now.max(*last + 1);
        let nanos = u32::try_from(*last % 1000).unwrap_or_default() * 1_000_000;
        Uuid::new_v7(Timestamp::from_unix(NoContext, *last / 1000, nanos)).to_string()
    }
}

impl Site {
    /// The id of something that is made at this moment.
    pub(super) fn new_id(&self) -> String {
        self.ids.next(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_whatever_the_clock_says() {
        let ids = Ids::default();
        let mut made: Vec<String> = [5_000, 5_000, 4_000, 1_000_000, 3].map(|now| ids.next(now)).to_vec();
        let again = Ids::default();
        again.seen(made.last().expect("one"));
        again.seen("not an id");
        made.push(again.next(7));
        let mut sorted = made.clone();
        sorted.sort();
        assert_eq!(made, sorted);
    }
}
