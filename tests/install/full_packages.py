#!/usr/bin/env python3
"""Builds the Debian packages inside a tree of a Debian release, installs them in a clean tree of it, and runs kvista
there: full_packages.py --suite SUITE --kvista PROGRAM --source DIRECTORY.

What the installed command prints of a capture of the lab (info, mem-usage, dmesg) must be what the build outside
prints, byte for byte. The example of docs/ is built there against the installed library. Trees are made by
debootstrap and kept in the lab's cache; all else is made anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import capture  # noqa: E402
import kernels  # noqa: E402
import lab  # noqa: E402

CAPTURE = ("bookworm", "kaslr")
PACKAGES = ("kvista", "libkvista0", "libkvista-dev", "kvista-static")
JOBS = (("info",), ("info", "--explain", "--json"), ("mem-usage", "--levels"), ("dmesg",), ("vmcoreinfo",))
MOST_STATIC_BYTES = 8 << 20
LEAST_BYTES = 1000
LEFT_OUT = ("--exclude=./build", "--exclude=./.git")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
               "HOME": "/root", "CCACHE_DIR": "/kvista/ccache"}


def as_root() -> list[str]:
    """What makes root of a command."""
    if os.geteuid() == 0:
        return []
    return [lab.need_tool("sudo", "sudo"), "-n"]


class Tree:
    """A Debian system in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def command(self, *words: str) -> list[str]:
        """The command that runs a program of the tree in it."""
        settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        chroot = lab.need_tool("chroot", "coreutils")
        return [*as_root(), chroot, str(self.root), "/usr/bin/env", "-i", *settings, *words]

    def run(self, what: str, *words: str) -> str:
        """Run a program of the tree to its end."""
        return lab.run(self.command(*words), what, timeout=1500)

    def put(self, source: Path, name: str, *options: str) -> None:
        """Copy what is in a directory into the tree, in place of what was there."""
        target = self.root / name
        lab.run([*as_root(), "rm", "-rf", str(target)], f"clearing {target}")
        lab.run([*as_root(), "mkdir", "-p", str(target)], f"making {target}")
        pack = subprocess.Popen(["tar", "-C", str(source), *options, "-c", "."], stdout=subprocess.PIPE)
        unpack = [*as_root(), "tar", "-C", str(target), "--no-same-owner", "-x"]
        done = subprocess.run(unpack, stdin=pack.stdout, check=False)
        if pack.wait() or done.returncode:
            raise lab.LabError(f"{source} cannot be copied to {target}.")


def bootstrap(suite: str) -> Path:
    """The archive of a minimal tree of a suite, made where the cache has none."""
    trees = lab.cache_dir() / "trees"
    archive = trees / f"{suite}.tar"
    with lab.locked(trees / f"{suite}.lock"):
        if archive.exists():
            return archive
        debootstrap = lab.need_tool("debootstrap", "debootstrap")
        lab.note(f"lab: making a tree of Debian {suite} ...")
        problems = []
        for mirror in kernels.mirrors():
            with tempfile.TemporaryDirectory(dir=trees, prefix=f"{suite}-new-") as folder:
                root = Path(folder) / "root"
                try:
                    lab.run([*as_root(), debootstrap, "--variant=minbase", suite, str(root), mirror], "making a tree")
                    lab.run([*as_root(), "tar", "-C", str(root), "--numeric-owner", "-cf", f"{archive}.new", "."], "keeping it")
                    Path(f"{archive}.new").rename(archive)
                    return archive
                except lab.LabError as error:
                    problems.append(str(error))
                finally:
                    lab.run([*as_root(), "rm", "-rf", str(root)], "removing a tree")
        raise lab.Unavailable(f"No tree of Debian {suite} can be made.\n" + "\n".join(problems))


def unpack(archive: Path, root: Path) -> Tree:
    """A tree as debootstrap left it."""
    lab.run([*as_root(), "mkdir", "-p", str(root)], f"making {root}")
    lab.run([*as_root(), "tar", "-C", str(root), "--numeric-owner", "-xpf", str(archive)], f"unpacking {archive.name}")
    return Tree(root)


