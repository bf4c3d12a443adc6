"""Kernels that die in many ways: QEMU takes the dump when the kernel has written why, and the stacks, the message and the
locks that kvista finds there are compared with the call traces that the kernel itself wrote on its console."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import built_kernel
import guest
import initramfs
import kernels
import lab
import panics
from architectures import AMD64, VARIANTS, Variant
from panics_check import Check
from panics_ways import ANYWHERE, DEBIAN, WAYS, Way
from test_lab import Trial

INIT = Path(__file__).resolve().parent / "panics" / "init"
MODULES = ("lkdtm", "test_lockup", "deadlock")
STEP_TIMEOUT, DEATH_TIMEOUT = 60, 120
OTHERS = {name: variant for name, variant in VARIANTS.items() if name not in lab.VARIANTS}
"""Those of other architectures than x86_64, by whose names their kernels are asked for."""
OTHER_SUITE = "trixie"


class Death(guest.Guest):
    """A guest that dies, and what it wrote."""

    OPTIONS = ("-action", "panic=pause")

    def is_dead(self) -> bool:
        """Whether it has written all. The CPUs of s390x stop before the last line (disabled_wait()), which QEMU sees."""
        return panics.AT_THE_END in self.console.tail(10_000) or self.qmp("query-status")["status"] == "guest-panicked"

    def die(self, way: Way, dump: Path) -> str:
        """Wait for its end, and take the dump. Returns the console's text."""
        self.serve({}, "nmi" if way.nmi else "dying", STEP_TIMEOUT)
        if way.nmi:
            self.qmp("inject-nmi")
        end = time.monotonic() + DEATH_TIMEOUT
        while not self.is_dead():
            if time.monotonic() > end:
                raise guest.Silent(f"The kernel did not die within {DEATH_TIMEOUT} s.\n{self.console.tail(80)}")
            time.sleep(0.25)
        # Other CPUs stop a little later.
        time.sleep(0.5)
        self.qmp("stop")
        self.qmp("dump-guest-memory", timeout=300, paging=False, protocol=f"file:{dump}")
        return "\n".join(line.removeprefix("  | ") for line in self.console.tail(10_000).splitlines())


def die(kernel: kernels.Kernel, cpu: str, name: str, into: Path) -> panics.Log:
    """Boot a kernel and have it die; the dump is then in `into`."""
    files = {"/bin/panics": INIT.read_bytes(), "/lab/way": WAYS[name].script.encode() + b"\n"}
    if kernel.architecture.note:
        files["/lab/note"] = b""
    wanted = [one for one in MODULES if one != "test_lockup" or name == "lockup"]
    for number, (module, data) in enumerate(initramfs.module_files(kernel, wanted)):
        # The one that is a lockup is loaded by name, later.
        files["/lab/test_lockup.ko" if module == "test_lockup" else f"/lab/modules/{50 + number}-{module}.ko"] = data
    variant = Variant("panics", cpu, "rdinit=/bin/panics panic=0", kernel.architecture)
    with Death(kernel, variant, files) as machine:
        text = machine.die(WAYS[name], into / "dump")
    (into / "console").write_text(text, "utf-8")
    return panics.Log(text)


def check(trial: Trial, program: Path, kernel: kernels.Kernel, cpu: str, name: str, into: Path) -> None:
    """One death."""
    way = WAYS[name]
    with tempfile.TemporaryDirectory(prefix="panic-", dir=into) as folder:
        try:
            log = die(kernel, cpu, name, Path(folder))
            one = Check(program, Path(folder) / "dump", log, way)
        except lab.LabError as error:
            trial.step(f"{name}: it dies", lambda error=error: [str(error)])  # type: ignore[misc]
            return
        print(f"{name}: {log.panic()}", flush=True)
        trial.step(f"{name}: the message", one.message)
        if kernel.architecture is AMD64:
            trial.step(f"{name}: the machine", one.machine)
        trial.step(f"{name}: the stack that crashed", one.crash)
        if way.hung:
            trial.step(f"{name}: the tasks that hang", one.hung_tasks)
        trial.step(f"{name}: how much", one.amount)


def main() -> int:
    """Have one kernel die in all its ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--kernel", choices=["built", *lab.SUITES, *OTHERS], required=True, help="the lab's own, a suite's, or a variant's")
    parser.add_argument("way", nargs="*", help=f"of {', '.join(WAYS)}; all that the kernel can when none is named")
    arguments = parser.parse_args()
    cpu, ways = "max", DEBIAN
    if arguments.kernel == "built":
        kernel, ways = built_kernel.build("random"), tuple(WAYS)
    elif other := OTHERS.get(arguments.kernel):
        kernel, cpu, ways = kernels.fetch(OTHER_SUITE, other.architecture), other.cpu, ANYWHERE
    else:
        kernel = kernels.fetch(arguments.kernel)
    print(kernel.release, flush=True)
    trial = Trial()
    for name in arguments.way or ways:
        check(trial, arguments.kvista, kernel, cpu, name, lab.cache_dir())
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
