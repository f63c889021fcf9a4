//! Boot plans as text: iPXE scripts and `grub.cfg`. Chooses nothing.
//!
//! iPXE and GRUB expand `${…}` in what they are served: nothing that a machine says of itself gets into a
//! script but its MAC address, and kernel parameters come from the configuration alone.

use std::fmt;
use std::net::SocketAddrV4;

use ironwake_api::MacAddr;

use crate::boot::BootPlan;

/// Where the discovery image is, and how it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveryImage {
    /// Where its files are.
    pub files: DiscoveryFiles,
    /// Further kernel parameters.
    pub parameters: String,
    /// After this many seconds without an order the agent reboots.
    pub idle_secs: u64,
}

/// URL paths of the files of a discovery image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveryFiles {
    /// The kernel.
    pub kernel: String,
    /// The initramfs.
    pub initramfs: String,
    /// What only a rebuild needs, behind the initramfs.
    pub installing: String,
    /// What a shell needs, behind both; without it there is no shell.
    pub rescue: Option<String>,
}

/// What a script needs beside its plan.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Where the machine reaches the HTTP server.
    pub http: SocketAddrV4,
    /// The address that boots.
    pub mac: MacAddr,
    /// The discovery image.
    pub discovery: &'a DiscoveryImage,
    /// What an armed boot carries beside it.
    pub armed: Option<&'a ArmedBoot>,
}

/// What the boot of an armed machine carries.
#[derive(Clone, PartialEq, Eq)]
pub enum ArmedBoot {
    /// The discovery image, whose agent takes up the work.
    Agent {
        /// URL path of the kernel, which may be fetched once.
        kernel: String,
        /// Archives behind the initramfs, each with the URL path of its bytes.
        behind: Vec<(&'static str, String)>,
        /// What the agent takes up its work with.
        token: String,
    },
    /// What a profile starts.
    Profile {
        /// URL path of the kernel, which may be fetched once.
        kernel: String,
        /// URL paths of what is loaded beside it, in order.
        initrds: Vec<String>,
        /// The profile's command line; it may hold tokens.
        command_line: String,
    },
}

impl ArmedBoot {
    /// The same without its tokens.
    pub fn masked(self) -> Self {
        let kernel = "/boot/v1/operations/***/vmlinuz".to_owned();
        match self {
            Self::Agent { behind, .. } => Self::Agent { kernel, behind, token: "***".into() },
            Self::Profile { initrds, command_line, .. } => {
                Self::Profile { kernel, initrds, command_line: mask_tokens(&command_line) }
            }
        }
    }
}

/// Every run of hexadecimal digits that is as long as a token.
fn mask_tokens(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        masked.push_str(if digits >= TOKEN_DIGITS { "***" } else { &rest[..digits] });
        rest = &rest[digits..];
        let others = rest.find(|c: char| c.is_ascii_hexdigit()).unwrap_or(rest.len());
        masked.push_str(&rest[..others]);
        rest = &rest[others..];
    }
    masked
}

impl fmt::Debug for ArmedBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArmedBoot(***)")
    }
}

/// Hexadecimal digits of a token.
const TOKEN_DIGITS: usize = 64;
/// What a script that failed tries before the disk: a production server must come back by itself.
const TRIES_MAX: u32 = 3;
/// Boots the first disk. A plain `exit` lands some firmware in its setup.
const LOCAL_DISK: &str = ":disk\nsanboot --no-describe --drive 0x80 || exit 1\n";
/// Looks for the disk's own loader, for `exit` leaves the order to the firmware, which may well begin with
/// the network again. The disk becomes `root`: GRUB tells what it starts that it came from there, wherever the file
/// is, and the disk's shim looks for its second stage there.
const LOCAL_DISK_GRUB: &str = "if search --no-floppy --file --set=root /EFI/BOOT/BOOTX64.EFI; then\n\
    \x20 chainloader /EFI/BOOT/BOOTX64.EFI\n\
    \x20 boot\n\
    fi\n\
    exit 1\n";

