//! Whole machines as fixture trees: a QEMU q35 machine, a server, and nothing at all.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{smbios::tests_support, *};

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, bytes).expect("a file");
        self
    }

    /// A link to another path of the tree.
    fn link(&self, path: &str, to: &str) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::create_dir_all(self.root().join(to)).expect("the target");
        symlink(self.root().join(to), path).expect("a link");
        self
    }
}

const BOOT_MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0xab, 0, 1]);

/// What a QEMU q35 machine with UEFI, a virtio NIC, an AHCI and a virtio disk shows.
fn q35() -> Tree {
    let tree = Tree::new();
    let ahci = "sys/devices/pci0000:00/0000:00:1f.2";
    let sda = format!("{ahci}/ata1/host0/target0:0:0/0:0:0:0");
    let mut identify = vec![0; 572];
    identify[80..100].copy_from_slice(b"MQ0000 1            ");
    identify[106..114].copy_from_slice(b".2+5    ");
    identify[114..154].copy_from_slice(b"EQUMH RADDSI K                          ");
    tree.file(&format!("{sda}/vpd_pg89"), identify)
        .file(&format!("{sda}/vendor"), "ATA     \n")
        .file(&format!("{sda}/model"), "QEMU HARDDISK   \n")
        .file(&format!("{sda}/wwid"), "naa.5000c500a1b2c3d4\n")
        .file(&format!("{sda}/block/sda/size"), "8192\n")
        .file(&format!("{sda}/block/sda/removable"), "0\n")
        .file(&format!("{sda}/block/sda/ro"), "0\n")
        .file(&format!("{sda}/block/sda/queue/rotational"), "1\n")
        .file(&format!("{sda}/block/sda/queue/logical_block_size"), "512\n")
        .file(&format!("{sda}/block/sda/queue/physical_block_size"), "4096\n")
        .link(&format!("{sda}/block/sda/device"), &sda)
        .link("sys/block/sda", &format!("{sda}/block/sda"));
    let mut disk = vec![0; 4 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 64, 0, 0, 0, 0, 16, 0, 0]);
    disk[64 * 512..64 * 512 + 4].copy_from_slice(b"XFSB");
    tree.file("dev/sda", disk);
    let vda = "sys/devices/pci0000:00/0000:00:03.0/virtio1";
    tree.file(&format!("{vda}/block/vda/size"), "2048\n")
        .file(&format!("{vda}/block/vda/serial"), "IRON-0001\n")
        .file(&format!("{vda}/vendor"), "0x1af4\n")
        .link(&format!("{vda}/block/vda/device"), vda)
        .link("sys/block/vda", &format!("{vda}/block/vda"))
        .link("sys/block/loop0", "sys/devices/virtual/block/loop0")
        .link("sys/block/sr0", "sys/devices/virtual/block/sr0");
    let nic = "sys/devices/pci0000:00/0000:00:02.0/virtio0";
    tree.file(&format!("{nic}/net/eth0/address"), "52:54:00:ab:00:01\n")
        .file(&format!("{nic}/net/eth0/carrier"), "1\n")
        .file(&format!("{nic}/net/eth0/speed"), "-1\n")
        .file(&format!("{nic}/net/eth0/type"), "1\n")
        .link(&format!("{nic}/net/eth0/device"), nic)
        .link(&format!("{nic}/driver"), "sys/bus/virtio/drivers/virtio_net")
        .link("sys/class/net/eth0", &format!("{nic}/net/eth0"))
        .link("sys/class/net/lo", "sys/devices/virtual/net/lo");
    for (address, id, class) in [
        ("0000:00:01.0", ("0x1234", "0x1111"), "0x030000"),
        ("0000:00:02.0", ("0x1AF4", "0x1000"), "0x020000"),
    ] {
        let folder = format!("sys/bus/pci/devices/{address}");
        tree.file(&format!("{folder}/vendor"), id.0)
            .file(&format!("{folder}/device"), id.1)
            .file(&format!("{folder}/subsystem_vendor"), "0x1af4")
            .file(&format!("{folder}/subsystem_device"), "0x1100")
            .file(&format!("{folder}/class"), class);
    }
    tree.file("sys/bus/usb/devices/1-1/idVendor", "0951\n")
        .file("sys/bus/usb/devices/1-1/idProduct", "1666\n")
        .file("sys/bus/usb/devices/1-1/product", "DataTraveler\n")
        .file("sys/bus/usb/devices/1-1/speed", "480\n")
        .file("sys/bus/usb/devices/usb1/idVendor", "1d6b\n")
        .file("sys/bus/usb/devices/usb1/idProduct", "0002\n")
        .file("sys/bus/usb/devices/usb1/bDeviceClass", "09\n")
        .file("sys/bus/usb/devices/1-0:1.0/bInterfaceClass", "09\n");
    let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    tree.file(variable, [6, 0, 0, 0, 1]).file("sys/class/tpm/tpm0/tpm_version_major", "2\n");
    tree.file("proc/meminfo", "MemTotal:  482212 kB\n")
        .file("proc/cpuinfo", "processor : 0\nmodel name : QEMU TCG\n");
    tree.file("sys/class/dmi/id/sys_vendor", "QEMU\n").file("sys/class/dmi/id/product_serial", "SN-1\n");
    tree
}

