#include "kernel/walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "kernel/session.h"

namespace kvista::kernel {
namespace {

// As many as fit the memory of the largest machines; a loop is noticed before.
constexpr size_t kMostNodes = size_t{1} << 28;
// An ordered tree of 2^64 nodes is not deeper than this.
constexpr size_t kMostTreeDepth = 130;
constexpr size_t kFirstSlots = 64;

std::string loop_at(VirtAddr node, size_t count) {
  return fmt::format("{} it comes back to {:#x}: a loop", after_entries(count), node.value);
}

std::string torn_at(size_t count, const char* why) {
  return fmt::format("{} it cannot be followed: {}", after_entries(count), why);
}

}  // namespace

std::string after_entries(size_t count) {
  return fmt::format("after {} {}", count, count == 1 ? "entry" : "entries");
}

bool AddressSet::insert(VirtAddr address) {
  if (address.value == 0) return false;
  if ((size_ + 1) * 4 > slots_.size() * 3) grow();
  const size_t mask = slots_.size() - 1;
  for (size_t at = (address.value * 0x9e3779b97f4a7c15U >> 17) & mask;; at = (at + 1) & mask) {
    if (slots_[at] == address.value) return false;
    if (slots_[at] != 0) continue;
    slots_[at] = address.value;
    ++size_;
    return true;
  }
}

void AddressSet::grow() {
  std::vector<uint64_t> old(slots_.empty() ? kFirstSlots : slots_.size() * 2);
  old.swap(slots_);
  size_ = 0;
  for (const uint64_t address : old) insert(VirtAddr{address});
}

std::string walk_chain(const Session& session, VirtAddr first, const Chain& chain, const VisitNode& visit) {
  AddressSet seen;
  const Path path{Path::Step::name, "the next entry", 0, nullptr};
  VirtAddr last;
  try {
    for (VirtAddr at = first; at != chain.end && at.value != 0;) {
      if (seen.size() >= kMostNodes) return fmt::format("{} it does not end", after_entries(seen.size()));
      if (!seen.insert(at)) return loop_at(at, seen.size());
      // Read before it is shown: what is not there is no entry.
      last = at;
      const VirtAddr next{session.read_number(at + chain.next_offset, session.word_size(), &path)};
      if (!visit(at)) return {};
      at = next;
    }
  } catch (const FaultError& error) {
    return torn_at(seen.size() - 1, error.what());
  }
  if (chain.end.value != 0 && seen.size() > 0 && first != chain.end) {
    // A list that ends in a null pointer was torn.
    const VirtAddr next{session.read_number(last + chain.next_offset, session.word_size(), &path)};
    if (next.value == 0)
      return fmt::format("{} it is torn: the entry at {:#x} leads to 0", after_entries(seen.size()),
                         last.value);
  }
  return {};
}

namespace {

// What a torn list's end leads back to, in the list's order: as long as the entries agree on who follows
// whom.
std::vector<VirtAddr> entries_from_end(const Session& session, VirtAddr head, AddressSet& seen) {
  const unsigned word = session.word_size();
  std::vector<VirtAddr> entries;
  try {
    VirtAddr behind = head;
    for (;;) {
      const VirtAddr at{session.read_number(behind + word, word, nullptr)};
      if (at == head || at.value == 0 || entries.size() >= kMostNodes) break;
      if (VirtAddr{session.read_number(at, word, nullptr)} != behind || !seen.insert(at)) break;
      entries.push_back(at);
      behind = at;
    }
  } catch (const FaultError&) {
    // As far as it goes: that the list is torn is said already.
  }
  std::reverse(entries.begin(), entries.end());
  return entries;
}

}  // namespace

std::string walk_list(const Session& session, VirtAddr head, const VisitNode& visit) {
  const Path path{Path::Step::name, "the list's head", 0, nullptr};
  VirtAddr first;
  try {
    first = VirtAddr{session.read_number(head, session.word_size(), &path)};
  } catch (const FaultError& error) {
    return error.what();
  }
  if (first.value == 0) return {};  // never made a list of
  AddressSet seen;
  std::string fault = walk_chain(session, first, {0, head}, [&](VirtAddr node) {
    seen.insert(node);
    return visit(node);
  });
  if (fault.empty()) return {};
  const std::vector<VirtAddr> entries = entries_from_end(session, head, seen);
  if (!entries.empty())
    fault += fmt::format("; from its end on, {} more {} found", entries.size(),
                         entries.size() == 1 ? "was" : "were");
  for (const VirtAddr entry : entries)
    if (!visit(entry)) break;
  return fault;
}

namespace {

// struct rb_node: the parent's pointer with the colour, then right, then left (include/linux/rbtree_types.h).
class TreeWalk {
 public:
  TreeWalk(const Session& session, const VisitNode& visit) : session_(session), visit_(visit) {}

