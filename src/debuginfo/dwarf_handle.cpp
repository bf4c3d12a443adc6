#include "debuginfo/dwarf_handle.h"

#include <dwarf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace kvista::debuginfo {
namespace {

[[noreturn]] void fail_without_dwarf(const std::string& path) {
  const char* why = dwarf_errmsg(-1);
  throw FormatError(fmt::format("{}: holds no debug information (DWARF): {}", path,
                                why == nullptr ? "no such section" : why),
                    0);
}

bool is_compressed_section(Elf* elf, Elf_Scn* section, size_t names) {
  GElf_Shdr header;
  if (gelf_getshdr(section, &header) == nullptr) return false;
  const char* name = elf_strptr(elf, names, header.sh_name);
  if (name == nullptr) return false;
  const std::string_view text(name);
  return text.starts_with(".zdebug_") ||
         (text.starts_with(".debug_") && (header.sh_flags & SHF_COMPRESSED) != 0);
}

}  // namespace

DwarfHandle::DwarfHandle(const std::string& path) {
  elf_version(EV_CURRENT);
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) throw AccessError(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  try {
    elf_ = elf_begin(fd_, ELF_C_READ_MMAP, nullptr);
    look_at_headers(path);
    dwarf_ = dwarf_begin_elf(elf_, DWARF_C_READ, nullptr);
    if (dwarf_ == nullptr) fail_without_dwarf(path);
  } catch (...) {
    elf_end(elf_);
    ::close(fd_);
    throw;
  }
}

DwarfHandle::~DwarfHandle() {
  dwarf_end(dwarf_);
  elf_end(elf_);
  ::close(fd_);
}

void DwarfHandle::look_at_headers(const std::string& path) {
  GElf_Ehdr header;
  if (elf_ == nullptr || elf_kind(elf_) != ELF_K_ELF || gelf_getehdr(elf_, &header) == nullptr)
    throw FormatError(fmt::format("{}: is no ELF file: expected a vmlinux, or its file of debuginfo", path),
                      0);
  if (header.e_type == ET_REL)
    throw Unsupported(
        fmt::format("{}: is an object file, such as a module's debuginfo, which kvista does not read: give a "
                    "vmlinux, or its "
                    "file of debuginfo",
                    path));
  order_ = header.e_ident[EI_DATA] == ELFDATA2MSB ? ByteOrder::big : ByteOrder::little;
  word_size_ = header.e_ident[EI_CLASS] == ELFCLASS32 ? 4 : 8;
  size_t names = 0;
  if (elf_getshdrstrndx(elf_, &names) != 0) return;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_, section)) != nullptr;)
    compressed_ = compressed_ || is_compressed_section(elf_, section, names);
}

Dwarf_Die DwarfHandle::at(DieRef ref) const {
  Dwarf_Die die{};
  const auto* found =
      ref.in_types ? dwarf_offdie_types(dwarf_, ref.offset, &die) : dwarf_offdie(dwarf_, ref.offset, &die);
  if (found == nullptr)
    throw FormatError(fmt::format("the debug information has no entry at {:#x}", ref.offset), ref.offset);
  return die;
}

DieRef DwarfHandle::where(Dwarf_Die& die) const {
  if (dwarf_cu_getdwarf(die.cu) != dwarf_)
    throw Unsupported(
        "the debug information leads to a file of its own (dwz -m), which kvista does not read");
  Dwarf_Half version = 0;
  uint8_t unit_type = 0;
  dwarf_cu_info(die.cu, &version, &unit_type, nullptr, nullptr, nullptr, nullptr, nullptr);
  return {dwarf_dieoffset(&die), version == 4 && unit_type == DW_UT_type};
}

std::vector<DieRef> DwarfHandle::units(std::string& damage) const {
  std::vector<DieRef> all;
  Dwarf_CU* unit = nullptr;
  Dwarf_Half version = 0;
  uint8_t type = 0;
  Dwarf_Die die{};
  int found = 0;
  while ((found = dwarf_get_units(dwarf_, unit, &unit, &version, &type, &die, nullptr)) == 0) {
    if (die.addr == nullptr) continue;
    // A header that says that its unit has no bytes leads to itself.
    const DieRef ref = where(die);
    if (!all.empty() && all.back().in_types == ref.in_types && ref.offset <= all.back().offset) break;
    all.push_back(ref);
  }
  if (found != 1)
    damage = fmt::format("the debug information is damaged: its units end after {}{}{}", all.size(),
                         all.empty() ? "" : fmt::format(", which begins at {:#x}", all.back().offset),
                         found < 0 ? fmt::format(": {}", dwarf_errmsg(-1)) : "");
  return all;
}

void fail_at(Dwarf_Die& die, std::string_view what) {
  const uint64_t at = dwarf_dieoffset(&die);
  throw FormatError(fmt::format("the debug information is damaged at {:#x}: {}", at, what), at);
}

std::string_view name_of(Dwarf_Die& die) {
  Dwarf_Attribute attribute{};
  const char* name = dwarf_formstring(dwarf_attr(&die, DW_AT_name, &attribute));
  return name == nullptr ? std::string_view{} : name;
}

std::optional<uint64_t> to_number(Dwarf_Attribute& attribute) {
  Dwarf_Word number = 0;
  if (dwarf_formudata(&attribute, &number) != 0) return std::nullopt;
  return number;
}

std::optional<uint64_t> number_of(Dwarf_Die& die, unsigned attribute) {
  Dwarf_Attribute found{};
  if (dwarf_attr(&die, attribute, &found) == nullptr) return std::nullopt;
  return to_number(found);
}

std::optional<Dwarf_Die> target_of(Dwarf_Die& die, unsigned attribute) {
  Dwarf_Attribute found{};
  if (dwarf_attr_integrate(&die, attribute, &found) == nullptr) return std::nullopt;
  Dwarf_Die target{};
  if (dwarf_formref_die(&found, &target) == nullptr) fail_at(die, "it refers to nothing");
  return target;
}

}  // namespace kvista::debuginfo
