"""Tests of the lab's judgement on other architectures: no guest needed. Each lie of kvista's must be found."""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import unittest
from pathlib import Path

import arch_facts
import compare
import guest
import initramfs
import kvista
import lab
import test_arch
import test_byte_order
from architectures import ARCHITECTURES
from dumpfile import Dump
from oracles import NOWHERE, Mapped, Oracle
from pageflags import PageClass

TEXT, RAM = (0xFFFFA4CA28200000, 0x40200000, 0x1E70000), (0xFFF0000000000000, 0x40000000, 0x40000000)
MEMORY_MAP = (0xFFFFC1FFC0000000, NOWHERE, 0x1000000)


def elf(order: str, parts: list[tuple[int, int, int]], content: bytes = b"") -> bytes:
    """An ELF core with these virtual addresses, physical addresses and sizes; `content` stands for all of them."""
    data = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + bytes(9)
    data += struct.pack(f"{order}HHIQQQIHHHHHH", 4, 0, 1, 0, 64, 0, 0, 64, 56, len(parts), 0, 0, 0)
    at = 64 + 56 * len(parts)
    for virtual, physical, size in parts:
        data += struct.pack(f"{order}IIQQQQQQ", 1, 7, at, virtual, physical, size, size, 0)
    return data + content


class MadeUpArm64:
    """A guest with 52 bits of virtual addresses and KASLR."""

    FACTS = {
        "arch": "arm64", "release": "6.12.1", "build_id": "abcdef01", "page_size": 4096, "page_table_levels": 5,
        "root_page_table": "0x41a92000", "kernel_image": "0xffffa4ca28200000-0xffffa4ca2a06ffff", "struct_page_size": 64,
        "section_size_bits": 27, "cpus": 2, "state": "dead", "va_bits": 52, "va_bits_actual": 52,
        "kimage_voffset": "0xffffa4c9e8000000", "kaslr_offset": "0x24c9a8200000", "page_offset": "0xfff0000000000000",
        "phys_offset": "0x40000000", "vmemmap": "0xffffc1ffc0000000-0xffffffffbfffffff",
        "modules": "0xffff800000000000-0xffff80007fffffff", "direct_map": "0xfff0000000000000-0xffff7fffffffffff",
    }  # fmt: skip

    def __init__(self, path: Path) -> None:
        files: dict[str, str | bytes] = {
            "release": "6.12.1\n",
            "utsname": "lab-guest\n6.12.1\n#1 SMP\naarch64\n",
            "kallsyms": "ffffa4ca28200000 T _text\nffffa4ca29a92000 T swapper_pg_dir\nffffa4ca2a070000 B _end\n",
            "kernel_words": "kimage_voffset ffffa4c9e8000000\n",
            "kcore_headers": elf("<", [TEXT, RAM, MEMORY_MAP]),
            "cpuinfo": "processor\t: 0\n\nprocessor\t: 1\n",
            "iomem": "40000000-7fffffff : System RAM\n",
            "modules": "virtio_blk 1 0 - Live 0xffff800000010000\n",
            "notes": b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0\xab\xcd\xef\x01",
        }
        for name, content in files.items():
            (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.oracle = Oracle(path)

    def problems(self, changes: dict[str, object]) -> list[str]:
        """What the check says when kvista's facts differ from the right ones in this way."""
        values = {**self.FACTS, **changes}
        rows = [{"fact": name, "value": value, "verified": True, "source": "x"} for name, value in values.items()]
        report = kvista.Report(json.dumps({"tables": {"facts": rows}}), "x")
        return arch_facts.OtherFactCheck(report, self.oracle, ARCHITECTURES["arm64"], "trixie", False).problems


class Facts(unittest.TestCase):
    """The check of facts finds each lie, and each fact that is missing."""

    LIES: dict[str, object] = {
        "arch": "x86_64", "release": "6.12.2", "build_id": "ab", "page_size": 16384, "page_table_levels": 4,
        "root_page_table": "0x41a91000", "kernel_image": "0xffffa4ca28200000-0xffffa4ca2a070000", "cpus": 1, "state": "live",
        "va_bits_actual": 48, "kimage_voffset": "0xffffa4c9e8001000", "kaslr_offset": "0x0",
        "page_offset": "0xffff000000000000", "phys_offset": "0x0", "vmemmap": "0xffffc20000000000-0xffffffffbfffffff",
        "modules": "0xffff800000020000-0xffff80007fffffff", "direct_map": "0xfff0000000000000-0xfff000003ffffffe",
    }  # fmt: skip

    def test_each_fact(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made_up = MadeUpArm64(Path(folder))
            self.assertEqual(made_up.problems({}), [])
            for name, value in self.LIES.items():
                self.assertEqual(len(made_up.problems({name: value})), 1, name)

    def test_missing(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made_up = MadeUpArm64(Path(folder))
            for name in [*arch_facts.NEEDED, *arch_facts.OWN["arm64"]]:
                self.assertTrue(made_up.problems({name: None}), name)


class Files(unittest.TestCase):
    """What a big-endian guest leaves is read as it was meant."""

    def test_kcore(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for order in "<>":
                Path(folder, "kcore_headers").write_bytes(elf(order, [TEXT, MEMORY_MAP]))
                oracle = Oracle(Path(folder))
                self.assertEqual(oracle.big_endian(), order == ">")
                self.assertEqual(oracle.kcore_ranges(), [Mapped(*TEXT), Mapped(MEMORY_MAP[0], None, MEMORY_MAP[2])])

    def test_levels(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path, oracle = Path(folder), Oracle(Path(folder))
            (path / "kcore_headers").write_bytes(elf("<", [(0xFFFF000000000000, 0, 4096)]))
            for machine, cpuinfo, levels in (("aarch64", "", 4), ("riscv64", "mmu\t\t: sv57\n", 5), ("riscv64", "", None)):
                (path / "utsname").write_text(f"x\n{machine}\n")
                (path / "cpuinfo").write_text(cpuinfo)
                self.assertEqual(oracle.page_table_levels(), levels, machine)
            for start, levels in ((0x3FFFE8F8000, 3), (0x40000000000, 4)):
                (path / "kcore_headers").write_bytes(elf(">", [(start, 0, 4096), (0, 0, 4096)]))
                (path / "utsname").write_text("x\ns390x\n")
                self.assertEqual(oracle.page_table_levels(), levels, hex(start))

    def test_cpus(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for text, count in (("processor\t: 0\nprocessor\t: 1\n", 2), ("# processors    : 1\nprocessor 0: version = FF\n", 1)):
                Path(folder, "cpuinfo").write_text(text)
                self.assertEqual(Oracle(Path(folder)).cpus(), count)

    def test_dump(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for order in "<>":
                path = Path(folder) / "dump"
                path.write_bytes(elf(order, [(0, 0x2000, 4096)], b"\x07" * 4096))
                dump = Dump(path)
                self.assertEqual((dump.end_pfn(), dump.read(0x2010, 2), bytes(dump.present())), (3, b"\x07\x07", b"\0\0\1"))
                dump.close()

    def test_static_program(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "program"
            for order in "<>":
                data = elf(order, [TEXT])
                path.write_bytes(data)
                self.assertEqual(initramfs.static_program(path, "x"), data)
                interpreter = struct.pack(f"{order}I", 3)
                path.write_bytes(data[:64] + interpreter + data[68:])
                with self.assertRaises(lab.LabError):
                    initramfs.static_program(path, "x")


class Tables(unittest.TestCase):
    """The rows of data."""

    def test_variants(self) -> None:
        for name, variant in guest.VARIANTS.items():
            self.assertEqual(name in lab.VARIANTS, variant.architecture.name == "amd64", name)
            settings = guest.settings("capture", architecture=variant.architecture).decode()
            self.assertIn(f"note={int(variant.architecture.note)}\n", settings)
            self.assertIn(f"words='{variant.architecture.words[0]}", settings)

    def test_expected(self) -> None:
        for name, expected in test_arch.EXPECTED.items():
            self.assertLessEqual(set(expected.lacks), {page.name for page in PageClass} | set(compare.MARKS), name)


class TwoBuilds(unittest.TestCase):
    """The comparison of two builds finds an answer that differs, and one that is none."""

    def test_answers(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for says, status, want in (("seven", 0, 0), ("eight", 0, 1), ("seven", 1, 1), ("seven 1>&2", 0, 1)):
                for name, line in (("ours", "echo seven"), ("other", f"echo {says}; exit {status}")):
                    Path(folder, name).write_text(f"#!/bin/sh\n{line}\n")
                    Path(folder, name).chmod(0o755)
                both = test_byte_order.ByteOrderTrial(Path(folder, "ours"), Path(folder, "other"), "sh")
                self.assertEqual(len(both.compare(Path("image"), ("info",))), want, f"{says} {status}")
            Path(folder, "ours").write_text("#!/bin/sh\nexit 2\n")
            Path(folder, "other").write_text("#!/bin/sh\nexit 2\n")
            both = test_byte_order.ByteOrderTrial(Path(folder, "ours"), Path(folder, "other"), "sh")
            self.assertEqual(len(both.compare(Path("image"), ("info",))), 1)


if __name__ == "__main__":
    sys.exit(unittest.main())
