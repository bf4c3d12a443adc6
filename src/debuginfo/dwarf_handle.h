// What kvista needs of libdw: an open file, and the entries (DIEs) in it. Not for several threads at once;
// each can have a handle of its own.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endian.h"
#include "base/file.h"

namespace kvista::debuginfo {

/// Where an entry is: its offset, and whether that counts in .debug_types (DWARF 4) and not in .debug_info.
struct DieRef {
  uint64_t offset = 0;
  bool in_types = false;
  friend bool operator==(const DieRef&, const DieRef&) = default;
  friend auto operator<=>(const DieRef&, const DieRef&) = default;
};

class DwarfHandle {
 public:
  /// Throws AccessError, FormatError or Unsupported, as open_debug_file().
  explicit DwarfHandle(const std::string& path);
  DwarfHandle(const DwarfHandle&) = delete;
  DwarfHandle& operator=(const DwarfHandle&) = delete;
  ~DwarfHandle();

  ::Dwarf* get() const { return dwarf_; }
  ByteOrder byte_order() const { return order_; }
  /// The size of a pointer, in bytes.
  unsigned word_size() const { return word_size_; }
  /// Whether its sections are compressed: then each handle holds a copy of its own.
  bool is_compressed() const { return compressed_; }

  /// Throws FormatError where there is no entry.
  Dwarf_Die at(DieRef ref) const;
  /// Where an entry is. Throws Unsupported where that is in a file of its own (dwz -m).
  DieRef where(Dwarf_Die& die) const;
  /// The units, first those of .debug_info. Those that stand behind a damaged header are left out, and
  /// `damage` then says so.
  std::vector<DieRef> units(std::string& damage) const;

 private:
  void look_at_headers(const std::string& path);

  int fd_ = -1;
  Elf* elf_ = nullptr;
  ::Dwarf* dwarf_ = nullptr;
  ByteOrder order_ = ByteOrder::little;
  unsigned word_size_ = 8;
  bool compressed_ = false;
};

/// Throws FormatError: what is damaged at this entry.
[[noreturn]] void fail_at(Dwarf_Die& die, std::string_view what);
/// Empty where it has none.
std::string_view name_of(Dwarf_Die& die);
/// An attribute that is a constant, or nothing.
std::optional<uint64_t> number_of(Dwarf_Die& die, unsigned attribute);
std::optional<uint64_t> to_number(Dwarf_Attribute& attribute);
/// The entry that an attribute leads to, or nothing where there is no such attribute. Throws FormatError
/// where it leads nowhere.
std::optional<Dwarf_Die> target_of(Dwarf_Die& die, unsigned attribute);

/// Goes through an entry's children; stops at, and throws FormatError for, a damaged one.
template <typename Visit>
void for_each_child(Dwarf_Die& parent, Visit visit) {
  Dwarf_Die child{};
  int found = dwarf_child(&parent, &child);
  while (found == 0) {
    visit(child);
    const Dwarf_Off here = dwarf_dieoffset(&child);
    Dwarf_Die next{};
    found = dwarf_siblingof(&child, &next);
    // A file may say that the next is one before.
    if (found == 0 && dwarf_dieoffset(&next) <= here) fail_at(child, "its sibling is before it");
    child = next;
  }
  if (found < 0) fail_at(parent, "its children cannot be read");
}

}  // namespace kvista::debuginfo
