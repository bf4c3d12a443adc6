#!/usr/bin/env python3
"""Measures kvista and its peers on the same dumps in one run, and checks the project's targets.

Prints a table in Markdown; ends with status 1 if a target is missed. The page cache is warm, the commands of a
comparison take turns, and each number is the median of all turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import dumping
import reference
from reference import capture, full_drgn, full_peers, full_stacks, kernels, lab
from timing import MIB, Bench, medians_of_kernels, warm

SYNTHETIC_GIB = (1, 4, 16, 64, 256)

INFO_SECONDS, INFO_MIB = 0.020, 20
CENSUS_RATIO, CENSUS_MIB = 4.0, 32
NANOSECONDS_A_PAGE = 6.0
LINEAR_SLACK = 1.25
KDUMP_INFO_SECONDS, KDUMP_RATIO = 0.030, 0.8
OBJECT_COMMANDS = {
    "ps": (("ps",), 0.060),
    "sys": (("sys",), 0.060),
    "sym NAME": (("sym", "schedule"), 0.040),
    "struct task_struct": (("struct", "task_struct"), 0.040),
    "bt -a": (("bt", "-a"), 0.080),
}
"""What is looked up in a dump without debuginfo, and within how many seconds."""
OBJECT_MIB = 48
PROMPT_SECONDS = 0.050
STACKS, STACKS_SECONDS = 1000, 0.300
STACKS_RATIO = 1.0
VALUES_RATIO = 1.0
BYTES_A_RECORD = 96
SCAN_RATIO = 1.0
MEMORY_SLACK_MIB = 1.0


def pages_of(kvista: Path, image: Path) -> int:
    """The pages that kvista counts in an image."""
    text = lab.run([str(kvista), "mem-usage", "--json", str(image)], "counting pages")
    return int(json.loads(text)["tables"]["totals"][0]["pages"])


def measure_info(bench: Bench, kvista: Path) -> None:
    """`info` on the 1 GiB dump."""
    dump = str(reference.reference(1))
    warm(Path(dump))
    found = bench.medians({"info": [str(kvista), "info", dump]})["info"]
    bench.add("`info`, 1 GiB", f"{found.wall * 1e3:.1f} ms", "< 20 ms", found.wall < INFO_SECONDS)
    bench.add("`info`, 1 GiB, CPU time", f"{found.cpu * 1e3:.1f} ms")
    bench.add("`info`, 1 GiB, peak memory", f"{found.mib:.1f} MiB", "< 20 MiB", found.mib < INFO_MIB)


def measure_objects(bench: Bench, kvista: Path) -> None:
    """Tasks, symbols and types of the 1 GiB dump."""
    dump = str(reference.reference(1))
    warm(Path(dump))
    found = bench.medians({name: [str(kvista), "-c", dump, *words] for name, (words, _) in OBJECT_COMMANDS.items()})
    for name, (_, seconds) in OBJECT_COMMANDS.items():
        one = found[name]
        bench.add(f"`{name}`, 1 GiB: part of {seconds * 1e3:.0f} ms", f"{one.wall / seconds:.2f}", "< 1", one.wall < seconds)
        bench.add(f"`{name}`, 1 GiB, peak memory", f"{one.mib:.1f} MiB", f"< {OBJECT_MIB} MiB", one.mib < OBJECT_MIB)


def measure_shell(bench: Bench, kvista: Path) -> None:
    """The shell, from `fork` to where it reads its first line: it finds none, and ends."""
    dump = reference.reference(1)
    warm(dump)
    command = [lab.need_tool("sh", "dash"), "-c", f"exec {shlex.join([str(kvista), str(dump)])} </dev/null"]
    found = bench.medians({"shell": command})["shell"]
    name = "the shell's prompt, 1 GiB"
    bench.add(f"{name}: part of 50 ms", f"{found.wall / PROMPT_SECONDS:.2f}", "< 1", found.wall < PROMPT_SECONDS)
    bench.add(f"{name}, peak memory", f"{found.mib:.1f} MiB", f"< {OBJECT_MIB} MiB", found.mib < OBJECT_MIB)


def compare_stacks(bench: Bench, kvista: Path) -> None:
    """The stacks of the lab's sid capture: kvista without debuginfo against drgn with it, frame by frame and in turns."""
    suite = full_drgn.SUITE
    found = capture.capture(suite, "nokaslr")
    vmlinux = kernels.debuginfo(kernels.fetch(suite))
    peers = full_peers.fetch(*full_drgn.DRGN)
    warm(found.dump)
    warm(vmlinux)
    theirs = full_stacks.ask_drgn(peers, found.dump, vmlinux)
    ours, _ = full_stacks.ask_kvista(kvista, found.dump)
    comparison = full_stacks.Comparison(full_stacks.Names((found.oracle / "kallsyms").read_text("utf-8")))
    comparison.all(ours, theirs)
    for problem in comparison.problems[: full_drgn.SHOWN]:
        print(problem, file=sys.stderr)
    name = f"frames that drgn with debuginfo and `bt` without have, {comparison.tasks} tasks"
    is_equal = not comparison.problems and comparison.frames >= full_stacks.LEAST_FRAMES
    bench.add(name, f"{comparison.frames}, {len(comparison.problems)} differences", f">= {full_stacks.LEAST_FRAMES}, none", is_equal)
    times = bench.medians(
        {
            "kvista": [str(kvista), "-c", str(found.dump), "foreach", "bt", "--json"],
            "drgn": full_stacks.drgn_command(peers, found.dump, vmlinux),
        }
    )
    ratio = times["drgn"].wall / times["kvista"].wall
    bench.add("drgn with debuginfo / `foreach bt` without, wall time", f"{ratio:.1f}", f">= {STACKS_RATIO}", ratio >= STACKS_RATIO)
    bench.add("the same, peak memory", f"{times['drgn'].mib / times['kvista'].mib:.1f}")


