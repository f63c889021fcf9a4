//! The console as a person meets it: screen, keys, screen.

#[path = "console/backlog.rs"]
mod backlog;
#[path = "console/events.rs"]
mod events;
#[path = "console/first.rs"]
mod first;
#[path = "console/first_bench.rs"]
mod first_bench;
#[path = "console/first_refused.rs"]
mod first_refused;
#[path = "console/fleet.rs"]
mod fleet;
#[path = "console/harness.rs"]
mod harness;
#[path = "console/keys.rs"]
mod keys;
#[path = "console/login.rs"]
mod login;
#[path = "console/medium.rs"]
mod medium;
#[path = "console/mouse.rs"]
mod mouse;
#[path = "console/own.rs"]
mod own;
#[path = "console/rebuild.rs"]
mod rebuild;
#[path = "console/screens.rs"]
mod screens;
#[path = "console/settings.rs"]
mod settings;
