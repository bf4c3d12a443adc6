// Arrays and trees by index, counters and bitmaps: what was put in comes out, and damage costs no more than
// it hit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "images/xarray_builder.h"
#include "kernel/walk.h"
#include "kvista/walk.h"
#include "unit/walk_memory.h"

namespace kvista::test {
namespace {

using testing::HasSubstr;

constexpr const char* kExcluded = "it is excluded from the dump by dump level 31";
// What a radix tree was before it was an xarray (4.20).
constexpr std::string_view kOldTypes = R"(
struct list_head { struct list_head *next; struct list_head *prev; };
struct radix_tree_node {
  unsigned char shift; unsigned char offset; unsigned char count; unsigned char exceptional;
  struct radix_tree_node *parent; struct radix_tree_root *root; struct list_head private_list;
  void *slots[64]; unsigned long tags[3];
};
struct radix_tree_root { unsigned int gfp_mask; struct radix_tree_node *rnode; };
struct idr { struct radix_tree_root idr_rt; unsigned int idr_next; };
)";

std::string hex(uint64_t address) {
  return fmt::format("{:#x}", address);
}

struct Range64 {
  uint64_t first, last, entry;
  friend bool operator==(const Range64&, const Range64&) = default;
};
void PrintTo(const Range64& range, std::ostream* out) {
  *out << fmt::format("{:#x}-{:#x} {:#x}", range.first, range.last, range.entry);
}

struct Found {
  std::vector<Range64> entries;
  std::string fault;
};

class WalkXarray : public WalkMemory {
 protected:
  void use_old_types() {
    const TypeBook book(kOldTypes);
    kernel_.memory().write(kernel_.image_phys(kernel_.symbol("__start_BTF")), book.btf().build());
    layout_ = {book.offset("struct radix_tree_node", "shift"), book.offset("struct radix_tree_node", "slots"),
               book.size("struct radix_tree_node"), 1, 6};
  }
  // Each node has a page of its own.
  void build(std::map<uint64_t, uint64_t> entries) {
    entries_ = std::move(entries);
    XarrayBuilder builder(
        layout_, [this](uint64_t) { return make_page(); },
        [this](uint64_t virt, uint64_t value, unsigned size) { put(virt, value, size); });
    head_ = builder.build(entries_);
    nodes_ = builder.nodes;
  }
  std::map<uint64_t, uint64_t> some(size_t count) {
    std::map<uint64_t, uint64_t> entries;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t index = random_() >> below(64);
      entries[index] = below(2) == 0 ? make(8, 8) : (random_() >> 1) << 1 | (layout_.tag == 1 ? 2 : 1);
    }
    if (layout_.tag == 1)  // its numbers have the bit above, and not this
      for (auto& [index, entry] : entries)
        if ((entry & 2) != 0) entry &= ~uint64_t{1};
    return entries;
  }
  Found walk() {
    Found found;
    found.fault = kernel::walk_xarray(look(), head_, [&](uint64_t first, uint64_t last, uint64_t entry) {
      found.entries.push_back({first, last, entry});
      return true;
    });
    return found;
  }
  std::vector<Range64> expected() const {
    std::vector<Range64> all;
    for (const auto& [index, entry] : entries_) all.push_back({index, index, entry});
    return all;
  }
  uint64_t slot(size_t node, uint64_t i) const { return nodes_[node] + layout_.slots + 8 * i; }

  XarrayLayout layout_;
  std::map<uint64_t, uint64_t> entries_;
  uint64_t head_ = 0;
  std::vector<uint64_t> nodes_;
};

TEST_F(WalkXarray, GivesEntriesInOrder) {
  with_seeds(10, [&] {
    build(some(below(60)));
    const Found found = walk();
    EXPECT_EQ(found.fault, "");
    EXPECT_EQ(found.entries, expected());
    for (const auto& [index, entry] : entries_) {
      EXPECT_EQ(kernel::xarray_entry(*session_, head_, index), entry);
      if (!entries_.contains(index + 1)) {
        EXPECT_EQ(kernel::xarray_entry(*session_, head_, index + 1), 0U) << index;
      }
    }
  });
}

