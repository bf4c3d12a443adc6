// The symbol table of an ELF file: vmlinux, or its file of debug information.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "decode/symbol_text.h"

namespace kvista::decode {

/// Reads a file: the number of bytes that are there, from the first on.
using FileReader = std::function<size_t(uint64_t offset, std::span<std::byte> out)>;

/// The symbols with one of `names` in the first section of type SHT_SYMTAB, and the build-id among the notes;
/// `visit`, if any, is shown every symbol.
/// Any class and byte order. Nothing found (count 0) where the file has no such section: it is stripped.
/// Throws FormatError where headers or tables make no sense or are cut.
FoundSymbols read_elf_symbols(const FileReader& read, std::span<const std::string_view> names,
                              const VisitFileSymbol& visit = {});

}  // namespace kvista::decode
