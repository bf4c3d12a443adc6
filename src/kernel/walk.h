// Walks along addresses: what the public ones, and the floors above, are made of.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/address.h"
#include "kvista/walk.h"

namespace kvista::kernel {

class Session;

/// A set of addresses that were seen, in one stretch of memory.
class AddressSet {
 public:
  /// Whether it was not there before. Zero is never there.
  bool insert(VirtAddr address);
  size_t size() const { return size_; }

 private:
  void grow();
  std::vector<uint64_t> slots_;
  size_t size_ = 0;
};

/// Called with each node; false ends the walk.
using VisitNode = std::function<bool(VirtAddr node)>;

/// How a list goes on.
struct Chain {
  uint64_t next_offset = 0;  ///< where in a node the pointer to the next is
  VirtAddr end;              ///< the pointer that ends it (0, or the head)
};

/// "after 1 entry", "after 2 entries": how far a walk came.
std::string after_entries(size_t count);
/// Goes from node to node. Returns why it stopped before the end, or nothing.
std::string walk_chain(const Session& session, VirtAddr first, const Chain& chain, const VisitNode& visit);
/// A list_head's nodes, without the head. Where it is torn, those behind are found from its end, by their
/// pointers to the one before.
std::string walk_list(const Session& session, VirtAddr head, const VisitNode& visit);
/// The nodes of a red-black tree in order, from its topmost on.
std::string walk_tree(const Session& session, VirtAddr top, const VisitNode& visit);

using VisitEntry = std::function<bool(uint64_t first, uint64_t last, uint64_t entry)>;
/// The entries below the pointer that a struct xarray begins with.
std::string walk_xarray(const Session& session, uint64_t head, const VisitEntry& visit);
/// The entry of one index, or 0 where there is none. Throws FaultError or NotFound where that cannot be told.
uint64_t xarray_entry(const Session& session, uint64_t head, uint64_t index);
/// Whether an entry is a number: the lowest bit is set (xa_mk_value), before 4.20 that above it; and which.
bool is_number_entry(const Session& session, uint64_t entry);
uint64_t number_of_entry(const Session& session, uint64_t entry);
/// The entries below a maple tree's root pointer.
std::string walk_maple(const Session& session, uint64_t root, const VisitEntry& visit);

/// "struct task_struct", "task_struct" or a typedef.
type::Type type_by_word(const Session& session, std::string_view word);
/// Where a member ("sibling.next") is, in bytes. Throws NotFound.
uint64_t member_offset(const type::Type& type, std::string_view member);

}  // namespace kvista::kernel
