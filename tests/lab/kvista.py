"""Runs kvista and the test tool page_classes, and reads kvista's JSON."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import lab

MASK = (1 << 64) - 1


class Report:
    """What `kvista COMMAND --json` prints."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        try:
            self.data: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise lab.LabError(f"{source} does not print JSON: {error}. It begins with: {text[:200]!r}") from error

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        rows = self.data.get("tables", {}).get(name)
        if not isinstance(rows, list):
            raise lab.LabError(f"{self.source} has no table '{name}', only {sorted(self.data.get('tables', {}))}.")
        return rows

    @property
    def warnings(self) -> list[str]:
        """The warnings; an error in their place where there is no answer."""
        return [self.data["error"]] if "error" in self.data else self.data.get("warnings", [])

    def facts(self) -> dict[str, dict[str, Any]]:
        """The rows of the table of facts, by name of the fact; those without a value are left out."""
        return {row["fact"]: row for row in self.table("facts") if row.get("value") not in (None, "", "not available")}


PARTIAL_COMMANDS = ("info", "explain")
"""What may end with status 1: some facts are not available in some kernels. Which, the check of facts judges."""


def run(binary: Path, *arguments: str, timeout: float = 120, statuses: tuple[int, ...] | None = None) -> Report:
    """Run kvista on the host and return its report; an exit status that says failure is an error.

    `statuses` are those that do not; without it 0, and 1 for the commands that end so where a kernel lacks something.
    """
    command = [str(binary), *arguments, "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise lab.LabError(f"{' '.join(command)} does not run: {error}.") from error
    if done.returncode not in (statuses or ((0, 1) if arguments[0] in PARTIAL_COMMANDS else (0,))):
        raise lab.LabError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()}")
    return Report(done.stdout, f"kvista {arguments[0]}")


def run_text(binary: Path, *arguments: str, timeout: float = 120) -> bytes:
    """Run kvista on the host and return what it prints, byte for byte; any status but 0 is an error."""
    command = [str(binary), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise lab.LabError(f"{' '.join(command)} does not run: {error}.") from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise lab.LabError(f"{' '.join(command)} ended with status {done.returncode}: {words}")
    return done.stdout


def page_classes(tool: Path, image: Path) -> bytes:
    """One byte for each page frame of an image, as the test tool writes them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "classes"
        lab.run([str(tool), str(image), str(out)], "asking kvista for the class of each page")
        return out.read_bytes()


def number(value: Any) -> int:
    """A number as kvista writes it: a JSON number, or hexadecimal text with or without a sign."""
    return int(value, 0) if isinstance(value, str) else int(value)


def address(value: Any) -> int:
    """A 64-bit number without its sign."""
    return number(value) & MASK


def span(value: Any) -> tuple[int, int]:
    """A range "0xSTART-0xEND", both inclusive."""
    first, _, last = str(value).partition("-")
    return int(first, 16), int(last, 16)
