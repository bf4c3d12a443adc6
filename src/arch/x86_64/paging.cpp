#include "arch/x86_64/paging.h"

#include <array>

namespace kvista::arch::x86_64 {
namespace {

constexpr uint64_t kPresent = 1ULL << 0;
constexpr uint64_t kLarge = 1ULL << 7;     // _PAGE_PSE, at levels 2 and 3
constexpr uint64_t kProtNone = 1ULL << 8;  // _PAGE_PROTNONE: the global bit of an entry that is not present
constexpr uint64_t kFrameMask = 0x000ffffffffff000ULL;
constexpr unsigned kMaxLeafLevel = 3;
constexpr unsigned kIndexBits = 9;

struct Flag {
  unsigned bit;
  const char* name;
};
constexpr std::array kFlags = {Flag{0, "PRESENT"}, Flag{1, "RW"},       Flag{2, "USER"},  Flag{3, "PWT"},
                               Flag{4, "PCD"},     Flag{5, "ACCESSED"}, Flag{6, "DIRTY"}, Flag{7, "PSE"},
                               Flag{8, "GLOBAL"},  Flag{63, "NX"}};

uint64_t leaf_mask(unsigned level) {
  return kFrameMask & ~((uint64_t{1} << (kPageShift + kIndexBits * (level - 1))) - 1);
}

}  // namespace

Paging make_paging(unsigned levels, uint64_t sme_mask) {
  Paging paging{&kFormat, levels, {}, sme_mask};
  for (unsigned level = 1; level <= levels + 1; ++level)
    paging.shifts.at(level) = static_cast<uint8_t>(kPageShift + kIndexBits * (level - 1));
  return paging;
}

Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging) {
  if (raw == 0) return {};
  const bool can_be_leaf = level <= kMaxLeafLevel;
  const bool leaf = level == 1 || (can_be_leaf && (raw & kLarge) != 0);
  if ((raw & kPresent) != 0) {
    const uint64_t plain = raw & ~paging.mask;
    if (leaf) return {EntryKind::leaf, PhysAddr{plain & leaf_mask(level)}};
    return {EntryKind::table, PhysAddr{plain & kFrameMask}};
  }
  if (!can_be_leaf) return {};
  if ((raw & kProtNone) != 0) {
    // __pte_needs_invert(): every entry that is not present and not empty.
    return {EntryKind::prot_none, PhysAddr{~raw & ~paging.mask & leaf_mask(level)}};
  }
  // pgtable_64.h: type in bits 59-63, the inverted offset in bits 9-58.
  return {EntryKind::swap, {}, raw >> 59, ~raw << 5 >> 14};
}

std::string describe_flags(uint64_t raw, unsigned /*level*/) {
  std::string text;
  for (const Flag& flag : kFlags) {
    if ((raw >> flag.bit & 1) == 0) continue;
    // Bit 8 of an entry that is not present is the kernel's own.
    const bool prot_none = flag.bit == 8 && (raw & kPresent) == 0;
    if (!text.empty()) text += '|';
    text += prot_none ? "PROTNONE" : flag.name;
  }
  return text;
}

}  // namespace kvista::arch::x86_64
