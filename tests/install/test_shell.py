#!/usr/bin/env python3
"""The shell at a terminal: test_shell.py --kvista PROGRAM --make-image PROGRAM.

What is waited for is always text, and text that does not stand in what was typed: the terminal echoes that.
"""
import argparse
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 120  # seconds, on a machine that has much else to do
PROMPT = "kvista> "
DESCRIPTION = """machine x86_64 levels=4
cpus 2
btf
log ring
log message hello
task pid=1 comm=init vsz=20M rss=8M start=1000000000 utime=5000000 stime=2000000
task pid=100 comm=daemon ppid=1 vsz=100M rss=12M cpu=1 running state=R start=4000000000
"""
# Terminals are told to move the cursor, to clear, to change modes.
CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])|[\x07\x0f]")


class Terminal:
    """A shell and what it shows."""

    def __init__(self, command, folder, home):
        environment = {"PATH": "/usr/bin:/bin", "TERM": "vt100", "HOME": home, "LC_ALL": "C"}
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execve(command[0], command, environment)
        self.seen = ""
        self.whole = ""

    def read_some(self, until):
        """More output; false at its end."""
        if not select.select([self.terminal], [], [], max(0, until - time.monotonic()))[0]:
            raise TimeoutError
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            return False
        text = CONTROL.sub("", data.decode(errors="replace"))
        self.seen += text
        self.whole += text
        return bool(data)

    def wait(self, text):
        """Waits until it is shown, and forgets all up to there."""
        until = time.monotonic() + PATIENCE
        try:
            while text not in self.seen:
                if not self.read_some(until):
                    self.fail(f"ended before it showed {text!r}")
        except TimeoutError:
            self.fail(f"did not show {text!r}")
        shown, self.seen = self.seen.split(text, 1)
        return shown

    def type(self, text):
        """Types it."""
        os.write(self.terminal, text.encode())

    def press_until(self, key, text):
        """Presses a key until a text is shown: one that comes at a bad moment is lost."""
        for _ in range(PATIENCE):
            self.type(key)
            try:
                until = time.monotonic() + 1
                while text not in self.seen:
                    if not self.read_some(until):
                        self.fail(f"ended by {key!r}")
                break
            except TimeoutError:
                pass
        else:
            self.fail(f"did not answer {key!r} with {text!r}")
        self.seen = self.seen.split(text, 1)[1]

    def press_until_prompt(self):
        """Ctrl-C, which can come between two processes: dash, for one, loses it while it forks."""
        self.press_until("\x03", PROMPT)

    def ask(self, line, answer):
        """Types a line, and waits for the answer and the next prompt."""
        self.type(line + "\n")
        shown = self.wait(answer)
        self.wait(PROMPT)
        return shown

    def end(self, status=0):
        """Waits until it has ended by itself."""
        until = time.monotonic() + PATIENCE
        try:
            while self.read_some(until):
                pass
        except TimeoutError:
            self.fail("did not end")
        done = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        if done != status:
            self.fail(f"ended with {done}, not {status}")

    def fail(self, why):
        """Says what went wrong."""
        try:
            os.kill(self.process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        sys.exit(f"the shell {why}; it showed:\n{self.whole}")


def complete(shell):
    """Each kind of name, and several candidates."""
    shell.type("tas\t-R pid 1\n")  # task
    shell.wait('COMMAND: "init"')
    shell.wait(PROMPT)
    shell.type("p init_ta\t.tgi\t+40+2\n")  # a symbol, and a member
    shell.wait("42\r\n")
    shell.wait(PROMPT)
    shell.type("struct list_he\t\n")  # a type
    shell.wait("size: 16")
    shell.wait(PROMPT)
    shell.type("struct task_struct.com\t\n")  # a member of a type
    shell.wait("char comm[16]")
    shell.wait(PROMPT)
    shell.type("un\t")
    shell.type("\t")  # what there is
    shell.wait("unalias")
    shell.wait(PROMPT)
    shell.type("\x03")
    shell.wait(PROMPT)


def recall(shell):
    """Lines that were typed come back, edited."""
    shell.ask("p 1200+34", "1234")
    shell.type("\x1b[A")  # up
    shell.type("00\n")
    shell.wait("4600")  # 1200+3400
    shell.wait(PROMPT)
    shell.type("\x10\x10\n")  # two lines up
    shell.wait("1234")
    shell.wait(PROMPT)


def interrupt(shell):
    """Ctrl-C ends what runs, and nothing else."""
    shell.type("!echo be''gun; exec sleep 100000\n")
    shell.wait("begun")
    shell.press_until_prompt()
    shell.ask("p 1+1", "2\r\n")
    shell.type("repeat p 40+2\n")
    for _ in range(3):
        shell.wait("42\r\n")
    shell.press_until_prompt()
    shell.ask("p 55+1", "56\r\n")
    shell.type("repeat -100000 p 60+2\n")  # it waits between two
    shell.wait("62\r\n")
    shell.press_until_prompt()
    shell.ask("p 80+8", "88\r\n")
    shell.type("p 1000+\x03")  # at the prompt
    shell.wait(PROMPT)
    shell.ask("p 70+7", "77\r\n")
    shell.type("!echo go''ing; cat | cat\n")  # one that reads the terminal
    shell.wait("going")
    shell.press_until_prompt()
    shell.type("!echo st''op; kill -STOP $$; echo went''on\n")  # there is no way back to what is stopped
    shell.wait("stop\r\n")
    shell.wait("wenton")
    shell.wait(PROMPT)


def redirect(shell, folder):
    """Pipes and files, as in scripts."""
    shell.ask("ps | grep -c COMM", "1\r\n")
    shell.ask("ps > out; !grep -c COMM out", "1\r\n")
    if "daemon" not in pathlib.Path(folder, "out").read_text():
        shell.fail("wrote no tasks into the file")
    shell.ask("nosuchcommand", "there is no such command")
    shell.ask("set 100", '"daemon"')
    shell.ask("bt", "PID: 100")


def page(shell):
    """By pages: less reads the keys meanwhile, and gives the terminal back."""
    shell.type("help | less\n")
    shell.wait("mem-usage")  # the first page
    shell.type(" ")
    shell.wait("In the shell itself:")
    shell.type("\x03")  # ends neither less nor the shell; less forgets what is typed with it
    shell.press_until("G", "(END)")
    shell.type("q")
    shell.wait(PROMPT)
    shell.ask("p 30+3", "33\r\n")
    shell.type("rd -p 0 100000 | less\n")  # most of it, less has not read when it ends
    shell.wait("10: ")
    shell.type("q")
    shell.wait(PROMPT)
    shell.ask("p 20+2", "22\r\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--kvista", "--make-image"):
        parser.add_argument(name, required=True, type=pathlib.Path)
    options = parser.parse_args()
    kvista = str(options.kvista.resolve())
    with tempfile.TemporaryDirectory(prefix="kvista-shell-") as folder:
        (pathlib.Path(folder) / "description").write_text(DESCRIPTION)
        subprocess.run([options.make_image, os.path.join(folder, "description"), os.path.join(folder, "vmcore")], check=True)
        home = os.path.join(folder, "home")
        os.mkdir(home)
        pathlib.Path(home, ".kvistarc").write_text("alias answer p 40+2\nunknowncommand\nset radix 10\n")
        shell = Terminal([kvista, "vmcore"], folder, home)
        shell.wait("RELEASE:")
        shell.wait("unknowncommand: there is no such command")
        shell.wait("radix: 10")
        shell.wait(PROMPT)
        shell.ask("answer", "42\r\n")
        complete(shell)
        recall(shell)
        interrupt(shell)
        page(shell)
        redirect(shell, folder)
        shell.type("\x04")  # Ctrl-D
        shell.end()
        if "p 1200+34" not in pathlib.Path(home, ".kvista_history").read_text().replace("\\040", " "):
            sys.exit("the history was not kept")
        shell = Terminal([kvista, "-c", "vmcore", "shell", "-s"], folder, home)
        shell.wait(PROMPT)
        shell.type("\x1b[A\n")  # the last line of the session before
        shell.wait("PID: 0")  # bt
        shell.wait(PROMPT)
        shell.type("q\n")
        shell.end()
    print("the shell completes, recalls, is interrupted, and ends")


if __name__ == "__main__":
    main()
