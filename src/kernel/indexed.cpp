// Structures that are looked up by an index: xarray (and radix tree, IDR), maple tree; counters and bitmaps.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

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

bool is_old_radix(const Session& session) {
  return !session.types().kernel_type("xa_node", Kind::structure);
}

// What a walk along nodes comes across. A node that cannot be followed costs what is below it alone.
class NodeFaults {
 public:
  explicit NodeFaults(const VisitEntry& visit) : visit_(visit) {}

  /// Whether to go on.
  template <typename Follow>
  bool below(Follow follow) {
    try {
      return follow();
    } catch (const Error& error) {
      if (count_++ == 0) first_ = error.what();
      return true;
    }
  }
  bool enter(VirtAddr node) { return seen_.insert(node); }
  bool visit(uint64_t first, uint64_t last, uint64_t entry) {
    if (++entries_ > kMostEntries) throw NotFound("there are more entries than can be");
    return visit_(first, last, entry);
  }
  std::string text() const {
    if (count_ == 0) return {};
    return count_ == 1 ? fmt::format("a node cannot be followed: {}", first_)
                       : fmt::format("{} nodes cannot be followed, the first: {}", count_, first_);
  }

 private:
  const VisitEntry& visit_;
  AddressSet seen_;
  size_t entries_ = 0;
  size_t count_ = 0;
  std::string first_;
};

// Where the nodes of an xarray, or of a radix tree before it was one (4.20), have their members.
struct XarrayLayout {
  explicit XarrayLayout(const Session& session) : is_old(is_old_radix(session)) {
    const char* name = is_old ? "radix_tree_node" : "xa_node";
    const auto node = session.types().kernel_type(name, Kind::structure);
    const auto found = node ? node->find_member("slots") : std::nullopt;
    if (!found) throw NotFound(fmt::format("the kernel's types have no struct {} with slots", name));
    slots = found->bit_offset / kBits;
    count = found->type.count();
    if (count > 4096 || !std::has_single_bit(count))
      throw FormatError(fmt::format("struct {} has an absurd number of slots, {}", name, count), 0);
    bits = static_cast<unsigned>(std::countr_zero(count));
    shift = offset_of(*node, "shift");
  }

  bool is_node(uint64_t entry) const {
    return is_old ? (entry & 3) == 1 && entry > 4 : kernel::is_node(entry);
  }
  // What stands for another slot of its node: the rest of an entry that has several.
  bool is_sibling(VirtAddr node, uint64_t entry) const {
    const VirtAddr first = node + slots;
    return is_old ? (entry & 3) == 1 && entry - first.value < count * sizeof(uint64_t)
                  : is_internal(entry) && entry >> 2 < count;
  }
  // An entry that is being changed, or kept free.
  bool is_mark(uint64_t entry) const { return is_old ? (entry & 3) == 1 : is_internal(entry); }

  bool is_old;
  uint64_t slots = 0;
  uint64_t count = 0;
  unsigned bits = 0;  // of an index that a level decides
  uint64_t shift = 0;
};

class XarrayNode {
 public:
  XarrayNode(const Session& session, const XarrayLayout& layout, uint64_t entry)
      : session_(&session),
        layout_(&layout),
        at_{entry & ~uint64_t{3}},
        slots_(layout.count * session.word_size()) {
    const Path path{Path::Step::name, "a node", 0, nullptr};
    shift = static_cast<unsigned>(session.read_number(at_ + layout.shift, 1, &path));
    session.read(at_ + layout.slots, slots_, &path);
    if (shift >= 64 || shift % layout.bits != 0)
      throw NotFound(fmt::format("the node at {:#x} has an absurd shift, {}", at_.value, shift));
  }

  VirtAddr at() const { return at_; }
  uint64_t slot(uint64_t i) const {
    const unsigned word = session_->word_size();
    return load_sized(std::span(slots_).subspan(i * word, word), session_->byte_order());
  }
  bool is_sibling(uint64_t i) const { return layout_->is_sibling(at_, slot(i)); }
  // A node that is below this one. Each level covers fewer bits than the one above, so that walks end.
  XarrayNode below(uint64_t i) const {
    XarrayNode node(*session_, *layout_, slot(i));
    if (shift < layout_->bits || node.shift != shift - layout_->bits)
      throw NotFound(fmt::format("the node at {:#x} has a shift of {}, and that above it {}", node.at().value,
                                 node.shift, shift));
    return node;
  }

  unsigned shift = 0;

 private:
  const Session* session_;
  const XarrayLayout* layout_;
  VirtAddr at_;
  std::vector<std::byte> slots_;
};

class XarrayWalk {
 public:
  XarrayWalk(const XarrayLayout& layout, NodeFaults& found) : layout_(layout), found_(found) {}

  // Whether to go on.
  bool node(const XarrayNode& node, uint64_t base) {
    if (!found_.enter(node.at()))
      throw NotFound(fmt::format("two ways lead to the node at {:#x}", node.at().value));
    for (uint64_t i = 0; i < layout_.count; ++i) {
      const uint64_t own = node.slot(i);
      if (own == 0 || node.is_sibling(i)) continue;
      if (i << node.shift >> node.shift != i)
        throw NotFound(fmt::format("the node at {:#x} has an index of more than 64 bits", node.at().value));
      const uint64_t first = base + (i << node.shift);
      const bool go_on = layout_.is_node(own) ? found_.below([&] { return this->node(node.below(i), first); })
                         : layout_.is_mark(own) ? true
                                                : found_.visit(first, last_of(node, i, base), own);
      if (!go_on) return false;
    }
    return true;
  }

