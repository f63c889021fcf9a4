//! x
use ironwake_api::{Inventory, InventoryChange};
/// x
pub fn diff(_: &Inventory, _: &Inventory) -> Vec<InventoryChange> {
    Vec::new()
}
