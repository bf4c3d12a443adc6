#include "pages/page_classifier.h"

#include <algorithm>

#include "base/endian.h"

namespace kvista::pages {
namespace {

// PAGE_MAPPING_ANON; KSM pages have it too.
constexpr uint64_t kMappingAnon = 1;
constexpr uint64_t kTail = 1;
// A compound page is at most 16 GiB, with pages of 4 KiB.
constexpr unsigned kMaxCompoundOrder = 22;

template <ByteOrder kOrder>
uint64_t word_at(const std::byte* page, uint32_t offset) {
  return load<uint64_t>(page + offset, kOrder);
}
template <ByteOrder kOrder>
uint32_t half_at(const std::byte* page, uint32_t offset) {
  return load<uint32_t>(page + offset, kOrder);
}

bool is_aligned(Pfn pfn, unsigned order) {
  return (pfn.value & ((uint64_t{1} << order) - 1)) == 0;
}

}  // namespace

// What is looked at in every struct page.
struct PageClassifier::Seen {
  uint64_t flags;
  uint32_t type;
  bool slab;
};

template <ByteOrder kOrder>
PageClassifier::Seen PageClassifier::look(const std::byte* page) const {
  const uint64_t flags = word_at<kOrder>(page, rules_.flags);
  const uint32_t type = half_at<kOrder>(page, rules_.mapcount);
  return {flags, type, (flags & rules_.slab_flag) != 0 || rules_.slab.matches(type)};
}

template <ByteOrder kOrder>
unsigned PageClassifier::order_of(const std::byte* page) const {
  switch (rules_.order_rule) {
    case OrderRule::none:
      return 0;
    case OrderRule::second_u8:
      return std::to_integer<unsigned>(page[rules_.order_at]);
    case OrderRule::second_u16:
      return load<uint16_t>(page + rules_.order_at, kOrder);
    case OrderRule::second_flags:
      return static_cast<unsigned>(word_at<kOrder>(page, rules_.order_at) & 0xff);
  }
  return 0;
}

template <ByteOrder kOrder>
bool PageClassifier::is_hugetlb(const std::byte* page, const Seen& seen) const {
  switch (rules_.hugetlb_rule) {
    case HugetlbRule::none:
      return false;
    case HugetlbRule::type:
      return rules_.hugetlb.matches(seen.type);
    case HugetlbRule::second_flag:
      return (word_at<kOrder>(page, rules_.struct_size + rules_.flags) & rules_.hugetlb_value) != 0;
    case HugetlbRule::destructor_u8:
      return std::to_integer<uint64_t>(page[rules_.destructor_at]) == rules_.hugetlb_value;
    case HugetlbRule::destructor_u16:
      return load<uint16_t>(page + rules_.destructor_at, kOrder) == rules_.hugetlb_value;
  }
  return false;
}

// The classes of single pages and of heads; free blocks are told before. First match wins.
template <ByteOrder kOrder>
ClassByte PageClassifier::class_of_page(const std::byte* page, const Seen& seen, bool hugetlb) const {
  if (!seen.slab && rules_.offline.matches(seen.type)) return to_byte(PageClass::offline);
  const bool anon = !seen.slab && (word_at<kOrder>(page, rules_.mapping) & kMappingAnon) != 0;
  // PG_swapcache shares its bit with PG_owner_priv_1; only pages backed by swap mean it (6326fec1122c, 4.10).
  const bool swapcache = (seen.flags & rules_.swapcache) != 0 &&
                         (rules_.swapbacked == 0 || (seen.flags & rules_.swapbacked) != 0);
  if (!anon && !seen.slab && ((seen.flags & rules_.lru) != 0 || swapcache))
    return to_byte((seen.flags & rules_.private_flag) != 0 ? PageClass::pri_cache : PageClass::non_pri_cache);
  if (hugetlb) return to_byte(PageClass::user, kFlagHugetlb);
  if (anon) return to_byte(PageClass::user);
  unsigned flags = 0;
  if (seen.slab)
    flags = kFlagSlab;
  else if (rules_.page_table.matches(seen.type))
    flags = kFlagSpecial;
  else if ((seen.flags & rules_.reserved) != 0)
    flags = kFlagReserved;
  return to_byte(PageClass::kern_data, flags);
}

// The class of a page that is neither compound nor free nor marked by a type, as are most of a busy machine;
// not_in_image for any other.
template <ByteOrder kOrder>
ClassByte PageClassifier::class_if_plain(const std::byte* page) const {
  const uint64_t flags = word_at<kOrder>(page, rules_.flags);
  // All page types have the sign bit set; what is not mapped and has no type is -1.
  const auto type = static_cast<int32_t>(half_at<kOrder>(page, rules_.mapcount));
  if (type < -1 || (flags & unusual_) != 0 || (word_at<kOrder>(page, rules_.compound) & kTail) != 0)
    return to_byte(PageClass::not_in_image);
  if ((word_at<kOrder>(page, rules_.mapping) & kMappingAnon) != 0) return to_byte(PageClass::user);
  if ((flags & rules_.lru) != 0)
    return to_byte((flags & rules_.private_flag) != 0 ? PageClass::pri_cache : PageClass::non_pri_cache);
  return to_byte(PageClass::kern_data, (flags & rules_.reserved) != 0 ? unsigned{kFlagReserved} : 0U);
}

template <ByteOrder kOrder>
PageRun PageClassifier::run_of(Pfn pfn, const std::byte* page, const Seen& seen, bool has_next) const {
  // A tail whose head was not seen: its other members mean something else.
  if ((word_at<kOrder>(page, rules_.compound) & kTail) != 0) return {pfn + 1, to_byte(PageClass::kern_data)};
  if (!seen.slab && rules_.buddy.matches(seen.type)) {
    const uint64_t order = word_at<kOrder>(page, rules_.private_);
    // A block of an order that the allocator does not have, or at an odd place, is a damaged page.
    if (order < rules_.buddy_orders && is_aligned(pfn, static_cast<unsigned>(order)))
      return {pfn + (uint64_t{1} << order), to_byte(PageClass::free)};
    return {pfn + 1, to_byte(PageClass::kern_data)};
  }
  // Memory is accepted in blocks of the largest order (dcdfdd40fa82, 6.5).
  if (!seen.slab && rules_.unaccepted.matches(seen.type) && is_aligned(pfn, rules_.buddy_orders - 1))
    return {pfn + (uint64_t{1} << (rules_.buddy_orders - 1)), to_byte(PageClass::free, kFlagSpecial)};
  if ((seen.flags & rules_.head) == 0 || !has_next)
    return {pfn + 1, class_of_page<kOrder>(page, seen, false)};
  const unsigned order = order_of<kOrder>(page);
  const bool sensible = order > 0 && order <= kMaxCompoundOrder && is_aligned(pfn, order);
  const bool hugetlb = sensible && is_hugetlb<kOrder>(page, seen);
  // Which page of a hugetlb page is defective its head does not tell: is_page_hwpoison() of the kernel takes
  // all.
  const bool defective = hugetlb && (seen.flags & rules_.hwpoison) != 0;
  return {pfn + (sensible ? uint64_t{1} << order : 1),
          defective ? to_byte(PageClass::hwpoison) : class_of_page<kOrder>(page, seen, hugetlb)};
}

template <ByteOrder kOrder>
void PageClassifier::classify_in(Pfn first, std::span<const std::byte> structs, std::span<ClassByte> out) {
  const size_t size = rules_.struct_size;
  const size_t count = std::min(out.size(), structs.size() / size);
  size_t i = 0;
  while (i < count) {
    const Pfn pfn = first + i;
    if (pfn < run_.end) {
      // The head speaks for these, but a defective page among them must not be read.
      const size_t stop = std::min<uint64_t>(count, run_.end - first);
      if (rules_.hwpoison == 0) {
        std::fill(out.begin() + static_cast<ptrdiff_t>(i), out.begin() + static_cast<ptrdiff_t>(stop),
                  run_.byte);
        i = stop;
        continue;
      }
      for (; i < stop; ++i) {
        const uint64_t flags = word_at<kOrder>(structs.data() + i * size, rules_.flags);
        out[i] = (flags & rules_.hwpoison) != 0 ? to_byte(PageClass::hwpoison) : run_.byte;
      }
      continue;
    }
    const std::byte* page = structs.data() + i * size;
    if (const ClassByte plain = class_if_plain<kOrder>(page); class_of(plain) != PageClass::not_in_image) {
      out[i++] = plain;
      continue;
    }
    const Seen seen = look<kOrder>(page);
    run_ = run_of<kOrder>(pfn, page, seen, i + 1 < count);
    out[i] = (seen.flags & rules_.hwpoison) != 0 ? to_byte(PageClass::hwpoison) : run_.byte;
    ++i;
  }
}

template <ByteOrder kOrder>
std::optional<PageRun> PageClassifier::run_at_in(Pfn pfn, std::span<const std::byte> structs) const {
  if (structs.size() < 2 * size_t{rules_.struct_size}) return std::nullopt;
  const std::byte* page = structs.data();
  if ((word_at<kOrder>(page, rules_.compound) & kTail) != 0) return std::nullopt;
  const PageRun run = run_of<kOrder>(pfn, page, look<kOrder>(page), true);
  return run.end - pfn > 1 ? std::optional(run) : std::nullopt;
}

template <ByteOrder kOrder>
bool PageClassifier::maybe_inside_in(Pfn pfn, std::span<const std::byte> structs) const {
  if (structs.size() < 2 * size_t{rules_.struct_size}) return false;
  const std::byte* page = structs.data();
  if ((word_at<kOrder>(page, rules_.compound) & kTail) != 0) return true;
  if ((word_at<kOrder>(page, rules_.flags) & rules_.head) == 0) return false;
  const unsigned order = order_of<kOrder>(page);
  return order > 0 && order <= kMaxCompoundOrder && !is_aligned(pfn, order);
}

// The order is decided once for a piece of the memory map, and not for each of its fields.

void PageClassifier::classify(Pfn first, std::span<const std::byte> structs, std::span<ClassByte> out) {
  if (rules_.order == ByteOrder::little)
    classify_in<ByteOrder::little>(first, structs, out);
  else
    classify_in<ByteOrder::big>(first, structs, out);
}

std::optional<PageRun> PageClassifier::run_at(Pfn pfn, std::span<const std::byte> structs) const {
  return rules_.order == ByteOrder::little ? run_at_in<ByteOrder::little>(pfn, structs)
                                           : run_at_in<ByteOrder::big>(pfn, structs);
}

bool PageClassifier::maybe_inside(Pfn pfn, std::span<const std::byte> structs) const {
  return rules_.order == ByteOrder::little ? maybe_inside_in<ByteOrder::little>(pfn, structs)
                                           : maybe_inside_in<ByteOrder::big>(pfn, structs);
}

}  // namespace kvista::pages
