"""Values of the kernel's variables against drgn, which reads the same dump with the kernel's debuginfo.

kvista has the dump alone. For each variable that src/kernel/globals.decl declares and the kernel has, both say where
it is, of which type, how large, and what it holds, scalar by scalar. Differences stand in drgn_differences.toml; one
that is new, and one that is listed and does not occur, fails.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import capture
import full_peers
import kernels
import kvista
import lab

HERE = Path(__file__).resolve().parent
RULES = HERE / "drgn_differences.toml"
SUITE = "sid"
"""The suite whose drgn it is, and whose kernels drgn can have debuginfo for."""
DRGN = (("python3-drgn",), "drgn-sid")
VERSION = "0.3."

ELEMENTS = 1024
"""Of an array, as many elements are compared."""
LEAST_VARIABLES, LEAST_SCALARS = 350, 100_000

SHOWN = 40
"""Of the problems, as many are printed."""
ALIGNMENT = 64
LENGTH = re.compile(r"\[\d+\]")

WORDS = {
    "long unsigned int": "unsigned long",
    "long long unsigned int": "unsigned long long",
    "long int": "long",
    "long long int": "long long",
    "short unsigned int": "unsigned short",
    "short int": "short",
}
"""What BTF calls C's types, and what drgn and declarations do."""
WORD = re.compile(r"\b(" + "|".join(sorted(WORDS, key=len, reverse=True)) + r")\b")

ELEMENT = re.compile(
    r"""(?P<value>-?\w+)            # a number, an enumerator, a truth value
        (?:\s<(?!repeats\s)[^>]*>)?  # the function that a pointer leads to
        (?:\s'.')?                  # a character
        (?:\s<repeats\s(?P<times>\d+)\stimes>)?
        (?:,\s|$)""",
    re.VERBOSE | re.DOTALL,
)
QUOTED = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)

Scalar = int | str | None
"""A number, the name of an enumerator or a text; None cannot be read."""


@dataclasses.dataclass(frozen=True)
class Variable:
    """What one of the two says of a variable."""

    address: int
    pointer: str
    """The type of a pointer to it."""
    size: int
    scalars: dict[str, Scalar]


@dataclasses.dataclass(frozen=True, order=True)
class Difference:
    """Something in which they do not agree."""

    kind: str
    """absent, address, type, size, path (a scalar that one has only) or value."""
    what: str
    """The variable, or the path of the scalar."""
    ours: str
    theirs: str


def parse_scalar(text: str) -> Scalar:
    """One value as kvista writes it."""
    if text.startswith("<not readable"):
        return None
    if text.startswith('"'):
        special = {"n": "\n"}
        return QUOTED.sub(lambda at: chr(int(at[1], 8)) if len(at[1]) == 3 else special.get(at[1], at[1]), text[1:-1])
    found = ELEMENT.fullmatch(text)
    if not found:
        raise lab.LabError(f"kvista writes a value in a form that the lab does not know: {text!r}.")
    word = found["value"]
    if word in ("true", "false"):
        return int(word == "true")
    return int(word, 0) if re.match(r"-?\d", word) else word


def parse_value(path: str, text: str) -> dict[str, Scalar]:
    """The scalars in a row of kvista's: one, or those of an array of them."""
    if not text.startswith("{"):
        return {path: parse_scalar(text)}
    scalars: dict[str, Scalar] = {}
    body = text[1:-1].removesuffix(", ...")
    at = 0
    while at < len(body):
        found = ELEMENT.match(body, at)
        if not found:
            raise lab.LabError(f"{path}: kvista writes an array in a form that the lab does not know: {body[at:at + 80]!r}.")
        value = parse_scalar(found["value"])
        for _ in range(int(found["times"] or 1)):
            scalars[f"{path}[{len(scalars)}]"] = value
        at = found.end()
    return scalars


def name_of(path: str) -> str:
    """The variable that a path begins with."""
    return re.split(r"[.\[:]", path, maxsplit=1)[0]


def expressions(names: Iterable[str], form: str) -> str:
    """One operand of `kvista p` for all these variables."""
    return "; ".join(form.format(name) for name in names)


def all_values(names: Iterable[str], per_cpu: set[str]) -> str:
    """The operand that shows all of them; of those that each CPU has, each CPU's."""
    return expressions((f"{name}:a" if name in per_cpu else name for name in names), "{}")


def per_cpu_names(theirs: dict[str, Variable]) -> set[str]:
    """The variables that each CPU has."""
    return {path.split(":")[0] for one in theirs.values() for path in one.scalars if ":" in path}


def values(binary: Path, dump: Path, operand: str) -> list[dict[str, Any]]:
    """The rows of `kvista p`."""
    report = kvista.run(binary, "-c", str(dump), "p", "--elements", str(ELEMENTS), operand, statuses=(0, 1))
    return report.table("value")


def ask_kvista(binary: Path, dump: Path, names: list[str], per_cpu: set[str]) -> dict[str, Variable]:
    """What kvista says of these variables, without debuginfo."""
    scalars: dict[str, dict[str, Scalar]] = defaultdict(dict)
    for row in values(binary, dump, all_values(names, per_cpu)):
        scalars[name_of(row["expression"])].update(parse_value(row["expression"], row["value"]))
    places = {row["expression"]: row for row in values(binary, dump, expressions(names, "&{}"))}
    sizes = {row["expression"]: row for row in values(binary, dump, expressions(names, "sizeof({})"))}
    return {
        name: Variable(
            kvista.address(places[f"&{name}"]["value"]),
            WORD.sub(lambda at: WORDS[at[1]], places[f"&{name}"]["type"]),
            kvista.number(sizes[f"sizeof({name})"]["value"]),
            scalars[name],
        )
        for name in names
    }


