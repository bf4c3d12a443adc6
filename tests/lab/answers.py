"""What kvista says of a memory image, and how that compares with what it says of another file of the same memory."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kvista

LEAST_FACTS = 20
LEAST_FRAMES = 200_000
LEAST_MESSAGES = 200
OK, PARTIAL = 0, 1
NOT_IN_IMAGE = re.compile(r"(\d+) frames of KERN_DATA are not in the image")


@dataclasses.dataclass(frozen=True)
class Answers:
    """The facts, the page counts and the log of one image."""

    info: kvista.Report
    usage: kvista.Report
    log: kvista.Report

    def facts(self) -> dict[str, Any]:
        """The value of each fact."""
        return {row["fact"]: row["value"] for row in self.info.table("facts")}

    def pages(self) -> dict[str, int]:
        """The page frames of each class, and of the rows "of which"."""
        rows = self.usage.table("pages") + self.usage.table("of_which")
        return {row["type"]: row["pages"] for row in rows}

    def total(self) -> int:
        """All page frames."""
        return int(self.usage.table("totals")[0]["pages"])

    def levels(self) -> dict[int, dict[str, Any]]:
        """The rows of `mem-usage --levels`."""
        return {row["level"]: row for row in self.usage.table("levels")}

    def missing(self) -> int:
        """How many frames of kernel data the image lacks, as mem-usage says."""
        found = [match for text in self.usage.warnings if (match := NOT_IN_IMAGE.search(text))]
        return int(found[0][1]) if found else 0


def ask(binary: Path, images: Sequence[str], partial: bool = False) -> Answers:
    """Ask kvista about an image of one file or more; `partial` where an answer may say that something is missing."""
    names = [word for image in images for word in ("-c", image)]
    return Answers(
        kvista.run(binary, *names, "info", statuses=(OK, PARTIAL)),
        kvista.run(binary, *names, "mem-usage", "--levels", "--exact", statuses=(OK, PARTIAL) if partial else (OK,)),
        kvista.run(binary, *names, "dmesg"),
    )


@dataclasses.dataclass(frozen=True)
class Differences:
    """What a file of the same memory rightly answers otherwise; see README.md for the rules."""

    pages: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """By how many frames a class is larger."""
    filtered: bool = False
    """Cache, user and free pages are not in the file: zero pages among them cannot be counted."""
    kernel_data_missing: bool | None = False
    """Some frames of kernel data are not in the file: whether they are zero cannot be told. None: there may be such frames."""


class Comparison:
    """Of what an image answers with what is right."""

    def __init__(self, want: Answers, got: Answers, rules: Differences) -> None:
        self.want, self.got, self.rules = want, got, rules
        self.problems: list[str] = []
        self._facts()
        self._pages()
        self._levels()
        self._log()

    def describe(self) -> str:
        """How much was compared."""
        facts, messages = len(self.want.facts()), len(self.want.log.table("messages"))
        return f"{facts} facts, {self.got.total()} frames, {messages} messages"

    def _floor(self, what: str, count: int, least: int) -> None:
        if count < least:
            self.problems.append(f"Only {count} {what} were compared, at least {least} are needed.")

    def _equal(self, what: str, got: Any, want: Any) -> None:
        if got != want:
            self.problems.append(f"{what}: {got} instead of {want}.")

    def _facts(self) -> None:
        want, got = self.want.facts(), self.got.facts()
        self._floor("facts", len(want), LEAST_FACTS)
        for name in sorted(want.keys() | got.keys()):
            self._equal(f"info: {name}", got.get(name), want.get(name))

    def _pages(self) -> None:
        want, got, missing = self.want.pages(), self.got.pages(), self.got.missing()
        self._floor("frames", self.got.total(), LEAST_FRAMES)
        self._equal("mem-usage: total", self.got.total(), self.want.total() + self._all_more())
        if self.rules.kernel_data_missing is not None and bool(missing) != self.rules.kernel_data_missing:
            self.problems.append(f"mem-usage says that {missing} frames of kernel data are not in the image.")
        kernel_data = {"KERN_DATA", *(row["type"] for row in self.want.usage.table("of_which") if row["of"] == "KERN_DATA")}
        for name in sorted(want.keys() | got.keys()):
            larger = got.get(name, 0) - want.get(name, 0) - self._more(name)
            if missing and name == "ZERO":
                self._equal("mem-usage: ZERO and KERN_DATA together", larger, want["KERN_DATA"] - got["KERN_DATA"])
            elif not 0 <= larger <= (missing if name in kernel_data else 0):
                self.problems.append(f"mem-usage: {name} is larger by {larger}, and {missing} frames of KERN_DATA are missing.")
        self._equal("mem-usage: free lists", self.got.usage.table("free_check"), self.want.usage.table("free_check"))

    def _more(self, name: str) -> int:
        """By how many frames a class is larger."""
        return self.rules.pages.get(name, 0)

    def _all_more(self) -> int:
        """By how many frames all classes together are larger; rows "of which" are parts of others."""
        classes = {row["type"] for row in self.want.usage.table("pages")}
        return sum(count for name, count in self.rules.pages.items() if name in classes)

    def _levels(self) -> None:
        want, got, missing = self.want.levels(), self.got.levels(), self.got.missing()
        self._equal("mem-usage: number of levels", len(got), 32)
        more = self._all_more()  # no level leaves out the classes in which files differ
        for level, row in got.items():
            right = want[level]["pages"] + more
            off, error = abs(row["pages"] - right), row["error"] or 0
            sure = not level & 1 or not (self.rules.filtered or missing)
            if off > error or (sure and (off or error)):
                self.problems.append(f"mem-usage: level {level} has {row['pages']} pages, +-{error}, instead of {right}.")

    def _log(self) -> None:
        want, got = self.want.log.table("messages"), self.got.log.table("messages")
        self._floor("messages", len(want), LEAST_MESSAGES)
        if want != got:
            odd = sum(one != other for one, other in zip(want, got, strict=False))
            self.problems.append(f"dmesg: {len(got)} messages instead of {len(want)}, {odd} of them otherwise.")
