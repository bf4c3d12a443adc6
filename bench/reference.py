"""The dumps that the bench measures on: two of a real kernel with a workload, and synthetic ones of any size.

They are made once and kept in the lab's cache (KVISTA_LAB_CACHE, or ~/.cache/kvista-lab).
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent / "tests" / "lab"))

import capture  # noqa: E402, F401
import dumpfile  # noqa: E402
import full_drgn  # noqa: E402, F401
import full_peers  # noqa: E402
import full_stacks  # noqa: E402, F401
import guest  # noqa: E402
import initramfs  # noqa: E402
import kdumpfile  # noqa: E402, F401
import kernels  # noqa: E402
import lab  # noqa: E402

SUITE = "trixie"
VARIANT = guest.Variant("bench", "max", "rdinit=/bin/bench-init")
STEP_TIMEOUT = 900
DEVICES = 0xC0000000
"""From here to 4 GiB there is no RAM."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """A guest's memory and what runs in it."""

    gib: int
    processes: int
    mib_each: int
    file_mib: int


WORKLOADS = {1: Workload(1, 6, 40, 120), 8: Workload(8, 8, 400, 1500)}


class BenchGuest(guest.Guest):
    """A guest of the lab with a memory size of its own."""

    def __init__(self, kernel: kernels.Kernel, gib: int, extra: dict[str, bytes]) -> None:
        self._gib = gib
        super().__init__(kernel, VARIANT, extra)

    def _command(self, kernel: kernels.Kernel, streams: tuple[str, ...]) -> list[str]:
        command = super()._command(kernel, streams)
        command[command.index("-m") + 1] = f"{self._gib}G"
        return command

    def dump_elf(self, path: Path) -> None:
        """Stop the guest, write its memory as an ELF core only, let it go on."""
        self.qmp("stop")
        self.qmp("dump-guest-memory", timeout=STEP_TIMEOUT, paging=False, protocol=f"file:{path}")
        self.qmp("cont")


def _store() -> Path:
    return lab.cache_dir() / "bench"


