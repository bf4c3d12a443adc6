#!/usr/bin/env python3
"""Runs clang-format or clang-tidy of version 14 over the project: check_style.py format|tidy|analyzer SOURCE BUILD.

The static analyzer takes two thirds of clang-tidy's time: `tidy` is all other checks, `analyzer` is it alone.
Other versions format and warn differently: where 14 is not installed this says so and is skipped.
A file that clang-tidy found clean is not looked at again until it, a header of its, the way it is compiled or the
configuration changes: what was seen is noted in the cache directory ($XDG_CACHE_HOME/kvista-style).
"""
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

VERSION = 14
SKIPPED = 77
LEAST_FILES = 40
CHECKS = {"tidy": "-clang-analyzer-*", "analyzer": "-*,clang-analyzer-*"}  # on top of the file .clang-tidy


def sources(top: pathlib.Path, suffixes: tuple[str, ...], folders: tuple[str, ...]) -> list[str]:
    return sorted(str(p) for f in folders for p in (top / f).rglob("*") if p.suffix in suffixes)


def check_format(top: pathlib.Path) -> int:
    files = sources(top, (".h", ".cpp"), ("include", "src", "docs", "tests", "bench"))
    print(f"clang-format-{VERSION} over {len(files)} files")
    status = subprocess.run([f"clang-format-{VERSION}", "--dry-run", "--Werror", *files], check=False).returncode
    return status or int(len(files) < LEAST_FILES)


@functools.lru_cache(maxsize=None)
def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def headers_by_object(build: pathlib.Path) -> dict[str, list[str]]:
    """What each object file was compiled from, as the last build has seen it; empty where ninja cannot say."""
    said = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], check=False, capture_output=True, text=True)
    found: dict[str, list[str]] = {}
    target = ""
    for line in said.stdout.splitlines():
        if line.startswith(" "):
            found[target].append(line.strip())
        elif ":" in line:
            target = line.split(":", 1)[0]
            found[target] = []
    return found


def state_of(top: pathlib.Path, build: pathlib.Path, checks: str) -> dict[str, str]:
    """For each compiled file a digest of all that clang-tidy's findings depend on."""
    headers = headers_by_object(build)
    common = str(VERSION) + checks + digest(top / ".clang-tidy") + digest(pathlib.Path(__file__))
    states = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = entry["command"].split()
        parts = headers.get(words[words.index("-o") + 1])
        if not parts:
            continue
        content = "".join(digest(build / part) for part in sorted(parts))
        command = entry["command"].replace(str(top), ".")
        states[entry["file"]] = hashlib.sha256((common + command + content).encode()).hexdigest()
    return states


def check_tidy(top: pathlib.Path, build: pathlib.Path, checks: str) -> int:
    top, build = top.resolve(), build.resolve()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "kvista-style")
    cache.mkdir(parents=True, exist_ok=True)
    states = state_of(top, build, checks)
    files = sources(top, (".cpp",), ("src",))
    changed = [f for f in files if f not in states or not (cache / states[f]).exists()]
    print(f"clang-tidy-{VERSION} ({checks}) over {len(files)} files, of which {len(changed)} have changed since they were clean")
    if len(files) < LEAST_FILES // 2:
        return 1
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = list(pool.map(lambda file: tidy_file(build, file, checks), changed))
    for file, text in zip(changed, findings):
        if text:
            print(text)
        elif file in states:
            (cache / states[file]).touch()
    return int(any(findings))


def tidy_file(build: pathlib.Path, file: str, checks: str) -> str:
    """What clang-tidy has to say about one file; empty where that is nothing."""
    # What GCC alone knows is no finding.
    command = [f"clang-tidy-{VERSION}", "--quiet", "-p", str(build), f"--checks={checks}"]
    command += ["-extra-arg=-Wno-unknown-warning-option", file]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = [line for line in result.stdout.splitlines() if "warning:" in line or "error:" in line]
    if result.returncode and not lines:
        return f"clang-tidy over {file} failed:\n{result.stdout[-2000:]}"
    return "\n".join(lines)


def main() -> int:
    what, top, build = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    tool = f"clang-{'format' if what == 'format' else 'tidy'}-{VERSION}"
    if not shutil.which(tool):
        print(f"{tool} is not installed here: skipped")
        return SKIPPED
    return check_format(top) if what == "format" else check_tidy(top, build, CHECKS[what])


if __name__ == "__main__":
    sys.exit(main())
