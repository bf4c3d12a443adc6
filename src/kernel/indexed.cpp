// Structures that are looked up by an index: xarray (and radix tree, IDR), maple tree; counters and bitmaps.
#include <fmt/format.h>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista::kernel {
namespace {

using type::Kind;
using type::Type;

constexpr unsigned kBits = 8;
constexpr size_t kMostEntries = size_t{1} << 28;
constexpr unsigned kMostDepth = 24;
// include/linux/xarray.h: an entry whose two lowest bits are 10 is internal; above 4096 it is a node, and
// below are siblings, and two marks.
constexpr uint64_t kSmallestNode = 4096;

bool is_internal(uint64_t entry) {
  return (entry & 3) == 2;
}
bool is_node(uint64_t entry) {
  return is_internal(entry) && entry > kSmallestNode;
}

uint64_t offset_of(const Type& type, std::string_view member) {
  return member_offset(type, member);
}

// What is the same for all nodes of an xarray, or of a radix tree before it was one (4.20).
class XarrayWalk {
 public:
  XarrayWalk(const Session& session, const VisitEntry& visit) : session_(session), visit_(visit) {
    auto node = session.types().kernel_type("xa_node", Kind::structure);
    if (!node) {
      node = session.types().kernel_type("radix_tree_node", Kind::structure);
      node_tag_ = 1;
    }
    if (!node) throw NotFound("the kernel's types have no struct xa_node");
    const auto slots = node->find_member("slots");
    if (!slots) throw NotFound("struct xa_node has no slots");
    slots_ = slots->bit_offset / kBits;
    count_ = slots->type.count();
    shift_ = offset_of(*node, "shift");
    if (count_ == 0 || count_ > 4096) throw FormatError("struct xa_node has an absurd number of slots", 0);
  }

  bool is_node(uint64_t entry) const { return node_tag_ == 1 ? (entry & 3) == 1 : kernel::is_node(entry); }

  // Whether to go on. Each level covers fewer bits than the one above, so that it ends.
  bool node(uint64_t entry, uint64_t base, unsigned shift_above) {
    const VirtAddr at{entry & ~uint64_t{3}};
    const Path path{Path::Step::name, "a node", 0, nullptr};
    if (!seen_.insert(at)) throw NotFound(fmt::format("two ways lead to the node at {:#x}", at.value));
    const auto shift = static_cast<unsigned>(session_.read_number(at + shift_, 1, &path));
    if (shift >= shift_above)
      throw NotFound(fmt::format("the node at {:#x} cannot be at this place", at.value));
    const unsigned word = session_.word_size();
    std::vector<std::byte> slots(count_ * word);
    session_.read(at + slots_, slots, &path);
    for (uint64_t i = 0; i < count_; ++i) {
      const uint64_t own = load_sized(std::span(slots).subspan(i * word, word), session_.byte_order());
      const uint64_t first = base + (i << shift);
      if (own == 0) continue;
      if (is_node(own) && shift > 0) {
        if (!node(own, first, shift)) return false;
      } else if (node_tag_ == 1 || !is_internal(own)) {
        if (!entry_at(first, own)) return false;
      }
    }
    return true;
  }

  bool entry_at(uint64_t index, uint64_t entry) {
    if (++entries_ > kMostEntries) throw NotFound("there are more entries than can be");
    return visit_(index, index, entry);
  }

