"""Dumps that kvista writes of a capture, at several levels: against their source, and against makedumpfile's.

Page for page: each page that a dump holds has the source's bytes, and each that it does not hold is of a class that
the level leaves out. The pages that makedumpfile chooses are read from the second bitmap of its own dump; where the two
differ, a rule of dump_differences.toml must say why. Then makedumpfile, crash and drgn must tell the same of a dump as of its source.
At last a dump in which names are erased: it has the source's bytes but for the names.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import capture
import dumpfile
import full_drgn
import full_peers
import kdumpfile
import kernels
import kvista
import lab
from forms import LEVEL_BITS
from full_makedumpfile import Note, StructPages
from oracles import Oracle
from pageflags import PageClass

HERE = Path(__file__).resolve().parent
RULES = HERE / "dump_differences.toml"
VARIANT = "kaslr"
PAGE = dumpfile.PAGE
LEVELS = {0: "none", 1: "zlib", 17: "zlib", 31: "zlib"}
"""Each with what its pages are compressed with: what Python can read."""
LEAST_PAGES = {0: 200_000, 1: 200_000, 17: 60_000, 31: 20_000}
LEAST_LINES = {"makedumpfile": 200, "crash": 100, "drgn": 40}

ERASE_RULES = """# the host, and what runs on it
erase init_uts_ns.name.nodename
for t in init_task.tasks.next within task_struct:tasks
    erase t.comm
endfor
"""
NODENAME, COMM = 65, 16
"""Bytes of the one and the other (__NEW_UTS_LEN + 1, TASK_COMM_LEN)."""
LEAST_TASKS = 20
ESTIMATE_SLACK = 2.0
"""The size is within the stated bounds in 95 of 100 cases, and nearly always within twice as wide ones."""
LEAST_SAMPLED = 2000

CRASH = (("crash",), "crash-sid")
CRASH_COMMANDS = "set scroll off\nsys\nps\nmod\nmount\nlog\nexit\n"
READ_BY_CRASH, READ_BY_DRGN = ("bookworm",), ("bookworm", "sid")
"""The suites whose debuginfo the lab has anyway, without which neither reads a dump. crash 9.0.2 cannot read 7.x."""

DRGN_SCRIPT = """
import drgn, sys
from drgn.helpers.linux import for_each_task, get_dmesg
program = drgn.Program()
program.set_core_dump(sys.argv[1])
program.load_debug_info([sys.argv[2]])
print(program["init_uts_ns"])
for task in for_each_task(program):
    print(task.pid.value_(), task.comm.string_(), hex(task.value_()))
print(get_dmesg(program).decode("utf-8", "backslashreplace"))
"""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame that one of the two dumps holds, and the other does not."""

    ours: PageClass
    held: bool
    """Whether kvista's dump holds it."""
    tail: bool
    """Whether its struct page is a compound page's tail whose page.mapping has the lowest bit set."""


PREDICATES: dict[str, Callable[[Frame], bool]] = {
    "no_memory_map": lambda frame: frame.held and frame.ours == PageClass.NO_STRUCT_PAGE,
    "never_touched": lambda frame: not frame.held and frame.ours in (PageClass.HWPOISON, PageClass.OFFLINE),
    "tail_taken_for_user": lambda frame: frame.held and frame.tail,
}


def is_left_out(page_class: PageClass, level: int) -> bool:
    """Whether a dump of kvista's of that level does not hold a class. Pages of zeros are one, which all share."""
    if page_class in (PageClass.NOT_IN_IMAGE, PageClass.HWPOISON, PageClass.OFFLINE):
        return True
    return page_class != PageClass.ZERO and bool(LEVEL_BITS.get(page_class, 0) & level)


