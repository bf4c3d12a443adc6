"""Kernels that die in many ways: QEMU takes the dump when the kernel has written why, and the stacks, the message and the
locks that kvista finds there are compared with the call traces that the kernel itself wrote on its console."""

from __future__ import annotations

import argparse
import bisect
import dataclasses
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import built_kernel
import guest
import initramfs
import kernels
import kvista
import lab
import panics
from architectures import Variant
from panics import Place
from test_lab import Trial

INIT = Path(__file__).resolve().parent / "panics" / "init"
MODULES = ("lkdtm", "test_lockup", "deadlock")
STEP_TIMEOUT, DEATH_TIMEOUT = 60, 120


@dataclasses.dataclass(frozen=True)
class Way:
    """One way for a kernel to die, and the least that must be seen of it."""

    script: str
    """What the guest's shell runs."""
    message: str
    """How the message of the panic begins."""
    frames: int
    """So many frames at least must be compared."""
    through: str
    """A function that must be among them."""
    is_lost: bool = False
    """The kernel itself does not follow the stack to its end: behind what it is sure of, kvista's frames must be among those that
    it saw on the stack, in their order."""
    nmi: bool = False
    """QEMU sends one."""
    hung: tuple[tuple[str, ...], ...] = ()
    """Locks of which each waits for the next, and the last for the first."""


PROVOKE = "/sys/kernel/debug/provoke-crash"
EXCEPTION = "Fatal exception"
DEADLOCKS = (("deadlock_first", "deadlock_second"), ("deadlock_third", "deadlock_fourth"))

WAYS = {
    "sysrq": Way("echo c >/proc/sysrq-trigger", "sysrq triggered crash", 8, "sysrq_handle_crash"),
    "oom": Way("echo 1 >/proc/sys/vm/panic_on_oom; tail /dev/zero", "Out of memory: ", 10, "out_of_memory"),
    "nmi": Way("setting unknown_nmi_panic 1; marker nmi; sleep 60", "NMI: Not continuing", 3, "exc_nmi", nmi=True),
    "interrupt": Way(
        f"echo EXCEPTION >{PROVOKE}/INT_HW_IRQ_EN; while :; do echo >/dev/ttyS0; done",
        f"{EXCEPTION} in interrupt",
        12,
        "handle_irq_event",
        is_lost=True,
    ),
    "stack": Way(f"echo EXHAUST_STACK >{PROVOKE}/DIRECT", EXCEPTION, 15, "recursive_loop"),
    "list": Way(f"echo CORRUPT_LIST_ADD >{PROVOKE}/DIRECT", EXCEPTION, 8, "lkdtm_CORRUPT_LIST_ADD"),
    "softlockup": Way(
        f"setting softlockup_panic 1; setting watchdog_thresh 2; echo SOFTLOCKUP >{PROVOKE}/DIRECT",
        "softlockup: hung tasks",
        12,
        "lkdtm_SOFTLOCKUP",
    ),
    "lockup": Way(
        "setting softlockup_panic 1; setting watchdog_thresh 2; insmod /lab/test_lockup.ko time_secs=60 state=R",
        "softlockup: hung tasks",
        12,
        "test_lockup_init",
    ),
    "hung": Way(
        "for task in 0 1 2 3; do sh -c \"echo $task >/proc/deadlock\" & done; sleep 1; setting hung_task_panic 1;"
        " setting hung_task_timeout_secs 3; sleep 60",
        "hung_task: blocked tasks",
        40,
        "kthread",
        hung=DEADLOCKS,
    ),
}
DEBIAN = ("sysrq", "oom", "nmi")
"""What a kernel without LKDTM does."""


class Death(guest.Guest):
    """A guest that dies, and what it wrote."""

    def die(self, way: Way, dump: Path) -> str:
        """Wait for its end, and take the dump. Returns the console's text."""
        self.serve({}, "nmi" if way.nmi else "dying", STEP_TIMEOUT)
        if way.nmi:
            self.qmp("inject-nmi")
        end = time.monotonic() + DEATH_TIMEOUT
        while panics.AT_THE_END not in self.console.tail(10_000):
            if time.monotonic() > end:
                raise guest.Silent(f"The kernel did not die within {DEATH_TIMEOUT} s.\n{self.console.tail(80)}")
            time.sleep(0.25)
        # Other CPUs stop a little later.
        time.sleep(0.5)
        self.qmp("stop")
        self.qmp("dump-guest-memory", timeout=300, paging=False, protocol=f"file:{dump}")
        return "\n".join(line.removeprefix("  | ") for line in self.console.tail(10_000).splitlines())


