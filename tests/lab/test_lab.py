"""The lab test of one kernel in one variant: kvista on its dump and live inside it, against the kernel's own word."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import capture
import compare
import evidence
import facts
import kernels
import kvista
import lab
import live
import logs
import pageflags
from dumpfile import Dump
from oracles import Oracle

Floors = Mapping[pageflags.PageClass, int]

RULES = Path(__file__).resolve().parent / "expected_differences.toml"
LEAST_FACTS = 12
LEAST_CANDIDATES = 20
LIVE_SLACK = 2048
"""Pages by which a live count of free pages may miss /proc/buddyinfo: what kvista itself takes meanwhile."""


class Trial:
    """A series of steps that all run, whatever the others find."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def step(self, what: str, action: Callable[[], list[str]]) -> None:
        """Run one step and note what it finds."""
        try:
            found = action()
        except (lab.LabError, KeyError, ValueError, IndexError, TypeError) as error:
            text = str(error) if isinstance(error, lab.LabError) else f"{type(error).__name__}: {error}"
            found = [text]
        print(f"{'ok  ' if not found else 'FAIL'} {what}", flush=True)
        for problem in found:
            print(f"     {problem}", flush=True)
        self.problems += found


def check_facts(report: kvista.Report, oracle: Oracle, suite: str, is_live: bool) -> list[str]:
    """The machine facts."""
    check = facts.FactCheck(report, oracle, suite, is_live)
    print(f"  {check.checked} facts compared with the guest's kernel")
    if check.checked < LEAST_FACTS:
        check.problems.append(f"Only {check.checked} facts were compared, at least {LEAST_FACTS} are needed.")
    return check.problems


def check_explained(report: kvista.Report) -> list[str]:
    """That --explain shows the candidates of each source, one of them chosen for each fact that has a value."""
    rows = report.table("candidates")
    problems = []
    if len(rows) < LEAST_CANDIDATES:
        problems.append(f"kvista info --explain lists {len(rows)} candidates, at least {LEAST_CANDIDATES} are needed.")
    for name in ("page_offset", "phys_base"):
        chosen = [row for row in rows if row["fact"] == name and row["verdict"] == "chosen"]
        agreeing = [row for row in rows if row["fact"] == name and row["verdict"] == "agrees"]
        print(f"  {name}: from {', '.join(row['source'] for row in chosen)}; {len(agreeing)} other sources agree")
        if len(chosen) != 1:
            problems.append(f"kvista info --explain has {len(chosen)} chosen sources for {name} instead of one.")
    return problems


def check_classes(
    classes: bytes, found: capture.Capture, suite: str, floors: Floors, marks: Mapping[str, tuple[int, int]] = compare.MARKS
) -> list[str]:
    """The class of each page frame."""
    oracle, dump = Oracle(found.oracle), Dump(found.dump)
    try:
        want, flags = compare.expectation(oracle, dump)
    finally:
        dump.close()
    rules = compare.load_rules(RULES, suite)
    result = compare.compare(want, classes, flags, rules, found.about["impossible"], floors, marks)
    print(result.table())
    return result.problems


def check_dump(trial: Trial, binary: Path, tool: Path, found: capture.Capture, floors: Floors = compare.FLOORS) -> None:
    """All that is checked on the dump."""
    oracle, image, suite = Oracle(found.oracle), str(found.dump), found.about["suite"]
    trial.step("dump: facts", lambda: check_facts(kvista.run(binary, "info", image), oracle, suite, False))
    trial.step("dump: info --explain", lambda: check_explained(kvista.run(binary, "info", image, "--explain")))
    classes = b""

    def compare_pages() -> list[str]:
        nonlocal classes
        classes = kvista.page_classes(tool, found.dump)
        return check_classes(classes, found, suite, floors)

    trial.step("dump: the class of every page", compare_pages)
    trial.step("dump: dmesg", lambda: logs.check_dump(binary, found.dump, found.oracle))
    trial.step("dump: mem-usage", lambda: facts.check_census(kvista.run(binary, "mem-usage", image), classes, oracle))


def check_evidence(trial: Trial, binary: Path, found: capture.Capture, root: Path) -> None:
    """Symbol tables and a configuration given with the dump; `root` is the kernel's unpacked package."""
    with tempfile.TemporaryDirectory() as folder:
        trial.step("dump: --symbols", lambda: evidence.check_given_symbols(binary, found, Path(folder)))
    if any(root.glob(f"boot/*-{found.about['release']}")):
        trial.step("dump: what is in /boot", lambda: evidence.check_package(binary, found, root))
    if other := evidence.another_kernels(found):
        trial.step("dump: another kernel's symbols", lambda: evidence.check_another(binary, found, other))


