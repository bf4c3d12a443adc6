"""A real crash: a guest loads a crash kernel (kexec), panics, and kvista saves /proc/vmcore in that. What it saved is compared
with what the kernel that crashed had said of itself."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import sys
import tempfile
from pathlib import Path

import debian
import guest
import initramfs
import kernels
import kvista
import lab
import stacks
from test_lab import Trial

PARTS = Path(__file__).resolve().parent / "kdump"
ATTEMPTS = 3
STEP_TIMEOUT = 150
RESERVED_MIB = 192
MOST_KIB = 32 << 10
LEAST_TASKS = 40
LEAST_MODULES = 3
LEAST_PAGES = 10_000
TASKS_THAT_GO = 8
"""Tasks that end between the list and the crash, those that made the list among them."""
LEAST_STACKS, LEAST_FRAMES, LEAST_TRACE = 40, 125, 6
STACKS_THAT_MOVE = 3
"""Tasks that stood still between two readings of their stack, and moved before the crash."""


@dataclasses.dataclass(frozen=True)
class Saving:
    """One way to save a dump."""

    cpus: int
    arguments: str = ""
    available_mib: int | None = None
    """So much memory at most is available then."""
    kdump_tools: bool = False
    """Debian's own script saves it, which takes kvista for makedumpfile."""


SAVINGS = {
    "lzo": Saving(1, "-l -d 31", available_mib=64),
    "zstd": Saving(2, "-z -d 31 --threads 2"),
    "stream": Saving(2, "-F -c -d 31"),
    "elf": Saving(1, "-E -d 31"),
    "kdump-tools": Saving(1, kdump_tools=True),
}


def compiled(name: str, into: Path) -> bytes:
    """A program of the guest's."""
    program = into / name
    command = [lab.need_tool("gcc", "gcc"), "-static", "-O2", "-Wall", "-Wextra", "-Werror"]
    lab.run([*command, "-o", str(program), str(PARTS / f"{name}.c")], f"compiling {name}.c")
    return program.read_bytes()


def debian_files(suite: str) -> dict[str, bytes]:
    """What Debian's kdump-tools needs to save a crash, from the suite's packages."""
    cache = lab.cache_dir()
    root = cache / "kdump-tools" / suite
    state = cache / "apt" / f"amd64-{suite}"
    with lab.locked(state / "fetch.lock"):
        if not (root / "done").exists():
            apt = debian.Apt(state, suite)
            apt.update()
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            # The functions that init scripts share moved from lsb-base (Debian 13).
            for package in ("kdump-tools", "lsb-base" if suite in ("bullseye", "bookworm") else "sysvinit-utils"):
                apt("apt-get", "download", package, cwd=root)
            for deb in root.glob("*.deb"):
                lab.run([lab.need_tool("dpkg-deb", "dpkg"), "-x", str(deb), str(root)], f"unpacking {deb.name}")
            (root / "done").touch()
    found = {}
    for name in ("usr/sbin/kdump-config", "lib/lsb/init-functions", "usr/lib/lsb/init-functions"):
        if (root / name).is_file():
            found[name.removeprefix("usr/")] = (root / name).read_bytes()
    if len(found) != 2:
        raise lab.LabError(f"kdump-tools of Debian {suite} has other files than expected: {sorted(found)}")
    return found


def crash_initramfs(kernel: kernels.Kernel, binary: Path, saving: Saving) -> bytes:
    """What the crash kernel starts with: a shell, the disks' driver, kvista."""
    archive = initramfs.Archive()
    for folder in ("bin", "dev", "lab", "lab/modules", "out", "proc", "sys", "tmp"):
        archive.directory(folder)
    archive.add("dev/console", 0o020600, device=(5, 1))
    archive.file("init", (PARTS / "second").read_bytes(), 0o755)
    archive.file("bin/busybox", initramfs.busybox(), 0o755)
    archive.file("bin/kvista", initramfs.static_program(binary, "kvista for the crash kernel"), 0o755)
    for number, (name, data) in enumerate(initramfs.module_files(kernel, ("virtio_pci", "virtio_blk"))):
        archive.file(f"lab/modules/{number:02d}-{name}.ko", data)
    settings = {"arguments": f"-f {saving.arguments} --json", "target": "scratch"}
    if saving.available_mib:
        settings["available"] = str(saving.available_mib << 10)
    if saving.kdump_tools:
        settings["kdump_tools"] = "yes"
        archive.add("bin/makedumpfile", 0o120777, b"kvista")
        for folder in ("etc", "etc/default", "lib", "lib/lsb", "sbin", "var", "var/crash"):
            archive.directory(folder)
        archive.file("etc/default/kdump-tools", b"USE_KDUMP=1\n")
        for name, data in debian_files(kernel.suite).items():
            archive.file(name, data, 0o755)
    archive.file("lab/settings", "".join(f"{name}='{value}'\n" for name, value in settings.items()).encode())
    return archive.finish()


