"""The live lab test of another architecture: a kvista that was built for it looks into the guest in which it runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import arch_facts
import guest
import kvista
import lab
import live
import logs
import tasks
import test_kernel
from test_arch import EXPECTED, SUITE
from test_lab import LiveRun, Trial, check_live_census


class ArchLiveTrial:
    """The parts of the test, each on its own, after one boot."""

    def __init__(self, variant: str, path: Path) -> None:
        self.variant = guest.VARIANTS[variant]
        self.architecture = self.variant.architecture
        self.expected = EXPECTED[self.architecture.name]
        self.run = LiveRun(path)

    def boot(self, static: Path) -> list[str]:
        """Run all commands in a guest."""
        commands = {name: line for name, line in live.COMMANDS.items() if name != "dev_mem"}
        commands |= {name: test_kernel.live_command(name) for name in test_kernel.COMMANDS}
        commands |= {"stacks": test_kernel.live_stacks_command()}
        live.run(SUITE, self.variant.name, static, self.run.path, commands)
        return []

    def vmcoreinfo(self) -> list[str]:
        """The note of the kernel that runs."""
        status, text = self.run.text("vmcoreinfo.status"), self.run.text("vmcoreinfo.stdout")
        print(f"  {len(text.splitlines())} lines, of release {self.run.oracle.release()}")
        if status != "0" or f"OSRELEASE={self.run.oracle.release()}" not in text:
            return [f"'kvista vmcoreinfo' ended with status {status}: {self.run.text('vmcoreinfo.stderr')}"]
        return []

    def facts(self) -> list[str]:
        """The machine facts."""
        report = self.run.report("info")
        check = arch_facts.OtherFactCheck(report, self.run.oracle, self.architecture, SUITE, True)
        print(f"  {check.checked} facts compared with the guest's kernel")
        if check.checked < self.expected.facts:
            check.problems.append(f"Only {check.checked} facts were compared, at least {self.expected.facts} are needed.")
        return check.problems

    def dmesg(self) -> list[str]:
        """The kernel's log."""
        rows = self.run.report("dmesg_json").table("messages")
        return logs.check_live(self.run.path, rows, self.expected.records)

    def mem_usage(self) -> list[str]:
        """The census, which stands still roughly."""
        return check_live_census(self.run, self.run.oracle.impossible_classes(), self.expected.floors())

    def objects(self, name: str) -> list[str]:
        """One of the tables of the kernel's own objects."""
        status, words = (self.run.text(f"{name}.{what}") for what in ("status", "stderr"))
        if status != "0":
            return [f"'kvista {' '.join(test_kernel.COMMANDS[name])}' ended with status {status} in the guest: {words}"]
        texts = [(self.run.path / f"live/{name}.tasks.{when}").read_bytes() for when in ("before", "after")]
        snapshots = tasks.Snapshot(texts[0]), tasks.Snapshot(texts[1])
        check = test_kernel.KernelCheck(self.run.oracle, SUITE, lambda _: snapshots, True, self.expected.symbols)
        return check.run(name, kvista.Report(self.run.text(f"{name}.stdout"), f"live {name}"))

    def stacks(self) -> list[str]:
        """The stacks of what slept, frame by frame."""
        return test_kernel.check_live_stacks(self.run.oracle)


PARTS: Mapping[str, Callable[[ArchLiveTrial], list[str]]] = {
    "vmcoreinfo": ArchLiveTrial.vmcoreinfo,
    "facts": ArchLiveTrial.facts,
    "dmesg": ArchLiveTrial.dmesg,
    "mem-usage": ArchLiveTrial.mem_usage,
    "symbols": lambda trial: trial.objects("symbols"),
    "modules": lambda trial: trial.objects("modules"),
    "tasks": lambda trial: trial.objects("tasks"),
    "system": lambda trial: trial.objects("system"),
    "stacks": ArchLiveTrial.stacks,
}


def main() -> int:
    """Boot one guest, compare, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--static", type=Path, required=True, help="a static kvista for the guest (scripts/cross-build)")
    parser.add_argument("--variant", choices=[name for name in guest.VARIANTS if name not in lab.VARIANTS], required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial, parts = Trial(), ArchLiveTrial(arguments.variant, Path(folder))
        trial.step("live: boot and run", lambda: parts.boot(arguments.static))
        for name, part in PARTS.items():
            trial.step(f"live: {name}", lambda part=part: part(parts))  # type: ignore[misc]
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