def measure_stacks(bench: Bench, kvista: Path, make_image: Path, work: Path) -> None:
    """The stacks of many tasks: of a described kernel, because no guest has so many."""
    functions = "schedule,do_wait,do_syscall_64,entry_SYSCALL_64_after_hwframe"
    tasks = [f"task pid={pid} comm=task-{pid} stack={functions}" for pid in range(1, STACKS + 1)]
    description, image = work / "stacks.txt", work / "stacks.elf"
    description.write_text("\n".join(["machine x86_64 levels=4", "ram 0-0xfffffff", "btf", "orc 6.4", *tasks]) + "\n", "utf-8")
    lab.run([str(make_image), str(description), str(image)], "making an image of many tasks")
    warm(image)
    command = [str(kvista), "-c", str(image), "foreach", "user", "bt"]
    frames = lab.run(command, "following stacks").count(" do_wait at ")
    if frames != STACKS:
        raise lab.LabError(f"{frames} of {STACKS} stacks were followed.")
    found = bench.medians({"foreach bt": command})["foreach bt"]
    name = f"`foreach user bt`, {STACKS} tasks: part of {STACKS_SECONDS * 1e3:.0f} ms"
    bench.add(name, f"{found.wall / STACKS_SECONDS:.2f}", "< 1", found.wall < STACKS_SECONDS)
    compare_stacks(bench, kvista)


