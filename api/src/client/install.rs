//! The appliance on another disk, and factory reset, as the client asks for them.

use hyper::Method;

use super::{Client, ClientError};
use crate::{ApplianceDisks, FactoryReset, InstallNew, InstallState};

impl Client {
    /// The appliance's own disks.
    pub async fn appliance_disks(&self) -> Result<ApplianceDisks, ClientError> {
        self.get("/appliance/disks").await
    }

    /// How far the installation on a disk is.
    pub async fn appliance_install_state(&self) -> Result<InstallState, ClientError> {
        self.get("/appliance/install").await
    }

    /// Has the appliance installed on a disk, whose contents are destroyed.
    pub async fn install_appliance(&self, new: &InstallNew) -> Result<InstallState, ClientError> {
        self.send(Method::POST, "/appliance/install", Some(new)).await
    }

    /// Has everything of this appliance destroyed that is not of its version.
    pub async fn factory_reset(&self, reset: &FactoryReset) -> Result<(), ClientError> {
        self.call(Method::POST, "/appliance/factory-reset", Some(reset)).await.map(drop)
    }
}
