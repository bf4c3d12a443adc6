"""The memory of one guest in every file format: kvista must say of each file what it says of the ELF dump."""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import answers
import capture
import forms
import full_peers
import kvista
import lab
from answers import Differences
from dumpfile import PAGE, Dump
from test_lab import Trial

DIFFERENCES = Path(__file__).resolve().parent / "makedumpfile_differences.toml"
SLICE = 256 << 20
WRITTEN = 9
"""Of ten pages, those that an incomplete dump holds."""


class Rewriting:
    """One capture and the comparisons of its other files with its ELF dump."""

    def __init__(self, trial: Trial, binary: Path, tool: Path, rewrite: Path, found: capture.Capture) -> None:
        self._trial, self._binary, self._rewrite, self._found = trial, binary, rewrite, found
        self._classes = kvista.page_classes(tool, found.dump)
        self._want = answers.ask(binary, [str(found.dump)])

    def compare(self, name: str, images: Sequence[str], rules: Differences, partial: bool = False) -> list[str]:
        """Compare one image."""
        result = answers.Comparison(self._want, answers.ask(self._binary, images, partial), rules)
        print(f"  {name}: {result.describe()}")
        return result.problems

    def _step(self, name: str, action: Callable[[Path], list[str]]) -> None:
        """A step with a directory for its files."""

        def with_folder() -> list[str]:
            with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
                return action(Path(folder))

        self._trial.step(name, with_folder)

    def raw_rules(self) -> Differences:
        """Raw memory has every frame below its end: more than RAM, and nothing behind."""
        dump = Dump(self._found.dump)
        try:
            end = self._found.raw.stat().st_size // PAGE
            holes = dump.present()[:end].count(0)
        finally:
            dump.close()
        beyond = self._want.pages().get("NO_STRUCT_PAGE", 0)
        return Differences({"KERN_DATA": holes, "reserved": holes, "NO_STRUCT_PAGE": -beyond})

    def from_qemu(self) -> None:
        """The files that QEMU wrote."""
        raw, kdump = self._found.raw, self._found.kdump
        self._step("QEMU's flattened kdump", lambda _: self.compare("kdump", [str(kdump)], Differences()))
        self._step("QEMU's raw memory", lambda _: self.compare("raw", [f"{raw}@0"], self.raw_rules()))

        def in_slices(folder: Path) -> list[str]:
            lab.run(["split", f"--bytes={SLICE}", "--numeric-suffixes", str(raw), str(folder / "raw.")], "cutting raw memory")
            parts = sorted(folder.iterdir())
            images = [f"{path}@{number * SLICE:#x}" for number, path in enumerate(parts)]
            return self.compare(f"raw in {len(parts)} files", images[::-1], self.raw_rules())

        self._step("raw memory in several files", in_slices)

    def rewritten(self, form: forms.Form) -> None:
        """A file of the tests' own builder."""

        def action(folder: Path) -> list[str]:
            images = forms.write(form, self._rewrite, self._found.dump, self._classes, folder)
            filtered = form.lacks_zeros or form.level != forms.EVERYTHING
            rules = Differences(filtered=filtered, kernel_data_missing=None if form.lacks_zeros else False)
            return self.compare(form.name, [str(image) for image in images], rules, partial=rules.filtered)

        self._step(form.name, action)

    def by_peer(self, peers: full_peers.Peers) -> None:
        """The files that makedumpfile writes. Its kdump-compressed ones end at the last frame with a struct page."""
        about = self._found.about
        rules = tomllib.loads(DIFFERENCES.read_text("utf-8"))["difference"]
        captures = next(rule["captures"] for rule in rules if rule["name"] == "tail_taken_for_user")
        takes_tails = f"{about['suite']}-{about['variant']}" in captures
        beyond = {"NO_STRUCT_PAGE": -self._want.pages().get("NO_STRUCT_PAGE", 0)}
        with tempfile.TemporaryDirectory(dir=lab.cache_dir()) as folder:
            image = Path(folder) / "dump.elf"
            lab.run(["cp", "--sparse=always", str(self._found.dump), str(image)], "copying the dump")
            image.chmod(0o600)
            full_peers.move_program_headers(image)
            for form in forms.PEER_FORMS:
                filtered = form.level == forms.CACHE_USER_FREE
                missing = filtered and (takes_tails or form.is_elf)
                pages = {} if form.is_elf else beyond
                self._peer_form(form, peers, image, Differences(pages, filtered, missing))

    def _peer_form(self, form: forms.PeerForm, peers: full_peers.Peers, image: Path, rules: Differences) -> None:
        """One file of makedumpfile's."""

        def action(folder: Path) -> list[str]:
            images = forms.write_by_peer(form, peers, image, folder)
            return self.compare(form.name, [str(path) for path in images], rules, partial=rules.filtered)

        self._step(form.name, action)

    def incomplete(self) -> None:
        """A dump whose writer ran out of room: what is said is right, and that something is missing is said."""

        def action(folder: Path) -> list[str]:
            pages = len(self._classes) * WRITTEN // 10
            form = forms.kdump("incomplete", f"codec=lzo pages={pages}")
            (image,) = forms.write(form, self._rewrite, self._found.dump, self._classes, folder)
            info = kvista.run(self._binary, "info", str(image))
            want = self._want.info.facts()
            right = [name for name, row in info.facts().items() if row["value"] == want[name]["value"]]
            wrong = sorted(info.facts().keys() - right)
            usage = kvista.run(self._binary, "mem-usage", str(image), statuses=(0, 1, 2))
            print(f"  incomplete: {len(right)} facts; {info.warnings[0]}; {usage.warnings[-1]}")
            problems = [f"info: {name} is wrong in an incomplete dump." for name in wrong]
            if len(right) < answers.LEAST_FACTS - 2:
                problems.append(f"Only {len(right)} facts were found in an incomplete dump.")
            if "incomplete" not in info.warnings[0]:
                problems.append(f"info does not say that the dump is incomplete: {info.warnings}.")
            return problems

        self._step("incomplete kdump", action)


def main() -> int:
    """Rewrite one capture, compare, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--classes", type=Path, required=True, help="the test tool page_classes")
    parser.add_argument("--rewrite", type=Path, required=True, help="the test tool rewrite_image")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=lab.VARIANTS, required=True)
    parser.add_argument("--full", action="store_true", help="every format with every codec")
    arguments = parser.parse_args()
    found = capture.capture(arguments.suite, arguments.variant)
    print(found.describe(), flush=True)
    trial = Trial()
    rewriting = Rewriting(trial, arguments.kvista, arguments.classes, arguments.rewrite, found)
    rewriting.from_qemu()
    for form in forms.FORMS:
        if arguments.full or form.quick:
            rewriting.rewritten(form)
    if arguments.full:
        rewriting.incomplete()
        rewriting.by_peer(full_peers.fetch())
    print(f"{len(trial.problems)} problems" if trial.problems else "no problem", flush=True)
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
