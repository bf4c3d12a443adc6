"""A reader for the ELF dumps that QEMU writes, independent of kvista."""

from __future__ import annotations

import dataclasses
import mmap
import struct
from pathlib import Path

import lab

PAGE = 4096
PT_LOAD = 1
ZERO_PAGE = bytes(PAGE)


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of physical memory in the file."""

    physical: int
    size: int
    offset: int


class Dump:
    """The physical memory in an ELF64 core of either byte order; the program headers may be anywhere."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._data = mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ)
        if self._data[:6] not in (b"\x7fELF\x02\x01", b"\x7fELF\x02\x02"):
            raise lab.LabError(f"{path} is not an ELF64 file.")
        order = "<" if self._data[5] == 1 else ">"
        (start,) = struct.unpack_from(f"{order}Q", self._data, 32)
        size, count = struct.unpack_from(f"{order}HH", self._data, 54)
        self.segments: list[Segment] = []
        for index in range(count):
            header = struct.unpack_from(f"{order}IIQQQQQQ", self._data, start + index * size)
            kind, _, offset, _, physical, file_size, _, _ = header
            if kind == PT_LOAD and file_size:
                self.segments.append(Segment(physical, file_size, offset))

    def _segment(self, address: int) -> Segment | None:
        for segment in self.segments:
            if segment.physical <= address < segment.physical + segment.size:
                return segment
        return None

    def end_pfn(self) -> int:
        """One past the last page frame."""
        return max(segment.physical + segment.size for segment in self.segments) // PAGE

    def present(self) -> bytearray:
        """One byte for each frame from 0: whether it is in the file."""
        result = bytearray(self.end_pfn())
        for segment in self.segments:
            first, count = segment.physical // PAGE, segment.size // PAGE
            result[first : first + count] = b"\1" * count
        return result

    def offset(self, address: int) -> int:
        """Where in the file a physical address is."""
        segment = self._segment(address)
        if segment is None:
            raise lab.LabError(f"The dump holds no physical address {address:#x}.")
        return segment.offset + address - segment.physical

    def read(self, address: int, size: int) -> bytes:
        """Bytes of physical memory within one segment."""
        at = self.offset(address)
        return self._data[at : at + size]

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes at an offset in the file."""
        return self._data[offset : offset + size]

    def is_zero(self, pfn: int) -> bool:
        """Whether a page is in the file and all zero."""
        segment = self._segment(pfn * PAGE)
        if segment is None:
            return False
        at = segment.offset + pfn * PAGE - segment.physical
        return self._data[at] == 0 and self._data[at : at + PAGE] == ZERO_PAGE

    def close(self) -> None:
        """Let go of the file."""
        self._data.close()
        self._file.close()
