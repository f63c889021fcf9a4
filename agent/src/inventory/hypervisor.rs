//! What the machine runs under, if it is virtual.

use std::path::Path;

use super::sysfs;

/// Signatures in CPUID leaf 0x4000_0000.
const SIGNATURES: [(&[u8; 12], &str); 10] = [
    (b"KVMKVMKVM\0\0\0", "kvm"),
    (b"Linux KVM Hv", "kvm"),
    (b"TCGTCGTCGTCG", "qemu"),
    (b"VMwareVMware", "vmware"),
    (b"Microsoft Hv", "hyperv"),
    (b"XenVMMXenVMM", "xen"),
    (b"VBoxVBoxVBox", "virtualbox"),
    (b"bhyve bhyve ", "bhyve"),
    (b"ACRNACRNACRN", "acrn"),
    (b" lrpepyh vr\0", "parallels"),
];

/// What a maker or product begins with.
const MAKERS: [(&str, &str); 9] = [
    ("QEMU", "qemu"),
    ("KVM", "kvm"),
    ("VMware", "vmware"),
    ("Microsoft Corporation Virtual Machine", "hyperv"),
    ("Xen", "xen"),
    ("innotek GmbH", "virtualbox"),
    ("BHYVE", "bhyve"),
    ("Parallels", "parallels"),
    ("Amazon EC2", "kvm"),
];

/// Decides from a CPUID signature, the system's maker and product, and `/sys/hypervisor`, in this order.
pub fn identify(
    signature: Option<[u8; 12]>,
    manufacturer: Option<&str>,
    product: Option<&str>,
    root: &Path,
) -> Option<String> {
    if let Some(name) = signature.and_then(|signature| name_of(&signature)) {
        return Some(name.to_owned());
    }
    if let Some(kind) = sysfs::text(&root.join("sys/hypervisor/type")) {
        return Some(kind);
    }
    let (manufacturer, product) = (manufacturer.unwrap_or_default(), product.unwrap_or_default());
    let both = format!("{manufacturer} {product}");
    let found = MAKERS.iter().find(|(maker, _)| both.starts_with(maker) || product.starts_with(maker));
    found.map(|&(_, name)| name.to_owned())
}

fn name_of(signature: &[u8; 12]) -> Option<&'static str> {
    SIGNATURES.iter().find(|(known, _)| *known == signature).map(|&(_, name)| name)
}

/// Asks the processor.
#[cfg(target_arch = "x86_64")]
pub fn from_processor() -> Option<&'static str> {
    use std::arch::x86_64::__cpuid;
    const HYPERVISOR_BIT: u32 = 1 << 31;
    // KVM that poses as Hyper-V for Windows has its own signature in the second range.
    const RANGES: [u32; 2] = [0x4000_0100, 0x4000_0000];
    if __cpuid(1).ecx & HYPERVISOR_BIT == 0 {
        return None;
    }
    RANGES.iter().find_map(|&leaf| {
        let found = __cpuid(leaf);
        let mut signature = [0; 12];
        for (bytes, register) in signature.chunks_exact_mut(4).zip([found.ebx, found.ecx, found.edx]) {
            bytes.copy_from_slice(&register.to_le_bytes());
        }
        name_of(&signature)
    })
}

/// Other architectures have no such instruction.
#[cfg(not(target_arch = "x86_64"))]
pub fn from_processor() -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signature: Option<&[u8; 12]>, maker: &str, product: &str, expected: Option<&str>) {
        let root = tempfile::tempdir().expect("a folder");
        let found = identify(signature.copied(), Some(maker), Some(product), root.path());
        assert_eq!(found.as_deref(), expected, "{maker} {product}");
    }

    #[test]
    fn virtual_machines_are_told_from_real_ones() {
        check(Some(b"KVMKVMKVM\0\0\0"), "QEMU", "Standard PC", Some("kvm"));
        check(None, "QEMU", "Standard PC (Q35 + ICH9, 2009)", Some("qemu"));
        check(None, "Microsoft Corporation", "Virtual Machine", Some("hyperv"));
        check(None, "Microsoft Corporation", "Surface Pro", None);
        check(None, "Dell Inc.", "PowerEdge R760", None);
        check(Some(b"somebodyelse"), "Red Hat", "KVM", Some("kvm"));
    }
}
