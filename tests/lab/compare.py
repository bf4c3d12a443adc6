"""Compares what kvista says about every page frame with what the kernel's own flags demand."""

from __future__ import annotations

import dataclasses
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import lab
import pageflags
from dumpfile import Dump
from oracles import Oracle
from pageflags import LEFT_OUT, PageClass

PAGE = 4096
MOST_LEFT_OUT = 0.05

FLOORS = {
    PageClass.ZERO: 500,
    PageClass.NON_PRI_CACHE: 5000,
    PageClass.PRI_CACHE: 5000,
    PageClass.USER: 20000,
    PageClass.FREE: 50000,
    PageClass.KERN_DATA: 10000,
    PageClass.OFFLINE: 8000,
    PageClass.HWPOISON: 8,
    PageClass.NO_STRUCT_PAGE: 1000,
}
"""The fewest pages of a class that a comparison must have seen, unless the kernel cannot have the class."""

MARKS = {
    "hugetlb": (pageflags.HUGETLB, 8000),
    "slab": (pageflags.SLAB, 1000),
    "reserved": (pageflags.RESERVED, 1000),
    "page_tables": (pageflags.PAGE_TABLE, 300),
}
"""Marks beside the class, each with the fewest pages that must bear it."""

OPTIONAL_MARKS = {"reserved", "page_tables"}
"""Marks that kvista cannot know in every kernel; where it sets one at all it must be right everywhere."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """A frame about which kvista and the kernel do not agree."""

    pfn: int
    want: int
    got: int
    flags: int
    head: int

    def describe(self) -> str:
        """The difference in words."""
        return (
            f"pfn {self.pfn:#x}: kvista says {name_of(self.got)}, the kernel's flags demand {name_of(self.want)} "
            f"({pageflags.describe(self.flags)}; head: {pageflags.describe(self.head)})"
        )


Predicate = Callable[[Difference], bool]

PREDICATES: dict[str, Predicate] = {}
"""The rules of expected_differences.toml: a predicate for each name there."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """A difference that is expected, and in which suites' kernels it must occur."""

    name: str
    reason: str
    suites: tuple[str, ...]
    matches: Predicate


@dataclasses.dataclass
class Comparison:
    """What came out of comparing one map of page classes."""

    compared: Counter[PageClass] = dataclasses.field(default_factory=Counter)
    marked: Counter[str] = dataclasses.field(default_factory=Counter)
    explained: Counter[str] = dataclasses.field(default_factory=Counter)
    differences: list[Difference] = dataclasses.field(default_factory=list)
    left_out: int = 0
    untold: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def table(self) -> str:
        """How many pages were compared, class by class."""
        lines = [f"  {page_class.name:<15}{self.compared[page_class]:>9} pages compared" for page_class in PageClass]
        for name in MARKS:
            told = " (not told by kvista, not compared)" if name in self.untold else ""
            lines.append(f"    of which {name:<13}{self.marked[name]:>8}{told}")
        lines += [f"  difference '{name}' explains {count} pages" for name, count in self.explained.items()]
        return "\n".join([*lines, f"  {'left out':<15}{self.left_out:>9} pages that changed during the capture"])


def name_of(value: int) -> str:
    """A class with its marks, in words."""
    low = value & 15
    name = PageClass(low).name if low in iter(PageClass) else f"unknown class {low}"
    return "+".join([name, *(mark for mark, (bit, _) in MARKS.items() if value & bit)])


def load_rules(path: Path, suite: str, predicates: Mapping[str, Predicate] = PREDICATES) -> list[Rule]:
    """The expected differences that concern a suite; a rule without a predicate, or the reverse, is an error."""
    entries = tomllib.loads(path.read_text("utf-8")).get("difference", [])
    names = [entry["name"] for entry in entries]
    if sorted(names) != sorted(predicates):
        raise lab.LabError(f"{path.name} lists the rules {sorted(names)}, the code has {sorted(predicates)}.")
    rules = [Rule(e["name"], e["reason"], tuple(e["suites"]), predicates[e["name"]]) for e in entries]
    unknown = {name for rule in rules for name in rule.suites} - set(lab.SUITES)
    if unknown or any(not rule.suites or not rule.reason for rule in rules):
        raise lab.LabError(f"{path.name}: each rule needs a reason and suites among {lab.SUITES}.")
    return [rule for rule in rules if suite in rule.suites]