 private:
  const Session& session_;
  const VisitEntry& visit_;
  uint64_t slots_ = 0;
  uint64_t count_ = 0;
  uint64_t shift_ = 0;
  unsigned node_tag_ = 2;
  AddressSet seen_;
  size_t entries_ = 0;
};

struct MapleLayout {
  uint64_t pivots = 0;
  uint64_t slots = 0;
  uint64_t count = 0;  // of slots; there is one pivot less
};

MapleLayout maple_layout(const Session& session, const char* name) {
  const auto type = session.types().kernel_type(name, Kind::structure);
  const auto pivot = type ? type->find_member("pivot") : std::nullopt;
  const auto slot = type ? type->find_member("slot") : std::nullopt;
  if (!pivot || !slot || slot->type.count() < 2 || slot->type.count() > 64)
    throw NotFound(
        fmt::format("the kernel's types have no struct {}: maple trees are in Linux 6.1 and later", name));
  return {pivot->bit_offset / kBits, slot->bit_offset / kBits, slot->type.count()};
}

// A pointer to a maple node has the node's type in bits 3 to 6; nodes are aligned to 256 bytes
// (include/linux/maple_tree.h).
class MapleWalk {
 public:
  MapleWalk(const Session& session, const VisitEntry& visit)
      : session_(session),
        visit_(visit),
        range_(maple_layout(session, "maple_range_64")),
        allocation_(maple_layout(session, "maple_arange_64")) {
    range_type_ = session.types().enumerator("maple_range_64").value_or(2);
    allocation_type_ = session.types().enumerator("maple_arange_64").value_or(3);
  }

  bool node(uint64_t entry, uint64_t first, uint64_t last, unsigned depth) {
    const VirtAddr at{entry & ~uint64_t{255}};
    const uint64_t type = entry >> 3 & 15;
    if (depth > kMostDepth || !seen_.insert(at))
      throw NotFound(fmt::format("two ways lead to the node at {:#x}", at.value));
    if (type > allocation_type_ || type == 0)
      throw NotFound(fmt::format("the node at {:#x} is of the unknown kind {}", at.value, type));
    const MapleLayout& layout = type == allocation_type_ ? allocation_ : range_;
    const bool is_leaf = type < range_type_;
    const Path path{Path::Step::name, "a node", 0, nullptr};
    const unsigned word = session_.word_size();
    std::vector<std::byte> pivots((layout.count - 1) * word);
    std::vector<std::byte> slots(layout.count * word);
    session_.read(at + layout.pivots, pivots, &path);
    session_.read(at + layout.slots, slots, &path);
    const auto load = [&](const std::vector<std::byte>& from, uint64_t i) {
      return load_sized(std::span(from).subspan(i * word, word), session_.byte_order());
    };
    for (uint64_t i = 0; i < layout.count; ++i) {
      uint64_t end = i + 1 < layout.count ? load(pivots, i) : last;
      if ((end == 0 && i > 0) || end > last) end = last;  // the pivots behind the last are 0
      if (end < first) throw NotFound(fmt::format("the node at {:#x} is not in order", at.value));
      if (const uint64_t own = load(slots, i); own != 0 && !is_internal_mark(own, is_leaf))
        if (!(is_leaf ? visit_(first, end, own) : node(own, first, end, depth + 1))) return false;
      if (end == last) return true;
      first = end + 1;
    }
    return true;
  }

 private:
  // In a leaf: reserved, or being changed.
  static bool is_internal_mark(uint64_t entry, bool is_leaf) {
    return is_leaf && is_internal(entry) && entry < kSmallestNode;
  }

  const Session& session_;
  const VisitEntry& visit_;
  MapleLayout range_;
  MapleLayout allocation_;
  uint64_t range_type_ = 2;
  uint64_t allocation_type_ = 3;
  AddressSet seen_;
};

}  // namespace

std::string walk_xarray(const Session& session, uint64_t head, const VisitEntry& visit) {
  if (head == 0) return {};
  size_t count = 0;
  const VisitEntry counting = [&](uint64_t first, uint64_t last, uint64_t entry) {
    ++count;
    return visit(first, last, entry);
  };
  try {
    XarrayWalk walk(session, counting);
    if (!walk.is_node(head))
      counting(0, 0, head);
    else
      walk.node(head, 0, 64);
  } catch (const Error& error) {
    return fmt::format("after {} entries it cannot be followed: {}", count, error.what());
  }
  return {};
}

std::string walk_maple(const Session& session, uint64_t root, const VisitEntry& visit) {
  if (root == 0) return {};
  size_t count = 0;
  const VisitEntry counting = [&](uint64_t first, uint64_t last, uint64_t entry) {
    ++count;
    return visit(first, last, entry);
  };
  try {
    if (!is_node(root))
      counting(0, 0, root);
    else
      MapleWalk(session, counting).node(root, 0, UINT64_MAX, 0);
  } catch (const Error& error) {
    return fmt::format("after {} entries it cannot be followed: {}", count, error.what());
  }
  return {};
}

}  // namespace kvista::kernel

