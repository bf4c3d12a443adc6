"""The kernel's log: what kvista prints against what the guest's dmesg and /dev/kmsg gave."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kvista
import lab

LEAST_RECORDS = 200
LEAST_CLEARED = 3
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
FACILITIES = ("kern", "user", "mail", "daemon")
HEAD = re.compile(r"(\d+),(\d+),(\d+),([^,;]*)(?:,[^;]*)?;(.*)")


def printed(raw: bytes) -> bytes:
    """What busybox's dmesg gave, with what is no printable text written as \\xHH: busybox hands it on as it is."""
    text = raw.decode("utf-8", "surrogateescape")

    def escape(found: re.Match[str]) -> str:
        return "".join(f"\\x{byte:02x}" for byte in found.group().encode("utf-8", "surrogateescape"))

    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]", escape, text).encode()


def check_text(want: bytes, got: bytes, least: int, what: str) -> list[str]:
    """That kvista's text begins with the guest's, byte for byte; what was logged later may follow."""
    want = printed(want)
    count = want.count(b"\n")
    print(f"  {what}: {count} lines compared, byte for byte")
    if count < least:
        return [f"{what}: only {count} lines were compared, at least {least} are needed."]
    if got.startswith(want):
        return []
    for number, (one, other) in enumerate(zip(want.splitlines(), got.splitlines(), strict=False), 1):
        if one != other:
            return [f"{what}: line {number} is {other!r} instead of {one!r}."]
    return [f"{what}: kvista prints {len(got)} bytes, the guest's dmesg {len(want)}."]


def kmsg_records(text: bytes) -> list[dict[str, Any]]:
    """The records of /dev/kmsg, an empty line behind each, as kvista's JSON has them."""
    records = []
    for part in text.decode("ascii").split("\n\n"):
        lines = part.strip("\n").split("\n")
        found = HEAD.fullmatch(lines[0])
        if found is None:
            if part.strip():
                raise lab.LabError(f"/dev/kmsg has a record that is not understood: {part!r}.")
            continue
        priority = int(found[1])
        raw = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), found[5]).encode("latin-1")
        extra = dict(line.strip().split("=", 1) for line in lines[1:])
        records.append({
            "seq": int(found[2]),
            "time_us": int(found[3]),
            "facility": FACILITIES[priority >> 3],
            "level": LEVELS[priority & 7],
            "subsystem": extra.get("SUBSYSTEM"),
            "device": extra.get("DEVICE"),
            "message": raw.decode("utf-8", "replace"),
        })
    return records


def check_records(kmsg: bytes, rows: list[dict[str, Any]], least: int = LEAST_RECORDS) -> list[str]:
    """That kvista's records begin with those of /dev/kmsg: numbers, times, levels, devices and texts."""
    want = kmsg_records(kmsg)
    print(f"  {len(want)} records compared with /dev/kmsg")
    if len(want) < least:
        return [f"Only {len(want)} records were compared with /dev/kmsg, at least {least} are needed."]
    if len(rows) < len(want):
        return [f"kvista dmesg has {len(rows)} records, /dev/kmsg {len(want)}."]
    for one, row in zip(want, rows, strict=False):
        other = {name: row["time_ns"] // 1000 if name == "time_us" else row[name] for name in one}
        if one != other:
            return [f"kvista dmesg has the record {other} instead of {one}."]
    return []


def check_dump(binary: Path, image: Path, oracle: Path, records: int = LEAST_RECORDS) -> list[str]:
    """The log of a dump, of at least so many records."""
    problems = []
    for name, options, least in (("dmesg", [], records), ("dmesg.cleared", ["--since-clear"], LEAST_CLEARED)):
        got = kvista.run_text(binary, "-c", str(image), "dmesg", *options)
        problems += check_text((oracle / name).read_bytes(), got, least, name)
    rows = kvista.run(binary, "dmesg", str(image)).table("messages")
    return problems + check_records((oracle / "kmsg.before").read_bytes(), rows, records)


def check_live(oracle: Path, rows: list[dict[str, Any]], records: int = LEAST_RECORDS) -> list[str]:
    """The log that kvista printed in a guest, of at least so many records; `rows` are its JSON's."""
    problems = []
    for name, got, least in (("dmesg", "dmesg", records), ("dmesg.cleared", "dmesg_cleared", LEAST_CLEARED)):
        printed_live = (oracle / f"live/{got}.stdout").read_bytes()
        problems += check_text((oracle / name).read_bytes(), printed_live, least, f"live {name}")
    if len(rows) < records:
        problems.append(f"Live, kvista dmesg --json has {len(rows)} records, at least {records} are needed.")
    return problems
