#!/usr/bin/env python3
"""The manual page and the completion: test_documents.py --kvista PROGRAM.

Both are made from the descriptions of the commands. Here: the page names every command and option that the command's
own help names, man(1)'s formatter has nothing to complain of, and an interactive bash completes as the table below says.
"""
import argparse
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

LEAST_OPTIONS = 20
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO")
# What is typed before TAB, and what then stands on the line.
TYPED = [
    ("kvista mem", "kvista mem-usage "),
    ("kvista info --exp", "kvista info --explain "),
    ("kvista -c vmco", "kvista -c vmcore "),
    ("kvista -c vmcore vt", "kvista -c vmcore vtop "),
    ("kvista -c mem mem", "kvista -c mem mem-usage "),  # an image that is named as a command begins
    ("kvista mem-usage vmc", "kvista mem-usage vmcore "),
    ("kvista mem-usage sub", "kvista mem-usage subdirectory/"),
    ("kvista mem-usage --lev", "kvista mem-usage --levels "),
    ("kvista dmesg -l eme", "kvista dmesg -l emerg "),
    ("kvista dmesg --level=eme", "kvista dmesg --level=emerg "),
    ("kvista info --set phys_b", "kvista info --set phys_base="),
    ("kvista info --vmcoreinfo vmc", "kvista info --vmcoreinfo vmcore "),
    ("kvista schema inf", "kvista schema info "),
    ("kvista help --completion b", "kvista help --completion bash "),
    ("kvista vtop vmc", "kvista vtop vmc"),  # an address is no file
    ("kvista vtop --js", "kvista vtop --json "),
    ("kvista nothing vmc", "kvista nothing vmc"),
]


def output_of(*command, text=None):
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with status {done.returncode}: {done.stderr}")
    return done


def commands_of(kvista):
    """Each command that the help names, and the options that its own help names."""
    listed = output_of(kvista, "--help").stdout.split("Subcommands:")[1]
    names = re.findall(r"^  (\w[\w-]*) ", listed, re.MULTILINE)
    return {name: re.findall(r"(?<![\w-])(--[\w-]+)", output_of(kvista, name, "-h").stdout.split("Options:")[1].split("Example:")[0])
            for name in names}


def check_manual(kvista):
    page = output_of(kvista, "help", "--man").stdout
    plain = page.replace("\\-", "-")
    missing = [section for section in SECTIONS if f".SH {section}\n" not in page]
    options = 0
    for name, names in commands_of(kvista).items():
        missing += [] if f".SS {name}\n" in plain else [name]
        missing += [option for option in names if f"\\fB{option}\\fP" not in plain]
        options += len(names)
    if missing or options < LEAST_OPTIONS:
        sys.exit(f"the manual page lacks {missing}, of {options} options")
    for status in range(4):
        if f".TP\n\\fB{status}\\fP\n" not in page:
            sys.exit(f"the manual page lacks exit status {status}")
    for tool, *rest in (("man", "-l", "--warnings=all", "-Tutf8", "-"), ("mandoc", "-Tlint", "-Wwarning")):
        if shutil.which(tool):
            complaints = subprocess.run([tool, *rest], input=page, capture_output=True, text=True, check=False,
                                        env=dict(os.environ, MANPAGER="cat", MANWIDTH="100", LC_ALL="C.UTF-8"))
            said = complaints.stderr if tool == "man" else complaints.stdout
            said = "\n".join(line for line in said.splitlines() if "missing date" not in line)
            if complaints.returncode > 2 or said.strip():
                sys.exit(f"{tool} complains of the manual page: {said}")
    return options


class Bash:
    """An interactive bash on a terminal of its own."""

    PROMPT = "ready> "

    def __init__(self, script, directory):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            env = {"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "", "HOME": str(directory)}
            os.execvpe("bash", ["bash", "--noprofile", "--norc", "-i"], env)
        # What is typed is shown, too: neither the prompt nor the word that is waited for stands in it.
        start, end = self.PROMPT[:3], self.PROMPT[3:]
        setting = f"bind 'set bell-style none'; source {script}; stty cols 500; PS1='{start}''{end}'; echo $((41+1))nd"
        os.write(self.terminal, f"{setting}\n".encode())
        self.read_until(lambda seen: "42nd" in seen and seen.endswith(self.PROMPT))

    def read_until(self, done, limit=10.0):
        seen = ""
        end = time.monotonic() + limit
        while not done(seen) and time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.1)[0]:
                seen += os.read(self.terminal, 65536).decode(errors="replace")
        return seen

    def complete(self, typed):
        """The line after TAB: a mark typed behind it shows where it ends."""
        os.write(self.terminal, f"{typed}\t#END#".encode())
        seen = self.read_until(lambda text: "#END#" in text)
        # Ctrl-U draws the prompt too: only what a command has put out shows that the next one is ready.
        os.write(self.terminal, b"\x15echo $((41+1))nd\n")
        self.read_until(lambda text: "42nd" in text and text.endswith(self.PROMPT))
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.split("#END#")[0].split(self.PROMPT)[-1])

    def close(self):
        os.write(self.terminal, b"exit\n")
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def check_completion(kvista, directory):
    script = directory / "completion"
    script.write_text(output_of(kvista, "help", "--completion", "bash").stdout)
    (directory / "vmcore").touch()
    (directory / "subdirectory").mkdir()
    bash = Bash(script, directory)
    wrong = []
    for typed, expected in TYPED:
        found = bash.complete(typed)
        if found != expected:
            wrong.append(f"{typed!r} becomes {found!r}, not {expected!r}")
    bash.close()
    # Every command and every option of it is offered.
    for name, options in commands_of(kvista).items():
        ask = (f"source {script}; COMP_WORDS=(kvista {name} --); COMP_CWORD=2; _kvista; "
               f"echo ${{COMPREPLY[@]}}; COMP_WORDS=(kvista ''); COMP_CWORD=1; _kvista; echo ${{COMPREPLY[@]}}")
        offered, first = (line.split() for line in output_of("bash", "-c", ask).stdout.splitlines())
        if set(offered) != set(options) or name not in first:
            wrong.append(f"kvista {name}: {sorted(offered)} are offered, its help has {sorted(options)}")
    if wrong:
        sys.exit("\n".join(wrong))
    return len(TYPED)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", required=True)
    kvista = os.path.abspath(parser.parse_args().kvista)
    options = check_manual(kvista)
    with tempfile.TemporaryDirectory(prefix="kvista-bash-") as directory:
        typed = check_completion(kvista, pathlib.Path(directory))
    print(f"{options} options are in the manual page; bash completes {typed} lines")


if __name__ == "__main__":
    main()
