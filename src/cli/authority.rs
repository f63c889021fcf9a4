//! `ironwake ca`: the authority that clients check the API's certificate by.

use super::{Context, Failure, human};

/// Commands below `ca`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print its certificate, as PEM, and its fingerprint
    Show,
}

pub async fn show(context: &mut Context) -> Result<(), Failure> {
    let authority = context.client.authority().await?;
    if context.json {
        return Ok(context.output.json(&authority)?);
    }
    // Lines before the certificate are comments in PEM: the output as a whole is a file for clients.
    context.output.line(format!("SHA-256 {}", authority.fingerprint))?;
    context.output.line(format!("good until {} UTC", human::time(authority.expires_at)))?;
    Ok(context.output.raw(authority.certificate.as_bytes())?)
}
