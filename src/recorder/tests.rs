use super::*;
use crate::boot::Why;

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);

/// A machine's boot in virtual time.
struct Transcript {
    recorder: Recorder,
    now: Millis,
    records: Vec<Record>,
}

impl Transcript {
    fn new() -> Self {
        Self { recorder: Recorder::new(0), now: 1_000_000, records: Vec::new() }
    }

    fn see(mut self, client: ClientStage, kind: StageKind) -> Self {
        self.now += 100;
        let seen = Observation { at: self.now, mac: MAC, client, arch: Some("uefi-x64"), kind };
        self.records.extend(self.recorder.observe(seen, Some("m")));
        self
    }

    fn dhcp(self, client: ClientStage, message: &str, answer: Option<&str>, file: Option<&str>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.see(
            client,
            StageKind::Dhcp {
                message: message.into(),
                answer: owned(answer),
                address: None,
                file: owned(file),
                why: "test".into(),
            },
        )
    }

    fn firmware(self) -> Self {
        self.dhcp(ClientStage::Firmware, "DISCOVER", Some("OFFER"), Some("snponly.efi")).dhcp(
            ClientStage::Firmware,
            "REQUEST",
            Some("ACK"),
            Some("snponly.efi"),
        )
    }

    fn tftp(self, client: ClientStage, file: &str, bytes: u64, aborted: Option<&str>) -> Self {
        self.see(
            client,
            StageKind::Tftp {
                file: file.into(),
                bytes,
                size: 1000,
                duration_ms: 5,
                retries: 0,
                aborted: aborted.map(str::to_owned),
            },
        )
    }

    fn get(self, path: &str) -> Self {
        let kind = StageKind::Http {
            method: "GET".into(),
            path: path.into(),
            status: 200,
            bytes: 1,
            duration_ms: 1,
            plan: None,
        };
        self.see(ClientStage::Ipxe, kind)
    }

    fn discovery(self) -> Self {
        self.get("/ipxe/52-54-00-00-00-01").get("/artifacts/a/vmlinuz").get("/artifacts/b/initramfs")
    }

    fn inventory(self) -> Self {
        self.see(ClientStage::Agent, StageKind::Inventory { changes: None })
    }

    fn silence(mut self) -> Self {
        self.now += SILENCE_MAX;
        self.records.extend(self.recorder.expire(self.now));
        self
    }

    fn attempts(&self) -> i64 {
        self.recorder.last_id
    }

    fn ended(&self) -> Vec<(i64, AttemptOutcome, Option<String>)> {
        let ended = self.records.iter().filter_map(|record| match record {
            Record::Ended(attempt) => Some(attempt),
            _ => None,
        });
        ended
            .map(|attempt| (attempt.id, attempt.outcome, attempt.diagnosis.as_ref().map(|d| d.code.clone())))
            .collect()
    }

    #[track_caller]
    fn fails_with(self, code: &str) {
        assert_eq!(self.silence().ended(), [(1, AttemptOutcome::Failed, Some(code.to_owned()))]);
    }
}

#[test]
fn a_boot_through_ipxe_to_the_inventory_is_one_attempt() {
    let boot = Transcript::new()
        .firmware()
        .tftp(ClientStage::Firmware, "snponly.efi", 0, Some("client aborted: 8"))
        .tftp(ClientStage::Firmware, "snponly.efi", 1000, None)
        .tftp(ClientStage::Ipxe, "autoexec.ipxe", 1000, None)
        .dhcp(ClientStage::Ipxe, "DISCOVER", Some("OFFER"), Some("http://x"))
        .discovery()
        .dhcp(ClientStage::Agent, "DISCOVER", Some("OFFER"), None)
        .inventory();
    assert_eq!(boot.attempts(), 1);
    assert_eq!(boot.ended(), [(1, AttemptOutcome::Inventoried, None)]);
}

#[test]
fn the_next_power_on_is_the_next_attempt() {
    let boots = Transcript::new()
        .firmware()
        .tftp(ClientStage::Firmware, "snponly.efi", 1000, None)
        .discovery()
        .inventory()
        .firmware();
    assert_eq!(boots.attempts(), 2);
    let rom = Transcript::new()
        .dhcp(ClientStage::Ipxe, "DISCOVER", Some("OFFER"), Some("http://x"))
        .get("/ipxe/52-54-00-00-00-01")
        .dhcp(ClientStage::Ipxe, "DISCOVER", Some("OFFER"), Some("http://x"));
    assert_eq!(rom.attempts(), 2);
}

