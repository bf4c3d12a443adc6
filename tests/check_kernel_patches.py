#!/usr/bin/env python3
"""Checks the patches of kernel/: check_kernel_patches.py SOURCE.

Each must be whole (a kernel commit message, hunks whose headers count right, files that git can patch), all must add the
same lines, and these must compile without a warning, with PAGE_OFFSET as a variable and as a constant, and print what
the parsers of VMCOREINFO take: a signed decimal number. Whether they apply to a kernel is for ./test --full.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

FUNCTION_FILES = {
    "vmcore_info_64": "arch/x86/kernel/vmcore_info_64.c",
    "crash_core_64": "arch/x86/kernel/crash_core_64.c",
    "machine_kexec_64": "arch/x86/kernel/machine_kexec_64.c",
}
DOCUMENT = "Documentation/admin-guide/kdump/vmcoreinfo.rst"
WITHOUT_DOCUMENT = ("machine_kexec_64",)
HUNK = re.compile(r"^@@ -(\d+),(\d+) \+(\d+),(\d+) @@")
MOST_COLUMNS = 75

PROGRAM = """
#include <stdarg.h>
#include <stdio.h>
__attribute__((format(printf, 1, 2))) static void vmcoreinfo_append_str(const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}
%s
#define PAGE_OFFSET ((unsigned long)__PAGE_OFFSET)
int main(void) {
%s
	return 0;
}
"""
LAYOUTS = {
    "a variable": "static unsigned long page_offset_base = 0xff4baf7cc0000000UL;\n#define __PAGE_OFFSET page_offset_base",
    "the constant": "#define __PAGE_OFFSET 0xffff888000000000UL",
}
PRINTED = {
    "a variable": "NUMBER(page_offset_base)=-50754020452597760\n",
    "the constant": "NUMBER(page_offset_base)=-131391639519232\n",
}


class Patch:
    """A patch taken apart: its message, and the hunks of each file as (numbers, lines)."""

    def __init__(self, text):
        self.message, _, self.difference = text.partition("\n---\n")
        self.files = {}
        name = None
        for line in self.difference.splitlines():
            header = HUNK.match(line)
            if line.startswith("+++ b/"):
                name = line[6:]
                self.files[name] = []
            elif header:
                self.files[name].append(([int(number) for number in header.groups()], []))
            elif line.startswith(("diff ", "--- ")):
                name = None if line.startswith("diff ") else name
            elif name is not None and self.files[name]:
                self.files[name][-1][1].append(line)

    def added(self, name):
        """The lines that it adds to a file."""
        return [line[1:] for _, lines in self.files.get(name, []) for line in lines if line.startswith("+")]


def message_faults(patch):
    """What is wrong with a commit message."""
    subject, _, rest = patch.message.partition("\n")
    if not re.match(r"^Subject: \[PATCH\] x86/\w+: [A-Z].*[^.]$", subject) or not rest.startswith("\n"):
        yield f"the message begins with {subject!r}, not with a subject and an empty line"
    for line in patch.message.splitlines():
        if len(line.removeprefix("Subject: [PATCH] ")) > MOST_COLUMNS:
            yield f"a line of the message has more than {MOST_COLUMNS} columns: {line!r}"


def hunk_faults(patch):
    """What is wrong with the hunks: only whole context and added lines, as many as the headers say."""
    for name, hunks in patch.files.items():
        if not hunks:
            yield f"no hunk for {name}"
        for (_, old, _, new), lines in hunks:
            kept = sum(line.startswith(" ") for line in lines)
            more = sum(line.startswith("+") for line in lines)
            if kept + more != len(lines) or kept != old or kept + more != new:
                yield f"{name}: the hunk of {old} and {new} lines holds {kept} lines of context and adds {more}"
            if not lines[:3] == [line for line in lines[:3] if line.startswith(" ")]:
                yield f"{name}: the hunk begins with fewer than three lines of context"


def applies(patch_file, patch):
    """Whether git applies the patch to files that hold what its hunks expect; the fault otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        for name, hunks in patch.files.items():
            lines = []
            for (start, _, _, _), content in hunks:
                lines += ["filler"] * (start - 1 - len(lines))
                lines += [line[1:] for line in content if line.startswith(" ")]
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([*lines, "filler"]) + "\n", encoding="utf-8")
        # Inside a work tree git apply passes over files that are not part of it, without a word.
        environment = {"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(pathlib.Path(folder).parent)}
        done = subprocess.run(
            ["git", "apply", "--whitespace=error-all", str(patch_file)],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )
        if done.returncode != 0:
            yield f"git does not apply it: {done.stderr.strip()}"
        for name in patch.files:
            text = pathlib.Path(folder, name).read_text(encoding="utf-8")
            if "page_offset_base" not in text:
                yield f"after it, {name} has no page_offset_base"


def printed(code, layout):
    """What the added lines print, compiled as the kernel does: warnings about formats are errors."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "note.c"), pathlib.Path(folder, "note")
        source.write_text(PROGRAM % (LAYOUTS[layout], code), encoding="utf-8")
        command = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"does not compile: {done.stderr}"
        return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout


def faults(folder):
    """All that is wrong with the patches of a folder."""
    found = {path.stem: path for path in folder.glob("*.patch")}
    if sorted(found) != sorted(FUNCTION_FILES):
        yield f"there are patches {sorted(found)} instead of {sorted(FUNCTION_FILES)}"
        return
    codes, texts = set(), set()
    for name, path in found.items():
        patch = Patch(path.read_text(encoding="utf-8"))
        want = {FUNCTION_FILES[name]} | ({DOCUMENT} if name not in WITHOUT_DOCUMENT else set())
        if set(patch.files) != want:
            yield f"{path.name} changes {sorted(patch.files)} instead of {sorted(want)}"
        for fault in [*message_faults(patch), *hunk_faults(patch), *applies(path, patch)]:
            yield f"{path.name}: {fault}"
        codes.add("\n".join(patch.added(FUNCTION_FILES[name])))
        if name not in WITHOUT_DOCUMENT:
            texts.add("\n".join(patch.added(DOCUMENT)))
    if len(codes) != 1 or len(texts) != 1:
        yield "the patches do not all add the same lines"
        return
    code = codes.pop()
    for layout, want in PRINTED.items():
        have = printed(code, layout)
        if have != want:
            yield f"with PAGE_OFFSET as {layout} the added lines print {have!r} instead of {want!r}"


def main():
    found = list(faults(pathlib.Path(sys.argv[1]).resolve() / "kernel"))
    for fault in found:
        print(f"kernel/: {fault}")
    print(f"{len(found)} faults" if found else "the patches are whole, and print what they should")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
