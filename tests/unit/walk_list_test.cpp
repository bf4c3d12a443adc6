// Lists and red-black trees: what was put in comes out, and damage costs no more than it hit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/walk.h"
#include "kvista/walk.h"
#include "unit/walk_memory.h"

namespace kvista::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

constexpr const char* kExcluded = "it is excluded from the dump by dump level 31";

std::string hex(uint64_t address) {
  return fmt::format("{:#x}", address);
}

// Nodes in pages of their own, linked from a head. The entries are modules, by their member `list`.
class WalkList : public WalkMemory {
 protected:
  void build(size_t count) {
    head_ = make(16);
    modules_.clear();
    for (size_t i = 0; i < count; ++i) modules_.push_back(make_page());
    uint64_t last = head_;
    for (const uint64_t module : modules_) {
      join(last, module + link());
      last = module + link();
    }
    join(last, head_);
  }
  void join(uint64_t one, uint64_t next) {
    put(one, next);
    put(next + 8, one);
  }
  uint64_t link() const { return kernel_types().offset("struct module", "list"); }
  uint64_t node(size_t i) const { return modules_[i] + link(); }
  Walked walk() {
    look();
    return list_entries(at("struct list_head", head_), "module", "list");
  }
  std::vector<uint64_t> without(size_t missing) const {
    std::vector<uint64_t> left = modules_;
    left.erase(left.begin() + static_cast<ptrdiff_t>(missing));
    return left;
  }

  uint64_t head_ = 0;
  std::vector<uint64_t> modules_;
};

TEST_F(WalkList, GivesEntriesInOrder) {
  with_seeds(8, [&] {
    build(below(40));
    const Walked walked = walk();
    EXPECT_EQ(walked.fault, "");
    EXPECT_THAT(addresses_of(walked), ElementsAreArray(modules_));
  });
}

TEST_F(WalkList, NeverMadeIsEmpty) {
  head_ = make(16);
  const Walked walked = walk();
  EXPECT_EQ(walked.fault, "");
  EXPECT_THAT(walked.items, IsEmpty());
}

TEST_F(WalkList, AMissingPageCostsItsEntryAlone) {
  with_seeds(8, [&] {
    build(1 + below(20));
    const size_t lost = below(modules_.size());
    leave_out(node(lost));
    const Walked walked = walk();
    EXPECT_THAT(addresses_of(walked), ElementsAreArray(without(lost)));
    EXPECT_THAT(walked.fault, HasSubstr(fmt::format("the list it: after {} entr", lost)));
    EXPECT_THAT(walked.fault, HasSubstr("the next entry at " + hex(node(lost)) + " cannot be read: "));
    EXPECT_THAT(walked.fault, HasSubstr(kExcluded));
  });
}

TEST_F(WalkList, LoopsEnd) {
  with_seeds(8, [&] {
    build(2 + below(20));
    const size_t from = below(modules_.size());
    const size_t to = below(from + 1);  // an earlier one, or itself
    put(node(from), node(to));
    const Walked walked = walk();
    EXPECT_THAT(addresses_of(walked), ElementsAreArray(modules_)) << "those behind are found from the end";
    EXPECT_THAT(walked.fault, HasSubstr("it comes back to " + hex(node(to)) + ": a loop"));
  });
}

TEST_F(WalkList, ATornListGivesBothEnds) {
  with_seeds(8, [&] {
    build(1 + below(20));
    put(node(below(modules_.size())), 0);
    const Walked walked = walk();
    EXPECT_THAT(addresses_of(walked), ElementsAreArray(modules_));
    EXPECT_THAT(walked.fault, HasSubstr("it is torn"));
  });
}

TEST_F(WalkList, ALoopOfBothDirectionsEnds) {
  build(5);
  put(node(3), node(1));
  put(node(3) + 8, node(4));
  const Walked walked = walk();
  EXPECT_EQ(walked.items.size(), 5U);
  EXPECT_NE(walked.fault, "");
}

TEST_F(WalkList, AHeadThatIsMissing) {
  head_ = make_page();
  leave_out(head_);
  const Walked walked = walk();
  EXPECT_THAT(walked.items, IsEmpty());
  EXPECT_THAT(walked.fault, HasSubstr("the list's head at " + hex(head_) + " cannot be read: "));
  EXPECT_THAT(walked.fault, HasSubstr(kExcluded));
}

TEST_F(WalkList, OneEntryIsNoEntries) {
  build(2);
  leave_out(node(1));
  EXPECT_THAT(walk().fault, HasSubstr("after 1 entry it"));
}

TEST_F(WalkList, HlistsEndWithNull) {
  with_seeds(8, [&] {
    build(below(20));
    if (!modules_.empty()) put(node(modules_.size() - 1), 0);
    put(head_, modules_.empty() ? 0 : node(0));
    look();
    const Walked walked = hlist_entries(at("struct hlist_head", head_), "module", "list");
    EXPECT_EQ(walked.fault, "");
    EXPECT_THAT(addresses_of(walked), ElementsAreArray(modules_));
  });
}

