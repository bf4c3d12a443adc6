"""The lab test of a guest of another architecture: what kvista says of its dump against the kernel's own word."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import arch_facts
import capture
import compare
import dumpfile
import evidence
import facts
import guest
import kernels
import kvista
import lab
import logs
import stacks
import symbols
import tasks
import test_kernel
from oracles import Oracle
from pageflags import PageClass
from test_lab import Trial, check_classes

SUITE = "trixie"


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a guest of an architecture has at least."""

    records: int
    symbols: int
    facts: int
    configured: int
    """Facts that its configuration decides."""
    lacks: Mapping[str, str]
    """Page classes and marks that these guests have none of, each with the reason."""

    def floors(self) -> dict[PageClass, int]:
        """The fewest pages of each class."""
        return {name: floor for name, floor in compare.FLOORS.items() if name.name not in self.lacks}


NO_HUGE_PAGES = "QEMU's CPU has no EDAT, without which s390x has no huge pages"
NO_HOLES = "QEMU dumps RAM alone, which is all that there is"

EXPECTED = {
    "arm64": Expected(200, 110_000, 12, 3, {"NO_STRUCT_PAGE": NO_HOLES}),
    "riscv64": Expected(180, 350_000, 15, 2, {"NO_STRUCT_PAGE": NO_HOLES}),
    "s390x": Expected(120, 80_000, 12, 2, {"NO_STRUCT_PAGE": NO_HOLES, "hugetlb": NO_HUGE_PAGES}),
}
"""By architecture."""

MEANS = ("switched out", "frame pointer", "link register", "registers")
"""How frames are found that are no guess."""
LEAST_STACKS = (60, 250)
"""As many stacks and frames must be compared."""
LEAST_ADDRESSES = 1000
EVERY = 97
"""Of the symbols of the kernel image each so many-th is translated."""