/// A kernel, and what is loaded beside it.
struct Boot {
    /// URL path.
    kernel: String,
    parameters: String,
    /// Names, which the kernel's parameters have too, and URL paths.
    initrds: Vec<(String, String)>,
}

/// What a plan that boots anything over the network boots.
fn boot(plan: &BootPlan, context: Context<'_>) -> Boot {
    let armed = context.armed.filter(|_| matches!(plan, BootPlan::Armed(_)));
    if let Some(ArmedBoot::Profile { kernel, initrds, command_line }) = armed {
        let initrds: Vec<_> =
            initrds.iter().enumerate().map(|(n, path)| (format!("initrd{n}"), path.clone())).collect();
        let parameters = format!("{}{command_line}", initrd_parameters(&initrds));
        return Boot { kernel: kernel.clone(), parameters, initrds };
    }
    let Context { http, mac, discovery, .. } = context;
    let mut kernel = &discovery.files.kernel;
    let mut initrds = vec![("initramfs".to_owned(), discovery.files.initramfs.clone())];
    let mut operation = String::new();
    if let Some(ArmedBoot::Agent { kernel: once, behind, token }) = armed {
        kernel = once;
        initrds.extend(behind.iter().map(|(name, path)| ((*name).to_owned(), path.clone())));
        operation = format!(" ironwake.operation={token}");
    }
    let mut parameters = format!(
        "{}console=ttyS0,115200 console=tty0 quiet loglevel=3 panic=30 \
         ironwake.url=http://{http} ironwake.idle_secs={} BOOTIF=01-{}{operation}",
        initrd_parameters(&initrds),
        discovery.idle_secs,
        mac.dashed(),
    );
    if !discovery.parameters.is_empty() {
        parameters.push(' ');
        parameters.push_str(&discovery.parameters);
    }
    Boot { kernel: kernel.clone(), parameters, initrds }
}

/// Kernels that are started as UEFI programs look for their archives by these names; others do not mind them.
fn initrd_parameters(initrds: &[(String, String)]) -> String {
    initrds.iter().map(|(name, _)| format!("initrd={name} ")).collect()
}

/// The iPXE script of a plan.
///
/// `imgfree` comes first: a script that came as `autoexec.ipxe` stays loaded and would be glued
/// before the initramfs.
pub fn ipxe(plan: &BootPlan, context: Context<'_>) -> String {
    let why = plan.why();
    match plan {
        BootPlan::LocalBoot(_) => {
            format!("#!ipxe\necho Ironwake: {why}: booting the local disk\n{LOCAL_DISK}")
        }
        BootPlan::Discovery(_) | BootPlan::Armed(_) => {
            let (http, name) = (context.http, plan.name());
            let Boot { kernel, parameters, initrds } = boot(plan, context);
            let initrds: String = initrds
                .iter()
                .map(|(name, path)| format!("initrd --name {name} http://{http}{path} || goto failed\n"))
                .collect();
            format!(
                "#!ipxe\n\
                 echo Ironwake: {why}: {name}\n\
                 imgfree\n\
                 kernel --name vmlinuz http://{http}{kernel} {parameters} || goto failed\n\
                 {initrds}\
                 boot || goto failed\n\
                 :failed\n\
                 inc tries\n\
                 iseq ${{tries}} {TRIES_MAX} && goto disk ||\n\
                 echo Ironwake: {name} could not be started, trying again in 10 seconds\n\
                 sleep 10\n\
                 chain --replace http://{http}/ipxe/{mac} ||\n\
                 {LOCAL_DISK}",
                mac = context.mac.dashed(),
            )
        }
    }
}

