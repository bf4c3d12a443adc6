#include "images/struct_page.h"

#include <array>
#include <optional>
#include <utility>

#include "images/byte_writer.h"

namespace kvista::test {
namespace {

constexpr unsigned kWaitersBit = 7;  // in all layouts

// The members of struct page that are exported; where they are is the same in all layouts.
struct PageFields {
  uint64_t flags = 0;
  uint64_t word_at_8 = 0;  // lru.next, or compound_head
  // lru.prev, or compound_dtor and compound_order, of a byte each.
  std::array<uint8_t, 8> at_16 = {};
  uint64_t mapping = 0;
  uint64_t priv = 0;
  uint32_t mapcount = UINT32_MAX;
  uint32_t refcount = 1;
};

std::vector<std::byte> encode(const PageFields& page, uint64_t size, ByteOrder order) {
  ByteWriter out(order);
  out.u64(page.flags);
  out.u64(page.word_at_8);
  for (const uint8_t byte : page.at_16) out.u8(byte);
  out.u64(page.mapping);
  out.u64(0);
  out.u64(page.priv);
  out.u32(page.mapcount);
  out.u32(page.refcount);
  auto bytes = out.take();
  bytes.resize(size);
  return bytes;
}

// Turns classes into struct pages.
class PageEncoder {
 public:
  explicit PageEncoder(const Kernel& kernel) : kernel_(kernel), layout_(kernel.layout().page) {}

  PageFields page(const PageRun& run, const PagePlace& place) const {
    PageFields page = place.into == 0 ? head_page(run) : tail_page(run, place.head, place.into);
    page.flags = run.raw_flags.value_or(page.flags | place.flags);
    if (run.raw_mapping) page.mapping = *run.raw_mapping;
    if (run.raw_private) page.priv = *run.raw_private;
    if (run.raw_mapcount) page.mapcount = *run.raw_mapcount;
    return page;
  }

 private:
  static bool is_free(const PageRun& run) { return run.kind == "buddy" || run.kind == "unaccepted"; }
  uint64_t file_mapping() const { return kernel_.direct(0x123400); }

  uint64_t common_flags(const PageRun& run) const {
    const std::array<std::pair<const char*, unsigned>, 6> words = {{{"private", layout_.priv},
                                                                    {"swapbacked", layout_.swapbacked},
                                                                    {"swapcache", layout_.swapcache},
                                                                    {"hwpoison", layout_.hwpoison},
                                                                    {"reserved", layout_.reserved},
                                                                    {"waiters", kWaitersBit}}};
    uint64_t flags = 0;
    for (const auto& [word, number] : words)
      if (run.flags.contains(word)) flags |= bit(number);
    return flags;
  }

  PageFields head_page(const PageRun& run) const {
    PageFields page;
    page.flags = common_flags(run);
    if (run.order > 0 && !is_free(run)) page.flags |= bit(layout_.head);
    if (run.flags.contains("private")) page.priv = kernel_.direct(0x5600);
    set_kind(run, page);
    return page;
  }

  void set_kind(const PageRun& run, PageFields& page) const {
    const auto type = [&](std::optional<int32_t> value, int32_t without) {
      page.mapcount = static_cast<uint32_t>(value.value_or(without));
    };
    const bool on_lru = !run.flags.contains("isolated");
    if (run.kind == "buddy") {
      type(layout_.buddy, 0);
      page.priv = run.order;
      page.refcount = 0;
    } else if (run.kind == "unaccepted") {
      type(layout_.unaccepted, -150994944);
      page.refcount = 0;
    } else if (run.kind == "free_pcp") {
      page.refcount = 0;
    } else if (run.kind == "reserved" || run.kind == "hole") {
      page.flags |= bit(layout_.reserved);
    } else if (run.kind == "slab") {
      if (layout_.slab) page.flags |= bit(*layout_.slab);
      if (layout_.slab_type) type(layout_.slab_type, 0);
    } else if (run.kind == "pagetable") {
      type(layout_.table, 0);
    } else if (run.kind == "offline") {
      type(layout_.offline, -257);
    } else if (run.kind == "hwpoison") {
      page.flags |= bit(layout_.hwpoison);
    } else if (run.kind == "lru") {
      if (on_lru) page.flags |= bit(layout_.lru);
      page.mapping = file_mapping();
    } else if (run.kind == "anon" || run.kind == "ksm") {
      page.flags |= bit(layout_.swapbacked) | (on_lru ? bit(layout_.lru) : 0);
      page.mapping = file_mapping() | (run.kind == "anon" ? 1 : 3);
      page.mapcount = 0;
    } else if (run.kind == "hugetlb") {
      page.mapping = file_mapping() | (run.flags.contains("anon") ? 1 : 0);
      if (layout_.hugetlb_type) type(layout_.hugetlb_type, 0);
    } else if (run.kind != "kernel" && run.kind != "raw") {
      throw DescriptionError("pages: there is no class " + run.kind);
    }
  }

  PageFields tail_page(const PageRun& run, uint64_t head, uint64_t into) const {
    PageFields page;
    page.refcount = 0;
    if (is_free(run)) return page;
    page.word_at_8 = layout_.compound_info
                         ? (~uint64_t{0} << (run.order + 6)) | 1  // a mask: 7.1, f50c015
                         : kernel_.vmemmap() + head * kernel_.description().page_struct_size + 1;
    page.mapping = 0xdead000000000400;  // TAIL_MAPPING
    if (into != 1) return page;
    page.mapping = 0;
    if (layout_.compound == CompoundStyle::flags) {
      page.flags = run.order;
    } else {
      const uint8_t dtor = run.kind == "hugetlb" ? 2 : run.kind == "anon" ? 3 : 1;
      page.at_16 = {dtor, static_cast<uint8_t>(run.order)};
    }
    return page;
  }

  const Kernel& kernel_;
  const PageLayout& layout_;
};

}  // namespace

std::vector<std::byte> struct_page(const Kernel& kernel, const PageRun& run, const PagePlace& place) {
  return encode(PageEncoder(kernel).page(run, place), kernel.description().page_struct_size,
                kernel.byte_order());
}

}  // namespace kvista::test
