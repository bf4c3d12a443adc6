#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "unit/page_layouts.h"

namespace kvista::test {
namespace {

using pages::ClassByte;
using pages::kFlagHugetlb;
using pages::kFlagReserved;
using pages::kFlagSlab;
using pages::kFlagSpecial;
using pages::PageClass;
using pages::PageClassifier;
using pages::PageRun;
using pages::to_byte;

constexpr uint64_t kFirst = 0x4000;  // aligned to more than any order here
constexpr ClassByte kKernel = to_byte(PageClass::kern_data);
constexpr ClassByte kSlab = to_byte(PageClass::kern_data, kFlagSlab);
constexpr ClassByte kFree = to_byte(PageClass::free);
constexpr ClassByte kUser = to_byte(PageClass::user);
constexpr ClassByte kHugetlb = to_byte(PageClass::user, kFlagHugetlb);
constexpr ClassByte kCache = to_byte(PageClass::non_pri_cache);
constexpr ClassByte kPrivateCache = to_byte(PageClass::pri_cache);
constexpr ClassByte kPoison = to_byte(PageClass::hwpoison);

class Classifier : public testing::TestWithParam<NoteLayout> {
 protected:
  const NoteLayout& layout() const { return GetParam(); }
  StructPages pages(size_t count) const { return {GetParam(), kFirst, count}; }
};
INSTANTIATE_TEST_SUITE_P(AllLayouts, Classifier, testing::ValuesIn(note_layouts_of_both_orders()));

// How many of which class byte, one after another.
using Runs = std::vector<std::pair<size_t, ClassByte>>;
Runs runs_of(const std::vector<ClassByte>& classes) {
  Runs runs;
  for (const ClassByte byte : classes) {
    if (runs.empty() || runs.back().second != byte) runs.emplace_back(0, byte);
    ++runs.back().first;
  }
  return runs;
}

TEST_P(Classifier, SinglePages) {
  StructPages all = pages(20);
  const auto flag = [&](uint64_t i, unsigned number) { all.add_flag(kFirst + i, number); };
  all.buddy(kFirst + 1, 0);
  all.slab(kFirst + 2);
  all.anon(kFirst + 3);
  all.file(kFirst + 4);
  all.file(kFirst + 5);
  flag(5, layout().priv);
  all.set_mapping(kFirst + 6, StructPages::kMapping | 3);  // KSM
  flag(7, layout().swapcache);                             // PG_owner_priv_1: no swap without swapbacked
  flag(8, layout().swapcache);
  flag(8, layout().swapbacked);
  all.anon(kFirst + 9);
  flag(9, layout().swapcache);
  flag(9, layout().priv);
  all.slab(kFirst + 10);  // its mapping holds something else
  all.set_mapping(kFirst + 10, StructPages::kMapping | 1);
  all.slab(kFirst + 11);
  flag(11, layout().lru);
  flag(12, layout().priv - 1);                          // PG_reserved
  all.set_mapping(kFirst + 13, StructPages::kMapping);  // a driver's: cache only if on the LRU
  flag(14, layout().priv);
  all.set_mapping(kFirst + 15, StructPages::kMapping | 1);  // anonymous and off the LRU for a moment
  all.set_mapping(kFirst + 16, StructPages::kMapping | 2);  // movable, not anonymous
  all.set_type(kFirst + 17, 5);                             // mapped six times
  all.file(kFirst + 18);
  all.set_type(kFirst + 18, 0x7ffffffe);

  const std::vector<ClassByte> expected = {kKernel,
                                           kFree,
                                           kSlab,
                                           kUser,
                                           kCache,
                                           kPrivateCache,
                                           kUser,
                                           kKernel,
                                           kCache,
                                           kUser,
                                           kSlab,
                                           kSlab,
                                           to_byte(PageClass::kern_data, kFlagReserved),
                                           kKernel,
                                           kKernel,
                                           kUser,
                                           kKernel,
                                           kKernel,
                                           kCache,
                                           kKernel};
  EXPECT_EQ(all.classify(), expected);
}

TEST_P(Classifier, TypesThatTheKernelHas) {
  StructPages all = pages(6);
  std::vector<ClassByte> expected(6, kKernel);
  const auto set = [&](size_t i, std::optional<int32_t> type, ClassByte byte) {
    if (!type) return;
    all.set_type(kFirst + i, *type);
    expected[i] = byte;
  };
  set(1, layout().offline, to_byte(PageClass::offline));
  set(2, layout().table, to_byte(PageClass::kern_data, kFlagSpecial));
  set(3, layout().slab, kSlab);
  set(5, layout().unaccepted, kKernel);  // not at the start of a block: damaged
  EXPECT_EQ(all.classify(), expected);
}

// 6.12 keeps data of the page's own below the type.
TEST_P(Classifier, TypesWithDataBelow) {
  if (layout().buddy != -268435456) return;
  StructPages all = pages(4);
  const int32_t data = 0x123456;
  all.set_type(kFirst + 1, layout().buddy + data);
  all.set_type(kFirst + 2, *layout().offline + data);
  EXPECT_EQ(all.classify(), (std::vector<ClassByte>{kKernel, kFree, to_byte(PageClass::offline), kKernel}));
}

TEST_P(Classifier, FreeBlocksOfEachOrder) {
  for (unsigned order = 0; order < kBuddyOrders; ++order) {
    StructPages all = pages(3U << order);
    all.buddy(kFirst + (1U << order), order);
    // Behind the head of a free block is what the last user left.
    if (order > 0) all.anon(kFirst + (1U << order) + 1);
    const size_t n = size_t{1} << order;
    EXPECT_EQ(runs_of(all.classify()), (Runs{{n, kKernel}, {n, kFree}, {n, kKernel}})) << "order " << order;
  }
}

TEST_P(Classifier, FreeBlocksThatCannotBe) {
  StructPages all = pages(16);
  all.buddy(kFirst + 0, kBuddyOrders);  // an order that the allocator does not have
  all.buddy(kFirst + 3, 1);             // at an odd place
  all.buddy(kFirst + 5, UINT64_MAX);
  all.buddy(kFirst + 8, uint64_t{1} << 32);
  all.buddy(kFirst + 10, 1);
  EXPECT_EQ(runs_of(all.classify()), (Runs{{10, kKernel}, {2, kFree}, {4, kKernel}}));
}

// A slab page keeps counters where others keep their type, and they can look like one.
TEST_P(Classifier, SlabIsNotFree) {
  if (!layout().slab_bit) return;  // a type cannot be two
  StructPages all = pages(4);
  all.buddy(kFirst + 2, 1);
  all.slab(kFirst + 2);
  EXPECT_EQ(runs_of(all.classify()), (Runs{{2, kKernel}, {1, kSlab}, {1, kKernel}}));
}

TEST_P(Classifier, CompoundPages) {
  StructPages all = pages(64 + 512 + 512);
  all.slab(kFirst);
  all.compound(kFirst, 3);
  all.compound(kFirst + 8, 3);  // the kernel's own
  all.file(kFirst + 16);
  all.compound(kFirst + 16, 4);
  all.file(kFirst + 32);
  all.add_flag(kFirst + 32, layout().priv);
  all.compound(kFirst + 32, 2);
  all.anon(kFirst + 36);
  all.compound(kFirst + 36, 2);
  all.compound(kFirst + 40, 1);
  all.compound(kFirst + 512, 9, true);
  EXPECT_EQ(runs_of(all.classify()), (Runs{{8, kSlab},
                                           {8, kKernel},
                                           {16, kCache},
                                           {4, kPrivateCache},
                                           {4, kUser},
                                           {512 - 40, kKernel},
                                           {512, kHugetlb},
                                           {64, kKernel}}));
}

// A hugetlb page that a process has mapped is anonymous; one of a file is not. Both are USER and hugetlb.
TEST_P(Classifier, HugetlbOfAnyMapping) {
  for (const uint64_t mapping : {uint64_t{0}, StructPages::kMapping, StructPages::kMapping | 1}) {
    StructPages all = pages(1024);
    all.compound(kFirst, 9, true);
    all.set_mapping(kFirst, mapping);
    EXPECT_EQ(runs_of(all.classify()), (Runs{{512, kHugetlb}, {512, kKernel}})) << mapping;
  }
}

TEST_P(Classifier, AbsurdOrdersStandForThemselves) {
  // Since 6.6 the order is a byte; before it was one or two.
  for (const unsigned order : {0U, 23U, 64U, 200U, 255U}) {
    StructPages all = pages(32);
    all.anon(kFirst + 16);
    all.compound(kFirst + 16, 1);
    all.set_order(kFirst + 16, order);
    const auto classes = all.classify();
    EXPECT_EQ(classes[16], kUser) << order;
    EXPECT_EQ(classes[17], kKernel) << "a stray tail";
    EXPECT_EQ(classes[18], kKernel) << order;
  }
}

// Frame 0 is aligned to any order.
TEST_P(Classifier, AbsurdOrdersOfFrameZero) {
  for (const unsigned order : {23U, 64U, 255U}) {
    StructPages all(layout(), 0, 32);
    all.anon(0);
    all.compound(0, 1);
    all.set_order(0, order);
    EXPECT_EQ(runs_of(all.classify()), (Runs{{1, kUser}, {31, kKernel}})) << order;
    EXPECT_FALSE(PageClassifier(rules_of(layout())).run_at(Pfn{0}, all.bytes())) << order;
  }
}

TEST_P(Classifier, HeadsAtOddPlacesStandForThemselves) {
  StructPages all = pages(32);
  all.anon(kFirst + 4);
  all.compound(kFirst + 4, 3);
  all.compound(kFirst + 17, 2, true);
  const auto classes = all.classify();
  EXPECT_EQ(classes[4], kUser);
  EXPECT_TRUE(std::all_of(classes.begin() + 5, classes.end(), [](ClassByte b) { return b == kKernel; }))
      << "and a hugetlb page cannot begin there";
}

TEST_P(Classifier, StrayTails) {
  StructPages all = pages(16);
  for (uint64_t pfn = kFirst; pfn < kFirst + 16; ++pfn) all.anon(pfn);
  all.compound(kFirst, 4);  // the others are tails that look anonymous besides
  std::vector<ClassByte> classes(15);
  PageClassifier classifier(rules_of(layout()));
  classifier.classify(Pfn{kFirst + 1}, all.from(kFirst + 1), classes);
  EXPECT_EQ(runs_of(classes), (Runs{{15, kKernel}})) << "the head was not seen";
}

TEST_P(Classifier, HwpoisonEverywhere) {
  if (!layout().hwpoison) return;
  StructPages all = pages(1024 + 64);
  const unsigned poison = *layout().hwpoison;
  all.buddy(kFirst, 4);
  all.add_flag(kFirst + 3, poison);  // within a free block
  all.buddy(kFirst + 16, 1);
  all.add_flag(kFirst + 16, poison);  // its head
  all.anon(kFirst + 512);
  all.compound(kFirst + 512, 9);
  all.add_flag(kFirst + 512, poison);       // the head of a transparent huge page
  all.add_flag(kFirst + 512 + 77, poison);  // and a page of it
  all.slab(kFirst + 1024);
  all.add_flag(kFirst + 1024, poison);
  all.anon(kFirst + 1026);
  all.add_flag(kFirst + 1026, poison);
  if (layout().offline) all.set_type(kFirst + 1028, *layout().offline);
  all.add_flag(kFirst + 1028, poison);
  const auto classes = all.classify();
  for (const size_t i : {3U, 16U, 512U, 512U + 77, 1024U, 1026U, 1028U}) EXPECT_EQ(classes[i], kPoison) << i;
  EXPECT_EQ(std::count(classes.begin(), classes.end(), kPoison), 7);
  EXPECT_EQ(classes[2], kFree);
  EXPECT_EQ(classes[4], kFree);
  EXPECT_EQ(classes[17], kFree) << "the rest of the block is free";
  EXPECT_EQ(classes[513], kUser) << "the rest of the huge page is a process's";
}

// The kernel marks the head of a hugetlb page whichever page of it is defective: none of it may be read.
TEST_P(Classifier, DefectiveHugetlbPages) {
  if (!layout().hwpoison) return;
  StructPages all = pages(1536);
  all.compound(kFirst, 9, true);
  all.add_flag(kFirst, *layout().hwpoison);
  all.compound(kFirst + 512, 9, true);
  all.add_flag(kFirst + 512 + 7, *layout().hwpoison);
  EXPECT_EQ(runs_of(all.classify()),
            (Runs{{512, kPoison}, {7, kHugetlb}, {1, kPoison}, {504, kHugetlb}, {512, kKernel}}));
}

TEST_P(Classifier, UnacceptedBlocks) {
  if (!layout().unaccepted) return;
  StructPages all = pages(2048);
  all.set_type(kFirst + 1024, *layout().unaccepted);
  all.anon(kFirst + 1025);
  EXPECT_EQ(runs_of(all.classify()), (Runs{{1024, kKernel}, {1024, to_byte(PageClass::free, kFlagSpecial)}}));
}

// With hugetlb_free_vmemmap each page of struct pages but the first is the first one again: heads within.
TEST_P(Classifier, FoldedMemoryMap) {
  if (4096 % layout().struct_size != 0) return;  // the kernel does not fold it then
  StructPages all = pages(1024);
  all.compound(kFirst, 9, true);
  all.fold(kFirst, 512);
  EXPECT_EQ(runs_of(all.classify()), (Runs{{512, kHugetlb}, {512, kKernel}}));
}

// What a scan that begins within a compound page looks at.
TEST_P(Classifier, EnteringARun) {
  const PageClassifier classifier(rules_of(layout()));
  StructPages all = pages(1024);
  all.compound(kFirst, 9, true);
  const auto run = classifier.run_at(Pfn{kFirst}, all.bytes());
  ASSERT_TRUE(run);
  EXPECT_EQ(run->end.value, kFirst + 512);
  EXPECT_EQ(run->byte, kHugetlb);
  EXPECT_FALSE(classifier.maybe_inside(Pfn{kFirst}, all.bytes()));
  EXPECT_TRUE(classifier.maybe_inside(Pfn{kFirst + 64}, all.from(kFirst + 64))) << "a tail";
  EXPECT_FALSE(classifier.run_at(Pfn{kFirst + 64}, all.from(kFirst + 64)));
  EXPECT_FALSE(classifier.maybe_inside(Pfn{kFirst + 512}, all.from(kFirst + 512))) << "behind it";
  EXPECT_FALSE(classifier.run_at(Pfn{kFirst + 512}, all.from(kFirst + 512)));
  all.fold(kFirst, 512);
  if (4096 % layout().struct_size == 0) {
    const uint64_t copy = kFirst + 4096 / layout().struct_size;
    EXPECT_TRUE(classifier.maybe_inside(Pfn{copy}, all.from(copy))) << "a copy of the head";
  }
  EXPECT_FALSE(classifier.run_at(Pfn{kFirst}, all.bytes().first(layout().struct_size)))
      << "one struct page only";
}

TEST_P(Classifier, EnteredRunsGoOn) {
  StructPages all = pages(64);
  PageClassifier classifier(rules_of(layout()));
  classifier.enter({Pfn{kFirst + 10}, kHugetlb});
  std::vector<ClassByte> classes(64);
  classifier.classify(Pfn{kFirst}, all.bytes(), classes);
  EXPECT_EQ(runs_of(classes), (Runs{{10, kHugetlb}, {54, kKernel}}));
  classifier.enter({Pfn{kFirst + 10}, kHugetlb});
  classifier.reset();
  classifier.classify(Pfn{kFirst}, all.bytes(), classes);
  EXPECT_EQ(runs_of(classes), (Runs{{64, kKernel}}));
}

// Piece by piece is the same as all at once, wherever no head is parted from its second page.
TEST_P(Classifier, InPieces) {
  StructPages all = pages(256);
  all.buddy(kFirst, 5);
  all.compound(kFirst + 64, 4, true);
  all.anon(kFirst + 96);
  all.compound(kFirst + 96, 1);
  all.slab(kFirst + 100);
  all.compound(kFirst + 100, 2);
  all.file(kFirst + 128);
  all.compound(kFirst + 128, 7);
  const auto whole = all.classify();
  for (size_t piece = 2; piece < 256; piece += 2) {
    PageClassifier classifier(rules_of(layout()));
    std::vector<ClassByte> classes(256);
    for (size_t at = 0; at < 256; at += piece) {
      const size_t count = std::min(piece, 256 - at);
      classifier.classify(Pfn{kFirst + at}, all.from(kFirst + at).first(count * layout().struct_size),
                          std::span(classes).subspan(at, count));
    }
    ASSERT_EQ(classes, whole) << "pieces of " << piece;
  }
}

TEST_P(Classifier, FewerStructPagesThanFrames) {
  StructPages all = pages(8);
  std::vector<ClassByte> classes(16, 0xee);
  PageClassifier classifier(rules_of(layout()));
  classifier.classify(Pfn{kFirst}, all.bytes().first(7 * layout().struct_size + 5), classes);
  EXPECT_EQ(runs_of(classes), (Runs{{7, kKernel}, {9, 0xee}}));
}

// Any bytes at all: no crash, and a class for each.
TEST_P(Classifier, RandomBytes) {
  std::vector<std::byte> bytes(4096 * size_t{layout().struct_size});
  uint64_t state = 1;
  for (std::byte& b : bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    b = static_cast<std::byte>(state >> 56);
  }
  std::vector<ClassByte> classes(4096, 0xff);
  PageClassifier classifier(rules_of(layout()));
  classifier.classify(Pfn{kFirst}, bytes, classes);
  EXPECT_TRUE(std::all_of(classes.begin(), classes.end(), [](ClassByte b) {
    const auto page_class = static_cast<unsigned>(pages::class_of(b));
    return page_class > 0 && page_class < pages::kClassCount;
  }));
}

// Without PG_swapbacked in the note (before 4.13) the swap cache's flag alone counts.
TEST(ClassifierOf, NoSwapbackedInTheNote) {
  const NoteLayout& layout = note_layout("4.14");
  std::string note = page_note(layout);
  const size_t at = note.find("NUMBER(PG_swapbacked)");
  note.erase(at, note.find('\n', at) + 1 - at);
  StructPages all(layout, kFirst, 4);
  all.add_flag(kFirst + 1, layout.swapcache);
  std::vector<ClassByte> classes(4);
  PageClassifier classifier(pages::derive_page_rules(vmcoreinfo::VmcoreInfo(note)));
  classifier.classify(Pfn{kFirst}, all.bytes(), classes);
  EXPECT_EQ(runs_of(classes), (Runs{{1, kKernel}, {1, kCache}, {2, kKernel}}));
}

// Bit 7, which older tools take for PG_slab, is PG_waiters in kernels that export no PG_slab.
TEST(ClassifierOf, WaitersAreNoSlab) {
  const NoteLayout& layout = note_layout("6.12");
  StructPages all(layout, kFirst, 4);
  all.anon(kFirst + 1);
  all.add_flag(kFirst + 1, 7);
  EXPECT_EQ(all.classify()[1], kUser);
}

}  // namespace
}  // namespace kvista::test