#[test]
fn local_boot_is_an_end() {
    let mut boot = Transcript::new().firmware().tftp(ClientStage::Firmware, "snponly.efi", 1000, None);
    boot.recorder.planned(MAC, &BootPlan::LocalBoot(Why::NotArmed));
    let boot = boot.get("/ipxe/52-54-00-00-00-01").silence();
    assert_eq!(boot.ended(), [(1, AttemptOutcome::LocalBoot, None)]);
}

#[test]
fn every_end_has_its_reason() {
    use ClientStage::*;
    let start = Transcript::new;
    start().dhcp(Firmware, "DISCOVER", None, None).fails_with("no_answer");
    start().dhcp(Firmware, "DISCOVER", Some("OFFER"), None).fails_with("refused");
    start().dhcp(Firmware, "DISCOVER", Some("OFFER"), Some("a")).fails_with("offer_not_taken");
    start().firmware().fails_with("boot_file_not_fetched");
    start().firmware().tftp(Firmware, "snponly.efi", 500, Some("timed out")).fails_with("transfer_broke");
    let loaded = || start().firmware().tftp(Firmware, "snponly.efi", 1000, None);
    loaded().fails_with("loader_did_not_start");
    loaded().tftp(Ipxe, "autoexec.ipxe", 1000, None).fails_with("script_not_fetched");
    loaded().get("/ipxe/a").fails_with("kernel_not_fetched");
    loaded().get("/ipxe/a").get("/artifacts/a/vmlinuz").fails_with("initramfs_not_fetched");
    loaded().discovery().fails_with("agent_silent");
    loaded().discovery().dhcp(Agent, "DISCOVER", Some("OFFER"), None).fails_with("inventory_missing");
}

#[test]
fn firmware_that_starts_over_after_its_loader_ends_the_attempt_with_the_reason() {
    let boots =
        Transcript::new().firmware().tftp(ClientStage::Firmware, "snponly.efi", 1000, None).firmware();
    let code = Some("loader_did_not_start".to_owned());
    assert_eq!(boots.ended(), [(1, AttemptOutcome::Failed, code)]);
}

#[test]
fn an_attempt_taken_for_dead_may_still_succeed() {
    let boot = Transcript::new().discovery().silence().inventory();
    let outcomes: Vec<AttemptOutcome> = boot.ended().iter().map(|(_, outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Failed, AttemptOutcome::Inventoried]);
}

#[test]
fn repeats_are_counted_and_not_recorded_anew() {
    let mut boot = Transcript::new();
    for _ in 0..5 {
        boot = boot.get("/ipxe/a");
    }
    assert_eq!(boot.records.iter().filter(|r| matches!(r, Record::Reached { .. })).count(), 1);
    let flushed = boot.recorder.flush();
    assert!(matches!(&flushed[..], [Record::Repeated { seq: 0, stage, .. }] if stage.repeats == 4));
    assert!(boot.recorder.flush().is_empty());
}

#[test]
fn stages_and_attempts_are_limited() {
    let mut boot = Transcript::new();
    for n in 0..STAGES_MAX + 10 {
        boot = boot.get(&format!("/artifacts/a/{n}"));
    }
    assert_eq!(
        boot.records.iter().filter(|r| matches!(r, Record::Reached { .. })).count(),
        STAGES_MAX as usize
    );
    let mut recorder = Recorder::new(0);
    for n in 0..RUNNING_MAX as u32 + 10 {
        let [a, b, c, d] = n.to_be_bytes();
        let kind = StageKind::Agent { message: "hello".into(), failed: false };
        let mac = MacAddr([2, 0, a, b, c, d]);
        let seen = Observation { at: n.into(), mac, client: ClientStage::Agent, arch: None, kind };
        recorder.observe(seen, None);
    }
    assert_eq!(recorder.running.len(), RUNNING_MAX);
    assert_eq!(recorder.by_last.len(), RUNNING_MAX);
}

#[test]
fn a_resumed_attempt_goes_on_where_it_was() {
    let boot =
        Transcript::new().firmware().tftp(ClientStage::Firmware, "snponly.efi", 1000, None).discovery();
    let mut attempt = boot.recorder.attempt(MAC).unwrap().clone();
    attempt.stages = boot
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Reached { stage, .. } => Some(stage.clone()),
            _ => None,
        })
        .collect();
    let mut resumed = Transcript { recorder: Recorder::new(1), now: boot.now, records: Vec::new() };
    resumed.recorder.resume(attempt);
    let resumed = resumed.inventory();
    assert_eq!(resumed.attempts(), 1);
    assert_eq!(resumed.ended(), [(1, AttemptOutcome::Inventoried, None)]);
}
