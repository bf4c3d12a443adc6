"""Checks kvista's machine facts and page counts against what the guest's kernel says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import kvista
from compare import MARKS
from oracles import Oracle
from pageflags import PageClass

TEXT_MAPPING = 0xFFFFFFFF80000000
DEFAULT_TEXT = 0xFFFFFFFF81000000
PAGE = 4096

ALL_FACTS = (
    "arch release build_id page_size page_table_levels root_page_table phys_base kaslr_offset page_offset direct_map "
    "vmalloc vmemmap modules kernel_image sme_mask struct_page_size section_size_bits max_physmem_bits cpus state"
).split()
"""What `kvista info` tells about every kernel from 6.1 on; the crash time not, as none of the lab's has crashed."""

NEEDED_FACTS = "arch release page_size page_table_levels root_page_table phys_base page_offset struct_page_size cpus".split()
"""What it tells about older kernels as well."""


class FactCheck:
    """The facts of one report against one guest's oracle; `problems` tells what does not agree. These are x86_64's."""

    verified = ("page_offset", "phys_base")
    """Facts that kvista must have checked against memory."""

    def __init__(self, report: kvista.Report, oracle: Oracle, suite: str, live: bool) -> None:
        self.facts = report.facts()
        self.oracle = oracle
        self.problems: list[str] = []
        self.checked = 0
        self._presence(suite, live)
        for name, want in self._plain():
            self._equal(name, want)
        self._ranges()
        self._kernel_image()
        self._crashkernel()
        self._verified()

    def _value(self, name: str) -> Any:
        row = self.facts.get(name)
        return None if row is None else row["value"]

    def _needed(self, suite: str) -> Iterable[str]:
        """The facts that must have a value."""
        return NEEDED_FACTS if suite == "bullseye" else ALL_FACTS

    def _presence(self, suite: str, live: bool) -> None:
        names = self._needed(suite)
        missing = [name for name in names if name not in self.facts]
        state = self._value("state")
        if state is not None and (state == "live") != live:
            self.problems.append(f"kvista says state = {state}.")
        if missing:
            self.problems.append(f"kvista info does not tell: {', '.join(missing)}.")

    def _symbol(self, name: str) -> int:
        found = self.oracle.symbol(name)
        if found is None:
            self.problems.append(f"The guest's /proc/kallsyms has no {name}.")
        return found or 0

    def _physical(self, virtual: int) -> int:
        """The physical address of something in the kernel's text mapping."""
        return (virtual - TEXT_MAPPING + self.oracle.kernel_word("phys_base")) & kvista.MASK

    def _plain(self) -> Iterator[tuple[str, int | str]]:
        """Facts that are one number or one word."""
        yield "page_offset", self.oracle.kernel_word("page_offset_base")
        yield "phys_base", self.oracle.kernel_word("phys_base")
        yield "root_page_table", self._physical(self._symbol("init_top_pgt"))
        yield "kaslr_offset", self._symbol("_stext") - DEFAULT_TEXT
        yield "page_table_levels", self.oracle.page_table_levels()
        yield "page_size", PAGE
        yield "cpus", self.oracle.cpus()
        yield "release", self.oracle.release()
        yield "arch", "x86_64"
        build_id = self.oracle.build_id()
        if build_id is not None:
            yield "build_id", build_id

    def _equal(self, name: str, want: int | str) -> None:
        value = self._value(name)
        if value is None:
            return
        self.checked += 1
        agrees = str(value) == want if isinstance(want, str) else kvista.address(value) == want
        if not agrees:
            shown = want if isinstance(want, str) else hex(want)
            self.problems.append(f"kvista says {name} = {value}, the guest's kernel says {shown}.")

    def _ranges(self) -> None:
        """Ranges of virtual addresses: where they start, and that they hold what must be inside."""
        starts = {"direct_map": "page_offset_base", "vmalloc": "vmalloc_base", "vmemmap": "vmemmap_base"}
        for name, variable in starts.items():
            value = self._value(name)
            if value is None:
                continue
            self.checked += 1
            first, last = kvista.span(value)
            if first != self.oracle.kernel_word(variable):
                self.problems.append(f"kvista's {name} {value} does not start at {variable} {self.oracle.kernel_word(variable):#x}.")
            if last <= first:
                self.problems.append(f"kvista's {name} {value} is empty.")
        self._inside("direct_map", [self.oracle.kernel_word("page_offset_base") + self.oracle.iomem("System RAM")[-1][1]])
        self._inside("modules", self.oracle.module_addresses())

    def _inside(self, name: str, addresses: list[int]) -> None:
        if self._value(name) is None:
            return
        self.checked += 1
        first, last = kvista.span(self._value(name))
        outside = [hex(address) for address in addresses if not first <= address <= last]
        if outside:
            self.problems.append(f"kvista's {name} {self._value(name)} does not hold {outside[0]}.")

    def _kernel_image(self) -> None:
        """From the start of the text to the end of bss (or to _end, past the brk area) as /proc/iomem has them."""
        value = self._value("kernel_image")
        if value is None:
            return
        self.checked += 1
        first, last = (self._physical(end) if end >= TEXT_MAPPING else end for end in kvista.span(value))
        start, bss_end = self.oracle.iomem("Kernel code")[0][0], self.oracle.iomem("Kernel bss")[0][1]
        if first != start or last not in (bss_end, self._physical(self._symbol("_end")) - 1):
            self.problems.append(f"kvista's kernel_image {value} is {first:#x}-{last:#x}, /proc/iomem has {start:#x}-{bss_end:#x}.")

    def _crashkernel(self) -> None:
        want, value = self.oracle.iomem("Crash kernel"), self._value("crashkernel")
        if not want:
            if value not in (None, "none"):
                self.problems.append(f"kvista sees a crashkernel reservation {value} where there is none.")
            return
        self.checked += 1
        spans = [] if value in (None, "none") else [kvista.span(part) for part in value.split(",")]
        if sorted(spans) != want:
            shown = ", ".join(f"{first:#x}-{last:#x}" for first, last in want)
            self.problems.append(f"kvista says crashkernel = {value}, /proc/iomem has {shown}.")

    def _verified(self) -> None:
        for name in self.verified:
            if name in self.facts and self.facts[name].get("verified") is not True:
                self.problems.append(f"kvista has not verified {name} (source: {self.facts[name].get('source')}).")


