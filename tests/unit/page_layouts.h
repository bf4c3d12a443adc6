// What kernels of all versions export about struct page, and struct pages written as those kernels write
// them. It is written down apart from pages/page_rules.cpp, from the kernels' own sources.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "kvista/page_class.h"
#include "kvista/vmcoreinfo.h"
#include "pages/page_classifier.h"
#include "pages/page_rules.h"

namespace kvista::test {

/// Where a compound page keeps its order and its kind.
enum class Compound {
  second_u16,  ///< page.compound_dtor and compound_order, unsigned short: until 4.15
  second_u8,   ///< ... unsigned char: 4.16 to 6.2
  folio_u8,    ///< folio._folio_dtor and _folio_order: 6.3 to 6.5
  flags_bit,   ///< the low byte of _flags_1, and PG_hugetlb there: 6.6 to 6.8
  flags_type,  ///< the low byte of _flags_1, and the head's page type: since 6.9
};

struct NoteLayout {
  const char* name;
  unsigned lru, priv, swapcache, swapbacked, head;
  std::optional<unsigned> slab_bit, hwpoison;
  int32_t buddy;
  std::optional<int32_t> slab, hugetlb, offline, unaccepted;
  std::optional<int32_t> table;  ///< as the kernel writes it; no version exports it
  Compound compound;
  bool compound_info = false;
  unsigned struct_size = 64;
  ByteOrder order = ByteOrder::little;
};
inline std::ostream& operator<<(std::ostream& out, const NoteLayout& layout) {
  return out << layout.name << ", struct page of " << layout.struct_size
             << (layout.order == ByteOrder::big ? ", big-endian" : "");
}

constexpr uint64_t kDestructorOfHugetlb = 2;
constexpr unsigned kHugetlbBit = 8;  // PG_hugetlb = PG_active in 6.6
constexpr unsigned kBuddyOrders = 11;

// Numbers of Debian's kernels where there is one; the others are from include/linux/page-flags.h.
inline const std::vector<NoteLayout>& note_layouts() {
  static const std::vector<NoteLayout> kAll = [] {
    // What the later layout says otherwise than the one before.
    const auto with = [](NoteLayout layout, const char* name, const auto& change) {
      layout.name = name;
      change(layout);
      return layout;
    };
    const NoteLayout v6_1{"6.1", 4, 13, 10, 19, 16, 9, 23, -129, {}, {}, -257, {}, {}, Compound::second_u8};
    const NoteLayout v6_12{.name = "6.12",
                           .lru = 5,
                           .priv = 14,
                           .swapcache = 10,
                           .swapbacked = 17,
                           .head = 6,
                           .slab_bit = {},
                           .hwpoison = 20,
                           .buddy = -268435456,
                           .slab = -184549376,
                           .hugetlb = -201326592,
                           .offline = -251658240,
                           .unaccepted = {},
                           .table = -234881024,
                           .compound = Compound::flags_type};
    const NoteLayout v7_2 = with(v6_12, "7.2", [](NoteLayout& it) {
      it.hwpoison = 21;
      it.unaccepted = -150994944;
      it.compound_info = true;
    });
    const NoteLayout v7_3 = with(v7_2, "7.3", [](NoteLayout&) {});
    return std::vector<NoteLayout>{
        {"4.14", 5, 12, 9, 18, 15, 8, 22, -128, {}, {}, {}, {}, {}, Compound::second_u16},
        {"4.19", 5, 12, 9, 18, 15, 8, 22, -129, {}, {}, {}, {}, {}, Compound::second_u8},
        with(v6_1, "5.10", [](NoteLayout& it) { it.hwpoison.reset(); }),
        v6_1,
        with(v6_1, "6.4", [](NoteLayout& it) { it.compound = Compound::folio_u8; }),
        {"6.6", 5, 15, 10, 19, 6, 11, 23, -129, {}, {}, -257, {}, {}, Compound::flags_bit},
        {"6.9", 5, 15, 10, 19, 6, 11, 22, -129, {}, -2049, -257, {}, {}, Compound::flags_type},
        {"6.11", 5, 14, 10, 17, 6, {}, 20, -129, -4097, -2049, -257, {}, {}, Compound::flags_type},
        v6_12,
        v7_2,
        v7_3,
        // Other configurations: no memory cgroups, or more members; 56 does not divide a page.
        with(v6_1, "6.1", [](NoteLayout& it) { it.struct_size = 56; }),
        with(v7_3, "7.3", [](NoteLayout& it) { it.struct_size = 80; }),
    };
  }();
  return kAll;
}
inline const NoteLayout& note_layout(std::string_view name) {
  for (const NoteLayout& layout : note_layouts())
    if (layout.name == name) return layout;
  throw std::out_of_range(std::string(name));
}

/// The same, and each once more as big-endian kernels write them.
inline std::vector<NoteLayout> note_layouts_of_both_orders() {
  std::vector<NoteLayout> all = note_layouts();
  for (NoteLayout layout : note_layouts()) {
    layout.order = ByteOrder::big;
    all.push_back(layout);
  }
  return all;
}

/// The note of a kernel of that layout, as far as pages need it.
inline std::string page_note(const NoteLayout& layout) {
  std::string text = fmt::format(
      "SIZE(page)={}\nOFFSET(page.flags)=0\nOFFSET(page.mapping)=24\nOFFSET(page._mapcount)=48\n"
      "OFFSET(page.private)=40\nOFFSET(page.{})=8\nLENGTH(zone.free_area)={}\n",
      layout.struct_size, layout.compound_info ? "compound_info" : "compound_head", kBuddyOrders);
  const auto number = [&](const char* name, auto value) {
    text += fmt::format("NUMBER({})={}\n", name, value);
  };
  number("PG_lru", layout.lru);
  number("PG_private", layout.priv);
  number("PG_swapcache", layout.swapcache);
  number("PG_swapbacked", layout.swapbacked);
  number("PG_head_mask", uint64_t{1} << layout.head);
  number("PAGE_BUDDY_MAPCOUNT_VALUE", layout.buddy);
  if (layout.slab_bit) number("PG_slab", *layout.slab_bit);
  if (layout.hwpoison) number("PG_hwpoison", *layout.hwpoison);
  if (layout.slab) number("PAGE_SLAB_MAPCOUNT_VALUE", *layout.slab);
  if (layout.hugetlb) number("PAGE_HUGETLB_MAPCOUNT_VALUE", *layout.hugetlb);
  if (layout.offline) number("PAGE_OFFLINE_MAPCOUNT_VALUE", *layout.offline);
  if (layout.unaccepted) number("PAGE_UNACCEPTED_MAPCOUNT_VALUE", *layout.unaccepted);
  switch (layout.compound) {
    case Compound::second_u16:
      text += "OFFSET(page.compound_dtor)=16\nOFFSET(page.compound_order)=18\n";
      break;
    case Compound::second_u8:
      text += "OFFSET(page.compound_dtor)=16\nOFFSET(page.compound_order)=17\n";
      break;
    case Compound::folio_u8:
      text += fmt::format("OFFSET(folio._folio_dtor)={}\nOFFSET(folio._folio_order)={}\n",
                          layout.struct_size + 16, layout.struct_size + 17);
      break;
    case Compound::flags_bit:
      number("PG_hugetlb", kHugetlbBit);
      break;
    case Compound::flags_type:
      break;
  }
  if (layout.compound < Compound::flags_bit) number("HUGETLB_PAGE_DTOR", kDestructorOfHugetlb);
  return text;
}

inline pages::PageRules rules_of(const NoteLayout& layout) {
  return pages::derive_page_rules(vmcoreinfo::VmcoreInfo(page_note(layout)), std::nullopt, layout.order);
}

/// An array of struct pages. What nothing is written to is a kernel page in use.
class StructPages {
 public:
  static constexpr uint64_t kMapping = 0xffff888000123400;

