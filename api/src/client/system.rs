//! The appliance's own system, as the client asks for it.

use hyper::{Method, Request};
use tokio::io::AsyncRead;

use super::{Client, ClientError, encode, query_of};
use crate::{
    ApplianceStatus, NetworkChange, NetworkConfirm, OwnAddress, OwnSystem, SelfTest, SystemChoices,
    SystemPatch, Update, UpdateQuery, UpdateRequest,
};

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

    /// What the appliance is: its version, its disk and its slots.
    pub async fn appliance(&self) -> Result<ApplianceStatus, ClientError> {
        self.get("/appliance").await
    }

    /// Whether a machine that boots would be answered.
    pub async fn self_test(&self) -> Result<SelfTest, ClientError> {
        self.send(Method::POST, "/appliance/self-test", None::<&()>).await
    }

    /// How updates stand.
    pub async fn update(&self) -> Result<Update, ClientError> {
        self.get("/update").await
    }

    /// Asks the channel for its newest version.
    pub async fn check_update(&self) -> Result<Update, ClientError> {
        self.send(Method::POST, "/update/check", None::<&()>).await
    }

    /// Begins to install a version.
    pub async fn begin_update(&self, request: &UpdateRequest) -> Result<Update, ClientError> {
        self.send(Method::POST, "/update", Some(request)).await
    }

    /// Sends a bundle, of `size` bytes where that is known, and begins to install it. `progress` is told how much of it is sent.
    pub async fn upload_update(
        &self,
        bundle: impl AsyncRead + Send + Unpin + 'static,
        size: Option<u64>,
        query: &UpdateQuery,
        progress: impl FnMut(u64) + Send + Unpin + 'static,
    ) -> Result<Update, ClientError> {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/api/v1/update{}", query_of(query)))
            .header("content-type", "application/octet-stream");
        self.upload(request, bundle, size, progress).await
    }

    /// Keeps the address that was given last.
    pub async fn confirm_network(&self, confirm: &NetworkConfirm) -> Result<(), ClientError> {
        self.call(Method::POST, "/system/network/confirm", Some(confirm)).await.map(drop)
    }
}
