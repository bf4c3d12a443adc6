#!/usr/bin/env python3
"""The static command for an initramfs: test_static.py --static PROGRAM --kvista PROGRAM --make-image PROGRAM.

It is small, needs no loader and no library, and says what the other one says.
"""
import argparse
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

MOST_BYTES = 8 << 20
PT_INTERP, PT_DYNAMIC = 3, 2
DESCRIPTION = "pages 0x400-0x7ff class=buddy order=10\n"
JOBS = (["info"], ["mem-usage", "--levels"], ["vmcoreinfo"], ["vtop", "ffffffff81000000"], ["dmesg"])


def check_file(path):
    """One file of which nothing but the kernel is asked."""
    data = path.read_bytes()
    if len(data) > MOST_BYTES:
        sys.exit(f"{path} has {len(data)} bytes, more than {MOST_BYTES}")
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    types = [struct.unpack_from("<I", data, table + at * size)[0] for at in range(count)]
    if PT_INTERP in types or PT_DYNAMIC in types:
        sys.exit(f"{path} asks for a loader")
    if b"\0.symtab\0" in data:
        sys.exit(f"{path} still has its symbols")
    return len(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--static", "--kvista", "--make-image"):
        parser.add_argument(name, required=True, type=pathlib.Path)
    options = parser.parse_args()
    size = check_file(options.static)
    with tempfile.TemporaryDirectory(prefix="kvista-static-") as folder:
        (pathlib.Path(folder) / "description").write_text(DESCRIPTION)
        image = os.path.join(folder, "vmcore")
        subprocess.run([options.make_image, os.path.join(folder, "description"), image], check=True)
        for job in JOBS:
            both = [subprocess.run([program, "-c", image, *job], capture_output=True, env={}, check=False)
                    for program in (options.static, options.kvista)]
            said = [(done.returncode, done.stdout, done.stderr) for done in both]
            if said[0] != said[1] or said[0][0] > 2:
                sys.exit(f"kvista-static {' '.join(job)}: {said[0]}, but kvista: {said[1]}")
        # What it is linked without, it says.
        command = [options.static, "-c", image, "struct", "list_head", "--debuginfo", options.kvista]
        done = subprocess.run(command, capture_output=True, env={}, check=False, text=True)
        if done.returncode != 2 or "built without DWARF" not in done.stderr:
            sys.exit(f"kvista-static --debuginfo: {done}")
    print(f"{size} bytes; {len(JOBS)} commands say the same")


if __name__ == "__main__":
    main()
