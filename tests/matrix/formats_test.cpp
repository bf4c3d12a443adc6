// The same memory in another file is the same machine.
#include <gtest/gtest.h>

#include "image/open.h"
#include "matrix/subject.h"

namespace kvista::test {
namespace {

// Where a format has no note, the user gives it.
std::map<std::string, std::string> facts_of(const std::string& format, const std::string& suffix) {
  const TemporaryDirectory directory;
  const TestImage image("ram 0x0-0x4000000\nformat " + format + "\n");
  image.write(directory.file("vmcore"));
  machine::Options options;
  options.vmcoreinfo_file = directory.write("note", image.note());
  machine::Machine machine(image::open_image(directory.file("vmcore") + suffix), options);
  std::map<std::string, std::string> facts;
  for (const machine::FactInfo& info : machine::all_facts()) {
    const machine::Fact& fact = machine.fact(info.id);
    facts[info.name] = fact.value ? machine::format(*fact.value, info.form) : "(absent)";
  }
  EXPECT_EQ(facts.at("page_offset"), image.truth().at("page_offset"));
  return facts;
}

TEST(Formats, GiveTheSameFacts) {
  const auto elf = facts_of("elf", "");
  EXPECT_EQ(facts_of("flattened", ""), elf);
  EXPECT_EQ(facts_of("lime", ""), elf);
  EXPECT_EQ(facts_of("raw", "@0"), elf);
}

}  // namespace
}  // namespace kvista::test
