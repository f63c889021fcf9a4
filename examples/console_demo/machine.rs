//! One simulated machine: it says what firmware, agent and host say, through the routes that machines have.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use ironwake_api::{Claim, Work};
use serde_json::{Value, json};

use super::hardware::{MODELS, Model};
use super::wire::{self, Answer};

/// A machine that can boot, be written and call.
pub struct Machine {
    /// Its number, from 0.
    pub number: u32,
    /// Its id, once it has enrolled.
    pub id: String,
    /// What it is called.
    pub name: String,
    server: SocketAddr,
    mac: String,
    address: Ipv4Addr,
    model: &'static Model,
}

/// Work that was taken, and the token to report on it with.
pub struct Taken {
    /// What is to be done.
    pub claim: Claim,
    token: String,
}

impl Machine {
    /// One that nobody has seen.
    pub fn new(number: u32, name: String, server: SocketAddr) -> Self {
        let [_, high, middle, low] = number.to_be_bytes();
        let mac = format!("52:54:00:{high:02x}:{middle:02x}:{low:02x}");
        // Of loopback's 16 million addresses; .0 and .255 are as good as any there.
        let address = Ipv4Addr::new(127, 1, middle, low);
        // Racks hold one model each.
        let model = &MODELS[(number as usize / 40) % MODELS.len()];
        Self { number, id: String::new(), name, server, mac, address, model }
    }

    /// Its address, as its MAC address is written.
    pub fn mac(&self) -> &str {
        &self.mac
    }

    async fn send(&self, line: &str, bearer: Option<&str>, body: Option<Value>) -> Result<Answer> {
        wire::request(self.server, self.address, line, bearer, body.as_ref()).await
    }

    /// Reports its inventory from discovery.
    pub async fn enroll(&mut self) -> Result<()> {
        let inventory = self.model.inventory(self.number, &self.mac, &self.address.to_string());
        let body =
            json!({ "agent": env!("CARGO_PKG_VERSION"), "boot_mac": self.mac, "inventory": inventory });
        let answer = self.send("POST /boot/v1/enroll", None, Some(body)).await?.json()?;
        self.id = answer["machine"].as_str().context("an id")?.to_owned();
        Ok(())
    }

    /// Says a line about what its agent does.
    pub async fn says(&self, message: &str, failed: bool) -> Result<()> {
        let body = json!({ "boot_mac": self.mac, "message": message, "failed": failed });
        let line = format!("POST /boot/v1/machines/{}/report", self.id);
        let answer = self.send(&line, None, Some(body)).await?;
        if answer.status >= 300 { bail!("{line}: {}", answer.text()) } else { Ok(()) }
    }

    /// Asks for the script of its boot, as iPXE does.
    pub async fn script(&self) -> Result<String> {
        let answer = self.send(&format!("GET /ipxe/{}", self.mac.replace(':', "-")), None, None).await?;
        if answer.status != 200 { bail!("/ipxe: {}", answer.text()) } else { Ok(answer.text()) }
    }

    /// Boots what it is armed for, and takes the work; `None` where nothing is armed.
    pub async fn take_work(&self) -> Result<Option<Taken>> {
        let script = self.script().await?;
        let word = |fits: &dyn Fn(&str) -> bool| script.split_whitespace().find(|word| fits(word));
        let token = word(&|word| word.starts_with("ironwake.operation="));
        let kernel = word(&|word| word.contains("/operations/") && word.ends_with("/vmlinuz"));
        let (Some(token), Some(kernel)) = (token, kernel) else { return Ok(None) };
        let path = &kernel[kernel.find("/boot/v1").context("a path")?..];
        let served = self.send(&format!("GET {path}"), None, None).await?;
        if served.status != 200 {
            bail!("the kernel: {}", served.text());
        }
        let token = token.trim_start_matches("ironwake.operation=").to_owned();
        let body = json!({ "machine": self.id, "boot_mac": self.mac });
        let claimed = self.send("POST /boot/v1/operations/claim", Some(&token), Some(body)).await?;
        Ok(Some(Taken { claim: serde_json::from_value(claimed.json()?)?, token }))
    }

    /// Reports on work.
    pub async fn report(&self, taken: &Taken, report: Value) -> Result<()> {
        let line = format!("POST /boot/v1/operations/{}/report", taken.claim.operation);
        let answer = self.send(&line, Some(&taken.token), Some(report)).await?;
        if answer.status >= 300 { bail!("{line}: {}", answer.text()) } else { Ok(()) }
    }

    /// Says that so much is written.
    pub async fn progress(&self, taken: &Taken, done_bytes: u64, total_bytes: u64, rate: u64) -> Result<()> {
        let disk = self.disk();
        let body = json!({
            "report": "progress", "done_bytes": done_bytes, "total_bytes": total_bytes, "bytes_per_sec": rate,
            "what": format!("writing {}", disk["name"].as_str().unwrap_or_default()),
        });
        self.report(taken, body).await
    }

    /// Ends the writing well; then the host calls home for the first time, with the token that was written to its disk.
    pub async fn installed(&self, taken: &Taken) -> Result<()> {
        self.report(taken, json!({ "report": "disks", "disks": [self.disk()] })).await?;
        self.report(taken, json!({ "report": "done" })).await?;
        let Work::Image(work) = &taken.claim.work else { return Ok(()) };
        let home = work.files.first().map(|file| file.content.trim()).context("a file of the profile")?;
        let path = &home[home.find("/boot/v1").context("a URL")?..];
        let body = json!({
            "hostname": self.name, "os": "Debian GNU/Linux 13 (trixie)", "kernel": "6.12.41+deb13-amd64",
            "addresses": [self.address], "uptime_secs": 34, "boot_id": format!("{:032x}", self.number),
            "macs": [self.mac],
        });
        let answer = self.send(&format!("POST {path}"), None, Some(body)).await?;
        if answer.status >= 300 { bail!("phone home: {}", answer.text()) } else { Ok(()) }
    }

    /// The disk that is written.
    fn disk(&self) -> Value {
        self.model.disks(self.number).swap_remove(0)
    }

    /// The rule that names it.
    pub fn disk_rule(&self) -> String {
        format!("serial={}", self.disk()["serial"].as_str().unwrap_or_default())
    }
}
