"""Symbol tables and configurations as sources of evidence: given to kvista with a dump, and found by it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import capture
import kvista
import lab
from oracles import Oracle

VARIABLES = 8
"""At least so many facts are read by a symbol table of any kernel."""


def rows_of(report: kvista.Report, source: str) -> list[dict[str, str]]:
    """What one source says, where it says something."""
    return [row for row in report.table("candidates") if row["source"] == source and row["value"] not in (None, "")]


def check_source(report: kvista.Report, source: str, least: int) -> list[str]:
    """That a source gives the values of some facts, and contradicts no other source."""
    rows = rows_of(report, source)
    problems = [f"{row['fact']}: {source} says {row['value']}: {row['why']}." for row in rows if row["verdict"] == "disagrees"]
    if len(rows) < least:
        why = {row["why"] for row in report.table("candidates") if row["source"] == source}
        problems.append(f"{source} gives {len(rows)} facts, at least {least} are needed: {'; '.join(sorted(why))}")
    print(f"  {source}: {', '.join(row['fact'] for row in rows)}")
    return problems


def moved_table(oracle: Oracle, into: Path) -> Path:
    """The guest's kallsyms as the kernel was linked: what a System.map says, before KASLR."""
    shift = (oracle.symbol("_text") or 0) - 0xFFFFFFFF81000000
    kernel = 0xFFFFFFFF80000000
    lines = []
    for line in oracle.text("kallsyms").splitlines():
        address, kind, name = line.split(" ", 2)
        if "\t" not in name:
            value = int(address, 16)
            lines.append(f"{value - shift if value >= kernel else value:016x} {kind} {name}\n")
    into.write_text("".join(lines), "utf-8")
    return into


def check_given_symbols(binary: Path, found: capture.Capture, folder: Path) -> list[str]:
    """A dump with its guest's own kallsyms, and with the same as it was linked: all values are right."""
    oracle = Oracle(found.oracle)
    problems = []
    for table in (found.oracle / "kallsyms", moved_table(oracle, folder / "System.map")):
        report = kvista.run(binary, "info", str(found.dump), "--explain", "--symbols", str(table))
        problems += check_source(report, "symbol file", VARIABLES)
        said = {row["fact"]: row["value"] for row in rows_of(report, "symbol file")}
        want = oracle.kernel_word("page_offset_base")
        if "page_offset" not in said or kvista.address(said["page_offset"]) != want:
            problems.append(f"By {table.name} page_offset is {said.get('page_offset')}, it is {want:#x}.")
    return problems


def check_package(binary: Path, found: capture.Capture, root: Path, least: int = 2) -> list[str]:
    """A dump with what the kernel's package has in /boot: its configuration, and a System.map that may be a stub."""
    problems = []
    for config in root.glob(f"boot/config-{found.about['release']}"):
        report = kvista.run(binary, "info", str(found.dump), "--explain", "--config", str(config))
        problems += check_source(report, "configuration", least)
    for table in root.glob(f"boot/System.map-{found.about['release']}"):
        command = [str(binary), "info", str(found.dump), "--symbols", str(table)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        stub = "The real System.map is in" in table.read_text("utf-8", "replace")[:200]
        print(f"  {table.name}: {'a stub' if stub else 'a table'}, status {done.returncode} {done.stderr.strip()}")
        if stub and (done.returncode != 2 or "-dbg" not in done.stderr or len(done.stderr.splitlines()) != 1):
            problems.append(f"{table.name} is a stub: status 2 and one sentence are due that names the package with the real one.")
        if not stub and ("is not used" in done.stderr or done.returncode > 1):
            problems.append(f"The kernel's own {table.name} is not used.")
    return problems


def check_another(binary: Path, found: capture.Capture, other: Path) -> list[str]:
    """A dump with another kernel's kallsyms, which must be refused in one sentence."""
    command = [str(binary), "info", str(found.dump), "--explain", "--symbols", str(other)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    refusals = [line for line in done.stderr.splitlines() if "is not used" in line and "of another kernel" in line]
    print(f"  {' '.join(refusals)}")
    return [] if len(refusals) == 1 else [f"Another kernel's symbols are not refused in one sentence: {done.stderr.strip()}"]


def another_kernels(found: capture.Capture) -> Path | None:
    """The kallsyms of some capture of another release; None where the cache has none."""
    for path in sorted((lab.cache_dir() / "captures").glob("*/oracle")):
        release = path / "release"
        if (path / "kallsyms").exists() and release.exists() and release.read_text().strip() != found.about["release"]:
            return path / "kallsyms"
    return None