/// The script that is right for every machine: iPXE names the machine and asks for its own script.
///
/// `isset` before `ifconf`: iPXE that was started over the network may already have its address, and
/// a second DHCP run costs seconds. The open interface is closed in some builds, hence `ifconf`.
pub fn ipxe_bootstrap(http: SocketAddrV4) -> String {
    format!(
        "#!ipxe\n\
         isset ${{netX/ip}} || ifconf -c dhcp || dhcp || goto failed\n\
         chain --replace http://{http}/ipxe/${{netX/mac:hexhyp}}?uuid=${{uuid}}&serial=${{serial:uristring}}\
         &asset=${{asset:uristring}}&arch=${{buildarch}}&platform=${{platform}} || goto failed\n\
         :failed\n\
         inc tries\n\
         iseq ${{tries}} {TRIES_MAX} && goto disk ||\n\
         echo Ironwake: http://{http} did not answer, trying again in 10 seconds\n\
         sleep 10\n\
         chain --replace http://{http}/autoexec.ipxe ||\n\
         {LOCAL_DISK}"
    )
}

/// The `grub.cfg` of a plan.
pub fn grub(plan: &BootPlan, context: Context<'_>) -> String {
    let why = plan.why();
    match plan {
        BootPlan::LocalBoot(_) => format!(
            "set timeout=0\n\
             echo 'Ironwake: {why}: booting the local disk'\n\
             {LOCAL_DISK_GRUB}"
        ),
        BootPlan::Discovery(_) | BootPlan::Armed(_) => {
            let (http, name) = (context.http, plan.name());
            let Boot { kernel, parameters, initrds } = boot(plan, context);
            let parameters = grub_words(&parameters);
            let paths: String = initrds.iter().map(|(_, path)| format!(" (http,{http}){path}")).collect();
            let load = match paths.is_empty() {
                true => "  boot\n".to_owned(),
                false => format!("  if initrd{paths}; then\n    boot\n  fi\n"),
            };
            format!(
                "set timeout=0\n\
                 echo 'Ironwake: {why}: {name}'\n\
                 if linux (http,{http}){kernel} {parameters}; then\n\
                 {load}\
                 fi\n\
                 echo 'Ironwake: {name} could not be started, booting the local disk'\n\
                 {LOCAL_DISK_GRUB}"
            )
        }
    }
}

