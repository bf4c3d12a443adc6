// Images that carry no note: it is found in memory, and told from those of other kernels.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/open.h"
#include "machine/note_choice.h"
#include "matrix/subject.h"

namespace kvista::test {
namespace {

using machine::NoteVerdict;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kMemory = "ram 0x0-0x4000000\nnote place memory\n";

std::vector<NoteVerdict> verdicts(machine::Machine& machine) {
  std::vector<NoteVerdict> all;
  for (const auto& note : machine.notes_in_memory().notes) all.push_back(note.verdict);
  return all;
}

TEST(NoteSearch, EveryFormatGivesTheFactsOfTheElfNote) {
  const auto facts = [](const std::string& lines, const std::string& suffix) {
    const TemporaryDirectory directory;
    const TestImage image("ram 0x0-0x4000000\n" + lines);
    image.write(directory.file("vmcore"));
    machine::Machine machine(image::open_image(directory.file("vmcore") + suffix), {});
    EXPECT_THAT(machine.warnings(), IsEmpty());
    std::map<std::string, std::string> all;
    for (const machine::FactInfo& info : machine.facts()) {
      const machine::Fact& fact = machine.fact(info.id);
      all[info.name] = fact.value ? machine::format(*fact.value, info.form) : "(absent)";
    }
    return all;
  };
  const auto elf = facts("note place elf\n", "");
  EXPECT_EQ(facts("note place memory\n", ""), elf);
  EXPECT_EQ(facts("note place memory\nformat lime\n", ""), elf);
  EXPECT_EQ(facts("note place memory\nformat avml\n", ""), elf);
  EXPECT_EQ(facts("note place memory\nformat raw\n", "@0"), elf);
  EXPECT_EQ(facts("note place memory\nformat flattened\n", ""), elf);
}

TEST(NoteSearch, IsNotDoneWhereTheImageHasANote) {
  Subject subject("ram 0x0-0x4000000\nnote place both\nnote copy 0x3000000 OSRELEASE=9.9\n");
  EXPECT_EQ(subject.machine().note_source(), "ELF note");
  EXPECT_THAT(verdicts(subject.machine()), IsEmpty());
}

TEST(NoteSearch, SaysWhereTheNoteIs) {
  Subject subject(kMemory);
  EXPECT_THAT(verdicts(subject.machine()), ElementsAre(NoteVerdict::used));
  const auto at = subject.machine().notes_in_memory().notes.front().found.address;
  EXPECT_EQ(subject.machine().note_source(), fmt::format("memory at {:#x}", at.value));
  EXPECT_EQ(subject.machine().note().text(), subject.image().note());
}

TEST(NoteSearch, LeavesOutANoteThatMemoryRefutes) {
  // Of another release; of a kernel that was loaded elsewhere; before and behind the right one.
  for (const char* other : {"OSRELEASE=5.10.0-other", "NUMBER(phys_base)=0x1000000"}) {
    for (const char* place : {"0x100000", "0x3f00000"}) {
      Subject subject(fmt::format("{}note copy {} {}\n", kMemory, place, other));
      EXPECT_EQ(subject.value(machine::FactId::page_offset), subject.truth(machine::FactId::page_offset));
      EXPECT_EQ(subject.value(machine::FactId::release), subject.truth(machine::FactId::release));
      EXPECT_THAT(verdicts(subject.machine()),
                  testing::UnorderedElementsAre(NoteVerdict::used, NoteVerdict::refuted));
      EXPECT_THAT(subject.warnings(), HasSubstr(fmt::format("is at {}: not used", place)));
    }
  }
}

TEST(NoteSearch, RefutesANoteWhosePageTablesLeadElsewhere) {
  Subject subject(fmt::format("{}note copy 0x3f00000 SYMBOL(init_top_pgt)=ffffffff80000000\n", kMemory));
  EXPECT_THAT(subject.warnings(), HasSubstr("is at 0x3f00000: not used"));
}

TEST(NoteSearch, TakesACopyForTheSame) {
  Subject subject(fmt::format("{}note copy 0x3f00000\n", kMemory));
  EXPECT_THAT(verdicts(subject.machine()), ElementsAre(NoteVerdict::used, NoteVerdict::same));
  EXPECT_EQ(subject.warnings(), "");
}

TEST(NoteSearch, DoesNotChooseBetweenTwoThatMemoryConfirms) {
  for (const char* place : {"0x100000", "0x3f00000"}) {
    Subject subject(fmt::format("{}note copy {} SIZE(page)=56\n", kMemory, place));
    EXPECT_THAT(verdicts(subject.machine()), ElementsAre(NoteVerdict::confirmed, NoteVerdict::confirmed));
    EXPECT_TRUE(subject.machine().note().empty());
    EXPECT_THAT(subject.warnings(), HasSubstr("which differ, and memory confirms each: none is used"));
  }
}

TEST(NoteSearch, PrefersAWholeTextToADamagedOne) {
  Subject subject(fmt::format("{}note copy 0x100000 SIZE(page)=nonsense\n", kMemory));
  EXPECT_EQ(subject.machine().note().size("page"), 64U);
  EXPECT_EQ(subject.value(machine::FactId::page_offset), subject.truth(machine::FactId::page_offset));
}

TEST(NoteSearch, UsesTheOnlyOneThatCannotBeCheckedAndSaysSo) {
  Subject subject(fmt::format("{}note omit NUMBER(phys_base)\n", kMemory));
  EXPECT_THAT(verdicts(subject.machine()), ElementsAre(NoteVerdict::used));
  EXPECT_THAT(subject.warnings(), HasSubstr("is used, but cannot be checked"));
}

TEST(NoteSearch, DoesNotUseTheOnlyOneWhereMemoryRefutesIt) {
  Subject subject(
      fmt::format("ram 0x0-0x4000000\nnote place none\nnote copy 0x3f00000 OSRELEASE=5.10.0-other\n"));
  EXPECT_THAT(verdicts(subject.machine()), ElementsAre(NoteVerdict::refuted));
  EXPECT_TRUE(subject.machine().note().empty());
  try {
    subject.machine().need_number(machine::FactId::page_offset);
    FAIL() << "a refuted note was used";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("none of those found in its memory (1) is certain"));
  }
}

}  // namespace
}  // namespace kvista::test
