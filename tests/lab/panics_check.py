"""The comparison of a dump with what the kernel wrote that died: kvista's stacks, message and locks against its call traces."""

from __future__ import annotations

import bisect
import dataclasses
import re
from pathlib import Path
from typing import Any

import kvista
import panics
from panics import Place
from panics_ways import Way


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
        return [
            Place(row["function"], row["offset"], self._sizes.of(row), row["module"], row["means"] != "link register") for row in rows
        ]

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

    def _sure(self, ours: list[Place], theirs: list[Place]) -> tuple[list[Place], list[Place], list[str]]:
        """The frames of each that can be compared, and what is wrong with the others: a caller that is in the link register yet must
        be the function of which the kernel, if it says so, is not sure. The address behind the last call of a function that never
        returns is, as some kernels write it, the first of the next function."""
        guesses = {frame.function for frame in theirs if not frame.is_sure}
        linked = [frame for frame in ours if not frame.is_sure]
        problems = [f"{frame} is none of {guesses}." for frame in linked if guesses and frame.function not in guesses]
        print(f"  {len(linked)} frames by the link register")
        ends = [frame for frame in ours if frame.offset == frame.size]
        theirs = [self._known(frame) for frame in theirs if frame.is_sure]
        theirs = [ends[0] if frame.offset == 0 and len(ends) == 1 else frame for frame in theirs]
        return [frame for frame in ours if frame.is_sure], theirs, problems

    def _compare(self, what: str, ours: list[Place], theirs: list[Place]) -> list[str]:
        """kvista's last frames with the kernel's."""
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
        ours, theirs, problems = self._sure(ours, theirs)
        if self._way.is_lost:
            ours, lost = self._without_lost(ours, theirs)
            problems += lost
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
            problems += self._compare(f"Task {pid}", ours, [self._known(frame) for frame in trace.frames])
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
