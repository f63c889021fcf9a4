//! What was measured, as a table and as JSON.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use super::ours;

/// What a figure should reach.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// None is set.
    None,
    /// So many times the best of these peers.
    Ratio {
        /// Which peers.
        peers: &'static [&'static str],
        /// How many times.
        at_least: f64,
    },
    /// No more than this, in the figure's unit.
    AtMost(f64),
}

/// All figures of a run.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
    failures: Vec<String>,
    /// The machine's load average of one minute before the first run.
    load_before: f64,
}

/// With more than this, something else takes part in every figure.
const LOAD_QUIET: f64 = 0.5;

#[derive(Debug)]
struct Figure {
    part: &'static str,
    what: &'static str,
    unit: &'static str,
    goal: Goal,
    samples: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    /// An empty report of a machine with this load average.
    pub fn new(load_before: f64) -> Self {
        Self { load_before, ..Self::default() }
    }

    /// Adds one sample of one contender; samples of the same figure are reported as their median.
    pub fn add(
        &mut self,
        part: &'static str,
        what: &'static str,
        unit: &'static str,
        goal: Goal,
        contender: &'static str,
        value: f64,
    ) {
        eprintln!("{part}: {what}: {contender}: {value:.3} {unit}");
        let figure = match self.figures.iter().position(|figure| figure.part == part && figure.what == what) {
            Some(found) => &mut self.figures[found],
            None => {
                self.figures.push(Figure { part, what, unit, goal, samples: Vec::new() });
                self.figures.last_mut().expect("a figure was just added")
            }
        };
        match figure.samples.iter_mut().find(|(name, _)| *name == contender) {
            Some((_, values)) => values.push(value),
            None => figure.samples.push((contender, vec![value])),
        }
    }

    /// Keeps a result, or the reason why there is none.
    pub fn keep<T>(&mut self, part: &str, contender: &str, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.failures.push(format!("{part}: {contender}: {error:#}"))).ok()
    }

    /// What could not be measured, and why.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Everything, with all samples.
    pub fn json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        json!({ "load_before": self.load_before, "figures": figures, "failures": self.failures })
    }
}

impl Figure {
    fn median_of(&self, contender: &str) -> Option<f64> {
        self.samples.iter().find(|(name, _)| *name == contender).map(|(_, values)| median(values))
    }

    /// The figure against its goal's measure: a ratio to the best peer, or the figure itself.
    fn standing(&self) -> Option<(f64, bool)> {
        let mine = self.median_of(ours::NAME)?;
        match self.goal {
            Goal::None => None,
            Goal::AtMost(most) => Some((mine, mine <= most)),
            Goal::Ratio { peers, at_least } => {
                let best = peers.iter().filter_map(|peer| self.median_of(peer)).reduce(f64::max)?;
                let ratio = mine / best;
                Some((ratio, ratio >= at_least))
            }
        }
    }

    fn goal_text(&self) -> String {
        match self.goal {
            Goal::None => String::new(),
            Goal::AtMost(most) => format!("≤ {most} {}", self.unit),
            Goal::Ratio { peers: [one], at_least } => format!("≥ {at_least} × {one}"),
            Goal::Ratio { at_least, .. } => format!("≥ {at_least} × best"),
        }
    }

    fn json(&self) -> Value {
        let servers: serde_json::Map<String, Value> = self
            .samples
            .iter()
            .map(|(name, values)| (name.to_string(), json!({ "median": median(values), "samples": values })))
            .collect();
        let standing = self.standing();
        json!({
            "part": self.part,
            "what": self.what,
            "unit": self.unit,
            "servers": servers,
            "goal": if matches!(self.goal, Goal::None) { Value::Null } else { json!(self.goal_text()) },
            "standing": standing.map(|(value, _)| value),
            "met": standing.map(|(_, met)| met),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.load_before > LOAD_QUIET {
            writeln!(
                f,
                "The machine was not quiet (load {}): do not quote these figures.",
                self.load_before
            )?;
        }
        let mut part = "";
        for figure in &self.figures {
            if figure.part != part {
                part = figure.part;
                writeln!(f, "{part}")?;
            }
            let mut servers = String::new();
            for (name, values) in &figure.samples {
                servers += &format!("  {name} {}", number(median(values)));
            }
            let title = format!("{} ({})", figure.what, figure.unit);
            write!(f, "  {title:<40}{servers}")?;
            match (figure.goal, figure.standing()) {
                (Goal::Ratio { .. }, Some((ratio, met))) => {
                    writeln!(f, "  | {ratio:.2}, goal {}: {}", figure.goal_text(), verdict(met))?;
                }
                (_, Some((_, met))) => writeln!(f, "  | goal {}: {}", figure.goal_text(), verdict(met))?,
                (_, None) => writeln!(f)?,
            }
        }
        for failure in &self.failures {
            writeln!(f, "not measured: {failure}")?;
        }
        Ok(())
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Three significant digits are all that such figures hold.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
