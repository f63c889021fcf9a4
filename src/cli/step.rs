//! Steps of an operation, with what they wrote.

use std::io;

use ironwake_api::{Millis, StepResult, StepState};

use super::human;
use super::output::{Output, Style, clean};

/// Each step with its output.
pub fn write(steps: &[StepResult], now: Millis, output: &mut Output) -> io::Result<()> {
    for step in steps {
        let style = match step.state {
            StepState::Done => Style::Good,
            StepState::Failed => Style::Bad,
            StepState::Waiting | StepState::Running => Style::Warning,
        };
        let line = output.styled(&summary(step, now), style);
        output.line(line)?;
        if step.output_cut_bytes > 0 {
            output.line(format!("    … {} before this are not kept", human::size(step.output_cut_bytes)))?;
        }
        for line in step.output.lines() {
            output.line(format!("    {}", clean(&line.replace('\t', "        "))))?;
        }
    }
    Ok(())
}

fn summary(step: &StepResult, now: Millis) -> String {
    let took = human::duration(step.ended_at.unwrap_or(now).saturating_sub(step.started_at));
    let tries = if step.tries > 1 { format!(", try {}", step.tries) } else { String::new() };
    let code = step.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let why = step.problem.as_ref().map(|problem| format!(": {}", clean(problem))).unwrap_or_default();
    format!("  step     {} {}{code}, {took}{tries}{why}", clean(&step.name), step.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_how_it_went() {
        let step = StepResult {
            name: "join".into(),
            state: StepState::Failed,
            tries: 3,
            started_at: 1000,
            ended_at: Some(3000),
            exit_code: Some(7),
            problem: Some("ended with exit code 7, and 0 was expected".into()),
            output: String::new(),
            output_cut_bytes: 0,
        };
        let expected =
            "  step     join failed, exit code 7, 2.0 s, try 3: ended with exit code 7, and 0 was expected";
        assert_eq!(summary(&step, 0), expected);
    }
}
