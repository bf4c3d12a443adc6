"""apt for the lab: packages of any suite and architecture, fetched and unpacked without root.

The apt state is private to the cache, so the machine's own package lists stay as they are. The mirror
is the one that this machine's apt uses; KVISTA_LAB_MIRROR names another (for a suite that has moved
to an archive mirror, for example).
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import lab
from architectures import AMD64, Architecture

LISTS_LAST_SECONDS = 24 * 3600
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Apt:
    """apt with a state directory of its own, for one suite and architecture."""

    def __init__(self, state: Path, suite: str, architecture: Architecture = AMD64) -> None:
        self.state = state
        self.suite = suite
        self.architecture = architecture
        self.sources = state / "sources.list"
        self.stamp = state / "updated"

    def _options(self) -> list[str]:
        settings = {
            "APT::Architecture": self.architecture.name,
            "APT::Architectures": self.architecture.name,
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
            self.sources.write_text(f"deb [arch={self.architecture.name}{keyring}] {mirror} {self.suite} main\n", "utf-8")
            try:
                self("apt-get", "--error-on=any", "--allow-releaseinfo-change", "update")
                self.stamp.touch()
                return
            except lab.LabError as error:
                problems.append(f"{mirror}: {error}")
        raise lab.Unavailable(f"No mirror gives the package lists of Debian {self.suite}.\n" + "\n".join(problems))

    def kernels(self) -> list[str]:
        """The names of the suite's kernel packages of the lab's flavour, the newest first."""
        pattern = self.architecture.kernel_pattern
        lines = self("apt-cache", "search", "--names-only", pattern).splitlines()
        names = sorted((line.split()[0] for line in lines if line.strip()), key=lab.natural_key, reverse=True)
        if not names:
            raise lab.LabError(f"Debian {self.suite} has no package that matches {pattern}.")
        return names

    def parts(self, package: str) -> list[str]:
        """The package and, from 7.x on, where linux-image is a shell, those that hold kernel and modules."""
        words = self("apt-cache", "depends", package).split()
        rest = {word for word in words if word.startswith(("linux-binary-", "linux-modules-"))}
        return [package, *sorted(word for word in rest if word[word.index("-", 6) + 1].isdigit())]

    def file_name(self, package: str) -> str:
        """The name of the file that `download` would write."""
        return self("apt-get", "--print-uris", "download", package).split()[1]

    def unpack(self, package: str, name: str, root: Path) -> None:
        """Download a package, whose file has that name, and unpack it below `root`."""
        downloads = lab.cache_dir() / "debs"
        downloads.mkdir(parents=True, exist_ok=True)
        self("apt-get", "download", package, cwd=downloads)
        lab.run([lab.need_tool("dpkg-deb", "dpkg"), "-x", str(downloads / name), str(root)], f"unpacking {name}")
        (downloads / name).unlink()


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


def file_of_package(suite: str, architecture: Architecture, package: str, path: str) -> Path:
    """One file of a suite's package, kept in the cache; a cached one when the network is down."""
    state = lab.cache_dir() / "apt" / f"{architecture.name}-{suite}"
    folder = lab.cache_dir() / "programs" / f"{package}-{architecture.name}-{suite}"
    with lab.locked(folder.with_suffix(".lock")):
        try:
            apt = Apt(state, suite, architecture)
            apt.update()
            name = apt.file_name(package)
            if not (folder / name).exists():
                root = folder.with_suffix(".new")
                shutil.rmtree(root, ignore_errors=True)
                apt.unpack(package, name, root)
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                (root / path).rename(folder / name)
                shutil.rmtree(root)
            return folder / name
        except lab.LabError as error:
            cached = list(folder.glob("*.deb"))
            if not cached:
                raise lab.Unavailable(f"The package {package} for {architecture.name} cannot be fetched.\n{error}") from error
            return cached[0]