/// A kernel's command line as words of GRUB's: each word that holds anything which means something to GRUB stands in
/// single quotes. Double quotes, which keep blanks together for the kernel, are GRUB's own to write: it puts them
/// around every word with a blank.
fn grub_words(line: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=,.:/_-+@%".contains(c);
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    let words = words.iter().filter(|word| !word.is_empty()).map(|word| match word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ironwake_api::OperationKind;

    use super::*;
    use crate::boot::Why;

    fn texts(plan: &BootPlan) -> [String; 2] {
        let armed = ArmedBoot::Agent {
            kernel: "/boot/v1/operations/o/k/vmlinuz".into(),
            behind: vec![("installing", "/artifacts/cc/installing".into())],
            token: "t0k3n".into(),
        };
        texts_of(plan, &armed)
    }

    fn texts_of(plan: &BootPlan, armed: &ArmedBoot) -> [String; 2] {
        let files = DiscoveryFiles {
            kernel: "/artifacts/aa/vmlinuz".into(),
            initramfs: "/artifacts/bb/initramfs".into(),
            installing: "/artifacts/cc/installing".into(),
            rescue: Some("/artifacts/dd/rescue".into()),
        };
        let discovery = DiscoveryImage { files, parameters: "console=ttyS1".into(), idle_secs: 600 };
        let context = Context {
            http: "10.0.0.1:8080".parse().unwrap(),
            mac: "52:54:00:12:34:56".parse().unwrap(),
            discovery: &discovery,
            armed: Some(armed),
        };
        [ipxe(plan, context), grub(plan, context)]
    }

    #[test]
    fn local_boot_loads_no_kernel() {
        for text in texts(&BootPlan::LocalBoot(Why::NotArmed)) {
            assert!(text.contains("local disk"), "{text}");
            assert!(!text.contains("kernel") && !text.contains("linux") && !text.contains("http"), "{text}");
        }
    }

    #[test]
    fn discovery_names_the_server_the_address_and_both_files() {
        for text in texts(&BootPlan::Discovery(Why::Unknown)) {
            for needle in [
                "10.0.0.1:8080",
                "/artifacts/aa/vmlinuz",
                "/artifacts/bb/initramfs",
                "ironwake.url=http://10.0.0.1:8080",
                "BOOTIF=01-52-54-00-12-34-56",
                "console=ttyS1",
                "ironwake.idle_secs=600",
            ] {
                assert!(text.contains(needle), "{needle} is missing in {text}");
            }
        }
    }

    #[test]
    fn only_an_armed_boot_carries_the_token() {
        for text in texts(&BootPlan::Armed(Why::ArmedFor(OperationKind::Rebuild))) {
            assert!(text.contains("/boot/v1/operations/o/k/vmlinuz"), "{text}");
            assert!(text.contains(" ironwake.operation=t0k3n"), "{text}");
            assert!(!text.contains("/artifacts/aa/vmlinuz"), "{text}");
            assert!(text.contains("/artifacts/cc/installing"), "{text}");
        }
        for plan in [BootPlan::Discovery(Why::Unknown), BootPlan::LocalBoot(Why::NotArmed)] {
            for text in texts(&plan) {
                assert!(!text.contains("t0k3n") && !text.contains("/operations/"), "{text}");
                assert!(!text.contains("installing"), "{text}");
            }
        }
    }

    #[test]
    fn a_profiles_kernel_is_loaded_with_its_own_command_line() {
        let plan = BootPlan::Armed(Why::ArmedFor(OperationKind::Rebuild));
        let armed = ArmedBoot::Profile {
            kernel: "/boot/v1/operations/o/k/vmlinuz".into(),
            initrds: vec!["/artifacts/ee/initrd.gz".into()],
            command_line: "auto=true ds=nocloud;s=http://10.0.0.1:8080/f/ --- console=ttyS0,115200n8".into(),
        };
        let [ipxe, grub] = texts_of(&plan, &armed);
        let line = "/k/vmlinuz initrd=initrd0 auto=true ds=nocloud;s=http://10.0.0.1:8080/f/ --- console=ttyS0,115200n8";
        assert!(ipxe.contains(line), "{ipxe}");
        assert!(
            ipxe.contains("initrd --name initrd0 http://10.0.0.1:8080/artifacts/ee/initrd.gz "),
            "{ipxe}"
        );
        assert!(grub.contains("'ds=nocloud;s=http://10.0.0.1:8080/f/' --- console=ttyS0"), "{grub}");
        assert!(grub.contains("if initrd (http,10.0.0.1:8080)/artifacts/ee/initrd.gz; then"), "{grub}");
        for text in [ipxe, grub] {
            assert!(!text.contains("ironwake.") && !text.contains("/artifacts/bb/"), "{text}");
        }
        let memtest = ArmedBoot::Profile {
            kernel: "/boot/v1/operations/o/k/vmlinuz".into(),
            initrds: Vec::new(),
            command_line: String::new(),
        };
        for text in texts_of(&plan, &memtest) {
            assert!(!text.contains("initrd") && text.contains("/k/vmlinuz "), "{text}");
        }
    }

    #[test]
    fn tokens_are_masked_wherever_they_stand() {
        let token = "0123456789abcdef".repeat(4);
        let line = format!("auto=true url=http://10.0.0.1:8080/files/{token}/preseed.cfg a=fe80 x={token}");
        assert_eq!(
            mask_tokens(&line),
            "auto=true url=http://10.0.0.1:8080/files/***/preseed.cfg a=fe80 x=***"
        );
    }

    #[test]
    fn what_means_something_to_grub_is_quoted() {
        let check = |line, expected: &str| assert_eq!(grub_words(line), expected);
        check("a=b  c", "a=b c");
        check("a;b $x", "'a;b' '$x'");
        check("x=\"a b\" it's", "'x=a b' 'it'\\''s'");
        check("", "");
    }
}
