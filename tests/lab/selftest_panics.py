"""Tests of what the lab reads in the last words of a kernel. They need no guest."""

from __future__ import annotations

import unittest

import panics
from panics import Place

OOPS = """\
[    5.100000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    5.200000] RIP: 0010:fails_here+0x1f/0x30 [some]
[    5.200001] RSP: 0018:ffffc900000c3d70 EFLAGS: 00010246
[    5.300000] Call Trace:
[    5.300001]  <IRQ>
[    5.300002]  ? __die+0x23/0x70
[    5.300003]  handle_irq_event+0x3d/0x70
[    5.300004]  </IRQ>
[    5.300005]  <TASK>
[    5.300006]  asm_common_interrupt+0x22/0x40
[    5.300007] RIP: 0010:was_interrupted.cold+0x5/0x10
[    5.300008] Code: 40 00
[    5.300009]  caller+0x9/0x99
[    5.300010]  ? seen_only+0x1/0x2
[    5.300010] RIP: 0033:0x47b7a0
[    5.300011]  </TASK>
[    5.400000] ---[ end trace 0000000000000000 ]---
[    5.500000] RIP: 0010:fails_here+0x1f/0x30 [some]
[    5.600000] Kernel panic - not syncing: Fatal exception in interrupt
[    5.700000] ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---
"""
PANIC = """\
[    7.1] task:sh              state:D stack:0     pid:87    tgid:87    ppid:1      flags:0x00004006
[    7.2] Call Trace:
[    7.3]  <TASK>
[    7.4]  __schedule+0x1/0x2
[    7.5]  </TASK>
[    8.1] Kernel panic - not syncing: hung_task: blocked tasks
[    8.2] Call Trace:
[    8.3]  <TASK>
[    8.4]  dump_stack_lvl+0x5d/0x80
[    8.5]  vpanic+0x118/0x2db
[    8.6]  panic+0x5a/0x60
[    8.7]  watchdog+0xf/0x20
[    8.8]  </TASK>
"""


S390X = """\
[    5.1] Kernel panic - not syncing: Out of memory
[    5.2] Call Trace:
[    5.3]  [<000003ffff3f4ed8>] panic+0x118/0x318 
[    5.4]  [<000003ffff40d9c2>] pgm_check_handler+0x122/0x170 
[    5.5]  [<000003ffff3f4272>] __clear_user+0x2a/0x70 
[    5.6] ([<000003ffff05948e>] read_zero+0x66/0xd0)
[    5.7]  [<000003fffec8f440>] next_one+0x0/0x310 [some] 
"""


class LastWords(unittest.TestCase):
    """What a log says of the stack that crashed."""

    def test_exception(self) -> None:
        log = panics.Log(OOPS)
        self.assertEqual(log.panic(), "Fatal exception in interrupt")
        before, frames = panics.of_the_crash(log)
        self.assertIsNone(before)
        names = ["fails_here", "handle_irq_event", "asm_common_interrupt", "was_interrupted.cold", "caller"]
        self.assertEqual([frame.function for frame in frames], names)
        self.assertEqual(frames[0], Place("fails_here", 0x1F, 0x30, "some"))
        self.assertEqual(frames[-1], Place("caller", 9, 0x99, None))
        self.assertEqual(log.traces()[0].doubted, [Place("seen_only", 1, 2, None)])

    def test_panic(self) -> None:
        log = panics.Log(PANIC)
        before, frames = panics.of_the_crash(log)
        self.assertEqual(before, Place("panic", 0x5A, 0x60, None))
        self.assertEqual(frames, [Place("watchdog", 15, 32, None)])

    def test_tasks(self) -> None:
        traces = panics.Log(PANIC).traces()
        self.assertEqual([trace.pid for trace in traces], [87, None])
        self.assertEqual(traces[0].frames, [Place("__schedule", 1, 2, None)])

    def test_what_s390x_is_not_sure_of(self) -> None:
        before, frames = panics.of_the_crash(panics.Log(S390X))
        self.assertEqual(before, Place("panic", 0x118, 0x318, None))
        self.assertEqual([frame.function for frame in frames], ["pgm_check_handler", "__clear_user", "read_zero", "next_one"])
        self.assertEqual([frame.is_sure for frame in frames], [True, True, False, True])
        self.assertEqual(frames[-1], Place("next_one", 0, 0x310, "some"))


if __name__ == "__main__":
    unittest.main()
