"""Tasks and the system: what kvista's `ps` and `sys` say against /proc, read just before and just after.

A value is compared where both readings of /proc agree on it.
"""

from __future__ import annotations

import calendar
import dataclasses
import re
import time
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any

import kvista
import lab
from symbols import shown

STATES = {"R": "RU", "S": "IN", "D": "UN", "T": "ST", "t": "TR", "Z": "ZO", "X": "DE", "I": "ID"}
NEEDED_STATES = frozenset({"IN", "UN", "ST", "TR", "ZO", "ID"})
"""The states that the tasks of the workload and the kernel's own are in."""
NEEDED_NAMES = frozenset({"init", "kthreadd", "lab-threads", "lab thread (3)", "odd ) R 1 (x"})
READER = "oracle"
"""The program that reads /proc finds itself running; in a dump it waits for the host."""

PF_KTHREAD = 0x00200000
PAGE_KIB = 4
COMM_LENGTH = 15
WORKER = re.compile(r"(kworker/[^R+-][^+-]*)[+-].*")

PERCPU_BATCH, RSS_COUNTERS = 32, 3
CACHED_FAULTS, PAGES_A_FAULT = 64, 16
"""/proc/PID/stat has an approximate RSS. Since 6.2 each of three counters may lag by max(32, 2 * CPUs) pages on each
CPU. Before, a thread keeps to itself what its last 64 faults brought, each up to 16 pages (fault-around)."""

AWAKE = ("RU", "WA")
"""A task that ran between the readings may be seen running, or on its way to."""

MOST_EXPLAINED = 16
"""So many values may differ in tasks that have run between the readings."""
MOST_NEW, MOST_NEW_LIVE = 2, 8
"""So many tasks may be born between the readings; live, kvista and its threads are among them."""
DATE_SLACK = 2
"""Seconds by which an idle kernel's clock may lie behind: it counts when it wakes up."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What the files of one task say."""

    tid: int
    tgid: int
    name: str
    state: str
    parent: int
    flags: int
    ran: tuple[str, ...]
    """What changes when it runs: its time, and of a process also the count of its context switches."""
    started: int
    virtual: int
    resident: int
    cpu: int


class Snapshot:
    """One reading of /proc, as the guest's program `oracle` wrote it."""

    def __init__(self, data: bytes) -> None:
        self.files: dict[str, str] = {}
        at = 0
        while at < len(data):
            end = data.index(b"\n", at)
            head = data[at:end].decode().split(" ")
            if len(head) != 3 or head[0] != "==":
                raise lab.LabError(f"The snapshot of the tasks has no header at {at}: {data[at:end][:80]!r}.")
            size = int(head[2])
            self.files[head[1]] = data[end + 1 : end + 1 + size].decode("utf-8", "replace")
            at = end + 1 + size + 1
        self.clock = int(self.files["clock"])
        self.load = tuple(self.files["loadavg"].split()[:3])
        self.uptime = float(self.files["uptime"].split()[0])
        self.memory_kib = self.number("meminfo", "MemTotal") or 0
        tasks = (self._task(path) for path, text in self.files.items() if path.endswith("/stat") and text)
        self.tasks = {task.tid: task for task in tasks}

    def number(self, path: str, name: str) -> int | None:
        """A number of a file whose lines are "NAME: NUMBER"."""
        found = re.search(rf"^{name}:\s+(\d+)", self.files.get(path, ""), re.MULTILINE)
        return int(found[1]) if found else None

    def _task(self, path: str) -> Task:
        text = self.files[path]
        # The name may hold anything, so the last parenthesis ends it.
        start, end = text.index("("), text.rindex(")")
        words = text[end + 1 :].split()
        tgid, tid = int(path.split("/")[0]), int(text[:start])
        status = self.files.get(f"{tid}/status", "")
        return Task(
            tid=tid,
            tgid=tgid,
            name=text[start + 1 : end],
            state=words[0],
            parent=int(words[1]),
            flags=int(words[6]),
            ran=(words[11], words[12], *re.findall(r"_switches:\s+(\d+)", status)),
            started=int(words[19]),
            virtual=int(words[20]),
            resident=int(words[21]),
            cpu=int(words[36]),
        )


