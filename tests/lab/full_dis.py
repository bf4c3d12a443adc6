"""The kernel's code as kvista disassembles it, against objdump of the same bytes.

Functions are chosen evenly from all that the guest's kallsyms has. For each, `kvista dis` says where its instructions
begin, what they are and where jumps and calls go; objdump says the same of the bytes that kvista read from the dump,
with alternatives and static keys as they were.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import capture
import kvista
import lab

SUITES = ("bullseye", "bookworm", "trixie", "sid")
FUNCTIONS = 400
LEAST = {"functions": 390, "instructions": 20_000, "targets": 2_500}
MOST_UNKNOWN = 0.001
"""Of all instructions, as many may be (bad) where objdump knows them."""
SHOWN = 30
LINE = re.compile(r"^\s*(?P<address>[0-9a-f]+):\t(?P<bytes>(?:[0-9a-f]{2} )+)\s*(?:\t(?P<text>.*))?$")
PREFIXES = {
    "addr32", "bnd", "cs", "data16", "ds", "es", "fs", "gs", "lock", "notrack", "rep", "repe", "repne", "repnz", "repz",
    "rex", "rex.W", "rex.R", "ss", "xacquire", "xrelease",
}  # fmt: skip
SUFFIXES = "bwlqtdx"
TARGET = re.compile(r"^(?:0x)?([0-9a-f]+)(?:\s|$)")
ALIASES = [
    {"xchg", "nop"},
    {"pushf", "pushfq"},
    {"popf", "popfq"},
    {"movabs", "mov"},
    {"ud1", "ud2b"},
    {"sysret", "sysretq", "sysretl"},
]
"""Names of one instruction."""


@dataclass(frozen=True)
class Instruction:
    """One, as either says it."""

    mnemonic: str
    target: int | None
    is_bad: bool


def chosen(kallsyms: str) -> list[tuple[int, str]]:
    """Functions of the kernel itself, evenly spread; those whose name or address several have are left out."""
    rows = [line.split() for line in kallsyms.splitlines()]
    rows = [row for row in rows if len(row) == 3]
    places = {row[2]: int(row[0], 16) for row in rows}
    names = Counter(row[2] for row in rows)
    addresses = Counter(int(row[0], 16) for row in rows)
    text = range(places["_stext"], places["_etext"])
    found = sorted(
        (int(address, 16), name)
        for address, kind, name in rows
        if kind in "tT" and int(address, 16) in text and names[name] == 1 and addresses[int(address, 16)] == 1
        and not name.startswith(("__pfx_", "__cfi_"))
    )
    return found[:: max(1, len(found) // FUNCTIONS)]


def of_kvista(binary: Path, dump: Path, name: str) -> tuple[dict[int, Instruction], bytes]:
    """What kvista says, by address, and the bytes."""
    rows = kvista.run(binary, "-c", str(dump), "dis", name, statuses=(0,)).table("code")
    instructions = {
        int(row["address"], 16): Instruction(
            row["mnemonic"].split()[-1], int(row["target"], 16) if row["target"] else None, row["mnemonic"] == "(bad)"
        )
        for row in rows
    }
    return instructions, b"".join(bytes.fromhex(row["bytes"]) for row in rows)


def parse_objdump(text: str) -> dict[int, Instruction]:
    """What objdump prints, by address. A long instruction goes on in the next line, which has no text."""
    found = {}
    for line in text.splitlines():
        at = LINE.match(line)
        if not at or at["text"] is None:
            continue
        words = at["text"].split("#")[0].split()
        while len(words) > 1 and (words[0] in PREFIXES or words[0].startswith("rex.")):
            words.pop(0)
        is_branch = words[0].startswith(("j", "call", "loop", "xbegin"))
        operands = words[1] if len(words) > 1 else ""
        target = TARGET.match(operands) if is_branch else None
        found[int(at["address"], 16)] = Instruction(
            words[0].split(",")[0], int(target[1], 16) if target else None, "(bad)" in at["text"]
        )
    return found


def of_objdump(tool: str, code: bytes, address: int, folder: Path) -> dict[int, Instruction]:
    """What objdump says of these bytes."""
    path = folder / "code"
    path.write_bytes(code)
    command = [tool, "-D", "-b", "binary", "-m", "i386:x86-64", f"--adjust-vma={address:#x}", str(path)]
    return parse_objdump(lab.run(command, "disassembling with objdump"))


def are_same(one: str, other: str) -> bool:
    """Whether two mnemonics are of one instruction: suffixes for the operands' size are written or not."""
    if one == other or one.rstrip(SUFFIXES) == other.rstrip(SUFFIXES):
        return True
    return any(one in names and other in names for names in ALIASES)


def compare(name: str, ours: dict[int, Instruction], theirs: dict[int, Instruction], counts: Counter[str]) -> list[str]:
    """Compare one function."""
    counts["functions"] += 1
    problems = []
    for address in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(address), theirs.get(address)
        where = f"{name} at {address:#x}"
        if mine is None or other is None:
            problems.append(f"{where}: an instruction begins for {'objdump' if mine is None else 'kvista'} only.")
            break  # and what follows is out of step
        counts["instructions"] += 1
        if mine.is_bad and not other.is_bad:
            counts["unknown"] += 1
        elif not mine.is_bad and not other.is_bad and not are_same(mine.mnemonic, other.mnemonic):
            problems.append(f"{where}: {mine.mnemonic} for kvista, {other.mnemonic} for objdump.")
        if other.target is not None or mine.target is not None:
            counts["targets"] += 1
            if mine.target != other.target:
                problems.append(f"{where}: {mine.mnemonic} goes to {mine.target} for kvista, {other.target} for objdump.")
    return problems


def main() -> int:
    """Compare one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--suite", choices=SUITES, required=True)
    arguments = parser.parse_args()
    tool = lab.need_tool("objdump", "binutils")
    found = capture.capture(arguments.suite, "kaslr")
    print(found.describe())
    counts: Counter[str] = Counter()
    problems: list[str] = []
    with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
        for address, name in chosen((found.oracle / "kallsyms").read_text("utf-8")):
            ours, code = of_kvista(arguments.kvista, found.dump, name)
            if min(ours) != address:
                problems.append(f"{name} is at {address:#x}, and at {min(ours):#x} for kvista.")
            problems += compare(name, ours, of_objdump(tool, code, address, Path(folder)), counts)
    print("compared: " + ", ".join(f"{counts[name]} {name}" for name in LEAST) + f"; {counts['unknown']} are (bad) for kvista alone")
    problems += [f"{counts[name]} {name}, at least {least} are needed." for name, least in LEAST.items() if counts[name] < least]
    if counts["unknown"] > MOST_UNKNOWN * counts["instructions"]:
        problems.append(f"{counts['unknown']} instructions are not known.")
    for problem in problems[:SHOWN]:
        print(f"  FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
