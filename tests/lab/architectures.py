"""The machines of the lab: what differs between architectures, as one row of data for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One architecture: Debian's names, how QEMU plays it, how programs for it are built."""

    name: str
    """As Debian calls it."""
    machine: str
    """As the kernel calls it (`uname -m`)."""
    kernel_pattern: str
    """The names of the suites' smallest kernel packages."""
    qemu: str
    qemu_package: str
    options: tuple[str, ...]
    """The machine type, and what else QEMU needs to be told."""
    console: str
    """The serial line that `-serial stdio` is, and what shows the first messages."""
    bus: str
    """The suffix of QEMU's virtio devices."""
    modules: tuple[str, ...]
    """Modules whose work the guest cannot do without. A kernel that lacks one as a module has it built in; the guest's
    init checks what they give (disks, balloon, note), not their names."""
    compiler: str
    compiler_package: str
    words: tuple[str, ...]
    """Variables of 8 bytes that the guest reads from its /proc/kcore."""
    ram: int = 0
    """Where RAM starts."""
    note: bool = False
    """Whether QEMU puts the guest's VMCOREINFO into its dumps: it needs fw_cfg (docs/specs/vmcoreinfo.rst)."""
    byte_order: Literal["little", "big"] = "little"
    slowness: int = 1
    """How many times longer than with x86_64 to wait for the guest."""


VIRTIO = ("virtio_pci", "virtio_blk", "virtio_balloon")
EXT4 = ("crc32c_generic", "ext4")
"""What the cloud kernels have built in."""

ARCHITECTURES: Mapping[str, Architecture] = {
    row.name: row
    for row in (
        Architecture(
            name="amd64",
            machine="x86_64",
            kernel_pattern=r"^linux-image-[0-9].*-cloud-amd64$",
            qemu="qemu-system-x86_64",
            qemu_package="qemu-system-x86",
            options=("-M", "q35", "-vga", "std"),
            console="console=ttyS0 earlyprintk=serial,ttyS0",
            bus="pci",
            modules=(*VIRTIO, "qemu_fw_cfg"),
            compiler="gcc",
            compiler_package="gcc",
            words=("page_offset_base", "vmalloc_base", "vmemmap_base", "phys_base"),
            note=True,
        ),
        Architecture(
            name="arm64",
            machine="aarch64",
            kernel_pattern=r"^linux-image-[0-9].*-cloud-arm64$",
            qemu="qemu-system-aarch64",
            qemu_package="qemu-system-arm",
            options=("-M", "virt,gic-version=3"),
            console="console=ttyAMA0 earlycon",
            bus="pci",
            modules=(*VIRTIO, "qemu_fw_cfg"),
            compiler="aarch64-linux-gnu-gcc",
            compiler_package="gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
            words=("memstart_addr", "kimage_voffset"),
            ram=0x40000000,
            note=True,
            slowness=2,
        ),
        Architecture(
            name="riscv64",
            machine="riscv64",
            kernel_pattern=r"^linux-image-[0-9].*-riscv64$",
            qemu="qemu-system-riscv64",
            qemu_package="qemu-system-misc",
            options=("-M", "virt"),
            console="console=ttyS0 earlycon",
            bus="pci",
            modules=(*VIRTIO, *EXT4),
            compiler="riscv64-linux-gnu-gcc",
            compiler_package="gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
            words=("phys_ram_base", "kernel_map"),
            ram=0x80000000,
            slowness=2,
        ),
        Architecture(
            name="s390x",
            machine="s390x",
            kernel_pattern=r"^linux-image-[0-9].*-s390x$",
            qemu="qemu-system-s390x",
            qemu_package="qemu-system-misc",
            options=("-M", "s390-ccw-virtio"),
            console="console=ttysclp0",
            bus="ccw",
            modules=(*VIRTIO, *EXT4),
            compiler="s390x-linux-gnu-gcc",
            compiler_package="gcc-s390x-linux-gnu libc6-dev-s390x-cross",
            words=("vmemmap", "VMALLOC_START", "__memcpy_real_area", "vm_layout", "MODULES_VADDR", "MODULES_END"),
            byte_order="big",
            slowness=2,
        ),
    )
}

AMD64 = ARCHITECTURES["amd64"]


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to boot a kernel."""

    name: str
    cpu: str
    append: str
    architecture: Architecture = AMD64


VARIANTS: Mapping[str, Variant] = {
    row.name: row
    for row in (
        Variant("kaslr", "max", "crashkernel=128M"),
        Variant("nokaslr", "max,la57=off", "nokaslr"),
        # 52 bits of virtual addresses with LVA, 48 without it (arch/arm64/Kconfig: ARM64_VA_BITS_52).
        Variant("arm64-max", "max,pauth-impdef=on", "crashkernel=128M", ARCHITECTURES["arm64"]),
        Variant("arm64-cortex-a72", "cortex-a72", "nokaslr", ARCHITECTURES["arm64"]),
        Variant("riscv64", "rv64", "", ARCHITECTURES["riscv64"]),
        Variant("s390x", "max", "", ARCHITECTURES["s390x"]),
    )
}
