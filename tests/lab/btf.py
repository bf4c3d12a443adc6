"""BTF: what kvista finds in memory against /sys/kernel/btf, and how it reads it against bpftool."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import full_peers
import lab

PACKAGES = ("bpftool",)
BASE = "vmlinux"
SHOWN = 3


def fetch() -> full_peers.Peers:
    """bpftool of Debian sid, the newest that there is: an older one does not know new kinds of types."""
    return full_peers.fetch(PACKAGES, "bpftool-sid")


def extract(tool: Path, image: Path, into: Path) -> None:
    """Let the test tool write each BTF of an image into a directory."""
    into.mkdir()
    lab.run([str(tool), "extract", str(image), str(into)], "extracting BTF")


def check_extracted(want: Path, got: Path) -> list[str]:
    """That two directories hold the same files, byte for byte: the guest's /sys/kernel/btf and what was extracted."""
    names, found = ({path.name for path in folder.iterdir()} for folder in (want, got))
    problems = []
    if BASE not in names:
        problems.append("The guest has left no /sys/kernel/btf/vmlinux.")
    if names - found:
        problems.append(f"kvista does not find the BTF of {', '.join(sorted(names - found))}.")
    if found - names:
        problems.append(f"kvista finds BTF that /sys/kernel/btf does not have: {', '.join(sorted(found - names))}.")
    size = 0
    for name in sorted(names & found):
        one, other = (want / name).read_bytes(), (got / name).read_bytes()
        size += len(one)
        if one != other:
            pairs = enumerate(zip(one, other, strict=False))
            at = next((at for at, pair in pairs if pair[0] != pair[1]), min(len(one), len(other)))
            problems.append(f"The BTF of {name} differs at byte {at}: kvista has {len(other)} bytes, the guest {len(one)}.")
    print(f"  {len(names & found)} files compared, {size} bytes: {', '.join(sorted(names & found))}")
    return problems


def compare_lines(want: Iterable[bytes], got: Iterable[bytes], name: str) -> tuple[int, list[str]]:
    """How many types two listings have in common, and what differs first."""
    types, differences = 0, []
    for number, (one, other) in enumerate(itertools.zip_longest(want, got), 1):
        if one != other:
            shown = ["nothing" if line is None else repr(line.rstrip(b"\n").decode("utf-8", "replace")) for line in (one, other)]
            differences.append(f"{name}: line {number}: kvista has {shown[1]}, bpftool {shown[0]}.")
            if len(differences) == SHOWN:
                return types, [*differences, f"{name}: what follows is not compared."]
        elif one.startswith(b"["):
            types += 1
    return types, differences


def _print(command: Sequence[str], into: Path) -> None:
    """Run a program with its output going to a file."""
    with into.open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise lab.LabError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()}")


def check_raw(tool: Path, peers: full_peers.Peers, files: Path, folder: Path, least: int) -> list[str]:
    """That the test tool prints each BTF as bpftool does; `folder` is for what they print."""
    base = files / BASE
    problems = []
    total = 0
    for path in sorted(files.iterdir()):
        split = [] if path == base else [str(base)]
        options = ["-B", str(base)] if split else []
        _print(peers.command("bpftool", *options, "btf", "dump", "file", str(path), "format", "raw"), folder / "want")
        _print([str(tool), "raw", str(path), *split], folder / "got")
        with (folder / "want").open("rb") as want, (folder / "got").open("rb") as got:
            types, found = compare_lines(want, got, path.name)
        if not types:
            found.append(f"{path.name}: no type was compared.")
        total += types
        problems += found
    print(f"  {total} types in {len(list(files.iterdir()))} files compared with bpftool, line by line")
    if total < least:
        problems.append(f"Only {total} types were compared, at least {least} are needed.")
    return problems
