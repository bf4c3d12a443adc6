"""`kvista dump` beside makedumpfile, and beside a loop that only reads, compresses and writes the same pages."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import reference
from reference import full_peers, kdumpfile, lab
from timing import Bench, Sample, median, medians_of_kernels, warm

CODECS = {"zlib": "-c", "LZO": "-l", "zstd": "-z"}
ALL_CODECS = {**CODECS, "snappy": "-p"}
"""Debian's makedumpfile has no snappy."""
LEVELS = (31, 1)
TARGET_TWO, TARGET_THREADED = 2.5, 10.0
TARGET_ONE = {"zlib": 1.3, "LZO": 1.3, "zstd": 1.15}
FLOOR_SLACK = 1.2
SIZE_SLACK = 1.01
DUMP_MIB = 32
ESTIMATE_SECONDS = 1.0
ESTIMATE_SLACK = 2.0
"""The true size is within the stated bounds in 95 of 100 cases, and within twice as wide ones in all but 1 of 10,000."""
ROOM = 4 << 30
"""The largest dump, with what else tmpfs may have to take meanwhile."""
BITMAPS = 8 << 20
"""The head of a dump of 8 GiB, with both bitmaps, ends before this."""
OURS, ALONE, PEER, PEER_THREADED = "kvista", "kvista -1", "makedumpfile", "makedumpfile -2"
LONG_TURNS = {OURS: 3, ALONE: 2, PEER: 1, PEER_THREADED: 1}
"""At level 1 a run takes 3 s to 2 minutes: so many turns of each are enough, and none is unmeasured."""


@contextmanager
def tmpfs() -> Iterator[Path]:
    """A directory on tmpfs."""
    root = Path("/dev/shm")
    if not root.is_dir() or shutil.disk_usage(root).free < ROOM:
        raise lab.LabError(f"{root} has no room for {ROOM >> 30} GiB, which is where dumps are written.")
    with tempfile.TemporaryDirectory(prefix="kvista-bench-", dir=root) as folder:
        yield Path(folder)