class Crash(guest.Guest):
    """A guest that crashes; `save` leaves the dump, and what both of its kernels wrote."""

    def save(self, into: Path) -> None:
        """Wait until the crash kernel has saved the dump, and copy all that there is."""
        self.serve({}, "done", STEP_TIMEOUT)
        self.wait()
        for disk, folder in (("swap", "before"), ("out", "after")):
            where = str(_made(into / folder))
            lab.run(["tar", "-x", "-C", where, "-f", str(self._work / disk)], "unpacking what the guest wrote")
        shutil.copyfile(self._work / "scratch", into / "dump")


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def crash(suite: str, saving: Saving, binary: Path, into: Path) -> None:
    """Boot, crash and save."""
    kernel = kernels.fetch(suite)
    command_line = f"console=ttyS0 earlyprintk=serial,ttyS0 loglevel=4 panic=-1 nr_cpus={saving.cpus} irqpoll reset_devices"
    files = {
        "/bin/first": (PARTS / "first").read_bytes(),
        "/bin/load_crash_kernel": compiled("load_crash_kernel", into),
        "/lab/crash_kernel": kernel.image.read_bytes(),
        "/lab/crash_initramfs": crash_initramfs(kernel, binary, saving),
        "/lab/crash_command_line": command_line.encode(),
    }
    variant = guest.Variant("kdump", "max", f"crashkernel={RESERVED_MIB}M rdinit=/bin/first")
    for attempt in range(ATTEMPTS):
        try:
            with Crash(kernel, variant, files) as machine:
                machine.save(into)
            return
        except (guest.Silent, guest.Ended) as error:
            if attempt == ATTEMPTS - 1:
                raise
            lab.note(f"lab: the crash kernel does not come up and is started again. {error}")


def kib_of(name: str, path: Path) -> int:
    """A line of /proc/meminfo or /proc/PID/status."""
    match = re.search(rf"{name}:\s+(\d+) kB", path.read_text("utf-8"))
    if not match:
        raise lab.LabError(f"{path.name} has no {name}.")
    return int(match[1])


def saved(into: Path, program: Path, saving: Saving) -> dict[str, object]:
    """How many pages were saved, by the report of who saved them; Debian's script has none, so by the dump itself."""
    if not saving.kdump_tools:
        report = kvista.Report((into / "after" / "stdout").read_text("utf-8"), "kvista dump in the crash kernel")
        return report.table("dump")[0]
    row = kvista.run(program, "verify", str(into / "dump"), statuses=(0, 1)).table("verify")[0]
    return {
        "saved": row["good"],
        "frames": row["frames"],
        "lost": row["lost"],
        "complete": row["whole"],
        "format": row["format"],
    }


def check_debian(into: Path) -> list[str]:
    """What Debian's script leaves: the log and the dump, each with the time in its name."""
    after = into / "after"
    files = (after / "files").read_text("utf-8").split()
    wanted = [rf"\./(\d{{12}})/{name}\.\1" for name in ("dmesg", "dump")]
    problems = []
    if len(files) != len(wanted) or not all(re.fullmatch(one, found) for one, found in zip(wanted, files, strict=True)):
        problems.append(f"The script left {files}.")
    log = (after / "dmesg").read_text("utf-8", "replace")
    if "lab: the last message" not in log:
        problems.append(f"The log that it saved, of {len(log.splitlines())} lines, lacks the last message.")
    print(f"  kdump-tools left {' and '.join(files)}, {len(log.splitlines())} lines of the log")
    return problems


