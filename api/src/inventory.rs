//! The inventory: what the agent reported of a machine's hardware. Every field may be missing:
//! hardware lies, and a partial inventory with notes beats none.

use serde::{Deserialize, Serialize};

use crate::MacAddr;

macro_rules! contract {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(default)]
        pub struct $name { $(
            $(#[$field_meta])*
            pub $field: $type,
        )* }
    )*};
}

contract! {
    /// A machine's hardware as read by the agent.
    pub struct Inventory {
        /// Version of this shape; 1.
        schema: u32,
        /// SMBIOS type 1.
        system: System,
        /// SMBIOS type 2.
        board: Board,
        /// SMBIOS type 3.
        chassis: Chassis,
        /// Firmware and its security state.
        firmware: Firmware,
        /// One for each populated socket.
        cpus: Vec<Cpu>,
        /// Memory in all and by module.
        memory: Memory,
        /// Whole disks, not partitions; no loop, RAM or device-mapper devices.
        disks: Vec<Disk>,
        /// Network interfaces with hardware behind them.
        nics: Vec<Nic>,
        /// Every PCI function.
        pci: Vec<PciDevice>,
        /// Display controllers (PCI class 03).
        gpus: Vec<Gpu>,
        /// USB devices, hubs left out.
        usb: Vec<UsbDevice>,
        /// The baseboard management controller.
        bmc: Option<Bmc>,
        /// What it runs under, if virtual: `kvm`, `qemu`, `vmware`, `hyperv`, `xen`, ...
        hypervisor: Option<String>,
        /// What could not be read or looked wrong, in sentences.
        notes: Vec<String>,
    }

    /// SMBIOS type 1.
    pub struct System {
        /// Manufacturer.
        manufacturer: Option<String>,
        /// Product name.
        product: Option<String>,
        /// Version.
        version: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// UUID, textual, in the byte order of SMBIOS 2.6 and later.
        uuid: Option<String>,
        /// SKU number.
        sku: Option<String>,
        /// Family.
        family: Option<String>,
    }

    /// SMBIOS type 2.
    pub struct Board {
        /// Manufacturer.
        manufacturer: Option<String>,
        /// Product name.
        product: Option<String>,
        /// Version.
        version: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// Asset tag.
        asset_tag: Option<String>,
    }

    /// SMBIOS type 3.
    pub struct Chassis {
        /// Manufacturer.
        manufacturer: Option<String>,
        /// Kind, such as `Rack Mount Chassis`.
        kind: Option<String>,
        /// Version.
        version: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// Asset tag.
        asset_tag: Option<String>,
        /// SKU number.
        sku: Option<String>,
    }

    /// Firmware and its security state.
    pub struct Firmware {
        /// Vendor.
        vendor: Option<String>,
        /// Version.
        version: Option<String>,
        /// Release date as the firmware writes it.
        date: Option<String>,
        /// `bios` or `uefi`: how this boot began.
        mode: Option<String>,
        /// Whether Secure Boot is enforced; absent on BIOS.
        secure_boot: Option<bool>,
        /// Whether the firmware is in setup mode (no platform key).
        setup_mode: Option<bool>,
        /// The trusted platform module.
        tpm: Option<Tpm>,
    }

    /// A trusted platform module.
    pub struct Tpm {
        /// `1.2` or `2.0`.
        version: Option<String>,
        /// Manufacturer or driver description.
        description: Option<String>,
    }

    /// One processor package.
    pub struct Cpu {
        /// Socket designation, or its number.
        socket: Option<String>,
        /// Manufacturer, such as `GenuineIntel`.
        manufacturer: Option<String>,
        /// Model name.
        model: Option<String>,
        /// Cores in this package.
        cores: Option<u32>,
        /// Threads in this package.
        threads: Option<u32>,
        /// Maximum speed in MHz.
        mhz_max: Option<u32>,
        /// Speed in MHz when read.
        mhz: Option<u32>,
        /// Microcode revision, such as `0x2b000603`.
        microcode: Option<String>,
        /// Virtualisation: `vmx` or `svm`.
        virtualization: Option<String>,
        /// Instruction-set level and features worth knowing: `x86-64-v3`, `aes`, `avx512f`, `hypervisor`, ...
        flags: Vec<String>,
    }

    /// Memory in all and by module.
    pub struct Memory {
        /// Usable by the kernel, bytes.
        total_bytes: Option<u64>,
        /// Sum of the modules, bytes.
        installed_bytes: Option<u64>,
        /// Slots on the board, filled or not.
        slots: Option<u32>,
        /// Filled slots.
        dimms: Vec<Dimm>,
    }

    /// One memory module (SMBIOS type 17).
    pub struct Dimm {
        /// Device locator, such as `DIMM_A1`.
        slot: Option<String>,
        /// Bank locator.
        bank: Option<String>,
        /// Size in bytes.
        size_bytes: Option<u64>,
        /// Type, such as `DDR5`.
        kind: Option<String>,
        /// Configured speed in MT/s.
        speed_mts: Option<u32>,
        /// Manufacturer.
        manufacturer: Option<String>,
        /// Part number.
        part: Option<String>,
        /// Serial number.
        serial: Option<String>,
    }

    /// One whole disk.
    pub struct Disk {
        /// Kernel name, such as `nvme0n1`; may change between boots.
        name: String,
        /// Model.
        model: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// World-wide name: `naa.…`, `eui.…` or `nvme.…`.
        wwn: Option<String>,
        /// Size in bytes.
        size_bytes: u64,
        /// Logical sector in bytes.
        sector_bytes: Option<u32>,
        /// Physical sector in bytes.
        physical_sector_bytes: Option<u32>,
        /// Whether it spins.
        rotational: Option<bool>,
        /// `nvme`, `sata`, `sas`, `scsi`, `usb`, `virtio`, `mmc`, ...
        transport: Option<String>,
        /// Firmware revision.
        firmware: Option<String>,
        /// Whether its medium can be taken out.
        removable: Option<bool>,
        /// Whether writing is refused by the device.
        read_only: Option<bool>,
        /// Path below `/sys/devices`, which names the slot it is in.
        path: Option<String>,
        /// `gpt`, `dos` or none found.
        table: Option<String>,
        /// `sha256:` and the digest of the partition table as it lies on the disk: first MiB and last 33 sectors' headers.
        table_fingerprint: Option<String>,
        /// What holds the whole disk where there is no table: a filesystem, `LVM2_member`, ...
        filesystem: Option<String>,
        /// Partitions in order of number.
        partitions: Vec<Partition>,
    }

    /// One partition.
    pub struct Partition {
        /// Number, from 1.
        number: u32,
        /// First byte.
        start_bytes: u64,
        /// Size in bytes.
        size_bytes: u64,
        /// Type: GUID (GPT) or `0x83` (DOS).
        kind: Option<String>,
        /// Unique GUID (GPT).
        guid: Option<String>,
        /// Name in the partition table (GPT).
        name: Option<String>,
        /// Filesystem or what else holds it: `ext4`, `vfat`, `xfs`, `LVM2_member`, `linux_raid_member`, `zfs_member`, ...
        filesystem: Option<String>,
        /// The filesystem's label.
        label: Option<String>,
        /// The filesystem's UUID.
        uuid: Option<String>,
    }

    /// One network interface with hardware behind it.
    pub struct Nic {
        /// Kernel name; may change between boots.
        name: String,
        /// Address in use.
        mac: Option<MacAddr>,
        /// Address burnt in.
        permanent_mac: Option<MacAddr>,
        /// Kernel driver.
        driver: Option<String>,
        /// PCI address, such as `0000:03:00.0`.
        pci: Option<String>,
        /// Firmware version.
        firmware: Option<String>,
        /// Whether there is a link.
        link: Option<bool>,
        /// Speed in Mbit/s, where there is a link.
        speed_mbps: Option<u32>,
        /// Whether this boot came through it.
        boot: bool,
        /// IPv4 addresses with prefix length.
        addresses: Vec<String>,
        /// The neighbour heard by LLDP.
        lldp: Option<Lldp>,
    }

    /// What the switch at the other end says (IEEE 802.1AB).
    pub struct Lldp {
        /// Chassis ID.
        chassis: Option<String>,
        /// Port ID.
        port: Option<String>,
        /// Port description.
        port_description: Option<String>,
        /// System name.
        system: Option<String>,
        /// Port VLAN ID (802.1 TLV).
        vlan: Option<u16>,
    }

    /// One PCI function. Names are filled in by the daemon.
    pub struct PciDevice {
        /// Address, such as `0000:00:1f.2`.
        address: String,
        /// Vendor and device, such as `8086:10d3`.
        id: String,
        /// Subsystem vendor and device.
        subsystem: Option<String>,
        /// Class in hexadecimal, six digits.
        class: String,
        /// Vendor's name.
        vendor: Option<String>,
        /// Device's name.
        name: Option<String>,
        /// Kernel driver bound to it.
        driver: Option<String>,
    }

    /// A display controller.
    pub struct Gpu {
        /// PCI address.
        pci: String,
        /// Vendor and device.
        id: String,
        /// Vendor's name.
        vendor: Option<String>,
        /// Device's name.
        name: Option<String>,
    }

    /// A USB device.
    pub struct UsbDevice {
        /// Bus path, such as `1-1.4`.
        path: String,
        /// Vendor and product, such as `0951:1666`.
        id: String,
        /// Manufacturer as the device says.
        manufacturer: Option<String>,
        /// Product as the device says.
        product: Option<String>,
        /// Serial as the device says.
        serial: Option<String>,
        /// Speed in Mbit/s.
        speed_mbps: Option<String>,
    }

    /// A baseboard management controller.
    pub struct Bmc {
        /// Interface by which it was found: `kcs`, `bt`, `ssif`, ... (SMBIOS type 38) or `ipmi`.
        interface: Option<String>,
        /// IPMI version, such as `2.0`.
        ipmi_version: Option<String>,
        /// IPv4 address.
        address: Option<String>,
        /// MAC address.
        mac: Option<MacAddr>,
        /// Firmware revision.
        firmware: Option<String>,
    }
}