def measure_values(bench: Bench, kvista: Path, globals_check: Path, work: Path) -> None:
    """Values of variables of the lab's sid capture: kvista without debuginfo against drgn with it."""
    suite = full_drgn.SUITE
    dump = capture.capture(suite, "nokaslr").dump
    vmlinux = kernels.debuginfo(kernels.fetch(suite))
    peers = full_peers.fetch(*full_drgn.DRGN)
    warm(dump)
    warm(vmlinux)
    names = full_drgn.declared(globals_check, dump)
    theirs = full_drgn.ask_drgn(peers, dump, vmlinux, names)
    per_cpu = full_drgn.per_cpu_names(theirs)
    sets = {"init_task": ["init_task"], f"{len(theirs)} variables": sorted(theirs)}
    commands: dict[str, Sequence[str]] = {}
    for what, wanted in sets.items():
        request = work / f"{len(wanted)}.json"
        request.write_text(json.dumps({"names": wanted, "elements": full_drgn.ELEMENTS}), "utf-8")
        options = ["--json", "--elements", str(full_drgn.ELEMENTS)]
        commands[f"kvista {what}"] = [str(kvista), "-c", str(dump), "p", *options, full_drgn.all_values(wanted, per_cpu)]
        commands[f"drgn {what}"] = full_drgn.drgn_command(peers, dump, vmlinux, request)
    found = bench.medians(commands)
    for what in sets:
        ours, other = found[f"kvista {what}"], found[f"drgn {what}"]
        name = f"drgn with debuginfo / `p` without, every value of {what}"
        bench.add(f"{name}, wall time", f"{other.wall / ours.wall:.1f}", f">= {VALUES_RATIO}", other.wall / ours.wall >= VALUES_RATIO)
        bench.add(f"{name}, CPU time", f"{other.cpu / ours.cpu:.1f}")
        bench.add(f"{name}, peak memory", f"{other.mib / ours.mib:.1f}")


def measure_census(bench: Bench, kvista: Path, peers: full_peers.Peers, work: Path) -> None:
    """`mem-usage` against makedumpfile on the 8 GiB dump."""
    dump = reference.reference(8)
    warm(dump)
    peer = peers.command("makedumpfile", "--dry-run", "-d", "31", str(dump), str(work / "never-written"))
    found = bench.medians(
        {
            "kvista": [str(kvista), "mem-usage", str(dump)],
            "kvista -1": [str(kvista), "mem-usage", "--threads", "1", str(dump)],
            "makedumpfile": peer,
        }
    )
    ours, alone, theirs = found["kvista"], found["kvista -1"], found["makedumpfile"]
    ratio = theirs.wall / ours.wall
    name = "`makedumpfile --dry-run -d 31` / `mem-usage`, 8 GiB"
    bench.add(f"{name}, wall time", f"{ratio:.1f}", ">= 4", ratio >= CENSUS_RATIO)
    bench.add(f"{name}, wall time, `--threads 1`", f"{theirs.wall / alone.wall:.1f}")
    bench.add(f"{name}, CPU time", f"{theirs.cpu / ours.cpu:.1f}")
    peak = max(ours.mib, alone.mib)
    bench.add("`mem-usage`, 8 GiB, peak memory", f"{peak:.1f} MiB", "<= 32 MiB", peak <= CENSUS_MIB)
    bench.add("makedumpfile, 8 GiB, peak memory", f"{theirs.mib:.1f} MiB")
    pages = pages_of(kvista, dump)
    bench.add("whole `mem-usage --threads 1`, CPU time a page", f"{alone.cpu * 1e9 / pages:.1f} ns")
    bench.add("whole makedumpfile, CPU time a page", f"{theirs.cpu * 1e9 / pages:.1f} ns")


def measure_kdump(bench: Bench, kvista: Path, program: Path, peers: full_peers.Peers, work: Path) -> None:
    """`info` on a filtered dump of 1 GiB, and reading all pages beside the codec alone."""
    dumps = {suite: work / f"filtered-{suite}.kdump" for suite in ("trixie", "bullseye")}
    for suite, dump in dumps.items():
        whole = str(reference.reference(1, suite))
        lab.run(peers.command("makedumpfile", "-l", "-d", "31", whole, str(dump)), "filtering the dump")
        warm(dump)
    commands = {suite: [str(kvista), "info", str(dump)] for suite, dump in dumps.items()}
    found = bench.medians({**commands, "census": [str(kvista), "mem-usage", str(dumps["trixie"])]})
    # VMCOREINFO of 5.10 does not say where the symbols are: they are searched.
    for suite, version in (("trixie", "6.12"), ("bullseye", "5.10")):
        info = found[suite]
        what = f"`info`, {version}, 1 GiB, kdump -d 31"
        bench.add(what, f"{info.wall * 1e3:.1f} ms", "< 30 ms", info.wall < KDUMP_INFO_SECONDS)
        bench.add(f"{what}, peak memory", f"{info.mib:.1f} MiB", "< 20 MiB", info.mib < INFO_MIB)
    census = found["census"]
    bench.add(
        "`mem-usage`, 1 GiB, kdump -d 31, peak memory", f"{census.mib:.1f} MiB", "<= 32 MiB", census.mib <= CENSUS_MIB
    )
    interleaved = "--benchmark_enable_random_interleaving=true"
    rows = medians_of_kernels(bench, program, reference.reference(1), ["--benchmark_filter=^kdump/", interleaved])
    for name, codec in rows.items():
        if "/codec/" not in name:
            continue
        # One thread: CPU time, which other work on the machine does not lengthen.
        clock = "cpu_time" if "/one_core/" in name else "real_time"
        ratio = codec[clock] / rows[name.replace("/codec/", "/image/")][clock]
        what = "/".join(name.split("/")[1:3]).replace("_", " ")
        bench.add(f"codec alone / all pages of a kdump file, {what}", f"{ratio:.2f}", ">= 0.8", ratio >= KDUMP_RATIO)


