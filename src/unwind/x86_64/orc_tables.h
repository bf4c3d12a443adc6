// The ORC tables in a kernel's memory: its own and those of its modules.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "arch/x86_64/orc.h"
#include "base/address.h"
#include "base/endian.h"
#include "unwind/x86_64/orc_target.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

/// One table: sorted addresses of code, each relative to where it stands, and beside them the entries.
struct OrcTable {
  VirtAddr addresses;
  VirtAddr entries;
  uint64_t count = 0;
};

/// Looks an address up in a table: the entry that begins at it or last before it. `read(address, bytes)`
/// reads memory and returns why it cannot, or an empty text. Pages are read where the search comes to.
template <typename Read>
OrcAnswer find_orc(const OrcTable& table, VirtAddr address, arch::x86_64::OrcFormat format, Read read) {
  constexpr uint64_t kAddressSize = 4;
  uint64_t low = 0;
  uint64_t high =
      table.count;  // entries before `low` begin at or before the address, those from `high` on do not
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    const VirtAddr at = table.addresses + middle * kAddressSize;
    std::array<std::byte, kAddressSize> bytes{};
    if (std::string why = read(at, std::span<std::byte>(bytes)); !why.empty())
      return {std::nullopt, std::move(why)};
    const auto distance = static_cast<int32_t>(load<uint32_t>(bytes.data(), ByteOrder::little));
    if (at + static_cast<uint64_t>(int64_t{distance}) <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return {};
  std::array<std::byte, arch::x86_64::kOrcEntrySize> bytes{};
  const VirtAddr at = table.entries + (low - 1) * arch::x86_64::kOrcEntrySize;
  if (std::string why = read(at, std::span<std::byte>(bytes)); !why.empty())
    return {std::nullopt, std::move(why)};
  return {arch::x86_64::decode_orc(bytes, format)};
}

/// For one thread: what was looked up is kept.
class OrcTables {
 public:
  /// Never throws: why_none() says what is missing.
  explicit OrcTables(const kernel::Session& session);

  /// How entries are packed. Nothing where there are no tables that can be used.
  std::optional<arch::x86_64::OrcFormat> format() const { return format_; }
  /// Why there are none, in one sentence.
  const std::string& why_none() const { return why_none_; }
  OrcAnswer find(VirtAddr address);

 private:
  void find_own();
  void find_format();
  OrcAnswer look_up(VirtAddr address);
  const OrcTable* table_of(VirtAddr address);

  const kernel::Session& session_;
  std::optional<arch::x86_64::OrcFormat> format_;
  std::string why_none_;
  std::vector<VirtRange> code_;  // that the kernel's own table is for
  OrcTable own_;
  std::unordered_map<const void*, OrcTable> modules_;
  std::unordered_map<uint64_t, OrcAnswer> known_;
};

}  // namespace kvista::unwind
