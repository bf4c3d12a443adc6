"""The kernel side: the patches of kernel/ apply to Debian's sources, and a kernel built with one of them tells kvista its
page_offset: with KASLR and without, with 4 and 5 levels, and with the memory layout options off.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import struct
import sys
import tempfile
from pathlib import Path

import built_kernel
import capture
import compare
import evidence
import facts
import guest
import kvista
import lab
import live
from oracles import Oracle
from pageflags import PageClass
from test_lab import LiveRun, Trial, check_dump, check_evidence, check_explained, check_facts, check_live_census

KNOWN_LIKE = "trixie"
"""The suite whose expectations hold for the built kernel: its source is that suite's."""

BASE_4_LEVELS, BASE_5_LEVELS = 0xFFFF888000000000, 0xFF11000000000000
"""Where the direct map starts unless it is randomised: Documentation/arch/x86/x86_64/mm.rst."""

APPLIES = {
    ("trixie", "linux-source-6.12"): "vmcore_info_64",
    ("bookworm", "linux-source-6.1"): "crash_core_64",
    ("bullseye", "linux-source-5.10"): "crash_core_64",
}

FLOORS = {**compare.FLOORS, PageClass.KERN_DATA: 8_000}
"""As elsewhere in the lab, but for a kernel that is smaller than Debian's."""

PT_LOAD = 1
NO_ADDRESS = (1 << 64) - 1


@dataclasses.dataclass(frozen=True)
class Boot:
    """One way to boot a built kernel, and what must come out."""

    layout: str
    cpu: str
    append: str
    levels: int
    page_offset: int | None
    """Where the direct map must start; None: anywhere but at the documented address."""

    @property
    def moved(self) -> bool:
        """Whether the direct map is where no document says."""
        return self.page_offset is None


BOOTS = {
    "kaslr-5": Boot("random", "max", "crashkernel=128M", 5, None),
    "kaslr-4": Boot("random", "max,la57=off", "crashkernel=128M", 4, None),
    "nokaslr-5": Boot("random", "max", "nokaslr", 5, BASE_5_LEVELS),
    "nokaslr-4": Boot("random", "max", "nokaslr no5lvl", 4, BASE_4_LEVELS),
    "fixed": Boot("fixed", "max", "crashkernel=128M", 4, BASE_4_LEVELS),
}


def check_patches() -> list[str]:
    """That each patch applies to the sources with its layout of files, without fuzz."""
    problems = []
    for (suite, package), patch in APPLIES.items():
        package_file = built_kernel.source(suite, package)
        with built_kernel.tree(package_file, "arch/x86/kernel/*_64.c", "Documentation/admin-guide/kdump/*") as top:
            try:
                built_kernel.apply(patch, top)
            except lab.LabError as error:
                problems.append(f"{package_file.name}: {error}")
                continue
            text = (top / f"arch/x86/kernel/{patch}.c").read_text("utf-8")
            if text.count("NUMBER(page_offset_base)") != 1:
                problems.append(f"{package_file.name}: {patch}.c has no NUMBER(page_offset_base) after the patch.")
        print(f"  {patch}.patch on {package_file.name}")
    return problems


def kcore_page_offset(oracle: Oracle) -> int:
    """Where /proc/kcore's own headers put the direct map: virtual less physical address of its RAM."""
    headers = (oracle.path / "kcore_headers").read_bytes()
    (table,) = struct.unpack_from("<Q", headers, 32)
    size, count = struct.unpack_from("<HH", headers, 54)
    found = set()
    for at in range(table, min(table + size * count, len(headers) - size + 1), size):
        kind, _, _, virtual, physical = struct.unpack_from("<IIQQQ", headers, at)
        if kind == PT_LOAD and physical != NO_ADDRESS and virtual < facts.TEXT_MAPPING:
            found.add((virtual - physical) & kvista.MASK)
    # The memory map is listed with physical addresses of its own that say nothing.
    ram = {offset for offset in found if offset % (1 << 30) == 0}
    if len(ram) != 1:
        raise lab.LabError(f"/proc/kcore's RAM has not one offset but {sorted(map(hex, found))}.")
    return ram.pop()


def check_truth(oracle: Oracle, boot: Boot) -> list[str]:
    """That the guest is what this boot is for, by its kernel's own word."""
    offset = kcore_page_offset(oracle)
    print(f"  the direct map starts at {offset:#x}")
    problems = []
    if boot.page_offset not in (None, offset):
        problems.append(f"The direct map starts at {offset:#x} instead of {boot.page_offset:#x}.")
    if boot.moved and offset in (BASE_4_LEVELS, BASE_5_LEVELS):
        problems.append(f"The direct map starts at {offset:#x}, so this boot did not randomise it.")
    if (offset < BASE_4_LEVELS) != (boot.levels == 5):
        problems.append(f"{offset:#x} is no start of a direct map with {boot.levels} levels.")
    variable = oracle.symbol("page_offset_base")
    if (variable is None) != (boot.layout == "fixed"):
        problems.append(f"The kernel of layout {boot.layout} {'lacks' if variable is None else 'has'} page_offset_base.")
    if variable is not None and oracle.kernel_word("page_offset_base") != offset:
        problems.append(f"page_offset_base holds {oracle.kernel_word('page_offset_base'):#x}, not {offset:#x}.")
    return problems


