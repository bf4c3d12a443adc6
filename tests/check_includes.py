#!/usr/bin/env python3
"""Checks every #include of src/ and include/ against the floors of ARCHITECTURE.md: check_includes.py SOURCE | --self-test.

A folder of src/ is a floor. The table says which floors it may use; what those may use, it may use too. The table
and src/CMakeLists.txt must say the same. A header of include/kvista/ belongs to the floor that names it there, and
includes only others of its kind.
"""

import pathlib
import re
import sys
import tempfile

LEAST_INCLUDES = 100
ROW = re.compile(r"^\|\s*`src/(\w+)/`\s*\|.*\|([^|]*)\|\s*$", re.MULTILINE)
FLOOR = re.compile(r"^kvista_floor\((\w+)\n([^)]*)\)", re.MULTILINE)
SOURCE = re.compile(r"\.(h|cpp|h\.in)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def floors_of_table(text):
    """What each floor names as its own, in the table's order."""
    floors = {}
    for name, uses in ROW.findall(text):
        above = list(floors)
        named = above if "all of the above" in uses else re.findall(r"\w+", uses)
        floors[name] = named
        for use in named:
            if use not in above:
                raise ValueError(f"ARCHITECTURE.md: {name} uses {use}, which is no floor above it")
    return floors


def floors_of_cmake(text):
    return {name: re.search(r"USES ([\w ]+)", rest).group(1).split() if "USES" in rest else []
            for name, rest in FLOOR.findall(text)}


def owners_of_headers(text):
    """The floor of each public header: "kvista/kernel.h" -> "kernel"."""
    return {f"kvista/{header}": name for name, rest in FLOOR.findall(text)
            for header in (re.search(r"PUBLIC_HEADERS ([^)]+)", rest) or [None, ""])[1].split()}


def with_transitive(floors):
    allowed = {}
    for name, uses in floors.items():  # from the ground up
        allowed[name] = {name}.union(*(allowed[use] for use in uses))
    return allowed


def check_tree(top):
    """The number of includes checked, and a sentence for each thing that is wrong."""
    floors = floors_of_table((top / "ARCHITECTURE.md").read_text())
    cmake = (top / "src/CMakeLists.txt").read_text()
    owners = owners_of_headers(cmake)
    wrong = []
    if floors_of_cmake(cmake) != floors:
        wrong.append("ARCHITECTURE.md and src/CMakeLists.txt name different floors, or different uses of them")
    allowed = with_transitive(floors)
    checked = 0
    for path in sorted(p for folder in ("src", "include") for p in (top / folder).rglob("*") if SOURCE.search(p.name)):
        public = path.relative_to(top).parts[0] == "include"
        name = str(path.relative_to(top / "include" if public else top / "src")).removesuffix(".in")
        floor = owners.get(name) if public else name.split("/")[0]
        if floor not in allowed:
            wrong.append(f"{path}: it belongs to no floor of ARCHITECTURE.md")
            continue
        for include in INCLUDE.findall(path.read_text()):
            checked += 1
            folder = owners.get(include) or include.split("/")[0]
            if folder not in allowed[floor] or "/" not in include or (public and include not in owners):
                wrong.append(f'{path}: #include "{include}": {floor} may use {", ".join(sorted(allowed[floor]))}'
                             + ", and a public header public ones only" * public)
    return checked, wrong


def build_tree(top, files):
    table = "| folder | what | may use |\n|---|---|---|\n"
    table += "| `src/base/` | ground | |\n| `src/image/` | first | base |\n| `src/cli/` | top | image |\n"
    cmake = "kvista_floor(base\n  SOURCES a.cpp\n  PUBLIC_HEADERS a.h b.h)\nkvista_floor(image\n  SOURCES b.cpp\n  USES base)\n"
    cmake += "kvista_floor(cli\n  SOURCES c.cpp\n  USES image\n  PUBLIC_HEADERS top.h)\n"
    for name, text in {"ARCHITECTURE.md": table, "src/CMakeLists.txt": cmake, **files}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


SELF_TESTS = [
    # what the file says, and whether that is wrong
    ("src/cli/a.cpp", '#include "image/x.h"\n#include "base/x.h"\n#include <vector>\n', False),
    ("src/image/a.h", '#include "image/b.h"\n', False),
    ("src/image/a.h", '#include "cli/a.h"\n', True),
    ("src/image/a.h", '  # include "cli/a.h"\n', True),
    ("src/base/deep/a.cpp", '#include "image/a.h"\n', True),
    ("src/image/a.h", '#include "b.h"\n', True),
    ("src/image/a.h", '#include "../cli/a.h"\n', True),
    ("src/other/a.h", "", True),
    ("src/image/a.h", '#include "kvista/a.h"\n', False),
    ("src/image/a.h", '#include "kvista/top.h"\n', True),
    ("src/image/a.h", '#include "kvista/none.h"\n', True),
    ("include/kvista/top.h", '#include "kvista/a.h"\n', False),
    ("include/kvista/top.h", '#include "image/a.h"\n', True),
    ("include/kvista/a.h", '#include "kvista/top.h"\n', True),
    ("include/kvista/a.h", '#include "base/b.h"\n', True),
    ("include/kvista/unknown.h", "", True),
    ("ARCHITECTURE.md", "| `src/base/` | ground | |\n| `src/image/` | first | |\n| `src/cli/` | top | image |\n", True),
]


def self_test():
    for path, text, is_wrong in SELF_TESTS:
        with tempfile.TemporaryDirectory() as top:
            build_tree(pathlib.Path(top), {path: text})
            _, wrong = check_tree(pathlib.Path(top))
            if bool(wrong) != is_wrong:
                sys.exit(f"self-test: {path} with {text!r}: {wrong}")
    print(f"{len(SELF_TESTS)} self-tests passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    checked, wrong = check_tree(pathlib.Path(sys.argv[1]))
    print("\n".join(wrong))
    print(f"{checked} includes checked, {len(wrong)} wrong")
    if wrong or checked < LEAST_INCLUDES:
        sys.exit(f"at least {LEAST_INCLUDES} includes must be there, and none be wrong")


if __name__ == "__main__":
    main()
