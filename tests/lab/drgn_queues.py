"""Run queues and workqueues as drgn reads them: run by the Python of the tree that drgn is in, with the dump and
the debuginfo. The answer is JSON; lists are in the kernel's order.
"""

import json
import sys
from typing import Any

import drgn
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.idr import idr_for_each_entry
from drgn.helpers.linux.list import hlist_for_each_entry, list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry



def fair_tasks(prog: drgn.Program, cfs: drgn.Object) -> list[int]:
    """The tasks of a fair queue, those of groups where the group is, the running one's group last."""
    offset = drgn.offsetof(prog.type("struct task_struct"), "se")
    tasks = []
    for entity in rbtree_inorder_for_each_entry(
        "struct sched_entity", cfs.tasks_timeline.rb_root.address_of_(), "run_node"
    ):
        tasks += fair_tasks(prog, entity.my_q[0]) if entity.my_q else [entity.value_() - offset]
    if cfs.curr and cfs.curr.my_q:
        tasks += fair_tasks(prog, cfs.curr.my_q[0])
    return tasks


def realtime_tasks(prog: drgn.Program, rt: drgn.Object) -> list[int]:
    """The tasks of a real-time queue."""
    offset = drgn.offsetof(prog.type("struct task_struct"), "rt")
    return [
        entity.value_() - offset
        for head in rt.active.queue
        for entity in list_for_each_entry("struct sched_rt_entity", head.address_of_(), "run_list")
    ]


def run_queue(prog: drgn.Program, cpu: int) -> dict[str, Any]:
    """One CPU's."""
    rq = per_cpu(prog["runqueues"], cpu)
    return {
        "runqueue": rq.address_,
        "current": rq.curr.value_(),
        "nr_running": rq.nr_running.value_(),
        "clock_ns": rq.clock.value_(),
        "CFS": fair_tasks(prog, rq.cfs),
        "RT": realtime_tasks(prog, rq.rt),
    }


def pool(one: drgn.Object) -> dict[str, Any]:
    """A pool of workers."""
    workers = list(list_for_each_entry("struct worker", one.workers.address_of_(), "node"))
    return {
        "address": one.value_(),
        "cpu": one.cpu.value_(),
        "nice": one.attrs.nice.value_(),
        "workers": one.nr_workers.value_(),
        "idle": one.nr_idle.value_(),
        "tasks": [worker.task.value_() or None for worker in workers],
        "running": [worker.current_work.value_() for worker in workers if worker.current_work],
        "pending": [
            work.value_() for work in list_for_each_entry("struct work_struct", one.worklist.address_of_(), "entry")
        ],
    }


def queues(prog: drgn.Program) -> list[list[Any]]:
    """Each workqueue's part in each pool."""
    return [
        [
            queue.name.string_().decode(),
            queue.value_(),
            queue.flags.value_(),
            pwq.pool.id.value_(),
            pwq.value_(),
            pwq.nr_active.value_(),
        ]
        for queue in list_for_each_entry("struct workqueue_struct", prog["workqueues"].address_of_(), "list")
        for pwq in list_for_each_entry("struct pool_workqueue", queue.pwqs.address_of_(), "pwqs_node")
    ]


def delayed(prog: drgn.Program) -> list[list[int]]:
    """Works whose timers run: where they are, what they run, when."""
    function = prog["delayed_work_timer_fn"].address_
    offset = drgn.offsetof(prog.type("struct delayed_work"), "timer")
    found = []
    for cpu in for_each_present_cpu(prog):
        for base in per_cpu(prog["timer_bases"], cpu):
            for head in base.vectors:
                for timer in hlist_for_each_entry("struct timer_list", head.address_of_(), "entry"):
                    if timer.function.value_() == function:
                        work = drgn.Object(prog, "struct delayed_work *", value=timer.value_() - offset)
                        found.append([work.value_(), work.work.func.value_(), timer.expires.value_(), cpu])
    return found


def main() -> None:
    """Answer."""
    dump, vmlinux = sys.argv[1:]
    prog = drgn.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    pools = {number: pool(one) for number, one in idr_for_each_entry(prog["worker_pool_idr"].address_of_(), "struct worker_pool")}
    answer = {
        "version": drgn.__version__,
        "run_queues": {cpu: run_queue(prog, cpu) for cpu in for_each_present_cpu(prog)},
        "pools": pools,
        "queues": queues(prog),
        "delayed": delayed(prog),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