TEST_F(WalkXarray, ReadsRadixTreesOfOldKernels) {
  use_old_types();
  with_seeds(10, [&] {
    build(some(1 + below(40)));
    const Found found = walk();
    EXPECT_EQ(found.fault, "");
    EXPECT_EQ(found.entries, expected());
  });
}

TEST_F(WalkXarray, TellsNumbersFromPointers) {
  build({{3, 5 << 1 | 1}, {70, make(8, 8)}});
  const uint64_t array = make(16);
  put(array + kernel_types().offset("struct xarray", "xa_head"), head_);
  look();
  const WalkedEntries walked = xarray_entries(at("struct xarray", array), "list_head");
  ASSERT_EQ(walked.items.size(), 2U);
  EXPECT_EQ(walked.items[0].value.number(), 5U);
  EXPECT_EQ(walked.items[1].value.number(), entries_[70]);
  use_old_types();
  build({{3, 5 << 2 | 2}, {70, make(8, 8)}});
  put(array + 8, head_);
  look();
  const WalkedEntries old = xarray_entries(at("struct radix_tree_root", array), "list_head");
  ASSERT_EQ(old.items.size(), 2U) << old.fault;
  EXPECT_EQ(old.items[0].value.number(), 5U);
}

TEST_F(WalkXarray, AnEntryOfSeveralIndicesIsOne) {
  build({{1, 0x1001}, {4096, 0x2001}});
  // Slots 2 and 3 of the topmost node are one entry: 64 indices each (nodes: below, then above).
  const size_t top = nodes_.size() - 1;
  ASSERT_EQ(get(nodes_[top]) & 0xff, 12U);
  put(slot(top, 2), 0x5001);
  put(slot(top, 3), 2 << 2 | 2);
  const Found found = walk();
  EXPECT_EQ(found.fault, "");
  EXPECT_EQ(found.entries[2], (Range64{8192, 16383, 0x5001}));
  EXPECT_EQ(kernel::xarray_entry(*session_, head_, 16000), 0x5001U);
}

TEST_F(WalkXarray, MarksAreNoEntries) {
  build({{0, 0x1001}, {9, 0x2001}});
  put(slot(0, 5), 256 << 2 | 2);  // retry
  put(slot(0, 6), 257 << 2 | 2);  // reserved
  EXPECT_EQ(walk().entries, expected());
}

TEST_F(WalkXarray, DamageCostsWhatIsBelowIt) {
  with_seeds(12, [&] {
    build(some(30));
    const size_t lost = below(nodes_.size());
    const auto kind = below(4);
    const std::string at_node = hex(nodes_[lost]);
    std::string expected_text;
    if (kind == 0) {
      leave_out(nodes_[lost]);
      expected_text = "a node at " + at_node + " cannot be read: ";
    } else if (kind == 1) {
      put(nodes_[lost] + layout_.shift, 1 + 2 * below(100), 1);
      expected_text = at_node + " has a";
    } else if (kind == 2) {
      put(slot(lost, 63), nodes_[lost] | 2);  // itself
      expected_text = at_node;
    } else {
      put(nodes_[lost] + layout_.shift, 240, 1);
      expected_text = at_node + " has an absurd shift, 240";
    }
    const Found found = walk();
    EXPECT_THAT(found.fault, HasSubstr(expected_text)) << kind;
    if (kind == 0) {
      EXPECT_THAT(found.fault, HasSubstr(kExcluded));
    }
    for (const Range64& one : found.entries) EXPECT_EQ(entries_[one.first], one.entry);
    if (lost + 1 < nodes_.size() && nodes_.size() > 3) {
      EXPECT_FALSE(found.entries.empty()) << "the others are there";
    }
  });
}

TEST_F(WalkXarray, ANodeWhereEntriesAre) {
  build({{1, 0x1001}, {2, 0x2001}, {200, 0x3001}});
  put(slot(0, 7), nodes_.back() | 2);
  const Found found = walk();
  EXPECT_EQ(found.entries, expected());
  EXPECT_THAT(found.fault, HasSubstr("a node cannot be followed: the node at " + hex(nodes_.back())));
}

