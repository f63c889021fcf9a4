//! Processors: `/proc/cpuinfo` by package, with what SMBIOS adds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ironwake_api::Cpu;

use super::{smbios::Processor, sysfs};

/// About 2 KiB for each thread; the largest machines have some thousand.
const CPUINFO_BYTES_MAX: u64 = 32 << 20;
/// Packages at most.
const PACKAGES_MAX: usize = 256;

/// Features that decide what a machine can run, by the kernel's names.
const FLAGS: [&str; 19] = [
    "aes",
    "avx",
    "avx2",
    "avx512f",
    "avx512_vnni",
    "amx_tile",
    "vaes",
    "sha_ni",
    "pclmulqdq",
    "rdrand",
    "rdseed",
    "constant_tsc",
    "nonstop_tsc",
    "sgx",
    "sev",
    "sev_es",
    "sev_snp",
    "tdx_guest",
    "hypervisor",
];
/// The x86-64 psABI's levels, each with what it adds, by the kernel's names.
const LEVELS: [(&str, &[&str]); 4] = [
    ("x86-64-v1", &["lm", "cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse", "sse2"]),
    ("x86-64-v2", &["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"]),
    ("x86-64-v3", &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]),
    ("x86-64-v4", &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
];

/// Reads the processors below `root`.
pub fn read(root: &Path, processors: &[Processor]) -> Vec<Cpu> {
    let text = sysfs::read_limited(&root.join("proc/cpuinfo"), CPUINFO_BYTES_MAX).unwrap_or_default();
    let mut cpus = parse(&String::from_utf8_lossy(&text));
    let khz_max = sysfs::number(&root.join("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"));
    if let Some(mhz_max) = khz_max.and_then(|khz| u32::try_from(khz / 1000).ok()) {
        cpus.iter_mut().for_each(|cpu| cpu.mhz_max = Some(mhz_max));
    }
    // Where the firmware counts another number of sockets, which is which is unknown.
    let paired = cpus.len() == processors.len();
    for (index, cpu) in cpus.iter_mut().enumerate() {
        if let Some(processor) = processors.get(index).filter(|_| paired) {
            add(cpu, processor);
        }
    }
    if cpus.is_empty() {
        cpus.resize_with(processors.len(), Cpu::default);
        cpus.iter_mut().zip(processors).for_each(|(cpu, processor)| add(cpu, processor));
    }
    cpus
}

fn add(cpu: &mut Cpu, processor: &Processor) {
    cpu.socket = processor.socket.clone().or(cpu.socket.take());
    cpu.manufacturer = cpu.manufacturer.take().or_else(|| processor.manufacturer.clone());
    cpu.model = cpu.model.take().or_else(|| processor.model.clone());
    cpu.cores = cpu.cores.or(processor.cores);
    cpu.threads = cpu.threads.or(processor.threads);
    cpu.mhz_max = cpu.mhz_max.or(processor.mhz_max);
    cpu.mhz = cpu.mhz.or(processor.mhz);
}

#[derive(Default)]
struct Package<'a> {
    first: BTreeMap<&'a str, &'a str>,
    cores: BTreeSet<&'a str>,
    threads: u32,
}

/// Parses `/proc/cpuinfo`: one block for each thread, gathered by `physical id`.
pub fn parse(text: &str) -> Vec<Cpu> {
    let mut packages: BTreeMap<u32, Package<'_>> = BTreeMap::new();
    for block in text.split("\n\n") {
        let fields: BTreeMap<&str, &str> = block
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        if !fields.contains_key("processor") {
            continue;
        }
        let number = fields.get("physical id").and_then(|id| id.parse().ok()).unwrap_or(0);
        if packages.len() == PACKAGES_MAX && !packages.contains_key(&number) {
            continue;
        }
        let package = packages.entry(number).or_default();
        package.threads += 1;
        package.cores.extend(fields.get("core id"));
        if package.first.is_empty() {
            package.first = fields;
        }
    }
    packages.into_iter().map(|(number, package)| cpu(number, &package)).collect()
}

fn cpu(number: u32, package: &Package<'_>) -> Cpu {
    let field = |key: &str| package.first.get(key).map(|&value| value.to_owned());
    let flags: BTreeSet<&str> =
        package.first.get("flags").into_iter().flat_map(|flags| flags.split(' ')).collect();
    let level = LEVELS.iter().take_while(|(_, needed)| needed.iter().all(|flag| flags.contains(flag))).last();
    let known = FLAGS.iter().copied().filter(|flag| flags.contains(flag));
    let cores = u32::try_from(package.cores.len()).ok().filter(|&cores| cores > 0);
    Cpu {
        socket: Some(number.to_string()),
        manufacturer: field("vendor_id"),
        model: field("model name"),
        cores: cores.or_else(|| field("cpu cores")?.parse().ok()),
        threads: Some(package.threads),
        mhz_max: None,
        mhz: field("cpu MHz").and_then(|mhz| mhz.parse::<f64>().ok()).map(|mhz| mhz.round() as u32),
        microcode: field("microcode"),
        virtualization: ["vmx", "svm"].into_iter().find(|flag| flags.contains(flag)).map(Into::into),
        flags: level.map(|(level, _)| *level).into_iter().chain(known).map(Into::into).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thread(number: u32, package: u32, core: u32) -> String {
        format!(
            "processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nmicrocode\t: 0x2b000603\n\
             cpu MHz\t\t: 2100.4\nphysical id\t: {package}\ncore id\t\t: {core}\ncpu cores\t: 2\n\
             flags\t\t: fpu lm cmov cx8 fxsr mmx syscall sse sse2 cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 vmx aes\n\
             power management:\n\n"
        )
    }

    #[test]
    fn threads_are_gathered_by_package() {
        let text: String = (0..8).map(|n| thread(n, n / 4, n % 2)).collect();
        let cpus = parse(&text);
        assert_eq!(cpus.len(), 2);
        let cpu = &cpus[1];
        assert_eq!((cpu.socket.as_deref(), cpu.cores, cpu.threads), (Some("1"), Some(2), Some(4)));
        assert_eq!((cpu.model.as_deref(), cpu.mhz), (Some("Xeon"), Some(2100)));
        assert_eq!(
            (cpu.microcode.as_deref(), cpu.virtualization.as_deref()),
            (Some("0x2b000603"), Some("vmx"))
        );
        assert_eq!(cpu.flags, ["x86-64-v2", "aes"]);
    }

    #[test]
    fn odd_texts_give_what_they_have() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("Hardware : BCM2711\n"), []);
        let cpus = parse("processor : 0\ncpu MHz : fast\n");
        assert_eq!((cpus[0].threads, cpus[0].cores, cpus[0].mhz), (Some(1), None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(text in "(processor|physical id|flags|cpu MHz|: |[0-9]{1,12}|\n|[a-z ]{0,4}){0,60}") {
            parse(&text);
        }
    }
}
