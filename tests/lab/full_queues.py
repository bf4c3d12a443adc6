"""Run queues and workqueues against drgn, which reads the same dump with the kernel's debuginfo.

kvista has the dump alone. Every run queue, pool of workers, worker, workqueue, and work that runs, waits or is delayed
must be the same, in the same order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
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
LEAST = {"run queues": 2, "pools": 5, "workers": 10, "queues": 60, "delayed works": 5}


def number(text: str | None) -> int | None:
    """An address as kvista writes it."""
    return None if text is None else int(text, 16)


def run_queues(report: kvista.Report) -> dict[str, dict[str, Any]]:
    """What kvista says, in drgn_queues.py's form."""
    found = {
        str(row["cpu"]): {
            "runqueue": number(row["runqueue"]),
            "current": number(row["current"]),
            "nr_running": row["nr_running"],
            "clock_ns": row["clock_ns"],
            "CFS": [],
            "RT": [],
        }
        for row in report.table("queues")
    }
    for row in report.table("tasks"):
        found[str(row["cpu"])].setdefault(row["class"], []).append(number(row["task"]))
    return found


def pools(report: kvista.Report) -> dict[str, dict[str, Any]]:
    """The same of pools."""
    found: dict[str, dict[str, Any]] = {
        str(row["pool"]): {
            "address": number(row["address"]),
            "cpu": -1 if row["cpu"] is None else row["cpu"],
            "nice": row["nice"],
            "workers": row["workers"],
            "idle": row["idle"],
            "tasks": [],
            "running": [],
            "pending": [],
        }
        for row in report.table("pools")
    }
    for row in report.table("workers"):
        if row["pool"] is not None:
            found[str(row["pool"])]["tasks"].append(number(row["task"]))
    for row in report.table("works"):
        if row["pool"] is not None and row["state"] in ("running", "pending"):
            found[str(row["pool"])][row["state"]].append(number(row["work"]))
    return found


def queues(report: kvista.Report) -> list[list[Any]]:
    """The same of workqueues."""
    names = ("queue", "address", "flags", "pool", "pool_queue", "active")
    rows = [[row[name] for name in names] for row in report.table("queues")]
    return [[row[0], number(row[1]), number(row[2]), row[3], number(row[4]), row[5]] for row in rows]


def delayed(report: kvista.Report) -> list[list[int | None]]:
    """The same of delayed works, without what they run."""
    return [
        [number(row["work"]), row["expires"], row["cpu"]] for row in report.table("works") if row["state"] == "delayed"
    ]


def differences(what: str, ours: Any, theirs: Any) -> list[str]:
    """A sentence for each thing in which they differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            one
            for key in sorted(ours.keys() | theirs.keys())
            for one in differences(f"{what} {key}", ours.get(key), theirs.get(key))
        ]
    return [] if ours == theirs else [f"{what}: {ours} for kvista, {theirs} for drgn."]


def main() -> int:
    """Compare one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--suite", choices=SUITES, required=True)
    arguments = parser.parse_args()
    found = capture.capture(arguments.suite, "kaslr")
    print(found.describe())
    vmlinux = kernels.debuginfo(kernels.fetch(arguments.suite))
    peers = full_peers.fetch(*full_drgn.DRGN)
    command = peers.python(str(HERE / "drgn_queues.py"), str(found.dump), str(vmlinux))
    theirs = json.loads(lab.run(command, "asking drgn for queues"))
    runq = kvista.run(arguments.kvista, "-c", str(found.dump), "runq", statuses=(0,))
    works = kvista.run(arguments.kvista, "-c", str(found.dump), "workqueue", statuses=(0,))
    ours = {"run_queues": run_queues(runq), "pools": pools(works), "queues": queues(works), "delayed": delayed(works)}
    theirs["delayed"] = [[work, expires, cpu] for work, _, expires, cpu in theirs["delayed"]]
    problems = [one for what in ours for one in differences(what, ours[what], theirs[what])]
    counts = Counter(
        {
            "run queues": len(ours["run_queues"]),
            "pools": len(ours["pools"]),
            "workers": sum(len(one["tasks"]) for one in ours["pools"].values()),
            "queues": len(ours["queues"]),
            "delayed works": len(ours["delayed"]),
        }
    )
    print("compared: " + ", ".join(f"{counts[name]} {name}" for name in LEAST))
    problems += [f"{counts[name]} {name}, at least {least} are needed." for name, least in LEAST.items() if counts[name] < least]
    for problem in problems[: full_drgn.SHOWN]:
        print(f"  FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
