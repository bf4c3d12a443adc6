// The symbol table that a kernel carries in its own memory (kernel/kallsyms.c, scripts/kallsyms.c).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "base/reader.h"
#include "decode/kallsyms_names.h"

namespace kvista::decode {

/// Where the tables are. All are read-only data of the kernel image.
struct KallsymsTables {
  VirtAddr names;
  VirtAddr num_syms;
  VirtAddr token_table;
  VirtAddr token_index;
  std::optional<VirtAddr> offsets;        ///< 4 bytes a symbol
  std::optional<VirtAddr> addresses;      ///< a word a symbol (kernels without KALLSYMS_BASE_RELATIVE)
  std::optional<VirtAddr> relative_base;  ///< until 6.19; a081b5789255 of 7.0 dropped it
};

/// How an address is written. Newest first; which one holds is decided by the address of a known symbol.
enum class KallsymsEncoding {
  place_relative,        ///< &offsets[i] + (s32)offsets[i], since 7.0
  base_relative,         ///< relative_base + (u32)offsets[i]
  base_relative_percpu,  ///< offset < 0: relative_base - 1 - offset; else the offset itself (per-CPU)
  absolute,              ///< addresses[i]
};
const char* describe(KallsymsEncoding encoding);

struct KallsymsSymbol {
  VirtAddr address;
  char type = 0;
  std::string name;
};

/// A kernel's kallsyms. Names are decoded in one pass when asked for; nothing is kept but tokens and markers.
/// Where the table is damaged, the symbols that stand in sound parts are still found.
class Kallsyms {
 public:
  /// Symbols whose addresses are known from elsewhere, to choose the encoding by.
  struct Known {
    std::string_view name;
    VirtAddr address;
  };

  /// Checks the tables and finds the encoding. Throws FormatError where they are not readable or absurd, or
  /// where no encoding gives any of `known` its address. All names are gone through for that: those `wanted`
  /// are looked for, too, so that find() needs not go through them again.
  Kallsyms(VirtReader read, const KallsymsTables& tables, ByteOrder order, unsigned word_size,
           std::span<const Known> known, std::span<const std::string_view> wanted = {});

  size_t size() const { return count_; }
  /// How many symbols have names that are damaged, or not in the image.
  size_t damaged() const { return damaged_; }
  KallsymsEncoding encoding() const { return encoding_; }

  /// The symbols with one of these names, in table order; a name may be there several times. Left out are
  /// those whose address does not fit between its neighbours': the table is sorted.
  std::vector<KallsymsSymbol> find(std::span<const std::string_view> names) const;
  /// One symbol, by its number; nothing where its name or address cannot be read. Only its block of names is
  /// read.
  std::optional<KallsymsSymbol> at(size_t index) const;
  /// The name of one symbol; nothing where it cannot be read.
  std::optional<std::string> name_at(size_t index) const;
  /// The first of the symbols at or before an address that are at the same place, and where the next one is;
  /// nothing before the first symbol.
  struct Near {
    size_t index = 0;
    std::optional<VirtAddr> end = {};
  };
  std::optional<Near> near(VirtAddr address) const;

  const VirtReader& reader() const { return read_; }
  const KallsymsTables& tables() const { return tables_; }
  ByteOrder byte_order() const { return order_; }
  unsigned word_size() const { return word_size_; }
  /// Calls `visit` with the number and name of each symbol in table order, damaged names left out. Throws as
  /// for_each.
  void for_each_name(const std::function<void(size_t, std::string_view)>& visit) const;
  /// Calls `visit` for each symbol in table order, damaged names left out. Throws FormatError where the table
  /// is cut; what came before has been visited by then.
  void for_each(const std::function<void(const KallsymsSymbol&)>& visit) const;

 private:
  struct Match {
    size_t index;
    std::string expanded;  ///< type letter and name
  };
  void load_tokens();
  std::vector<Match> match(std::span<const std::string_view> names, size_t* damaged = nullptr) const;
  std::optional<VirtAddr> address_at(size_t index, KallsymsEncoding encoding) const;
  std::optional<VirtAddr> decode_address(std::span<const std::byte> raw, size_t index,
                                         KallsymsEncoding encoding) const;
  std::optional<VirtAddr> address_table(KallsymsEncoding encoding) const;
  size_t address_width(KallsymsEncoding encoding) const;
  VirtAddr address_of(size_t index) const;
  bool fits_neighbours(size_t index, VirtAddr address) const;

  VirtReader read_;
  KallsymsTables tables_;
  ByteOrder order_;
  unsigned word_size_;
  size_t count_ = 0;
  size_t damaged_ = 0;
  std::optional<KallsymsNames> names_;
  uint64_t relative_base_ = 0;
  KallsymsEncoding encoding_ = KallsymsEncoding::place_relative;
  std::array<std::string, 256> tokens_;
  std::set<std::string, std::less<>> matched_names_;  // those that the constructor looked for
  std::vector<Match> matched_;                        // what it found
};

}  // namespace kvista::decode