def measure_flattened(bench: Bench, kvista: Path, work: Path) -> None:
    """Opening a flattened stream of 100 GiB: time and memory grow with its records, and with nothing else."""
    streams = {}
    for records in (25_600, 102_400):
        path = work / f"flattened-{records}"
        reference.flattened(path, 100, records)
        streams[records] = path
    found = bench.medians({str(records): [str(kvista), "vmcoreinfo", str(path)] for records, path in streams.items()})
    few, many = found["25600"], found["102400"]
    bench.add("opening a flattened stream of 100 GiB, CPU time a record", f"{many.cpu * 1e6 / 102_400:.2f} us")
    growth = many.cpu / few.cpu / 4
    name = "100 GiB flattened, CPU time a record, 102,400 records / 25,600 records"
    bench.add(name, f"{growth:.2f}", f"<= {LINEAR_SLACK}", growth <= LINEAR_SLACK)
    size = (many.mib - few.mib) * MIB / (102_400 - 25_600)
    name = "100 GiB flattened, peak memory a record"
    bench.add(name, f"{size:.0f} bytes", f"<= {BYTES_A_RECORD}", size <= BYTES_A_RECORD)
    for path in streams.values():
        path.unlink()


def measure_scan(bench: Bench, kvista: Path, work: Path) -> None:
    """The search of raw memory for VMCOREINFO, against a plain read of the same file by one thread."""
    raw = work / "raw"
    reference.raw(reference.reference(1), raw)
    warm(raw)
    found = bench.medians(
        {
            "kvista": [str(kvista), "vmcoreinfo", f"{raw}@0"],
            "read": [lab.need_tool("dd", "coreutils"), f"if={raw}", "of=/dev/null", "bs=2M"],
        }
    )
    ratio = found["read"].wall / found["kvista"].wall
    name = "`dd bs=2M` / search of 1 GiB of raw memory for VMCOREINFO, wall time"
    bench.add(name, f"{ratio:.2f}", f">= {SCAN_RATIO}", ratio >= SCAN_RATIO)
    raw.unlink()


def measure_kernels(bench: Bench, program: Path) -> None:
    """The kernels of code, among them the scan of the 8 GiB dump on one core."""
    found = medians_of_kernels(bench, program, reference.reference(8), ["--benchmark_filter=-^kdump/"])
    read = found["frame_scan/struct_pages"]["s_per_page"] * 1e9
    name = "struct pages read and classified, one core, 8 GiB, CPU time a page"
    bench.add(name, f"{read:.1f} ns", "<= 6 ns", read <= NANOSECONDS_A_PAGE)
    for name, row in found.items():
        if name == "zero_test/zero_pages":
            bench.add(f"`{name}`", f"{row['bytes_per_second'] / 1e9:.1f} GB/s")
        elif name != "frame_scan/struct_pages" and "s_per_page" in row:
            bench.add(f"`{name}`", f"{row['s_per_page'] * 1e9:.1f} ns a page")
        elif "s_per_page" not in row:
            bench.add(f"`{name}`", f"{row['cpu_time']:.1f} {row['time_unit']}")


