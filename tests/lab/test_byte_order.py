"""The same kvista, built for another machine, on the same dumps: it must print the same bytes. QEMU's user mode runs it, so
that the byte order of the machine that looks is another than that of the machine that is looked at."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import capture
import guest
import lab
from architectures import ARCHITECTURES
from test_lab import Trial

SUITE = "trixie"
TIMEOUT = 900

COMMANDS = (
    ("info", "--explain", "--json"),
    ("vmcoreinfo",),
    ("mem-usage", "--levels", "--json"),
    ("dmesg", "--json"),
    ("sys", "--json"),
    ("ps", "--json"),
    ("mod", "--json"),
    ("sym", "-l", "--json"),
    ("foreach", "bt", "--json"),
    ("runq", "--json"),
    ("workqueue", "--json"),
    ("struct", "task_struct", "init_task", "--json"),
    ("p", "init_task.comm", "--json"),
    ("rd", "-s", "init_task", "64", "--json"),
    ("dis", "schedule", "--json"),
    ("tree", "-t", "xarray", "init_pid_ns.idr.idr_rt", "--json"),
    ("estimate", "-d", "31", "--seed", "1", "--threads", "1", "--json"),
    ("verify", "--json"),
)
WRITTEN_AT = slice(408, 424)
"""Where a kdump-compressed file says when it was written: struct timeval in disk_dump_header, behind new_utsname."""
LEAST_BYTES = 1_000_000
"""Of the answers on one dump; a kernel's symbols alone are ten times as much."""


def answers(command: list[str], image: Path, arguments: tuple[str, ...]) -> tuple[int, bytes, bytes]:
    """Status, standard output and standard error of one question."""
    operand = [*command, "-c", str(image), *arguments]
    try:
        done = subprocess.run(operand, capture_output=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise lab.LabError(f"{' '.join(operand)} does not run: {error}.") from error
    return done.returncode, done.stdout, done.stderr


class ByteOrderTrial:
    """Two builds of the same kvista."""

    def __init__(self, ours: Path, other: Path, emulator: str) -> None:
        self._ours, self._other = [str(ours)], [emulator, str(other)]
        self.compared = 0

    def compare(self, image: Path, arguments: tuple[str, ...]) -> list[str]:
        """That both answer the same."""
        want, got = answers(self._ours, image, arguments), answers(self._other, image, arguments)
        print(f"  {len(want[1])} bytes compared, status {want[0]}")
        self.compared += len(want[1])
        problems = [] if want[0] in (0, 1) else [f"Status {want[0]}: {want[2].decode('utf-8', 'replace').strip()}"]
        if want == got:
            return problems
        pairs = zip(want[1].splitlines(), got[1].splitlines(), strict=False)
        line = next((f"{other!r} instead of {one!r}" for one, other in pairs if one != other), "the lengths differ")
        said = "" if want[2] == got[2] else f" It says {got[2]!r} instead of {want[2]!r}."
        return [*problems, f"The other build's answer differs: status {got[0]}, {line}.{said}"]

    def compare_dump(self, image: Path) -> list[str]:
        """That both write the same filtered dump."""
        with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
            written = []
            for number, command in enumerate((self._ours, self._other)):
                path = Path(folder) / str(number)
                lab.run([*command, "dump", "-z", "-d", "31", "--threads", "1", str(image), str(path)], "writing a dump", TIMEOUT)
                data = bytearray(path.read_bytes())
                data[WRITTEN_AT] = bytes(WRITTEN_AT.stop - WRITTEN_AT.start)
                written.append(data)
        print(f"  {len(written[0])} bytes compared")
        return [] if written[0] == written[1] else ["The other build writes another dump."]


def main() -> int:
    """Compare two builds, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--other", type=Path, required=True, help="a static kvista for another (scripts/cross-build)")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="s390x", help="for which")
    arguments = parser.parse_args()
    emulator = f"qemu-{ARCHITECTURES[arguments.architecture].machine}-static"
    both = ByteOrderTrial(arguments.kvista, arguments.other, lab.need_tool(emulator, "qemu-user-static"))
    trial = Trial()

    def ask(name: str, image: Path, questions: Iterable[tuple[str, ...]]) -> None:
        before = both.compared
        for question in questions:
            trial.step(f"{name}: {' '.join(question)}", lambda question=question: both.compare(image, question))  # type: ignore[misc]
        if both.compared - before < LEAST_BYTES:
            trial.step(name, lambda: [f"Only {both.compared - before} bytes were compared, at least {LEAST_BYTES} are needed."])
        trial.step(f"{name}: dump -d 31", lambda: both.compare_dump(image))

    found = capture.capture(SUITE, "kaslr")
    ask("x86_64", found.dump, COMMANDS)
    trial.step("x86_64: mem-usage of QEMU's kdump file", lambda: both.compare(found.kdump, ("mem-usage", "--json")))
    for variant in ("arm64-max", "s390x"):
        name = guest.VARIANTS[variant].architecture.name
        # The static command disassembles the code of x86_64 and of what it was built for.
        questions = [question for question in COMMANDS if question[0] != "dis" or name == arguments.architecture]
        ask(name, capture.capture(SUITE, variant).dump, questions)
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
