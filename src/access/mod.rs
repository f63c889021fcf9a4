//! Who may use the operators' API: tokens over HTTPS; password, listed keys and sessions where people log in; and how long
//! whoever shows wrong ones waits.

mod authorized;
mod network;
mod one_time;
mod password;
mod session;
mod throttle;
mod token;

pub use authorized::{ADDED_KEYS_MAX, AddedKey, Listed, Listing, PublicKey, parse_added, parse_listing};
pub use network::Network;
pub use one_time::{
    KEY_BYTES as ONE_TIME_KEY_BYTES, OneTime, RANDOM_BYTES as ONE_TIME_RANDOM_BYTES,
    TIME_MAX as ONE_TIME_TIME_MAX,
};
pub use password::{PASSWORD_BYTES_MAX, PasswordHash, SALT_BYTES, check_password};
pub use session::{SESSION_TIME_MAX, Session, SessionEnd, SessionId, Sessions};
pub use throttle::{FAILURES_FREE, Throttle, WAIT_MAX};
pub use token::{Kept, NAME_BYTES_MAX, check_token_name, digest_of, spell};
