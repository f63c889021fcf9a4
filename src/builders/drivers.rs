//! Which drivers the discovery image holds: what common servers, mini PCs and virtual machines need to
//! reach the network and to show their disks and management controller.

/// Drivers by what they are for, as words. What they depend on comes by itself; one that a kernel has not is left out.
///
/// Firmware files are not free and not in the image: what cannot do without (qed, most Wi-Fi) is not
/// listed; what shows itself without (bnx2, bnx2x) is. Fibre Channel is left out: its disks are not the
/// machine's own, its adapters are seen on PCI all the same, and its drivers would be 1.2 MB.
pub const DRIVERS: &[(&str, &str)] = &[
    (
        "virtual machines",
        "ena gve hv_netvsc hv_storvsc hv_utils mana pci_hyperv virtio_blk virtio_mmio virtio_net \
         virtio_rng virtio_scsi vmw_pvscsi vmxnet3 xen_blkfront xen_netfront xen_scsifront",
    ),
    (
        "network, 10 Gbit/s and up",
        "atlantic be2net bnx2x bnxt_en cxgb4 cxgb4vf enic hinic i40e iavf ice idpf ionic ixgbe \
         ixgbevf mlx4_core mlx4_en mlx5_core qlcnic sfc tehuti",
    ),
    (
        "network, up to 5 Gbit/s",
        "3c59x 8139cp 8139too alx atl1 atl1c atl1e atl2 b44 bnx2 dwmac_intel e100 e1000 e1000e \
         forcedeth igb igbvf igc jme lan743x natsemi ne2k_pci ns83820 pcnet32 r8169 sis190 sis900 \
         skge sky2 tg3 tulip via_rhine via_velocity",
    ),
    ("transceivers of network chips", "aquantia broadcom marvell marvell10g micrel realtek smsc"),
    (
        "network on USB",
        "aqc111 asix ax88179_178a cdc_eem cdc_ether cdc_ncm dm9601 lan78xx mcs7830 pegasus r8152 \
         r8153_ecm rndis_host rtl8150 smsc75xx smsc95xx sr9700 sr9800",
    ),
    (
        "disks on SATA, PATA and NVMe",
        "acard_ahci ahci ata_generic ata_piix nvme pata_amd pata_atiixp pata_jmicron pata_marvell \
         pata_serverworks pata_via sata_mv sata_nv sata_promise sata_sil sata_sil24 sata_sis sata_svw \
         sata_uli sata_via sata_vsc sd_mod sr_mod vmd",
    ),
    (
        "disks on SAS and RAID",
        "3w_9xxx 3w_sas aacraid aic79xx arcmsr BusLogic esas2r hpsa hptiop ipr isci megaraid_mbox \
         megaraid_sas mpi3mr mpt3sas mptsas mptspi mvsas mvumi pm80xx pmcraid ses smartpqi stex \
         sym53c8xx",
    ),
    ("disks on SD and eMMC", "mmc_block rtsx_pci_sdmmc rtsx_usb_sdmmc sdhci_acpi sdhci_pci"),
    ("USB", "ehci_pci ohci_pci uas uhci_hcd usb_storage xhci_pci xhci_pci_renesas"),
    (
        "management",
        "efivarfs i2c_i801 i2c_piix4 ipmi_devintf ipmi_si ipmi_ssif pinctrl_alderlake \
         pinctrl_elkhartlake pinctrl_jasperlake",
    ),
];

/// Filesystems of written images, into which files are put. The agent loads them by name; they are in an archive of their
/// own, which only a rebuild boots with.
pub const INSTALLING: &str = "btrfs crc32c_generic ext4 nls_ascii nls_cp437 nls_iso8859_1 nls_utf8 vfat xfs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_is_named_once_and_as_the_kernel_names_it() {
        let mut names: Vec<_> =
            DRIVERS.iter().flat_map(|(_, names)| names.split_ascii_whitespace()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a driver is listed twice");
        assert!(names.iter().all(|name| !name.contains('-')), "names have _, file names may have -");
    }
}
