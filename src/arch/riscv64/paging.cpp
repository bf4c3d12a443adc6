#include "arch/riscv64/paging.h"

#include <algorithm>
#include <array>

namespace kvista::arch::riscv64 {
namespace {

constexpr unsigned kPageShift = 12;
constexpr uint64_t kValid = 1ULL << 0;
constexpr uint64_t kAccess = 7ULL << 1;    // R, W, X: an entry with none of them points to a table
constexpr uint64_t kProtNone = 1ULL << 5;  // _PAGE_PROT_NONE: the global bit of an entry that is not valid
constexpr unsigned kFrameShift = 10;
constexpr uint64_t kFrameMask = (1ULL << 44) - 1;
constexpr uint64_t kNapot = 1ULL << 63;
constexpr unsigned kNapotBits = 4;  // 64 KiB are the only size that Svnapot has
constexpr uint64_t kMemoryType = 7ULL << 60;

struct Flag {
  uint64_t mask;
  uint64_t value;
  const char* name;
};
constexpr Flag flag(unsigned bit, const char* name) {
  return {1ULL << bit, 1ULL << bit, name};
}
// The type of memory as Svpbmt has it, in two bits; T-Head's cores have three, whose usual value is "memory".
constexpr std::array kFlags = {flag(0, "PRESENT"),
                               flag(1, "READ"),
                               flag(2, "WRITE"),
                               flag(3, "EXEC"),
                               flag(4, "USER"),
                               flag(5, "GLOBAL"),
                               flag(6, "ACCESSED"),
                               flag(7, "DIRTY"),
                               flag(8, "SPECIAL"),
                               Flag{kMemoryType, 2ULL << 60, "NOCACHE"},
                               Flag{kMemoryType, 4ULL << 60, "IO"},
                               Flag{kMemoryType, 7ULL << 60, "PMA"},
                               flag(63, "NAPOT")};

// The 16 entries of a 64 KiB page say the same: their frame ends in 1000 (Svnapot, "naturally aligned power
// of two"). Bit 63 with another frame, or above the last level, is T-Head's type of memory for devices.
bool is_napot(uint64_t raw, unsigned level) {
  constexpr uint64_t kLow = (1ULL << kNapotBits) - 1;
  return level == 1 && (raw & kNapot) != 0 && (raw >> kFrameShift & kLow) == 1ULL << (kNapotBits - 1);
}

Entry page(EntryKind kind, uint64_t raw, uint64_t address, unsigned level, const Paging& paging) {
  Entry entry{kind, PhysAddr{address & ~(paging.entry_size(level) - 1)}};
  if (is_napot(raw, level)) {
    entry.group_shift = kPageShift + kNapotBits;
    entry.target = PhysAddr{address & ~((1ULL << entry.group_shift) - 1)};
  }
  return entry;
}

// arch/riscv/include/asm/pgtable.h, "Format of swap PTE".
Entry swap(uint64_t raw) {
  constexpr unsigned kTypeShift = 7;
  constexpr uint64_t kTypes = 32;
  constexpr unsigned kOffsetShift = 12;
  return {EntryKind::swap, PhysAddr{}, raw >> kTypeShift & (kTypes - 1), raw >> kOffsetShift};
}

}  // namespace

Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging) {
  if (raw == 0) return {};
  const uint64_t address = (raw >> kFrameShift & kFrameMask) << kPageShift;
  const bool is_leaf = (raw & kAccess) != 0;
  if ((raw & kValid) != 0) {
    if (is_leaf) return page(EntryKind::leaf, raw, address, level, paging);
    return level == 1 ? Entry{} : Entry{EntryKind::table, PhysAddr{address}};
  }
  // The kernel takes memory out of its map by the valid bit alone (arch/riscv/mm/pageattr.c), and the rest of
  // the entry stays.
  if (is_leaf || (raw & kProtNone) != 0) return page(EntryKind::prot_none, raw, address, level, paging);
  return swap(raw);
}

std::string describe_flags(uint64_t raw, unsigned /*level*/) {
  std::string text;
  for (const Flag& one : kFlags) {
    if ((raw & one.mask) != one.value) continue;
    if (!text.empty()) text += '|';
    text += one.name;
  }
  return text;
}

std::optional<Paging> make_paging(uint64_t va_bits) {
  constexpr std::array kBits = {uint64_t{39}, uint64_t{48}, uint64_t{57}};
  if (std::find(kBits.begin(), kBits.end(), va_bits) == kBits.end()) return std::nullopt;
  return regular_paging(kFormat, kPageShift, static_cast<unsigned>(va_bits));
}

std::optional<Satp> decode_satp(uint64_t raw) {
  constexpr unsigned kModeShift = 60;
  constexpr uint64_t kSv39 = 8;  // Sv48 and Sv57 follow, a level more each
  constexpr uint64_t kSv57 = 10;
  constexpr uint64_t kBitsOfSv39 = 39;
  constexpr uint64_t kBitsOfLevel = 9;
  const uint64_t mode = raw >> kModeShift;
  if (mode < kSv39 || mode > kSv57) return std::nullopt;
  return Satp{PhysAddr{(raw & kFrameMask) << kPageShift}, kBitsOfSv39 + kBitsOfLevel * (mode - kSv39)};
}

}  // namespace kvista::arch::riscv64