def die(kernel: kernels.Kernel, name: str, into: Path) -> panics.Log:
    """Boot a kernel and have it die; the dump is then in `into`."""
    files = {"/bin/panics": INIT.read_bytes(), "/lab/way": WAYS[name].script.encode() + b"\n"}
    wanted = [one for one in MODULES if one != "test_lockup" or name == "lockup"]
    for number, (module, data) in enumerate(initramfs.module_files(kernel, wanted)):
        # The one that is a lockup is loaded by name, later.
        files["/lab/test_lockup.ko" if module == "test_lockup" else f"/lab/modules/{50 + number}-{module}.ko"] = data
    variant = Variant("panics", "max", "rdinit=/bin/panics panic=0")
    with Death(kernel, variant, files) as machine:
        text = machine.die(WAYS[name], into / "dump")
    (into / "console").write_text(text, "utf-8")
    return panics.Log(text)


class Sizes:
    """How large functions are: up to the next symbol, as kallsyms has it."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        own = [row for row in rows if not row["module"]]
        self._all = sorted({int(row["address"], 16) for row in own})

    def of(self, row: dict[str, Any]) -> int | None:
        """Of the function of a frame of kvista's; None for a module's."""
        if row["module"] or row["offset"] is None:
            return None
        start = int(row["address"], 16) - row["offset"]
        after = bisect.bisect_right(self._all, start)
        return self._all[after] - start if after < len(self._all) else None


class Check:
    """One dump, and the log of the kernel that died."""

    def __init__(self, program: Path, dump: Path, log: panics.Log, way: Way) -> None:
        self._program, self._dump, self._log, self._way = program, dump, log, way
        self._sizes = Sizes(self._ask("sym", "-l").table("symbols"))
        self._compared = 0

    def _ask(self, *words: str) -> kvista.Report:
        return kvista.run(self._program, "-c", str(self._dump), *words, statuses=(0,))

    @staticmethod
    def _known(frame: Place) -> Place:
        """How large a module's function is, kvista does not say."""
        return dataclasses.replace(frame, size=None) if frame.module else frame

    def _stack(self, report: kvista.Report, pid: int | None = None) -> list[Place]:
        rows = [row for row in report.table("frames") if pid in (None, row["pid"])]
        return [Place(row["function"], row["offset"], self._sizes.of(row), row["module"]) for row in rows]

    def _without_lost(self, ours: list[Place], theirs: list[Place]) -> tuple[list[Place], list[str]]:
        """kvista's frames up to the last one of which the kernel is sure; the others must be among those that it doubts. It takes
        the registers behind a probe's int3 for those behind the instruction in whose place that stands."""
        end = next((at + 1 for at in range(len(ours)) if ours[: at + 1][-len(theirs) :] == theirs), len(ours))
        doubted = iter(self._log.traces()[-1].doubted)
        rest = ours[end:]
        self._compared += len(rest)
        print(f"  {len(rest)} frames beyond those that the kernel is sure of")
        problems = [f"{frame} is not among what the kernel saw on the stack." for frame in rest if frame not in doubted]
        return ours[:end], problems if rest else ["There are no frames beyond those of which the kernel is sure."]

    def _compare(self, what: str, ours: list[Place], theirs: list[Place]) -> list[str]:
        """kvista's last frames with the kernel's."""
        theirs = [self._known(frame) for frame in theirs]
        self._compared += len(theirs)
        if theirs and ours[-len(theirs) :] == theirs:
            return []
        return [f"{what}: kvista has", *map(str, ours), "and the kernel wrote", *map(str, theirs)]

    def message(self) -> list[str]:
        """Why it died."""
        row, panic = self._ask("sys").table("system")[0], self._log.panic()
        problems = [] if panic and row["panic"].endswith(panic) else [f"kvista sys has {row['panic']!r}, the console {panic!r}."]
        if not panic or not panic.startswith(self._way.message):
            problems.append(f"It died of {panic!r}, not of {self._way.message!r}.")
        return problems

    def machine(self) -> list[str]:
        """What the firmware said of the machine and of its memory."""
        fields = {row["field"]: row["text"] for row in self._ask("sys", "-i").table("dmi")}
        wanted = ("DMI_SYS_VENDOR", "DMI_PRODUCT_NAME", "DMI_BIOS_VERSION", "DMI_BIOS_DATE")
        vendor, product, version, date = (fields.get(name, "-") for name in wanted)
        name = f"Hardware name: {vendor} {product}, BIOS {version} {date}"
        problems = [] if name in map(str.strip, self._log.lines) else [f"The console has no line: {name}"]
        ours = {(int(row["first"], 16), int(row["last"], 16)) for row in self._ask("mach", "-m").table("map")}
        found = (re.match(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]", line.strip()) for line in self._log.lines)
        # The kernel takes parts of the first MiB away.
        theirs = {one for one in ((int(line[1], 16), int(line[2], 16)) for line in found if line) if one[0] >= 1 << 20}
        problems += [f"{first:#x}-{last:#x} is not in kvista's map of memory." for first, last in sorted(theirs - ours)]
        print(f"  {len(theirs)} ranges of memory, and: {name}")
        return problems if len(theirs) >= 3 else [*problems, "At least 3 ranges of memory must be compared."]

    def crash(self) -> list[str]:
        """The stack that crashed."""
        report = self._ask("bt")
        ours = self._stack(report)
        before, theirs = panics.of_the_crash(self._log)
        problems = []
        if self._way.is_lost:
            ours, problems = self._without_lost(ours, [self._known(frame) for frame in theirs])
        problems += self._compare("The stack that crashed", ours, theirs)
        above = ours[: -len(theirs)]
        if not above or (before and above[-1].function != before.function):
            problems.append(f"Above these frames are {above}, and {before} is expected.")
        stack = report.table("stacks")[0]
        if not stack["complete"] or stack["from"] != "cpu":
            problems.append(f"The stack that crashed is not whole, or not what its CPU ran: {stack}.")
        problems += [f"{row['function']} is a guess." for row in report.table("frames") if row["means"] == "scan"]
        if self._way.through not in [frame.function.split(".")[0] for frame in theirs]:
            problems.append(f"{self._way.through} is not among the frames.")
        return problems

    def hung_tasks(self) -> list[str]:
        """The stack of each task that hung, and what they wait for."""
        traces = {trace.pid: trace for trace in self._log.traces() if trace.pid is not None}
        report = self._ask("foreach", "UN", "bt")
        problems = []
        for pid, trace in traces.items():
            ours = self._stack(report, pid)
            problems += self._compare(f"Task {pid}", ours, trace.frames)
            if len(ours) != len(trace.frames):
                problems.append(f"Task {pid} has {len(ours)} frames, and {len(trace.frames)} for the kernel.")
        expected = sum(map(len, self._way.hung))
        if len(traces) != expected:
            problems.append(f"The kernel names {len(traces)} tasks that hang, and {expected} do.")
        listed = {row["pid"] for row in self._ask("hung").table("hung")}
        if listed != set(traces):
            problems.append(f"kvista hung lists {sorted(listed)}, the kernel {sorted(traces)}.")
        return problems + self._cycles(set(traces))

    def _cycles(self, pids: set[int]) -> list[str]:
        """That each circle of locks is found from each of its locks."""
        report = self._ask("lock")
        chains: dict[int, list[dict[str, Any]]] = {}
        for row in report.table("locks"):
            chains.setdefault(row["chain"], []).append(row)
        found, owners = set(), set()
        for rows in chains.values():
            names = tuple(row["symbol"].split()[0].split("+")[0] for row in rows)
            owners |= {row["owner_pid"] for row in rows}
            if rows[-1]["deadlock"]:
                found.add(names)
        wanted = {circle[at:] + circle[:at] for circle in self._way.hung for at in range(len(circle))}
        print(f"  {len(chains)} chains of locks, {len(found)} of them circles, held by {sorted(owners)}")
        problems = [] if found == wanted else [f"kvista lock finds the circles {sorted(found)}, and there are {sorted(wanted)}."]
        waiting = {row["pid"] for row in report.table("waiters")}
        if not owners == waiting == pids:
            problems.append(f"Owners {owners} and waiters {waiting} should be {pids}.")
        return problems

    def amount(self) -> list[str]:
        """How much was compared."""
        print(f"  {self._compared} frames compared")
        return [] if self._compared >= self._way.frames else [f"At least {self._way.frames} frames must be compared."]


def check(trial: Trial, program: Path, kernel: kernels.Kernel, name: str, into: Path) -> None:
    """One death."""
    way = WAYS[name]
    with tempfile.TemporaryDirectory(prefix="panic-", dir=into) as folder:
        try:
            log = die(kernel, name, Path(folder))
            one = Check(program, Path(folder) / "dump", log, way)
        except lab.LabError as error:
            trial.step(f"{name}: it dies", lambda error=error: [str(error)])  # type: ignore[misc]
            return
        print(f"{name}: {log.panic()}", flush=True)
        trial.step(f"{name}: the message", one.message)
        trial.step(f"{name}: the machine", one.machine)
        trial.step(f"{name}: the stack that crashed", one.crash)
        if way.hung:
            trial.step(f"{name}: the tasks that hang", one.hung_tasks)
        trial.step(f"{name}: how much", one.amount)


def main() -> int:
    """Have one kernel die in all its ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--kernel", choices=["built", *lab.SUITES], required=True, help="the lab's own, or a suite's")
    parser.add_argument("way", nargs="*", help=f"of {', '.join(WAYS)}; all that the kernel can when none is named")
    arguments = parser.parse_args()
    is_built = arguments.kernel == "built"
    kernel = built_kernel.build("random") if is_built else kernels.fetch(arguments.kernel)
    print(kernel.release, flush=True)
    trial = Trial()
    for name in arguments.way or (WAYS if is_built else DEBIAN):
        check(trial, arguments.kvista, kernel, name, lab.cache_dir())
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