def names_of(task: Task) -> frozenset[str]:
    """What the name in struct task_struct can be: /proc appends to a worker's what it works on, and shows the names of
    kernel threads in full."""
    found = WORKER.fullmatch(task.name)
    if not task.flags & PF_KTHREAD:
        return frozenset({task.name})
    if found:
        return frozenset({found[1][:COMM_LENGTH]})
    rescuer = re.fullmatch(r"(kworker/R-[^+]*?)[+-].*", task.name)
    return frozenset({task.name[:COMM_LENGTH]} | ({rescuer[1][:COMM_LENGTH]} if rescuer else set()))


def resident_kib(snapshot: Snapshot, task: Task, cpus: int, counts_exactly: bool) -> Container[int]:
    """What the RSS may be. /proc/PID/status counts exactly since percpu counters, before, the page tables do
    (smaps_rollup), and kvista may give the kernel's own number instead. Of a process whose first thread has ended,
    only stat tells, roughly."""
    counted = snapshot.number(f"{task.tgid}/status", "VmRSS")
    if counted is not None and task.resident:
        walked = snapshot.number(f"{task.tgid}/smaps_rollup", "Rss")
        return frozenset({counted} if counts_exactly or walked is None else {counted, walked})
    if not task.resident:
        return frozenset({0})
    batch = max(PERCPU_BATCH, 2 * cpus)
    slack = batch * cpus * RSS_COUNTERS if counts_exactly else CACHED_FAULTS * PAGES_A_FAULT
    return range(max(0, task.resident - slack) * PAGE_KIB, (task.resident + slack) * PAGE_KIB + 1)


