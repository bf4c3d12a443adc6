#!/usr/bin/env python3
"""A good dump of a real kernel is damaged in more than twenty ways, and commands run on each of them.

None may hang or crash. What a command prints of a damaged dump is either what it prints of the good one, or comes with
a status, a warning or a mark that says so; and each damage must be noticed by some command. What a damage changes
without a word because a changed value is as good as another stands below, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import capture
import dumpfile
import kvista
import lab

SEED = 20181025
TIMEOUT = 60
PAGE = 4096
LEAST_KINDS, LEAST_RUNS = 20, 300
COMMANDS = {
    "info": ("info",),
    "mem-usage": ("mem-usage",),
    "dmesg": ("dmesg",),
    "sys": ("sys",),
    "ps": ("ps",),
    "bt -a": ("bt", "-a"),
    "foreach bt": ("foreach", "bt"),
    "bt -f": ("bt", "-f", "2"),
    "hung": ("hung",),
    "runq": ("runq",),
    "workqueue": ("workqueue",),
    "dis": ("dis", "schedule"),
    "sys --bt": ("sys", "--bt"),
    "task": ("task", "2"),
    "mod": ("mod",),
    "sym": ("sym", "schedule", "kthreadd"),
    "sym -l": ("sym", "-l"),
    "struct": ("struct", "task_struct"),
    "p": ("p", "init_task"),
    "list": ("list", "-H", "modules"),
    "rd": ("rd", "-s", "linux_banner", "4"),
}
OPENING = ("info",)
"""Commands that take the image behind them, and not by -c."""
MARKS = (b"damaged", b"cannot be read", b"is not in the", b"<", b"?", b"(unknown", b"not mapped", b"fault")
"""What stands in the place of something that is not there."""
RAW = "the member itself is shown, and any number is a good one"
PLAIN = "so many bytes of that kind are as good as any other"
QUIET = {
    ("the list of tasks goes round without its head", "task"): RAW,
    ("the list of tasks ends in NULL", "task"): RAW,
    ("the list of tasks goes on in a page that was left out", "task"): RAW,
    ("the list of tasks leads to user memory", "task"): RAW,
    ("a task is half torn down", "task"): RAW,
    ("a stack pointer is wild", "task"): RAW,
    ("a stack is in pages that were left out", "task"): RAW,
    ("the ORC table is blank", "mem-usage"): PLAIN,
    ("struct pages are scrambled", "mem-usage"): PLAIN,
}
"""What a damage changes without a word, and why nothing can be said of it."""
UNNOTICED = {"struct pages are scrambled": "a struct page has no mark of its own: any flags and counts may be true"}
"""Damages of which no command can say anything."""


class Victim:
    """A copy of a dump that is written to; what is asked is asked of the good one."""

    def __init__(self, binary: Path, good: Path, copy: Path) -> None:
        self.binary, self.good, self.path = binary, good, copy
        shutil.copyfile(good, copy)
        copy.chmod(0o600)
        self._reader = dumpfile.Dump(good)
        self._file = copy.open("r+b")
        self._written: list[tuple[int, int]] = []
        self._known: dict[tuple[str, ...], kvista.Report] = {}
        self.random = random.Random(SEED)

    def _ask(self, *words: str) -> kvista.Report:
        if words not in self._known:
            self._known[words] = kvista.run(self.binary, "-c", str(self.good), *words)
        return self._known[words]

    def value(self, expression: str) -> int:
        """The number that an expression has."""
        return int(self._ask("p", expression).table("value")[0]["value"], 0)

    def symbol(self, name: str) -> int:
        """The address of a symbol."""
        return int(self._ask("sym", name).table("symbols")[0]["address"], 16)

    def task(self, pid: int) -> int:
        """The address of a task."""
        return next(int(row["task"], 16) for row in self._ask("ps").table("tasks") if row["pid"] == pid)

    def member(self, pid: int, member: str) -> int:
        """The address of a member of a task."""
        return self.value(f"&((struct task_struct *){self.task(pid):#x})->{member}")

    def run_queue(self, cpu: int, member: str) -> int:
        """The address of a member of a CPU's struct rq."""
        offset = self.value(f"&((struct rq *)0)->{member}")
        return (self.value(f"__per_cpu_offset[{cpu}]") + self.symbol("runqueues") + offset) & kvista.MASK

    def physical(self, address: int) -> int:
        """Where an address is."""
        return int(self._ask("vtop", f"{address:x}").table("result")[0]["physical"], 16)

    def read_word(self, address: int) -> int:
        """A 64-bit number."""
        (word,) = struct.unpack("<Q", self._reader.read(self.physical(address), 8))
        return int(word)

    def _write_at(self, offset: int, data: bytes) -> None:
        self._file.seek(offset)
        self._file.write(data)

    def write_physical(self, address: int, data: bytes) -> None:
        """Write at a physical address."""
        offset = self._reader.offset(address)
        self._written.append((offset, len(data)))
        self._write_at(offset, data)

    def write(self, address: int, data: bytes) -> None:
        """Write at a kernel address, page by page."""
        while data:
            part = data[: PAGE - address % PAGE]
            self.write_physical(self.physical(address), part)
            address, data = address + len(part), data[len(part) :]

    def write_word(self, address: int, value: int) -> None:
        """Write a 64-bit number."""
        self.write(address, struct.pack("<Q", value))

    def scramble(self, start: int, size: int) -> None:
        """Write what means nothing."""
        self.write(start, self.random.randbytes(size))

    def cut(self) -> None:
        """Leave the first half of the file."""
        size = self.good.stat().st_size
        self._file.truncate(size // 2)
        self._written.append((size // 2, size - size // 2))

    @contextlib.contextmanager
    def damaged(self, damage: Callable[[Victim], None]) -> Iterator[None]:
        """Damage the copy until the block ends."""
        damage(self)
        self._file.flush()
        try:
            yield
        finally:
            for offset, size in self._written:
                self._write_at(offset, self._reader.read_at(offset, size))
            self._written.clear()
            self._file.flush()


BEYOND = 1 << 36
"""So far behind the end of RAM that the dump holds nothing there."""
USER = 0x0000414141414141
STACK = 4 * PAGE


def nowhere(victim: Victim) -> int:
    """An address of the direct map at which the dump has no page, as if it had been left out."""
    return (victim.task(2) & ~(PAGE - 1)) + BEYOND


def stack_of(victim: Victim, pid: int) -> int:
    """The lowest address of a task's stack."""
    return victim.read_word(victim.member(pid, "stack"))


def loop_stack(victim: Victim) -> None:
    """Every word of the stack is one return address."""
    top = stack_of(victim, 2) + STACK
    pointer = victim.read_word(victim.member(2, "thread.sp"))
    inside = victim.symbol("schedule") + 0x20
    victim.write(pointer, struct.pack("<Q", inside) * ((top - pointer) // 8))


def tear_down(victim: Victim) -> None:
    """A task that is half gone: no stack, and what belonged to it is freed."""
    for member in ("stack", "signal", "cred", "real_parent"):
        victim.write_word(victim.member(2, member), 0)
    victim.write_word(victim.member(2, "group_leader"), 0x6B6B6B6B6B6B6B6B)


def blank(victim: Victim, first: str, last: str) -> None:
    """Zeros between two symbols."""
    start = victim.symbol(first)
    victim.write(start, bytes(victim.symbol(last) - start))


DAMAGES: dict[str, Callable[[Victim], None]] = {
    "the list of tasks goes round without its head": lambda v: v.write_word(
        v.member(2, "tasks.next"), v.member(1, "tasks")
    ),
    "the list of tasks ends in NULL": lambda v: v.write_word(v.member(2, "tasks.next"), 0),
    "the list of tasks goes on in a page that was left out": lambda v: v.write_word(v.member(2, "tasks.next"), nowhere(v)),
    "the list of tasks leads to user memory": lambda v: v.write_word(v.member(2, "tasks.next"), USER),
    "a task is half torn down": tear_down,
    "a task's list of threads is cut": lambda v: v.write_word(v.read_word(v.member(2, "signal")) + 0x10, USER),
    "a stack is overwritten": lambda v: v.write(stack_of(v, 2) + STACK - PAGE, b"A" * PAGE),
    "a stack's frames lead in a circle": loop_stack,
    "a stack pointer is wild": lambda v: v.write_word(v.member(2, "thread.sp"), USER),
    "a stack is in pages that were left out": lambda v: v.write_word(v.member(2, "stack"), nowhere(v)),
    "the ORC table is blank": lambda v: blank(v, "__start_orc_unwind", "__stop_orc_unwind"),
    "the ORC table's addresses are scrambled": lambda v: v.scramble(v.symbol("__start_orc_unwind_ip"), 1 << 20),
    "the ORC table's second half is scrambled": lambda v: v.scramble(
        (v.symbol("__start_orc_unwind") + v.symbol("__stop_orc_unwind")) // 2, 1 << 20
    ),
    "the names of symbols are blank": lambda v: v.write(v.symbol("kallsyms_names"), bytes(1 << 20)),
    "the number of symbols is absurd": lambda v: v.write(v.symbol("kallsyms_num_syms"), b"\xff\xff\xff\x7f"),
    "the tokens of symbols are scrambled": lambda v: v.scramble(v.symbol("kallsyms_token_table"), 512),
    "the types' header is scrambled": lambda v: v.scramble(v.symbol("__start_BTF"), 24),
    "a page of the types is scrambled": lambda v: v.scramble(v.symbol("__start_BTF") + (1 << 16), PAGE),
    "the list of modules ends in NULL": lambda v: v.write_word(v.read_word(v.symbol("modules")), 0),
    "the list of modules leads to user memory": lambda v: v.write_word(v.symbol("modules"), USER),
    "what a CPU runs is wild": lambda v: v.write_word(v.run_queue(1, "curr"), USER),
    "where a CPU's own memory is, is wild": lambda v: v.write_word(v.value("&__per_cpu_offset[1]"), USER),
    "the log's descriptors are scrambled": lambda v: v.scramble(v.value("prb->desc_ring.descs"), PAGE),
    "the log's text is scrambled": lambda v: v.scramble(v.value("prb->text_data_ring.data"), PAGE),
    "the upper half of the kernel's page table is blank": lambda v: v.write(v.symbol("init_top_pgt") + PAGE // 2, bytes(PAGE // 2)),
    "the memory map's sections lead nowhere": lambda v: v.write_word(v.read_word(v.symbol("mem_section")), USER),
    "struct pages are scrambled": lambda v: v.scramble(v.value("vmemmap_base") + 0x1000 * 64, PAGE),
    "the file is cut in the middle": Victim.cut,
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command printed."""

    status: int
    out: bytes
    err: bytes

    def says_so(self, good: Answer) -> bool:
        """Whether it tells that something is not as it should be."""
        marks = any(self.out.count(mark) > good.out.count(mark) for mark in MARKS)
        return self.status != 0 or self.err != good.err or marks


def run(victim: Victim, name: str) -> Answer:
    """One command on the copy."""
    words = COMMANDS[name]
    behind = name in OPENING
    command = [str(victim.binary), *([] if behind else ["-c", str(victim.path)]), *words, *([str(victim.path)] if behind else [])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise lab.LabError(f"{' '.join(command)} hangs.") from error
    return Answer(done.returncode, done.stdout, done.stderr)


class Judge:
    """What is wrong, and how much was looked at."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.runs = 0
        self.quiet: set[tuple[str, str]] = set()

    def look(self, damage: str, name: str, good: Answer, bad: Answer) -> bool:
        """Judge one run; whether it noticed the damage."""
        self.runs += 1
        if not 0 <= bad.status <= 2:
            self.wrong.append(f"{damage}: {name} ended with status {bad.status}: {bad.err[-300:]!r}")
        elif bad.status and not bad.err:
            self.wrong.append(f"{damage}: {name} ended with status {bad.status} and no word")
        elif bad.out != good.out and not bad.says_so(good):
            self.quiet.add((damage, name))
            if (damage, name) not in QUIET:
                self.wrong.append(f"{damage}: {name} prints something else, and does not say that anything is damaged")
        return bad.says_so(good)


def examine(victim: Victim) -> Judge:
    """All damages, all commands."""
    judge = Judge()
    good = {name: run(victim, name) for name in COMMANDS}
    for name, answer in good.items():
        if answer.status != 0 and name not in OPENING:
            judge.wrong.append(f"the good dump: {name} ended with status {answer.status}: {answer.err[-300:]!r}")
    for damage, how in DAMAGES.items():
        with victim.damaged(how):
            noticed = [name for name in COMMANDS if judge.look(damage, name, good[name], run(victim, name))]
        print(f"{damage}: noticed by {', '.join(noticed) or 'none'}")
        if bool(noticed) == (damage in UNNOTICED):
            judge.wrong.append(f"{damage}: {'noticed now: the list has one too many' if noticed else 'no command says so'}")
    judge.wrong += [f"{damage}: {name} says so now: the list has one too many" for damage, name in set(QUIET) - judge.quiet]
    return judge


def main() -> int:
    """Damage a capture's dump, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=lab.SUITES, default="trixie")
    parser.add_argument("--variant", choices=lab.VARIANTS, default="kaslr")
    parser.add_argument("--kvista", type=Path, required=True)
    arguments = parser.parse_args()
    found = capture.capture(arguments.suite, arguments.variant)
    print(found.describe())
    with tempfile.TemporaryDirectory(prefix="kvista-damage-") as folder:
        judge = examine(Victim(arguments.kvista, found.dump, Path(folder) / "dump.elf"))
    print(f"{len(DAMAGES)} damages, {judge.runs} runs of commands, {len(judge.quiet)} changes that cannot be told")
    if len(DAMAGES) < LEAST_KINDS or judge.runs < LEAST_RUNS:
        judge.wrong.append(f"fewer than {LEAST_KINDS} damages or {LEAST_RUNS} runs")
    for line in judge.wrong:
        print(f"wrong: {line}")
    return int(bool(judge.wrong))


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
