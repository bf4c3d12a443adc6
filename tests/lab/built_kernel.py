"""A small kernel built from Debian's source with the patch of kernel/, for what Debian's own kernels lack:
NUMBER(page_offset_base) in its note, its configuration in memory, crashes and lockups to order.

It is kept in the lab's cache under a digest of the source, the patch, the configuration and the compiler. Two layouts of
memory are built: "random" has CONFIG_DYNAMIC_MEMORY_LAYOUT, "fixed" has not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import debian
import kernels
import lab

HERE = Path(__file__).resolve().parent
PATCHES = HERE.parents[1] / "kernel"
CONFIGURATION = HERE / "kernel.config"
SUITE, SOURCE, PATCH = "trixie", "linux-source-6.12", "vmcore_info_64"
MODULE = HERE / "panics" / "deadlock.c"
BUILD_TIMEOUT = 3600

LAYOUTS = {
    "random": (
        'CONFIG_LOCALVERSION="-random"',
        "CONFIG_X86_5LEVEL=y",
        "CONFIG_RANDOMIZE_MEMORY=y",
        "CONFIG_DYNAMIC_MEMORY_LAYOUT=y",
    ),
    "fixed": (
        'CONFIG_LOCALVERSION="-fixed"',
        "# CONFIG_X86_5LEVEL is not set",
        "# CONFIG_RANDOMIZE_MEMORY is not set",
    ),
}

UNPACK = """set -e
dpkg-deb --fsys-tarfile "$1" | tar -x -O --wildcards './usr/src/linux-source-*.tar.xz' >"$2/source.tar.xz"
shift; into=$1; shift
tar -xJf "$into/source.tar.xz" -C "$into" --strip-components=1 --wildcards "$@"
rm "$into/source.tar.xz"
"""


def source(suite: str, package: str) -> Path:
    """The file of a Debian source package of the kernel, today's where the network is there, else the cached one."""
    state, folder = lab.cache_dir() / "apt" / f"amd64-{suite}", lab.cache_dir() / "sources"
    state.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with lab.locked(state / "fetch.lock"):
        older = sorted(folder.glob(f"{package}_*.deb"), key=lambda path: lab.natural_key(path.name))
        apt = debian.Apt(state, suite)
        try:
            apt.update()
            name = apt.file_name(package)
            if not (folder / name).exists():
                lab.note(f"lab: fetching {name} ...")
                apt("apt-get", "download", package, cwd=folder)
        except lab.LabError as error:
            if not older:
                raise lab.Unavailable(f"{package} of Debian {suite} is not at hand and cannot be fetched.\n{error}") from error
            lab.note(f"lab: cannot fetch {package}, using {older[-1].name} from the cache ({error})")
            return older[-1]
        for path in older:
            if path.name != name:
                path.unlink()
        return folder / name


@contextlib.contextmanager
def tree(package_file: Path, *members: str) -> Iterator[Path]:
    """The source, or some members of it, unpacked for a while."""
    for tool, package in (("dpkg-deb", "dpkg"), ("tar", "tar"), ("xz", "xz-utils")):
        lab.need_tool(tool, package)
    with tempfile.TemporaryDirectory(prefix="kvista-kernel-", dir=lab.cache_dir()) as folder:
        wanted = [f"linux-source-*/{member}" for member in members] or ["linux-source-*"]
        command = ["sh", "-c", UNPACK, "unpack", str(package_file), folder, *wanted]
        lab.run(command, f"unpacking {package_file.name}")
        yield Path(folder)


def apply(patch: str, top: Path) -> None:
    """Apply one of the project's patches to a source tree; no hunk may need fuzz."""
    command = [lab.need_tool("patch", "patch"), "-p1", "-F0", "--no-backup-if-mismatch", "-i", str(PATCHES / f"{patch}.patch")]
    lab.run(command, f"applying {patch}.patch", cwd=top)


def configuration(layout: str) -> list[str]:
    """The lines that the configuration of a layout must hold."""
    lines = CONFIGURATION.read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("CONFIG_")] + list(LAYOUTS[layout])


def cache_key(package_file: Path, layout: str) -> str:
    """A digest of all that a built kernel depends on."""
    compiler = lab.run([lab.need_tool("gcc", "gcc"), "--version"], "asking gcc for its version")
    parts = [Path(__file__).read_bytes(), (PATCHES / f"{PATCH}.patch").read_bytes(), MODULE.read_bytes(), package_file.name.encode()]
    return lab.sha256(*parts, compiler.encode(), "\n".join(configuration(layout)).encode())[:20]


