// How this kernel's struct page tells what a page is: read off VMCOREINFO, never off a version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvista/byte_order.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::pages {

/// A test of a 32-bit word: (word & mask) == value. A mask of 0 and a value of 1 never match.
struct MaskedMatch {
  uint32_t mask = 0;
  uint32_t value = 1;
  constexpr bool matches(uint32_t word) const { return (word & mask) == value; }
  constexpr bool known() const { return mask != 0; }
};

/// How the head of a compound page tells its order.
enum class OrderRule {
  none,          ///< unknown: each page stands for itself
  second_u8,     ///< a byte in the second struct page
  second_u16,    ///< two bytes there
  second_flags,  ///< the low byte of the second struct page's flags word
};

/// How the head of a compound page tells that it is a hugetlb page.
enum class HugetlbRule {
  none,
  type,           ///< page_type of the head
  second_flag,    ///< a flag in the second struct page's flags word
  destructor_u8,  ///< a destructor number in the second struct page
  destructor_u16,
};

/// Where the members of struct page are, and what their bits mean. Offsets in bytes.
struct PageRules {
  ByteOrder order = ByteOrder::little;
  uint32_t struct_size = 0;
  uint32_t flags = 0;
  uint32_t mapping = 0;
  uint32_t mapcount = 0;  ///< also page_type
  uint32_t private_ = 0;
  uint32_t compound = 0;  ///< compound_head, or compound_info since 7.1: bit 0 marks a tail in both

  uint64_t lru = 0;  ///< masks of flags; 0 where the kernel does not have the flag
  uint64_t private_flag = 0;
  uint64_t swapcache = 0;
  uint64_t swapbacked = 0;
  uint64_t slab_flag = 0;
  uint64_t hwpoison = 0;
  uint64_t head = 0;
  uint64_t reserved = 0;

  MaskedMatch buddy;  ///< tests of page_type
  MaskedMatch slab;
  MaskedMatch hugetlb;
  MaskedMatch offline;
  MaskedMatch unaccepted;
  MaskedMatch page_table;

  OrderRule order_rule = OrderRule::none;
  uint32_t order_at = 0;  ///< from the head's struct page
  HugetlbRule hugetlb_rule = HugetlbRule::none;
  uint32_t destructor_at = 0;  ///< from the head's struct page
  uint64_t hugetlb_value = 0;  ///< destructor number, or mask of the flag
  unsigned buddy_orders = 11;  ///< LENGTH(zone.free_area): orders are below it
};

/// Derives the rules for a kernel of that byte order, with `struct_size` in place of the note's SIZE(page)
/// where given. Throws NotFound that names what the note lacks, where without it no page can be told.
PageRules derive_page_rules(const vmcoreinfo::VmcoreInfo& note,
                            std::optional<uint64_t> struct_size = std::nullopt,
                            ByteOrder order = ByteOrder::little);

/// The test that an exported *_MAPCOUNT_VALUE stands for.
MaskedMatch match_for_page_type(uint64_t exported);

}  // namespace kvista::pages