def measure_growth(bench: Bench, kvista: Path, make_image: Path, work: Path) -> None:
    """Time and memory from 1 to 256 GiB."""
    images = {gib: reference.synthetic(gib, kvista, make_image, work) for gib in SYNTHETIC_GIB}
    commands = {str(gib): [str(kvista), "mem-usage", "--threads", "1", str(path)] for gib, path in images.items()}
    found = bench.medians(commands)
    first, middle, last = found[str(SYNTHETIC_GIB[0])], found["16"], found[str(SYNTHETIC_GIB[-1])]
    for gib in SYNTHETIC_GIB[1:]:
        sample = found[str(gib)]
        bench.add(f"synthetic {gib} GiB / 1 GiB, CPU time", f"{sample.cpu / first.cpu:.1f}, {sample.mib:.1f} MiB")
    # What each GiB adds: at the large end no more than at the small end.
    early = (middle.cpu - first.cpu) / (16 - SYNTHETIC_GIB[0])
    late = (last.cpu - middle.cpu) / (SYNTHETIC_GIB[-1] - 16)
    name = "CPU time that a GiB adds, 16 to 256 GiB / 1 to 16 GiB"
    bench.add(name, f"{late / early:.2f}", f"<= {LINEAR_SLACK}", late <= early * LINEAR_SLACK)
    grown = last.mib - first.mib
    name = "memory that 256 GiB takes more than 1 GiB"
    bench.add(name, f"{grown:.1f} MiB", f"<= {MEMORY_SLACK_MIB} MiB", grown <= MEMORY_SLACK_MIB)


def main() -> int:
    """Measure, print, judge."""
    root = reference.BENCH.parent
    build = root / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=build, help="the build tree (default: build/release)")
    parser.add_argument("--kvista", type=Path, help="another kvista than that of the build tree")
    parser.add_argument("--make-image", type=Path, help="another builder of synthetic images")
    parser.add_argument("--runs", type=int, default=7, help="turns of which the median is taken (default: 7)")
    parser.add_argument("--only", choices=("info", "objects", "shell", "stacks", "values", "census", "kdump", "flattened", "scan", "kernels", "growth", "dump"), action="append", help="a part of it")
    arguments = parser.parse_args()
    kvista = arguments.kvista or arguments.build / "src" / "kvista"
    make_image = arguments.make_image or arguments.build / "tests" / "images" / "make_image"
    program = arguments.build / "bench" / "kvista_bench"
    globals_check = arguments.build / "tests" / "tools" / "globals_check"
    for tool in (kvista, make_image, globals_check, program):
        if not tool.exists():
            raise lab.LabError(f"There is no {tool}: build the project with -DKVISTA_BENCH=ON and its tests.")
    with tempfile.TemporaryDirectory(prefix="kvista-bench-", dir=lab.cache_dir()) as folder:
        work = Path(folder)
        bench = Bench(arguments.runs, work)
        parts: dict[str, Callable[[], None]] = {
            "info": lambda: measure_info(bench, kvista),
            "objects": lambda: measure_objects(bench, kvista),
            "shell": lambda: measure_shell(bench, kvista),
            "stacks": lambda: measure_stacks(bench, kvista, make_image, work),
            "values": lambda: measure_values(bench, kvista, globals_check, work),
            "census": lambda: measure_census(bench, kvista, full_peers.fetch(), work),
            "kdump": lambda: measure_kdump(bench, kvista, program, full_peers.fetch(), work),
            "flattened": lambda: measure_flattened(bench, kvista, work),
            "scan": lambda: measure_scan(bench, kvista, work),
            "kernels": lambda: measure_kernels(bench, program),
            "growth": lambda: measure_growth(bench, kvista, make_image, work),
            "dump": lambda: dumping.measure_dump(bench, kvista, program, full_peers.fetch(), work),
        }
        for name, part in parts.items():
            if not arguments.only or name in arguments.only:
                part()
    print(bench.table())
    load = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} CPUs, load average {load:.1f}: other work on the machine makes wall times longer.")
    return 1 if any(row.met is False for row in bench.rows) else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
