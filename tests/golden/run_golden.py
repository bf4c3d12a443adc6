#!/usr/bin/env python3
"""Golden tests: a command in, its exact output, exit status and limits out. Cases are files of text.

    run_golden.py --kvista PROGRAM --make-image PROGRAM [--update] [--only WORD] FILE.golden ...

README.md says how a case is written. --update writes what kvista does now into the files: read the difference.
"""
import argparse
import dataclasses
import difflib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import made_files
import schema

TIME_LIMIT = 10.0  # seconds: a hang is a failure
MEMORY_LIMIT = 40 << 10  # KiB of resident memory
EXPECTATIONS = ("STATUS", "STDOUT", "STDERR")
# In place of STDOUT or STDERR: text that must be in it. For what a library words, differently in each version.
LOOSE = {"STDOUT": "HAS", "STDERR": "COMPLAINS"}
BLOCK = "|"
# What a command line can begin with: all the same program.
NAMES = ("kvista", "makedumpfile")
SHELL = re.compile(r" (\||<|>|&&|;) ")  # commands that are joined, or a file as standard input or output


@dataclasses.dataclass
class Statement:
    word: str
    rest: str
    block: list[str]
    lines: list[str]  # as they stand in the file, comments before it included

    def text(self) -> str:
        return "".join(line + "\n" for line in self.block)


@dataclasses.dataclass
class Case:
    name: str
    statements: list[Statement]

    def last(self, word: str) -> Statement | None:
        found = [s for s in self.statements if s.word == word]
        return found[-1] if found else None


@dataclasses.dataclass
class Outcome:
    status: int
    stdout: str
    stderr: str
    faults: list[str]


def parse_statements(text: str) -> list[Statement]:
    statements: list[Statement] = []
    pending: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(BLOCK):
            if pending or not statements:
                raise SystemExit(f"line {number}: a block without a statement")
            statements[-1].block.append(line[len(BLOCK) :])
            statements[-1].lines.append(line)
        elif not line.strip() or line.startswith("#"):
            pending.append(line)
        else:
            word, _, rest = line.partition(" ")
            statements.append(Statement(word, rest.strip(), [], pending + [line]))
            pending = []
    return statements


def parse_cases(text: str) -> tuple[list[Statement], list[Case]]:
    """The statements before the first NAME, which all cases share, and the cases."""
    common: list[Statement] = []
    cases: list[Case] = []
    for statement in parse_statements(text):
        if statement.word == "NAME":
            cases.append(Case(statement.rest, [statement]))
        elif cases:
            cases[-1].statements.append(statement)
        else:
            common.append(statement)
    return common, cases


class Scene:
    """A directory with the files that a case asks for. The next case with the same ones uses it again, less what
    the case before has made; where that has changed them, they are made anew."""

    def __init__(self, make_image: str):
        self.make_image = make_image
        self.key: list[tuple[str, str, str]] | None = None
        self.made: dict[str, tuple[int, int]] = {}
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kvista-golden-"))

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def prepare(self, common: list[Statement], case: Case) -> None:
        makers = {"IMAGE": self.image, "FILE": self.text_file, "BYTES": self.byte_file, "ELF": self.elf, "S390": self.s390_dump,
                  "COMPILE": self.compile, "PATCH": self.patch, "DIRECTORY": self.make_directory}
        asked = [s for s in common + case.statements if s.word in makers]
        images = [s for s in asked if s.word == "IMAGE"]
        # A case's own image replaces the common one, unless it adds to it.
        base = max((i for i, s in enumerate(images) if s.rest != "+"), default=0)
        description = "".join(s.text() for s in images[base:])
        makes = [(s.word, s.rest, s.text()) for s in asked if s.word != "IMAGE"]
        key = [("IMAGE", "", description)] * bool(images) + makes
        if key == self.key and self.restore():
            return
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        self.key = None
        for word, rest, text in key:
            makers[word](rest, text)
        self.key = key
        self.made = self.listing()

    def listing(self) -> dict[str, tuple[int, int]]:
        return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in self.directory.iterdir()}

    def restore(self) -> bool:
        """Removes what is more than the scene; whether the rest is as it was made."""
        for name in self.listing().keys() - self.made.keys():
            (self.directory / name).unlink()
        return self.listing() == self.made

    def image(self, _rest: str, text: str) -> None:
        description = self.directory / "description"
        description.write_text(text)
        subprocess.run([self.make_image, str(description), str(self.directory / "vmcore")], check=True)
        description.unlink()

    def text_file(self, rest: str, text: str) -> None:
        (self.directory / rest).write_text(text)

    def byte_file(self, rest: str, text: str) -> None:
        name, _, hexadecimal = rest.partition(" ")
        (self.directory / name).write_bytes(bytes.fromhex(hexadecimal))

    def elf(self, rest: str, text: str) -> None:
        name, _, options = rest.partition(" ")
        made_files.write_elf(self.directory / name, options, text)

    def s390_dump(self, rest: str, text: str) -> None:
        name, _, options = rest.partition(" ")
        made_files.write_s390_dump(self.directory / name, options, text)

    def compile(self, rest: str, text: str) -> None:
        name, _, options = rest.partition(" ")
        subprocess.run(["gcc", "-x", "c", "-", "-o", name, *shlex.split(options)], input=text, text=True, check=True, cwd=self.directory)

    def patch(self, rest: str, _text: str) -> None:
        offset, _, hexadecimal = rest.partition(" ")
        with open(self.directory / "vmcore", "r+b") as file:
            file.seek(int(offset, 0))
            file.write(bytes.fromhex(hexadecimal))

    def make_directory(self, rest: str, _text: str) -> None:
        (self.directory / rest).mkdir()