def counts(report: kvista.Report) -> Counter[str]:
    """Pages by class as `mem-usage` counts them."""
    return Counter({row["type"]: int(row["pages"]) for row in report.table("pages")})


def check_sums(report: kvista.Report) -> list[str]:
    """That a census adds up."""
    problems = []
    rows, totals = report.table("pages"), report.table("totals")[0]
    pages = sum(int(row["pages"]) for row in rows)
    if pages != totals["pages"]:
        problems.append(f"The rows of mem-usage add up to {pages} pages, its total is {totals['pages']}.")
    wrong = [row["type"] for row in rows if row["bytes"] != row["pages"] * totals["page_size"]]
    if wrong:
        problems.append(f"mem-usage gives bytes that are not pages times page size for {', '.join(wrong)}.")
    if abs(sum(float(row["percent"]) for row in rows) - 100) > 0.1:
        problems.append("The percentages of mem-usage do not add up to 100.")
    return problems


def check_census(report: kvista.Report, classes: bytes, oracle: Oracle) -> list[str]:
    """That `mem-usage` gives the same numbers as the map of classes, and the kernel's own count of free pages."""
    problems = check_sums(report)
    by_value = Counter(classes)
    found = counts(report)
    for page_class in list(PageClass)[1:]:
        want = sum(count for value, count in by_value.items() if value & 15 == page_class)
        if found[page_class.name] != want:
            problems.append(f"mem-usage counts {found[page_class.name]} pages of {page_class.name}, the map has {want}.")
    for row in report.table("of_which"):
        bit = MARKS[row["type"]][0] if row["type"] in MARKS else 0
        want = sum(n for value, n in by_value.items() if value & bit and (value & 15) == PageClass[row["of"]])
        if bit and row["pages"] != want:
            problems.append(f"mem-usage counts {row['pages']} pages of {row['type']}, the map has {want}.")
    return problems + check_free(report, oracle.free_pages("buddyinfo.before"), oracle.free_pages("buddyinfo.after"), 0)


def check_free(report: kvista.Report, before: int, after: int, slack: int) -> list[str]:
    """That FREE lies between two readings of /proc/buddyinfo, give or take `slack` pages."""
    problems = []
    free = counts(report)["FREE"]
    if not min(before, after) - slack <= free <= max(before, after) + slack:
        problems.append(f"mem-usage counts {free} free pages, /proc/buddyinfo has {before} before and {after} after it.")
    check = report.table("free_check")[0]
    if check["difference"] is None:
        return [*problems, f"mem-usage does not count the free lists: {'; '.join(report.warnings)}"]
    if check["difference"] != check["counted"] - check["free_lists"] or check["counted"] != free:
        problems.append(f"The free check of mem-usage contradicts itself: {check}.")
    if abs(check["difference"]) > slack:
        problems.append(f"mem-usage counts {check['counted']} free pages, the zones' lists hold {check['free_lists']}.")
    return problems
