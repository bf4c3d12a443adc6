"""The ways in which the lab's kernels die, and the least that must be seen of each."""

from __future__ import annotations

import dataclasses


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
ANYWHERE = ("sysrq", "oom")
"""What a kernel without LKDTM does, on any architecture."""
DEBIAN = (*ANYWHERE, "nmi")
"""What it does on x86_64."""
