"""Files by hand, for what the image builder does not write: other classes and byte orders, headers that lie."""
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


S390_MEMORY = 0x4000
S390_OS_INFO = 0x1000
S390_NOTE = 0x2000
"""Where lowcore says that these are."""
S390_UTSNAME = 0x3000


def s390_memory(note_text: str) -> bytearray:
    """Memory of a machine whose lowcore leads to the note and to os_info, and whose struct new_utsname shows its release."""
    memory = bytearray(S390_MEMORY)
    lines = dict(line.split("=", 1) for line in note_text.splitlines())
    struct.pack_into(">Q", memory, 0xE0C, S390_NOTE)
    struct.pack_into(">Q", memory, 0xE18, S390_OS_INFO)
    struct.pack_into(">QIHH", memory, S390_OS_INFO, 0x4F53494E464F535A, 0, 1, 1)
    for number, key in ((4, "IDENTITYBASE"), (5, "KERNELOFFSET"), (6, "KERNELOFFPHYS"), (7, "SYMBOL(vmemmap)")):
        struct.pack_into(">Q", memory, S390_OS_INFO + 32 + 20 * number, int(lines.get(key, "0"), 16))
    data = note("VMCOREINFO", 0, note_text.encode(), ">")
    memory[S390_NOTE : S390_NOTE + len(data)] = data
    for i, field in enumerate(("Linux", "guest", lines.get("OSRELEASE", ""), "#1 SMP", "s390x", "(none)")):
        at = S390_UTSNAME + 65 * i
        memory[at : at + len(field)] = field.encode()
    return memory


def write_s390_dump(path: pathlib.Path, options: str, note_text: str) -> None:
    """A stand-alone dump of s390x. options: extended=1 compressed=1 volumes=1 arch=1 size=100."""
    values = dict(word.split("=", 1) for word in options.split())
    memory = s390_memory(note_text)
    extended = "extended" in values
    header = bytearray(4096)
    struct.pack_into(">QIIIIQQQII", header, 0, 0xA8190173618F23FE if extended else 0xA8190173618F23FD, 5, 4096, 4, 4096,
                     len(memory), 0, len(memory), len(memory) // 4096, 0)
    struct.pack_into(">I", header, 0x48, int(values.get("arch", "2")))
    header[0x5C] = int(values.get("volumes", "0"))
    data = bytes(header)
    if extended:
        segment = struct.pack(">QQQI", 0, len(memory), 1, int(values.get("compressed", "0")))
        data += segment + bytes(4096 - len(segment))
    data += bytes(memory) + b"DUMP_END" + bytes(8)
    path.write_bytes(data[: int(values.get("size", str(len(data))), 0)])