namespace kvista {
namespace {

using kernel::Session;
using kernel::session_of;

// Entries that are pointers, or numbers with the lowest bit set (xa_mk_value).
class Entries {
 public:
  Entries(const Session& session, std::string_view type)
      : session_(session),
        pointer_(session.types().derived().pointer_to(kernel::type_by_word(session, type))),
        number_(session.types().basic("unsigned long")) {}

  kernel::VisitEntry visitor() {
    return [this](uint64_t first, uint64_t last, uint64_t entry) {
      const bool is_number = (entry & 1) != 0;
      walked.items.push_back(
          {first, last,
           is_number ? session_.number(number_, entry >> 1)
                     : session_.number(pointer_, entry & ~uint64_t{3},
                                       fmt::format("(({}){:#x})", pointer_.declaration(), entry))});
      return true;
    };
  }

  WalkedEntries walked;

 private:
  const Session& session_;
  type::Type pointer_;
  type::Type number_;
};

// The value of the first of these members that there is: kernels name it differently.
uint64_t head_of(const Value& of, std::initializer_list<const char*> members) {
  for (const char* member : members)
    if (of.has(member)) return of[member].number();
  throw UsageError(fmt::format("{} is a {}: no such structure", of.expression(), of.type().declaration()));
}

std::string with_name(const char* what, const Value& of, const std::string& fault) {
  return fault.empty() ? "" : fmt::format("{} {}: {}", what, of.expression(), fault);
}

}  // namespace

WalkedEntries xarray_entries(const Value& array, std::string_view type) {
  if (array.has("idr_rt")) return xarray_entries(array["idr_rt"], type);
  Entries found(session_of(array), type);
  const uint64_t head = head_of(array, {"xa_head", "rnode"});
  found.walked.fault =
      with_name("the array", array, kernel::walk_xarray(session_of(array), head, found.visitor()));
  return std::move(found.walked);
}

WalkedEntries maple_entries(const Value& tree, std::string_view type) {
  Entries found(session_of(tree), type);
  const uint64_t root = head_of(tree, {"ma_root"});
  found.walked.fault =
      with_name("the tree", tree, kernel::walk_maple(session_of(tree), root, found.visitor()));
  return std::move(found.walked);
}

// lib/percpu_counter.c: a common count, and what each CPU has not yet added to it.
int64_t percpu_counter_sum(const Value& counter) {
  const Session& session = session_of(counter);
  int64_t sum = counter["count"].signed_number();
  const uint64_t parts = counter.has("counters") ? counter["counters"].number() : 0;
  if (parts == 0) return sum;  // one CPU, or not yet made
  const kernel::Path path{kernel::Path::Step::name, "a CPU's part of a counter", 0, nullptr};
  for (const unsigned cpu : session.possible_cpus())
    sum += static_cast<int32_t>(session.read_number(VirtAddr{parts + session.per_cpu_offset(cpu)}, 4, &path));
  return sum;
}

std::vector<uint64_t> set_bits(const Value& bitmap) {
  Value words = bitmap;
  while (words.type().is_compound() && words.type().members().size() == 1)
    words = words[words.type().members().front().name];
  const Session& session = session_of(bitmap);
  const uint64_t bytes = words.type().size();
  const unsigned word = session.word_size();
  constexpr uint64_t kMostBytes = uint64_t{1} << 24;
  if (!words.address() || bytes % word != 0 || bytes > kMostBytes)
    throw UsageError(fmt::format("{} is a {}: no bitmap", bitmap.expression(), bitmap.type().declaration()));
  std::vector<uint64_t> bits;
  for (uint64_t at = 0; at < bytes; at += word) {
    const uint64_t value = session.read_number(*words.address() + at, word, nullptr);
    for (unsigned bit = 0; bit < word * 8; ++bit)
      if ((value >> bit & 1) != 0) bits.push_back(at * 8 + bit);
  }
  return bits;
}

}  // namespace kvista