def drgn_command(peers: full_peers.Peers, dump: Path, vmlinux: Path, request: Path) -> list[str]:
    """What runs drgn on the dump, with debuginfo."""
    return peers.python(str(HERE / "drgn_values.py"), str(dump), str(vmlinux), str(request))


def ask_drgn(peers: full_peers.Peers, dump: Path, vmlinux: Path, names: list[str]) -> dict[str, Variable]:
    """What drgn says of these variables; those that debuginfo does not have are missing."""
    with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps({"names": names, "elements": ELEMENTS}), "utf-8")
        answer = json.loads(lab.run(drgn_command(peers, dump, vmlinux, request), "asking drgn for values"))
    if not answer["version"].startswith(VERSION):
        print(f"drgn is {answer['version']}, the differences here are those of {VERSION}x")
    known = {name: Variable(**one) for name, one in answer["variables"].items() if one is not None}
    return {name: dataclasses.replace(one, pointer=one.pointer.replace("* const", "*const")) for name, one in known.items()}


def declared(tool: Path, dump: Path) -> list[str]:
    """The declared variables that the kernel has."""
    lines = lab.run([str(tool), str(dump)], "asking which declared variables there are").splitlines()
    return [line.split()[-1] for line in lines]


def compare(name: str, ours: Variable, theirs: Variable) -> list[Difference]:
    """All in which they differ about one variable."""
    found = []
    if ours.address != theirs.address:
        found.append(Difference("address", name, hex(ours.address), hex(theirs.address)))
    if ours.pointer != theirs.pointer:
        found.append(Difference("type", name, ours.pointer, theirs.pointer))
    if ours.size != theirs.size:
        found.append(Difference("size", name, str(ours.size), str(theirs.size)))
    for path in sorted(ours.scalars.keys() ^ theirs.scalars.keys()):
        sides = ["has it" if path in side.scalars else "has none" for side in (ours, theirs)]
        found.append(Difference("path", path, *sides))
    for path in ours.scalars.keys() & theirs.scalars.keys():
        mine, other = ours.scalars[path], theirs.scalars[path]
        if mine != other:
            found.append(Difference("value", path, repr(mine), repr(other)))
    return found


def is_padding(one: Difference) -> bool:
    """Whether an array is longer by less than what variables are aligned to, and of the same elements."""
    if one.kind == "size":
        return 0 < int(one.ours) - int(one.theirs) < ALIGNMENT
    return one.kind == "type" and LENGTH.sub("", one.ours) == LENGTH.sub("", one.theirs)


PREDICATES: dict[str, Callable[[Difference], bool]] = {
    "no_debuginfo": lambda one: one.kind == "absent",
    "padding": is_padding,
}


class Rules:
    """The checked-in differences."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        if sorted(rule["name"] for rule in rules) != sorted(PREDICATES):
            raise lab.LabError(f"{RULES.name} and the predicates name different rules.")
        self._rules = rules
        self._seen: dict[str, set[str]] = defaultdict(set)
        self.counts: Counter[str] = Counter()

    def explain(self, one: Difference) -> bool:
        """Whether a rule says why."""
        variable = name_of(one.what)
        for rule in self._rules:
            if variable in rule["variables"] and PREDICATES[rule["name"]](one):
                self._seen[rule["name"]].add(variable)
                self.counts[rule["name"]] += 1
                return True
        return False

    def vanished(self) -> list[str]:
        """A sentence for each variable that is listed and does not differ."""
        return [
            f"The difference '{rule['name']}' does not occur for {variable}."
            for rule in self._rules
            for variable in rule["variables"]
            if variable not in self._seen[rule["name"]]
        ]


def check(ours: dict[str, Variable], theirs: dict[str, Variable], rules: Rules) -> list[str]:
    """Compare, say how much was compared, and return what is wrong."""
    differences = [Difference("absent", name, "has it", "has none") for name in sorted(ours.keys() - theirs.keys())]
    for name, other in theirs.items():
        differences += compare(name, ours[name], other)
    problems = [
        f"{one.kind} of {one.what}: {one.ours} for kvista, {one.theirs} for drgn, and no rule says why."
        for one in differences
        if not rules.explain(one)
    ]
    scalars = sum(len(ours[name].scalars.keys() & theirs[name].scalars.keys()) for name in theirs)
    print(f"{len(theirs)} of {len(ours)} declared variables and {scalars} scalars compared")
    for name, count in rules.counts.items():
        print(f"  difference '{name}': {count}")
    if len(theirs) < LEAST_VARIABLES or scalars < LEAST_SCALARS:
        problems.append(f"At least {LEAST_VARIABLES} variables and {LEAST_SCALARS} scalars must be compared.")
    return problems + rules.vanished()


def main() -> int:
    """Compare one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--globals-check", type=Path, required=True, help="the test tool globals_check")
    parser.add_argument("--variant", choices=lab.VARIANTS, required=True)
    arguments = parser.parse_args()
    found = capture.capture(SUITE, arguments.variant)
    print(found.describe())
    names = declared(arguments.globals_check, found.dump)
    theirs = ask_drgn(full_peers.fetch(*DRGN), found.dump, kernels.debuginfo(kernels.fetch(SUITE)), names)
    rules = Rules(tomllib.loads(RULES.read_text("utf-8"))["difference"])
    ours = ask_kvista(arguments.kvista, found.dump, names, per_cpu_names(theirs))
    problems = check(ours, theirs, rules)
    for problem in problems[:SHOWN]:
        print(f"  FAIL {problem}")
    if len(problems) > SHOWN:
        print(f"  FAIL {len(problems) - SHOWN} more")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