class Outputs:
    """What the commands write: each has a file of its own, which is made anew in each turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes: dict[str, int] = {}
        self.bitmaps: dict[str, bytes] = {}

    def path(self, name: str) -> Path:
        """Where a command writes."""
        return self.folder / f"{name.replace(' ', '')}.kdump"

    def take(self, name: str) -> None:
        """Note what a dump is like, and delete it."""
        path = self.path(name)
        self.sizes[name] = path.stat().st_size
        with kdumpfile.KdumpFile(path) as dump:
            if dump.incomplete:
                raise lab.LabError(f"{path} is incomplete.")
            self.bitmaps[name] = dump.bitmap
        path.unlink()

    def turns(self, bench: Bench, commands: Mapping[str, Sequence[str]], turns: Mapping[str, int]) -> dict[str, Sample]:
        """The median of each command, which take turns as long as they have some."""
        samples: dict[str, list[Sample]] = {name: [] for name in commands}
        for turn in range(max(turns[name] for name in commands)):
            for name, command in commands.items():
                if turn < turns[name]:
                    samples[name].append(bench.once(command))
                    self.take(name)
        return {name: median(taken) for name, taken in samples.items()}


class DumpBench:
    """The rows of one run."""

    def __init__(self, bench: Bench, kvista: Path, program: Path, peers: full_peers.Peers) -> None:
        self._bench, self._kvista, self._program, self._peers = bench, kvista, program, peers
        self._source = reference.reference(8)

    def _ours(self, level: int, option: str, threads: int, out: Path) -> list[str]:
        options = ["-d", str(level), option, "--threads", str(threads), "--quiet"]
        return [str(self._kvista), "dump", *options, str(self._source), str(out)]

    def _theirs(self, level: int, option: str, threads: int, out: Path) -> list[str]:
        threaded = ["--num-threads", str(threads)] if threads > 1 else []
        options = ["--message-level", "1", "-d", str(level), option, *threaded]
        loader, *rest = self._peers.command("makedumpfile", *options, str(self._source), str(out))
        # Its threads need this library when they end, and do not always find it then.
        return [loader, "--preload", "libgcc_s.so.1", *rest]

    def _commands(self, level: int, codec: str, outputs: Outputs) -> dict[str, Sequence[str]]:
        option = ALL_CODECS[codec]
        commands: dict[str, Sequence[str]] = {OURS: self._ours(level, option, 2, outputs.path(OURS))}
        if codec in CODECS:
            commands[ALONE] = self._ours(level, option, 1, outputs.path(ALONE))
            commands[PEER] = self._theirs(level, option, 1, outputs.path(PEER))
            commands[PEER_THREADED] = self._theirs(level, option, 2, outputs.path(PEER_THREADED))
        return commands

    def _ratio(self, what: str, ratio: float, least: float) -> None:
        self._bench.add(what, f"{ratio:.2f}", f">= {least:g}", ratio >= least)

    def _against_peer(self, level: int, codec: str, found: Mapping[str, Sample], outputs: Outputs) -> None:
        ours, alone, peer, threaded = (found[name] for name in (OURS, ALONE, PEER, PEER_THREADED))
        name = f"`dump -d {level}`, {codec}"
        self._ratio(f"{name}: makedumpfile / two threads", peer.wall / ours.wall, TARGET_TWO)
        self._ratio(f"{name}: makedumpfile `--num-threads 2` / two threads", threaded.wall / ours.wall, TARGET_THREADED)
        self._ratio(f"{name}: makedumpfile / one thread", peer.wall / alone.wall, TARGET_ONE[codec])
        self._bench.add(f"{name}: makedumpfile / one thread, CPU time", f"{peer.cpu / alone.cpu:.2f}")
        size = outputs.sizes[OURS] / outputs.sizes[PEER]
        self._bench.add(f"{name}: size / makedumpfile's", f"{size:.4f}", f"<= {SIZE_SLACK}", size <= SIZE_SLACK)

    def _floor(self, codec: str, threads: int, dump: Path, turns: int) -> Mapping[str, float]:
        # A median is of two at least.
        filters = [f"--benchmark_filter=^dump/{codec}/{threads}/", f"--benchmark_repetitions={max(2, turns)}"]
        rows = medians_of_kernels(self._bench, self._program, self._source, filters, dump)
        (row,) = rows.values()
        return row

    def _against_floor(self, level: int, codec: str, ours: Sample, dump: Path, turns: int) -> None:
        cores = os.cpu_count() or 1
        row = self._floor(codec, 1, dump, turns)
        seconds = row["real_time"] / 1e3
        ratio = ours.wall / (seconds / cores)
        name = f"`dump -d {level}`, {codec}: two threads / (read + codec + write)"
        self._bench.add(f"{name} / {cores} cores", f"{ratio:.2f}", f"<= {FLOOR_SLACK}", ratio <= FLOOR_SLACK)
        parts = ", ".join(f"{part} {row[part + '_s'] / seconds:.2f}" for part in ("read", "codec", "write"))
        self._bench.add(f"`dump -d {level}`, {codec}: parts of that floor", parts)
        at_once = self._floor(codec, cores, dump, turns)["real_time"] / 1e3
        self._bench.add(f"{name} on {cores} cores at once", f"{ours.wall / at_once:.2f}")
        self._bench.add(f"`dump -d {level}`, {codec}: that floor, part of a second", f"{at_once:.3f}")

    def _same_pages(self, level: int, outputs: Outputs) -> None:
        ours, theirs = outputs.bitmaps[OURS], outputs.bitmaps[PEER]
        more = kdumpfile.count(kdumpfile.only_in(ours, theirs))
        less = kdumpfile.count(kdumpfile.only_in(theirs, ours))
        name = f"`dump -d {level}`: of {kdumpfile.count(theirs)} pages, only in kvista's, only in makedumpfile's dump"
        self._bench.add(name, f"{more}, {less}", "0, 0", more == less == 0)

    def level(self, level: int, outputs: Outputs) -> None:
        """All codecs at one level."""
        first = self._ours(level, ALL_CODECS["snappy"], 2, outputs.folder / "pages")
        lab.run(first, "choosing the pages")
        os.truncate(outputs.folder / "pages", BITMAPS)
        runs = self._bench.runs
        turns = LONG_TURNS if level == 1 else dict.fromkeys(LONG_TURNS, runs)
        peak = 0.0
        for codec in ALL_CODECS:
            found = outputs.turns(self._bench, self._commands(level, codec, outputs), turns)
            if codec in CODECS:
                self._against_peer(level, codec, found, outputs)
            self._against_floor(level, codec, found[OURS], outputs.folder / "pages", min(turns[OURS], runs))
            peak = max(peak, found[OURS].mib)
        self._same_pages(level, outputs)
        # ru_maxrss holds the windows that are mapped, too: what counts is less.
        name = f"`dump -d {level}`, two threads, peak memory of any codec, mapped windows included"
        self._bench.add(name, f"{peak:.1f} MiB", f"<= {DUMP_MIB} MiB", peak <= DUMP_MIB)
        (outputs.folder / "pages").unlink()

    def estimate(self, outputs: Outputs) -> None:
        """The size that is expected, from a sample, beside that of the dump."""
        level, option = 31, ALL_CODECS["zstd"]
        lab.run(self._ours(level, option, 2, outputs.path(OURS)), "writing what was estimated")
        size = outputs.path(OURS).stat().st_size
        outputs.path(OURS).unlink()
        command = [str(self._kvista), "estimate", "-d", str(level), option, "--threads", "2", str(self._source)]
        found = self._bench.medians({"estimate": command})["estimate"]
        name = f"`estimate -d {level}`, 8 GiB"
        self._bench.add(f"{name}: seconds", f"{found.wall:.3f}", f"< {ESTIMATE_SECONDS:g}", found.wall < ESTIMATE_SECONDS)
        row = json.loads(lab.run([*command, "--json"], "estimating"))["tables"]["estimate"][0]
        error = abs(row["bytes"] / size - 1)
        stated = (row["most"] - row["least"]) / 2 / size
        self._bench.add(f"{name}: error of the size, and what it says of it (95 of 100)", f"{error:.3f}, {stated:.3f}")
        is_within = error <= ESTIMATE_SLACK * stated
        self._bench.add(f"{name}: error / what it says", f"{error / stated:.2f}", f"<= {ESTIMATE_SLACK:g}", is_within)

    def on_disk(self, level: int, codec: str, outputs: Outputs) -> None:
        """Output on a disk, and on it before the clock stops."""
        commands = self._commands(level, codec, outputs)
        synced = {}
        for name in (OURS, PEER):
            text = f"{shlex.join(commands[name])} && sync {shlex.quote(str(outputs.path(name)))}"
            synced[name] = [lab.need_tool("sh", "dash"), "-c", text]
        found = outputs.turns(self._bench, synced, {OURS: 3, PEER: 3 if level != 1 else 1})
        ratio = found[PEER].wall / found[OURS].wall
        self._bench.add(f"`dump -d {level}`, {codec}, to disk and `sync`: makedumpfile / two threads", f"{ratio:.2f}")


def measure_dump(bench: Bench, kvista: Path, program: Path, peers: full_peers.Peers, work: Path) -> None:
    """Dumps of the 8 GiB reference to tmpfs, and two to the disk."""
    dumps = DumpBench(bench, kvista, program, peers)
    warm(reference.reference(8))
    with tmpfs() as folder:
        outputs = Outputs(folder)
        dumps.estimate(outputs)
        for level in LEVELS:
            dumps.level(level, outputs)
    on_disk = Outputs(work)
    for level, codec in ((31, "zstd"), (1, "LZO")):
        dumps.on_disk(level, codec, on_disk)
