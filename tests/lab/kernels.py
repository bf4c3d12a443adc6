"""Debian kernels by suite: find the newest cloud kernel, fetch it with apt, keep it unpacked.

The apt state is private to the cache, so the machine's own package lists stay as they are. The mirror
is the one that this machine's apt uses; KVISTA_LAB_MIRROR names another (for a suite that has moved
to an archive mirror, for example).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from pathlib import Path

import lab

KERNEL_PATTERN = r"^linux-image-[0-9].*-cloud-amd64$"
EXTRACT = 'set -e; dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" --no-same-owner "$2"'
LISTS_LAST_SECONDS = 24 * 3600
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    suite: str
    package: str
    files: tuple[str, ...]
    """Names of the .deb files that it was unpacked from; they carry the versions."""
    root: Path

    @property
    def release(self) -> str:
        """What `uname -r` shows."""
        return self.package.removeprefix("linux-image-")

    @property
    def image(self) -> Path:
        """The bootable kernel."""
        found = [*self.root.glob("boot/vmlinuz-*"), *self.root.glob("usr/lib/modules/*/vmlinuz")]
        if not found:
            raise lab.LabError(f"The package {self.package} holds no vmlinuz (looked in {self.root}).")
        return found[0]

    def modules(self) -> dict[str, Path]:
        """Loadable modules by name, with '_' for '-' as the kernel has it."""
        found: dict[str, Path] = {}
        for path in self.root.rglob("*.ko*"):
            found[path.name.split(".ko")[0].replace("-", "_")] = path
        return found


class Apt:
    """apt with a state directory of its own, for one suite."""

    def __init__(self, state: Path, suite: str) -> None:
        self.state = state
        self.suite = suite
        self.sources = state / "sources.list"
        self.stamp = state / "updated"

    def _options(self) -> list[str]:
        settings = {
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "30",
            "Dir::Etc::sourcelist": str(self.sources),
            "Dir::Etc::sourceparts": "-",
            "Dir::State": str(self.state),
            "Dir::State::Lists": str(self.state / "lists"),
            "Dir::State::status": "/dev/null",
            "Dir::Cache": str(self.state / "cache"),
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]

    def __call__(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        tool = lab.need_tool(program, "apt")
        return lab.run([tool, *self._options(), *arguments], f"apt for Debian {self.suite}", cwd=cwd)

    def update(self) -> None:
        """Bring the package lists up to date unless they are less than a day old."""
        if self.stamp.exists() and time.time() - self.stamp.stat().st_mtime < LISTS_LAST_SECONDS:
            return
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        keyring = f" signed-by={KEYRING}" if KEYRING.exists() else ""
        problems = []
        for mirror in mirrors():
            self.sources.write_text(f"deb [arch=amd64{keyring}] {mirror} {self.suite} main\n", encoding="utf-8")
            try:
                self("apt-get", "--error-on=any", "--allow-releaseinfo-change", "update")
                self.stamp.touch()
                return
            except lab.LabError as error:
                problems.append(f"{mirror}: {error}")
        raise lab.Unavailable(f"No mirror gives the package lists of Debian {self.suite}.\n" + "\n".join(problems))

    def newest(self) -> str:
        """The name of the suite's newest cloud kernel package."""
        lines = self("apt-cache", "search", "--names-only", KERNEL_PATTERN).splitlines()
        names = sorted((line.split()[0] for line in lines if line.strip()), key=lab.natural_key)
        if not names:
            raise lab.LabError(f"Debian {self.suite} has no package that matches {KERNEL_PATTERN}.")
        return names[-1]

    def parts(self, package: str) -> list[str]:
        """The package and, from 7.x on, where linux-image is a shell, those that hold kernel and modules."""
        words = self("apt-cache", "depends", package).split()
        rest = {word for word in words if word.startswith(("linux-binary-", "linux-modules-"))}
        return [package, *sorted(word for word in rest if word[word.index("-", 6) + 1].isdigit())]

    def file_name(self, package: str) -> str:
        """The name of the file that `download` would write."""
        return self("apt-get", "--print-uris", "download", package).split()[1]