def check_saving(into: Path, program: Path, saving: Saving) -> list[str]:
    """That kvista saved everything, in little memory."""
    after = into / "after"
    errors = (after / "stderr").read_text("utf-8", "replace")
    status = (after / "status").read_text("utf-8").strip()
    if status != "0":
        return [f"kvista dump ended with status {status} in the crash kernel: {errors.strip()[-600:]}"]
    row = saved(into, program, saving)
    peak = kib_of("VmHWM", after / "memory")
    free = kib_of("MemAvailable", after / "meminfo")
    start, end = map(float, (after / "times").read_text("utf-8").split())
    cpus = (after / "cpus").read_text("utf-8").strip()
    print(
        f"  {row['saved']} of {row['frames']} pages saved as {row['format']} on {cpus} CPUs in {end - start:.1f} s,"
        f" {peak / 1024:.1f} MiB of memory ({free >> 10} MiB were available)"
    )
    problems = [f"{row['lost']} pages are lost."] if row["lost"] or not row["complete"] else []
    if saving.available_mib and free > saving.available_mib << 10:
        problems.append(f"{free} KiB of memory were available, and {saving.available_mib} MiB should have been at most.")
    if int(cpus) != saving.cpus:
        problems.append(f"The crash kernel has {cpus} CPUs and not {saving.cpus}.")
    if row["saved"] < LEAST_PAGES:
        problems.append(f"Only {row['saved']} pages are saved, at least {LEAST_PAGES} are expected.")
    if peak > MOST_KIB:
        problems.append(f"kvista took {peak} KiB of memory, more than {MOST_KIB}.")
    return problems


def check_memory(into: Path, program: Path, saving: Saving) -> list[str]:
    """That the dump speaks of all the memory that the kernel had, less the crash kernel's."""
    frames: set[int] = set()
    reserved: set[int] = set()
    for line in (into / "before" / "iomem").read_text("utf-8").splitlines():
        match = re.match(r"\s*([0-9a-f]+)-([0-9a-f]+) : (.*)", line)
        if not match:
            continue
        first, last = int(match[1], 16), int(match[2], 16)
        pages = range((first + 4095) >> 12, (last + 1) >> 12)
        if match[3] == "System RAM":
            frames.update(pages)
        elif match[3] == "Crash kernel":
            reserved.update(pages)
    expected = len(frames - reserved)
    found = saved(into, program, saving)["frames"]
    print(f"  {found} pages of memory, {expected} by /proc/iomem")
    # The first MiB has parts that are RAM and not System RAM.
    return [] if abs(found - expected) <= 256 else [f"The dump has {found} pages of memory, /proc/iomem {expected}."]


def check_info(into: Path, program: Path) -> list[str]:
    """What kind of dump it is."""
    dump, before = str(into / "dump"), into / "before"
    facts = kvista.run(program, "info", dump).facts()
    problems = []
    release = (before / "release").read_text("utf-8").strip()
    if facts["release"]["value"] != release:
        problems.append(f"The release is {facts['release']['value']}, not {release}.")
    if facts["state"]["value"] != "dead: crashed":
        problems.append(f"The state is {facts['state']['value']}, not that of a crash.")
    note = lab.run([str(program), "-c", dump, "vmcoreinfo"], "kvista vmcoreinfo")
    if not re.search(r"^CRASHTIME=\d+$", note, re.MULTILINE):
        problems.append("The note has no CRASHTIME.")
    return problems


def check_log(into: Path, program: Path) -> list[str]:
    """That the log tells of the crash."""
    text = lab.run([str(program), "-c", str(into / "dump"), "dmesg"], "kvista dmesg")
    wanted = ("lab: the last message", "sysrq: Trigger a crash", "Kernel panic - not syncing: sysrq triggered crash")
    return [f"The log lacks: {line}" for line in wanted if line not in text]


def check_tasks(into: Path, program: Path) -> list[str]:
    """Each task that was there a moment before the crash."""
    rows = kvista.run(program, "-c", str(into / "dump"), "ps", statuses=(0,)).table("tasks")
    found = {row["pid"]: row["comm"] for row in rows}
    wrong, gone, compared = [], 0, 0
    for line in (into / "before" / "tasks").read_text("utf-8").splitlines():
        number, _, name = line.partition("\t")
        ours = found.get(int(number))
        if ours is None:
            gone += 1
        # A worker's name in /proc says what it works on, too.
        elif ours == name or name.startswith(ours):
            compared += 1
        else:
            wrong.append(f"Task {number} is {ours!r}, and was {name!r}.")
    print(f"  {compared} tasks compared, {gone} had ended")
    if compared < LEAST_TASKS or gone > TASKS_THAT_GO:
        wrong.append(f"At least {LEAST_TASKS} tasks are expected, and at most {TASKS_THAT_GO} may have ended.")
    return wrong


def check_stacks(into: Path, program: Path) -> list[str]:
    """The stacks of tasks that slept, frame by frame, with what the kernel had said of them."""
    before = into / "before"
    first, second = (stacks.of_proc((before / f"stacks.{reading}").read_text("utf-8")) for reading in (1, 2))
    left_out = stacks.scheduler_text((before / "kallsyms").read_text("utf-8"))
    report = kvista.run(program, "-c", str(into / "dump"), "foreach", "bt", statuses=(0,))
    ours = stacks.of_kvista(report, left_out)
    return stacks.compare(first, second, ours, STACKS_THAT_MOVE, (LEAST_STACKS, LEAST_FRAMES))


