"""Debian kernels by suite and architecture: find the newest small one, fetch it with apt, keep it unpacked."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import lab
from architectures import AMD64, ARCHITECTURES, Architecture
from debian import Apt

EXTRACT = 'set -e; dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" --no-same-owner --wildcards "./usr/lib/debug/*vmlinux*"'


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    suite: str
    package: str
    files: tuple[str, ...]
    """Names of the .deb files that it was unpacked from; they carry the versions."""
    root: Path
    architecture: Architecture = AMD64

    @property
    def release(self) -> str:
        """What `uname -r` shows."""
        return self.package.removeprefix("linux-image-")

    @property
    def image(self) -> Path:
        """The bootable kernel."""
        found = [*self.root.glob("boot/vmlinu[xz]-*"), *self.root.glob("usr/lib/modules/*/vmlinu[xz]")]
        if not found:
            raise lab.LabError(f"The package {self.package} holds no kernel (looked in {self.root}).")
        return found[0]

    def modules(self) -> dict[str, Path]:
        """Loadable modules by name, with '_' for '-' as the kernel has it."""
        found: dict[str, Path] = {}
        for path in self.root.rglob("*.ko*"):
            found[path.name.split(".ko")[0].replace("-", "_")] = path
        return found


def fetch(suite: str, architecture: Architecture = AMD64) -> Kernel:
    """The newest kernel of a suite, unpacked; a cached one when the network is down."""
    cache = lab.cache_dir()
    state = cache / "apt" / f"{architecture.name}-{suite}"
    state.mkdir(parents=True, exist_ok=True)
    record = state / "kernel.json"
    with lab.locked(state / "fetch.lock"):
        apt = Apt(state, suite, architecture)
        try:
            apt.update()
            kernel = _unpack(apt, cache)
        except lab.LabError as error:
            cached = _load(record)
            if cached is None:
                raise lab.Unavailable(f"No kernel of Debian {suite} for {architecture.name} is at hand and none can be fetched.\n{error}") from error
            lab.note(f"lab: cannot fetch a kernel of {suite}, using {cached.package} from the cache ({error})")
            return cached
        older = _load(record)
        if older is not None and older.root != kernel.root:
            shutil.rmtree(older.root)
        _save(record, kernel)
        return kernel


def debuginfo(kernel: Kernel) -> Path:
    """The vmlinux with DWARF of a kernel that was fetched, from the package -dbg of the same version."""
    root = kernel.root / "debug"
    vmlinux = root / f"usr/lib/debug/lib/modules/{kernel.release}/vmlinux"
    state = lab.cache_dir() / "apt" / f"{kernel.architecture.name}-{kernel.suite}"
    with lab.locked(state / "fetch.lock"):
        if vmlinux.exists():
            return vmlinux
        apt = Apt(state, kernel.suite, kernel.architecture)
        apt.update()
        package = f"{kernel.package}-dbg"
        try:
            name = apt.file_name(package)
        except lab.LabError as error:
            raise lab.Unavailable(f"No mirror has the package {package}.\n{error}") from error
        if _version(name) != _version(kernel.files[0]):
            raise lab.Unavailable(f"The mirror has {name}, which is of another version than {kernel.files[0]}.")
        lab.note(f"lab: fetching {name} ...")
        root.mkdir(exist_ok=True)
        apt("apt-get", "download", package, cwd=root)
        new = root / "new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        lab.run(["sh", "-c", EXTRACT, str(root / name), str(new)], f"unpacking {name}")
        (root / name).unlink()
        # Until Debian 12 it is below boot, and what is here is a link to it.
        found = [path for path in new.rglob("vmlinux*") if path.is_file() and not path.is_symlink()]
        if len(found) != 1:
            raise lab.LabError(f"{name} has {len(found)} files that are called vmlinux.")
        vmlinux.parent.mkdir(parents=True, exist_ok=True)
        found[0].rename(vmlinux)
        shutil.rmtree(new)
    return vmlinux


def _version(file_name: str) -> str:
    """The version in the name of a .deb file."""
    return file_name.split("_")[1]


def _unpack(apt: Apt, cache: Path) -> Kernel:
    """Download and unpack the suite's newest kernel unless that has been done. A mirror that has a package in its lists
    but not its file gives the one before it."""
    problems = []
    for package in apt.kernels():
        try:
            return _unpack_one(apt, cache, package)
        except lab.LabError as error:
            problems.append(str(error))
    raise lab.LabError("\n".join(problems))


def _unpack_one(apt: Apt, cache: Path, package: str) -> Kernel:
    parts = apt.parts(package)
    files = tuple(apt.file_name(part) for part in parts)
    root = cache / "kernels" / f"{apt.architecture.name}-{package.removeprefix('linux-image-')}"
    done = root / "unpacked.json"
    if done.exists() and tuple(json.loads(done.read_text("utf-8"))) == files:
        return Kernel(apt.suite, package, files, root, apt.architecture)
    new = root.with_name(root.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for part, name in zip(parts, files, strict=True):
        apt.unpack(part, name, new)
    (new / done.name).write_text(json.dumps(files), "utf-8")
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    return Kernel(apt.suite, package, files, root, apt.architecture)


def _save(record: Path, kernel: Kernel) -> None:
    data = {"suite": kernel.suite, "package": kernel.package, "files": kernel.files, "root": str(kernel.root)}
    data["architecture"] = kernel.architecture.name
    record.write_text(json.dumps(data, indent=1), "utf-8")


def _load(record: Path) -> Kernel | None:
    if not record.exists():
        return None
    data = json.loads(record.read_text("utf-8"))
    root = Path(data["root"])
    architecture = ARCHITECTURES[data.get("architecture", AMD64.name)]
    return Kernel(data["suite"], data["package"], tuple(data["files"]), root, architecture) if root.is_dir() else None


def main() -> int:
    """Fetch the kernels of the named suites and print where they are."""
    parser = argparse.ArgumentParser(description="Fetch the newest Debian kernel of each named suite.")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=AMD64.name)
    parser.add_argument("suite", nargs="*", default=list(lab.SUITES))
    arguments = parser.parse_args()
    for suite in arguments.suite:
        kernel = fetch(suite, ARCHITECTURES[arguments.architecture])
        print(f"{suite}: {kernel.release} ({kernel.files[-1]}) in {kernel.root}")
    return 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