class ArchTrial:
    """The parts of the test, each on its own."""

    def __init__(self, arguments: argparse.Namespace, found: capture.Capture) -> None:
        self.arguments, self.found = arguments, found
        self.binary: Path = arguments.kvista
        self.image = found.dump
        self.oracle = Oracle(found.oracle)
        self.architecture = guest.VARIANTS[found.about["variant"]].architecture
        self.expected = EXPECTED[self.architecture.name]
        self.reports: dict[str, kvista.Report] = {}
        self.classes = b""

    def vmcoreinfo(self) -> list[str]:
        """The note, byte for byte as it is at the address that the guest's /sys/kernel/vmcoreinfo names."""
        address, size = (int(word, 16) for word in self.oracle.text("vmcoreinfo").split())
        dump = dumpfile.Dump(self.image)
        data = dump.read(address, size)
        dump.close()
        order = self.architecture.byte_order
        name_size, note_size = (int.from_bytes(data[at : at + 4], order) for at in (0, 4))
        start = 12 + (name_size + 3 & ~3)
        want = data[start : start + note_size]
        got = kvista.run_text(self.binary, "-c", str(self.image), "vmcoreinfo")
        print(f"  {len(want.splitlines())} lines compared")
        if f"OSRELEASE={self.oracle.release()}\n".encode() not in want:
            return [f"There is no note of this kernel at {address:#x}."]
        return [] if got == want else ["kvista vmcoreinfo does not print the note."]

    def facts(self) -> list[str]:
        """The machine facts."""
        report = kvista.run(self.binary, "info", str(self.image))
        suite = self.found.about["suite"]
        check = arch_facts.OtherFactCheck(report, self.oracle, self.architecture, suite, False)
        print(f"  {check.checked} facts compared with the guest's kernel")
        if check.checked < self.expected.facts:
            check.problems.append(f"Only {check.checked} facts were compared, at least {self.expected.facts} are needed.")
        return check.problems

    def explain(self) -> list[str]:
        """That each fact's candidates are shown, one of them chosen where the fact has a value, and none disagrees."""
        report = kvista.run(self.binary, "info", str(self.image), "--explain")
        rows, known = report.table("candidates"), report.facts()
        chosen = {row["fact"] for row in rows if row["verdict"] == "chosen"}
        print(f"  {len(rows)} candidates, {len(chosen)} facts with a source that is chosen")
        problems = [f"{name} has a value, but no source." for name in known if name not in chosen]
        problems += [f"{row['source']} contradicts {row['fact']}: {row['why']}." for row in rows if row["verdict"] == "disagrees"]
        return problems if len(chosen) >= self.expected.facts else [*problems, f"Fewer than {self.expected.facts} are chosen."]

    def package(self) -> list[str]:
        """What the kernel's package has in /boot, as a source."""
        root = kernels.fetch(self.found.about["suite"], self.architecture).root
        if not any(root.glob(f"boot/*-{self.found.about['release']}")):
            return ["The package of the guest's kernel is not there any more."]
        return evidence.check_package(self.binary, self.found, root, self.expected.configured)

    def dmesg(self) -> list[str]:
        """The kernel's log."""
        return logs.check_dump(self.binary, self.image, self.found.oracle, self.expected.records)

    def vtop(self) -> list[str]:
        """Symbols of the kernel image and addresses of the direct map, where /proc/kcore says that they are."""
        parts = [part for part in self.oracle.kcore_ranges() if part.physical is not None]
        names = [symbol.address for symbol in symbols.kallsyms(self.oracle.text("kallsyms")) if symbol.module is None]
        asked = sorted({address for address in names if any(part.holds(address) for part in parts)})[::EVERY]
        for part in parts:
            asked += range(part.virtual, part.virtual + part.size, max(4096, part.size // 512 & ~4095))
        wrong, mapped = [], 0
        for address, row in zip(asked, self.translated(asked), strict=True):
            part = next(part for part in parts if part.holds(address))
            want = address - part.virtual + (part.physical or 0)
            # Freed parts of the image, and what the direct map leaves out, are mapped nowhere.
            mapped += row["status"] == "mapped"
            if row["status"] == "mapped" and kvista.address(row["physical"]) != want:
                wrong.append(f"{address:#x} at {row['physical']} instead of {want:#x}")
        print(f"  {len(asked)} addresses translated, {mapped} of them mapped")
        problems = symbols.shown("kvista vtop has", wrong)
        return problems if mapped >= LEAST_ADDRESSES else [*problems, f"Fewer than {LEAST_ADDRESSES} addresses are mapped."]

    def translated(self, addresses: list[int]) -> list[dict[str, str]]:
        """The results of walks, by one shell."""
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as script:
            script.write("".join(f"vtop {address:#x} --json\n" for address in addresses))
            script.flush()
            command = [str(self.binary), "-s", "-i", script.name, str(self.image)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        text, at = done.stdout.rstrip(), 0
        rows = []
        while at < len(text):
            report, at = json.JSONDecoder().raw_decode(text, at)
            rows.append(report["tables"]["result"][0])
            at += 1  # the newline behind it
        if len(rows) != len(addresses):
            raise lab.LabError(f"kvista answers {len(rows)} of {len(addresses)} vtop: {done.stderr.strip()[-500:]}")
        return rows

    def pages(self) -> list[str]:
        """The class of each page frame."""
        self.classes = kvista.page_classes(self.arguments.classes, self.image)
        marks = {name: row for name, row in compare.MARKS.items() if name not in self.expected.lacks}
        return check_classes(self.classes, self.found, self.found.about["suite"], self.expected.floors(), marks)

    def mem_usage(self) -> list[str]:
        """The census, against the classes and the kernel's free lists."""
        return facts.check_census(kvista.run(self.binary, "mem-usage", str(self.image)), self.classes, self.oracle)

    def objects(self, name: str) -> list[str]:
        """One of the tables of the kernel's own objects."""
        texts = [(self.found.oracle / f"tasks.{when}").read_bytes() for when in ("before", "after")]
        snapshots = tasks.Snapshot(texts[0]), tasks.Snapshot(texts[1])
        suite = self.found.about["suite"]
        check = test_kernel.KernelCheck(self.oracle, suite, lambda _: snapshots, False, self.expected.symbols)
        self.reports[name] = test_kernel.ask(self.binary, self.image, name)
        return check.run(name, self.reports[name])

    def stacks(self) -> list[str]:
        """The stacks of all that slept, frame by frame, against the kernel's; and that all are whole, none a guess."""
        report = kvista.run(self.binary, "-c", str(self.image), "foreach", "bt", statuses=(0,))
        texts = [(self.found.oracle / f"tasks.{when}").read_bytes() for when in ("before", "after")]
        files = [tasks.Snapshot(text).files for text in texts]
        rows = report.table("stacks")
        # What ran when the guest stopped stood elsewhere before and after, as did the reader of /proc, which waits.
        slept = {row["pid"] for row in rows if row["from"] == "switched out" and row["comm"] != tasks.READER}
        ours = stacks.of_kvista(report, stacks.scheduler_text(self.oracle.text("kallsyms")))
        ours = {pid: stack for pid, stack in ours.items() if pid in slept}
        problems = stacks.compare(stacks.of_files(files[0]), stacks.of_files(files[1]), ours, 0, LEAST_STACKS)
        guesses = [row for row in report.table("frames") if row["means"] not in MEANS]
        problems += symbols.shown("A frame is a guess", guesses, str)
        torn = [row for row in rows if not row["complete"] or (row["from"] in ("guess", "none") and row["state"] != "ZO")]
        problems += symbols.shown("A stack is not whole, or a guess", torn, str)
        of_cpus = kvista.run(self.binary, "-c", str(self.image), "bt", "-a", statuses=(0,)).table("registers")
        missing = [row for row in of_cpus if row not in report.table("registers")]
        problems += symbols.shown("foreach bt lacks registers of bt -a", missing, str)
        running = [row["registers_from"] for row in rows if row["from"] in ("cpu", "user mode")]
        print(f"  {len(running)} CPUs by registers from {', '.join(sorted(set(running)))}")
        return problems if len(running) == self.oracle.cpus() <= len(of_cpus) else [*problems, "Not every CPU's registers are known."]

    def btf(self) -> list[str]:
        """The types in the guest's memory."""
        return test_kernel.check_extracted(self.arguments.btf_tool, self.image, self.found.oracle)

    def filtered(self) -> list[str]:
        """A dump that kvista filters to level 31, and whether it is whole and says the same."""
        with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
            small = Path(folder) / "dump"
            for command in (("dump", "-z", "-d", "31", str(self.image), str(small)), ("verify", str(small))):
                lab.run([str(self.binary), *command], f"kvista {command[0]}")
            print(f"  {small.stat().st_size >> 20} MiB instead of {self.image.stat().st_size >> 20}")
            problems = []
            for name, report in self.reports.items():
                problems += test_kernel.check_same(report, test_kernel.ask(self.binary, small, name), name)
            problems += logs.check_dump(self.binary, small, self.found.oracle, self.expected.records)
        return problems if self.reports else [*problems, "No table of the whole dump is there to compare with."]


PARTS: Mapping[str, Callable[[ArchTrial], list[str]]] = {
    "vmcoreinfo": ArchTrial.vmcoreinfo,
    "facts": ArchTrial.facts,
    "explain": ArchTrial.explain,
    "package": ArchTrial.package,
    "dmesg": ArchTrial.dmesg,
    "vtop": ArchTrial.vtop,
    "pages": ArchTrial.pages,
    "mem-usage": ArchTrial.mem_usage,
    "symbols": lambda trial: trial.objects("symbols"),
    "modules": lambda trial: trial.objects("modules"),
    "tasks": lambda trial: trial.objects("tasks"),
    "stacks": ArchTrial.stacks,
    "system": lambda trial: trial.objects("system"),
    "btf": ArchTrial.btf,
    "filtered": ArchTrial.filtered,
}


def main() -> int:
    """Compare one capture, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("--btf-tool", type=Path, required=True, help="the test tool btf_tool")
    parser.add_argument("--variant", choices=[name for name in guest.VARIANTS if name not in lab.VARIANTS], required=True)
    arguments = parser.parse_args()
    found = capture.capture(SUITE, arguments.variant)
    print(found.describe(), flush=True)
    trial, parts = Trial(), ArchTrial(arguments, found)
    for name, part in PARTS.items():
        trial.step(f"dump: {name}", lambda part=part: part(parts))  # type: ignore[misc]
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
