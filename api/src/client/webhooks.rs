//! Webhooks, as the client asks for them.

use hyper::Method;

use super::{Client, ClientError};
use crate::{Webhook, WebhookDelivery};

impl Client {
    /// Where events are sent.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, ClientError> {
        self.get("/webhooks").await
    }

    /// The last tries to send to one, newest first.
    pub async fn webhook_deliveries(&self, name: &str) -> Result<Vec<WebhookDelivery>, ClientError> {
        self.get(&format!("/webhooks/{}/deliveries", super::encode(name))).await
    }

    /// Sends an event to one, once; how that went.
    pub async fn test_webhook(&self, name: &str) -> Result<WebhookDelivery, ClientError> {
        let path = format!("/webhooks/{}/test", super::encode(name));
        self.send(Method::POST, &path, None::<&()>).await
    }
}
