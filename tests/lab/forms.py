"""The files into which the lab rewrites a guest's memory: format, codec, what is left out."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import full_peers
import lab
from pageflags import PageClass

PAGE = 4096
EVERYTHING, CACHE_USER_FREE = 0, 31

LEVEL_BITS = {
    PageClass.ZERO: 1,
    PageClass.NON_PRI_CACHE: 2 | 4,
    PageClass.PRI_CACHE: 4,
    PageClass.USER: 8,
    PageClass.FREE: 16,
    PageClass.KERN_DATA: 0,
    PageClass.OFFLINE: 31,
    PageClass.HWPOISON: 31,
}
"""The dump level's bits, any of which excludes kvista's class."""


@dataclasses.dataclass(frozen=True)
class Form:
    """A file that the tests' own builder writes."""

    name: str
    statements: tuple[str, ...]
    """In the language of tests/images."""
    level: int = EVERYTHING
    parts: int = 1
    lacks_zeros: bool = False
    """Blocks of zeros are not in the file, which does not say that they were memory."""
    quick: bool = False
    """Whether `./test` has it, not only `./test --full`."""


def kdump(name: str, options: str, level: int = EVERYTHING, parts: int = 1, quick: bool = False) -> Form:
    """A kdump-compressed file."""
    split = f" split={parts}" if parts > 1 else ""
    return Form(name, ("format kdump", f"kdump {options}{split}"), level, parts, quick=quick)


FORMS = (
    Form("LiME", ("format lime",), quick=True),
    Form("AVML", ("format avml",), lacks_zeros=True, quick=True),
    Form("flattened ELF", ("format flattened",)),
    kdump("kdump 1, zlib", "version=1 codec=zlib"),
    kdump("kdump 2, LZO", "version=2 codec=lzo"),
    kdump("kdump 3, snappy", "version=3 codec=snappy"),
    kdump("kdump 4, zstd", "version=4 codec=zstd"),
    kdump("kdump 5, not compressed", "version=5 codec=none"),
    kdump("kdump 6, four codecs", "version=6 codec=zlib,lzo,snappy,zstd"),
    kdump("kdump 1, filtered, four codecs", "version=1 codec=zstd,snappy,lzo,zlib", CACHE_USER_FREE, quick=True),
    kdump("kdump, filtered, zlib", "codec=zlib", CACHE_USER_FREE),
    kdump("kdump, filtered, LZO", "codec=lzo", CACHE_USER_FREE),
    kdump("kdump, filtered, snappy", "codec=snappy", CACHE_USER_FREE),
    kdump("kdump, filtered, zstd", "codec=zstd", CACHE_USER_FREE),
    kdump("kdump, split in three, filtered, snappy", "codec=snappy", CACHE_USER_FREE, parts=3, quick=True),
    kdump("kdump, split in two, zstd", "codec=zstd", parts=2),
    Form("flattened kdump, filtered, LZO", ("format flattened kdump", "kdump codec=lzo"), CACHE_USER_FREE),
)


@dataclasses.dataclass(frozen=True)
class PeerForm:
    """A file that makedumpfile writes."""

    options: tuple[str, ...]
    level: int
    parts: int = 1
    """Files of a split dump."""
    to_stdout: bool = False

    @property
    def name(self) -> str:
        """The command in short."""
        return f"makedumpfile {' '.join(self.options)} -d {self.level}"

    @property
    def is_elf(self) -> bool:
        """An ELF file has no page for zeros that others could share: pages of zeros are left out."""
        return "-E" in self.options


PEER_FORMS = (
    PeerForm(("-c",), EVERYTHING),
    PeerForm(("-l",), 1),
    PeerForm(("-z",), EVERYTHING),
    PeerForm(("-c",), CACHE_USER_FREE),
    PeerForm(("-l",), CACHE_USER_FREE),
    PeerForm(("-z",), CACHE_USER_FREE),
    PeerForm(("-E",), EVERYTHING),
    PeerForm(("-E",), CACHE_USER_FREE),
    PeerForm(("-F", "-l"), CACHE_USER_FREE, to_stdout=True),
    PeerForm(("-F", "-E"), CACHE_USER_FREE, to_stdout=True),
    PeerForm(("-l", "--split"), CACHE_USER_FREE, parts=3),
)


def write_by_peer(form: PeerForm, peers: full_peers.Peers, image: Path, folder: Path) -> list[Path]:
    """Let makedumpfile write the file, or the files of a split dump, into a directory; `image` is as it can read it."""
    files = [folder / f"image{part}" for part in range(1, form.parts + 1)]
    command = peers.command("makedumpfile", "--message-level", "0", *form.options, "-d", str(form.level), str(image))
    if form.to_stdout:
        with files[0].open("wb") as out:
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=600)
        if done.returncode != 0:
            raise lab.LabError(f"{form.name} ended with status {done.returncode}: {done.stderr.strip()}")
    else:
        lab.run([*command, *map(str, files)], f"running {form.name}")
    return files


def excluded(classes: bytes, level: int) -> Iterator[tuple[int, int]]:
    """The runs of frames, end not included, that a dump of a level lacks. Pages of zeros are not among them: a
    kdump-compressed file holds one for all."""
    leaves_out = [LEVEL_BITS.get(PageClass(value), 0) & level & ~1 for value in range(len(PageClass))]
    start = None
    for pfn, value in enumerate(classes):
        if leaves_out[value & 15]:
            start = pfn if start is None else start
        elif start is not None:
            yield start, pfn
            start = None
    if start is not None:
        yield start, len(classes)


def write(form: Form, tool: Path, image: Path, classes: bytes, folder: Path) -> list[Path]:
    """Write the file, or the files of a split dump, into a directory."""
    statements = list(form.statements)
    statements += [f"kdump exclude {first * PAGE:#x}-{end * PAGE:#x}" for first, end in excluded(classes, form.level)]
    description, out = folder / "description", folder / "image"
    description.write_text("\n".join(statements) + "\n", "utf-8")
    lab.run([str(tool), str(description), str(image), str(out)], f"writing the guest's memory as {form.name}")
    return [out, *(folder / f"image.{part}" for part in range(2, form.parts + 1))]
