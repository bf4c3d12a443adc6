"""What every module of the lab shares: its errors, its cache and a way to run commands."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SKIPPED = 77
"""Exit status that ctest reads as "skipped" (SKIP_RETURN_CODE)."""

SUITES = ("bullseye", "bookworm", "trixie", "sid")
VARIANTS = ("kaslr", "nokaslr")


class LabError(Exception):
    """Something went wrong; the text is one clear sentence, details may follow on further lines."""


class Unavailable(LabError):
    """This machine lacks what the lab needs (an emulator, the network ...): a skip, except under CI."""


def cache_dir() -> Path:
    """The directory that holds everything worth keeping between runs, created when missing."""
    explicit = os.environ.get("KVISTA_LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(explicit) if explicit else Path(base) / "kvista-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def under_ci() -> bool:
    """Whether this run is an automatic one, in which nothing may be skipped."""
    return os.environ.get("CI", "").lower() in ("true", "1", "yes")


def need_tool(name: str, package: str) -> str:
    """The path of a program, also where sbin is not on PATH, or Unavailable naming its package."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed: install the package {package}.")
    return path


def run(command: Sequence[str], what: str, timeout: float = 600, cwd: Path | None = None) -> str:
    """Run a command and return its standard output; LabError says what was being done when it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what}: {command[0]} took more than {timeout:.0f} s.") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise LabError(f"{what}: {command[0]} ended with status {done.returncode}.\n{tail}")
    return done.stdout


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """A sort key that orders numbers inside names by value: 5.10.0-9 before 5.10.0-32."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", text) if part]


def sha256(*parts: bytes) -> str:
    """A digest over several parts, each with its length, as hex."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, so that tests that run at once do the same work only once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def note(text: str) -> None:
    """Tell a person what is going on, on standard error."""
    print(text, file=sys.stderr, flush=True)


def main_guard(main: Callable[[], int]) -> int:
    """Run a program's main function and turn lab errors into one message and an exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return main()
    except Unavailable as error:
        note(f"lab: {error}")
        if under_ci():
            note("lab: under CI nothing may be skipped: this is a failure.")
            return 1
        return SKIPPED
    except LabError as error:
        note(f"lab: {error}")
        return 1
    except KeyboardInterrupt:
        note("lab: interrupted.")
        return 130