def build(layout: str) -> kernels.Kernel:
    """The kernel of a layout, from the cache if it is there."""
    package_file = source(SUITE, SOURCE)
    folder = lab.cache_dir() / "built"
    key = cache_key(package_file, layout)
    root = folder / f"{layout}-{key}"
    with lab.locked(folder / f"{layout}.lock"):
        record = root / "built.json"
        if not record.exists():
            lab.note(f"lab: building {SOURCE} ({layout}), which takes some minutes ...")
            new = folder / f"{layout}.new"
            shutil.rmtree(new, ignore_errors=True)
            start = time.monotonic()
            with tree(package_file) as top:
                apply(PATCH, top)
                release = _make(top, layout, new)
            about = {"release": release, "seconds": round(time.monotonic() - start, 1)}
            (new / "built.json").write_text(json.dumps(about), "utf-8")
            for other in folder.glob(f"{layout}-*"):
                shutil.rmtree(other)
            new.rename(root)
        release = json.loads(record.read_text("utf-8"))["release"]
    return kernels.Kernel(SUITE, f"linux-image-{release}", (package_file.name, f"{layout}-{key}"), root)


def _make(top: Path, layout: str, root: Path) -> str:
    """Configure and make kernel and modules in a source tree, put them under `root`, return the release."""
    for tool in ("make", "flex", "bison", "bc", "gcc", "ld", "strip", "pahole"):
        lab.need_tool(tool, "binutils" if tool in ("ld", "strip") else tool)
    lines = configuration(layout)
    (top / "lab.config").write_text("\n".join(lines) + "\n", "utf-8")
    make = ["nice", "-n", "10", "make", "-s", "ARCH=x86_64", f"-j{os.cpu_count()}", *_reproducible()]
    lab.run([*make, "KCONFIG_ALLCONFIG=lab.config", "allnoconfig"], "configuring the kernel", cwd=top)
    have = (top / ".config").read_text("utf-8").splitlines()
    # What depends on an option that is off is not in the file at all.
    lost = [line for line in lines if line.startswith("CONFIG_") and line not in have]
    lost += [line for line in lines if line.startswith("# ") and line.split()[1] + "=y" in have]
    if lost:
        raise lab.LabError(f"{SOURCE} does not take these lines of the configuration: {', '.join(lost)}.")
    lab.run([*make, "bzImage", "modules"], "building the kernel", BUILD_TIMEOUT, cwd=top)
    _make_module(top, make)
    release = (top / "include/config/kernel.release").read_text("utf-8").strip()
    (root / "boot").mkdir(parents=True)
    shutil.copy(top / "arch/x86/boot/bzImage", root / "boot" / f"vmlinuz-{release}")
    shutil.copy(top / ".config", root / "boot" / f"config-{release}")
    for path in top.rglob("*.ko"):
        into = root / "lib/modules" / release / path.relative_to(top)
        into.parent.mkdir(parents=True, exist_ok=True)
        # Types are kept, which are not debug information to it.
        lab.run(["strip", "--strip-debug", "-o", str(into), str(path)], f"stripping {path.name}")
    return release


def _make_module(top: Path, make: list[str]) -> None:
    """The lab's own module, as one that is not in the kernel's sources."""
    folder = top / "lab"
    folder.mkdir()
    shutil.copy(MODULE, folder)
    (folder / "Makefile").write_text(f"obj-m := {MODULE.stem}.o\n", "utf-8")
    lab.run([*make, f"M={folder}", "modules"], f"building {MODULE.name}", BUILD_TIMEOUT, cwd=top)


def _reproducible() -> list[str]:
    """Variables for make: ccache where it is, and nothing of this machine or this moment in the kernel."""
    compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
    names = {"USER": "kvista", "HOST": "lab", "TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970"}
    return [f"CC={compiler}", *(f"KBUILD_BUILD_{name}={value}" for name, value in names.items())]


def describe(kernel: kernels.Kernel) -> str:
    """What was built, where it is and how long it took, in one line."""
    seconds = json.loads((kernel.root / "built.json").read_text("utf-8"))["seconds"]
    return f"{kernel.release} from {kernel.files[0]} in {kernel.root}, built in {seconds} s"


def main() -> int:
    """Build or find the kernels and print where they are."""
    parser = argparse.ArgumentParser(description=f"Build {SOURCE} with the project's patch.")
    parser.add_argument("layout", nargs="*", help=f"of {', '.join(LAYOUTS)}; all when none is named")
    for layout in parser.parse_args().layout or LAYOUTS:
        print(describe(build(layout)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