class LiveRun:
    """What a live run has left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.oracle = Oracle(path)

    def text(self, name: str) -> str:
        """One of the saved files, stripped."""
        return self.oracle.text(f"live/{name}").strip()

    def report(self, name: str) -> kvista.Report:
        """The JSON that a command printed; an exit status that says failure is an error."""
        if self.text(f"{name}.status") not in (("0", "1") if name in kvista.PARTIAL_COMMANDS else ("0",)):
            status, words = self.text(f"{name}.status"), self.text(f"{name}.stderr")
            raise lab.LabError(f"'{live.COMMANDS[name]}' ended with status {status} in the guest: {words}")
        return kvista.Report(self.text(f"{name}.stdout"), f"live {name}")


def ram_pages(oracle: Oracle) -> int:
    """Whole page frames of System RAM without the crashkernel reservation."""
    size = 4096
    pages = sum((last + 1) // size - (first + size - 1) // size for first, last in oracle.iomem("System RAM"))
    return pages - sum((last + 1 - first) // size for first, last in oracle.iomem("Crash kernel"))


def check_live_census(run: LiveRun, impossible: dict[str, str], floors: Floors = compare.FLOORS) -> list[str]:
    """The page counts of a live kernel, which only stand still roughly."""
    report = run.report("mem_usage")
    problems = facts.check_sums(report)
    before, after = (run.oracle.free_pages(f"live/mem_usage.buddyinfo.{when}") for when in ("before", "after"))
    problems += facts.check_free(report, before, after, LIVE_SLACK)
    total, want = sum(facts.counts(report).values()), ram_pages(run.oracle)
    print(f"  {total} pages, System RAM has {want}; FREE {facts.counts(report)['FREE']}, buddyinfo {before} and {after}")
    if abs(total - want) > 16:
        problems.append(f"mem-usage counts {total} pages live, /proc/iomem has {want} pages of System RAM.")
    for page_class, floor in floors.items():
        if page_class is pageflags.PageClass.NO_STRUCT_PAGE or page_class.name in impossible:
            continue
        if facts.counts(report)[page_class.name] < floor:
            problems.append(f"Live, {page_class.name} has {facts.counts(report)[page_class.name]} pages, fewer than {floor}.")
    return problems


def check_live_texts(run: LiveRun) -> list[str]:
    """The table, the note, and the sentence about a /dev/mem that cannot be read."""
    problems = []
    table, note = run.text("mem_usage_text.stdout"), run.text("vmcoreinfo.stdout")
    missing = [row for row in ("ZERO", "NON_PRI_CACHE", "PRI_CACHE", "USER", "FREE", "KERN_DATA") if row not in table]
    if missing:
        problems.append(f"The live table of mem-usage lacks {', '.join(missing)}: {run.text('mem_usage_text.stderr')}")
    if f"OSRELEASE={run.oracle.release()}" not in note:
        problems.append(f"kvista vmcoreinfo does not print the guest's OSRELEASE: {run.text('vmcoreinfo.stderr')}")
    status, words = run.text("dev_mem.status"), run.text("dev_mem.stderr")
    print(f"  kvista -c /dev/mem info: status {status}: {words}")
    if status != "2" or "/dev/mem" not in words or len(words.splitlines()) != 1:
        problems.append("kvista -c /dev/mem must end with status 2 and one sentence that names /dev/mem.")
    return problems


def check_live(trial: Trial, static: Path, suite: str, variant: str, impossible: dict[str, str]) -> None:
    """All that is checked in a live guest."""
    with tempfile.TemporaryDirectory() as folder:
        run = LiveRun(Path(folder))

        def boot() -> list[str]:
            live.run(suite, variant, static, run.path)
            return []

        trial.step("live: boot and run", boot)
        trial.step("live: facts", lambda: check_facts(run.report("info"), run.oracle, suite, True))
        trial.step("live: info --explain", lambda: check_explained(run.report("explain")))
        trial.step("live: /proc/kallsyms", lambda: evidence.check_source(run.report("explain"), "/proc/kallsyms", 8))
        trial.step("live: mem-usage", lambda: check_live_census(run, impossible))
        trial.step("live: dmesg", lambda: logs.check_live(run.path, run.report("dmesg_json").table("messages")))
        trial.step("live: texts", lambda: check_live_texts(run))


def main() -> int:
    """Capture, compare, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--static", type=Path, help="a static kvista for the guest; without it no live run")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=lab.VARIANTS, required=True)
    arguments = parser.parse_args()
    if arguments.static is None and lab.under_ci():
        raise lab.LabError("Under CI the live run needs --static.")
    found = capture.capture(arguments.suite, arguments.variant)
    print(found.describe(), flush=True)
    impossible = found.about["impossible"]
    for name, reason in impossible.items():
        print(f"  not here: {name}, as {reason}", flush=True)
    trial = Trial()
    check_dump(trial, arguments.kvista, arguments.classes, found)
    check_evidence(trial, arguments.kvista, found, kernels.fetch(arguments.suite).root)
    if arguments.static is not None:
        check_live(trial, arguments.static, arguments.suite, arguments.variant, impossible)
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
