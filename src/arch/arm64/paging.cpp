#include "arch/arm64/paging.h"

#include <array>
#include <bit>

namespace kvista::arch::arm64 {
namespace {

constexpr uint64_t kValid = 1ULL << 0;
constexpr uint64_t kTable = 1ULL << 1;  // at level 1: a page; above: a table, else a block
constexpr unsigned kAddressBits = 48;   // of an entry, without what FEAT_LPA and FEAT_LPA2 add elsewhere
constexpr unsigned kMostLeafLevel = 4;  // 512 GiB, with FEAT_LPA2
constexpr unsigned kShift4K = 12;
constexpr unsigned kShift64K = 16;
constexpr unsigned kTagShift = 56;
constexpr unsigned kLpa2Bits = 49;  // with pages of 4 or 16 KiB, more bits of address than 48 need FEAT_LPA2

struct Flag {
  unsigned bit;
  const char* name;
};
constexpr std::array kFlags = {Flag{0, "VALID"},   Flag{1, "TABLE"}, Flag{6, "USER"}, Flag{7, "RDONLY"},
                               Flag{10, "AF"},     Flag{11, "NG"},   Flag{50, "GP"},  Flag{51, "DBM"},
                               Flag{52, "CONT"},   Flag{53, "PXN"},  Flag{54, "UXN"}, Flag{55, "DIRTY"},
                               Flag{56, "SPECIAL"}};

// The address in an entry: bits 47 to the page's, and above those what the two extensions put lower.
uint64_t address_in(uint64_t raw, const Paging& paging) {
  const unsigned shift = paging.page_shift();
  const uint64_t address = raw & ((1ULL << kAddressBits) - 1) & ~((1ULL << shift) - 1);
  // FEAT_LPA: bits 51 to 48 are in bits 15 to 12, which are zeros without it.
  if (shift == kShift64K) return address | (raw >> 12 & 0xf) << kAddressBits;
  // FEAT_LPA2: bits 49 and 48 stay where they are, 51 and 50 are in bits 9 and 8, else the shareability.
  if (paging.address_bits() < kLpa2Bits) return address;
  return address | (raw & (3ULL << kAddressBits)) | (raw >> 8 & 3) << 50;
}

}  // namespace

Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging) {
  if (raw == 0) return {};
  const uint64_t address = address_in(raw, paging);
  const uint64_t of_page = address & ~(paging.entry_size(level) - 1);
  if ((raw & kValid) != 0) {
    const bool is_table_bit = (raw & kTable) != 0;
    if (level == 1) return is_table_bit ? Entry{EntryKind::leaf, PhysAddr{of_page}} : Entry{};
    if (is_table_bit) return {EntryKind::table, PhysAddr{address}};
    return level <= kMostLeafLevel ? Entry{EntryKind::leaf, PhysAddr{of_page}} : Entry{};
  }
  // The kernel takes memory out of its map by the valid bit alone (set_memory_valid). It swaps no memory of
  // its own, so that the upper half has no swap entries.
  return {EntryKind::prot_none, PhysAddr{of_page}};
}

std::string describe_flags(uint64_t raw, unsigned /*level*/) {
  std::string text;
  for (const Flag& flag : kFlags) {
    if ((raw >> flag.bit & 1) == 0) continue;
    if (!text.empty()) text += '|';
    text += flag.name;
  }
  return text;
}

VirtAddr strip(VirtAddr pointer, const Paging& paging) {
  const unsigned bits = paging.address_bits();
  const uint64_t below_tag = (1ULL << kTagShift) - (1ULL << bits);
  const bool may_be_tagged =
      pointer.value >> (kTagShift + 4) == 0xf && (pointer.value & below_tag) == below_tag;
  return {may_be_tagged ? pointer.value | 0xffULL << kTagShift : pointer.value};
}

std::optional<Paging> make_paging(uint64_t page_size, uint64_t va_bits, uint64_t built_bits) {
  constexpr uint64_t kLeastBits = 36;
  constexpr uint64_t kMostBits = 52;
  constexpr uint64_t kBitsOfEveryCpu = 48;
  if (va_bits < kLeastBits || va_bits > kMostBits || !std::has_single_bit(page_size)) return std::nullopt;
  const auto shift = static_cast<unsigned>(std::countr_zero(page_size));
  if (shift < kShift4K || shift > kShift64K || shift % 2 != 0) return std::nullopt;
  auto paging = regular_paging(kFormat, shift, static_cast<unsigned>(va_bits));
  // With pages of 64 KiB a kernel for 52 bits keeps its tables on a CPU that has 48, which then starts within
  // the top one (TTBR1_BADDR_4852_OFFSET; e842dfb5a2d3, 5.0). With others the top level goes.
  if (shift == kShift64K && va_bits == kBitsOfEveryCpu && built_bits == kMostBits) {
    paging->shifts.at(paging->levels + 1) = kMostBits;
    paging->unused_bits = kMostBits - kBitsOfEveryCpu;
  }
  return paging;
}

}  // namespace kvista::arch::arm64
