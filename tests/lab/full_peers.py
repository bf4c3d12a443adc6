"""The programs that kvista is compared with, from Debian sid: fetched with apt into the lab's cache and run
from there, by the loader of that tree, so that neither root nor a chroot is needed.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import debian
import lab

SUITE = "sid"
PACKAGES = ("makedumpfile",)
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64", "lib64")
INSTALL = ("install", "--yes", "--no-install-recommends")
UNPACK = 'set -e; dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" --keep-directory-symlink --no-same-owner'
EHDR_SIZE = 64


class Peers:
    """A tree with the peers of a Debian suite."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command that runs a program of the tree with the tree's own libraries."""
        loader = self._find("ld-linux-x86-64.so.2", ("usr/lib64", "lib64", *LIBRARIES))
        binary = self._find(program, ("usr/bin", "usr/sbin", "bin", "sbin"))
        path = ":".join(str(self.root / folder) for folder in LIBRARIES)
        return [str(loader), "--library-path", path, str(binary), *arguments]

    def python(self, *arguments: str) -> list[str]:
        """The command that runs the tree's Python with its own modules."""
        modules = self.root / "usr/lib/python3/dist-packages"
        settings = [f"PYTHONHOME={self.root / 'usr'}", f"PYTHONPATH={modules}"]
        return [lab.need_tool("env", "coreutils"), *settings, *self.command("python3", "-s", "-B", *arguments)]

    def _find(self, name: str, folders: Sequence[str]) -> Path:
        for folder in folders:
            # A link in the tree may name an absolute path, which would lead out of it.
            path = self.root / folder / name
            if path.is_symlink() and os.readlink(path).startswith("/"):
                path = self.root / os.readlink(path).lstrip("/")
            if path.exists():
                return path
        raise lab.LabError(f"{name} is not in {self.root}.")

    def version(self) -> str:
        """The version of makedumpfile."""
        text = lab.run(self.command("makedumpfile", "-v"), "asking makedumpfile for its version")
        return text.split("version", 1)[1].split()[0]


def fetch(packages: Sequence[str] = PACKAGES, tree: str = SUITE) -> Peers:
    """The peers, of today's suite where the network is there, else those of the cache; `tree` is a name for them."""
    cache = lab.cache_dir()
    root = cache / "peers" / tree
    record = root / "unpacked.json"
    state = cache / "apt" / f"amd64-{SUITE}"
    state.mkdir(parents=True, exist_ok=True)
    with lab.locked(state / "fetch.lock"):
        apt = debian.Apt(state, SUITE)
        try:
            apt.update()
            # Nothing counts as installed, so this names all that the programs need.
            lines = apt("apt-get", *INSTALL, "--print-uris", *packages).splitlines()
        except lab.LabError as error:
            if record.exists():
                lab.note(f"lab: cannot ask for newer peers, using those in the cache ({error})")
                return Peers(root)
            raise lab.Unavailable(f"No peers are at hand and none can be fetched.\n{error}") from error
        names = sorted(line.split()[1] for line in lines if line.startswith("'"))
        if record.exists() and json.loads(record.read_text("utf-8")) == names:
            return Peers(root)
        _unpack(apt, root, names, packages)
        return Peers(root)


def _unpack(apt: debian.Apt, root: Path, names: list[str], packages: Sequence[str]) -> None:
    """Download the packages and unpack them, without running any of their scripts."""
    lab.note(f"lab: fetching {', '.join(packages)} of Debian {SUITE} ({len(names)} packages) ...")
    new = root.with_name(root.name + ".new")
    lab.run(["rm", "-rf", str(new), str(root)], "removing an older tree")
    new.mkdir(parents=True)
    debs = new / "debs"
    (debs / "partial").mkdir(parents=True)
    # Where / is merged, /lib is a link into /usr.
    for folder in ("bin", "sbin", "lib", "lib64"):
        (new / "usr" / folder).mkdir(parents=True)
        (new / folder).symlink_to(f"usr/{folder}")
    apt("apt-get", "-o", f"Dir::Cache::archives={debs}", *INSTALL, "--download-only", *packages)
    for deb in sorted(debs.glob("*.deb")):
        # dpkg-deb would replace a link to a directory by a directory; tar follows it.
        lab.run(["sh", "-c", UNPACK, str(deb), str(new)], f"unpacking {deb.name}")
        deb.unlink()
    (new / "unpacked.json").write_text(json.dumps(names), "utf-8")
    new.rename(root)


def move_program_headers(path: Path) -> None:
    """Put the program headers of an ELF64 core directly behind the ELF header, in place.

    QEMU 7.2 writes e_phoff=192 and e_ehsize=8, which is allowed, but makedumpfile looks at offset 64 only.
    """
    with open(path, "r+b") as file:
        header = bytearray(file.read(EHDR_SIZE))
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(table)
        entries = file.read(size * count)
        first = min(struct.unpack_from("<Q", entries, at * size + 8)[0] for at in range(count))
        if EHDR_SIZE + len(entries) > first:
            raise lab.LabError(f"{path} has no room for its program headers at offset {EHDR_SIZE}.")
        struct.pack_into("<QQ", header, 32, EHDR_SIZE, 0)
        struct.pack_into("<HHHHHH", header, 52, EHDR_SIZE, size, count, 0, 0, 0)
        file.seek(0)
        file.write(header + entries)
