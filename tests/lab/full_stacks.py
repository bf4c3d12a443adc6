"""Stacks against drgn, which reads the same dump with the kernel's debuginfo.

kvista has the dump alone. The stack of every task must have the same frames, address by address, and the same
functions. What may differ has a rule, and is counted: names of one place, and stacks that drgn does not follow.
"""

from __future__ import annotations

import argparse
import bisect
import dataclasses
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import capture
import full_drgn
import full_peers
import kernels
import kvista
import lab

HERE = Path(__file__).resolve().parent
SUITES = ("bookworm", "sid")
"""Those whose debuginfo the lab has."""
LEAST_TASKS, LEAST_FRAMES = 80, 430
MOST_WITHOUT = 4
"""Tasks that have no stack: they have ended, and wait for their parents."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame, as either says it."""

    address: int
    function: str | None


class Names:
    """The guest's own kallsyms: which names an address has."""

    def __init__(self, text: str) -> None:
        by_address: dict[int, set[str]] = defaultdict(set)
        self._places: dict[str, set[int]] = defaultdict(set)
        for line in text.splitlines():
            address, _, name = line.split()[:3]
            by_address[int(address, 16)].add(name)
            self._places[name].add(int(address, 16))
        self._sorted = sorted(by_address)
        self._by_address = by_address

    def nearest(self, address: int) -> set[str]:
        """The names of the last place at or before an address."""
        at = bisect.bisect_right(self._sorted, address)
        return self._by_address[self._sorted[at - 1]] if at else set()

    def is_before(self, name: str, address: int) -> bool:
        """Whether a symbol of that name is at or before an address."""
        return any(place <= address for place in self._places[name])


def drgn_command(peers: full_peers.Peers, dump: Path, vmlinux: Path) -> list[str]:
    """What has drgn follow the stacks of all tasks."""
    return peers.python(str(HERE / "drgn_stacks.py"), str(dump), str(vmlinux))


def ask_drgn(peers: full_peers.Peers, dump: Path, vmlinux: Path) -> dict[int, list[Frame] | None]:
    """The stacks that drgn follows, by the task's address."""
    answer = json.loads(lab.run(drgn_command(peers, dump, vmlinux), "asking drgn for stacks"))
    if not answer["version"].startswith(full_drgn.VERSION):
        print(f"drgn is {answer['version']}, and was {full_drgn.VERSION}x")
    return {
        int(task): None if frames is None else [Frame(one["address"], one["name"]) for one in frames]
        for task, frames in answer["stacks"].items()
    }


def ask_kvista(binary: Path, dump: Path) -> tuple[dict[int, list[Frame]], list[dict[str, Any]]]:
    """The stacks that kvista follows, by the task's address, and what it says of each."""
    report = kvista.run(binary, "-c", str(dump), "foreach", "bt", statuses=(0,))
    stacks: dict[int, list[Frame]] = {int(row["task"], 16): [] for row in report.table("stacks")}
    for row in report.table("frames"):
        stacks[int(row["task"], 16)].append(Frame(int(row["address"], 16), row["function"]))
    return stacks, report.table("stacks")


class Comparison:
    """What differs, and how often which rule explained it."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.rules: Counter[str] = Counter()
        self.problems: list[str] = []
        self.tasks = self.frames = 0

    def all(self, ours: dict[int, list[Frame]], theirs: dict[int, list[Frame] | None]) -> None:
        """Compare all stacks."""
        self.problems += [f"Only one of the two has the task at {task:#x}." for task in sorted(ours.keys() ^ theirs.keys())]
        for task in ours.keys() & theirs.keys():
            self.stack(task, ours[task], theirs[task])

    def stack(self, task: int, ours: list[Frame], theirs: list[Frame] | None) -> None:
        """Compare one stack."""
        if not ours:
            # drgn takes what is in a stack that was given back for frames, if anything.
            self.rules["ended"] += 1
            return
        if theirs is None:
            self.problems.append(f"Task {task:#x}: drgn has no stack, kvista {len(ours)} frames.")
            return
        self.tasks += 1
        mine, other = [one.address for one in ours], [one.address for one in theirs]
        if mine != other:
            self.problems.append(f"Task {task:#x}: {[*map(hex, mine)]} for kvista, {[*map(hex, other)]} for drgn.")
        for one, two in zip(ours, theirs):
            self.frames += 1
            self._function(task, one, two)

    def _function(self, task: int, ours: Frame, theirs: Frame) -> None:
        if ours.function == theirs.function:
            return
        # A return address can be where the next function begins.
        nearest = self._names.nearest(ours.address - 1) | self._names.nearest(ours.address)
        if ours.function in nearest and theirs.function in nearest:
            self.rules["alias"] += 1
        elif ours.function in nearest and theirs.function and self._names.is_before(theirs.function, ours.address):
            # DWARF and ELF know how long a function is, and kallsyms the label within it.
            self.rules["label"] += 1
        else:
            self.problems.append(
                f"Task {task:#x}: {ours.address:#x} is in {ours.function} for kvista, in {theirs.function} for drgn."
            )


def check_claims(rows: list[dict[str, Any]]) -> list[str]:
    """That each stack is whole, and none is a guess."""
    problems = []
    for row in rows:
        if not row["complete"]:
            problems.append(f"The stack of {row['comm']} ({row['pid']}) is not whole: {row['fault']}")
        if row["from"] == "guess":
            problems.append(f"The stack of {row['comm']} ({row['pid']}) is a guess.")
    return problems


def main() -> int:
    """Compare one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--suite", choices=SUITES, required=True)
    parser.add_argument("--variant", choices=lab.VARIANTS, required=True)
    arguments = parser.parse_args()
    found = capture.capture(arguments.suite, arguments.variant)
    print(found.describe())
    vmlinux = kernels.debuginfo(kernels.fetch(arguments.suite))
    theirs = ask_drgn(full_peers.fetch(*full_drgn.DRGN), found.dump, vmlinux)
    ours, rows = ask_kvista(arguments.kvista, found.dump)
    comparison = Comparison(Names((found.oracle / "kallsyms").read_text("utf-8")))
    problems = check_claims(rows)
    comparison.all(ours, theirs)
    problems += comparison.problems
    print(f"{comparison.tasks} tasks and {comparison.frames} frames compared; rules: {dict(comparison.rules)}")
    if comparison.tasks < LEAST_TASKS or comparison.frames < LEAST_FRAMES:
        problems.append(f"At least {LEAST_TASKS} tasks and {LEAST_FRAMES} frames must be compared.")
    if comparison.rules["ended"] > MOST_WITHOUT:
        problems.append(f"{comparison.rules['ended']} tasks are said to have no stack, more than {MOST_WITHOUT}.")
    for problem in problems[: full_drgn.SHOWN]:
        print(f"  FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
