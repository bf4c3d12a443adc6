#include "arch/s390x/paging.h"

#include <array>
#include <span>

namespace kvista::arch::s390x {
namespace {

// Page-table entries.
constexpr uint64_t kPresent = 0x001;  // the kernel's own bit
constexpr uint64_t kProtect = 0x200;  // in tables, too
constexpr uint64_t kPageInvalid = 0x400;
constexpr uint64_t kPageZero = 0x800;  // must be 0 where an entry is valid
constexpr unsigned kSwapTypeShift = 2;
constexpr uint64_t kSwapTypeMask = 0x1f;
constexpr unsigned kSwapOffsetShift = 12;

// Entries of segment and region tables.
constexpr uint64_t kInvalid = 0x020;
constexpr uint64_t kCommon = 0x010;  // marks an invalid one as a swap entry (asm/pgtable.h: _RST_ENTRY_COMM)
constexpr uint64_t kLarge = 0x400;   // format control: maps memory
constexpr unsigned kTypeShift = 2;   // 0: of a segment table, 1 to 3: of a region table
constexpr uint64_t kTypeMask = 3;
constexpr unsigned kOffsetShift = 6;  // how many quarters of the next table are missing at its start
constexpr uint64_t kLengthMask = 3;   // and how many follow the first
constexpr unsigned kQuarter = 512;    // entries in a quarter of a table of 2048
constexpr unsigned kSegmentLevel = 2;
constexpr unsigned kMostLeafLevel = 3;

constexpr uint64_t kTableOrigin = ~uint64_t{0xfff};
constexpr uint64_t kPageTableOrigin = ~uint64_t{0x7ff};  // page tables have 2 KiB

struct Flag {
  uint64_t mask;
  const char* name;
};
constexpr std::array kPageFlags = {Flag{0x400, "INVALID"}, Flag{0x200, "PROTECT"}, Flag{0x100, "NOEXEC"},
                                   Flag{0x040, "SPECIAL"}, Flag{0x020, "WRITE"},   Flag{0x010, "READ"},
                                   Flag{0x008, "DIRTY"},   Flag{0x004, "YOUNG"},   Flag{0x001, "PRESENT"}};
constexpr std::array kTableFlags = {Flag{0x400, "LARGE"}, Flag{0x200, "PROTECT"}, Flag{0x100, "NOEXEC"},
                                    Flag{0x020, "INVALID"}, Flag{0x010, "COMMON"}};

Entry decode_page(uint64_t raw) {
  const PhysAddr page{raw & kTableOrigin};
  if ((raw & kPageInvalid) == 0) return (raw & kPageZero) == 0 ? Entry{EntryKind::leaf, page} : Entry{};
  if ((raw & kPresent) != 0) return {EntryKind::prot_none, page};
  if ((raw & kProtect) != 0)
    return {EntryKind::swap, {}, raw >> kSwapTypeShift & kSwapTypeMask, raw >> kSwapOffsetShift};
  return {};
}

// What an entry of a region table says of the part of the next table that there is.
Entry table_of_region(uint64_t raw) {
  Entry entry{EntryKind::table, PhysAddr{raw & kTableOrigin}};
  entry.first = static_cast<uint16_t>((raw >> kOffsetShift & kLengthMask) * kQuarter);
  entry.end = static_cast<uint16_t>(((raw & kLengthMask) + 1) * kQuarter);
  return entry;
}

}  // namespace

Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging) {
  if (level == 1) return decode_page(raw);
  // An entry of another table's type stops the CPU (translation-specification exception).
  if ((raw >> kTypeShift & kTypeMask) != level - kSegmentLevel) return {};
  const bool is_large = level <= kMostLeafLevel && (raw & kLarge) != 0;
  if (is_large) {
    const PhysAddr at{raw & ~(paging.entry_size(level) - 1)};
    if ((raw & kInvalid) == 0) return {EntryKind::leaf, at};
    return (raw & kCommon) != 0 ? Entry{EntryKind::swap, {}} : Entry{EntryKind::prot_none, at};
  }
  if ((raw & kInvalid) != 0) return {};
  if (level == kSegmentLevel) return {EntryKind::table, PhysAddr{raw & kPageTableOrigin}};
  return table_of_region(raw);
}

std::string describe_flags(uint64_t raw, unsigned level) {
  std::string text;
  const auto flags = level == 1 ? std::span<const Flag>(kPageFlags) : std::span<const Flag>(kTableFlags);
  for (const Flag& flag : flags) {
    if ((raw & flag.mask) == 0) continue;
    if (!text.empty()) text += '|';
    text += flag.name;
  }
  return text;
}

std::optional<Paging> make_paging(uint64_t levels) {
  constexpr uint64_t kLeast = 2;
  constexpr uint64_t kMost = 5;
  if (levels < kLeast || levels > kMost) return std::nullopt;
  // Tables have 256 entries at the lowest level, and 2048 above it.
  return Paging{&kFormat, static_cast<unsigned>(levels), {0, 12, 20, 31, 42, 53, 64}, 0};
}

}  // namespace kvista::arch::s390x
