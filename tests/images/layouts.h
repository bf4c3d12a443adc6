// What kernels of different versions export and where their structures have their members, for test images.
// From the VMCOREINFO of Debian's kernels; 4.19 from its source.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "images/kallsyms_builder.h"

namespace kvista::test {

/// How a compound page's order and kind are written.
enum class CompoundStyle {
  bytes,  ///< page.compound_dtor and compound_order of the second page, until 6.2
  flags,  ///< the low byte of the second page's flags, and page types, since 6.9
};

struct PageLayout {
  unsigned lru, priv, swapcache, swapbacked, head, reserved, hwpoison;  ///< bit numbers of page.flags
  std::optional<unsigned> slab;                                         ///< the flag, until 6.9
  bool exports_hwpoison;
  int32_t buddy, table;            ///< values of page._mapcount (page_type)
  std::optional<int32_t> offline;  ///< if exported
  std::optional<int32_t> slab_type, hugetlb_type, unaccepted;
  CompoundStyle compound;
  bool compound_info;  ///< page.compound_info instead of compound_head, since 7.1
};

struct ZoneLayout {
  uint64_t pglist_data, nr_zones, node_start_pfn, node_spanned_pages, node_id;
  uint64_t zone, free_area_offset, vm_stat, spanned_pages;
  uint64_t free_area, migrate_types;
};

struct KernelLayout {
  std::string_view name;
  std::string_view release;
  PageLayout page;
  ZoneLayout zones;
  bool section_bits;  ///< exports SECTION_SIZE_BITS and MAX_PHYSMEM_BITS
  bool sme_mask;      ///< exports sme_mask, since 5.0, and BUILD-ID
  bool uts_offset;    ///< exports uts_namespace.name, at 0, since 5.11; before it is at 4
  bool kallsyms;      ///< exports the symbol table's pointers, since 6.0
  bool ranges;        ///< exports VMALLOC_START and vmemmap, since 6.9
  SymbolEncoding encoding;
  bool addresses_first;       ///< kallsyms has its offsets before the names, until 6.1
  unsigned marker_size;       ///< of kallsyms_markers: words until 4.20
  bool riscv64_satp = false;  ///< exports riscv64's satp and KERNELOFFSET, since 7.1
};

std::span<const KernelLayout> layouts();
/// The layout of that name ("6.12"), or null.
const KernelLayout* find_layout(std::string_view name);

}  // namespace kvista::test
