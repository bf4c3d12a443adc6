"""A guest under QEMU: its serial console, its monitor (QMP), its disks, and its sure end."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import initramfs
import lab
from architectures import AMD64, VARIANTS, Architecture, Variant
from kernels import Kernel

MARKER = re.compile(rb"@@lab:([^@\r\n]*)@@")
MEMORY_MIB = 1024
DISKS_MIB = {"scratch": 96, "swap": 64, "out": 128}


BOOTS = 3
BOOT_TIMEOUT = 75

WORKLOAD_SETTINGS = {"balloon_mib": 48, "hugepages": 16}


def qemu(architecture: Architecture) -> str:
    """The emulator of an architecture."""
    return lab.need_tool(architecture.qemu, architecture.qemu_package)


def qemu_version(architecture: Architecture = AMD64) -> str:
    """The first line of what QEMU says about itself."""
    return lab.run([qemu(architecture), "--version"], "asking QEMU for its version").splitlines()[0]


def command_line(variant: Variant) -> str:
    """The guest's kernel command line."""
    return f"{variant.architecture.console} loglevel=7 panic=-1 {variant.append}".rstrip()


class Silent(lab.LabError):
    """The guest has said nothing for too long."""


class Ended(lab.LabError):
    """QEMU has ended before the guest was done."""


class Monitor:
    """A QMP client: one command at a time, events are passed over."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._socket = connect(path, timeout)
        self._file = self._socket.makefile("rw", encoding="utf-8")
        self._receive()
        self("qmp_capabilities")

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._file.readline()
        except TimeoutError as error:
            raise lab.LabError("QEMU's monitor does not answer.") from error
        if not line:
            raise lab.LabError("QEMU's monitor has closed the connection.")
        message: dict[str, Any] = json.loads(line)
        return message

    def __call__(self, command: str, timeout: float = 60, **arguments: Any) -> Any:
        """Run a QMP command and return its result."""
        self._socket.settimeout(timeout)
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            answer = self._receive()
            if "error" in answer:
                raise lab.LabError(f"QEMU refuses {command}: {answer['error'].get('desc')}.")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()


def connect(path: Path, timeout: float) -> socket.socket:
    """Connect to a socket that QEMU is about to open."""
    end = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > end:
                raise lab.LabError(f"QEMU did not open its socket {path.name} within {timeout:.0f} s.") from error
            time.sleep(0.02)


class Console:
    """The serial console: all that the guest has written, and its markers one after another."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._text = bytearray()
        self._at = 0
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        stream = self._process.stdout
        assert isinstance(stream, io.FileIO)
        while data := stream.read(65536):
            with self._news:
                self._text.extend(data)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def send(self, text: str) -> None:
        """Type something into the guest's console."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def tail(self, lines: int = 25) -> str:
        """The last lines of the console, to show with an error."""
        with self._news:
            text = bytes(self._text).decode("utf-8", "replace").replace("\r", "")
        shown = [line for line in text.splitlines() if line.strip()][-lines:]
        return "\n".join(["The end of the guest's console:", *(f"  | {line}" for line in shown)])

    def next_marker(self, timeout: float) -> str:
        """The text of the guest's next marker."""
        end = time.monotonic() + timeout
        with self._news:
            while True:
                found = MARKER.search(self._text, self._at)
                if found:
                    self._at = found.end()
                    return found.group(1).decode("utf-8", "replace")
                if self._ended or not self._news.wait(max(0.0, end - time.monotonic())):
                    break
        if self._ended:
            raise Ended(f"QEMU ended before the guest was done.\n{self.tail()}")
        raise Silent(f"The guest said nothing for {timeout:.0f} s.\n{self.tail()}")


