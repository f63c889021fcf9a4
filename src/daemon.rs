//! The wiring: settings in, a running appliance out.

/// Serves until told to end.
pub async fn run(config: crate::config::Config) -> anyhow::Result<()> {
    anyhow::bail!("nothing serves the {} networks of the configuration in this build", config.networks.len())
}
