"""From /proc/kpageflags to the page class that a frame must be in.

The numbers are the kernel's user interface (include/uapi/linux/kernel-page-flags.h, and the KPF_ bits
from 32 on of include/linux/kernel-page-flags.h); what sets them is stable_page_flags() in fs/proc/page.c.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence

KPF_LRU = 1 << 5
KPF_SLAB = 1 << 7
KPF_BUDDY = 1 << 10
KPF_ANON = 1 << 12
KPF_SWAPCACHE = 1 << 13
KPF_SWAPBACKED = 1 << 14
KPF_COMPOUND_HEAD = 1 << 15
KPF_COMPOUND_TAIL = 1 << 16
KPF_HUGE = 1 << 17
KPF_HWPOISON = 1 << 19
KPF_NOPAGE = 1 << 20
KPF_OFFLINE = 1 << 23
KPF_PGTABLE = 1 << 26
KPF_RESERVED = 1 << 32
KPF_PRIVATE = 1 << 35

NAMES = {
    0: "locked", 2: "referenced", 3: "uptodate", 4: "dirty", 5: "lru", 6: "active", 7: "slab", 8: "writeback",
    9: "reclaim", 10: "buddy", 11: "mmap", 12: "anon", 13: "swapcache", 14: "swapbacked", 15: "head", 16: "tail",
    17: "hugetlb", 18: "unevictable", 19: "hwpoison", 20: "nopage", 21: "ksm", 22: "thp", 23: "offline",
    24: "zero_page", 25: "idle", 26: "page_table", 32: "reserved", 33: "mlocked", 34: "owner_2", 35: "private",
    36: "private_2", 37: "owner_priv", 38: "arch",
}  # fmt: skip


class PageClass(enum.IntEnum):
    """Page classes with the numbers of the test tool page_classes."""

    NOT_IN_IMAGE = 0
    ZERO = 1
    NON_PRI_CACHE = 2
    PRI_CACHE = 3
    USER = 4
    FREE = 5
    KERN_DATA = 6
    OFFLINE = 7
    HWPOISON = 8
    NO_STRUCT_PAGE = 9


LEFT_OUT = 15
"""In an array of classes: not compared."""

HUGETLB, SLAB, RESERVED, PAGE_TABLE = 0x10, 0x20, 0x40, 0x80
"""The marks beside the class, with the numbers of page_classes."""


def class_of(own: int, head: int) -> PageClass:
    """The class that a frame's flags and those of its compound page's head demand.

    KERN_DATA stands for ZERO as well: which of the two it is only the bytes can tell. The kernel says
    SLAB first of all, because a slab's other fields show up as flags that mean nothing (6.12 has slab
    pages that look anonymous) and a slab's tails may show nothing. Since HWPOISON is a page that must
    never be read, it comes before what the page was used for when it broke.
    """
    if own & KPF_NOPAGE:
        return PageClass.NO_STRUCT_PAGE
    if own & KPF_BUDDY:
        return PageClass.FREE
    if own & KPF_HWPOISON:
        return PageClass.HWPOISON
    if own & KPF_OFFLINE:
        return PageClass.OFFLINE
    if (own | head) & KPF_SLAB:
        return PageClass.KERN_DATA
    if (own | head) & KPF_HUGE or head & KPF_ANON:
        return PageClass.USER
    if head & KPF_LRU or head & (KPF_SWAPCACHE | KPF_SWAPBACKED) == KPF_SWAPCACHE | KPF_SWAPBACKED:
        return PageClass.PRI_CACHE if head & KPF_PRIVATE else PageClass.NON_PRI_CACHE
    return PageClass.KERN_DATA


def marks_of(own: int, head: int, found: PageClass) -> int:
    """The marks that a frame of a class must bear beside it."""
    if found is PageClass.USER:
        return HUGETLB if (own | head) & KPF_HUGE else 0
    if found is not PageClass.KERN_DATA:
        return 0
    marks = SLAB if (own | head) & KPF_SLAB else 0
    marks |= RESERVED if own & KPF_RESERVED else 0
    # A table of several pages (16 KiB on s390x) is a compound page, of which the head alone bears the flag.
    return marks | (PAGE_TABLE if (own | head) & KPF_PGTABLE else 0)


def with_heads(flags: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Each frame's flags with those of its compound page's head (its own if it is no tail)."""
    head = 0
    for own in flags:
        if own & KPF_COMPOUND_HEAD:
            head = own
        yield own, (head if own & KPF_COMPOUND_TAIL else own)


def demanded(flags: Sequence[int]) -> bytearray:
    """Class and marks, in one byte, that each frame must have."""
    known: dict[tuple[int, int], int] = {}
    result = bytearray(len(flags))
    for pfn, pair in enumerate(with_heads(flags)):
        value = known.get(pair)
        if value is None:
            found = class_of(*pair)
            value = known[pair] = found | marks_of(*pair, found)
        result[pfn] = value
    return result


def split_zero(classes: bytearray, is_zero: Callable[[int], bool]) -> None:
    """Turn KERN_DATA into ZERO where the bytes in the dump are all zero; the marks stay."""
    for pfn, value in enumerate(classes):
        if value & 15 == PageClass.KERN_DATA and is_zero(pfn):
            classes[pfn] = PageClass.ZERO | value & 0xF0


def describe(flags: int) -> str:
    """Flags in words, for messages."""
    words = [NAMES.get(bit, f"bit_{bit}") for bit in range(64) if flags >> bit & 1]
    return ",".join(words) or "none"
