#!/usr/bin/env python3
"""Runs clang-format or clang-tidy of version 14 over the project: check_style.py format|tidy SOURCE BUILD.

Other versions format and warn differently: where 14 is not installed this says so and is skipped.
"""
import pathlib
import shutil
import subprocess
import sys

VERSION = 14
SKIPPED = 77
LEAST_FILES = 40


def sources(top: pathlib.Path, suffixes: tuple[str, ...], folders: tuple[str, ...]) -> list[str]:
    return sorted(str(p) for f in folders for p in (top / f).rglob("*") if p.suffix in suffixes)


def check_format(top: pathlib.Path) -> int:
    files = sources(top, (".h", ".cpp"), ("include", "src", "docs", "tests", "bench"))
    print(f"clang-format-{VERSION} over {len(files)} files")
    status = subprocess.run([f"clang-format-{VERSION}", "--dry-run", "--Werror", *files], check=False).returncode
    return status or int(len(files) < LEAST_FILES)


def check_tidy(top: pathlib.Path, build: pathlib.Path) -> int:
    files = sources(top, (".cpp",), ("src",))
    print(f"clang-tidy-{VERSION} over {len(files)} files")
    # What GCC alone knows is no finding.
    command = [f"run-clang-tidy-{VERSION}", "-quiet", "-p", str(build), "-extra-arg=-Wno-unknown-warning-option", *files]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    findings = [line for line in result.stdout.splitlines() if "warning:" in line or "error:" in line]
    print("\n".join(findings))
    if result.returncode and not findings:
        print(result.stdout[-4000:])
    return int(result.returncode != 0 or bool(findings) or len(files) < LEAST_FILES // 2)


def main() -> int:
    what, top, build = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    tool = f"clang-{what}-{VERSION}"
    if not shutil.which(tool):
        print(f"{tool} is not installed here: skipped")
        return SKIPPED
    return check_format(top) if what == "format" else check_tidy(top, build)


if __name__ == "__main__":
    sys.exit(main())
