"""Compares kvista's totals with those of Debian sid's makedumpfile on a capture's dump.

makedumpfile's rule is written down here a second time, frame by frame. Its totals must come out exactly; then each
frame that kvista sees differently must be explained by a rule of makedumpfile_differences.toml.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import capture
import dumpfile
import full_peers
import kvista
import lab
from forms import LEVEL_BITS
from oracles import Oracle
from pageflags import PageClass

RULES = Path(__file__).resolve().parent / "makedumpfile_differences.toml"
MODELLED = "1.7.8"
PAGE = dumpfile.PAGE
LEVELS = (1, 2, 4, 8, 16, 31)
LEAST_ROWS = 8 * len(LEVELS)
LEAST_PAGES = 200_000
PIECE = 2 << 20

ROWS = {
    "Pages filled with zero": PageClass.ZERO,
    "Non-private cache pages": PageClass.NON_PRI_CACHE,
    "Private cache pages": PageClass.PRI_CACHE,
    "User process data pages": PageClass.USER,
    "Free pages": PageClass.FREE,
    "Hwpoison pages": PageClass.HWPOISON,
    "Offline pages": PageClass.OFFLINE,
    "Remaining pages": PageClass.KERN_DATA,
}
"""The rows of makedumpfile's report, as classes."""

class Note:
    """The numbers in a guest's VMCOREINFO."""

    def __init__(self, text: str) -> None:
        self._values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def get(self, key: str, default: int | None = None) -> int | None:
        """An entry as a number, or the default."""
        value = self._values.get(key)
        return default if value is None else int(value, 0)

    def need(self, key: str) -> int:
        """An entry that must be there."""
        value = self.get(key)
        if value is None:
            raise lab.LabError(f"The guest's VMCOREINFO has no {key}.")
        return value


