#!/usr/bin/env python3
"""Capstone, which is loaded when something is to be disassembled: test_on_demand.py --kvista PROGRAM --make-image PROGRAM.

Where it cannot be loaded `dis` says so in one sentence, and every other command does not miss it.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

DESCRIPTION = """btf
orc 6.4
log ring
log message hello
task pid=1 comm=init stack=schedule,do_wait,do_syscall_64,entry_SYSCALL_64_after_hwframe
"""
MAJORS = range(3, 10)  # of its API, any of which kvista may have been built with
OTHERS = (["info"], ["dmesg"], ["vmcoreinfo"], ["vtop", "ffffffff81000000"])
DISASSEMBLE = ["dis", "schedule", "3"]
COMMAND_FAILED = 2


def run(program, image, command, libraries=None):
    """A finished command; `libraries` is looked into before the system's folders."""
    environment = {"LD_LIBRARY_PATH": str(libraries)} if libraries else {}
    return subprocess.run([program, "-c", image, *command], capture_output=True, text=True, env=environment, check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--kvista", "--make-image"):
        parser.add_argument(name, required=True, type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvista-on-demand-") as name:
        folder = pathlib.Path(name)
        (folder / "description").write_text(DESCRIPTION)
        image = folder / "vmcore"
        subprocess.run([options.make_image, folder / "description", image], check=True)
        good = run(options.kvista, image, DISASSEMBLE)
        if good.returncode != 0 or not good.stdout.strip():
            sys.exit(f"kvista dis: {good}")
        broken = folder / "libraries"
        broken.mkdir()
        for major in MAJORS:
            (broken / f"libcapstone.so.{major}").write_text("no library\n")
        bad = run(options.kvista, image, DISASSEMBLE, broken)
        if bad.returncode != COMMAND_FAILED or bad.stdout or len(bad.stderr.splitlines()) != 1 or "install Capstone" not in bad.stderr:
            sys.exit(f"kvista dis without Capstone: {bad}")
        for command in OTHERS:
            without, usual = (run(options.kvista, image, command, where) for where in (broken, None))
            if (without.returncode, without.stdout, without.stderr) != (usual.returncode, usual.stdout, usual.stderr):
                sys.exit(f"kvista {' '.join(command)} without Capstone: {without}, else {usual}")
    print(f"without Capstone {len(OTHERS)} commands say the same, and dis: {bad.stderr.strip()}")


if __name__ == "__main__":
    main()
