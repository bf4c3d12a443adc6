#!/usr/bin/env python3
"""Installs the build into a directory of its own, builds docs/example against it through find_package and through
pkg-config, and runs it on a synthetic image beside the installed command.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

DESCRIPTION = """pages 0x400-0x7ff class=buddy order=10
pages 0xc00-0xc3f class=anon
release 6.12.1-example
"""
LEAST_SYMBOLS = 30


def run(*command, env=None, cwd=None, status=0):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env, cwd=cwd, check=False)
    if done.returncode != status:
        sys.exit(f"{' '.join(map(str, command))} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def installed(root, pattern):
    """The one file of that name."""
    found = [path for path in root.rglob(pattern) if not path.is_symlink()]
    if len(found) != 1:
        sys.exit(f"{pattern} is installed {len(found)} times")
    return found[0]


def check_headers(root, source):
    """Each public header is installed, compiles alone, and no other is there."""
    expected = {path.name.removesuffix(".in") for path in (source / "include/kvista").iterdir()}
    found = {path.name for path in root.rglob("*.h")}
    if found != expected:
        sys.exit(f"headers installed: {sorted(found)}, expected: {sorted(expected)}")
    return sorted(found)


def check_symbols(library):
    """The library shows what is in namespace kvista, and nothing of the libraries that it was made with."""
    lines = run("nm", "-D", "--defined-only", "--format=just-symbols", library).stdout.split()
    foreign = [name for name in lines if not re.match(r"_ZN?K?6kvista|_ZNK?6kvista|_ZT[ISV]N6kvista", name)]
    if foreign or len(lines) < LEAST_SYMBOLS:
        sys.exit(f"{library} shows {len(lines)} symbols, of which these are not kvista's: {foreign[:5]}")


def build_by_cmake(source, root, out, compiler):
    run("cmake", "-S", source / "docs/example", "-B", out, f"-DCMAKE_PREFIX_PATH={root}", f"-DCMAKE_CXX_COMPILER={compiler}")
    run("cmake", "--build", out)
    return out / "memory_use"


def build_by_pkg_config(source, root, out, compiler, headers):
    where = installed(root, "kvista.pc").parent
    env = dict(os.environ, PKG_CONFIG_PATH=str(where))
    flags = run("pkg-config", "--cflags", "--libs", "kvista", env=env).stdout.split()
    run(compiler, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", source / "docs/example/memory_use.cpp", "-o", out, *flags)
    for header in headers:
        run(compiler, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++", "-include",
            f"kvista/{header}", *flags, "/dev/null")
    return out


def check_example(program, image, library, command):
    """What it prints of the image is what the command prints, and an error has its sentence and its status."""
    env = dict(os.environ, LD_LIBRARY_PATH=str(library.parent))
    # The image has no log: the last thing that the program asks for.
    printed = run(program, image, env=env, status=2)
    usage = run(command, "mem-usage", image).stdout
    facts = run(command, "info", image).stdout
    free = re.search(r"^FREE +(\d+)", usage, re.MULTILINE).group(1)
    page_offset = re.search(r"^page_offset +(0x[0-9a-f]+)", facts, re.MULTILINE).group(1)
    for line in (f"{image}: Linux 6.12.1-example", f"{free} Free pages", f"the direct map begins at {page_offset}"):
        if line not in printed.stdout.splitlines():
            sys.exit(f"{program} does not print {line!r} but:\n{printed.stdout}")
    if "the kernel's log cannot be" not in printed.stderr and "log" not in printed.stderr:
        sys.exit(f"{program} does not say that there is no log: {printed.stderr}")
    missing = run(program, "/nonexistent/vmcore", env=env, status=2)
    if "/nonexistent/vmcore" not in missing.stderr:
        sys.exit(f"{program} does not name the file that is missing: {missing.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--source", required=True, type=pathlib.Path)
    parser.add_argument("--make-image", required=True)
    parser.add_argument("--compiler", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvista-install-") as folder:
        top = pathlib.Path(folder)
        root = top / "root"
        run("cmake", "--install", options.build, "--prefix", root)
        headers = check_headers(root, options.source)
        library = installed(root, "libkvista.so.*")
        check_symbols(library)
        (top / "description").write_text(DESCRIPTION)
        run(options.make_image, top / "description", top / "vmcore")
        command = root / "bin/kvista"
        by_cmake = build_by_cmake(options.source, root, top / "by-cmake", options.compiler)
        by_pkg_config = build_by_pkg_config(options.source, root, top / "by-pkg-config", options.compiler, headers)
        for program in (by_cmake, by_pkg_config):
            check_example(program, top / "vmcore", library, command)
    print(f"{len(headers)} headers; the example runs, built in two ways")


if __name__ == "__main__":
    main()
