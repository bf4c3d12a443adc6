#include "arch/paging.h"

namespace kvista::arch {

VirtAddr Paging::canonical(VirtAddr address) const {
  const unsigned bits = address_bits();
  if (bits >= 64) return address;
  const uint64_t upper = ~uint64_t{0} << bits;
  const bool is_set =
      format->half == Half::upper || (format->half == Half::both && (address.value >> (bits - 1) & 1) != 0);
  return {is_set ? address.value | upper : address.value & ~upper};
}

const char* Paging::level_name(unsigned level) const {
  if (level == levels) return "PGD";
  constexpr std::array kNames = {"", "PTE", "PMD", "PUD", "P4D"};
  return level < kNames.size() ? kNames.at(level) : "";
}

std::optional<Paging> regular_paging(const PagingFormat& format, unsigned page_shift, unsigned address_bits) {
  Paging paging{&format, 0, {}, 0};
  const unsigned bits_per_level = page_shift - 3;
  unsigned shift = page_shift;
  while (shift < address_bits) {
    if (paging.levels == Paging::kMostLevels) return std::nullopt;
    paging.shifts.at(++paging.levels) = static_cast<uint8_t>(shift);
    shift += bits_per_level;
  }
  paging.shifts.at(paging.levels + 1) = static_cast<uint8_t>(address_bits);
  if (paging.levels == 0) return std::nullopt;
  return paging;
}

}  // namespace kvista::arch
