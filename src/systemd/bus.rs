//! The system bus: connected when it is first needed, and again when it was lost. Every call has a time limit, and a bus
//! that is not there is an answer, not a fault.

use std::collections::HashMap;
use std::env;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use zbus::wire::DynamicDeserialize;
use zbus::{Connection, DBusError as _, DynamicType, Message, OwnedVariant, connection};

use super::method::{METHODS, Method, Service, UNITS};

/// Where the bus is unless the environment says otherwise (D-Bus specification, "Well-known Message Bus Instances").
const ADDRESS: &str = "unix:path=/run/dbus/system_bus_socket";
/// Names another address.
const ADDRESS_VARIABLE: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// How long one call may take, connecting included. A service that has to be started first takes seconds, and whoever
/// asks the API waits for at most 30.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Names of errors by which polkit refuses through a service.
const DENIED: &[&str] = &[
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.AuthFailed",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    "org.freedesktop.PolicyKit1.Error.NotAuthorized",
];
/// Names of errors that say that nobody answers to a name; systemd itself means units by some of them.
const NO_SERVICE: &[&str] = &[
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Spawn.",
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.systemd1.UnitMasked",
    "org.freedesktop.systemd1.LoadFailed",
];
/// Names of errors that say that a service was too slow for the bus.
const SLOW: &[&str] = &[
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Timeout",
    "org.freedesktop.DBus.Error.TimedOut",
];

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// There is no bus.
    #[error(
        "this host's systemd is out of reach: no D-Bus at {address} ({why}); in a container, change the host that it runs on"
    )]
    NoBus {
        /// Where it was looked for.
        address: String,
        /// What the system said.
        why: String,
    },
    /// Nobody answers to the name.
    #[error(
        "{asked}: there is no {service} on this host ({said}); install and start the service of that name"
    )]
    NoService {
        /// What was asked.
        asked: String,
        /// Its name on the bus.
        service: &'static str,
        /// What the bus said.
        said: String,
    },
    /// polkit refused.
    #[error(
        "{asked}: polkit refused ({said}); is polkitd installed, and /usr/share/polkit-1/rules.d/50-ironwake.rules?"
    )]
    Denied {
        /// What was asked.
        asked: String,
        /// What was said.
        said: String,
    },
    /// No answer came in time.
    #[error("{asked}: no answer within {} s; `systemctl status` and the journal show what it waits for", .limit.as_secs_f32())]
    Slow {
        /// What was asked.
        asked: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection broke; whether it was heard is not known.
    #[error("{asked}: the connection to D-Bus broke ({why}); look at the state before asking again")]
    Lost {
        /// What was asked.
        asked: String,
        /// What happened.
        why: String,
    },
    /// The service refused or failed.
    #[error("{asked}: {service} answered {said}")]
    Refused {
        /// What was asked.
        asked: String,
        /// Its name on the bus.
        service: &'static str,
        /// What it answered.
        said: String,
    },
}

/// Properties of a service, by name.
pub type Properties = HashMap<String, OwnedVariant>;

/// The way to systemd's services.
pub struct Bus {
    address: String,
    limit: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Bus {
    /// The system bus of this host.
    pub fn system() -> Self {
        Self::at(env::var(ADDRESS_VARIABLE).unwrap_or_else(|_| ADDRESS.to_owned()), CALL_TIME_MAX)
    }

    /// A bus at a D-Bus address, each of whose calls may take `limit`.
    pub fn at(address: impl Into<String>, limit: Duration) -> Self {
        Self { address: address.into(), limit, connection: Mutex::new(None) }
    }

    /// Calls one method of the table.
    pub(super) async fn call<A, R>(&self, method: &Method, arguments: &A) -> Result<R, BusError>
    where
        A: serde::Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        debug_assert!(METHODS.contains(method), "{} is not in the table", method.member);
        let service = method.service;
        self.ask(service, service.interface, method.member, arguments, method.repeatable).await
    }

    /// Every property of a service, which everybody may read.
    pub(super) async fn properties(&self, service: Service) -> Result<Properties, BusError> {
        let interface = service.interface;
        self.ask(service, "org.freedesktop.DBus.Properties", "GetAll", &(interface,), true).await
    }

    async fn ask<A, R>(
        &self,
        service: Service,
        interface: &str,
        member: &str,
        arguments: &A,
        repeatable: bool,
    ) -> Result<R, BusError>
    where
        A: serde::Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let asked = || format!("{member} of {}", service.name);
        let exchange = async {
            let mut again = repeatable;
            let reply = loop {
                let (connection, fresh) = self.connection().await?;
                let sent = connection.call_method(
                    Some(service.name),
                    service.path,
                    Some(interface),
                    member,
                    arguments,
                );
                let error = match sent.await {
                    Ok(reply) => break reply,
                    Err(error) => error,
                };
                if let Some((name, text)) = answer(&error) {
                    return Err(judged(asked(), self.limit, service, &name, text.as_deref()));
                }
                self.forget(&connection).await;
                // A connection of earlier may have ended long ago; one that was just made says how it is.
                if fresh || !again {
                    return Err(BusError::Lost { asked: asked(), why: error.to_string() });
                }
                again = false;
            };
            read(&reply).map_err(|error| BusError::Refused {
                asked: asked(),
                service: service.name,
                said: format!("something else than was expected: {error}"),
            })
        };
        let slow = BusError::Slow { asked: asked(), limit: self.limit };
        timeout(self.limit, exchange).await.unwrap_or(Err(slow))
    }

    /// The connection, and whether it was just made.
    async fn connection(&self) -> Result<(Connection, bool), BusError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok((connection.clone(), false));
        }
        let made = connection::Builder::address(self.address.as_str()).build().await;
        let connection =
            made.map_err(|error| BusError::NoBus { address: self.address.clone(), why: error.to_string() })?;
        *kept = Some(connection.clone());
        Ok((connection, true))
    }

    /// Forgets a connection that broke, unless there is another one by now.
    async fn forget(&self, broken: &Connection) {
        let mut kept = self.connection.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.unique_name() == broken.unique_name()) {
            *kept = None;
        }
    }
}

fn read<R: for<'d> DynamicDeserialize<'d>>(reply: &Message) -> zbus::Result<R> {
    reply.body().deserialize()
}

/// Name and text of an error that somebody answered; nothing where nobody did.
fn answer(error: &zbus::Error) -> Option<(String, Option<String>)> {
    match error {
        zbus::Error::MethodError(name, text, _) => Some((name.as_str().to_owned(), text.clone())),
        zbus::Error::FDO(error) => {
            Some((error.name().as_str().to_owned(), error.description().map(str::to_owned)))
        }
        _ => None,
    }
}

/// What an error that somebody answered means.
fn judged(asked: String, limit: Duration, service: Service, name: &str, text: Option<&str>) -> BusError {
    let named = |names: &[&str]| {
        names.iter().any(|known| name == *known || known.ends_with('.') && name.starts_with(known))
    };
    let said = text.map_or_else(|| name.to_owned(), |text| format!("{name}: {text}"));
    if named(DENIED) {
        BusError::Denied { asked, said }
    } else if named(SLOW) {
        BusError::Slow { asked, limit }
    } else if named(NO_SERVICE) && service != UNITS {
        BusError::NoService { asked, service: service.name, said }
    } else {
        BusError::Refused { asked, service: service.name, said }
    }
}
