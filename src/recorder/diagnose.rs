//! Why an attempt failed, from how far it came.

use ironwake_api::Diagnosis;

use super::Reached;

/// The code of the diagnosis that suggests Secure Boot; the next attempt is offered shim.
pub const LOADER_DID_NOT_START: &str = "loader_did_not_start";

/// Names the reason. `trouble` is what a refusal, a broken transfer or the agent said.
pub fn diagnose(
    reached: Reached,
    arch: Option<&str>,
    loader: Option<&str>,
    trouble: Option<&str>,
) -> Diagnosis {
    let arch = arch.unwrap_or("an unnamed architecture");
    let loader = loader.unwrap_or("its boot file");
    let trouble = trouble.unwrap_or("no reason was given");
    let (code, message, remedy) = match reached {
        Reached::Nothing | Reached::Asked => (
            "no_answer",
            "the firmware asked by DHCP and was not answered".to_owned(),
            "see the stage for the reason; the network may be switched off in the configuration",
        ),
        Reached::Refused => (
            "refused",
            format!("the firmware ({arch}) got no boot file: {trouble}"),
            "switch the firmware to 64-bit UEFI or BIOS, or import a loader for it",
        ),
        Reached::Offered => (
            "offer_not_taken",
            format!("the firmware ({arch}) was offered a boot file and did not take it"),
            "some firmware never merges two offers: use dhcp = \"server\"; or another server answered first",
        ),
        Reached::Bound => (
            "boot_file_not_fetched",
            format!("the firmware ({arch}) knows its boot file and did not fetch it"),
            "a firewall may block UDP port 69 (or the HTTP port); run `ironwake doctor` on the server",
        ),
        Reached::LoaderBroken => (
            "transfer_broke",
            format!("the transfer of the boot file broke: {trouble}"),
            "look for packet loss, a wrong MTU or a firewall between the server and the machine",
        ),
        Reached::Loader => (
            LOADER_DID_NOT_START,
            format!("the firmware ({arch}) fetched {loader} whole and nothing ran"),
            "Secure Boot refuses unsigned loaders: the next attempt is offered the signed shim; \
             set the machine's secure_boot to \"on\" to keep that, or switch Secure Boot off",
        ),
        Reached::LoaderRuns => (
            "script_not_fetched",
            "the loader runs and did not fetch its script".to_owned(),
            "a firewall may block the HTTP port; the loader's screen shows its error",
        ),
        Reached::Script => (
            "kernel_not_fetched",
            "the script was fetched and its kernel was not".to_owned(),
            "the loader's screen shows its error; the machine may lack memory",
        ),
        Reached::Kernel => (
            "initramfs_not_fetched",
            "the kernel was fetched and the initramfs was not, or not whole".to_owned(),
            "the machine needs 512 MB of memory; look for packet loss",
        ),
        Reached::Initramfs => (
            "agent_silent",
            "kernel and initramfs were fetched and the agent was not heard".to_owned(),
            "the machine's screen or serial console shows why: no driver for its network card, or too little memory",
        ),
        Reached::Agent => (
            "inventory_missing",
            format!("the agent was heard and its inventory did not come in: {trouble}"),
            "the machine's screen or serial console shows what it waits for",
        ),
        Reached::Inventory => (
            "fell_silent",
            format!("the inventory is in and the machine fell silent: {trouble}"),
            "nothing to do, unless it was given an order",
        ),
    };
    Diagnosis { code: code.into(), message, remedy: remedy.into() }
}