def program(source: Path, static: bool) -> Path:
    """A small C program, compiled once for each version of its source; the guest's are linked statically."""
    _store().mkdir(parents=True, exist_ok=True)
    target = _store() / f"{source.stem}-{lab.sha256(source.read_bytes())[:16]}"
    if not target.exists():
        new = target.with_suffix(".new")
        command = [lab.need_tool("gcc", "gcc"), "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(new), str(source)]
        lab.run([*command, "-static"] if static else command, f"compiling {source.name}")
        new.rename(target)
    return target


def reference(gib: int, suite: str = SUITE) -> Path:
    """The reference dump of that size: Debian's 6.12 cloud kernel, or another suite's; an ELF core of QEMU."""
    work = WORKLOADS[gib]
    _store().mkdir(parents=True, exist_ok=True)
    kernel = kernels.fetch(suite)
    stem = f"reference-{suite}-{gib}g"
    settings = f'workload="{work.processes} {work.mib_each} {work.file_mib}"\n'
    sources = [(BENCH / "guest" / name).read_bytes() for name in ("init", "workload.c")]
    parts = [*sources, settings.encode(), repr(VARIANT).encode()]
    parts += ["\n".join(kernel.files).encode(), guest.qemu_version().encode()]
    key = lab.sha256(*parts)[:20]
    path = _store() / f"{stem}-{key}.elf"
    with lab.locked(_store() / f"{stem}.lock"):
        if path.exists():
            return path
        for older in _store().glob(f"{stem}-*.elf*"):
            older.unlink()
        lab.note(f"bench: making the reference dump of {gib} GiB ({kernel.release}) ...")
        new = path.with_suffix(".elf.new")
        extra = {
            "/bin/bench-init": sources[0],
            "/bin/bench-workload": program(BENCH / "guest" / "workload.c", static=True).read_bytes(),
            "/lab/settings": settings.encode(),
        }
        with BenchGuest(kernel, gib, extra) as machine:

            def write_dump(_: str) -> None:
                machine.dump_elf(new)
                machine.console.send("\n")

            machine.serve({"dump": write_dump}, "done", STEP_TIMEOUT)
            machine.wait()
        lab.run([lab.need_tool("fallocate", "util-linux"), "--dig-holes", str(new)], "making the dump sparse")
        full_peers.move_program_headers(new)
        path.with_suffix(".json").write_text(json.dumps({"kernel": kernel.release, "qemu": guest.qemu_version()}), "utf-8")
        new.rename(path)
        return path


STRETCH_AT = 5 << 30
STRETCH_SIZE = 16 << 20
"""The struct pages of the 8 GiB dump that the synthetic images repeat: of 1 GiB of memory from 5 GiB on,
which is page cache and processes."""
STRUCT_PAGE = 64
PAGE = 4096

DESCRIPTION = """\
machine x86_64 levels=5
struct_page layout=6.12
ram 0x100000-{gib}G
memory_map repeat={repeat}
"""


def _translate(kvista: Path, image: Path, address: int) -> int:
    """The physical address of a virtual one."""
    text = lab.run([str(kvista), "-c", str(image), "vtop", "--json", hex(address)], "translating an address")
    return int(json.loads(text)["tables"]["result"][0]["physical"], 16)


def _vmemmap(kvista: Path, image: Path) -> int:
    """Where an image's memory map starts."""
    text = lab.run([str(kvista), "info", "--json", str(image)], "asking for vmemmap")
    facts = {row["fact"]: row["value"] for row in json.loads(text)["tables"]["facts"]}
    return int(facts["vmemmap"].split("-")[0], 16)


def _copy_stretch(kvista: Path, source: Path, target: Path) -> None:
    """Put real struct pages where a synthetic image has its one stretch of them."""
    from_map = _vmemmap(kvista, source) + STRETCH_AT // PAGE * STRUCT_PAGE
    to_map = _vmemmap(kvista, target)
    real, synthetic = dumpfile.Dump(source), dumpfile.Dump(target)
    with open(target, "r+b") as file:
        for at in range(0, STRETCH_SIZE, 2 << 20):
            data = real.read(_translate(kvista, source, from_map + at), 2 << 20)
            physical = _translate(kvista, target, to_map + at)
            segment = next(s for s in synthetic.segments if s.physical <= physical < s.physical + s.size)
            file.seek(segment.offset + physical - segment.physical)
            file.write(data)
    real.close()
    synthetic.close()


def synthetic(gib: int, kvista: Path, make_image: Path, into: Path) -> Path:
    """A sparse image of that size whose memory map is one stretch of real struct pages, repeated."""
    path = into / f"synthetic-{gib}g.elf"
    description = into / "description"
    description.write_text(DESCRIPTION.format(gib=gib, repeat=STRETCH_SIZE >> 21), "ascii")
    lab.run([str(make_image), str(description), str(path)], f"making a synthetic image of {gib} GiB")
    _copy_stretch(kvista, reference(8), path)
    return path


def _core_head(gib: int) -> bytes:
    """An ELF core of so much memory, without that memory: a VMCOREINFO note and one segment."""
    text = b"OSRELEASE=6.12.0\nPAGESIZE=4096\n"
    note = struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0" + text + bytes(-len(text) % 4)
    ident = b"\x7fELF\2\1\1" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    note_at = len(header) + 2 * 56
    notes = struct.pack("<IIQQQQQQ", 4, 0, note_at, 0, 0, len(note), len(note), 0)
    load = struct.pack("<IIQQQQQQ", 1, 0, PAGE, 0, 0, gib << 30, gib << 30, 0)
    return header + notes + load + note


def raw(dump: Path, into: Path) -> None:
    """A dump's RAM below the devices' as raw memory from address 0 on; what is between is zeros."""
    memory = dumpfile.Dump(dump)
    try:
        with open(into, "wb") as out:
            for segment in memory.segments:
                if segment.physical < DEVICES:
                    out.seek(segment.physical)
                    out.write(memory.read(segment.physical, segment.size))
    finally:
        memory.close()


def flattened(path: Path, gib: int, records: int) -> None:
    """A flattened stream of an ELF core of so much memory, in so many records: sparse, but for the records' heads."""
    head = _core_head(gib)
    size = (gib << 30) // records
    with open(path, "wb") as file:
        os.pwrite(file.fileno(), b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1), 0)
        at = PAGE
        os.pwrite(file.fileno(), struct.pack(">qq", 0, PAGE) + head, at)
        at += 16 + PAGE
        for record in range(records):
            os.pwrite(file.fileno(), struct.pack(">qq", PAGE + record * size, size), at)
            at += 16 + size
        os.pwrite(file.fileno(), struct.pack(">qq", -1, -1), at)