def wanted(snapshot: Snapshot, task: Task, cpus: int, counts_exactly: bool) -> dict[str, Container[Any]]:
    """What each column may hold."""
    state = STATES.get(task.state, task.state)
    reader = task.name == READER and state == "RU"
    return {
        "tgid": frozenset({task.tgid}),
        "ppid": frozenset({task.parent}),
        "cpu": frozenset({task.cpu}),
        "state": frozenset({"RU", "IN"} if reader else {state}),
        "vsz_kib": frozenset({task.virtual // 1024}),
        "rss_kib": resident_kib(snapshot, task, cpus, counts_exactly),
        "comm": names_of(task),
        "kernel_thread": frozenset({bool(task.flags & PF_KTHREAD)}),
    }


COLUMNS = ("tgid", "ppid", "cpu", "state", "vsz_kib", "rss_kib", "comm", "kernel_thread")


class TaskCheck:
    """The rows of `kvista ps` against two readings; `problems` tells what does not agree."""

    def __init__(
        self,
        before: Snapshot,
        after: Snapshot,
        rows: Sequence[dict[str, Any]],
        cpus: int,
        counts_exactly: bool,
        live: bool = False,
    ) -> None:
        self.problems: list[str] = []
        self.compared: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.names: set[str] = set()
        self.changed = 0
        self.explained = 0
        self._before, self._after, self._cpus, self._exactly = before, after, cpus, counts_exactly
        self._wrong: dict[str, list[str]] = {}
        idle = [row for row in rows if row["pid"] == 0]
        others = {row["pid"]: row for row in rows if row["pid"] != 0}
        if len(others) + len(idle) != len(rows):
            self.problems.append("kvista lists a task twice.")
        if len({row["task"] for row in rows}) != len(rows) or any(not kvista.address(row["task"]) for row in rows):
            self.problems.append("The addresses of the tasks are not one for each.")
        self._presence(others, MOST_NEW_LIVE if live else MOST_NEW)
        for tid, task in before.tasks.items():
            later = after.tasks.get(tid)
            if later is not None and later.started == task.started and tid in others:
                self._task(task, later, others[tid])
        self._idle(idle)
        self._active(rows, live)
        self._percent(rows)
        for column, texts in self._wrong.items():
            self.problems += shown(f"{len(texts)} tasks differ in {column}", texts)
        if self.explained > MOST_EXPLAINED:
            self.problems.append(f"{self.explained} values differ in tasks that ran meanwhile, which is too many.")

    def _presence(self, rows: dict[int, dict[str, Any]], most_new: int) -> None:
        before, after = self._before.tasks, self._after.tasks
        stayed = {tid for tid, task in before.items() if tid in after and after[tid].started == task.started}
        last = max(before)
        missing = [before[tid] for tid in sorted(stayed - rows.keys())]
        self.problems += shown("kvista does not list", missing, lambda task: f"{task.tid} {task.name}")
        unknown = [row for tid, row in rows.items() if tid not in before and tid not in after]
        new = [row for row in unknown if row["pid"] > last]
        unknown = [row for row in unknown if row["pid"] <= last] + (new if len(new) > most_new else [])
        self.problems += shown("kvista lists, but not /proc", unknown, lambda row: f"{row['pid']} {row['comm']}")

    def _task(self, task: Task, later: Task, row: dict[str, Any]) -> None:
        """Compare one task, column by column."""
        one, other = (
            wanted(snapshot, of, self._cpus, self._exactly) for snapshot, of in ((self._before, task), (self._after, later))
        )
        for column in COLUMNS:
            if one[column] != other[column]:
                self.changed += 1
                continue
            self.compared[column] += 1
            if row[column] in one[column] and isinstance(row[column], bool) == (column == "kernel_thread"):
                continue
            awake = row[column] in AWAKE or set(one[column]) <= set(AWAKE) if column == "state" else column == "cpu"
            if awake and task.ran != later.ran:
                self.explained += 1
                continue
            want = one[column]
            words = f"from {want[0]} to {want[-1]}" if isinstance(want, range) else " or ".join(map(str, sorted(want)))
            self._wrong.setdefault(column, []).append(f"{task.tid} {task.name}: kvista has {row[column]!r}, /proc {words}")
        if one["state"] == other["state"]:
            self.states[row["state"]] += 1
        self.names.add(row["comm"])

    def _idle(self, rows: Sequence[dict[str, Any]]) -> None:
        """The idle tasks, one for each CPU, of which /proc does not tell."""
        right = {"tgid": 0, "ppid": 0, "vsz_kib": 0, "rss_kib": 0, "kernel_thread": True, "state": "RU"}
        got = {row["cpu"]: row for row in rows}
        if len(rows) != self._cpus or sorted(got) != list(range(self._cpus)):
            cpus = [row["cpu"] for row in rows]
            self.problems.append(f"kvista has idle tasks on the CPUs {cpus} of {self._cpus}.")
        for cpu, row in got.items():
            want = {**right, "comm": f"swapper/{cpu}"}
            have = {name: row[name] for name in want}
            if have != want:
                self.problems.append(f"The idle task of CPU {cpu} is {have} instead of {want}.")
            self.compared["idle"] += len(want)

    def _active(self, rows: Sequence[dict[str, Any]], live: bool) -> None:
        """On each CPU runs one task; while one looks it may move to another."""
        active = [row["cpu"] for row in rows if row["active"] is True]
        right = 1 <= len(active) <= self._cpus if live else sorted(active) == list(range(self._cpus))
        if not right:
            self.problems.append(f"kvista has active tasks on the CPUs {sorted(active)} of {self._cpus}.")

    def _percent(self, rows: Sequence[dict[str, Any]]) -> None:
        """The share of memory is that of the RSS, with one decimal or more."""
        total = self._before.memory_kib
        wrong = [row for row in rows if abs(row["mem_percent"] - 100 * row["rss_kib"] / total) > 0.0501]
        self.problems += shown(
            "mem_percent is not rss_kib of MemTotal", wrong, lambda row: f"{row['pid']}: {row['mem_percent']}, {row['rss_kib']} KiB"
        )


def check_tasks(check: TaskCheck, least_tasks: int) -> list[str]:
    """What the comparison found, and that it compared enough."""
    least = least_tasks * len(COLUMNS)
    count = sum(check.compared.values())
    states = ", ".join(f"{state} {number}" for state, number in sorted(check.states.items()))
    print(f"  {count} values of {check.compared['tgid']} tasks compared; states: {states}")
    print(f"  left out {check.changed} that /proc shows differently; rule 'ran_meanwhile' explains {check.explained}")
    problems = list(check.problems)
    if count < least:
        problems.append(f"Only {count} values of tasks were compared, at least {least} are needed.")
    lacking = sorted(NEEDED_STATES - set(check.states)) + sorted(NEEDED_NAMES - check.names)
    if lacking:
        problems.append(f"No task was compared in the state or with the name: {', '.join(lacking)}.")
    return problems


def check_first_task(init_task: int | None, rows: Sequence[dict[str, Any]]) -> list[str]:
    """That the first idle task is init_task."""
    got = [kvista.address(row["task"]) for row in rows if row["pid"] == 0 and row["cpu"] == 0]
    if got == [init_task]:
        return []
    return [f"kvista has swapper/0 at {', '.join(map(hex, got))}, init_task is at {init_task or 0:#x}."]


def check_system(
    before: Snapshot, after: Snapshot, row: dict[str, Any], cpus: int, names: Sequence[str], tasks_slack: int = 0
) -> list[str]:
    """One row of `kvista sys`; `names` are nodename, release, version and machine as uname has them."""
    want: dict[str, Any] = {"cpus": cpus, "memory_bytes": before.memory_kib * 1024}
    want.update(zip(("nodename", "release", "version", "machine"), names, strict=True))
    problems = [f"kvista has {name} = {row[name]!r}, it is {value!r}." for name, value in want.items() if row[name] != value]
    if row["panic"]:
        problems.append(f"kvista has panic = {row['panic']!r}, but the guest has not crashed.")
    load = [float(part) for part in row["load_average"].split(", ")]
    spans = [sorted((float(one), float(other))) for one, other in zip(before.load, after.load, strict=True)]
    two_decimals = re.fullmatch(r"\d+\.\d\d, \d+\.\d\d, \d+\.\d\d", row["load_average"])
    if not two_decimals or any(not low <= got <= high for got, (low, high) in zip(load, spans, strict=True)):
        shown_load = f"{', '.join(before.load)} before and {', '.join(after.load)} after"
        problems.append(f"kvista has load_average = {row['load_average']!r}, /proc/loadavg has {shown_load}.")
    if not int(before.uptime) - 1 <= row["uptime_seconds"] <= after.uptime + 1:
        shown_times = f"{before.uptime} and {after.uptime}"
        problems.append(f"kvista has uptime_seconds = {row['uptime_seconds']}, /proc/uptime {shown_times}.")
    counts = sorted((len(before.tasks), len(after.tasks)))
    if not counts[0] + cpus - tasks_slack <= row["tasks"] <= counts[1] + cpus + tasks_slack:
        problems.append(f"kvista counts {row['tasks']} tasks, /proc has {counts[0]} to {counts[1]} and {cpus} are idle.")
    date = calendar.timegm(time.strptime(row["date"], "%Y-%m-%dT%H:%M:%SZ"))
    if not before.clock - DATE_SLACK <= date <= after.clock + DATE_SLACK:
        problems.append(f"kvista has date = {row['date']}, the guest's clock said {before.clock} and {after.clock}.")
    exactly = " exactly" if before.load == after.load else ""
    print(f"  {len(want) + 5} values compared; load average {row['load_average']}{exactly}, up {row['uptime_seconds']} s")
    return problems
