"""Tests of how the lab judges symbols, modules, tasks, types and values: that it fails when it must. They need no guest."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

import btf
import full_drgn
import full_peers
import kvista
import lab
import symbols
import tasks
import test_kernel


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