  // A node that cannot be read costs what is below it alone.
  std::string run(VirtAddr top) {
    descend(top);
    while (!above_.empty()) {
      const Node node = above_.back();
      above_.pop_back();
      ++visited_;
      if (!visit_(node.at)) break;
      descend(node.right);
    }
    if (faults_ > 1) fault_ += fmt::format("; {} more nodes neither", faults_ - 1);
    return fault_;
  }

 private:
  struct Node {
    VirtAddr at, right;
  };

  // Down to the leftmost.
  void descend(VirtAddr at) {
    const unsigned word = session_.word_size();
    const Path path{Path::Step::name, "a node of the tree", 0, nullptr};
    while (at.value != 0) {
      if (above_.size() >= kMostTreeDepth)
        return add_fault(fmt::format("the tree is deeper than {} at {:#x}", kMostTreeDepth, at.value));
      if (!seen_.insert(at)) return add_fault(loop_at(at, visited_));
      try {
        const VirtAddr right{session_.read_number(at + word, word, &path)};
        const VirtAddr left{session_.read_number(at + uint64_t{2} * word, word, &path)};
        above_.push_back({at, right});
        at = left;
      } catch (const FaultError& error) {
        return add_fault(torn_at(visited_, error.what()));
      }
    }
  }
  void add_fault(const std::string& text) {
    if (faults_++ == 0) fault_ = text;
  }

  const Session& session_;
  const VisitNode& visit_;
  AddressSet seen_;
  std::vector<Node> above_;
  size_t visited_ = 0;
  size_t faults_ = 0;
  std::string fault_;
};

}  // namespace

std::string walk_tree(const Session& session, VirtAddr top, const VisitNode& visit) {
  return TreeWalk(session, visit).run(top);
}

type::Type type_by_word(const Session& session, std::string_view word) {
  for (const std::string_view tag : {"struct ", "union "})
    if (word.starts_with(tag)) word.remove_prefix(tag.size());
  return session.types().by_word(word);
}

uint64_t member_offset(const type::Type& type, std::string_view member) {
  constexpr unsigned kBits = 8;
  uint64_t bits = 0;
  type::Type at = type;
  for (size_t start = 0; start <= member.size();) {
    const size_t end = std::min(member.find('.', start), member.size());
    const std::string_view name = member.substr(start, end - start);
    const auto found = at.find_member(name);
    if (!found) throw NotFound(fmt::format("{} has no member {}", at.declaration(), name));
    bits += found->bit_offset;
    at = found->type;
    start = end + 1;
  }
  return bits / kBits;
}

}  // namespace kvista::kernel

namespace kvista {
namespace {

using kernel::Session;
using kernel::session_of;

// Where a list's head is: the place itself, or what a pointer leads to.
VirtAddr place_of(const Value& value) {
  if (value.type().is(type::Kind::pointer)) return value.target();
  if (!value.address()) throw UsageError(fmt::format("{} is nowhere in memory", value.expression()));
  return *value.address();
}

// Turns nodes into the structs that they are in.
class Containers {
 public:
  Containers(const Session& session, std::string_view type, std::string_view member)
      : session_(session),
        type_(kernel::type_by_word(session, type)),
        offset_(kernel::member_offset(type_, member)) {}

  kernel::VisitNode visitor() {
    return [this](VirtAddr node) {
      walked.items.push_back(session_.object(type_, node - offset_));
      return true;
    };
  }
  Walked finish(const char* what, const Value& from, const std::string& fault) {
    if (!fault.empty()) walked.fault = fmt::format("{} {}: {}", what, from.expression(), fault);
    return std::move(walked);
  }

  Walked walked;

 private:
  const Session& session_;
  type::Type type_;
  uint64_t offset_;
};

}  // namespace

Walked list_entries(const Value& head, std::string_view type, std::string_view member) {
  const Session& session = session_of(head);
  Containers found(session, type, member);
  return found.finish("the list", head, kernel::walk_list(session, place_of(head), found.visitor()));
}

Walked hlist_entries(const Value& head, std::string_view type, std::string_view member) {
  const Session& session = session_of(head);
  Containers found(session, type, member);
  const bool is_head = !head.type().is(type::Kind::pointer);
  const VirtAddr first =
      is_head ? VirtAddr{session.read_number(place_of(head), session.word_size(), nullptr)} : head.target();
  return found.finish("the list", head, kernel::walk_chain(session, first, {0, VirtAddr{}}, found.visitor()));
}

// struct rb_root is a pointer to the topmost node; struct rb_root_cached begins with one.
Walked tree_entries(const Value& root, std::string_view type, std::string_view member) {
  const Session& session = session_of(root);
  Containers found(session, type, member);
  const VirtAddr top{session.read_number(place_of(root), session.word_size(), nullptr)};
  return found.finish("the tree", root, kernel::walk_tree(session, top, found.visitor()));
}

}  // namespace kvista