TEST_F(WalkList, HlistsThatLoopOrAreTorn) {
  build(6);
  put(node(4), node(2));
  look();
  const Walked looped = hlist_entries(at("struct hlist_head", head_), "module", "list");
  EXPECT_EQ(looped.items.size(), 5U);
  EXPECT_THAT(looped.fault, HasSubstr("after 5 entries it comes back to " + hex(node(2)) + ": a loop"));
  leave_out(node(3));
  look();
  const Walked torn = hlist_entries(at("struct hlist_head", head_), "module", "list");
  EXPECT_EQ(torn.items.size(), 3U);
  EXPECT_THAT(torn.fault, HasSubstr(hex(node(3)) + " cannot be read: "));
  EXPECT_THAT(torn.fault, HasSubstr(kExcluded));
}

// Nodes in pages of their own: parent, right, left.
class WalkTree : public WalkMemory {
 protected:
  void build(size_t count) {
    nodes_.clear();
    for (size_t i = 0; i < count; ++i) nodes_.push_back(make_page());
    root_ = make(16);
    below_.assign(count, {});
    put(root_, subtree(0, count));
    put(root_ + 8, count == 0 ? 0 : nodes_.front());
  }
  Walked walk(const char* type = "struct rb_root") {
    look();
    return tree_entries(at(type, root_), "rb_node", "rb_right");
  }
  // A pointer to rb_right is what the walk takes for the entry's own member.
  std::vector<uint64_t> entries() const {
    std::vector<uint64_t> all;
    for (const uint64_t node : nodes_) all.push_back(node - 8);
    return all;
  }
  // Without a node and what is below it.
  std::vector<uint64_t> without(size_t lost) const {
    std::vector<uint64_t> left;
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (i < below_[lost].first || i >= below_[lost].second) left.push_back(nodes_[i] - 8);
    return left;
  }

  uint64_t root_ = 0;
  std::vector<uint64_t> nodes_;
  std::vector<std::pair<size_t, size_t>> below_;  // the nodes of each one's subtree

 private:
  uint64_t subtree(size_t first, size_t end) {
    if (first == end) return 0;
    const size_t top = first + below(end - first);
    below_[top] = {first, end};
    put(nodes_[top] + 8, subtree(top + 1, end));
    put(nodes_[top] + 16, subtree(first, top));
    return nodes_[top];
  }
};

TEST_F(WalkTree, GivesEntriesInOrder) {
  with_seeds(8, [&] {
    build(below(60));
    for (const char* type : {"struct rb_root", "struct rb_root_cached"}) {
      const Walked walked = walk(type);
      EXPECT_EQ(walked.fault, "");
      EXPECT_THAT(addresses_of(walked), ElementsAreArray(entries()));
    }
  });
}

TEST_F(WalkTree, AMissingNodeCostsWhatIsBelowIt) {
  with_seeds(8, [&] {
    build(1 + below(40));
    const size_t lost = below(nodes_.size());
    leave_out(nodes_[lost]);
    const Walked walked = walk();
    EXPECT_THAT(addresses_of(walked), ElementsAreArray(without(lost)));
    EXPECT_THAT(walked.fault,
                HasSubstr("a node of the tree at " + hex(nodes_[lost] + 8) + " cannot be read: "));
    EXPECT_THAT(walked.fault, HasSubstr(kExcluded));
  });
}

TEST_F(WalkTree, LoopsEnd) {
  with_seeds(8, [&] {
    build(1 + below(40));
    const uint64_t to = nodes_[below(nodes_.size())];
    put(nodes_[below(nodes_.size())] + (below(2) == 0 ? 8 : 16), to);
    const Walked walked = walk();
    EXPECT_LE(walked.items.size(), nodes_.size());
    const auto all = addresses_of(walked);
    EXPECT_EQ(std::set<uint64_t>(all.begin(), all.end()).size(), all.size()) << "each once";
  });
}

TEST_F(WalkTree, ANodeThatIsItsOwnChild) {
  build(1);
  put(nodes_[0] + 16, nodes_[0]);
  const Walked walked = walk();
  EXPECT_EQ(walked.items.size(), 1U);
  EXPECT_THAT(walked.fault, HasSubstr("it comes back to " + hex(nodes_[0]) + ": a loop"));
}

TEST_F(WalkTree, AChainIsNoTree) {
  uint64_t top = 0;
  for (int i = 0; i < 300; ++i) {
    const uint64_t node = make(24);
    put(node + 16, top);
    top = node;
  }
  root_ = make(16);
  put(root_, top);
  const Walked walked = walk();
  EXPECT_THAT(walked.fault, HasSubstr("the tree is deeper than 130"));
  EXPECT_EQ(walked.items.size(), 130U);
}

}  // namespace
}  // namespace kvista::test
