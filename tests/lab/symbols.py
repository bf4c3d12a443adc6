"""Symbols and modules: what kvista lists against the guest's /proc/kallsyms and /proc/modules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import kvista
import lab

PSEUDO_MODULES = frozenset({"bpf", "__builtin__ftrace", "__builtin__kprobes"})
"""The rule `pseudo_modules`: what /proc/kallsyms shows in these brackets are pieces of code that the kernel made while
it ran (BPF programs, trampolines, probes). They belong to no module and to no symbol table, and may be absent."""

SHOWN = 4
"""So many differences of a kind are shown, the others are counted."""

LINE = re.compile(r"([0-9a-f]+) (\S) ([^\t]+)(?:\t\[([^\]]+)\])?")


class Symbol(NamedTuple):
    """One line of /proc/kallsyms."""

    module: str | None
    name: str
    kind: str
    address: int

    def describe(self) -> str:
        """The line, more or less."""
        return f"{self.address:016x} {self.kind} {self.name}" + (f" [{self.module}]" if self.module else "")


class Module(NamedTuple):
    """One line of /proc/modules."""

    name: str
    size: int
    used: int | None
    state: str
    base: int
    taints: str | None


def kallsyms(text: str) -> list[Symbol]:
    """What /proc/kallsyms says, in its order."""
    symbols = []
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        if found is None:
            raise lab.LabError(f"/proc/kallsyms has a line that is not understood: {line!r}.")
        symbols.append(Symbol(found[4], found[3], found[2], int(found[1], 16)))
    return symbols


def listed(rows: Iterable[dict[str, Any]]) -> list[Symbol]:
    """What `kvista sym -l` says, in its order."""
    return [Symbol(row["module"], row["name"], row["type"], kvista.address(row["address"])) for row in rows]


def shown(what: str, values: Sequence[Any], describe: Callable[[Any], str] = str) -> list[str]:
    """A problem for the first few of many values."""
    if not values:
        return []
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return [f"{what}: {'; '.join(describe(value) for value in values[:SHOWN])}{more}."]


def check_symbols(text: str, rows: Sequence[dict[str, Any]], least: int) -> list[str]:
    """That kvista lists what /proc/kallsyms does: the kernel's own in the same order, those of modules in any."""
    want, got = kallsyms(text), listed(rows)
    pseudo = {symbol for symbol in want if symbol.module in PSEUDO_MODULES}
    left_out = pseudo - set(got)
    if left_out:
        print(f"  rule 'pseudo_modules' explains {len(left_out)} symbols that kvista does not list")
    want = [symbol for symbol in want if symbol not in left_out]
    own = [symbol for symbol in want if symbol.module is None]
    got_own = [symbol for symbol in got if symbol.module is None]
    modules = sorted({symbol.module for symbol in want if symbol.module})
    print(f"  {len(want)} symbols compared, {len(own)} of them the kernel's own in their order; modules: {', '.join(modules)}")
    problems = []
    if len(want) < least:
        problems.append(f"Only {len(want)} symbols were compared, at least {least} are needed.")
    if len(own) == len(want):
        problems.append("No symbol of a module was compared.")
    ahead, behind = Counter(want) - Counter(got), Counter(got) - Counter(want)
    problems += shown("kvista does not list", list(ahead.elements()), Symbol.describe)
    problems += shown("kvista lists, but not /proc/kallsyms", list(behind.elements()), Symbol.describe)
    if not problems and own != got_own:
        at = next(at for at, pair in enumerate(zip(own, got_own, strict=True)) if pair[0] != pair[1])
        one, other = own[at].describe(), got_own[at].describe()
        problems.append(f"The order differs from symbol {at} on: kvista has {other}, /proc/kallsyms {one}.")
    moved = [row for row in rows if row["offset"] is not None]
    return problems + shown("A symbol of the list has an offset", moved)


def modules(text: str) -> list[Module]:
    """What /proc/modules says, in its order: name, size, use count, users, state, address, taints."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) not in (6, 7):
            raise lab.LabError(f"/proc/modules has a line that is not understood: {line!r}.")
        used = None if words[2] == "-" else int(words[2])
        taints = words[6].strip("()") if len(words) == 7 else None
        found.append(Module(words[0], int(words[1]), used, words[4], int(words[5], 16), taints))
    return found


def check_modules(text: str, symbol_text: str, rows: Sequence[dict[str, Any]], least: int) -> list[str]:
    """That kvista lists the modules as /proc/modules does, each where its __this_module is."""
    want = modules(text)
    objects = {s.module: s.address for s in kallsyms(symbol_text) if s.name == "__this_module"}
    problems = []
    got = []
    at_object = 0
    for row in rows:
        taints = (row["taints"] or "").strip("()") or None
        module = Module(row["name"], row["size"], row["used"], row["state"], kvista.address(row["base"]), taints)
        got.append(module)
        if module.name in objects:
            at_object += 1
            if kvista.address(row["module"]) != objects[module.name]:
                where = f"{objects[module.name]:#x}"
                problems.append(f"{module.name}: kvista has struct module at {row['module']}, it is at {where}.")
    print(f"  {len(want)} modules compared, {at_object} of them also by the address of struct module")
    if len(want) < least or at_object < least:
        problems.append(f"Only {len(want)} modules were compared and {at_object} addresses, at least {least} are needed.")
    if [module.name for module in want] != [module.name for module in got]:
        names = ", ".join(module.name for module in got)
        problems.append(f"kvista lists the modules {names}, /proc/modules {', '.join(module.name for module in want)}.")
        return problems
    wrong = [(one, other) for one, other in zip(want, got, strict=True) if one != other]
    return problems + shown("A module differs", wrong, lambda pair: f"kvista has {pair[1]}, /proc/modules {pair[0]}")
