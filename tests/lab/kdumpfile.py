"""A reader for kdump-compressed files of version 6, little-endian and of 64 bits, independent of kvista."""

from __future__ import annotations

import dataclasses
import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import lab

SIGNATURE = b"KDUMP   "
ZLIB = 1
CODEC_FLAGS = 0x27
"""Bits of a descriptor's flags: zlib, LZO, snappy, zstd."""
STATUS_AT, SUB_HEADER_AT = 424, 4096
DESCRIPTOR = struct.Struct("<qIIQ")


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """Where a page's bytes are; offset 0: the page was lost."""

    offset: int
    size: int
    flags: int


def frames_of(bitmap: bytes) -> Iterator[int]:
    """The numbers of the bits that are set."""
    for at, byte in enumerate(bitmap):
        if byte:
            yield from (8 * at + bit for bit in range(8) if byte >> bit & 1)


def count(bitmap: bytes) -> int:
    """How many bits are set."""
    return int.from_bytes(bitmap, "little").bit_count()


def only_in(one: bytes, other: bytes) -> bytes:
    """The bits that are set in `one`, and not in `other`."""
    size = max(len(one), len(other))
    return (int.from_bytes(one, "little") & ~int.from_bytes(other, "little")).to_bytes(size, "little")


class KdumpFile:
    """A dump's headers, its second bitmap and its pages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        if self._data[:8] != SIGNATURE:
            raise lab.LabError(f"{path} is no kdump-compressed file.")
        status, block, sub_blocks, bitmap_blocks = struct.unpack_from("<IiiI", self._data, STATUS_AT)
        if block != SUB_HEADER_AT:
            raise lab.LabError(f"{path} has blocks of {block} bytes.")
        self.incomplete = bool(status & 8)
        (self.level,) = struct.unpack_from("<i", self._data, SUB_HEADER_AT + 8)
        self._block = block
        start, size = (1 + sub_blocks) * block, bitmap_blocks // 2 * block
        self.bitmap = self._data[start + size : start + 2 * size]
        """The second bitmap: a bit for each frame, lowest first, of those that the dump holds."""
        self._descriptors_at = start + 2 * size

    def __enter__(self) -> KdumpFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def descriptors(self) -> Iterator[tuple[int, Descriptor]]:
        """Each frame of the second bitmap with its descriptor."""
        for index, pfn in enumerate(frames_of(self.bitmap)):
            offset, size, flags, _ = DESCRIPTOR.unpack_from(self._data, self._descriptors_at + index * DESCRIPTOR.size)
            yield pfn, Descriptor(offset, size, flags)

    def page(self, where: Descriptor) -> bytes:
        """A page's bytes; those of a lost page, or of a codec that Python lacks, are an error."""
        data = self._data[where.offset : where.offset + where.size]
        if where.offset == 0 or where.flags & CODEC_FLAGS & ~ZLIB:
            raise lab.LabError(f"{self.path}: {where} cannot be read.")
        page = zlib.decompress(data) if where.flags & ZLIB else data
        if len(page) != self._block:
            raise lab.LabError(f"{self.path}: {where} leads to {len(page)} bytes.")
        return page