def wait(pid: int, started: float) -> tuple[int, int, bool]:
    """Exit status (negative: a signal), KiB of memory, and whether it had to be killed."""
    killed = False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss, killed
        if not killed and time.monotonic() - started > TIME_LIMIT:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.002)


class Names:
    """A directory with the program under each name that a command line may begin with."""

    def __init__(self, kvista: str):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kvista-names-"))
        for name in NAMES:
            (self.directory / name).symlink_to(kvista)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def arguments(self, command: str) -> tuple[list[str], str]:
        """What is executed for a command, and its PATH: a shell where several are joined."""
        words = shlex.split(command)
        if words[0] not in NAMES:
            raise SystemExit(f"RUN {command}: must begin with one of {', '.join(NAMES)}")
        if SHELL.search(command):
            return ["/bin/sh", "-c", command], f"{self.directory}:/usr/bin:/bin"
        return [str(self.directory / words[0])] + words[1:], "/nowhere"


def run(names: Names, command: str, output: str, directory: pathlib.Path) -> Outcome:
    arguments, path = names.arguments(command)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        target = open("/dev/full", "wb") if output == "full" else out
        close_stdout = (lambda: os.close(1)) if output == "closed" else None
        started = time.monotonic()
        child = subprocess.Popen(arguments, cwd=directory, stdin=subprocess.DEVNULL, stdout=target, stderr=err,
                                 env={"PATH": path, "TZ": "Asia/Tokyo"}, preexec_fn=close_stdout)
        status, memory, killed = wait(child.pid, started)
        child.returncode = status
        if target is not out:
            target.close()
        out.seek(0)
        err.seek(0)
        outcome = Outcome(status, out.read().decode(errors="backslashreplace"), err.read().decode(errors="backslashreplace"), [])
    if killed:
        outcome.faults.append(f"it did not end within {TIME_LIMIT:g} s")
    elif status < 0:
        outcome.faults.append(f"it was ended by signal {-status}")
    # This counts the fork of this interpreter too, so that it is an upper bound.
    if memory > MEMORY_LIMIT:
        outcome.faults.append(f"it took {memory} KiB of memory, more than {MEMORY_LIMIT}")
    return outcome


def version_of(kvista: str) -> str:
    text = subprocess.run([kvista, "--version"], check=True, capture_output=True, text=True).stdout
    return text.split()[1]


def check_json(kvista: str, command: str, outcome: Outcome) -> list[str]:
    """Faults of a --json output against the command's own schema."""
    words = shlex.split(command)
    if "--json" not in words or outcome.status == 3 or SHELL.search(command):
        return []
    # Before the command stand only -c and its image.
    name = next(word for at, word in enumerate(words) if at > 0 and word[0] != "-" and words[at - 1] != "-c")
    printed = subprocess.run([kvista, "schema", name], check=True, capture_output=True, text=True).stdout
    return schema.faults_of(printed, outcome.stdout)


