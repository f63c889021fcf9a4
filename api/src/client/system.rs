//! The appliance's own system, as the client asks for it.

use hyper::Method;

use super::{Client, ClientError, encode};
use crate::{NetworkChange, NetworkConfirm, OwnAddress, OwnSystem, SystemChoices, SystemPatch};

impl Client {
    /// What the appliance is, and what of it can be changed.
    pub async fn system(&self) -> Result<OwnSystem, ClientError> {
        self.get("/system").await
    }

    /// Time zones and keyboards that can be set.
    pub async fn system_choices(&self) -> Result<SystemChoices, ClientError> {
        self.get("/system/choices").await
    }

    /// Changes the appliance's system.
    pub async fn change_system(&self, patch: &SystemPatch) -> Result<OwnSystem, ClientError> {
        self.send(Method::PATCH, "/system", Some(patch)).await
    }

    /// Restarts the appliance.
    pub async fn reboot_system(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/system/reboot", None::<&()>).await.map(drop)
    }

    /// Switches the appliance off.
    pub async fn power_off_system(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/system/power-off", None::<&()>).await.map(drop)
    }

    /// Starts a unit of the appliance again.
    pub async fn restart_unit(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/system/units/{}/restart", encode(name));
        self.call(Method::POST, &path, None::<&()>).await.map(drop)
    }

    /// Gives an interface of the appliance another address, which has to be confirmed.
    pub async fn change_network(
        &self,
        interface: &str,
        address: &OwnAddress,
    ) -> Result<NetworkChange, ClientError> {
        self.send(Method::PUT, &format!("/system/network/{}", encode(interface)), Some(address)).await
    }

    /// Keeps the address that was given last.
    pub async fn confirm_network(&self, confirm: &NetworkConfirm) -> Result<(), ClientError> {
        self.call(Method::POST, "/system/network/confirm", Some(confirm)).await.map(drop)
    }
}