def mirrors() -> list[str]:
    """Debian mirrors to ask, the named one first, then those that this machine's apt is set up with."""
    named = os.environ.get("KVISTA_LAB_MIRROR")
    targets = lab.run(
        [lab.need_tool("apt-get", "apt"), "indextargets", "--format", "$(REPO_URI) $(COMPONENT)"],
        "asking apt for its mirrors",
    )
    found = [named] if named else []
    for line in targets.splitlines():
        uri, _, component = line.partition(" ")
        if component == "main" and uri.rstrip("/").endswith("/debian") and uri not in found:
            found.append(uri)
    if not found:
        raise lab.Unavailable("This machine's apt knows no Debian mirror; set KVISTA_LAB_MIRROR to the URL of one.")
    return found


def fetch(suite: str) -> Kernel:
    """The newest cloud kernel of a suite, unpacked; a cached one when the network is down."""
    cache = lab.cache_dir()
    state = cache / "apt" / f"amd64-{suite}"
    state.mkdir(parents=True, exist_ok=True)
    record = state / "kernel.json"
    with lab.locked(state / "fetch.lock"):
        apt = Apt(state, suite)
        try:
            apt.update()
            kernel = _unpack(apt, cache)
        except lab.LabError as error:
            cached = _load(record)
            if cached is None:
                raise lab.Unavailable(f"No kernel of Debian {suite} is at hand and none can be fetched.\n{error}") from error
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
    state = lab.cache_dir() / "apt" / f"amd64-{kernel.suite}"
    with lab.locked(state / "fetch.lock"):
        if vmlinux.exists():
            return vmlinux
        apt = Apt(state, kernel.suite)
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
        member = f"./{vmlinux.relative_to(root)}"
        lab.run(["sh", "-c", EXTRACT, str(root / name), str(new), member], f"unpacking {name}")
        (root / name).unlink()
        vmlinux.parent.mkdir(parents=True, exist_ok=True)
        (new / member).rename(vmlinux)
        shutil.rmtree(new)
    return vmlinux


def _version(file_name: str) -> str:
    """The version in the name of a .deb file."""
    return file_name.split("_")[1]


def _unpack(apt: Apt, cache: Path) -> Kernel:
    """Download and unpack the suite's newest kernel unless that has been done."""
    package = apt.newest()
    parts = apt.parts(package)
    files = tuple(apt.file_name(part) for part in parts)
    root = cache / "kernels" / f"amd64-{package.removeprefix('linux-image-')}"
    done = root / "unpacked.json"
    if done.exists() and tuple(json.loads(done.read_text("utf-8"))) == files:
        return Kernel(apt.suite, package, files, root)
    downloads = cache / "debs"
    downloads.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for part, name in zip(parts, files, strict=True):
        apt("apt-get", "download", part, cwd=downloads)
        lab.run([lab.need_tool("dpkg-deb", "dpkg"), "-x", str(downloads / name), str(root)], f"unpacking {name}")
        (downloads / name).unlink()
    done.write_text(json.dumps(files), "utf-8")
    return Kernel(apt.suite, package, files, root)


def _save(record: Path, kernel: Kernel) -> None:
    data = {"suite": kernel.suite, "package": kernel.package, "files": kernel.files, "root": str(kernel.root)}
    record.write_text(json.dumps(data, indent=1), "utf-8")


def _load(record: Path) -> Kernel | None:
    if not record.exists():
        return None
    data = json.loads(record.read_text("utf-8"))
    root = Path(data["root"])
    return Kernel(data["suite"], data["package"], tuple(data["files"]), root) if root.is_dir() else None


def main() -> int:
    """Fetch the kernels of the named suites and print where they are."""
    parser = argparse.ArgumentParser(description="Fetch the newest Debian cloud kernel of each named suite.")
    parser.add_argument("suite", nargs="*", default=list(lab.SUITES))
    for suite in parser.parse_args().suite:
        kernel = fetch(suite)
        print(f"{suite}: {kernel.release} ({kernel.files[-1]}) in {kernel.root}")
    return 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
