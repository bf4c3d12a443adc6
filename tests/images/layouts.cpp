#include "images/layouts.h"

#include <algorithm>
#include <array>

namespace kvista::test {
namespace {

constexpr PageLayout kPage419{.lru = 5,
                              .priv = 12,
                              .swapcache = 9,
                              .swapbacked = 18,
                              .head = 15,
                              .reserved = 11,
                              .hwpoison = 22,
                              .slab = 8,
                              .exports_hwpoison = true,
                              .buddy = -129,
                              .table = -1025,
                              .offline = {},
                              .slab_type = {},
                              .hugetlb_type = {},
                              .unaccepted = {},
                              .compound = CompoundStyle::bytes,
                              .compound_info = false};
constexpr PageLayout kPage510{.lru = 4,
                              .priv = 13,
                              .swapcache = 10,
                              .swapbacked = 19,
                              .head = 16,
                              .reserved = 12,
                              .hwpoison = 23,
                              .slab = 9,
                              .exports_hwpoison = false,
                              .buddy = -129,
                              .table = -1025,
                              .offline = -257,
                              .slab_type = {},
                              .hugetlb_type = {},
                              .unaccepted = {},
                              .compound = CompoundStyle::bytes,
                              .compound_info = false};
constexpr PageLayout kPage61 = [] {
  PageLayout page = kPage510;
  page.table = -513;
  return page;
}();
constexpr PageLayout kPage612{.lru = 5,
                              .priv = 14,
                              .swapcache = 10,
                              .swapbacked = 17,
                              .head = 6,
                              .reserved = 13,
                              .hwpoison = 20,
                              .slab = {},
                              .exports_hwpoison = true,
                              .buddy = -268435456,
                              .table = -234881024,
                              .offline = -251658240,
                              .slab_type = -184549376,
                              .hugetlb_type = -201326592,
                              .unaccepted = {},
                              .compound = CompoundStyle::flags,
                              .compound_info = false};
constexpr PageLayout kPage72 = [] {
  PageLayout page = kPage612;
  page.hwpoison = 21;
  page.unaccepted = -150994944;
  page.compound_info = true;
  return page;
}();

// Of 4.19 only what the note's readers need is as in the kernel: all sizes and offsets are exported.
constexpr ZoneLayout kZones510{.pglist_data = 171968,
                               .nr_zones = 171232,
                               .node_start_pfn = 171240,
                               .node_spanned_pages = 171256,
                               .node_id = 171264,
                               .zone = 1472,
                               .free_area_offset = 192,
                               .vm_stat = 1280,
                               .spanned_pages = 120,
                               .free_area = 88,
                               .migrate_types = 5};
constexpr ZoneLayout kZones61{.pglist_data = 174208,
                              .nr_zones = 171552,
                              .node_start_pfn = 171560,
                              .node_spanned_pages = 171576,
                              .node_id = 171584,
                              .zone = 1536,
                              .free_area_offset = 256,
                              .vm_stat = 1344,
                              .spanned_pages = 144,
                              .free_area = 88,
                              .migrate_types = 5};
constexpr ZoneLayout kZones612 = [] {
  ZoneLayout zones = kZones61;
  zones.pglist_data = 174464;
  zones.spanned_pages = 160;
  return zones;
}();
constexpr ZoneLayout kZones72{.pglist_data = 176256,
                              .nr_zones = 173152,
                              .node_start_pfn = 173160,
                              .node_spanned_pages = 173176,
                              .node_id = 173184,
                              .zone = 1856,
                              .free_area_offset = 256,
                              .vm_stat = 1536,
                              .spanned_pages = 160,
                              .free_area = 104,
                              .migrate_types = 6};
constexpr ZoneLayout kZones73 = [] {
  ZoneLayout zones = kZones72;
  zones.pglist_data = 176320;
  return zones;
}();

constexpr std::array kLayouts = {
    KernelLayout{"4.19", "4.19.0-27-amd64", kPage419, kZones510, false, false, false, false, false,
                 SymbolEncoding::base_relative_percpu, true, 8},
    KernelLayout{"5.10", "5.10.0-32-cloud-amd64", kPage510, kZones510, true, true, false, false, false,
                 SymbolEncoding::base_relative_percpu, true, 4},
    KernelLayout{"6.1", "6.1.0-56-cloud-amd64", kPage61, kZones61, true, true, true, true, false,
                 SymbolEncoding::base_relative_percpu, true, 4},
    KernelLayout{"6.12", "6.12.107+deb13-cloud-amd64", kPage612, kZones612, true, true, true, true, true,
                 SymbolEncoding::base_relative_percpu, false, 4},
    KernelLayout{"7.2", "7.2.13+deb14-cloud-amd64", kPage72, kZones72, true, true, true, true, true,
                 SymbolEncoding::place_relative, false, 4, true},
    KernelLayout{"7.3", "7.3.4+deb13-cloud-amd64", kPage72, kZones73, true, true, true, true, true,
                 SymbolEncoding::place_relative, false, 4, true},
};

}  // namespace

std::span<const KernelLayout> layouts() {
  return kLayouts;
}

const KernelLayout* find_layout(std::string_view name) {
  const auto* const at = std::find_if(kLayouts.begin(), kLayouts.end(),
                                      [&](const KernelLayout& layout) { return layout.name == name; });
  return at == kLayouts.end() ? nullptr : at;
}

}  // namespace kvista::test
