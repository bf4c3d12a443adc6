"""What drgn reads: run by the Python of the tree that drgn is in, with the dump, the debuginfo and a request's file.

The request is JSON: names of variables, and how many elements of an array count. The answer too: of each variable
its address, the type of a pointer to it, its size, and its scalars by path, as kvista names them. A CPU's own
variable is one for each CPU; a scalar that cannot be read is null.
"""

import json
import sys
from pathlib import Path
from typing import Any

import drgn
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.percpu import per_cpu

MOST_TEXT = 4096
PERCPU_SECTIONS = ("__per_cpu_start", "__per_cpu_end")
COMPOUND = (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.CLASS)


def resolved(kind: drgn.Type) -> drgn.Type:
    """A type without typedefs."""
    while kind.kind == drgn.TypeKind.TYPEDEF:
        kind = kind.type
    return kind


def is_char(kind: drgn.Type) -> bool:
    """Whether an array of it is a text."""
    kind = resolved(kind)
    return kind.kind == drgn.TypeKind.INT and kind.name == "char"


class Flattener:
    """The scalars of one variable."""

    def __init__(self, prog: drgn.Program, most: int) -> None:
        self._prog = prog
        self._most = most
        self.scalars: dict[str, Any] = {}

    def add(self, value: drgn.Object, path: str) -> None:
        """Add a value, and what is in it."""
        kind = resolved(value.type_)
        if kind.kind in COMPOUND:
            self._add_members(value, kind, path)
        elif kind.kind != drgn.TypeKind.ARRAY:
            self.scalars[path] = self._guarded(lambda: self._scalar(value, kind))
        elif not kind.length:
            pass
        elif is_char(kind.type):
            self.scalars[path] = self._guarded(lambda: self._text(value, kind))
        else:
            for index in range(min(kind.length, self._most)):
                self.add(value[index], f"{path}[{index}]")

    def _add_members(self, value: drgn.Object, kind: drgn.Type, path: str) -> None:
        for member in kind.members or ():
            if member.name is not None:
                self.add(value.member_(member.name), f"{path}.{member.name}")
            elif resolved(member.type).kind in COMPOUND:
                at = value.address_ + member.bit_offset // 8
                self.add(drgn.Object(self._prog, member.type, address=at), path)

    def _scalar(self, value: drgn.Object, kind: drgn.Type) -> Any:
        number = value.value_()
        if kind.kind == drgn.TypeKind.ENUM:
            return next((name for name, known in kind.enumerators or () if known == number), number)
        return int(number)

    def _text(self, value: drgn.Object, kind: drgn.Type) -> str:
        data = self._prog.read(value.address_, min(kind.length, MOST_TEXT))
        return data.split(b"\0")[0].decode("latin-1")

    @staticmethod
    def _guarded(read: Any) -> Any:
        try:
            return read()
        except drgn.FaultError:
            return None


def with_length(variable: drgn.Object) -> drgn.Object:
    """An array of which only a declaration without a length was found is as long as its symbol."""
    kind = resolved(variable.type_)
    if kind.kind != drgn.TypeKind.ARRAY or kind.length is not None:
        return variable
    prog = variable.prog_
    length = prog.symbol(variable.address_).size // drgn.sizeof(kind.type)
    return drgn.Object(prog, prog.array_type(kind.type, length), address=variable.address_)


def answer_for(prog: drgn.Program, name: str, most: int, percpu: range, cpus: list[int]) -> dict[str, Any] | None:
    """All about one variable, or None where the debuginfo has no place for it."""
    try:
        variable = prog.variable(name)
        address = variable.address_
    except (LookupError, drgn.ObjectAbsentError):
        return None
    if address is None:
        return None
    variable = with_length(variable)
    flat = Flattener(prog, most)
    if address in percpu:
        for cpu in cpus:
            flat.add(per_cpu(variable, cpu), f"{name}:{cpu}")
    else:
        flat.add(variable, name)
    return {
        "address": address,
        "pointer": variable.address_of_().type_.type_name(),
        "size": drgn.sizeof(variable),
        "scalars": flat.scalars,
    }


def main() -> None:
    """Answer the request."""
    dump, vmlinux, question = sys.argv[1:]
    request = json.loads(Path(question).read_text("utf-8"))
    prog = drgn.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    first, end = (prog.symbol(label).address for label in PERCPU_SECTIONS)
    cpus = list(for_each_present_cpu(prog))
    answers = {name: answer_for(prog, name, request["elements"], range(first, end), cpus) for name in request["names"]}
    json.dump({"version": drgn.__version__, "variables": answers}, sys.stdout)


if __name__ == "__main__":
    main()
