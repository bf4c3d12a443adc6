"""What a kernel writes when it dies: call traces, and which frames of a stack they tell of."""

from __future__ import annotations

import dataclasses
import re

LINE = re.compile(r"^(?:<\d>)?\[ *\d+\.\d+\](?:\[ *[CT]\d+\])? ?(?P<text>.*)$")
PLACE = r"(?P<function>[\w.]+)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)(?: \[(?P<module>\w+)\S*\])?"
FRAME = re.compile(rf"^(?P<doubt>\()?(?: *\[<[0-9a-f]+>\] | +)(?P<guess>\? )?{PLACE}\)? *$")
"""What the kernel is not sure of has a question mark, or stands in parentheses (s390x). Some write the address before."""
REGISTERS = re.compile(rf"^ *RIP: 0010:{PLACE}$")
TASK = re.compile(r"^ *task:.* pid:(?P<pid>\d+) ")
PANIC = "Kernel panic - not syncing: "
AT_THE_END = "end Kernel panic"
PANICS = ("panic", "vpanic", "nmi_panic")
"""What the kernel is in when it writes its last trace; it has moved on within it."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A frame as the kernel writes it; `size` is the function's, None where it is not known."""

    function: str
    offset: int
    size: int | None
    module: str | None
    is_sure: bool = dataclasses.field(default=True, compare=False)
    """False where the kernel says that it only may be one (s390x: the caller of what was interrupted); of kvista's, where it
    looked into the link register, which no kernel does."""


@dataclasses.dataclass
class CallTrace:
    """What stands behind "Call Trace:", without what the kernel is not sure of."""

    pid: int | None
    """Of the task that it names before."""
    interrupted: Place | None
    """Where the registers were that it wrote before."""
    frames: list[Place]
    after_panic: bool
    doubted: list[Place]
    """Those with a question mark behind the last frame."""


def place(found: re.Match[str]) -> Place:
    """A line's."""
    is_sure = not found.groupdict().get("doubt")
    return Place(found["function"], int(found["offset"], 16), int(found["size"], 16), found["module"], is_sure)


class Log:
    """The messages of a kernel's console."""

    def __init__(self, text: str) -> None:
        found = (LINE.match(line) for line in text.splitlines())
        self.lines = [line["text"] for line in found if line]

    def panic(self) -> str | None:
        """The message of the panic."""
        return next((line[len(PANIC) :] for line in self.lines if line.startswith(PANIC)), None)

    def traces(self) -> list[CallTrace]:
        """All call traces, in their order."""
        traces: list[CallTrace] = []
        pid: int | None = None
        interrupted: Place | None = None
        is_within = after_panic = False
        for line in self.lines:
            after_panic = after_panic or line.startswith(PANIC)
            if named := TASK.match(line):
                pid = int(named["pid"])
            registers, frame = REGISTERS.match(line), FRAME.match(line)
            if line.strip().lower() == "call trace:":
                traces.append(CallTrace(pid, interrupted, [], after_panic, []))
                is_within, pid, interrupted = True, None, None
            elif is_within and line.strip() == "</TASK>":
                is_within = False
            elif is_within and (registers or (frame and not frame["guess"])):
                traces[-1].frames.append(place(registers or frame))  # type: ignore[arg-type]
                traces[-1].doubted.clear()
            elif is_within and frame:
                traces[-1].doubted.append(place(frame))
            elif not is_within and registers:
                interrupted = place(registers)
        return traces


def of_the_crash(log: Log) -> tuple[Place | None, list[Place]]:
    """Which frames the stack that crashed must end with, by the last trace: all behind panic() where that wrote it,
    else all from the instruction that failed on. First what must stand before them: panic(), or None."""
    last = log.traces()[-1]
    if last.after_panic:
        index = max(at for at, frame in enumerate(last.frames) if frame.function in PANICS)
        return last.frames[index], last.frames[index + 1 :]
    return None, ([last.interrupted] if last.interrupted else []) + last.frames