def check_trace(into: Path, program: Path) -> list[str]:
    """The stack that crashed, with the trace that the kernel itself printed."""
    dump = str(into / "dump")
    log = lab.run([str(program), "-c", dump, "dmesg"], "kvista dmesg")
    trace = log.partition("Kernel panic")[2].partition("Call Trace:")[2].partition("RIP:")[0]
    theirs = [(at["function"], int(at["offset"], 16)) for at in stacks.PLACE.finditer(trace) if not at["guess"]]
    report = kvista.run(program, "-c", dump, "bt", statuses=(0,))
    ours = [(row["function"], row["offset"]) for row in report.table("frames")]
    stack = report.table("stacks")[0]
    problems = []
    if (stack["from"], stack["registers_from"], stack["comm"]) != ("cpu", "crash_notes", "sh"):
        problems.append(f"The stack that crashed is not that of the shell, by crash_notes: {stack}.")

    def from_crash(places: list[stacks.Place]) -> list[stacks.Place]:
        names = [function for function, _ in places]
        return places[names.index("sysrq_handle_crash") :] if "sysrq_handle_crash" in names else []

    print(f"  {len(from_crash(theirs))} frames of the crash compared")
    if from_crash(ours) != from_crash(theirs) or len(from_crash(theirs)) < LEAST_TRACE:
        problems.append(f"kvista has {ours}, and the kernel printed {theirs}.")
    guesses = [row["function"] for row in report.table("frames") if row["means"] == "scan"]
    return problems + [f"{function} is a guess." for function in guesses]


def check_modules(into: Path, program: Path) -> list[str]:
    """The list of modules, and addresses of symbols."""
    dump = str(into / "dump")
    found = {row["name"] for row in kvista.run(program, "-c", dump, "mod", statuses=(0,)).table("modules")}
    expected = {line.split()[0] for line in (into / "before" / "modules").read_text("utf-8").splitlines()}
    problems = [] if found == expected else [f"The modules are {sorted(found)}, and were {sorted(expected)}."]
    known = {}
    for line in (into / "before" / "kallsyms").read_text("utf-8").splitlines():
        address, _, name = line.split()[:3]
        known.setdefault(name, set()).add(int(address, 16))
    names = [name for name in ("_stext", "linux_banner", "init_task", "schedule", "sysrq_handle_crash") if name in known]
    for name in names:
        rows = kvista.run(program, "-c", dump, "sym", name, statuses=(0,)).table("symbols")
        addresses = {int(row["address"], 16) for row in rows}
        if addresses != known[name]:
            problems.append(f"{name} is at {sorted(addresses)}, not at {sorted(known[name])}.")
    print(f"  {len(found)} modules and {len(names)} symbols compared")
    if len(expected) < LEAST_MODULES or len(names) < LEAST_MODULES:
        problems.append(f"At least {LEAST_MODULES} modules and symbols are expected.")
    return problems


def main() -> int:
    """One crash."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--static", type=Path, required=True, help="kvista for the guest")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--saving", choices=SAVINGS, required=True)
    parser.add_argument("--keep", type=Path, help="leave the dump, and what was written, in this directory")
    arguments = parser.parse_args()
    saving = SAVINGS[arguments.saving]
    trial = Trial()
    with tempfile.TemporaryDirectory(prefix="kvista-crash-") as folder:
        into = _made(arguments.keep) if arguments.keep else Path(folder)
        crash(arguments.suite, saving, arguments.static, into)
        trial.step("the crash kernel saved the dump", lambda: check_saving(into, arguments.kvista, saving))
        if saving.kdump_tools:
            trial.step("what Debian's kdump-tools left", lambda: check_debian(into))
        trial.step("all memory is in it", lambda: check_memory(into, arguments.kvista, saving))
        trial.step("what it is", lambda: check_info(into, arguments.kvista))
        trial.step("the log", lambda: check_log(into, arguments.kvista))
        trial.step("tasks", lambda: check_tasks(into, arguments.kvista))
        trial.step("stacks of tasks that slept", lambda: check_stacks(into, arguments.kvista))
        trial.step("the stack that crashed", lambda: check_trace(into, arguments.kvista))
        trial.step("modules and symbols", lambda: check_modules(into, arguments.kvista))
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
