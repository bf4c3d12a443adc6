"""Machine facts of architectures other than x86_64, against what the guest's /proc/kcore, iomem and kallsyms say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import facts
import kvista
from architectures import Architecture
from oracles import Mapped, Oracle

NEEDED = "arch release build_id page_size root_page_table kernel_image struct_page_size section_size_bits cpus state".split()

OWN = {
    "arm64": "va_bits va_bits_actual page_table_levels kimage_voffset kaslr_offset page_offset phys_offset vmemmap modules".split(),
    "riscv64": [
        *("va_bits_actual", "page_table_levels", "va_kernel_pa_offset", "kaslr_offset", "page_offset", "phys_offset"),
        *("direct_map", "vmalloc", "vmemmap", "modules"),
    ],
    "s390x": "page_table_levels kimage_voffset kaslr_offset page_offset direct_map vmalloc vmemmap modules".split(),
}
"""What `kvista info` tells beside that."""

LINKED_AT = {"arm64": 0xFFFF800080000000, "riscv64": 0xFFFFFFFF80002000, "s390x": 0x100000}
"""_text without KASLR: KIMAGE_VADDR (arch/arm64/include/asm/memory.h), KERNEL_LINK_ADDR behind the boot code; on s390x, where it is
linked (TEXT_OFFSET)."""

WORDS = {"arm64": {"kimage_voffset": "kimage_voffset"}, "riscv64": {"phys_offset": "phys_ram_base", "page_offset": "kernel_map"}}
"""Facts that are a variable of the kernel, or the first member of one."""

VA_BITS = {"arm64": {4: 48, 5: 52}, "riscv64": {3: 39, 4: 48, 5: 57}}
"""Bits of a virtual address by levels of page tables."""


class OtherFactCheck(facts.FactCheck):
    """The facts of one report against one guest's oracle."""

    verified = ()

    def __init__(self, report: kvista.Report, oracle: Oracle, architecture: Architecture, suite: str, live: bool) -> None:
        self._architecture = architecture
        self._parts = oracle.kcore_ranges()
        super().__init__(report, oracle, suite, live)

    def _needed(self, suite: str) -> Iterable[str]:
        return [*NEEDED, *OWN[self._architecture.name]]

    def _text(self) -> Mapped:
        """Where /proc/kcore has the kernel image."""
        start = self._symbol("_text")
        return next(part for part in self._parts if part.physical is not None and part.holds(start))

    def _ram(self) -> list[Mapped]:
        """Where /proc/kcore has the direct map."""
        return [part for part in self._parts if part.physical is not None and part != self._text()]

    def _physical(self, virtual: int) -> int:
        text = self._text()
        return virtual - text.virtual + (text.physical or 0)

    def _plain(self) -> Iterator[tuple[str, int | str]]:
        name = self._architecture.name
        yield "arch", name
        yield "release", self.oracle.release()
        yield "page_size", facts.PAGE
        yield "cpus", self.oracle.cpus()
        yield "root_page_table", self._physical(self._symbol("swapper_pg_dir"))
        if build_id := self.oracle.build_id():
            yield "build_id", build_id
        levels = self.oracle.page_table_levels()
        if levels is not None:
            yield "page_table_levels", levels
        if name in VA_BITS and levels is not None:
            yield "va_bits_actual", VA_BITS[name][levels]
        if name == "riscv64":
            yield "va_kernel_pa_offset", self._text().virtual - (self._text().physical or 0)
        if name in LINKED_AT:
            yield "kaslr_offset", self._symbol("_text") - LINKED_AT[name]
        if name == "s390x":
            yield "kimage_voffset", self._symbol("_text") - self._physical(self._symbol("_text"))
            yield "page_offset", self._ram()[0].virtual - (self._ram()[0].physical or 0)
            first, last = (self.oracle.kernel_word(word) for word in ("MODULES_VADDR", "MODULES_END"))
            yield "modules", f"{first:#x}-{last - 1:#x}"
        for fact, word in WORDS.get(name, {}).items():
            yield fact, self.oracle.kernel_word(word)

    def _ranges(self) -> None:
        """The direct map by page_offset and phys_offset, and that each range holds what /proc has there."""
        if None not in (self._value("page_offset"), self._value("phys_offset")):
            self.checked += 1
            shift = kvista.address(self._value("page_offset")) - kvista.address(self._value("phys_offset"))
            wrong = [part for part in self._ram() if (part.virtual - (part.physical or 0) - shift) & kvista.MASK]
            if wrong:
                where = f"{wrong[0].physical:#x} at {wrong[0].virtual:#x}"
                said = f"page_offset {self._value('page_offset')} and phys_offset {self._value('phys_offset')}"
                self.problems.append(f"/proc/kcore has physical address {where}, which kvista's {said} do not give.")
        self._inside("direct_map", [at for part in self._ram() for at in (part.virtual, part.virtual + part.size - 1)])
        self._inside("modules", self.oracle.module_addresses())
        memory_map = self._parts[-1]
        self._inside("vmemmap", [memory_map.virtual, memory_map.virtual + memory_map.size - 1])

    def _kernel_image(self) -> None:
        """From _text to _end, as virtual or as physical addresses."""
        value = self._value("kernel_image")
        if value is None:
            return
        self.checked += 1
        first, last = kvista.span(value)
        ends = self._symbol("_text"), self._symbol("_end") - 1
        if (first, last) not in (ends, tuple(map(self._physical, ends))):
            self.problems.append(f"kvista's kernel_image is {value}, /proc/kallsyms has {ends[0]:#x}-{ends[1]:#x}.")
