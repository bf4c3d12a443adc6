"""What a guest's kernel said about itself: readers for the files in a capture's oracle directory."""

from __future__ import annotations

import array
import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

import lab

NT_GNU_BUILD_ID = 3
ELF_BIG_ENDIAN = 2
PROGRAM_HEADER = 56
PT_LOAD = 1
NOWHERE = (1 << 64) - 1

Range = tuple[int, int]
"""First and last physical address, both inclusive, as in /proc/iomem."""


class Mapped(NamedTuple):
    """A stretch of the kernel's addresses, and where it is in physical memory if it is there as a whole."""

    virtual: int
    physical: int | None
    size: int

    def holds(self, address: int) -> bool:
        """Whether a virtual address is in it."""
        return self.virtual <= address < self.virtual + self.size


class Oracle:
    """A directory of files that the guest has collected."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self, name: str) -> str:
        """A collected text file."""
        file = self.path / name
        if not file.exists():
            raise lab.LabError(f"The guest did not collect {name}.")
        return file.read_text("utf-8", "replace")

    def words(self, name: str) -> array.array[int]:
        """A collected file of 64-bit numbers, one for each page frame."""
        numbers = array.array("Q")
        numbers.frombytes((self.path / name).read_bytes())
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers

    def release(self) -> str:
        """The kernel release."""
        return self.text("release").strip()

    def page_count(self) -> int:
        """How many page frames the kernel knows."""
        return (self.path / "kpageflags.before").stat().st_size // 8

    def changed_pages(self) -> set[int]:
        """Page frames whose flags differ between the two snapshots."""
        before, after = self.words("kpageflags.before"), self.words("kpageflags.after")
        if len(before) != len(after):
            raise lab.LabError("The two snapshots of /proc/kpageflags differ in length.")
        return {pfn for pfn, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]}

    def symbol(self, name: str) -> int | None:
        """The address of a kernel symbol."""
        found = re.search(rf"^([0-9a-f]+) \S {re.escape(name)}$", self.text("kallsyms"), re.MULTILINE)
        return int(found.group(1), 16) if found else None

    def kernel_word(self, name: str) -> int:
        """The value of a kernel variable that the guest read with dd."""
        found = re.search(rf"^{re.escape(name)} ([0-9a-f]{{16}})$", self.text("kernel_words"), re.MULTILINE)
        if not found:
            raise lab.LabError(f"The guest could not read {name} from its /proc/kcore.")
        return int(found.group(1), 16)

    def build_id(self) -> str | None:
        """The GNU build ID in /sys/kernel/notes, or None."""
        notes = (self.path / "notes").read_bytes()
        at = 0
        order = ">" if self.big_endian() else "<"
        while at + 12 <= len(notes):
            name_size, size, kind = struct.unpack_from(f"{order}III", notes, at)
            name_end = at + 12 + (name_size + 3 & ~3)
            if kind == NT_GNU_BUILD_ID and notes[at + 12 : at + 16] == b"GNU\0":
                return notes[name_end : name_end + size].hex()
            at = name_end + (size + 3 & ~3)
        return None

    def module_addresses(self) -> list[int]:
        """Where the loaded modules start."""
        found = re.findall(r"\b0x([0-9a-f]{16})\b", self.text("modules"))
        return [int(value, 16) for value in found]

    def iomem(self, name: str) -> list[Range]:
        """The ranges of /proc/iomem that bear a name."""
        found = re.findall(rf"^\s*([0-9a-f]+)-([0-9a-f]+) : {re.escape(name)}$", self.text("iomem"), re.MULTILINE)
        return [(int(first, 16), int(last, 16)) for first, last in found]

    def machine(self) -> str:
        """What `uname -m` shows."""
        return self.text("utsname").split()[-1]

    def big_endian(self) -> bool:
        """The kernel's byte order, as the ELF header of its /proc/kcore has it."""
        return (self.path / "kcore_headers").read_bytes()[5] == ELF_BIG_ENDIAN

    def page_table_levels(self) -> int | None:
        """The levels of the kernel's page tables; None where a guest cannot see it."""
        machine = self.machine()
        if machine == "x86_64":  # With 5 levels the direct map starts below the canonical addresses of 4.
            return 5 if self.kernel_word("page_offset_base") < 0xFFFF800000000000 else 4
        if machine == "aarch64":  # With 52 bits of addresses (5 levels of 4 KiB pages) below those of 48.
            return 5 if min(part.virtual for part in self.kcore_ranges()) < 0xFFFF000000000000 else 4
        if machine == "s390x":  # 3 levels have 42 bits of addresses (arch/s390/boot/startup.c)
            return 4 if max(part.virtual for part in self.kcore_ranges()) >> 42 else 3
        if found := re.search(r"^mmu\s*: sv(\d+)$", self.text("cpuinfo"), re.MULTILINE):
            return (int(found.group(1)) - 12) // 9
        return None

    def kcore_ranges(self) -> list[Mapped]:
        """What /proc/kcore maps, in its order."""
        data, order = (self.path / "kcore_headers").read_bytes(), ">" if self.big_endian() else "<"
        start, count = struct.unpack_from(f"{order}Q", data, 32)[0], struct.unpack_from(f"{order}H", data, 56)[0]
        found = []
        for at in range(start, min(start + count * PROGRAM_HEADER, len(data) - PROGRAM_HEADER + 1), PROGRAM_HEADER):
            kind, _, _, virtual, physical, _, size = struct.unpack_from(f"{order}IIQQQQQ", data, at)
            if kind == PT_LOAD:
                found.append(Mapped(virtual, None if physical == NOWHERE else physical, size))
        return found

    def cpus(self) -> int:
        """The number of CPUs."""
        return len(re.findall(r"^processor\s*\d*\s*:", self.text("cpuinfo"), re.MULTILINE))

    def free_pages(self, name: str) -> int:
        """The pages on the free lists of all zones, from a copy of /proc/buddyinfo."""
        total = 0
        for line in self.text(name).splitlines():
            counts = line.split("zone", 1)[-1].split()[1:]
            total += sum(int(count) << order for order, count in enumerate(counts))
        return total

    def impossible_classes(self) -> dict[str, str]:
        """Page classes that this kernel or this machine cannot have, each with the reason."""
        reasons = {"unaccepted": "only confidential guests (TDX, SEV-SNP) have unaccepted memory"}
        if self.symbol("memory_failure") is None:
            reasons["HWPOISON"] = "this kernel is built without CONFIG_MEMORY_FAILURE"
        if "crashkernel=" not in self.text("cmdline"):
            reasons["crashkernel"] = "this variant boots without crashkernel="
        return reasons
