"""A dump of a running kernel: kvista saves /proc/kcore in a guest that is busy; the dump is verified, and compared with what
the guest's kernel says of itself."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import guest
import kvista
import lab
import live
import test_kdump
from test_lab import Trial

LOAD = "(while :; do dd if=/dev/urandom of=/tmp/load bs=64k count=64; cat /bin/busybox >/tmp/other; rm /tmp/other; done 2>/dev/null) &"
COMMANDS = {
    "tasks": r"""for task in /proc/[0-9]*; do printf '%s\t%s\n' "${task#/proc/}" "$(cat "$task/comm" 2>/dev/null)"; done""",
    "dump": f"{LOAD} load=$!; kvista dump -z -d 31 /proc/kcore /out/live.dump --json; status=$?; kill $load; exit $status",
    "flattened": "kvista dump -F -l -d 31 /proc/kcore 2>/out/flattened.report >/out/live.flat",
    "elf": "kvista dump -E /proc/kcore /out/none",
}
MOST_LOST = 64
"""Pages that change so that they must not be read, or are not mapped."""
LEAST_PAGES = 10_000


def report_of(into: Path, name: str, wanted: str) -> kvista.Report:
    """What a command printed, whose exit status must be the wanted one."""
    status = (into / "live" / f"{name}.status").read_text("utf-8").strip()
    errors = (into / "live" / f"{name}.stderr").read_text("utf-8", "replace")
    if status not in wanted:
        raise lab.LabError(f"{name} ended with status {status}: {errors.strip()[-600:]}")
    return kvista.Report((into / "live" / f"{name}.stdout").read_text("utf-8"), f"kvista {name} in the guest")


def check_dump(into: Path) -> list[str]:
    """What kvista says of what it saved."""
    row = report_of(into, "dump", "01").table("dump")[0]
    print(
        f"  {row['saved']} of {row['frames']} pages saved, {row['lost']} lost, {row['changed']} changed meanwhile,"
        f" {row['own']} of kvista itself left out"
    )
    problems = [] if row["saved"] >= LEAST_PAGES else [f"At least {LEAST_PAGES} pages are expected."]
    if row["lost"] > MOST_LOST:
        problems.append(f"More than {MOST_LOST} pages are lost.")
    return problems


def check_whole(into: Path, program: Path, name: str) -> list[str]:
    """That all of it can be read, and that it says what it is."""
    report = kvista.run(program, "verify", str(into / name), statuses=(0, 1))
    row = report.table("verify")[0]
    print(f"  {name}: {row['good']} pages can be read, {row['lost']} are lost or damaged")
    problems = [] if row["lost"] <= MOST_LOST else [f"{name}: {row['lost']} pages cannot be read."]
    if not any("of a running kernel" in warning for warning in report.warnings):
        problems.append(f"{name}: nothing says that the kernel was running.")
    facts = kvista.run(program, "info", str(into / name)).facts()
    if facts["state"]["value"] != "dead: saved while it ran":
        problems.append(f"{name}: the state is {facts['state']['value']}.")
    return problems


def check_refusal(into: Path) -> list[str]:
    """What cannot be done is said."""
    errors = (into / "live" / "elf.stderr").read_text("utf-8")
    return [] if "kdump-compressed" in errors else [f"dump -E of the running kernel says: {errors}"]


def main() -> int:
    """One guest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvista", type=Path, required=True, help="kvista for this host")
    parser.add_argument("--static", type=Path, required=True, help="kvista for the guest")
    parser.add_argument("--suite", choices=lab.SUITES, required=True)
    parser.add_argument("--variant", choices=guest.VARIANTS, default="kaslr")
    arguments = parser.parse_args()
    trial = Trial()
    with tempfile.TemporaryDirectory(prefix="kvista-live-") as folder:
        into = Path(folder)
        live.run(arguments.suite, arguments.variant, arguments.static, into, COMMANDS)
        trial.step("saved while it ran", lambda: check_dump(into))
        (into / "before").symlink_to(into)
        (into / "tasks").write_bytes((into / "live" / "tasks.stdout").read_bytes())
        for name in ("live.dump", "live.flat"):
            trial.step(f"{name} is whole", lambda name=name: check_whole(into, arguments.kvista, name))
            (into / "dump").unlink(missing_ok=True)
            (into / "dump").symlink_to(into / name)
            trial.step(f"{name}: tasks", lambda: test_kdump.check_tasks(into, arguments.kvista))
            trial.step(f"{name}: modules and symbols", lambda: test_kdump.check_modules(into, arguments.kvista))
        trial.step("ELF is refused", lambda: check_refusal(into))
    return 1 if trial.problems else 0


if __name__ == "__main__":
    sys.exit(lab.main_guard(main))
