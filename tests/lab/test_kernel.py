"""What kvista says of a kernel's own objects - symbols, modules, tasks, the system, BTF - on the dump of a guest, on the
same dump filtered, and live, against the guest's /proc and /sys."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import btf
import capture
import forms
import full_peers
import kvista
import lab
import live
import stacks
import symbols
import tasks
from oracles import Oracle
from test_lab import Trial

LEAST_SYMBOLS = {"bullseye": 90_000, "bookworm": 80_000, "trixie": 150_000, "sid": 170_000}
LEAST_TYPES = {"bullseye": 70_000, "bookworm": 85_000, "trixie": 100_000, "sid": 110_000}
LEAST_MODULES = 3
LEAST_TASKS = 70
LEAST_FRAMES = 350
LIVE_STACKS = (40, 130)
"""Of a guest that runs: as many stacks and frames must stand still and be compared."""
LEAST_GLOBALS = 370
LIVE_SLACK = 8
"""Tasks that come and go while kvista runs, itself among them."""

EXACT_COUNTERS = ("trixie", "sid")
"""The suites whose /proc/PID/status counts RSS exactly, with percpu counters."""

COMMANDS = {
    "symbols": ("sym", "-l"),
    "modules": ("mod",),
    "tasks": ("ps",),
    "system": ("sys",),
}
"""By the table that they print."""

EXAMPLES = ("sym", "sys", "ps", "bt", "foreach", "task", "mod", "p", "rd", "list", "tree", "struct", "union", "enum", "whatis", "dmesg")
"""The commands whose examples in the help are run."""

FILTERED = forms.kdump("kdump, filtered, LZO", "codec=lzo", forms.CACHE_USER_FREE)
Reports = dict[str, kvista.Report]
Readings = tuple[tasks.Snapshot, tasks.Snapshot]


def live_command(name: str) -> str:
    """A command of the live run, between two readings of the tasks."""
    command = f"kvista {' '.join(COMMANDS[name])} --json"
    save = f"/out/live/{name}.tasks"
    return f"oracle tasks {save}.before; {command}; status=$?; oracle tasks {save}.after; exit $status"


def live_stacks_command() -> str:
    """kvista's stacks between two readings of the kernel's own."""
    read = f"{stacks.COMMAND} >/out/live/stacks.{{}} 2>/dev/null".format
    return f"{read('before')}; kvista foreach bt --json; status=$?; {read('after')}; exit $status"


def check_live_stacks(oracle: Oracle) -> list[str]:
    """The stacks of what slept, frame by frame. What ran meanwhile may be damaged: status 1."""
    status, words = (oracle.text(f"live/stacks.{what}").strip() for what in ("status", "stderr"))
    if status not in ("0", "1"):
        return [f"'kvista foreach bt' ended with status {status} in the guest: {words}"]
    report = kvista.Report(oracle.text("live/stacks.stdout"), "live stacks")
    running = [row for row in report.table("stacks") if row["from"] == "guess"]
    ours = stacks.of_kvista(report, stacks.scheduler_text(oracle.text("kallsyms")))
    before, after = (stacks.of_proc(oracle.text(f"live/stacks.{when}")) for when in ("before", "after"))
    problems = [] if running else ["No task that runs is marked as a guess."]
    return problems + stacks.compare(before, after, ours, LIVE_SLACK, LIVE_STACKS)


def ask(binary: Path, image: Path, name: str) -> kvista.Report:
    """The report of one command on an image."""
    report = kvista.run(binary, "-c", str(image), *COMMANDS[name])
    report.source = f"kvista {COMMANDS[name][0]}"
    return report


class KernelCheck:
    """The four commands against what one guest has left; `report` gives what kvista printed there."""

    def __init__(
        self, oracle: Oracle, suite: str, snapshots: Callable[[str], Readings], is_live: bool, symbols_floor: int | None = None
    ) -> None:
        self._oracle, self._suite, self._snapshots, self._live = oracle, suite, snapshots, is_live
        self._symbols_floor = symbols_floor or LEAST_SYMBOLS[suite]

    def symbols(self, report: kvista.Report) -> list[str]:
        """Every symbol."""
        return symbols.check_symbols(self._oracle.text("kallsyms"), report.table("symbols"), self._symbols_floor)

    def modules(self, report: kvista.Report) -> list[str]:
        """Every module."""
        text, names = self._oracle.text("modules"), self._oracle.text("kallsyms")
        return symbols.check_modules(text, names, report.table("modules"), LEAST_MODULES)

    def tasks(self, report: kvista.Report) -> list[str]:
        """Every task."""
        rows, exactly = report.table("tasks"), self._suite in EXACT_COUNTERS
        before, after = self._snapshots("tasks")
        check = tasks.TaskCheck(before, after, rows, self._oracle.cpus(), exactly, self._live)
        return tasks.check_tasks(check, LEAST_TASKS) + tasks.check_first_task(self._oracle.symbol("init_task"), rows)

    def system(self, report: kvista.Report) -> list[str]:
        """The system as a whole."""
        rows = report.table("system")
        if len(rows) != 1:
            return [f"kvista sys has {len(rows)} rows instead of one."]
        before, after = self._snapshots("system")
        names = self._oracle.text("utsname").splitlines()
        return tasks.check_system(before, after, rows[0], self._oracle.cpus(), names, LIVE_SLACK if self._live else 0)

    def run(self, name: str, report: kvista.Report) -> list[str]:
        """The check of one table."""
        checks = {"symbols": self.symbols, "modules": self.modules, "tasks": self.tasks, "system": self.system}
        return checks[name](report)


def check_count(reports: Reports) -> list[str]:
    """That sys counts the rows of ps."""
    count, rows = reports["system"].table("system")[0]["tasks"], len(reports["tasks"].table("tasks"))
    return [] if count == rows else [f"kvista sys counts {count} tasks, kvista ps lists {rows}."]


def check_example(program: Path, image: Path, report: kvista.Report) -> list[str]:
    """That the example of docs/ prints the tasks of ps. An idle task's parent is whoever made it, which ps leaves out."""
    done = subprocess.run([str(program), str(image)], capture_output=True, text=True, errors="replace", timeout=60, check=True)
    printed = done.stdout.splitlines()
    want = [(row["pid"], row["ppid"], row["comm"]) for row in report.table("tasks")]
    got = [(int(pid), int(ppid) if pid != "0" else 0, comm) for pid, ppid, comm in (line.split(" ", 2) for line in printed)]
    print(f"  {len(got)} tasks compared")
    if len(got) < LEAST_TASKS:
        return [f"The example prints {len(got)} tasks, fewer than {LEAST_TASKS}."]
    return [] if got == want else [f"The example prints {sorted(set(got) ^ set(want))[:5]} that ps does not, or the reverse."]