def as_lines(text: str, placeholders: dict[str, str]) -> list[str]:
    for value, name in placeholders.items():
        text = text.replace(value, name)
    if text and not text.endswith("\n"):
        text += "\\ no newline at the end\n"
    return text.splitlines()


def compare(what: str, expected: list[str], found: list[str]) -> list[str]:
    if expected == found:
        return []
    return ["\n".join(difflib.unified_diff(expected, found, f"{what} expected", f"{what} found", lineterm=""))]


class Tester:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.placeholders = {f"kvista {version_of(options.kvista)}\n": "kvista {version}\n"}
        self.scene = Scene(options.make_image)
        self.names = Names(options.kvista)

    def judge(self, common: list[Statement], case: Case) -> tuple[dict[str, list[str] | str], list[str]]:
        """What a case's expectations would have to be, and what is wrong beyond them."""
        command = case.last("RUN")
        if command is None:
            raise SystemExit(f"{case.name}: no RUN")
        self.scene.prepare(common, case)
        output = case.last("OUTPUT")
        outcome = run(self.names, command.rest, output.rest if output else "", self.scene.directory)
        faults = outcome.faults
        if not output:
            faults += check_json(self.options.kvista, command.rest, outcome)
        if re.search(r"terminate called|Assertion|Sanitizer|std::", outcome.stderr):
            faults.append("standard error shows an internal fault")
        found: dict[str, list[str] | str] = {"STATUS": str(outcome.status)}
        found["STDOUT"] = as_lines(outcome.stdout, self.placeholders)
        found["STDERR"] = as_lines(outcome.stderr, self.placeholders)
        return found, faults

    def check(self, common: list[Statement], case: Case) -> list[str]:
        found, faults = self.judge(common, case)
        status = case.last("STATUS")
        faults += compare("status", [status.rest if status else "?"], [str(found["STATUS"])])
        for word, loose in LOOSE.items():
            statement = case.last(word)
            if case.last(loose):
                faults += self.missing(case.last(loose).block, list(found[word]), word)
            else:
                faults += compare(word, statement.block if statement else [], list(found[word]))
        return faults

    @staticmethod
    def missing(wanted: list[str], found: list[str], word: str) -> list[str]:
        whole = " ".join(" ".join(found).split())
        return [f"{word} lacks {line!r}, it has:\n" + "\n".join(found) for line in wanted if line.strip() not in whole]

    def update(self, common: list[Statement], case: Case) -> list[str]:
        """The case's lines with what kvista does now."""
        found, faults = self.judge(common, case)
        for word, loose in LOOSE.items():
            if case.last(loose):
                faults += self.missing(case.last(loose).block, list(found[word]), word)
        for fault in faults:
            print(f"{case.name}: {fault}")
        lines = [line for s in case.statements if s.word not in EXPECTATIONS for line in s.lines]
        lines.append(f"STATUS {found['STATUS']}")
        for word, loose in LOOSE.items():
            if found[word] and not case.last(loose):
                lines += [word] + [BLOCK + line for line in found[word]]
        return lines

    def run_file(self, path: pathlib.Path) -> tuple[int, int]:
        """Cases run, and cases failed."""
        common, cases = parse_cases(path.read_text())
        if self.options.update:
            lines = [line for s in common for line in s.lines]
            for case in cases:
                lines += self.update(common, case)
            path.write_text("\n".join(lines) + "\n")
            return len(cases), 0
        failed = 0
        chosen = [case for case in cases if self.options.only in case.name]
        for case in chosen:
            faults = self.check(common, case)
            failed += bool(faults)
            if faults:
                print(f"FAILED {path.name}: {case.name}\n" + "\n".join(faults))
        return len(chosen), failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kvista", required=True)
    parser.add_argument("--make-image", required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--only", default="", metavar="WORD", help="only cases whose name has it")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    options.kvista = os.path.abspath(options.kvista)
    options.make_image = os.path.abspath(options.make_image)
    tester = Tester(options)
    total = failures = 0
    try:
        for path in options.files:
            cases, failed = tester.run_file(path)
            total += cases
            failures += failed
    finally:
        tester.scene.close()
        tester.names.close()
    print(f"{total} cases, {failures} failed")
    return int(failures > 0 or total == 0)


if __name__ == "__main__":
    sys.exit(main())