#[test]
fn a_q35_machine_is_read() {
    let tree = q35();
    let inventory = read(tree.root(), read_smbios(tree.root()), Some(BOOT_MAC));
    assert_eq!(inventory.schema, 1);
    assert_eq!(inventory.system.serial.as_deref(), Some("SN-1"));
    assert_eq!(inventory.hypervisor.as_deref(), Some("qemu"));
    assert_eq!(
        (inventory.firmware.mode.as_deref(), inventory.firmware.secure_boot),
        (Some("uefi"), Some(true))
    );
    assert_eq!(inventory.firmware.tpm.clone().and_then(|tpm| tpm.version).as_deref(), Some("2.0"));
    assert_eq!(inventory.memory.total_bytes, Some(482_212 * 1024));
    assert_eq!(inventory.cpus[0].model.as_deref(), Some("QEMU TCG"));
    assert_eq!(inventory.gpus.len(), 1);
    assert_eq!((inventory.pci[1].id.as_str(), inventory.pci[1].class.as_str()), ("1af4:1000", "020000"));
    assert_eq!(inventory.usb.len(), 1);
    assert_eq!(inventory.usb[0].speed_mbps.as_deref(), Some("480"));
    assert_eq!(inventory.bmc, None);
    assert!(inventory.notes.iter().any(|note| note.contains("no SMBIOS table")), "{:?}", inventory.notes);
}

#[test]
fn disks_and_nics_have_their_permanent_names() {
    let tree = q35();
    let inventory = read(tree.root(), read_smbios(tree.root()), Some(BOOT_MAC));
    let [sda, vda] = &inventory.disks[..] else { panic!("two disks, not {:?}", inventory.disks) };
    assert_eq!((sda.model.as_deref(), sda.serial.as_deref()), (Some("QEMU HARDDISK"), Some("QM00001")));
    assert_eq!((sda.firmware.as_deref(), sda.wwn.as_deref()), (Some("2.5+"), Some("naa.5000c500a1b2c3d4")));
    assert_eq!((sda.transport.as_deref(), sda.rotational), (Some("sata"), Some(true)));
    assert_eq!(sda.path.as_deref(), Some("pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"));
    assert_eq!((sda.size_bytes, sda.physical_sector_bytes), (4 << 20, Some(4096)));
    assert_eq!((sda.table.as_deref(), sda.partitions.len()), (Some("dos"), 1));
    assert_eq!(sda.partitions[0].filesystem.as_deref(), Some("xfs"));
    assert!(sda.table_fingerprint.as_deref().is_some_and(|print| print.starts_with("sha256:")));
    assert_eq!((vda.serial.as_deref(), vda.model.as_deref()), (Some("IRON-0001"), None));
    assert_eq!(vda.transport.as_deref(), Some("virtio"));
    assert!(
        inventory.notes.iter().any(|note| note.starts_with("vda could not be read")),
        "{:?}",
        inventory.notes
    );
    let [nic] = &inventory.nics[..] else { panic!("one NIC, not {:?}", inventory.nics) };
    assert_eq!((nic.mac, nic.boot, nic.link), (Some(BOOT_MAC), true, Some(true)));
    assert_eq!((nic.pci.as_deref(), nic.driver.as_deref()), (Some("0000:00:02.0"), Some("virtio_net")));
    assert_eq!(nic.speed_mbps, None);
}

#[test]
fn a_servers_table_reaches_the_inventory() {
    let tree = Tree::new();
    tree.file("sys/firmware/dmi/tables/smbios_entry_point", tests_support::ENTRY_POINT_3)
        .file("sys/firmware/dmi/tables/DMI", tests_support::server());
    let inventory = read(tree.root(), read_smbios(tree.root()), None);
    assert_eq!(inventory.system.product.as_deref(), Some("PowerEdge R760"));
    assert_eq!((inventory.memory.slots, inventory.memory.dimms.len()), (Some(4), 3));
    assert_eq!(inventory.cpus.len(), 2);
    assert_eq!(inventory.cpus[1].socket.as_deref(), Some("CPU2"));
    assert_eq!(inventory.bmc.and_then(|bmc| bmc.interface).as_deref(), Some("kcs"));
    assert_eq!(inventory.firmware.mode.as_deref(), Some("bios"));
    assert_eq!(inventory.firmware.secure_boot, None);
}

#[test]
fn nothing_at_all_is_an_inventory_with_notes() {
    let tree = Tree::new();
    let inventory = read(tree.root(), read_smbios(tree.root()), None);
    assert!(inventory.disks.is_empty() && inventory.nics.is_empty() && inventory.cpus.is_empty());
    assert!(!inventory.notes.is_empty());
    let text = serde_json::to_string(&inventory).expect("JSON");
    assert_eq!(serde_json::from_str::<Inventory>(&text).expect("the same"), inventory);
}