def check_help(binary: Path, image: Path) -> list[str]:
    """That the example in each command's help runs and prints something."""
    wrong = []
    for name in EXAMPLES:
        text = subprocess.run([str(binary), "help", name], capture_output=True, text=True, timeout=60, check=True).stdout
        example = next((line for line in text.splitlines() if line.startswith("  kvista -c vmcore ")), "")
        words = [str(image) if word == "vmcore" else word for word in shlex.split(example)[1:]]
        done = subprocess.run([str(binary), *words], capture_output=True, text=True, timeout=60, check=False)
        if not example or done.returncode != 0 or not done.stdout:
            wrong.append(f"The example of 'kvista help {name}', '{example.strip()}', ended with {done.returncode}: {done.stderr.strip()}")
    print(f"  {len(EXAMPLES)} examples run")
    return wrong


def check_globals(tool: Path, image: Path) -> list[str]:
    """That each variable that globals.decl declares, and this kernel has, has a declaration whose types this kernel knows."""
    done = subprocess.run([str(tool), str(image)], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    print(f"  {len(lines)} declared variables are in this kernel")
    wrong = [line for line in lines if not line.startswith("fits ")]
    return wrong if len(lines) >= LEAST_GLOBALS else [*wrong, f"Only {len(lines)} variables, fewer than {LEAST_GLOBALS}."]


def check_same(want: kvista.Report, got: kvista.Report, name: str) -> list[str]:
    """That two images of the same memory give the same rows, but for what they say of the images themselves."""
    of_image = ("image", "dump_level")
    one, other = (
        [{column: value for column, value in row.items() if column not in of_image} for row in report.table(name)]
        for report in (want, got)
    )
    print(f"  {len(one)} rows compared with those of the whole dump")
    if len(one) != len(other):
        return [f"The whole dump gives {len(one)} rows, the filtered one {len(other)}."]
    wrong = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    return symbols.shown("A row differs", wrong, lambda pair: f"{pair[1]} instead of {pair[0]}")


def ask_stacks(binary: Path, image: Path) -> dict[str, list[dict[str, Any]]]:
    """The frames of each task that was switched out, by its address."""
    report = kvista.run(binary, "-c", str(image), "foreach", "bt", statuses=(0,))
    frames: dict[str, list[dict[str, Any]]] = {
        row["task"]: [] for row in report.table("stacks") if row["from"] == "switched out"
    }
    for row in report.table("frames"):
        if row["task"] in frames:
            frames[row["task"]].append(row)
    return frames


def check_stacks(binary: Path, image: Path) -> list[str]:
    """That every stack is followed to its end by ORC alone."""
    stacks_found = ask_stacks(binary, image)
    frames = [row for stack in stacks_found.values() for row in stack]
    print(f"  {len(stacks_found)} stacks with {len(frames)} frames")
    wrong = [row for row in frames if row["means"] not in ("switched out", "orc", "registers")]
    problems = symbols.shown("A frame is not found by ORC", wrong, str)
    if len(stacks_found) < LEAST_TASKS or len(frames) < LEAST_FRAMES:
        problems.append(f"At least {LEAST_TASKS} stacks and {LEAST_FRAMES} frames are expected.")
    return problems


def check_same_stacks(binary: Path, one: Path, other: Path) -> list[str]:
    """That two images of the same memory give the same stacks."""
    want, got = ask_stacks(binary, one), ask_stacks(binary, other)
    print(f"  {len(want)} stacks compared with those of the whole dump")
    wrong = [task for task in want.keys() | got.keys() if want.get(task) != got.get(task)]
    return symbols.shown("A stack differs", wrong, str)


def check_extracted(tool: Path, image: Path, oracle: Path) -> list[str]:
    """The BTF in an image."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "btf"
        btf.extract(tool, image, out)
        return btf.check_extracted(oracle / "btf", out)


def check_dump(trial: Trial, binary: Path, tools: argparse.Namespace, found: capture.Capture) -> Reports:
    """All that is checked on the dump."""
    oracle = Oracle(found.oracle)
    texts = [(found.oracle / f"tasks.{when}").read_bytes() for when in ("before", "after")]
    snapshots = tasks.Snapshot(texts[0]), tasks.Snapshot(texts[1])
    check = KernelCheck(oracle, found.about["suite"], lambda _: snapshots, False)
    reports: Reports = {}

    def action(name: str) -> list[str]:
        reports[name] = ask(binary, found.dump, name)
        return check.run(name, reports[name])

    for name in COMMANDS:
        trial.step(f"dump: {' '.join(COMMANDS[name])}", lambda name=name: action(name))  # type: ignore[misc]
    trial.step("dump: stacks", lambda: check_stacks(binary, found.dump))
    trial.step("dump: sys counts the tasks of ps", lambda: check_count(reports))
    trial.step("dump: declared variables", lambda: check_globals(tools.globals_check, found.dump))
    trial.step("dump: the examples of help", lambda: check_help(binary, found.dump))
    trial.step("dump: the example of docs/", lambda: check_example(tools.process_list, found.dump, reports["tasks"]))
    return reports


def check_btf(trial: Trial, tool: Path, found: capture.Capture) -> None:
    """The types in the guest's memory, and as bpftool prints them."""
    trial.step("dump: BTF is the guest's", lambda: check_extracted(tool, found.dump, found.oracle))
    check_raw(trial, tool, btf.fetch(), found)


def check_raw(trial: Trial, tool: Path, peers: full_peers.Peers, found: capture.Capture) -> None:
    """The types in the guest's BTF."""

    def action() -> list[str]:
        with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
            return btf.check_raw(tool, peers, found.oracle / "btf", Path(folder), LEAST_TYPES[found.about["suite"]])

    trial.step("BTF: the types, as bpftool prints them", action)


def check_filtered(
    trial: Trial, binary: Path, btf_tool: Path, classes: Path, rewrite: Path, found: capture.Capture, reports: Reports
) -> None:
    """A dump without cache, user and free pages gives the same answers: all these are kernel data."""
    with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
        images: list[Path] = []

        def write() -> list[str]:
            images.extend(forms.write(FILTERED, rewrite, found.dump, kvista.page_classes(classes, found.dump), Path(folder)))
            print(f"  {images[0].stat().st_size >> 20} MiB instead of {found.dump.stat().st_size >> 20}")
            return []

        trial.step("filtered: written", write)
        for name in COMMANDS:
            trial.step(
                f"filtered: {' '.join(COMMANDS[name])}",
                lambda name=name: check_same(reports[name], ask(binary, images[0], name), name),  # type: ignore[misc]
            )
        trial.step("filtered: stacks", lambda: check_same_stacks(binary, found.dump, images[0]))
        trial.step("filtered: BTF is the guest's", lambda: check_extracted(btf_tool, images[0], found.oracle))


def check_live(trial: Trial, static: Path, suite: str, variant: str) -> None:
    """The four commands in a guest that runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        oracle = Oracle(path)

        def boot() -> list[str]:
            commands = {name: live_command(name) for name in COMMANDS}
            live.run(suite, variant, static, path, {**commands, "stacks": live_stacks_command()})
            return []

        def snapshots(name: str) -> Readings:
            texts = [(path / f"live/{name}.tasks.{when}").read_bytes() for when in ("before", "after")]
            return tasks.Snapshot(texts[0]), tasks.Snapshot(texts[1])

        check = KernelCheck(oracle, suite, snapshots, True)

        def action(name: str) -> list[str]:
            status, words = (oracle.text(f"live/{name}.{what}").strip() for what in ("status", "stderr"))
            if status != "0":
                raise lab.LabError(f"'kvista {' '.join(COMMANDS[name])}' ended with status {status} in the guest: {words}")
            return check.run(name, kvista.Report(oracle.text(f"live/{name}.stdout"), f"live {name}"))

        trial.step("live: boot and run", boot)
        for name in COMMANDS:
            trial.step(f"live: {' '.join(COMMANDS[name])}", lambda name=name: action(name))  # type: ignore[misc]
        trial.step("live: stacks", lambda: check_live_stacks(oracle))


def main() -> int:
    """Compare one capture, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--static", type=Path, help="a static kvista for the guest; without it no live run")
    parser.add_argument("--btf-tool", type=Path, required=True, help="the test tool btf_tool")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("--rewrite", type=Path, required=True, help="the test tool rewrite_image")
    parser.add_argument("--globals-check", type=Path, required=True, help="the test tool globals_check")
    parser.add_argument("--process-list", type=Path, required=True, help="the example of docs/, built")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=lab.VARIANTS, required=True)
    arguments = parser.parse_args()
    if arguments.static is None and lab.under_ci():
        raise lab.LabError("Under CI the live run needs --static.")
    found = capture.capture(arguments.suite, arguments.variant)
    print(found.describe(), flush=True)
    trial = Trial()
    check_btf(trial, arguments.btf_tool, found)
    reports = check_dump(trial, arguments.kvista, arguments, found)
    check_filtered(trial, arguments.kvista, arguments.btf_tool, arguments.classes, arguments.rewrite, found, reports)
    if arguments.static is not None:
        check_live(trial, arguments.static, arguments.suite, arguments.variant)
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
