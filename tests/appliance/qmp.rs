//! QEMU's own protocol: what a person does at the machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::LabError;

/// QEMU answers at once, but for a host that is loaded.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long a key is held, in milliseconds.
const HELD_MS: u64 = 40;

/// A connection, past its greeting.
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Over the connection of a QEMU.
    pub fn over(writer: UnixStream) -> Result<Self, LabError> {
        let failed = |source| LabError::io("talk to QEMU")(source);
        writer.set_read_timeout(Some(ANSWER_MAX)).map_err(failed)?;
        let mut qmp = Self { reader: BufReader::new(writer.try_clone().map_err(failed)?), writer };
        qmp.read()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Gives a command and waits for its answer; events that come in between are nothing to us.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, LabError> {
        let text = json!({ "execute": command, "arguments": arguments });
        writeln!(self.writer, "{text}").map_err(LabError::io(format!("tell QEMU {command}")))?;
        loop {
            let mut answer = self.read()?;
            if answer.get("error").is_some() {
                return Err(LabError::Unexpected {
                    what: format!("QEMU refuses {command}"),
                    text: answer.to_string(),
                });
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Presses keys together and lets them go, by their names in QEMU (`QKeyCode`).
    pub fn press(&mut self, keys: &[&str]) -> Result<(), LabError> {
        let keys: Vec<Value> = keys.iter().map(|key| json!({ "type": "qcode", "data": key })).collect();
        self.execute("send-key", json!({ "keys": keys, "hold-time": HELD_MS })).map(drop)
    }

    fn read(&mut self) -> Result<Value, LabError> {
        let mut line = String::new();
        self.reader.read_line(&mut line).map_err(LabError::io("hear what QEMU says"))?;
        serde_json::from_str(&line).map_err(|error| LabError::Unexpected {
            what: format!("QEMU says no JSON ({error})"),
            text: line,
        })
    }
}
