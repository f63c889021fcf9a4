//! Backup and restore, as the client asks for them.

use http_body_util::BodyExt;
use hyper::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::upload::STALL_MAX;
use super::{Client, ClientError, protocol, query_of, read, refusal};
use crate::{
    BACKUP_MEDIA_TYPE, BACKUP_SIZE_HEADER, BackupNew, PASSPHRASE_HEADER, RestoreQuery, Restored, Secret,
};

impl Client {
    /// Writes a backup to `sink` as it comes; returns how many bytes. `progress` is told how many have come, and how many
    /// about will have. What breaks off is an error: then `sink` has no backup.
    pub async fn back_up(
        &self,
        new: &BackupNew,
        sink: &mut (impl AsyncWrite + Unpin),
        mut progress: impl FnMut(u64, Option<u64>),
    ) -> Result<u64, ClientError> {
        let content = serde_json::to_vec(new).map_err(|error| protocol("write the request", &error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/backup")
            .header("content-type", "application/json");
        let stalled = || ClientError::Protocol(format!("nothing came for {} s", STALL_MAX.as_secs()));
        let opened = tokio::time::timeout(STALL_MAX, self.open(request, content.into())).await;
        let answer = opened.map_err(|_| stalled())??;
        let status = answer.status();
        if !status.is_success() {
            let (status, body) = read(answer).await?;
            return Err(refusal(status, &body));
        }
        let size = answer.headers().get(BACKUP_SIZE_HEADER).and_then(|size| size.to_str().ok()?.parse().ok());
        let mut body = answer.into_body();
        let mut come = 0;
        loop {
            let frame = tokio::time::timeout(STALL_MAX, body.frame()).await.map_err(|_| stalled())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| protocol("the backup broke off", &error))?;
            let Ok(piece) = frame.into_data() else { continue };
            sink.write_all(&piece).await.map_err(|error| protocol("write the backup", &error))?;
            come += piece.len() as u64;
            progress(come, size);
        }
        sink.flush().await.map_err(|error| protocol("write the backup", &error))?;
        Ok(come)
    }

    /// Restores the backup that `backup` gives, `size` bytes where that is known. The daemon starts again once it has
    /// answered. `progress` is told how many bytes were handed to it.
    pub async fn restore(
        &self,
        backup: impl AsyncRead + Send + Unpin + 'static,
        size: Option<u64>,
        passphrase: &Secret,
        query: &RestoreQuery,
        progress: impl FnMut(u64) + Send + Unpin + 'static,
    ) -> Result<Restored, ClientError> {
        let hex: String = passphrase.0.bytes().map(|byte| format!("{byte:02x}")).collect();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1/restore{}", query_of(query)))
            .header("content-type", BACKUP_MEDIA_TYPE)
            .header(PASSPHRASE_HEADER, hex);
        self.upload(request, backup, size, progress).await
    }
}
