"""ELF files by hand, for what the image builder does not write: other classes and byte orders, headers that lie."""
import pathlib
import struct


def note(name: str, kind: int, descriptor: bytes, order: str) -> bytes:
    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    encoded = name.encode() + b"\0"
    return struct.pack(order + "III", len(encoded), len(descriptor), kind) + padded(encoded) + padded(descriptor)


def write_elf(path: pathlib.Path, options: str, note_text: str) -> None:
    """options: class=64 order=little type=4 machine=62 phentsize=.. phnum=.. load=PADDR:FILESZ:MEMSZ[:VADDR] ...

    The segments' bytes are zeros. `note_text` becomes a VMCOREINFO note.
    """
    words = [word.split("=", 1) for word in options.split()]
    values = {key: value for key, value in words if key != "load"}
    loads = [[int(part, 0) for part in value.split(":")] for key, value in words if key == "load"]
    wide = values.get("class", "64") == "64"
    order = ">" if values.get("order", "little") == "big" else "<"
    header_size, entry_size = (64, 56) if wide else (52, 32)
    notes = note("VMCOREINFO", 0, note_text.encode(), order) if note_text else b""
    count = len(loads) + bool(notes)
    at = header_size + count * entry_size

    def program_header(kind: int, offset: int, vaddr: int, paddr: int, filesz: int, memsz: int) -> bytes:
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, 0, offset, vaddr, paddr, filesz, memsz, 0)
        return struct.pack(order + "IIIIIIII", kind, offset, vaddr, paddr, filesz, memsz, 0, 0)

    headers = program_header(4, at, 0, 0, len(notes), 0) if notes else b""
    at += len(notes)
    for paddr, filesz, memsz, *vaddr in loads:
        headers += program_header(1, at, vaddr[0] if vaddr else 0, paddr, filesz, memsz)
        at += filesz
    ident = b"\x7fELF" + bytes([2 if wide else 1, 2 if order == ">" else 1, 1]) + bytes(9)
    word = "Q" if wide else "I"
    ident += struct.pack(order + f"HHI{word}{word}{word}IHHHHHH", int(values.get("type", "4"), 0),
                         int(values.get("machine", "62"), 0), 1, 0, header_size, 0, 0, header_size,
                         int(values.get("phentsize", str(entry_size)), 0), int(values.get("phnum", str(count)), 0), 0, 0, 0)
    with open(path, "wb") as file:
        file.write(ident + headers + notes)
        file.truncate(int(values.get("size", str(at)), 0))
