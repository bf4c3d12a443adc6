"""A dump of a machine with 12 TiB of memory, by a synthetic image whose struct pages are one stretch again and again: that it is
right, and that it takes little memory."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIB = 12
PAGE = 4096
SECTION = 0x8000
SLAB = 0x10
"""Of the frames of a section, those that level 31 keeps."""
MOST_KIB = 32 << 10
LIMIT_MIB = 16
"""With --memory-limit."""

DESCRIPTION = f"""ram 0x0-{TIB}T
machine direct_map=1g
memory_map repeat=1
pages 0x0-0x3fff class=buddy order=10
pages 0x4000-{SECTION - SLAB - 1:#x} class=anon
pages {SECTION - SLAB:#x}-{SECTION - 1:#x} class=slab order=3
"""


def measured(command: list[str]) -> tuple[str, int, float]:
    """Standard output, peak memory in KiB, seconds."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with status {process.returncode}: {errors}")
    return output, usage.ru_maxrss, time.monotonic() - start


def streamed(kvista: str, image: str, kept: int) -> list[str]:
    """An ELF core file as a stream, in which no decision can be read back, and which has little memory."""
    problems = []
    options = ["-d", "31", "--threads", "8", "--memory-limit", f"{LIMIT_MIB}M", "--json", "--quiet"]
    with open(os.devnull, "wb") as nowhere:
        command = [kvista, "dump", "-E", "-F", *options, image, "-"]
        start = time.monotonic()
        # The report is on standard error, since the dump is on standard output.
        with subprocess.Popen(command, stdout=nowhere, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            report = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    seconds, peak = time.monotonic() - start, usage.ru_maxrss
    if process.returncode != 0:
        return [f"{' '.join(command)} ended with status {process.returncode}: {report}"]
    row = json.loads(report)["tables"]["dump"][0]
    print(f"{row['saved']} pages streamed as {row['format']} in {seconds:.0f} s and {peak / 1024:.1f} MiB of memory")
    if row["saved"] != kept or not row["complete"]:
        problems.append(f"{kept} pages are expected in the stream: {row}")
    if peak > LIMIT_MIB << 10:
        problems.append(f"{peak} KiB of memory are more than the limit, {LIMIT_MIB} MiB")
    return problems


def main() -> int:
    """Write, and look at what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", required=True)
    parser.add_argument("--make-image", required=True)
    arguments = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(prefix="kvista-large-") as folder:
        (Path(folder) / "description").write_text(DESCRIPTION, "utf-8")
        image, dump = f"{folder}/vmcore", f"{folder}/dump"
        subprocess.run([arguments.make_image, f"{folder}/description", image], check=True)
        command = [arguments.kvista, "dump", "-d", "31", "--threads", "2", "--json", image, dump]
        output, peak, seconds = measured(command)
        row = json.loads(output)["tables"]["dump"][0]
        frames = TIB << 40 >> 12
        kept = frames // SECTION * SLAB
        print(f"{row['saved']} of {row['frames']} pages saved in {seconds:.0f} s and {peak / 1024:.1f} MiB of memory")
        if row["frames"] != frames or row["saved"] != kept or not row["complete"]:
            problems.append(f"{frames} pages and {kept} saved are expected: {row}")
        if peak > MOST_KIB:
            problems.append(f"{peak} KiB of memory are more than {MOST_KIB}")
        problems += streamed(arguments.kvista, image, kept)
        for frame, there in ((0, False), (SECTION - 1, True), (frames - 1, True), (frames - SLAB - 1, False)):
            read = [arguments.kvista, "-c", dump, "rd", "-p", f"{frame * PAGE:x}", "1"]
            done = subprocess.run(read, capture_output=True, text=True, check=False)
            if (done.returncode == 0) != there:
                problems.append(f"page {frame:#x}: {done.stdout}{done.stderr}")
    for problem in problems:
        print(f"FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