  StructPages(const NoteLayout& layout, uint64_t first, size_t count)
      : layout_(layout), first_(first), bytes_(count * layout.struct_size) {
    for (uint64_t pfn = first; pfn < first + count; ++pfn) set_type(pfn, -1);
  }

  void set_flags(uint64_t pfn, uint64_t flags) { put64(pfn, 0, flags); }
  void add_flag(uint64_t pfn, unsigned number) { put64(pfn, 0, get64(pfn, 0) | uint64_t{1} << number); }
  void set_mapping(uint64_t pfn, uint64_t mapping) { put64(pfn, 24, mapping); }
  void set_private(uint64_t pfn, uint64_t value) { put64(pfn, 40, value); }
  void set_type(uint64_t pfn, int32_t value) {
    store(at(pfn) + 48, static_cast<uint32_t>(value), layout_.order);
  }

  void buddy(uint64_t pfn, uint64_t order) {
    set_type(pfn, layout_.buddy);
    set_private(pfn, order);
  }
  void slab(uint64_t pfn) {
    if (layout_.slab_bit) add_flag(pfn, *layout_.slab_bit);
    if (layout_.slab) set_type(pfn, *layout_.slab);
  }
  void anon(uint64_t pfn) {
    add_flag(pfn, layout_.lru);
    add_flag(pfn, layout_.swapbacked);
    set_mapping(pfn, kMapping | 1);
    set_type(pfn, 0);
  }
  void file(uint64_t pfn) {
    add_flag(pfn, layout_.lru);
    set_mapping(pfn, kMapping);
  }
  /// Makes a head of page `pfn` and tails of those behind it, as far as the array goes.
  void compound(uint64_t pfn, unsigned order, bool hugetlb = false) {
    add_flag(pfn, layout_.head);
    set_order(pfn, order, hugetlb);
    if (hugetlb && layout_.hugetlb) set_type(pfn, *layout_.hugetlb);
    for (uint64_t tail = pfn + 1; tail < std::min(pfn + (uint64_t{1} << order), end()); ++tail)
      put64(tail, 8,
            (layout_.compound_info ? ~uint64_t{0} << (order + 6) : 0xffffea0000000000 + pfn * 64) | 1);
  }
  void set_order(uint64_t pfn, unsigned order, bool hugetlb = false) {
    std::byte* second = at(pfn + 1);
    const uint64_t destructor = hugetlb ? kDestructorOfHugetlb : 1;
    switch (layout_.compound) {
      case Compound::second_u16:
        store(second + 16, static_cast<uint16_t>(destructor), layout_.order);
        store(second + 18, static_cast<uint16_t>(order), layout_.order);
        break;
      case Compound::second_u8:
      case Compound::folio_u8:
        second[16] = static_cast<std::byte>(destructor);
        second[17] = static_cast<std::byte>(order);
        break;
      case Compound::flags_bit:
        // The upper bits say node and zone.
        put64(pfn + 1, 0, order | (hugetlb ? 1U << kHugetlbBit : 0U) | uint64_t{5} << 54);
        break;
      case Compound::flags_type:
        put64(pfn + 1, 0, order | uint64_t{5} << 54);
        break;
    }
  }
  /// Folds the memory map of a huge page: each page of struct pages but the first is the first one again.
  void fold(uint64_t pfn, uint64_t count) {
    const uint64_t period = 4096 / layout_.struct_size;
    for (uint64_t i = period; i < count; ++i)
      std::copy_n(at(pfn + i % period), layout_.struct_size, at(pfn + i));
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  std::span<const std::byte> from(uint64_t pfn) const {
    return std::span(bytes_).subspan((pfn - first_) * layout_.struct_size);
  }
  uint64_t first() const { return first_; }
  uint64_t end() const { return first_ + bytes_.size() / layout_.struct_size; }

  std::vector<pages::ClassByte> classify() const {
    std::vector<pages::ClassByte> classes(end() - first_, 0xff);
    pages::PageClassifier classifier(rules_of(layout_));
    classifier.classify(Pfn{first_}, bytes_, classes);
    return classes;
  }

 private:
  std::byte* at(uint64_t pfn) { return bytes_.data() + (pfn - first_) * layout_.struct_size; }
  void put64(uint64_t pfn, size_t offset, uint64_t value) { store(at(pfn) + offset, value, layout_.order); }
  uint64_t get64(uint64_t pfn, size_t offset) { return load<uint64_t>(at(pfn) + offset, layout_.order); }

  const NoteLayout& layout_;
  uint64_t first_;
  std::vector<std::byte> bytes_;
};

}  // namespace kvista::test
