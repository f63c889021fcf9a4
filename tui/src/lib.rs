//! The console of Ironwake: everything the appliance knows and does, in a terminal. A client of the operators' API, nothing else.
//!
//! The core is pure: a [`message::Message`] changes the [`model::Model`] by [`update::update`], which gives the requests that
//! follow, and [`view::draw`] shows the model. Keys, time, answers and events are messages, so a session can be recorded and
//! played again. Everything else is an edge: the daemon (`edge::backend`) and the terminal (`edge::tty`).

pub mod bindings;
pub mod confirm;
pub mod edge;
pub mod first;
pub mod human;
pub mod input;
pub mod key;
pub mod list;
pub mod look;
pub mod message;
pub mod model;
pub mod request;
pub mod text;
pub mod update;
pub mod view;
