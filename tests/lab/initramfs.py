"""Builds the guest's initramfs: busybox, the lab's own programs and the kernel modules it needs."""

from __future__ import annotations

import lzma
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import lab
from architectures import AMD64, Architecture
from debian import file_of_package
from kernels import Kernel

GUEST = Path(__file__).resolve().parent / "guest"
PROGRAMS = ("workload", "oracle")
BUSYBOX_SUITE = "trixie"
ELF_BIG_ENDIAN = 2
INTERPRETER = 3


class Archive:
    """A cpio archive in the "newc" format, written front to back."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0

    def _pad(self) -> None:
        self._data.extend(b"\0" * (-len(self._data) % 4))

    def add(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        """Add one entry; mode holds the file type as well."""
        self._inode += 1
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        self._data.extend(b"070701" + b"".join(b"%08x" % field for field in fields))
        self._data.extend(name.encode() + b"\0")
        self._pad()
        self._data.extend(content)
        self._pad()

    def directory(self, name: str) -> None:
        """Add an empty directory."""
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self.add(name, stat.S_IFREG | mode, content)

    def finish(self) -> bytes:
        """The whole archive."""
        self._inode = -1
        self.add("TRAILER!!!", 0)
        return bytes(self._data)


def static_program(path: Path, what: str) -> bytes:
    """The bytes of an executable that runs without shared libraries; LabError otherwise."""
    if not path.is_file():
        raise lab.LabError(f"{what}: there is no file {path}.")
    data = path.read_bytes()
    if data[:4] != b"\x7fELF":
        raise lab.LabError(f"{what}: {path} is not an ELF program.")
    order: Literal["little", "big"] = "big" if data[5] == ELF_BIG_ENDIAN else "little"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    start, size, count = number(32, 8), number(54, 2), number(56, 2)
    for index in range(count):
        if number(start + index * size, 4) == INTERPRETER:
            raise lab.LabError(f"{what}: {path} is linked dynamically, the guest needs a static program.")
    return data


def busybox(architecture: Architecture = AMD64) -> bytes:
    """A static busybox: the machine's own, for another architecture that of a Debian package."""
    if architecture is AMD64:
        path = Path(lab.need_tool("busybox", "busybox-static"))
    else:
        path = file_of_package(BUSYBOX_SUITE, architecture, "busybox-static", "usr/bin/busybox")
    return static_program(path, "busybox (package busybox-static)")


def source_files() -> list[Path]:
    """What the guest side is made from."""
    return sorted(path for path in GUEST.iterdir() if path.is_file())


def guest_program(name: str, architecture: Architecture = AMD64) -> bytes:
    """A program of the guest side, compiled once for each version of its source."""
    source = GUEST / f"{name}.c"
    compiler = lab.need_tool(architecture.compiler, architecture.compiler_package)
    target = lab.cache_dir() / "programs" / f"{name}-{architecture.name}-{lab.sha256(source.read_bytes())[:16]}"
    with lab.locked(lab.cache_dir() / "programs" / "lock"):
        if not target.exists():
            new = target.with_suffix(".new")
            command = [compiler, "-static", "-pthread", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(new), str(source)]
            lab.run(command, f"compiling {source.name}")
            new.rename(target)
    return target.read_bytes()


def _dependencies(module: bytes) -> list[str]:
    """The modules that a module says it needs, from its .modinfo section."""
    for entry in module.split(b"\0"):
        if entry.startswith(b"depends="):
            return [name.decode().replace("-", "_") for name in entry[8:].split(b",") if name]
    return []


def module_files(kernel: Kernel, wanted: Iterable[str]) -> list[tuple[str, bytes]]:
    """The wanted modules, each after those it depends on; names that are no modules are left out."""
    available = kernel.modules()
    ordered: dict[str, bytes] = {}

    def visit(name: str) -> None:
        if name in ordered or name not in available:
            return
        path = available[name]
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        for other in _dependencies(data):
            visit(other)
        ordered[name] = data

    for name in wanted:
        visit(name)
    return list(ordered.items())


def build(kernel: Kernel, extra: Mapping[str, bytes]) -> bytes:
    """The archive: the fixed part plus `extra` (absolute path to content, executable below /bin)."""
    archive = Archive()
    for folder in ("bin", "dev", "disk", "lab", "lab/modules", "out", "proc", "sys", "tmp"):
        archive.directory(folder)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("init", (GUEST / "init").read_bytes(), 0o755)
    archive.file("bin/busybox", busybox(kernel.architecture), 0o755)
    for name in PROGRAMS:
        archive.file(f"bin/{name}", guest_program(name, kernel.architecture), 0o755)
    for number, (name, data) in enumerate(module_files(kernel, kernel.architecture.modules)):
        archive.file(f"lab/modules/{number:02d}-{name}.ko", data)
    for path, content in extra.items():
        archive.file(path.lstrip("/"), content, 0o755 if path.startswith("/bin/") else 0o644)
    return archive.finish()