class Trial:
    """One capture, and all that is asked of it."""

    def __init__(self, binary: Path, tool: Path, found: capture.Capture) -> None:
        self.problems: list[str] = []
        self._binary = binary
        self._suite = found.about["suite"]
        self._image = found.dump
        self._dump = dumpfile.Dump(found.dump)
        self._present = self._dump.present()
        self._classes = kvista.page_classes(tool, found.dump)
        oracle = Oracle(found.oracle)
        note = Note(lab.run([str(binary), "vmcoreinfo", str(found.dump)], "reading the note"))
        self._structs = StructPages(binary, self._dump, found.dump, note, oracle)
        self._compound = note.get("OFFSET(page.compound_info)", note.get("OFFSET(page.compound_head)")) or 0
        self._mapping = note.need("OFFSET(page.mapping)")
        self._reserved = [(first // PAGE, last // PAGE) for first, last in oracle.iomem("Crash kernel")]
        self._rules = tomllib.loads(RULES.read_text("utf-8"))["difference"]
        if sorted(rule["name"] for rule in self._rules) != sorted(PREDICATES):
            raise lab.LabError(f"{RULES.name} and the predicates name different rules.")

    def fail(self, text: str) -> None:
        """Note what is wrong, up to a number of times."""
        if len(self.problems) < 20:
            self.problems.append(text)

    def _class(self, pfn: int) -> PageClass:
        # A count leaves out the crash kernel's reservation; a dump of an image that has it does not.
        if any(first <= pfn <= last for first, last in self._reserved):
            return PageClass.KERN_DATA
        return PageClass(self._classes[pfn] & 15) if pfn < len(self._classes) else PageClass.NOT_IN_IMAGE

    def write(self, level: int, out: Path) -> int:
        """A dump of kvista's; the pages that it holds against the word of their struct pages."""
        options = ["-d", str(level), "--compress", LEVELS[level], "--quiet"]
        report = kvista.run(self._binary, "dump", *options, str(self._image), str(out), statuses=(0, 1))
        (row,) = report.table("dump")
        if not row["complete"] or row["lost"] or row["planned"] != row["saved"]:
            self.fail(f"Level {level}: the dump is not complete: {row}.")
        return int(row["protected"])

    def compare_pages(self, level: int, dump: kdumpfile.KdumpFile) -> None:
        """What the dump holds has the source's bytes."""
        compared = zeros = 0
        shared: kdumpfile.Descriptor | None = None
        for pfn, where in dump.descriptors():
            if self._dump.is_zero(pfn):
                shared = shared or where
                if where != shared:
                    self.fail(f"Level {level}: pfn {pfn:#x} is zeros, and does not share the page of zeros.")
                zeros += 1
            if dump.page(where) != self._dump.read(pfn * PAGE, PAGE):
                self.fail(f"Level {level}: pfn {pfn:#x} has other bytes than in the source.")
            compared += 1
        print(f"  level {level}: {compared} pages have the source's bytes, {zeros} of them zeros")
        if compared < LEAST_PAGES[level]:
            self.fail(f"Level {level}: at least {LEAST_PAGES[level]} pages must be compared, and {compared} are.")

    def compare_choice(self, level: int, dump: kdumpfile.KdumpFile, protected: int) -> None:
        """What the dump does not hold is of a class that the level leaves out, and the other way round."""
        held = set(kdumpfile.frames_of(dump.bitmap))
        left_out: Counter[str] = Counter()
        against = 0
        for pfn, present in enumerate(self._present):
            page_class = self._class(pfn)
            if present and pfn not in held:
                left_out[page_class.name] += 1
                if not is_left_out(page_class, level):
                    self.fail(f"Level {level}: pfn {pfn:#x} is {page_class.name}, and is not in the dump.")
            elif pfn in held and is_left_out(page_class, level):
                against += 1
        if against != protected:
            self.fail(f"Level {level}: {against} pages are held against their class, and {protected} reported.")
        print(f"  level {level}: left out: {', '.join(f'{count} {name}' for name, count in sorted(left_out.items()))}")

    def _frame(self, pfn: int, held: bool) -> Frame:
        piece = self._structs.piece(pfn // self._structs.per_piece)
        tail = False
        if piece is not None:
            at = pfn % self._structs.per_piece * self._structs.size
            tail = bool(piece[at + self._compound] & piece[at + self._mapping] & 1)
        return Frame(self._class(pfn), held, tail)

    def compare_with_peer(self, level: int, ours: bytes, theirs: bytes) -> None:
        """Each frame in one of two second bitmaps only has a rule, and each rule that is listed has frames."""
        name = f"{self._suite}-{level}"
        rules = [rule["name"] for rule in self._rules if name in rule["dumps"]]
        explained: Counter[str] = Counter()
        for held, frames in ((True, kdumpfile.only_in(ours, theirs)), (False, kdumpfile.only_in(theirs, ours))):
            for pfn in kdumpfile.frames_of(frames):
                frame = self._frame(pfn, held)
                fitting = [rule for rule in rules if PREDICATES[rule](frame)]
                if fitting:
                    explained[fitting[0]] += 1
                else:
                    self.fail(f"Level {level}: pfn {pfn:#x}: {frame}, otherwise with makedumpfile, and no rule says why.")
        for rule in rules:
            if not explained[rule]:
                self.fail(f"Level {level}: the difference '{rule}' does not occur.")
        both = kdumpfile.count(ours) - kdumpfile.count(kdumpfile.only_in(ours, theirs))
        differences = ", ".join(f"{count} {rule}" for rule, count in explained.items()) or "none"
        print(f"  level {level}: {both} pages in makedumpfile's dump, too; differences: {differences}")

    def run_level(self, level: int, folder: Path, peers: full_peers.Peers, source: Path) -> Path:
        """One dump of each of the two; kvista's stays."""
        out, other = folder / f"kvista-{level}", folder / "makedumpfile"
        protected = self.write(level, out)
        command = peers.command("makedumpfile", "--message-level", "1", "-l", "-d", str(level), str(source), str(other))
        lab.run(command, f"running makedumpfile -d {level}")
        with kdumpfile.KdumpFile(out) as dump, kdumpfile.KdumpFile(other) as theirs:
            self.compare_pages(level, dump)
            self.compare_choice(level, dump, protected)
            self.compare_with_peer(level, dump.bitmap, theirs.bitmap)
        other.unlink()
        return out

    def compare_erased(self, folder: Path) -> None:
        """Of a dump in which names are erased: the names are X, and nothing else differs."""
        out, rules = folder / "erased", folder / "rules"
        rules.write_text(ERASE_RULES, "ascii")
        options = ["-d", "31", "--compress", "zlib", "--quiet", "--erase", str(rules)]
        (row,) = kvista.run(self._binary, "dump", *options, str(self._image), str(out), statuses=(0, 1)).table("dump")
        places, erased = int(row["erased_places"]), int(row["erased_bytes"])
        if erased != NODENAME + (places - 1) * COMM or places <= LEAST_TASKS:
            self.fail(f"{places} places of {erased} bytes are erased.")
        changed = already = 0
        with kdumpfile.KdumpFile(out) as dump:
            for pfn, where in dump.descriptors():
                page, source = dump.page(where), self._dump.read(pfn * PAGE, PAGE)
                if page == source:
                    continue
                differing = {new for new, old in zip(page, source, strict=True) if new != old}
                if differing != {ord("X")}:
                    self.fail(f"Erased: pfn {pfn:#x} has bytes that are neither the source's nor X.")
                changed += sum(new != old for new, old in zip(page, source, strict=True))
                already += source.count(b"X")
        print(f"  erased: {places} places, {erased} bytes, of which {changed} were no X before")
        if not erased - already <= changed <= erased:
            self.fail(f"Erased: {changed} bytes differ from the source's, and {erased} are said to be erased.")
        out.unlink()

    def compare_estimate(self, level: int, dump: Path) -> None:
        """The size that a sample lets expect."""
        size = dump.stat().st_size
        options = ["-d", str(level), "--compress", LEVELS[level]]
        (row,) = kvista.run(self._binary, "estimate", *options, str(self._image), statuses=(0, 1)).table("estimate")
        expected, stated = int(row["bytes"]), (int(row["most"]) - int(row["least"])) / 2
        error = abs(expected - size)
        print(f"  level {level}: {size} bytes, {expected} expected of {row['sampled']} pages: {error / stated:.2f} of the stated error")
        if error > ESTIMATE_SLACK * stated or int(row["sampled"]) < LEAST_SAMPLED:
            self.fail(f"The dump has {size} bytes, and {row['least']} to {row['most']} were expected of {row['sampled']} pages.")

    def run(self, peers: full_peers.Peers) -> None:
        """All levels, and the peers on the last dump."""
        with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as name:
            folder = Path(name)
            source = folder / "source.elf"
            lab.run(["cp", "--sparse=always", str(self._image), str(source)], "copying the dump")
            source.chmod(0o600)
            full_peers.move_program_headers(source)
            for level in LEVELS:
                dump = self.run_level(level, folder, peers, source)
                if level != max(LEVELS):
                    dump.unlink()
            self.compare_estimate(max(LEVELS), dump)
            self.compare_erased(folder)
            for peer, ask in self._peers(folder, peers):
                of_source, of_dump = ask(source), ask(dump)
                self._equal_lines(peer, of_source, of_dump)

    def _peers(self, folder: Path, peers: full_peers.Peers) -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
        """Each peer that can read this kernel, and how it is asked: lines that must be the same of dump and source."""
        log = folder / "log"

        def makedumpfile(image: Path) -> list[str]:
            log.unlink(missing_ok=True)
            lab.run(peers.command("makedumpfile", "--dump-dmesg", str(image), str(log)), "reading the log")
            return log.read_text("utf-8", "replace").splitlines()

        yield "makedumpfile", makedumpfile
        if self._suite not in READ_BY_DRGN:
            return
        vmlinux = kernels.debuginfo(kernels.fetch(self._suite))
        script = folder / "script.py"
        script.write_text(DRGN_SCRIPT, "ascii")
        drgn_tree = full_peers.fetch(*full_drgn.DRGN)

        def drgn(image: Path) -> list[str]:
            return lab.run(drgn_tree.python(str(script), str(image), str(vmlinux)), "running drgn").splitlines()

        yield "drgn", drgn
        if self._suite not in READ_BY_CRASH:
            return
        commands = folder / "commands"
        commands.write_text(CRASH_COMMANDS, "ascii")
        crash_tree = full_peers.fetch(*CRASH)

        def crash(image: Path) -> list[str]:
            command = crash_tree.command("crash", "-s", "-i", str(commands), str(vmlinux), str(image))
            lines = lab.run(command, "running crash").splitlines()
            return [line for line in lines if not line.lstrip().startswith("DUMPFILE:")]

        yield "crash", crash

    def _equal_lines(self, peer: str, of_source: list[str], of_dump: list[str]) -> None:
        for number, (one, other) in enumerate(zip(of_source, of_dump, strict=False)):
            if one != other:
                self.fail(f"{peer}, line {number + 1}: {one!r} of the source, {other!r} of the dump.")
                break
        if len(of_source) != len(of_dump) or len(of_source) < LEAST_LINES[peer]:
            counts = f"{len(of_source)} lines of the source, {len(of_dump)} of the dump"
            self.fail(f"{peer}: {counts}; they must be as many, and {LEAST_LINES[peer]} at least.")
        print(f"  {peer}: {len(of_dump)} lines as from the source")


def main() -> int:
    """One suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    arguments = parser.parse_args()
    peers = full_peers.fetch()
    found = capture.capture(arguments.suite, VARIANT)
    print(found.describe())
    trial = Trial(arguments.kvista, arguments.classes, found)
    trial.run(peers)
    for problem in trial.problems:
        print(f"  FAIL {problem}")
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
