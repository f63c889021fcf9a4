//! Which machines a command is about: one, several, or those that meet conditions.

use ironwake_api::{BulkAction, BulkAnswer, BulkRequest, MachineQuery, Selection};

use super::output::{Style, clean};
use super::{Context, Failure};

/// The machines that a command is about.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "selection", required = true, multiple = true,
    args = ["machines", "tagged", "manufacturer", "product", "matching"])]
pub struct Selected {
    /// Machines, each by id, its beginning, name, MAC, UUID or serial
    #[arg(value_name = "MACHINE", conflicts_with_all = ["tagged", "manufacturer", "product", "matching"])]
    machines: Vec<String>,
    /// Instead: the machines with this tag; may be repeated
    #[arg(long, value_name = "TAG", help_heading = "Which machines")]
    tagged: Vec<String>,
    /// Instead: the machines of this manufacturer
    #[arg(long, value_name = "TEXT", help_heading = "Which machines")]
    manufacturer: Option<String>,
    /// Instead: the machines of this product
    #[arg(long, value_name = "TEXT", help_heading = "Which machines")]
    product: Option<String>,
    /// Instead: the machines with this text in name, serial, UUID, manufacturer, product, MAC, tags or notes
    #[arg(long, value_name = "TEXT", help_heading = "Which machines")]
    matching: Option<String>,
}

impl Selected {
    /// The machine, where it is one that was named.
    pub fn only(&self) -> Option<&str> {
        match &self.machines[..] {
            [machine] => Some(machine),
            _ => None,
        }
    }

    /// The key of each, and what to call it; fails where none is selected.
    pub async fn keys(self, context: &Context) -> Result<Vec<(String, String)>, Failure> {
        if !self.machines.is_empty() {
            return Ok(self.machines.into_iter().map(|key| (key.clone(), key)).collect());
        }
        let query = MachineQuery {
            tag: self.tagged.first().cloned(),
            manufacturer: self.manufacturer,
            product: self.product,
            search: self.matching,
            ..MachineQuery::default()
        };
        let mut machines = context.client.machines_all(&query).await?;
        machines.retain(|machine| self.tagged.iter().all(|tag| machine.tags.contains(tag)));
        match machines.is_empty() {
            true => Err(anyhow::anyhow!("no machine meets these conditions").into()),
            false => Ok(machines.iter().map(|machine| (machine.id.clone(), machine.called())).collect()),
        }
    }

    /// Does the same with each; fails where none is selected.
    pub async fn bulk(self, action: BulkAction, context: &Context) -> Result<BulkAnswer, Failure> {
        let machines = Selection {
            keys: self.machines,
            tags: self.tagged,
            manufacturer: self.manufacturer,
            product: self.product,
            search: self.matching,
        };
        let answer = context.client.bulk(&BulkRequest { machines, action }).await?;
        match answer.results.is_empty() {
            true => Err(anyhow::anyhow!("no machine meets these conditions: nothing was done").into()),
            false => Ok(answer),
        }
    }
}

/// Shows what became of each machine; fails where one was refused.
pub fn show(what: &str, answer: &BulkAnswer, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        context.output.json(answer)?;
        return outcome(answer);
    }
    for result in &answer.results {
        let machine = clean(&result.called);
        match &result.problem {
            None => context.output.line(format!("{what} {machine}"))?,
            Some(problem) => {
                let line = format!("refused {machine}: {}", clean(&problem.detail));
                let line = context.output.styled(&line, Style::Bad);
                context.output.line(line)?;
            }
        }
    }
    outcome(answer)
}

/// Success, unless a machine was refused.
pub fn outcome(answer: &BulkAnswer) -> Result<(), Failure> {
    let BulkAnswer { done, refused, .. } = answer;
    match refused {
        0 => Ok(()),
        _ => Err(anyhow::anyhow!("{refused} of {} machines were refused", done + refused).into()),
    }
}
