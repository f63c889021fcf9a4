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
pub struct ArmedBoot {
    /// URL path of the kernel, which may be fetched once.
    pub kernel: String,
    /// Whether an image is written, which takes more drivers.
    pub installs: bool,
    /// What the agent takes up its work with.
    pub token: String,
}

impl fmt::Debug for ArmedBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArmedBoot(***)")
    }
}

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

/// URL path of the kernel of a plan that boots the discovery image.
fn kernel<'a>(plan: &BootPlan, context: Context<'a>) -> &'a str {
    match (plan, context.armed) {
        (BootPlan::Armed(_), Some(armed)) => &armed.kernel,
        _ => &context.discovery.files.kernel,
    }
}

/// URL path of the archive behind the initramfs, for a boot that needs it.
fn installing<'a>(plan: &BootPlan, context: Context<'a>) -> Option<&'a str> {
    let installs = matches!(plan, BootPlan::Armed(_)) && context.armed.is_some_and(|armed| armed.installs);
    installs.then_some(&context.discovery.files.installing)
}

/// The discovery image's kernel parameters.
fn discovery_parameters(plan: &BootPlan, context: Context<'_>) -> String {
    let Context { http, mac, discovery, .. } = context;
    let mut line = format!(
        "initrd=initramfs console=ttyS0,115200 console=tty0 quiet loglevel=3 panic=30 \
         ironwake.url=http://{http} ironwake.idle_secs={} BOOTIF=01-{}",
        discovery.idle_secs,
        mac.dashed(),
    );
    if installing(plan, context).is_some() {
        line.push_str(" initrd=installing");
    }
    if let (BootPlan::Armed(_), Some(armed)) = (plan, context.armed) {
        line.push_str(" ironwake.operation=");
        line.push_str(&armed.token);
    }
    if !discovery.parameters.is_empty() {
        line.push(' ');
        line.push_str(&discovery.parameters);
    }
    line
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
            let Context { http, discovery, .. } = context;
            let initramfs = &discovery.files.initramfs;
            let (name, kernel) = (plan.name(), kernel(plan, context));
            let parameters = discovery_parameters(plan, context);
            let more = installing(plan, context)
                .map(|path| format!("initrd --name installing http://{http}{path} || goto failed\n"))
                .unwrap_or_default();
            format!(
                "#!ipxe\n\
                 echo Ironwake: {why}: {name}\n\
                 imgfree\n\
                 kernel --name vmlinuz http://{http}{kernel} {parameters} || goto failed\n\
                 initrd --name initramfs http://{http}{initramfs} || goto failed\n\
                 {more}\
                 boot || goto failed\n\
                 :failed\n\
                 inc tries\n\
                 iseq ${{tries}} {TRIES_MAX} && goto disk ||\n\
                 echo Ironwake: the discovery image could not be started, trying again in 10 seconds\n\
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
            let Context { http, discovery, .. } = context;
            let initramfs = &discovery.files.initramfs;
            let (name, kernel) = (plan.name(), kernel(plan, context));
            let parameters = discovery_parameters(plan, context);
            let more =
                installing(plan, context).map(|path| format!(" (http,{http}){path}")).unwrap_or_default();
            format!(
                "set timeout=0\n\
                 echo 'Ironwake: {why}: {name}'\n\
                 if linux (http,{http}){kernel} {parameters}; then\n\
                 \x20 if initrd (http,{http}){initramfs}{more}; then\n\
                 \x20   boot\n\
                 \x20 fi\n\
                 fi\n\
                 echo 'Ironwake: the discovery image could not be started, booting the local disk'\n\
                 {LOCAL_DISK_GRUB}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use ironwake_api::OperationKind;

    use super::*;
    use crate::boot::Why;

    fn texts(plan: &BootPlan) -> [String; 2] {
        let files = DiscoveryFiles {
            kernel: "/artifacts/aa/vmlinuz".into(),
            initramfs: "/artifacts/bb/initramfs".into(),
            installing: "/artifacts/cc/installing".into(),
        };
        let discovery = DiscoveryImage { files, parameters: "console=ttyS1".into(), idle_secs: 600 };
        let armed = ArmedBoot {
            kernel: "/boot/v1/operations/o/k/vmlinuz".into(),
            installs: true,
            token: "t0k3n".into(),
        };
        let context = Context {
            http: "10.0.0.1:8080".parse().unwrap(),
            mac: "52:54:00:12:34:56".parse().unwrap(),
            discovery: &discovery,
            armed: Some(&armed),
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
}
