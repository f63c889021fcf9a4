"""Makes a GPT disk boot by BIOS: mbr.py DISK BOOT_IMG.

GRUB's first sector goes before the table, and is told where the BIOS boot partition has its core; the core's own list of
blocks is told that the rest follows. It is what grub-bios-setup does, which wants a device.
"""

import struct
import sys

SECTOR = 512
BIOS_BOOT = bytes.fromhex("4861682149646f6e744e656564454649")
# Offsets in boot.img (grub-core/boot/i386/pc/boot.S, include/grub/i386/pc/boot.h).
CODE_END = 440
KERNEL_SECTOR = 0x5C
DRIVE_CHECK = 0x66
# The first entry of the core's list of blocks, at the end of its first sector.
BLOCK_LIST = SECTOR - 12


def bios_boot_partition(disk):
    """The first sector of the BIOS boot partition."""
    disk.seek(SECTOR)
    header = disk.read(92)
    if header[:8] != b"EFI PART":
        sys.exit("mbr.py: the disk has no GPT")
    table, count, size = struct.unpack_from("<QII", header, 72)
    disk.seek(table * SECTOR)
    for _ in range(count):
        entry = disk.read(size)
        if entry[:16] == BIOS_BOOT:
            return struct.unpack_from("<Q", entry, 32)[0]
    sys.exit("mbr.py: the disk has no BIOS boot partition")


def main():
    path, boot = sys.argv[1:]
    with open(boot, "rb") as file:
        code = bytearray(file.read(SECTOR))
    with open(path, "r+b") as disk:
        core = bios_boot_partition(disk)
        struct.pack_into("<Q", code, KERNEL_SECTOR, core)
        # Two no-operations in place of the jump: the number of the drive is the one that the BIOS gave.
        code[DRIVE_CHECK : DRIVE_CHECK + 2] = b"\x90\x90"
        disk.seek(0)
        disk.write(code[:CODE_END])
        disk.seek(core * SECTOR + BLOCK_LIST)
        disk.write(struct.pack("<Q", core + 1))


main()