// A maple tree, after include/linux/maple_tree.h: pieces that cover all indices, in nodes of random sizes.
class WalkMaple : public WalkMemory {
 protected:
  struct Piece {
    uint64_t end, slot;
  };
  enum Kind : uint64_t { leaf = 1, range = 2, allocation = 3 };

  void build(const std::vector<Range64>& ranges) {
    std::vector<Piece> pieces;
    uint64_t next = 0;
    bool is_full = false;
    for (const Range64& one : ranges) {
      if (one.first > next) pieces.push_back({one.first - 1, 0});
      pieces.push_back({one.last, one.entry});
      next = one.last + 1;
      is_full = one.last == UINT64_MAX;
    }
    if (!is_full) pieces.push_back({UINT64_MAX, 0});
    nodes_.clear();
    depth_ = 0;
    for (Kind kind = leaf; depth_ == 0 || pieces.size() > 1;
         kind = below(2) == 0 ? range : allocation, ++depth_)
      pieces = level(pieces, kind);
    root_ = (pieces[0].slot & ~uint64_t{4}) | 2;
  }
  std::vector<Piece> level(const std::vector<Piece>& pieces, Kind kind) {
    const char* type = kind == allocation ? "struct maple_arange_64" : "struct maple_range_64";
    const uint64_t slots = kernel_types().size(type, "slot") / 8;
    std::vector<Piece> above;
    for (size_t at = 0; at < pieces.size();) {
      const size_t count = std::min<size_t>(pieces.size() - at, 2 + below(slots - 1));
      const uint64_t node = make_page();
      for (size_t i = 0; i < count; ++i) {
        const Piece& piece = pieces[at + i];
        // The last one's end is that of the node, and may not be written.
        if (i + 1 < slots && (i + 1 < count || below(2) == 0))
          put(node + kernel_types().offset(type, "pivot") + 8 * i, piece.end);
        put(node + kernel_types().offset(type, "slot") + 8 * i, piece.slot);
      }
      at += count;
      nodes_.push_back(node);
      above.push_back({pieces[at - 1].end, node | static_cast<uint64_t>(kind) << 3 | 4});
    }
    return above;
  }
  std::vector<Range64> some(size_t count) {
    std::vector<uint64_t> ends;
    const unsigned shift = static_cast<unsigned>(below(50));
    for (size_t i = 0; i < 2 * count; ++i) ends.push_back((random_() >> shift) & ~uint64_t{1});
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    std::vector<Range64> ranges;
    for (size_t i = 0; i + 1 < ends.size(); i += 1 + below(2))
      ranges.push_back({ends[i], ends[i + 1] - 1, make(8, 8)});
    return ranges;
  }
  Found walk() {
    Found found;
    found.fault = kernel::walk_maple(look(), root_, [&](uint64_t first, uint64_t last, uint64_t entry) {
      found.entries.push_back({first, last, entry});
      return true;
    });
    return found;
  }

  uint64_t root_ = 0;
  unsigned depth_ = 0;
  std::vector<uint64_t> nodes_;
};

TEST_F(WalkMaple, GivesRangesInOrder) {
  std::set<unsigned> depths;
  with_seeds(20, [&] {
    const auto ranges = some(1 + below(below(3) == 0 ? 4 : 60));
    build(ranges);
    depths.insert(depth_);
    const Found found = walk();
    EXPECT_EQ(found.fault, "");
    EXPECT_EQ(found.entries, ranges);
  });
  EXPECT_THAT(depths, testing::IsSupersetOf({1U, 2U, 3U}));
}

TEST_F(WalkMaple, TheLastIndexAndARootThatIsAnEntry) {
  const std::vector<Range64> last = {{UINT64_MAX, UINT64_MAX, make(8, 8)}};
  build(last);
  EXPECT_EQ(walk().entries, last);
  root_ = make(8, 8);
  EXPECT_EQ(walk().entries, (std::vector<Range64>{{0, 0, root_}}));
  root_ = 0;
  EXPECT_TRUE(walk().entries.empty());
}

