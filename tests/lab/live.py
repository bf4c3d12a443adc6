"""Live runs: kvista inside a booted guest, on that guest's own /proc/kcore, with the lab's workload.

Two uses: the tests run a fixed set of commands and look at what they leave; a person (or quickstart)
names one command, whose output then goes straight to the terminal as if it ran here.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import guest
import initramfs
import kernels
import lab
from architectures import AMD64, Architecture

STEP_TIMEOUT = 180

COMMANDS = {
    "info": "kvista info --json",
    "explain": "kvista info --explain --json",
    "mem_usage": "kvista mem-usage --json",
    "mem_usage_text": "kvista mem-usage",
    "vmcoreinfo": "kvista vmcoreinfo",
    "dmesg": "kvista dmesg",
    "dmesg_cleared": "kvista dmesg --since-clear",
    "dmesg_json": "kvista dmesg --json",
    "dev_mem": "kvista -c /dev/mem info",
}
"""What the tests run live. Each leaves NAME.stdout, NAME.stderr, NAME.status and the kernel's
/proc/buddyinfo of just before and just after."""


def _files(binary: Path, commands: dict[str, str], stream: bool, architecture: Architecture = AMD64) -> dict[str, bytes]:
    """What a live run adds to the initramfs."""
    lines = "".join(f"{name}\t{command}\n" for name, command in commands.items())
    return {
        "/bin/kvista": initramfs.static_program(binary, "kvista for the guest"),
        "/lab/commands": lines.encode(),
        "/lab/settings": guest.settings("live", stream, architecture),
    }


def run(suite: str, variant: str, binary: Path, into: Path, commands: dict[str, str] | None = None) -> None:
    """Boot a guest, run commands in it, leave what they printed in `into`/live and the oracles in `into`."""
    chosen = guest.VARIANTS[variant]
    run_on(kernels.fetch(suite, chosen.architecture), chosen, binary, into, commands)


def run_on(
    kernel: kernels.Kernel, variant: guest.Variant, binary: Path, into: Path, commands: dict[str, str] | None = None
) -> None:
    """The same with a kernel and a variant of one's own."""
    files = _files(binary, COMMANDS if commands is None else commands, False, kernel.architecture)
    with guest.Guest(kernel, variant, files) as machine:
        machine.serve({}, "done", STEP_TIMEOUT * kernel.architecture.slowness)
        machine.wait()
        machine.results(into)


def _copy(source: socket.socket, target: BinaryIO) -> None:
    """Hand on what comes from a guest's serial line, at once."""
    while data := source.recv(65536):
        target.write(data)
        target.flush()


def stream(suite: str, variant: str, binary: Path, command: str, quiet: bool) -> int:
    """Boot a guest, run one shell command in it with its output going to ours, return its exit status."""
    kernel = kernels.fetch(suite)
    if not quiet:
        lab.note(f"lab: booting {kernel.release} of Debian {suite} in {guest.qemu_version()} ...")
    status: list[int] = []
    files = _files(binary, {"command": command}, True)
    with guest.Guest(kernel, guest.VARIANTS[variant], files, streams=("stdout", "stderr")) as machine:
        targets = (sys.stdout.buffer, sys.stderr.buffer)
        copies = [threading.Thread(target=_copy, args=pair) for pair in zip(machine.streams, targets, strict=True)]
        for copy in copies:
            copy.start()
        try:
            machine.serve({"status": lambda text: status.append(int(text))}, "status", STEP_TIMEOUT)
        finally:
            machine.close()
            for copy in copies:
                copy.join()
    return status[0]


def main() -> int:
    """Run the tests' commands, or the one named after --."""
    parser = argparse.ArgumentParser(description="Run kvista live inside a Debian guest under QEMU.")
    parser.add_argument("--suite", choices=lab.SUITES, default="bookworm")
    parser.add_argument("--variant", choices=lab.VARIANTS, default="kaslr")
    parser.add_argument("--kvista", type=Path, required=True, help="a statically linked kvista")
    parser.add_argument("--out", type=Path, help="where the tests' commands leave their output")
    parser.add_argument("--quiet-boot", action="store_true", help="print nothing but the command's own output")
    parser.add_argument("command", nargs="*", help="a command line for the guest, for example: kvista mem-usage")
    arguments = parser.parse_args()
    if arguments.command:
        command = " ".join(arguments.command)
        return stream(arguments.suite, arguments.variant, arguments.kvista, command, arguments.quiet_boot)
    if arguments.out is None:
        parser.error("name a command after --, or a directory with --out")
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.suite, arguments.variant, arguments.kvista, arguments.out)
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
