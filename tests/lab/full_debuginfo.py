"""Compares what kvista reads in a kernel's debug information (DWARF) with that kernel's BTF, which pahole made of it, and
its source lines with llvm-addr2line's.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import capture
import kernels
import kvista
import lab

RULES = {
    "flattened": "pahole makes one dimension of an array's several",
    "local": "a type that is declared within a function is of that function only, and pahole takes it for all",
    "forward": "an enumeration that is only declared is one without values in BTF",
    "assembler": "a function in assembler has no prototype, and pahole says void (void)",
}
TWICE = "binfmt_elf.c is compiled twice, with other types by the same names: one of the two is kept"
EXPECTED = {
    "struct elf_note_info": TWICE,
    "elf_map": TWICE,
}
"""Differences that need a reason each. Another one fails, and so does one that does not occur."""
LEAST = {"types": 8000, "members": 40_000, "enumerators": 7000, "functions": 30_000, "variables": 200}
FUNCTION_STEP = 60
LEAST_LINES = 1000
MOST_OPERANDS = 500
SHOWN = 10


def run_measured(command: Sequence[str]) -> tuple[str, float, int]:
    """What a program prints, its seconds and its KiB of memory at most."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        text = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise lab.LabError(f"{' '.join(command)} ended with status {child.returncode}.")
    return text, time.monotonic() - started, usage.ru_maxrss


def check_types(tool: Path, image: Path, vmlinux: Path) -> list[str]:
    """Every type, function and per-CPU variable of the BTF, in the debug information."""
    lines = lab.run([str(tool), str(image), str(vmlinux)], "comparing BTF with DWARF").splitlines()
    counts = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", lines[-1])}
    problems = [] if "damage=''" in lines[-1] else [lines[-1]]
    found: Counter[str] = Counter()
    occurring = set()
    for line in lines[:-1]:
        rule, name, what = line.split(": ", 2)
        found[rule] += 1
        if rule in RULES:
            continue
        if name in EXPECTED:
            occurring.add(name)
        else:
            problems.append(f"{name}: {what}")
    print("  compared: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
    for rule, why in RULES.items():
        print(f"  {found[rule]} differences '{rule}': {why}")
    for name in sorted(occurring):
        print(f"  {name}: {EXPECTED[name]}")
    problems += [f"The difference of {name} does not occur." for name in EXPECTED if name not in occurring]
    problems += [f"{counts.get(name, 0)} {name}, at least {least} are needed." for name, least in LEAST.items() if counts.get(name, 0) < least]
    return problems


def functions_of(vmlinux: Path) -> list[int]:
    """Addresses in the text: starts of functions, and places within them."""
    symbols = lab.run(["nm", "--defined-only", str(vmlinux)], "listing symbols").splitlines()
    starts = sorted({int(line.split()[0], 16) for line in symbols if line.split()[1] in "tT"})
    return [address for start in starts[::FUNCTION_STEP] for address in (start, start + 5)]


def check_lines(program: Path, image: Path, vmlinux: Path) -> list[str]:
    """kvista sym's file and line of each address against llvm-addr2line's (that of binutils 2.40 confuses files of DWARF 5)."""
    facts = kvista.run(program, "info", str(image)).table("facts")
    shift = next(int(str(row["value"]), 16) for row in facts if row["fact"] == "kaslr_offset")
    addresses = functions_of(vmlinux)
    wanted = lab.run([lab.need_tool("llvm-addr2line", "llvm"), "-e", str(vmlinux), *map(hex, addresses)], "asking llvm-addr2line").splitlines()
    rows = []
    for first in range(0, len(addresses), MOST_OPERANDS):
        operands = [hex(address + shift) for address in addresses[first : first + MOST_OPERANDS]]
        rows += kvista.run(program, "-c", str(image), "sym", "--debuginfo", str(vmlinux), *operands).table("symbols")
    problems = []
    compared = 0
    for address, line, row in zip(addresses, wanted, rows, strict=True):
        name, _, number = line.split(" (")[0].rpartition(":")
        ours = row["source_file"], row["source_line"]
        if name in ("", "??") or number in ("?", "0"):
            if ours[0] is not None:
                problems.append(f"{address:#x}: kvista has {ours}, llvm-addr2line nothing.")
            continue
        compared += 1
        if ours[0] is None or not os.path.normpath(name).endswith(str(ours[0])) or int(number) != ours[1]:
            problems.append(f"{address:#x}: kvista has {ours}, llvm-addr2line {line}.")
    print(f"  {compared} source lines compared with llvm-addr2line")
    if compared < LEAST_LINES:
        problems.append(f"At least {LEAST_LINES} lines must be compared.")
    return problems


def check_command(program: Path, image: Path, vmlinux: Path) -> list[str]:
    """The same struct by either, and what that takes."""
    command = [str(program), "-c", str(image), "struct", "task_struct"]
    by_btf, _, _ = run_measured(command)
    by_dwarf, seconds, memory = run_measured([*command, "--debuginfo", str(vmlinux)])
    print(f"  struct task_struct by debuginfo: {seconds:.2f} s, {memory >> 10} MiB (the mapped file included)")
    return [] if by_btf == by_dwarf else ["struct task_struct is another by debuginfo than by BTF."]


def main() -> int:
    """Compare one kernel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--dwarf-check", type=Path, required=True, help="the test tool dwarf_check")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=lab.VARIANTS, default="kaslr")
    arguments = parser.parse_args()
    taken = capture.capture(arguments.suite, arguments.variant)
    print(taken.describe())
    vmlinux = kernels.debuginfo(kernels.fetch(arguments.suite))
    problems = check_types(arguments.dwarf_check, taken.dump, vmlinux)
    problems += check_command(arguments.kvista, taken.dump, vmlinux)
    problems += check_lines(arguments.kvista, taken.dump, vmlinux)
    for problem in problems[:SHOWN]:
        print(f"  FAIL {problem}")
    if len(problems) > SHOWN:
        print(f"  FAIL and {len(problems) - SHOWN} more")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