TEST_F(WalkMaple, DamageCostsWhatIsBelowIt) {
  with_seeds(20, [&] {
    const auto ranges = some(40);
    build(ranges);
    const size_t lost = below(nodes_.size());
    const uint64_t slots = kernel_types().offset("struct maple_range_64", "slot");
    const auto kind = below(3);
    if (kind == 0) {
      leave_out(nodes_[lost]);
    } else if (kind == 1) {
      // The topmost's first child leads to the topmost again.
      const bool is_allocation = (root_ >> 3 & 15) == allocation;
      put(nodes_.back() + (is_allocation ? kernel_types().offset("struct maple_arange_64", "slot") : slots),
          (root_ & ~uint64_t{3}) | 4);
    } else {
      root_ = (root_ & ~uint64_t{15 << 3}) | 9 << 3;
    }
    const Found found = walk();
    EXPECT_NE(found.fault, "");
    if (kind == 0) {
      EXPECT_THAT(found.fault, HasSubstr("a node at " + hex(nodes_[lost])));
      EXPECT_THAT(found.fault, HasSubstr(kExcluded));
    }
    if (kind == 1) {
      EXPECT_THAT(found.fault, HasSubstr("two ways lead to the node at " + hex(nodes_.back())));
    }
    if (kind == 2) {
      EXPECT_THAT(found.fault, HasSubstr("is of the unknown kind 9"));
    }
    for (const Range64& one : found.entries)
      EXPECT_NE(std::find(ranges.begin(), ranges.end(), one), ranges.end());
  });
}

TEST_F(WalkMaple, PivotsOutOfOrder) {
  build({{0x1000, 0x1fff, make(8, 8)}, {0x3000, 0x3fff, make(8, 8)}, {0x5000, 0x5fff, make(8, 8)}});
  put(nodes_[0] + kernel_types().offset("struct maple_range_64", "pivot[2]"), 0x10);
  const Found found = walk();
  EXPECT_EQ(found.entries.size(), 1U);
  EXPECT_THAT(found.fault, HasSubstr("the node at " + hex(nodes_[0]) + " is not in order"));
}

class WalkCounters : public WalkMemory {};

TEST_F(WalkCounters, AddsWhatEachCpuHas) {
  const uint64_t counter = make(64);
  const auto member = [&](const char* name) {
    return counter + kernel_types().offset("struct percpu_counter", name);
  };
  with_seeds(4, [&] {
    const auto common = static_cast<int64_t>(below(1000000));
    int64_t sum = common;
    put(member("count"), static_cast<uint64_t>(common));
    put(member("counters"), 0x2000);
    look();
    for (const unsigned cpu : session_->possible_cpus()) {
      const auto own = static_cast<int32_t>(below(1000)) - 500;
      sum += own;
      put(session_->per_cpu_offset(cpu) + 0x2000, static_cast<uint32_t>(own), 4);
    }
    EXPECT_EQ(session_->possible_cpus().size(), 4U);
    look();
    EXPECT_EQ(percpu_counter_sum(at("struct percpu_counter", counter)), sum);
  });
  leave_out(session_->per_cpu_offset(2) + 0x2000);
  look();
  try {
    percpu_counter_sum(at("struct percpu_counter", counter));
    FAIL() << "a part is missing";
  } catch (const FaultError& error) {
    EXPECT_EQ(error.address().value, session_->per_cpu_offset(2) + 0x2000);
    EXPECT_THAT(error.what(), HasSubstr(kExcluded));
  }
}

TEST_F(WalkCounters, GivesTheBitsThatAreSet) {
  const uint64_t mask = make(32);
  with_seeds(4, [&] {
    std::set<uint64_t> bits;
    for (unsigned i = 0; i < 40; ++i) bits.insert(below(256));
    for (unsigned word = 0; word < 4; ++word) {
      uint64_t value = 0;
      for (unsigned bit = 0; bit < 64; ++bit)
        if (bits.contains(word * 64 + bit)) value |= uint64_t{1} << bit;
      put(mask + uint64_t{8} * word, value);
    }
    look();
    EXPECT_EQ(set_bits(at("struct cpumask", mask)), std::vector<uint64_t>(bits.begin(), bits.end()));
  });
  EXPECT_THROW(set_bits(at("struct task_struct", mask)), UsageError);
}

}  // namespace
}  // namespace kvista::test
