//! `ironwake webhook`: events that are sent to others.

use ironwake_api::{DeliveryOutcome, WebhookDelivery};

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// Commands below `webhook`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List webhooks of the configuration
    List,
    /// Show the last tries to send to one, newest first
    Deliveries {
        /// Name of the webhook
        name: String,
    },
    /// Send an event to one, once
    Test {
        /// Name of the webhook
        name: String,
    },
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List => list(context).await,
        Command::Deliveries { name } => deliveries(&name, context).await,
        Command::Test { name } => test(&name, context).await,
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let webhooks = context.client.webhooks().await?;
    if context.json {
        return Ok(context.output.json(&webhooks)?);
    }
    let mut table = Table::new(&["NAME", "TARGET", "EVENTS", "SIGNED", "BEHIND", "LAST"]);
    for webhook in &webhooks {
        let plain = |text: String| (text, Style::Plain);
        let events = if webhook.events.is_empty() { "all".into() } else { webhook.events.join(",") };
        let last = webhook.last.as_ref().map_or(plain(String::new()), outcome);
        table.row([
            plain(webhook.name.clone()),
            plain(webhook.target.clone()),
            plain(events),
            plain(if webhook.signed { "yes" } else { "no" }.into()),
            plain(webhook.behind.to_string()),
            last,
        ]);
    }
    Ok(table.write(&mut context.output, "no webhooks: [[webhook]] in the configuration")?)
}

async fn deliveries(name: &str, context: &mut Context) -> Result<(), Failure> {
    let deliveries = context.client.webhook_deliveries(name).await?;
    if context.json {
        return Ok(context.output.json(&deliveries)?);
    }
    let mut table = Table::new(&["TIME", "EVENT", "KIND", "TRY", "TOOK", "OUTCOME"]);
    for delivery in &deliveries {
        let plain = |text: String| (text, Style::Plain);
        table.row([
            plain(human::time(delivery.at)),
            plain(delivery.event.to_string()),
            plain(delivery.kind.clone()),
            plain(delivery.try_number.to_string()),
            plain(human::duration(delivery.took_ms)),
            outcome(delivery),
        ]);
    }
    Ok(table.write(&mut context.output, "nothing was sent yet")?)
}

async fn test(name: &str, context: &mut Context) -> Result<(), Failure> {
    let delivery = context.client.test_webhook(name).await?;
    if context.json {
        context.output.json(&delivery)?;
    } else {
        let (text, style) = outcome(&delivery);
        let line = context.output.styled(&text, style);
        context.output.line(line)?;
    }
    match delivery.problem {
        None => Ok(()),
        Some(problem) => Err(anyhow::anyhow!("webhook {name}: {problem}").into()),
    }
}

fn outcome(delivery: &WebhookDelivery) -> (String, Style) {
    let why = || clean(delivery.problem.as_deref().unwrap_or_default());
    match delivery.outcome {
        DeliveryOutcome::Delivered => {
            (format!("delivered, {}", delivery.status.unwrap_or_default()), Style::Good)
        }
        DeliveryOutcome::Retried => (format!("to be sent again: {}", why()), Style::Warning),
        DeliveryOutcome::GivenUp => (format!("given up: {}", why()), Style::Bad),
    }
}
