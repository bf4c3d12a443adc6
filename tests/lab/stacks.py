"""Stacks of tasks that sleep: what the kernel says of them in /proc/PID/task/TID/stack, and what kvista does."""

from __future__ import annotations

import re
from collections.abc import Mapping

import kvista

Place = tuple[str, int]
"""A function, and how far into it."""
Stacks = dict[int, list[Place]]
"""By the task's number."""

PLACE = re.compile(r"(?P<guess>\? )?(?P<function>[\w.]+)\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+")
COMMAND = "grep -H '' /proc/[0-9]*/task/[0-9]*/stack"
"""What writes them down in a guest."""
MOST_OF_PROC = 64
"""Frames that /proc/PID/stack has at most."""


def frame_of(line: str) -> Place:
    """What a line says."""
    place = PLACE.search(line)
    return (place["function"], int(place["offset"], 16)) if place else (line, 0)


def of_proc(text: str) -> Stacks:
    """What COMMAND printed."""
    stacks: Stacks = {}
    for line in text.splitlines():
        file, _, frame = line.partition(":")
        stacks.setdefault(int(file.split("/")[4]), []).append(frame_of(frame))
    return stacks


def of_files(files: Mapping[str, str]) -> Stacks:
    """What a snapshot of /proc has of them, by the paths of its files."""
    found = {path: text for path, text in files.items() if path.endswith("/stack") and text}
    return {int(path.split("/")[2]): [frame_of(line) for line in text.splitlines()] for path, text in found.items()}


def scheduler_text(kallsyms: str) -> list[range]:
    """What /proc/PID/stack leaves out: in_sched_functions() of kernel/sched/core.c."""
    places = {name: int(address, 16) for address, _, name in (line.split()[:3] for line in kallsyms.splitlines())}
    # There may be no code for locks that is not inlined.
    parts = (part for part in ("sched", "lock", "spinlock") if f"__{part}_text_start" in places)
    return [range(places[f"__{part}_text_start"], places[f"__{part}_text_end"]) for part in parts]


def of_kvista(report: kvista.Report, left_out: list[range]) -> Stacks:
    """What `kvista foreach bt` says, without what the kernel leaves out."""
    stacks: Stacks = {row["pid"]: [] for row in report.table("stacks")}
    for row in report.table("frames"):
        if not any(int(row["address"], 16) in text for text in left_out):
            stacks[row["pid"]].append((row["function"], row["offset"]))
    return stacks


def compare(before: Stacks, after: Stacks, ours: Stacks, most_moved: int, least: tuple[int, int]) -> list[str]:
    """Compare what stood still between two readings, say how much, and return what is wrong. As many as `most_moved`
    may have moved meanwhile; `least` are how many stacks and frames must be compared."""
    moved, compared, frames = [], 0, 0
    for task, stack in before.items():
        if after.get(task) != stack or task not in ours:
            continue
        if ours[task][:MOST_OF_PROC] == stack:
            compared += 1
            frames += len(stack)
        else:
            moved.append(f"Task {task} has {ours[task]}, and had {stack}.")
    print(f"  {compared} stacks with {frames} frames compared, {len(moved)} had moved")
    problems = moved if len(moved) > most_moved else []
    if compared < least[0] or frames < least[1]:
        problems.append(f"At least {least[0]} stacks and {least[1]} frames are expected.")
    return problems
