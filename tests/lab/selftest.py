"""Tests of the lab's own judgement: that it fails when it must. They need no guest."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import answers
import btf
import compare
import facts
import forms
import full_drgn
import full_peers
import initramfs
import kvista
import lab
import logs
import pageflags as pf
import symbols
import tasks
import test_kernel
from compare import Difference, Rule
from oracles import Oracle
from pageflags import LEFT_OUT, PageClass

TAIL, HEAD = pf.KPF_COMPOUND_TAIL, pf.KPF_COMPOUND_HEAD
FLAGS = [pf.KPF_BUDDY, pf.KPF_LRU, pf.KPF_LRU | pf.KPF_PRIVATE, pf.KPF_LRU | pf.KPF_ANON, pf.KPF_SLAB | HEAD | pf.KPF_ANON, TAIL]
ONE_OF_EACH = {name: 1 for name in (PageClass.FREE, PageClass.NON_PRI_CACHE, PageClass.PRI_CACHE, PageClass.USER)}


class Rules(unittest.TestCase):
    """What flags demand."""

    def check(self, want: PageClass, *flags: int) -> None:
        """The last of these frames must be in the class."""
        self.assertEqual(PageClass(pf.demanded(flags)[-1] & 15), want)

    def test_single_pages(self) -> None:
        self.check(PageClass.FREE, pf.KPF_BUDDY)
        self.check(PageClass.NON_PRI_CACHE, pf.KPF_LRU)
        self.check(PageClass.PRI_CACHE, pf.KPF_LRU | pf.KPF_PRIVATE)
        self.check(PageClass.NON_PRI_CACHE, pf.KPF_SWAPCACHE | pf.KPF_SWAPBACKED)
        self.check(PageClass.KERN_DATA, pf.KPF_SWAPCACHE)
        self.check(PageClass.USER, pf.KPF_ANON | pf.KPF_LRU | pf.KPF_SWAPCACHE | pf.KPF_SWAPBACKED)
        self.check(PageClass.OFFLINE, pf.KPF_OFFLINE)
        self.check(PageClass.HWPOISON, pf.KPF_HWPOISON | pf.KPF_ANON)
        self.check(PageClass.NO_STRUCT_PAGE, pf.KPF_NOPAGE)
        self.check(PageClass.KERN_DATA, 0)

    def test_tails_follow_their_head(self) -> None:
        self.check(PageClass.USER, HEAD | pf.KPF_ANON, TAIL)
        self.check(PageClass.USER, HEAD | pf.KPF_HUGE, TAIL | pf.KPF_HUGE)
        self.check(PageClass.PRI_CACHE, HEAD | pf.KPF_LRU | pf.KPF_PRIVATE, TAIL)
        self.check(PageClass.KERN_DATA, HEAD | pf.KPF_SLAB | pf.KPF_ANON, TAIL)
        self.check(PageClass.KERN_DATA, HEAD | pf.KPF_ANON, TAIL, 0)

    def test_zero_pages_keep_their_marks(self) -> None:
        classes = pf.demanded([pf.KPF_RESERVED, pf.KPF_RESERVED, pf.KPF_BUDDY])
        pf.split_zero(classes, lambda pfn: pfn != 1)
        want = [PageClass.ZERO | pf.RESERVED, PageClass.KERN_DATA | pf.RESERVED, PageClass.FREE]
        self.assertEqual(list(classes), want)

    def test_marks(self) -> None:
        self.assertEqual(pf.demanded([HEAD | pf.KPF_SLAB, TAIL])[1], PageClass.KERN_DATA | pf.SLAB)
        self.assertEqual(pf.demanded([pf.KPF_RESERVED])[0], PageClass.KERN_DATA | pf.RESERVED)


class Comparing(unittest.TestCase):
    """Each kind of mistake is found."""

    def problems(self, got: bytes, rules: list[Rule] | None = None, want: bytes | None = None, floor: int = 1) -> list[str]:
        """What a comparison of the made-up frames complains about."""
        floors = {name: floor for name in ONE_OF_EACH}
        return compare.compare(want or pf.demanded(FLAGS), got, FLAGS, rules or [], (), floors, {}).problems

    def right(self) -> bytearray:
        """The map that is right."""
        return pf.demanded(FLAGS)

    def rule(self, matches: Callable[[Difference], bool]) -> list[Rule]:
        """One expected difference."""
        return [Rule("rule", "reason", ("sid",), matches)]

    def test_right_map(self) -> None:
        self.assertEqual(self.problems(bytes(self.right())), [])

    def test_wrong_class(self) -> None:
        for pfn in range(len(FLAGS)):
            got = self.right()
            got[pfn] = PageClass.OFFLINE
            self.assertEqual(len(self.problems(bytes(got))), 1, f"pfn {pfn}")

    def test_wrong_mark(self) -> None:
        got = self.right()
        got[5] &= ~pf.SLAB
        self.assertIn("must be KERN_DATA+slab", self.problems(bytes(got))[0])

    def test_too_few_pages(self) -> None:
        self.assertEqual(len(self.problems(bytes(self.right()), floor=2)), 4)

    def test_left_out(self) -> None:
        want, got = self.right(), self.right()
        want[0], got[0] = LEFT_OUT, PageClass.USER
        found = self.problems(bytes(got), want=bytes(want))
        self.assertIn("Only 0 pages of FREE", found[0])
        self.assertIn("changed during the capture", found[1])
        self.assertEqual(len(found), 2)

    def test_short_and_long_map(self) -> None:
        self.assertTrue(self.problems(bytes(self.right()[:-1])))
        self.assertTrue(self.problems(bytes(self.right()) + b"\1"))
        self.assertEqual(self.problems(bytes(self.right()) + b"\0"), [])

    def test_impossible_class_that_occurs(self) -> None:
        found = compare.compare(self.right(), bytes(self.right()), FLAGS, [], {"USER": "made up"}, ONE_OF_EACH, {})
        self.assertEqual(len(found.problems), 1)

    def test_expected_difference(self) -> None:
        got = self.right()
        got[1] = PageClass.USER
        self.assertEqual(self.problems(bytes(got), self.rule(lambda d: d.pfn == 1)), [])

    def test_unknown_difference_beside_an_expected_one(self) -> None:
        got = self.right()
        got[1] = got[2] = PageClass.USER
        self.assertEqual(len(self.problems(bytes(got), self.rule(lambda d: d.pfn == 1))), 1)

    def test_expected_difference_that_is_gone(self) -> None:
        found = self.problems(bytes(self.right()), self.rule(lambda _: True))
        self.assertIn("did not occur", found[0])

    def test_optional_mark_is_all_or_nothing(self) -> None:
        flags = [pf.KPF_PGTABLE, pf.KPF_PGTABLE]
        none = bytes([PageClass.KERN_DATA] * 2)
        half = bytes([PageClass.KERN_DATA, PageClass.KERN_DATA | pf.PAGE_TABLE])
        for got, want in ((none, 0), (half, 1)):
            found = compare.compare(pf.demanded(flags), got, flags, [], (), {}, {})
            self.assertEqual(len(found.problems), want)


class Files(unittest.TestCase):
    """The list of expected differences, JSON and programs."""

    def rules(self, text: str, predicates: dict[str, compare.Predicate]) -> list[Rule]:
        """Load a list of expected differences."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "list.toml"
            path.write_text(text, "utf-8")
            return compare.load_rules(path, "sid", predicates)

    def test_rules(self) -> None:
        text = '[[difference]]\nname = "a"\nreason = "r"\nsuites = ["{}"]\n'
        self.assertEqual(len(self.rules(text.format("sid"), {"a": lambda _: True})), 1)
        self.assertEqual(len(self.rules(text.format("trixie"), {"a": lambda _: True})), 0)
        for bad in (text.format("nosuch"), "", text.format("sid") * 2):
            with self.assertRaises(lab.LabError):
                self.rules(bad, {"a": lambda _: True})

    def test_checked_in_list(self) -> None:
        for suite in lab.SUITES:
            compare.load_rules(Path(__file__).resolve().parent / "expected_differences.toml", suite)

    def test_json(self) -> None:
        with self.assertRaises(lab.LabError):
            kvista.Report("Segmentation fault", "x")
        with self.assertRaises(lab.LabError):
            kvista.Report("{}", "x").table("pages")

    def test_census_that_does_not_add_up(self) -> None:
        rows = '{"type":"FREE","pages":3,"bytes":12288,"percent":100.0}'
        for pages, want in ((3, 0), (4, 1)):
            totals = f'"totals":[{{"page_size":4096,"pages":{pages},"bytes":{pages * 4096}}}]'
            report = kvista.Report(f'{{"tables":{{"pages":[{rows}],{totals}}}}}', "x")
            self.assertEqual(len(facts.check_sums(report)), want)

    def test_not_a_static_program(self) -> None:
        with self.assertRaises(lab.LabError):
            initramfs.static_program(Path(sys.executable), "python")
        with self.assertRaises(lab.LabError):
            initramfs.static_program(Path(__file__), "this file")

    def test_release_order(self) -> None:
        names = ["5.10.0-32", "5.10.0-9", "6.12.9+deb13", "6.12.117+deb13"]
        self.assertEqual(sorted(names, key=lab.natural_key), ["5.10.0-9", "5.10.0-32", "6.12.9+deb13", "6.12.117+deb13"])


