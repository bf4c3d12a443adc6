// Walks through the kernel's own data structures. Each is bounded, notices loops, and gives what it found
// before the first thing that cannot be read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvista/export.h"
#include "kvista/value.h"

namespace kvista {

/// What a walk found.
struct Walked {
  std::vector<Value> items;
  std::string fault;  ///< why it is not all, in one sentence; empty where it is
};

/// The structs `type` that hang in a list (struct list_head) at `head` by their `member`; `head` itself is
/// none of them.
KVISTA_API Walked list_entries(const Value& head, std::string_view type, std::string_view member);
/// The same for a struct hlist_head, or a pointer to a struct hlist_node.
KVISTA_API Walked hlist_entries(const Value& head, std::string_view type, std::string_view member);
/// The same for a red-black tree (struct rb_root or rb_root_cached), in the tree's order.
KVISTA_API Walked tree_entries(const Value& root, std::string_view type, std::string_view member);

/// What is found by an index: `first` to `last`, which are the same unless it is a range.
struct IndexedEntry {
  uint64_t first = 0;
  uint64_t last = 0;
  Value value;  ///< a pointer to `type`, or a number where the entry is one
};
struct WalkedEntries {
  std::vector<IndexedEntry> items;
  std::string fault;
};
/// The entries of a struct xarray, radix_tree_root or idr.
KVISTA_API WalkedEntries xarray_entries(const Value& array, std::string_view type);
/// The entries of a struct maple_tree (since 6.1).
KVISTA_API WalkedEntries maple_entries(const Value& tree, std::string_view type);

/// The exact sum of a struct percpu_counter, over all CPUs.
KVISTA_API int64_t percpu_counter_sum(const Value& counter);
/// The numbers of the bits that are set, of an array of words or a struct that is one (struct cpumask).
KVISTA_API std::vector<uint64_t> set_bits(const Value& bitmap);

}  // namespace kvista
