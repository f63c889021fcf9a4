//! Steps: what an operation does on a host once it has phoned home.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Millis;

/// How a step of an operation went, or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepResult {
    /// Its name in the profile.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// How often it was begun.
    pub tries: u32,
    /// When it was begun last.
    pub started_at: Millis,
    /// When that try ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// What the last try ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
    /// Why it is not done, in a sentence without a full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the last try wrote to its output and its errors, as they came; `***` stands for each secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// Bytes before that which are not kept.
    #[serde(default)]
    pub output_cut_bytes: u64,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// The host is being reached.
    Waiting,
    /// It runs.
    Running,
    /// It ended as it should.
    Done,
    /// It did not.
    Failed,
}

impl StepState {
    /// The name in JSON and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