def expectation(oracle: Oracle, dump: Dump) -> tuple[bytearray, Sequence[int]]:
    """What page_classes must give for a capture, and the flags that it was derived from."""
    flags = oracle.words("kpageflags.before")
    want = pageflags.demanded(flags)
    present = dump.present()
    beyond = len(present) - len(want)
    if beyond > 0:
        want.extend(bytes([PageClass.NO_STRUCT_PAGE]) * beyond)
    for pfn, there in enumerate(present):
        if not there:
            want[pfn] = PageClass.NOT_IN_IMAGE
    for first, last in oracle.iomem("Crash kernel"):
        for pfn in range(first // PAGE, (last + 1) // PAGE):
            want[pfn] = PageClass.NOT_IN_IMAGE
    pageflags.split_zero(want, dump.is_zero)
    for pfn in oracle.changed_pages():
        want[pfn] = LEFT_OUT
    return want, flags


def compare(
    want: Sequence[int],
    got: bytes,
    flags: Sequence[int],
    rules: Sequence[Rule],
    impossible: Iterable[str] = (),
    floors: Mapping[PageClass, int] = FLOORS,
    mark_floors: Mapping[str, tuple[int, int]] = MARKS,
) -> Comparison:
    """Compare two maps, frame by frame, and say all that is wrong."""
    result = Comparison()
    if len(got) < len(want):
        result.problems.append(f"kvista's map ends at pfn {len(got):#x}, the image at {len(want):#x}.")
    surplus = [pfn for pfn in range(len(want), len(got)) if got[pfn]]
    if surplus:
        result.problems.append(f"kvista's map has {len(surplus)} pages beyond the image, the first is {surplus[0]:#x}.")
    result.untold = _untold_marks(got)
    mask = 0xFF & ~sum(MARKS[name][0] for name in result.untold)
    heads = [head for _, head in pageflags.with_heads(flags)]
    for pfn, (expected, actual) in enumerate(zip(want, got)):
        if expected == LEFT_OUT:
            result.left_out += 1
            continue
        result.compared[PageClass(expected & 15)] += 1
        for name, (bit, _) in MARKS.items():
            if expected & bit:
                result.marked[name] += 1
        if (expected ^ actual) & mask:
            own = flags[pfn] if pfn < len(flags) else 0
            _explain(Difference(pfn, expected, actual, own, heads[pfn] if pfn < len(heads) else 0), rules, result)
    _judge(result, len(want), rules, set(impossible), floors, mark_floors)
    return result


def _untold_marks(got: bytes) -> list[str]:
    """The optional marks that kvista sets on no page at all."""
    kernel = [value for value in set(got) if value & 15 in (PageClass.KERN_DATA, PageClass.ZERO)]
    return sorted(name for name in OPTIONAL_MARKS if not any(value & MARKS[name][0] for value in kernel))


def _explain(difference: Difference, rules: Sequence[Rule], result: Comparison) -> None:
    """File a difference under the rule that explains it, or as one that nothing explains."""
    for rule in rules:
        if rule.matches(difference):
            result.explained[rule.name] += 1
            return
    result.differences.append(difference)


def _judge(
    result: Comparison,
    pages: int,
    rules: Sequence[Rule],
    impossible: set[str],
    floors: Mapping[PageClass, int],
    mark_floors: Mapping[str, tuple[int, int]],
) -> None:
    """Turn counts into problems."""
    kinds = Counter((name_of(d.got), name_of(d.want)) for d in result.differences)
    for (got, want), count in kinds.most_common():
        example = next(d for d in result.differences if (name_of(d.got), name_of(d.want)) == (got, want))
        result.problems.append(f"{count} pages are {got} but must be {want}, for example {example.describe()}.")
    for page_class, floor in floors.items():
        count = result.compared[page_class]
        if page_class.name in impossible:
            if count:
                result.problems.append(f"{page_class.name} has {count} pages, but this kernel cannot have any.")
        elif count < floor:
            result.problems.append(f"Only {count} pages of {page_class.name} were compared, at least {floor} are needed.")
    for name, (_, floor) in mark_floors.items():
        if result.marked[name] < floor:
            result.problems.append(f"Only {result.marked[name]} pages are {name}, at least {floor} are needed.")
    for rule in rules:
        if not result.explained[rule.name]:
            result.problems.append(f"The expected difference '{rule.name}' did not occur: take it off the list.")
    if result.left_out > pages * MOST_LEFT_OUT:
        result.problems.append(f"{result.left_out} of {pages} pages changed during the capture, which is too many.")