 private:
  // An entry has the slots behind it that stand for it.
  uint64_t last_of(const XarrayNode& node, uint64_t i, uint64_t base) const {
    while (i + 1 < layout_.count && node.is_sibling(i + 1)) ++i;
    return base + (i << node.shift) + ((uint64_t{1} << node.shift) - 1);
  }

  const XarrayLayout& layout_;
  NodeFaults& found_;
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
  MapleWalk(const Session& session, NodeFaults& found)
      : session_(session),
        found_(found),
        range_(maple_layout(session, "maple_range_64")),
        allocation_(maple_layout(session, "maple_arange_64")) {
    range_type_ = session.types().enumerator("maple_range_64").value_or(2);
    allocation_type_ = session.types().enumerator("maple_arange_64").value_or(3);
  }

  bool node(uint64_t entry, uint64_t first, uint64_t last, unsigned depth) {
    const VirtAddr at{entry & ~uint64_t{255}};
    const uint64_t type = entry >> 3 & 15;
    if (depth > kMostDepth)
      throw NotFound(fmt::format("the tree is deeper than {} at {:#x}", kMostDepth, at.value));
    if (!found_.enter(at)) throw NotFound(fmt::format("two ways lead to the node at {:#x}", at.value));
    if (type > allocation_type_ || type == 0 || (entry & 1) != 0)
      throw NotFound(fmt::format("the node at {:#x} is of the unknown kind {}", at.value, type));
    const MapleLayout& layout = type == allocation_type_ ? allocation_ : range_;
    const bool is_leaf = type < range_type_;
    const Path path{Path::Step::name, "a node", 0, nullptr};
    const unsigned word = session_.word_size();
    std::vector<std::byte> bytes(std::max(layout.pivots, layout.slots) + layout.count * word);
    session_.read(at, bytes, &path);
    const auto load = [&](uint64_t from, uint64_t i) {
      return load_sized(std::span(bytes).subspan(from + i * word, word), session_.byte_order());
    };
    for (uint64_t i = 0; i < layout.count; ++i) {
      uint64_t end = i + 1 < layout.count ? load(layout.pivots, i) : last;
      if ((end == 0 && first > 0) || end > last) end = last;  // the pivots behind the last are 0
      if (end < first) throw NotFound(fmt::format("the node at {:#x} is not in order", at.value));
      if (const uint64_t own = load(layout.slots, i); own != 0 && !is_internal_mark(own, is_leaf))
        if (!(is_leaf ? found_.visit(first, end, own)
                      : found_.below([&] { return node(own, first, end, depth + 1); })))
          return false;
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
  NodeFaults& found_;
  MapleLayout range_;
  MapleLayout allocation_;
  uint64_t range_type_ = 2;
  uint64_t allocation_type_ = 3;
};

}  // namespace

std::string walk_xarray(const Session& session, uint64_t head, const VisitEntry& visit) {
  if (head == 0) return {};
  NodeFaults found(visit);
  found.below([&] {
    const XarrayLayout layout(session);
    if (!layout.is_node(head)) return layout.is_mark(head) || found.visit(0, 0, head);
    return XarrayWalk(layout, found).node(XarrayNode(session, layout, head), 0);
  });
  return found.text();
}

uint64_t xarray_entry(const Session& session, uint64_t head, uint64_t index) {
  const XarrayLayout layout(session);
  if (!layout.is_node(head)) return index == 0 ? head : 0;
  XarrayNode node(session, layout, head);
  // Of what is above the topmost node there is nothing.
  if (node.shift + layout.bits < 64 && index >> (node.shift + layout.bits) != 0) return 0;
  for (;;) {
    uint64_t i = index >> node.shift & (layout.count - 1);
    while (i > 0 && node.is_sibling(i)) --i;
    const uint64_t own = node.slot(i);
    if (!layout.is_node(own)) return layout.is_mark(own) ? 0 : own;
    node = node.below(i);
  }
}

std::string walk_maple(const Session& session, uint64_t root, const VisitEntry& visit) {
  if (root == 0) return {};
  NodeFaults found(visit);
  found.below([&] {
    if (!is_node(root)) return is_internal(root) || found.visit(0, 0, root);
    return MapleWalk(session, found).node(root, 0, UINT64_MAX, 0);
  });
  return found.text();
}

bool is_number_entry(const Session& session, uint64_t entry) {
  return (entry & (is_old_radix(session) ? 2 : 1)) != 0;
}

uint64_t number_of_entry(const Session& session, uint64_t entry) {
  return entry >> (is_old_radix(session) ? 2 : 1);
}

}  // namespace kvista::kernel

namespace kvista {
namespace {

using kernel::Session;
using kernel::session_of;

// Entries that are pointers, or numbers.
class Entries {
 public:
  Entries(const Session& session, std::string_view type)
      : session_(session),
        pointer_(session.types().derived().pointer_to(kernel::type_by_word(session, type))),
        number_(session.types().basic("unsigned long")) {}

  kernel::VisitEntry visitor() {
    return [this](uint64_t first, uint64_t last, uint64_t entry) {
      const bool is_number = kernel::is_number_entry(session_, entry);
      walked.items.push_back(
          {first, last,
           is_number ? session_.number(number_, kernel::number_of_entry(session_, entry))
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
  using type::Kind;
  const type::Type of = words.type().is(Kind::array) ? words.type().resolved().target() : words.type();
  if (!words.address() || !of.is(Kind::integer) || bytes % word != 0 || bytes > kMostBytes)
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