def build(suite: str, archive: Path, source: Path, out: Path) -> list[Path]:
    """The packages, built in the suite's own tree, which is kept with the compiler's cache."""
    root = lab.cache_dir() / "trees" / f"{suite}-build"
    with lab.locked(root.with_suffix(".lock")):
        tree = Tree(root) if root.exists() else unpack(archive, root)
        tree.put(source, "kvista/source", *LEFT_OUT)
        tree.run("asking for packages", "apt-get", "update", "-qq")
        tree.run("installing what the build needs", "/kvista/source/scripts/install-dependencies", "build", "package")
        tree.run("clearing an older build", "rm", "-rf", "/kvista/build")
        tree.run("configuring", "cmake", "-S", "/kvista/source", "-B", "/kvista/build", "-G", "Ninja", "-DKVISTA_TESTS=OFF",
                 "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        tree.run("building", "cmake", "--build", "/kvista/build")
        tree.run("packing", "sh", "-c", "cd /kvista/build && cpack")
        packages = []
        for name in PACKAGES:
            (found,) = root.glob(f"kvista/build/{name}_*.deb")
            packages.append(Path(shutil.copy(found, out)))
        return packages


def install(tree: Tree, packages: list[Path]) -> None:
    """Install the packages as a user does; what they depend on comes from the mirror."""
    tree.put(packages[0].parent, "packages")
    tree.run("asking for packages", "apt-get", "update", "-qq")
    names = [f"/packages/{package.name}" for package in packages]
    tree.run("installing the packages", "apt-get", "install", "-y", "-qq", "--no-install-recommends", *names)


def compare(tree: Tree, command: str, binary: Path, dump: Path) -> int:
    """The main job in the tree and outside: the same bytes, the same status. Returns how many bytes were compared."""
    compared = 0
    for name, *options in JOBS:
        results = []
        for words in (tree.command("sh", "-c", 'cd /image && exec "$@"', "sh", command), [str(binary)]):
            done = subprocess.run([*words, "-c", "dump.elf", name, *options], capture_output=True, check=False, cwd=dump.parent)
            results.append((done.returncode, done.stdout, done.stderr))
        if results[0] != results[1] or results[0][0] > 1:
            inside, outside = (f"status {status}\n{out.decode()[-500:]}\n{err.decode()}" for status, out, err in results)
            raise lab.LabError(f"{command} {name}: in the tree\n{inside}\noutside\n{outside}")
        compared += len(results[0][1])
    if compared < LEAST_BYTES:
        raise lab.LabError(f"Only {compared} bytes were compared.")
    return compared


def check_rest(tree: Tree) -> None:
    """The version, the static command's size, and what comes with the command."""
    for path in ("usr/share/bash-completion/completions/kvista", "usr/share/doc/kvista/copyright"):
        if not (tree.root / path).is_file():
            raise lab.LabError(f"The package kvista lacks {path}.")
    licence = tree.run("asking for the licence", "kvista", "--version").split("Licence: ")[1].strip()
    if licence not in (tree.root / "usr/share/doc/kvista/copyright").read_text("utf-8"):
        raise lab.LabError(f"kvista is under {licence}, and its copyright file does not say so.")
    size = (tree.root / "usr/bin/kvista-static").stat().st_size
    if size > MOST_STATIC_BYTES:
        raise lab.LabError(f"kvista-static has {size} bytes, more than {MOST_STATIC_BYTES}.")


def check_library(tree: Tree, source: Path) -> None:
    """The example, built against the installed library, says of the image what the command says."""
    tree.put(source / "docs/example", "example")
    tree.run("installing a compiler", "apt-get", "install", "-y", "-qq", "--no-install-recommends", "g++", "pkgconf")
    tree.run("building the example", "sh", "-ec",
             "g++ -std=c++20 /example/memory_use.cpp -o /example/memory_use $(pkg-config --cflags --libs kvista)")
    said = tree.run("running the example", "/example/memory_use", "/image/dump.elf").splitlines()
    last = tree.run("reading the log", "kvista", "-c", "/image/dump.elf", "dmesg").splitlines()[-1]
    if not said or not last.endswith(said[-1]):
        raise lab.LabError(f"The example ends with {said[-1:]}, the log with {last!r}.")


def main() -> int:
    """Build, install, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--kvista", required=True, type=Path)
    parser.add_argument("--source", required=True, type=Path)
    options = parser.parse_args()
    found = capture.capture(*CAPTURE)
    archive = bootstrap(options.suite)
    with tempfile.TemporaryDirectory(prefix="kvista-packages-") as folder:
        packages = build(options.suite, archive, options.source.resolve(), Path(folder))
        root = Path(tempfile.mkdtemp(prefix=f"{options.suite}-clean-", dir=lab.cache_dir() / "trees"))
        try:
            tree = unpack(archive, root)
            install(tree, packages)
            lab.run([*as_root(), "mkdir", str(root / "image")], "making a directory")
            lab.run([*as_root(), "cp", "--sparse=always", str(found.dump), str(root / "image/dump.elf")], "copying the dump")
            compared = sum(compare(tree, command, options.kvista.resolve(), found.dump) for command in ("kvista", "kvista-static"))
            check_rest(tree)
            check_library(tree, options.source)
        finally:
            lab.run([*as_root(), "rm", "-rf", str(root)], "removing the tree")
    print(f"Debian {options.suite}: {len(packages)} packages install, and print the same {compared} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