class Guest:
    """A running guest; as a context manager it ends QEMU and removes all temporary files, whatever happens."""

    OPTIONS: tuple[str, ...] = ()
    """What QEMU needs to be told beside."""

    def __init__(self, kernel: Kernel, variant: Variant, extra: dict[str, bytes], streams: tuple[str, ...] = ()) -> None:
        self.variant = variant
        self._work = Path(tempfile.mkdtemp(prefix="kvista-lab-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None
        try:
            (self._work / "initramfs").write_bytes(initramfs.build(kernel, extra))
            self._boot(kernel, streams)
        except BaseException:
            self.close()
            raise

    def _boot(self, kernel: Kernel, streams: tuple[str, ...]) -> None:
        """Start QEMU until the guest comes up: emulated CPUs now and then hang before init runs, or miss that the kernel
        has patched its code, on which it panics."""
        for attempt in range(BOOTS):
            for name, size in DISKS_MIB.items():
                make_disk(self._work / name, size, with_files=name == "scratch")
            self._start(kernel, streams)
            try:
                self.serve({}, "up", BOOT_TIMEOUT * self.variant.architecture.slowness)
                return
            except (Silent, Ended) as error:
                if attempt == BOOTS - 1:
                    raise
                lab.note(f"lab: the guest does not come up and is started again. {error}")
                self._stop()

    def _start(self, kernel: Kernel, streams: tuple[str, ...]) -> None:
        """Start QEMU; streams are further serial lines, as sockets."""
        self._process = subprocess.Popen(
            self._command(kernel, streams),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        self.console = Console(self._process)
        try:
            self._monitor = Monitor(self._work / "qmp", 30)
            self.streams = [connect(self._work / name, 30) for name in streams]
        except lab.LabError as error:
            raise lab.LabError(f"QEMU does not start. {error}\n{self.console.tail()}") from error

    def _command(self, kernel: Kernel, streams: tuple[str, ...]) -> list[str]:
        # Whatever becomes of this process, the emulator does not outlive it.
        command = [lab.need_tool("setpriv", "util-linux"), "--pdeathsig", "KILL"]
        architecture = self.variant.architecture
        command += [qemu(architecture), *architecture.options, "-accel", "tcg,thread=multi"]
        command += ["-cpu", self.variant.cpu, "-m", str(MEMORY_MIB), "-smp", "2", "-no-reboot"]
        command += ["-display", "none", "-nic", "none", "-monitor", "none", "-serial", "stdio", *self.OPTIONS]
        for name in streams:
            command += ["-serial", f"unix:{self._work / name},server=on,wait=off"]
        command += ["-qmp", f"unix:{self._work / 'qmp'},server=on,wait=off"]
        command += ["-kernel", str(kernel.image), "-initrd", str(self._work / "initramfs")]
        command += ["-append", command_line(self.variant)]
        if architecture.note:
            command += ["-device", "vmcoreinfo"]
        command += ["-device", f"virtio-balloon-{architecture.bus}"]
        for name in DISKS_MIB:
            command += ["-drive", f"if=none,id={name},format=raw,cache=unsafe,file={self._work / name}"]
            command += ["-device", f"virtio-blk-{architecture.bus},drive={name},serial={name}"]
        return command

    @property
    def qmp(self) -> Monitor:
        """The monitor of the running guest."""
        assert self._monitor is not None
        return self._monitor

    def serve(self, handlers: dict[str, Callable[[str], None]], last: str, timeout: float) -> None:
        """Answer the guest's markers until `last` comes; `timeout` is for each of them."""
        while True:
            verb, _, rest = self.console.next_marker(timeout).partition(" ")
            if verb == "failed:":
                raise lab.LabError(f"The guest gave up: {rest}.\n{self.console.tail()}")
            if verb in handlers:
                handlers[verb](rest)
            elif verb == "balloon":
                self._inflate(int(rest))
            if verb == last:
                return

    def _inflate(self, mib: int) -> None:
        """Take memory from the guest with the balloon, and tell it when that is done."""
        target = (MEMORY_MIB - mib) << 20
        self.qmp("balloon", value=target)
        end = time.monotonic() + 60
        while self.qmp("query-balloon")["actual"] > target:
            if time.monotonic() > end:
                raise lab.LabError(f"The guest's balloon did not reach {mib} MiB within 60 s.\n{self.console.tail()}")
            time.sleep(0.05)
        self.console.send("\n")

    def dump(self, elf: Path, kdump: Path, raw: Path) -> None:
        """Stop the guest, write the same memory as an ELF core, as kdump-compressed and raw, let it go on.

        QEMU's "kdump-zlib" is a flattened stream in every version; since 8.2 "kdump-raw-zlib" is one that is not.
        """
        self.qmp("stop")
        self.qmp("dump-guest-memory", timeout=300, paging=False, protocol=f"file:{elf}")
        self.qmp("dump-guest-memory", timeout=300, paging=False, protocol=f"file:{kdump}", format="kdump-zlib")
        self.qmp("pmemsave", timeout=300, val=self.variant.architecture.ram, size=MEMORY_MIB << 20, filename=str(raw))
        self.qmp("cont")

    def wait(self, timeout: float = 60) -> None:
        """Wait until the guest has switched itself off."""
        assert self._process is not None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise lab.LabError(f"The guest did not switch itself off.\n{self.console.tail()}") from error

    def results(self, into: Path) -> None:
        """Unpack what the guest has left on its output disk."""
        try:
            with tarfile.open(self._work / "out", "r:") as archive:
                safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(into, **safely)
        except tarfile.TarError as error:
            raise lab.LabError(f"The guest left no readable results: {error}.\n{self.console.tail()}") from error

    def _stop(self) -> None:
        """End QEMU."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End QEMU and remove what it used."""
        self._stop()
        shutil.rmtree(self._work, ignore_errors=True)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def make_disk(path: Path, mib: int, with_files: bool) -> None:
    """A sparse disk image; with files, an ext4 file system that holds what the workload reads."""
    with open(path, "wb") as image:
        image.truncate(mib << 20)
    if not with_files:
        return
    with tempfile.TemporaryDirectory() as folder:
        block = b"".join(bytes([value]) * 4096 for value in (0x41, 0x00, 0x7E, 0x33))
        (Path(folder) / "given").write_bytes(block * 1024)
        (Path(folder) / "poison").write_bytes(block)
        tool = lab.need_tool("mkfs.ext4", "e2fsprogs")
        lab.run([tool, "-q", "-F", "-b", "4096", "-d", folder, str(path)], "making the guest's ext4 disk")


def settings(mode: str, stream: bool = False, architecture: Architecture = AMD64) -> bytes:
    """What the guest's init is to do, as the shell file that it reads."""
    values = {**WORKLOAD_SETTINGS, "mode": mode, "stream": int(stream), "note": int(architecture.note)}
    values["words"] = f"'{' '.join(architecture.words)}'"
    return "".join(f"{name}={value}\n" for name, value in values.items()).encode()
