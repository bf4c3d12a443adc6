// From arrays of struct page to arrays of classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "kvista/page_class.h"
#include "pages/page_rules.h"

namespace kvista::pages {

/// A run of frames that one struct page speaks for: a free block, or a compound page.
struct PageRun {
  Pfn end;  ///< first frame after the run
  ClassByte byte = to_byte(PageClass::kern_data);
};

/// Classifies pages in frame order. It remembers the run it is in, so that an array may be given piece by
/// piece; one classifier is for one thread.
class PageClassifier {
 public:
  explicit PageClassifier(const PageRules& rules)
      : rules_(rules), unusual_(rules.head | rules.slab_flag | rules.hwpoison | rules.swapcache) {}

  /// Classifies the struct pages from that of frame `first` on, into `out`, a byte a frame. `structs` holds
  /// as many struct pages as `out` has bytes, or at least one more than that of the last head in it.
  void classify(Pfn first, std::span<const std::byte> structs, std::span<ClassByte> out);

  /// Forgets the run, because frames were passed over.
  void reset() { run_ = {}; }
  /// Enters a run that began before the first frame to come.
  void enter(PageRun run) { run_ = run; }

  /// The run that the struct page of frame `pfn` begins, if it is the head of one that is larger than a
  /// frame; `structs` holds it and the next.
  std::optional<PageRun> run_at(Pfn pfn, std::span<const std::byte> structs) const;
  /// Whether the struct page can stand in the middle of a compound page: a tail, or a copy of the head where
  /// the memory map of huge pages is folded (hugetlb_free_vmemmap).
  bool maybe_inside(Pfn pfn, std::span<const std::byte> structs) const;

 private:
  // Of struct pages in one byte order.
  template <ByteOrder kOrder>
  void classify_in(Pfn first, std::span<const std::byte> structs, std::span<ClassByte> out);
  template <ByteOrder kOrder>
  std::optional<PageRun> run_at_in(Pfn pfn, std::span<const std::byte> structs) const;
  template <ByteOrder kOrder>
  bool maybe_inside_in(Pfn pfn, std::span<const std::byte> structs) const;

  struct Seen;
  template <ByteOrder kOrder>
  Seen look(const std::byte* page) const;
  template <ByteOrder kOrder>
  ClassByte class_if_plain(const std::byte* page) const;
  template <ByteOrder kOrder>
  ClassByte class_of_page(const std::byte* page, const Seen& seen, bool hugetlb) const;
  template <ByteOrder kOrder>
  unsigned order_of(const std::byte* page) const;
  template <ByteOrder kOrder>
  bool is_hugetlb(const std::byte* page, const Seen& seen) const;
  template <ByteOrder kOrder>
  PageRun run_of(Pfn pfn, const std::byte* page, const Seen& seen, bool has_next) const;

  PageRules rules_;
  uint64_t unusual_;  ///< flags that take a closer look
  PageRun run_;
};

}  // namespace kvista::pages