class MadeUpGuest:
    """A directory like the one that a guest leaves."""

    FILES = {
        "kernel_words": (
            "page_offset_base ff11000000000000\nvmalloc_base ffa0000000000000\n"
            "vmemmap_base ffd4000000000000\nphys_base ffffffffff000000\n"
        ),
        "kallsyms": (
            "ffffffff82000000 T _stext\nffffffff83000000 D init_top_pgt\nffffffff84800000 B _end\n"
            "ffffffff82500000 T memory_failure\n"
        ),
        "iomem": (
            "00001000-0009fbff : System RAM\n00100000-3fffffff : System RAM\n  00000000-00ffffff : Kernel code\n"
            "  01000000-037fdfff : Kernel bss\n  37000000-3effffff : Crash kernel\n"
        ),
        "cpuinfo": "processor\t: 0\n\nprocessor\t: 1\n",
        "release": "6.1.0\n",
        "cmdline": "crashkernel=128M\n",
        "modules": "ext4 1 0 - Live 0xffffffffc0000000\n",
        "buddyinfo.before": "Node 0, zone      DMA      1      2\nNode 0, zone    DMA32      3      0\n",
        "notes": b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0\xab\xcd\xef\x01",
    }

    FACTS = {
        "arch": "x86_64", "release": "6.1.0", "build_id": "abcdef01", "page_size": 4096, "page_table_levels": 5,
        "root_page_table": "0x2000000", "phys_base": "-0x1000000", "kaslr_offset": "0x1000000",
        "page_offset": "0xff11000000000000", "direct_map": "0xff11000000000000-0xff90ffffffffffff",
        "vmalloc": "0xffa0000000000000-0xffd1ffffffffffff", "vmemmap": "0xffd4000000000000-0xffd5ffffffffffff",
        "modules": "0xffffffffc0000000-0xfffffffffeffffff", "kernel_image": "0xffffffff81000000-0xffffffff847fdfff",
        "sme_mask": "0x0", "struct_page_size": 64, "section_size_bits": 27, "max_physmem_bits": 52, "cpus": 2,
        "crash_time": None, "state": "dead", "crashkernel": "0x37000000-0x3effffff",
    }  # fmt: skip

    def __init__(self, path: Path) -> None:
        for name, content in self.FILES.items():
            (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.oracle = Oracle(path)

    def problems(self, changes: dict[str, object]) -> list[str]:
        """What the check of facts says when kvista's differ from the right ones in this way."""
        values = {**self.FACTS, **changes}
        rows = [{"fact": name, "value": value, "verified": True, "source": "x"} for name, value in values.items()]
        report = kvista.Report(json.dumps({"tables": {"facts": rows}}), "x")
        return facts.FactCheck(report, self.oracle, "bookworm", live=False).problems


class Facts(unittest.TestCase):
    """The check of machine facts finds each lie."""

    def test_each_fact(self) -> None:
        lies: dict[str, object] = {
            "arch": "arm64", "release": "6.1.1", "build_id": "ab", "page_size": 16384, "page_table_levels": 4,
            "root_page_table": "0x2001000", "phys_base": "0x1000000", "kaslr_offset": "0x0",
            "page_offset": "0xff11000000001000", "direct_map": "0xff11000000000000-0xff1100003ffffffe",
            "vmalloc": "0xffa0000000001000-0xffd1ffffffffffff", "vmemmap": "0x0-0x1",
            "modules": "0xffffffffc0001000-0xfffffffffeffffff", "kernel_image": "0xffffffff81000000-0xffffffff84000000",
            "cpus": 1, "crashkernel": "0x37000000-0x3effefff", "state": "live",
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            made_up = MadeUpGuest(Path(folder))
            self.assertEqual(made_up.problems({}), [])
            for name, value in lies.items():
                self.assertEqual(len(made_up.problems({name: value})), 1, name)

    def test_oracle(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            oracle = MadeUpGuest(Path(folder)).oracle
            self.assertEqual(oracle.free_pages("buddyinfo.before"), 1 + 2 * 2 + 3)
            self.assertEqual(list(oracle.impossible_classes()), ["unaccepted"])
            with self.assertRaises(lab.LabError):
                oracle.text("zoneinfo")



class Logs(unittest.TestCase):
    """The kernel's log."""

    def test_text(self) -> None:
        raw = b"[ 1.0] gr\xc3\xbcn \x1b[0m\tand \xff\n"
        self.assertEqual(logs.printed(raw), b"[ 1.0] gr\xc3\xbcn \\x1b[0m\tand \\xff\n")
        self.assertEqual(logs.check_text(b"a\n", b"a\nb\n", 1, "log"), [])
        self.assertIn("line 1", logs.check_text(b"a\n", b"b\n", 1, "log")[0])
        self.assertIn("only 1 lines", logs.check_text(b"a\n", b"a\n", 2, "log")[0])
        self.assertIn("2 bytes", logs.check_text(b"a\nb\n", b"a\n", 1, "log")[0])

    def test_records(self) -> None:
        kmsg = b"".join(b"29,%d,1500000,-;t\\x0at\n SUBSYSTEM=pci\n DEVICE=+pci:0\n\n" % seq for seq in range(logs.LEAST_RECORDS))
        row = {"time_ns": 1500000999, "facility": "daemon", "level": "notice", "subsystem": "pci", "device": "+pci:0", "message": "t\nt"}
        rows = [{"seq": seq, **row} for seq in range(logs.LEAST_RECORDS)]
        self.assertEqual(logs.check_records(kmsg, rows), [])
        self.assertIn("instead of", logs.check_records(kmsg, [*rows[:-1], {**rows[-1], "level": "info"}])[0])
        self.assertIn("records, /dev/kmsg", logs.check_records(kmsg, rows[:-1])[0])
        self.assertIn("Only", logs.check_records(kmsg[: len(kmsg) // 2], rows)[0])


class SameMemory(unittest.TestCase):
    """The comparison of two files of the same memory finds each difference, unless a rule explains it."""

    def answers(self, **changes: int) -> answers.Answers:
        """Made-up answers; a change is by how much a class is larger, or the number of missing frames."""
        counts = {"ZERO": 1000, "KERN_DATA": 9000, "FREE": answers.LEAST_FRAMES, "NO_STRUCT_PAGE": 16}
        counts = {name: count + changes.get(name, 0) for name, count in counts.items()}
        missing = changes.get("missing", 0)
        kept = counts["KERN_DATA"] + counts["NO_STRUCT_PAGE"]
        levels = [
            {"level": level, "pages": kept + changes.get("level", 0), "error": changes.get("error") if level & 1 else None}
            for level in range(32)
        ]
        tables = {
            "facts": [{"fact": f"fact {number}", "value": number + changes.get("fact", 0)} for number in range(22)],
            "pages": [{"type": name, "pages": count} for name, count in counts.items()],
            "of_which": [{"type": "slab", "of": "KERN_DATA", "pages": 70 + changes.get("slab", 0)}],
            "totals": [{"pages": sum(counts.values())}],
            "free_check": [{"counted": counts["FREE"]}],
            "levels": levels,
            "messages": [{"seq": number + changes.get("seq", 0)} for number in range(answers.LEAST_MESSAGES)],
        }
        warnings = [f"{missing} frames of KERN_DATA are not in the image"] if missing else []
        report = kvista.Report(json.dumps({"tables": tables, "warnings": warnings}), "x")
        return answers.Answers(report, report, report)

    def problems(self, rules: answers.Differences, **changes: int) -> list[str]:
        """What the comparison says of made-up answers."""
        return answers.Comparison(self.answers(), self.answers(**changes), rules).problems

    def test_equal(self) -> None:
        self.assertEqual(self.problems(answers.Differences()), [])

    def test_each_difference(self) -> None:
        for change in ("fact", "slab", "FREE", "seq", "level", "missing", "ZERO"):
            self.assertNotEqual(self.problems(answers.Differences(), **{change: 1}), [], change)

    def test_rules(self) -> None:
        beyond, missing = answers.Differences({"NO_STRUCT_PAGE": -16}), answers.Differences(kernel_data_missing=True)
        self.assertEqual(self.problems(beyond, NO_STRUCT_PAGE=-16), [])
        self.assertNotEqual(self.problems(beyond, NO_STRUCT_PAGE=-15), [])
        self.assertNotEqual(self.problems(missing), [])
        moved = {"missing": 9, "ZERO": -5, "KERN_DATA": 5, "slab": 2, "level": 0}
        self.assertEqual([text for text in self.problems(missing, **moved) if "level" not in text], [])
        self.assertNotEqual(self.problems(missing, **{**moved, "ZERO": -4}), [])
        self.assertIn("KERN_DATA is larger by 10", " ".join(self.problems(missing, missing=9, ZERO=-10, KERN_DATA=10)))

    def test_floors(self) -> None:
        self.assertIn("Only", " ".join(self.problems(answers.Differences({"FREE": -50000}), FREE=-50000)))

    def test_excluded_frames(self) -> None:
        classes = bytes([PageClass.FREE, PageClass.FREE, PageClass.ZERO, PageClass.KERN_DATA, PageClass.USER])
        self.assertEqual(list(forms.excluded(classes, 31)), [(0, 2), (4, 5)])
        self.assertEqual(list(forms.excluded(classes, 17)), [(0, 2)])
        self.assertEqual(list(forms.excluded(classes, 0)), [])


class KernelSymbols(unittest.TestCase):
    """Symbols and modules: each wrong row is found."""

    LINES = (
        "ffffffff81000000 T _text", "ffffffff81000000 T _stext", "ffffffff81000010 t same", "ffffffff81000020 t same",
        "ffffffffc0000000 t init\t[ext4]", "ffffffffc0000010 d __this_module\t[ext4]", "ffffffffc0001000 t bpf_prog_1\t[bpf]",
    )  # fmt: skip
    MODULES = "ext4 4096 2 jbd2,mbcache, Live 0xffffffffc0000000 (OE)\njbd2 8192 - - Live 0xffffffffc0002000\n"
    NAMES = "ffffffffc0000010 d __this_module\t[ext4]\nffffffffc0002010 d __this_module\t[jbd2]\n"

    def rows(self) -> list[dict[str, object]]:
        """The right rows of `sym -l`."""
        found = symbols.kallsyms("\n".join(self.LINES))
        return [{"address": hex(s.address), "type": s.kind, "name": s.name, "module": s.module, "offset": None} for s in found]

    def problems(self, rows: list[dict[str, object]], least: int = 6) -> list[str]:
        """What the check says of rows."""
        return symbols.check_symbols("\n".join(self.LINES) + "\n", rows, least)

    def test_right(self) -> None:
        self.assertEqual(self.problems(self.rows()), [])
        self.assertEqual(self.problems(self.rows()[:-1]), [], "pseudo-modules may be absent")
        moved = self.rows()
        moved[4], moved[5] = moved[5], moved[4]
        self.assertEqual(self.problems(moved), [], "modules' symbols have no order")

    def test_each_wrong_row(self) -> None:
        lies = {"address": "0x1", "type": "D", "name": "other", "module": "other"}
        for number in range(len(self.LINES) - 1):
            for column, lie in lies.items():
                rows = self.rows()
                rows[number][column] = lie
                self.assertEqual(len(self.problems(rows)), 2, f"{column} of row {number}")
            self.assertIn("does not list", " ".join(self.problems(self.rows()[:number] + self.rows()[number + 1 :])))
        self.assertIn("not /proc/kallsyms", self.problems([*self.rows(), self.rows()[0]])[0])
        rows = self.rows()
        rows[-1]["name"] = "bpf_prog_2"
        self.assertNotEqual(self.problems(rows), [], "a pseudo-module's symbol that is listed must be right")

    def test_order_offset_and_floor(self) -> None:
        rows = self.rows()
        rows[2], rows[3] = rows[3], rows[2]
        self.assertIn("order differs from symbol 2", self.problems(rows)[0])
        rows = self.rows()
        rows[0]["offset"] = 16
        self.assertIn("offset", self.problems(rows)[0])
        self.assertIn("at least 8", self.problems(self.rows(), 8)[0])
        self.assertIn("No symbol of a module", " ".join(symbols.check_symbols(self.LINES[0], self.rows()[:1], 1)))
        with self.assertRaises(lab.LabError):
            symbols.kallsyms("no symbol")

    def modules(self) -> list[dict[str, object]]:
        """The right rows of `mod`."""
        common = {"state": "Live", "used": 2, "taints": "OE", "module": "0xffffffffc0000010"}
        one = {**common, "name": "ext4", "size": 4096, "base": "0xffffffffc0000000"}
        other = {"name": "jbd2", "size": 8192, "base": "0xffffffffc0002000", "used": None, "taints": None}
        return [one, {**common, **other, "module": "0xffffffffc0002010"}]

    def test_modules(self) -> None:
        def problems(rows: list[dict[str, object]], least: int = 2) -> list[str]:
            return symbols.check_modules(self.MODULES, self.NAMES, rows, least)

        self.assertEqual(problems(self.modules()), [])
        lies = {"name": "x", "size": 1, "base": "0x1", "state": "Coming", "used": 7, "taints": "P", "module": "0x1"}
        for column, lie in lies.items():
            for number in range(2):
                rows = self.modules()
                rows[number][column] = lie
                self.assertNotEqual(problems(rows), [], f"{column} of row {number}")
        self.assertNotEqual(problems(self.modules()[::-1]), [])
        self.assertNotEqual(problems(self.modules()[:1]), [])
        self.assertNotEqual(problems(self.modules(), 3), [])


class Tasks(unittest.TestCase):
    """`ps` and `sys`: each wrong value is found."""

    CPUS = 2

    def snapshot(self, **changes: str) -> tasks.Snapshot:
        """A made-up reading of /proc; a change replaces the content of a file, whose path it names with '_' for '/'."""

        def stat(tid: int, name: str, state: str, parent: int, flags: int, memory: tuple[int, int] = (0, 0), cpu: int = 0) -> str:
            words = ["0"] * 50
            words[0], words[1], words[6], words[19] = state, str(parent), str(flags), "5"
            words[20], words[21], words[36] = str(memory[0] * 1024), str(memory[1] // 4), str(cpu)
            return f"{tid} ({name}) {' '.join(words)}\n"

        kernel = tasks.PF_KTHREAD
        files = {
            "clock": "01700000000\n", "loadavg": "0.10 0.20 0.05 1/9 30\n", "uptime": "12.50 20.00\n",
            "meminfo": "MemTotal:         800000 kB\n",
            "1/task/1/stat": stat(1, "init", "S", 0, 0, (4000, 1600)),
            "1/status": "Name:\tinit\nVmRSS:\t    1800 kB\nvoluntary_ctxt_switches:\t3\n",
            "1/smaps_rollup": "00400000 ---p [rollup]\nRss:                1840 kB\n",
            "2/task/2/stat": stat(2, "kthreadd", "S", 0, kernel),
            "2/status": "voluntary_ctxt_switches:\t3\n",
            "7/task/7/stat": stat(7, "kworker/0:1-events_unbound", "I", 2, kernel, cpu=1),
            "8/task/8/stat": stat(8, "a_long_name_of_a_kernel_thread", "D", 2, kernel),
            "20/task/20/stat": stat(20, "lab-threads", "S", 1, 0, (8000, 400)),
            "20/status": "VmRSS:\t     400 kB\n",
            "20/task/21/stat": stat(21, "lab thread (3)", "S", 1, 0, (8000, 400), 1),
            "22/task/22/stat": stat(22, "odd ) R 1 (x", "T", 1, 0),
            "23/task/23/stat": stat(23, "traced", "t", 1, 0),
            "24/task/24/stat": stat(24, "lab-leaderless", "Z", 1, 0),
            "24/task/25/stat": stat(25, "lab-thread-1", "S", 1, 0, (8000, 40000)),
            "30/task/30/stat": stat(30, "oracle", "R", 1, 0, (100, 8)),
            "30/status": "VmRSS:\t       8 kB\n",
        }  # fmt: skip
        paths = {path.replace("/", "_"): path for path in files}
        for name, content in changes.items():
            files[paths.get(name, name)] = content
        return tasks.Snapshot("".join(f"== {path} {len(text)}\n{text}\n" for path, text in files.items()).encode())

    def rows(self) -> list[dict[str, Any]]:
        """The right rows of `ps`."""

        def row(pid: int, tgid: int, parent: int, cpu: int, state: str, memory: tuple[int, int], comm: str) -> dict[str, Any]:
            kernel = pid in (0, 2, 7, 8)
            return {
                "pid": pid, "tgid": tgid, "ppid": parent, "cpu": cpu, "task": hex(0xFF11000000000000 + 4096 * (2 * pid + cpu)),
                "state": state, "mem_percent": memory[1] / 8000, "vsz_kib": memory[0], "rss_kib": memory[1], "comm": comm,
                "kernel_thread": kernel, "active": pid == 0,
            }  # fmt: skip

        return [
            row(0, 0, 0, 0, "RU", (0, 0), "swapper/0"), row(0, 0, 0, 1, "RU", (0, 0), "swapper/1"),
            row(1, 1, 0, 0, "IN", (4000, 1800), "init"), row(2, 2, 0, 0, "IN", (0, 0), "kthreadd"),
            row(7, 7, 2, 1, "ID", (0, 0), "kworker/0:1"), row(8, 8, 2, 0, "UN", (0, 0), "a_long_name_of_"),
            row(20, 20, 1, 0, "IN", (8000, 400), "lab-threads"), row(21, 20, 1, 1, "IN", (8000, 400), "lab thread (3)"),
            row(22, 22, 1, 0, "ST", (0, 0), "odd ) R 1 (x"), row(23, 23, 1, 0, "TR", (0, 0), "traced"),
            row(24, 24, 1, 0, "ZO", (0, 0), "lab-leaderless"), row(25, 24, 1, 0, "IN", (8000, 40100), "lab-thread-1"),
            row(30, 30, 1, 0, "IN", (100, 8), "oracle"),
        ]  # fmt: skip

    def problems(
        self, rows: list[dict[str, Any]], after: tasks.Snapshot | None = None, exactly: bool = True, least: int = 11
    ) -> list[str]:
        """What the check says of rows."""
        check = tasks.TaskCheck(self.snapshot(), after or self.snapshot(), rows, self.CPUS, exactly)
        return tasks.check_tasks(check, least)

    def changed(self, number: int, /, **changes: object) -> list[dict[str, Any]]:
        """The right rows but for some values of one."""
        return [{**row, **changes} if row["pid"] == number else row for row in self.rows()]

    def test_right(self) -> None:
        self.assertEqual(self.problems(self.rows()), [])

    def test_each_wrong_value(self) -> None:
        lies = {
            "pid": 99, "tgid": 3, "ppid": 3, "cpu": 5, "state": "DE", "vsz_kib": 77, "comm": "other", "mem_percent": 50.0,
            "task": "0x0", "rss_kib": 799999,
        }  # fmt: skip
        for row in self.rows():
            flipped = {"kernel_thread": not row["kernel_thread"], "active": not row["active"]}
            for column, lie in {**lies, **flipped}.items():
                if row["pid"] == 0 and column == "pid":
                    continue
                self.assertNotEqual(self.problems(self.changed(row["pid"], **{column: lie})), [], f"{column} of {row['pid']}")
        self.assertNotEqual(self.problems(self.changed(0, pid=98)), [])
        self.assertNotEqual(self.problems(self.changed(2, kernel_thread=1)), [], "a number is no bool")

    def test_presence(self) -> None:
        for number in range(len(self.rows())):
            self.assertNotEqual(self.problems(self.rows()[:number] + self.rows()[number + 1 :]), [])
        twice = [*self.rows(), {**self.rows()[4], "task": "0x1000"}]
        self.assertIn("twice", self.problems(twice)[0])
        stray = {**self.rows()[4], "pid": 9, "task": "0x1000"}
        self.assertIn("but not /proc: 9 ", self.problems([*self.rows(), stray])[0])
        new = [{**self.rows()[4], "pid": 31 + n, "task": hex(0x1000 + n)} for n in range(tasks.MOST_NEW + 1)]
        self.assertEqual(self.problems([*self.rows(), *new[:-1]]), [])
        self.assertNotEqual(self.problems([*self.rows(), *new]), [])

    def test_resident(self) -> None:
        def wrong(pid: int, kib: int, exactly: bool) -> bool:
            return bool(self.problems(self.changed(pid, rss_kib=kib, mem_percent=kib / 8000), exactly=exactly))

        self.assertTrue(wrong(1, 1840, True), "status counts exactly")
        self.assertTrue(wrong(1, 1600, True), "stat does not")
        self.assertFalse(wrong(1, 1840, False), "the page tables' count is right")
        self.assertTrue(wrong(1, 1836, False))
        for exactly, slack in ((True, 32 * 2 * 3 * 4), (False, 64 * 16 * 4)):
            for sign in (1, -1):
                self.assertFalse(wrong(25, 40000 + sign * slack, exactly))
                self.assertTrue(wrong(25, 40000 + sign * (slack + 4), exactly))

    def test_what_changes_is_left_out(self) -> None:
        stat = self.snapshot().files
        moved = stat["22/task/22/stat"].replace(") T 1", ") S 1")
        after = self.snapshot(**{"22_task_22_stat": moved})
        self.assertIn("ST", " ".join(self.problems(self.rows(), after, least=10)), "a needed state that was not compared")
        self.assertNotEqual(self.problems(self.changed(22, comm="x"), after), [])
        ran = self.snapshot(**{"2_status": "voluntary_ctxt_switches:\t4\n"})
        self.assertEqual(self.problems(self.changed(2, state="RU", cpu=1), ran), [])
        self.assertNotEqual(self.problems(self.changed(2, state="RU")), [])
        self.assertNotEqual(self.problems(self.changed(2, state="ZO"), ran), [])
        work = self.snapshot(**{"7_task_7_stat": stat["7/task/7/stat"].replace("-events_unbound", "+flush-8:0")})
        self.assertEqual(self.problems(self.rows(), work), [])
        self.assertNotEqual(self.problems(self.changed(7, comm="kworker/0:1-eve"), work), [])
        self.assertNotEqual(self.problems(self.changed(8, comm="a_long_name_of")), [])

    def test_floor_and_first_task(self) -> None:
        self.assertIn("Only", " ".join(self.problems(self.rows(), least=20)))
        first = kvista.address(self.rows()[0]["task"])
        self.assertEqual(tasks.check_first_task(first, self.rows()), [])
        for other in (first + 1, None):
            self.assertNotEqual(tasks.check_first_task(other, self.rows()), [])
        with self.assertRaises(lab.LabError):
            tasks.Snapshot(b"1 (init) S\n")

    def test_system(self) -> None:
        names = ("lab-guest", "6.1.0", "#1 SMP", "x86_64")
        row: dict[str, Any] = {
            "image": "x", "cpus": 2, "date": "2023-11-14T22:13:21Z", "uptime_seconds": 12, "load_average": "0.10, 0.20, 0.05",
            "tasks": 13, "nodename": names[0], "release": names[1], "version": names[2], "machine": names[3],
            "memory_bytes": 819200000, "panic": None,
        }  # fmt: skip
        same, later = self.snapshot(), self.snapshot(loadavg="0.30 0.20 0.05 1/9 30\n")
        self.assertEqual(tasks.check_system(same, same, row, 2, names), [])
        lies = {
            "cpus": 1, "date": "2023-11-14T22:14:00Z", "uptime_seconds": 15, "load_average": "0.11, 0.20, 0.05", "tasks": 12,
            "nodename": "(none)", "release": "6.1", "version": "#1", "machine": "i686", "memory_bytes": 819200001,
            "panic": "Oops",
        }  # fmt: skip
        for name, lie in lies.items():
            self.assertEqual(len(tasks.check_system(same, same, {**row, name: lie}, 2, names)), 1, name)
        for load in ("0.1, 0.20, 0.05", "0.10, 0.20, 0.06"):
            self.assertEqual(len(tasks.check_system(same, later, {**row, "load_average": load}, 2, names)), 1)
        for load in ("0.10, 0.20, 0.05", "0.30, 0.20, 0.05"):
            self.assertEqual(tasks.check_system(same, later, {**row, "load_average": load}, 2, names), [])
        self.assertEqual(tasks.check_system(same, same, {**row, "tasks": 15}, 2, names, 2), [])

    def test_same_answers(self) -> None:
        def report(*rows: dict[str, object]) -> kvista.Report:
            return kvista.Report(json.dumps({"tables": {"system": list(rows)}}), "x")

        row: dict[str, object] = {"image": "a", "cpus": 2}
        self.assertEqual(test_kernel.check_same(report(row), report({**row, "image": "b"}), "system"), [])
        self.assertNotEqual(test_kernel.check_same(report(row), report({**row, "cpus": 1}), "system"), [])
        self.assertNotEqual(test_kernel.check_same(report(row), report(), "system"), [])
        reports = {"system": report({"tasks": 1}), "tasks": kvista.Report('{"tables":{"tasks":[{}]}}', "x")}
        self.assertEqual(test_kernel.check_count(reports), [])
        reports["tasks"] = kvista.Report('{"tables":{"tasks":[{},{}]}}', "x")
        self.assertNotEqual(test_kernel.check_count(reports), [])


class Btf(unittest.TestCase):
    """BTF: each difference is found."""

    def extracted(self, got: dict[str, bytes], want: dict[str, bytes]) -> list[str]:
        """What the check says of two directories."""
        with tempfile.TemporaryDirectory() as folder:
            for name, files in (("got", got), ("want", want)):
                (Path(folder) / name).mkdir()
                for file, content in files.items():
                    (Path(folder) / name / file).write_bytes(content)
            return btf.check_extracted(Path(folder) / "want", Path(folder) / "got")

    def test_extracted(self) -> None:
        right = {"vmlinux": b"abc", "ext4": b"de"}
        self.assertEqual(self.extracted(right, right), [])
        self.assertIn("does not find", self.extracted({"vmlinux": b"abc"}, right)[0])
        self.assertIn("does not have", self.extracted({**right, "x": b""}, right)[0])
        self.assertIn("at byte 1", self.extracted({**right, "ext4": b"dx"}, right)[0])
        self.assertIn("at byte 2", self.extracted({**right, "ext4": b"dex"}, right)[0])
        self.assertNotEqual(self.extracted({}, {}), [])

    def test_lines(self) -> None:
        lines = [b"[1] STRUCT 'a' size=4 vlen=1\n", b"\t'b' type_id=2 bits_offset=0\n", b"[2] INT 'int' size=4\n"]
        self.assertEqual(btf.compare_lines(lines, lines, "x"), (2, []))
        for number in range(3):
            wrong = [*lines[:number], b"[9] INT\n", *lines[number + 1 :]]
            self.assertIn(f"line {number + 1}", btf.compare_lines(lines, wrong, "x")[1][0])
        self.assertIn("kvista has nothing", btf.compare_lines(lines, lines[:2], "x")[1][0])
        self.assertIn("bpftool nothing", btf.compare_lines(lines[:2], lines, "x")[1][0])
        self.assertEqual(len(btf.compare_lines(lines * 9, [b"x"], "x")[1]), btf.SHOWN + 1)

    def test_raw(self) -> None:
        class Echo(full_peers.Peers):
            """A bpftool that prints what it is to show."""

            def command(self, program: str, *arguments: str) -> list[str]:
                return ["cat", arguments[arguments.index("file") + 1]]

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files, tool = folder / "btf", folder / "tool"
            files.mkdir()
            for file, text in (("vmlinux", "[1] INT 'int'\n"), ("ext4", "[2] FUNC 'f'\n")):
                (files / file).write_text(text, "utf-8")
            for script, least, right in (('cat "$2"', 2, True), ('cat "$2"', 3, False), ("echo x", 0, False)):
                tool.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
                tool.chmod(0o755)
                self.assertEqual(btf.check_raw(tool, Echo(folder), files, folder, least) == [], right)


class Drgn(unittest.TestCase):
    """How values are read from kvista's output and compared with drgn's."""

    RULES = (("no_debuginfo", "label"), ("padding", "text"))

    def verdict(self, **changes: Any) -> list[str]:
        """What is said of three variables of which one side's are changed."""
        plain = full_drgn.Variable(16, "int *", 4, {"plain": 1})
        text = full_drgn.Variable(32, "char (*)[10]", 10, {"text": "words"})
        theirs = {"plain": plain, "text": text}
        padded = dataclasses.replace(text, pointer="char (*)[16]", size=16)
        ours = {"plain": dataclasses.replace(plain, **changes), "text": padded, "label": plain}
        rules = full_drgn.Rules([{"name": name, "variables": [variable]} for name, variable in self.RULES])
        return [line for line in full_drgn.check(ours, theirs, rules) if not line.startswith("At least")]

    def test_scalars(self) -> None:
        for text, want in (
            ("-5", -5), ("0xff", 255), ("true", 1), ("97 'a'", 97), ("44 ','", 44), ("SYSTEM_RUNNING", "SYSTEM_RUNNING"),
            ("0xffffffff81000000 <schedule+0x10 [ext4]>", 0xFFFFFFFF81000000), (r'"a\"\\\n\011"', 'a"\\\n\t'), ('""', ""),
            ("<not readable: not mapped>", None),
        ):
            self.assertEqual(full_drgn.parse_value("x", text), {"x": want})
        with self.assertRaises(lab.LabError):
            full_drgn.parse_scalar("1 2")

    def test_arrays(self) -> None:
        self.assertEqual(full_drgn.parse_value("x", "{1, 0 <repeats 5 times>, ...}"),
                         {"x[0]": 1, **{f"x[{at}]": 0 for at in range(1, 6)}})
        self.assertEqual(full_drgn.parse_value("x", "{0x10 <f [m]>, 0x0}"), {"x[0]": 16, "x[1]": 0})
        self.assertEqual(full_drgn.parse_value("x", "{}"), {})
        with self.assertRaises(lab.LabError):
            full_drgn.parse_value("x", "{1; 2}")

    def test_differences(self) -> None:
        self.assertEqual(self.verdict(), [])
        for changes in ({"address": 1}, {"pointer": "long *"}, {"size": 8}, {"scalars": {"plain": 2}}):
            self.assertEqual(len(self.verdict(**changes)), 1, changes)
        self.assertEqual(len(self.verdict(scalars={"other": 1})), 2)
        self.assertIn("At least", full_drgn.check({}, {}, full_drgn.Rules([{"name": n, "variables": []} for n, _ in self.RULES]))[0])

    def test_vanished(self) -> None:
        rules = full_drgn.Rules([{"name": name, "variables": ["gone"]} for name, _ in self.RULES])
        self.assertEqual(len(rules.vanished()), len(self.RULES))


if __name__ == "__main__":
    unittest.main()
