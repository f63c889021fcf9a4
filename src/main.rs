//! The `ironwake` command.
fn main() {}