def check_note(run: LiveRun, boot: Boot) -> list[str]:
    """That page_offset is taken from the note, right, and that every other source agrees."""
    want = kcore_page_offset(run.oracle)
    rows = {row["source"]: row for row in run.report("explain").table("candidates") if row["fact"] == "page_offset"}
    for row in rows.values():
        print(f"  {row['source']:12} {row['value']!s:20} {row['verdict']:14} {row['why']}")
    problems = []
    agreeing = {"mem_section", "page tables", "segments"}
    agreeing |= {"kallsyms"} if boot.layout == "random" else set()
    agreeing |= set() if boot.moved else {"documented"}
    expected = {"VMCOREINFO": "chosen", **dict.fromkeys(agreeing, "agrees")}
    for source, verdict in expected.items():
        row = rows.get(source)
        if row is None or row["verdict"] != verdict or kvista.address(row["value"]) != want:
            problems.append(f"page_offset by {source} should be {want:#x} and '{verdict}', kvista has {row}.")
    # Whatever else is asked must agree, or have nothing to say, or be a document about another layout.
    for source, row in rows.items():
        allowed = ("agrees", "not available", *(("candidate",) if source == "documented" and boot.moved else ()))
        if source not in expected and row["verdict"] not in allowed:
            problems.append(f"page_offset by {source} is '{row['verdict']}': {row}.")
    lines = run.text("vmcoreinfo.stdout").splitlines()
    line = f"NUMBER(page_offset_base)={want - (1 << 64)}"
    if lines.count(line) != 1:
        problems.append(f"The note has no line {line}.")
    return problems


def check_fixed_facts(report: kvista.Report, boot: Boot) -> list[str]:
    """The facts of a kernel without the variables that FactCheck reads."""
    found = report.facts()
    want = {"page_offset": boot.page_offset, "page_table_levels": boot.levels}
    return [
        f"kvista says {name} = {found.get(name)}, it is {value:#x}."
        for name, value in want.items()
        if name not in found or kvista.address(found[name]["value"]) != value
    ]


def check_extras(oracle: Oracle) -> list[str]:
    """That the kernel has what later tests build on."""
    missing = [name for name in ("kernel_config_data", "__start_orc_unwind", "memory_failure") if oracle.symbol(name) is None]
    return [f"The built kernel lacks {', '.join(missing)}."] if missing else []


def check_boot(trial: Trial, boot: Boot, name: str, static: Path) -> None:
    """All that is checked in one guest."""
    kernel = built_kernel.build(boot.layout)
    missing = [module for module in ("lkdtm", "test_lockup") if module not in kernel.modules()]
    with tempfile.TemporaryDirectory() as folder:
        run = LiveRun(Path(folder))

        def start() -> list[str]:
            live.run_on(kernel, guest.Variant(name, boot.cpu, boot.append), static, run.path)
            print(f"  {run.oracle.release()}: {run.oracle.text('cmdline').strip()}")
            return [f"The built kernel lacks the modules {', '.join(missing)}."] if missing else []

        trial.step("boot and run", start)
        trial.step("the guest's own word", lambda: check_truth(run.oracle, boot))
        trial.step("page_offset from the note", lambda: check_note(run, boot))
        if boot.layout == "random":
            trial.step("facts", lambda: check_facts(run.report("info"), run.oracle, KNOWN_LIKE, True))
        else:
            trial.step("facts", lambda: check_fixed_facts(run.report("info"), boot))
        trial.step("info --explain", lambda: check_explained(run.report("explain")))
        trial.step("the configuration", lambda: evidence.check_source(run.report("explain"), "configuration", 3))
        trial.step("mem-usage", lambda: check_live_census(run, run.oracle.impossible_classes(), FLOORS))
        trial.step("what later tests need", lambda: check_extras(run.oracle))


def check_own_configuration(report: kvista.Report) -> list[str]:
    """That a dump's configuration is found in its memory (CONFIG_IKCONFIG) and agrees."""
    rows = evidence.rows_of(report, "configuration")
    problems = evidence.check_source(report, "configuration", 3)
    problems += [f"{row['fact']}: {row['why']}" for row in rows if "kernel_config_data in memory" not in row["why"]]
    return problems


def check_pages(trial: Trial, binary: Path, tool: Path) -> None:
    """The class of every page in a dump of the built kernel, against its /proc/kpageflags."""
    kernel, boot = built_kernel.build("random"), BOOTS["kaslr-5"]
    with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
        into = Path(folder)
        capture.make(kernel, guest.Variant("pages", boot.cpu, boot.append), "", into)
        found = capture.Capture(into, json.loads((into / "capture.json").read_text("utf-8")))
        print(found.describe(), flush=True)
        check_dump(trial, binary, tool, found, FLOORS)
        check_evidence(trial, binary, found, kernel.root)
        explained = kvista.run(binary, "info", str(found.dump), "--explain")
        trial.step("dump: its own configuration", lambda: check_own_configuration(explained))


def main() -> int:
    """Check the patches, or build and boot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--static", type=Path, required=True, help="a static kvista for the guest")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("trial", choices=["patches", "build", "pages", *BOOTS])
    arguments = parser.parse_args()
    trial = Trial()
    if arguments.trial == "patches":
        for suite, package in APPLIES:
            built_kernel.source(suite, package)
        trial.step("the patches apply", check_patches)
    elif arguments.trial == "build":
        for layout in built_kernel.LAYOUTS:
            print(built_kernel.describe(built_kernel.build(layout)), flush=True)
    elif arguments.trial == "pages":
        check_pages(trial, arguments.kvista, arguments.classes)
    else:
        check_boot(trial, BOOTS[arguments.trial], arguments.trial, arguments.static)
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