class StructPages:
    """The struct pages of a dump's frames."""

    def __init__(self, binary: Path, dump: dumpfile.Dump, image: Path, note: Note, oracle: Oracle) -> None:
        self.size = note.need("SIZE(page)")
        self._dump = dump
        self._maps: dict[int, bytes] = {}
        self.per_piece = PIECE // self.size
        base = oracle.kernel_word("vmemmap_base")
        for first in range(0, oracle.page_count(), self.per_piece):
            virtual = base + first * self.size
            row = kvista.run(binary, "-c", str(image), "vtop", hex(virtual)).table("result")[0]
            if row["status"] == "mapped" and kvista.number(row["page_size"]) >= PIECE:
                self._maps[first // self.per_piece] = dump.read(kvista.number(row["physical"]), PIECE)

    def piece(self, index: int) -> bytes | None:
        """The struct pages of the frames from index * per_piece on."""
        return self._maps.get(index)


class Model:
    """makedumpfile 1.7.8's __exclude_unnecessary_pages(), for x86_64 and what Debian's kernels export."""

    def __init__(self, structs: StructPages, note: Note, present: bytearray, is_zero: Callable[[int], bool]) -> None:
        self._structs = structs
        self._present = present
        self._is_zero = is_zero

        def offset(name: str) -> int:
            return note.need(f"OFFSET(page.{name})")

        def bit(name: str, default: int) -> int:
            return 1 << (note.get(f"NUMBER({name})", default) or 0)

        def value(name: str) -> int | None:
            number = note.get(f"NUMBER(PAGE_{name}_MAPCOUNT_VALUE)")
            return None if number is None else number & 0xFFFFFFFF

        self._flags, self._mapping, self._private = offset("flags") // 8, offset("mapping") // 8, offset("private") // 8
        self._mapcount = offset("_mapcount") // 4
        head = note.get("OFFSET(page.compound_head)")
        self._compound_head = None if head is None else head // 8
        self._lru, self._private_bit = bit("PG_lru", 5), bit("PG_private", 11)
        self._swapcache, self._slab_bit = bit("PG_swapcache", 15), bit("PG_slab", 7)
        self._swapbacked = bit("PG_swapbacked", 64)
        self._hwpoison = bit("PG_hwpoison", 64)
        self._head = note.get("NUMBER(PG_head_mask)", 1 << 14)
        self._buddy, self._slab_type = value("BUDDY"), value("SLAB")
        self._offline, self._hugetlb = value("OFFLINE"), value("HUGETLB")
        self._orders = note.need("LENGTH(zone.free_area)")
        self._order_at = note.get("OFFSET(page.compound_order)")
        self._dtor_at = note.get("OFFSET(page.compound_dtor)")
        self._dtor = note.get("NUMBER(HUGETLB_PAGE_DTOR)")

    def run(self, level: int) -> bytearray:
        """A class for each frame that is in a segment and has a struct page; what is kept is KERN_DATA or ZERO."""
        result = bytearray(len(self._present))
        for index in range(len(result) // self._structs.per_piece):
            if self._structs.piece(index) is None:
                continue
            first = index * self._structs.per_piece
            for pfn in range(first, first + self._structs.per_piece):
                if self._present[pfn]:
                    result[pfn] = PageClass.KERN_DATA
        # Without a reason to look at struct pages it does not, and keeps offline ones too.
        looks = level & ~1 or self._hwpoison < 1 << 64
        for index in range(len(result) // self._structs.per_piece):
            piece = self._structs.piece(index)
            if looks and piece is not None:
                self._piece(piece, index * self._structs.per_piece, level, result)
        if level & 1:
            for pfn, found in enumerate(result):
                if found == PageClass.KERN_DATA and self._is_zero(pfn):
                    result[pfn] = PageClass.ZERO
        return result

    def _piece(self, piece: bytes, first: int, level: int, result: bytearray) -> None:
        words, halves = memoryview(piece).cast("Q"), memoryview(piece).cast("I")
        step = self._structs.size // 8
        for into in range(self._structs.per_piece):
            pfn, at = first + into, into * step
            if not self._present[pfn]:
                continue
            if self._compound_head is not None and words[at + self._compound_head] & 1:
                continue
            flags, mapcount = words[at + self._flags], halves[2 * at + self._mapcount]
            order, hugetlb = 0, False
            if flags & (self._head or 0) and into + 1 < self._structs.per_piece:
                order, hugetlb = self._compound(piece, words, at, mapcount)
                if order >= 64 or pfn & ((1 << order) - 1):
                    order, hugetlb = 0, False
            mapping, private = words[at + self._mapping], words[at + self._private]
            found, order = self._judge(flags, mapcount, mapping, private, order, hugetlb, level)
            if found is not None:
                end = min(pfn + (1 << order), len(result))
                for excluded in range(pfn, end):
                    if result[excluded] == PageClass.KERN_DATA:
                        result[excluded] = found

    def _compound(self, piece: bytes, words: memoryview, at: int, mapcount: int) -> tuple[int, bool]:
        """A head's order, and whether it is hugetlb's."""
        second = 8 * at + self._structs.size
        if self._order_at is None:
            return words[second // 8 + self._flags] & 0xFF, self._hugetlb is not None and mapcount == self._hugetlb
        dtor = None if self._dtor_at is None else piece[second + self._dtor_at]
        return piece[second + self._order_at], dtor is not None and dtor == self._dtor

    def _judge(
        self, flags: int, mapcount: int, mapping: int, private: int, order: int, hugetlb: bool, level: int
    ) -> tuple[PageClass | None, int]:
        """What a page is excluded as, if at all, and the order of the range that goes with it."""
        slab = bool(flags & self._slab_bit) or mapcount == self._slab_type
        cache = bool(flags & self._lru) or bool(flags & self._swapcache and flags & self._swapbacked)
        anon = bool(mapping & 1) and not slab
        if level & 16 and mapcount == self._buddy and not slab:
            return (PageClass.FREE, private) if private < self._orders else (None, 0)
        if level & 2 and cache and not flags & self._private_bit and not anon:
            return PageClass.NON_PRI_CACHE, order
        if level & 4 and cache and not anon:
            return (PageClass.PRI_CACHE if flags & self._private_bit else PageClass.NON_PRI_CACHE), order
        if level & 8 and (anon or hugetlb):
            return PageClass.USER, order
        if flags & self._hwpoison:
            return PageClass.HWPOISON, order
        if mapcount == self._offline and not slab:
            return PageClass.OFFLINE, order
        return None, 0


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame that the two count differently."""

    ours: int
    theirs: int
    reserved: bool
    """Whether it is in the crash kernel's reservation."""
    tail: bool
    """Whether its struct page is a compound page's tail whose page.mapping has the lowest bit set."""


PREDICATES: dict[str, Callable[[Frame], bool]] = {
    "crash_kernel": lambda frame: frame.reserved and frame.ours == PageClass.NOT_IN_IMAGE,
    "no_memory_map": lambda frame: frame.ours == PageClass.NO_STRUCT_PAGE and frame.theirs == 0,
    "hwpoison_of_user": lambda frame: frame.ours == PageClass.HWPOISON and frame.theirs == PageClass.USER,
    "tail_taken_for_user": lambda frame: frame.tail and frame.theirs == PageClass.USER and frame.ours not in NOT_TAILS,
}
NOT_TAILS = (PageClass.USER, PageClass.HWPOISON, PageClass.NOT_IN_IMAGE, PageClass.NO_STRUCT_PAGE)


def report_of(peers: full_peers.Peers, dump: Path, level: int) -> dict[PageClass, int]:
    """What makedumpfile counts at a level."""
    command = peers.command("makedumpfile", "--dry-run", "--show-stats", "--message-level", "16", "-d", str(level))
    text = lab.run([*command, str(dump), str(dump.with_name("never-written"))], f"running makedumpfile -d {level}")
    found = {}
    for name, page_class in ROWS.items():
        row = re.search(rf"{name}\s*: 0x([0-9a-f]+)", text)
        if row is None:
            raise lab.LabError(f"makedumpfile's report has no row '{name}':\n{text}")
        found[page_class] = int(row.group(1), 16)
    return found


class Trial:
    """One capture: kvista, makedumpfile and the model of makedumpfile on the same dump."""

    def __init__(self, binary: Path, tool: Path, found: capture.Capture) -> None:
        self.problems: list[str] = []
        self.rows = 0
        self.explained: Counter[str] = Counter()
        self._binary, self._image = binary, found.dump
        self._name = f"{found.about['suite']}-{found.about['variant']}"
        oracle = Oracle(found.oracle)
        self._dump = dumpfile.Dump(found.dump)
        note = Note(lab.run([str(binary), "vmcoreinfo", str(found.dump)], "reading the note"))
        self._structs = StructPages(binary, self._dump, found.dump, note, oracle)
        self._zeros = bytes(self._dump.is_zero(pfn) for pfn in range(self._dump.end_pfn()))
        self._model = Model(self._structs, note, self._dump.present(), lambda pfn: bool(self._zeros[pfn]))
        self._classes = kvista.page_classes(tool, found.dump)
        self._compound = note.get("OFFSET(page.compound_info)", note.get("OFFSET(page.compound_head)")) or 0
        self._mapping = note.need("OFFSET(page.mapping)")
        self._crash = [(first // PAGE, last // PAGE) for first, last in oracle.iomem("Crash kernel")]
        rules = tomllib.loads(RULES.read_text("utf-8"))["difference"]
        if sorted(rule["name"] for rule in rules) != sorted(PREDICATES):
            raise lab.LabError(f"{RULES.name} and the predicates name different rules.")
        self._rules = [rule["name"] for rule in rules if self._name in rule["captures"]]

    def _equal(self, what: str, one: int, other: int) -> None:
        self.rows += 1
        if one != other:
            self.problems.append(f"{what}: {one} and {other}.")

    def _frame(self, pfn: int, ours: int, theirs: int) -> Frame:
        piece = self._structs.piece(pfn // self._structs.per_piece)
        tail = False
        if piece is not None:
            at = pfn % self._structs.per_piece * self._structs.size
            tail = bool(piece[at + self._compound] & piece[at + self._mapping] & 1)
        return Frame(ours, theirs, any(first <= pfn <= last for first, last in self._crash), tail)

    def _explain(self, pfn: int, ours: int, theirs: int) -> None:
        """Find the one rule for a frame that is counted differently."""
        frame = self._frame(pfn, ours, theirs)
        names = [name for name in self._rules if PREDICATES[name](frame)]
        if names:
            self.explained[names[0]] += 1
        elif len(self.problems) < 20:
            names = [PageClass(value).name for value in (ours, theirs)]
            self.problems.append(f"pfn {pfn:#x}: {names[0]} for kvista, {names[1]} for makedumpfile, and no rule says why.")

    def compare_classes(self, theirs: bytearray, report: dict[PageClass, int]) -> None:
        """At level 31 each class of makedumpfile is one of kvista's."""
        rows = kvista.run(self._binary, "mem-usage", str(self._image)).table("pages")
        ours = {PageClass[row["type"]]: row["pages"] for row in rows}
        shift: Counter[int] = Counter()
        for pfn, value in enumerate(self._classes):
            mine = value & 15
            other = theirs[pfn] if pfn < len(theirs) else 0
            if mine != other:
                self._explain(pfn, mine, other)
                shift[mine] -= 1
                shift[other] += 1
        for page_class in ROWS.values():
            what = f"{page_class.name}, by kvista with the explained frames moved, and by makedumpfile"
            self._equal(what, ours.get(page_class, 0) + shift[page_class], report[page_class])

    def _keeps(self, pfn: int, level: int) -> bool:
        """Whether a dump of kvista's of that level would hold a frame."""
        page_class = PageClass(self._classes[pfn] & 15)
        if page_class == PageClass.NOT_IN_IMAGE or LEVEL_BITS.get(page_class, 0) & level:
            return False
        return page_class == PageClass.NO_STRUCT_PAGE or not (level & 1 and self._zeros[pfn])

    def compare_level(self, level: int, theirs: bytearray, report: dict[PageClass, int], dumpable: int) -> None:
        """At any level: which frames a dump holds."""
        count = kept = 0
        for pfn in range(len(theirs)):
            ours = self._keeps(pfn, level)
            count += ours
            kept += theirs[pfn] == PageClass.KERN_DATA
            if ours != (theirs[pfn] == PageClass.KERN_DATA):
                self._explain(pfn, self._classes[pfn] & 15, theirs[pfn])
        self._equal(f"Level {level}: dumpable pages by mem-usage --levels --exact and by class", dumpable, count)
        self._equal(f"Level {level}: pages that the model and makedumpfile keep", kept, report[PageClass.KERN_DATA])

    def run(self, peers: full_peers.Peers) -> None:
        """All comparisons."""
        levels = kvista.run(self._binary, "mem-usage", "--levels", "--exact", str(self._image)).table("levels")
        dumpable = {row["level"]: row["pages"] for row in levels}
        with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
            copy = Path(folder) / "dump.elf"
            lab.run(["cp", "--sparse=always", str(self._image), str(copy)], "copying the dump")
            copy.chmod(0o600)
            full_peers.move_program_headers(copy)
            for level in LEVELS:
                report, theirs = report_of(peers, copy, level), self._model.run(level)
                counts = Counter(theirs)
                for name, page_class in ROWS.items():
                    what = f"Level {level}: '{name}' by the model and by makedumpfile"
                    self._equal(what, counts[page_class], report[page_class])
                self.compare_level(level, theirs, report, dumpable[level])
                if level == 31:
                    self.compare_classes(theirs, report)
        compared = len(theirs) - counts[0]
        print(f"{self._name}: {self.rows} rows and {compared} frames compared")
        for name, frames in self.explained.items():
            print(f"  difference '{name}': {frames} frames over all levels")
        self.problems += [f"The difference '{name}' does not occur." for name in self._rules if not self.explained[name]]
        if self.rows < LEAST_ROWS or compared < LEAST_PAGES:
            self.problems.append(f"At least {LEAST_ROWS} rows and {LEAST_PAGES} frames must be compared.")


def main() -> int:
    """Compare one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=lab.VARIANTS, required=True)
    arguments = parser.parse_args()
    peers = full_peers.fetch()
    if peers.version() != MODELLED:
        print(f"makedumpfile is {peers.version()}, the rules here are those of {MODELLED}: differences may be due to that")
    trial = Trial(arguments.kvista, arguments.classes, capture.capture(arguments.suite, arguments.variant))
    trial.run(peers)
    for problem in trial.problems:
        print(f"  FAIL {problem}")
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
