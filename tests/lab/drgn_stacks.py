"""The stacks that drgn follows: run by the Python of the tree that drgn is in, with the dump and the debuginfo.

The answer is JSON: of each task its address, and its frames, those of inlined functions left out, each with its
address and the function's name.
"""

import json
import sys
from typing import Any

import drgn
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import idle_task

KERNEL_HALF = 1 << 63


def frames_of(prog: drgn.Program, task: drgn.Object) -> list[dict[str, Any]] | None:
    """The frames in the kernel, up to user mode, or None where drgn has none."""
    try:
        trace = prog.stack_trace(task)
    except (ValueError, LookupError, drgn.FaultError):
        return None
    frames = []
    for frame in trace:
        try:
            address = frame.pc
        except LookupError:
            continue
        if address < KERNEL_HALF:
            break  # user mode; drgn goes on with whatever is there
        if frame.is_inline:
            continue
        try:
            name = frame.symbol().name
        except LookupError:
            name = None
        frames.append({"address": address, "name": name})
    return frames


def main() -> None:
    """Answer."""
    dump, vmlinux = sys.argv[1:]
    prog = drgn.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    tasks = list(for_each_task(prog)) + [idle_task(prog, cpu) for cpu in for_each_present_cpu(prog)]
    stacks = {str(task.value_()): frames_of(prog, task) for task in tasks}
    json.dump({"version": drgn.__version__, "stacks": stacks}, sys.stdout)


if __name__ == "__main__":
    main()
