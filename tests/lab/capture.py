"""Captures: a dump of a guest's memory with everything its kernel said about it, made once and cached."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import guest
import initramfs
import kernels
import lab
import oracles

HARNESS = ("guest.py", "initramfs.py", "capture.py")
STEP_TIMEOUT = 180


@dataclasses.dataclass(frozen=True)
class Capture:
    """A capture directory: the same memory in three files, oracle/ and capture.json."""

    path: Path
    about: dict[str, Any]

    @property
    def dump(self) -> Path:
        """The guest's memory as QEMU wrote it."""
        return self.path / "dump.elf"

    @property
    def kdump(self) -> Path:
        """The same memory as QEMU's kdump-compressed file, a flattened stream."""
        return self.path / "dump.kdump"

    @property
    def raw(self) -> Path:
        """The same memory as QEMU's pmemsave wrote it: physical addresses from 0 to the end of RAM, nothing else."""
        return self.path / "dump.raw"

    @property
    def oracle(self) -> Path:
        """The directory of what the guest's kernel said."""
        return self.path / "oracle"

    def describe(self) -> str:
        """What booted, in one line."""
        about = self.about
        return (
            f"{about['suite']} {about['variant']}: {about['release']} ({about['files'][-1]}), {about['levels']} levels, "
            f"{about['memory_mib']} MiB, {about['qemu']}, captured in {about['seconds']} s, "
            f"{about['changed_pages']} of {about['pages']} pages changed meanwhile"
        )


def cache_key(kernel: kernels.Kernel, variant: guest.Variant) -> str:
    """A digest of all that a capture depends on; kvista is not among it."""
    here = Path(__file__).resolve().parent
    parts = [path.read_bytes() for path in [*(here / name for name in HARNESS), *initramfs.source_files()]]
    parts += [initramfs.busybox(kernel.architecture), guest.qemu_version(kernel.architecture).encode(), guest.command_line(variant).encode()]
    parts += ["\n".join(kernel.files).encode(), repr(variant).encode(), guest.settings("capture", architecture=kernel.architecture)]
    return lab.sha256(*parts)[:20]


def capture(suite: str, variant_name: str, out: Path | None = None) -> Capture:
    """The capture of a suite's newest kernel, from the cache if it is there."""
    variant = guest.VARIANTS[variant_name]
    kernel = kernels.fetch(suite, variant.architecture)
    key = cache_key(kernel, variant)
    captures = lab.cache_dir() / "captures"
    path = out or captures / f"{suite}-{variant_name}-{key}"
    with lab.locked(captures / f"{suite}-{variant_name}.lock"):
        about = path / "capture.json"
        if about.exists():
            known = json.loads(about.read_text("utf-8"))
            if known["key"] == key:
                return Capture(path, known)
        new = path.with_name(path.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        make(kernel, variant, key, new)
        shutil.rmtree(path, ignore_errors=True)
        new.rename(path)
        if out is None:
            _forget_others(captures, f"{suite}-{variant_name}-", path)
        return Capture(path, json.loads(about.read_text("utf-8")))


def _forget_others(captures: Path, prefix: str, keep: Path) -> None:
    """Remove older captures of the same suite and variant."""
    for other in captures.glob(prefix + "*"):
        if other.is_dir() and other != keep:
            shutil.rmtree(other)


def make(kernel: kernels.Kernel, variant: guest.Variant, key: str, into: Path) -> None:
    """Boot, dump, collect, describe; `into` is a directory that exists."""
    start = time.monotonic()
    dumps = elf, kdump, raw = [into / f"dump.{suffix}" for suffix in ("elf", "kdump", "raw")]
    with guest.Guest(kernel, variant, {"/lab/settings": guest.settings("capture", architecture=variant.architecture)}) as machine:

        def write_dump(_: str) -> None:
            machine.dump(elf, kdump, raw)
            machine.console.send("\n")

        machine.serve({"dump": write_dump}, "done", STEP_TIMEOUT * variant.architecture.slowness)
        machine.wait()
        machine.results(into / "oracle")
        (into / "console.log").write_text(machine.console.tail(10000), "utf-8")
    if not all(dump.exists() for dump in dumps):
        raise lab.LabError("The guest never asked for its dump.")
    for dump in (elf, raw):
        lab.run([lab.need_tool("fallocate", "util-linux"), "--dig-holes", str(dump)], "making the dump sparse")
    oracle = oracles.Oracle(into / "oracle")
    about = {
        "key": key,
        "suite": kernel.suite,
        "variant": variant.name,
        "package": kernel.package,
        "files": kernel.files,
        "release": oracle.release(),
        "command_line": oracle.text("cmdline").strip(),
        "levels": oracle.page_table_levels(),
        "memory_mib": guest.MEMORY_MIB,
        "architecture": kernel.architecture.name,
        "qemu": guest.qemu_version(kernel.architecture),
        "impossible": oracle.impossible_classes(),
        "workload": oracle.text("workload.txt").splitlines(),
        "pages": oracle.page_count(),
        "changed_pages": len(oracle.changed_pages()),
        "seconds": round(time.monotonic() - start, 1),
    }
    (into / "capture.json").write_text(json.dumps(about, indent=1), "utf-8")


def main() -> int:
    """Make or find one capture, say on one line what booted, then where it is."""
    parser = argparse.ArgumentParser(description="Capture the memory of a Debian kernel that runs a workload.")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=guest.VARIANTS, required=True)
    parser.add_argument("--out", type=Path, help="a directory to make instead of one in the cache")
    arguments = parser.parse_args()
    found = capture(arguments.suite, arguments.variant, arguments.out)
    print(found.describe())
    print(found.path)
    return 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
