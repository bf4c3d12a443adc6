"""How the bench times: commands in turns, kernels of code, and the table of what came out."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import reference
from reference import lab

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one run of a command took: wall time and CPU time (user and system) in seconds, peak resident set."""

    wall: float
    cpu: float
    mib: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each column."""
    columns = zip(*(dataclasses.astuple(sample) for sample in samples), strict=True)
    return Sample(*(statistics.median(column) for column in columns))


class Bench:
    """Runs commands in turns, and collects the table."""

    def __init__(self, runs: int, work: Path) -> None:
        self.runs = runs
        self.rows: list[Row] = []
        self._output = work / "output"
        self._measure = reference.program(reference.BENCH / "measure.c", static=False)

    def once(self, command: Sequence[str]) -> Sample:
        """One run; a status that says failure is an error."""
        text = lab.run([str(self._measure), str(self._output), *command], "measuring", timeout=1200)
        wall, cpu, kib, status = (int(word) for word in text.split())
        if status not in (0, 1):
            said = self._output.read_text("utf-8", "replace").strip()
            raise lab.LabError(f"{' '.join(command)} ended with status {status}: {said[-500:]}")
        return Sample(wall / 1e6, cpu / 1e6, kib / 1024)

    def medians(self, commands: Mapping[str, Sequence[str]]) -> dict[str, Sample]:
        """The median of each command; they take turns, after one unmeasured turn."""
        samples: dict[str, list[Sample]] = {name: [] for name in commands}
        for turn in range(self.runs + 1):
            for name, command in commands.items():
                sample = self.once(command)
                if turn > 0:
                    samples[name].append(sample)
        return {name: median(taken) for name, taken in samples.items()}

    def add(self, what: str, measured: str, target: str = "", met: bool | None = None) -> None:
        """Add a line to the table, and show it."""
        self.rows.append(Row(what, measured, target, met))
        lab.note(f"bench: {what}: {measured}" + ("" if met is None else f" ({'met' if met else 'MISSED'}: {target})"))

    def table(self) -> str:
        """The table in Markdown."""
        lines = ["| what | measured | target | |", "|---|---|---|---|"]
        verdict = {None: "", True: "met", False: "**missed**"}
        lines += [f"| {row.what} | {row.measured} | {row.target} | {verdict[row.met]} |" for row in self.rows]
        return "\n".join(lines)


def warm(image: Path) -> None:
    """Bring a file into the page cache as reading it from disk does.

    The pieces that the kernel caches it in are then large, whatever the one who wrote it left there: with pieces of
    a page each, every reader takes about twice the time.
    """
    with open(image, "rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = bytearray(MIB)
        while file.readinto(buffer):
            pass


def medians_of_kernels(
    bench: Bench, program: Path, image: Path, options: Sequence[str], dump: Path | None = None
) -> dict[str, dict[str, float]]:
    """The medians of Google Benchmark's rows, by name; `dump` is one of the image, where a row needs it."""
    environment = {**os.environ, "KVISTA_BENCH_IMAGE": str(image), "KVISTA_BENCH_DUMP": str(dump or "")}
    options = [f"--benchmark_repetitions={bench.runs}", "--benchmark_min_time=0.1", "--benchmark_format=json", *options]
    done = subprocess.run(
        [str(program), *options], capture_output=True, text=True, env=environment, timeout=1200, check=False
    )
    if done.returncode != 0:
        raise lab.LabError(f"{program} ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    rows = json.loads(done.stdout)["benchmarks"]
    return {row["run_name"]: row for row in rows if row.get("aggregate_name") == "median"}
