"""Tests of the lab's own judgement: that it fails when it must. They need no guest."""

from __future__ import annotations

import json
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import answers
import compare
import facts
import forms
import initramfs
import kvista
import lab
import logs
import pageflags as pf
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
        "utsname": "lab-guest\n6.1.0\n#1 SMP\nx86_64\n",
        "kcore_headers": b"\x7fELF\x02\x01\x01" + bytes(57),
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

    def test_free(self) -> None:
        for lists, difference, want in ((7, 0, 0), (6, 1, 1), (None, None, 1)):
            check = {"counted": 7, "free_lists": lists, "difference": difference}
            tables = {"pages": [{"type": "FREE", "pages": 7}], "free_check": [check]}
            report = kvista.Report(json.dumps({"tables": tables}), "x")
            self.assertEqual(len(facts.check_free(report, 7, 7, 0)), want, str(lists))

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


if __name__ == "__main__":
    unittest.main()
