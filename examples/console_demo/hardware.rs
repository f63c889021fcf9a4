//! What simulated machines are made of: servers and small computers as one finds them, each with numbers of its own.

use serde_json::{Value, json};

/// Bytes of a gibibyte.
const GIB: u64 = 1 << 30;

/// A model of computer.
pub struct Model {
    manufacturer: &'static str,
    product: &'static str,
    processor: &'static str,
    sockets: u64,
    cores: u64,
    mhz: u64,
    memory_gib: u64,
    /// Model, transport, size in bytes, and how many.
    disks: &'static [(&'static str, &'static str, u64, usize)],
    /// Speeds of its ports in Mbit/s.
    ports: &'static [u64],
    driver: &'static str,
}

/// Sizes are those of the makers' data sheets.
pub const MODELS: &[Model] = &[
    Model {
        manufacturer: "Dell Inc.",
        product: "PowerEdge R650",
        processor: "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz",
        sockets: 2,
        cores: 32,
        mhz: 3200,
        memory_gib: 256,
        disks: &[("Samsung PM9A3", "nvme", 960_197_124_096, 2)],
        ports: &[25_000, 25_000],
        driver: "i40e",
    },
    Model {
        manufacturer: "Supermicro",
        product: "SYS-1029P-WTR",
        processor: "Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz",
        sockets: 2,
        cores: 12,
        mhz: 3200,
        memory_gib: 192,
        disks: &[
            ("INTEL SSDSC2KB48", "sata", 480_103_981_056, 1),
            ("TOSHIBA MG08", "sata", 16_000_900_661_248, 4),
        ],
        ports: &[10_000, 10_000],
        driver: "ixgbe",
    },
    Model {
        manufacturer: "HPE",
        product: "ProLiant DL325 Gen10 Plus",
        processor: "AMD EPYC 7713 64-Core Processor",
        sockets: 1,
        cores: 64,
        mhz: 3675,
        memory_gib: 512,
        disks: &[("KIOXIA KCD6XLUL1T92", "nvme", 1_920_383_410_176, 4)],
        ports: &[100_000],
        driver: "mlx5_core",
    },
    Model {
        manufacturer: "Lenovo",
        product: "ThinkCentre M720q",
        processor: "Intel(R) Core(TM) i5-8500T CPU @ 2.10GHz",
        sockets: 1,
        cores: 6,
        mhz: 3500,
        memory_gib: 32,
        disks: &[("WD Blue SN570", "nvme", 500_107_862_016, 1)],
        ports: &[1000],
        driver: "e1000e",
    },
    Model {
        manufacturer: "QEMU",
        product: "Standard PC (Q35 + ICH9, 2009)",
        processor: "AMD EPYC 7502P 32-Core Processor",
        sockets: 1,
        cores: 8,
        mhz: 3350,
        memory_gib: 16,
        disks: &[("QEMU HARDDISK", "virtio", 64 * GIB, 1)],
        ports: &[1000],
        driver: "virtio_net",
    },
];

impl Model {
    /// The inventory of the machine of this number, as its agent would report it.
    pub fn inventory(&self, number: u32, mac: &str, address: &str) -> Value {
        let serial = format!("{:07X}", 0x073a_51c9_u64.wrapping_add(u64::from(number) * 7919) & 0xfff_ffff);
        let cpu = |socket: u64| {
            json!({
                "socket": format!("CPU{socket}"), "model": self.processor, "cores": self.cores,
                "threads": self.cores * 2, "mhz_max": self.mhz, "virtualization": "vmx", "flags": ["x86-64-v3"],
            })
        };
        let dimms = 2 * self.sockets;
        let dimm = |place: u64| {
            json!({
                "slot": format!("A{place}"), "size_bytes": self.memory_gib / dimms * GIB, "kind": "DDR4",
                "speed_mts": 3200, "manufacturer": "Samsung", "part": "M393A4K40EB3",
            })
        };
        json!({
            "schema": 1,
            "system": { "manufacturer": self.manufacturer, "product": self.product, "serial": serial },
            "board": { "manufacturer": self.manufacturer, "product": self.product },
            "firmware": { "mode": "uefi", "vendor": self.manufacturer, "version": "2.14", "date": "05/11/2025", "secure_boot": false },
            "cpus": (1..=self.sockets).map(cpu).collect::<Vec<_>>(),
            "memory": {
                "installed_bytes": self.memory_gib * GIB, "total_bytes": self.memory_gib * GIB, "slots": dimms * 4,
                "dimms": (1..=dimms).map(dimm).collect::<Vec<_>>(),
            },
            "disks": self.disks(number),
            "nics": self.nics(number, mac, address),
        })
    }

    /// Its disks, the first of which holds a system.
    pub fn disks(&self, number: u32) -> Vec<Value> {
        let mut disks: Vec<Value> = Vec::new();
        for (model, transport, size, count) in self.disks {
            for _ in 0..*count {
                let place = disks.len();
                let name = match *transport {
                    "nvme" => format!("nvme{place}n1"),
                    "virtio" => format!("vd{}", (b'a' + place as u8) as char),
                    _ => format!("sd{}", (b'a' + place as u8) as char),
                };
                let mut disk = json!({
                    "name": name, "model": model, "serial": format!("S{number:05}{place}X"), "size_bytes": size,
                    "transport": transport,
                });
                if place == 0 {
                    let root = size - 513 * (1 << 20) - (2 << 20);
                    disk["table"] = "gpt".into();
                    disk["partitions"] = json!([
                        { "number": 1, "start_bytes": 1 << 20, "size_bytes": 512 << 20, "filesystem": "vfat", "label": "EFI" },
                        { "number": 2, "start_bytes": 513 << 20, "size_bytes": root / 5 * 3, "filesystem": "ext4", "label": "root" },
                        { "number": 3, "start_bytes": (513_u64 << 20) + root / 5 * 3, "size_bytes": root / 5, "filesystem": "xfs", "label": "data" },
                    ]);
                }
                disks.push(disk);
            }
        }
        disks
    }

    fn nics(&self, number: u32, mac: &str, address: &str) -> Vec<Value> {
        let nic = |(place, speed): (usize, &u64)| {
            // The same under another prefix, which no first port has.
            let mac = if place == 0 { mac.to_owned() } else { format!("52:54:01{}", &mac[8..]) };
            let mut nic = json!({
                "name": format!("eno{}", place + 1), "mac": mac, "driver": self.driver,
                "pci": format!("0000:31:00.{place}"), "link": place == 0, "boot": place == 0,
            });
            if place == 0 {
                nic["speed_mbps"] = (*speed).into();
                nic["addresses"] = json!([format!("{address}/16")]);
                nic["lldp"] = json!({ "system": format!("sw-{:02}", number / 40 + 1), "port": format!("xe-0/0/{}", number % 40), "vlan": 20 });
            }
            nic
        };
        self.ports.iter().enumerate().map(nic).collect()
    }
}
