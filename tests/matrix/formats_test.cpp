// The same memory in another file is the same machine.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <mutex>

#include "codec/codec.h"
#include "image/open.h"
#include "matrix/subject.h"
#include "pages/frame_scan.h"

namespace kvista::test {
namespace {

constexpr const char* kMachine =
    "ram 0x0-0x9f000 0x100000-0x4000000\n"
    "pages 0x800-0xfff class=buddy order=10\n"
    "pages 0x400-0x47f class=anon\n"
    "pages 0x480-0x4ff class=lru private\n"
    "contents random 0x400000-0x480000\n"
    // AVML leaves out blocks of 16 MiB that are all zeros.
    "contents random 0x1000-0x2000\n"
    "contents random 0x1200000-0x1201000\n"
    "contents random 0x2200000-0x2201000\n"
    "contents random 0x3200000-0x3201000\n";
// What makedumpfile -d 31 leaves out of that.
constexpr const char* kFilter = "kdump exclude 0x400000-0x500000 0x800000-0x1000000\n";

struct Seen {
  std::map<std::string, std::string> facts;
  std::vector<pages::ClassByte> classes;
  std::vector<std::string> warnings;
  bool operator==(const Seen&) const = default;
};

std::vector<pages::ClassByte> classes_of(machine::Machine& machine) {
  const pages::FrameScan scan(machine, {2, true});
  std::vector<pages::ClassByte> all;
  std::mutex lock;
  scan.run([&](const pages::FrameBlock& block, unsigned) {
    const std::lock_guard guard(lock);
    all.resize(std::max<size_t>(all.size(), block.first.value + block.classes.size()));
    std::copy(block.classes.begin(), block.classes.end(),
              all.begin() + static_cast<ptrdiff_t>(block.first.value));
  });
  return all;
}

struct How {
  std::string suffix;      // of the path, as the user gives it
  bool give_note = false;  // where a format has no note, the user gives it
  unsigned parts = 1;
};

Seen look_at(const std::string& lines, const How& how = {}) {
  const TemporaryDirectory directory;
  const TestImage image(kMachine + lines);
  image.write(directory.file("vmcore"));
  machine::Options options;
  if (how.give_note) options.vmcoreinfo_file = directory.write("note", image.note());
  std::vector<std::string> paths = {directory.file("vmcore") + how.suffix};
  for (unsigned part = 2; part <= how.parts; ++part)
    paths.push_back(directory.file(fmt::format("vmcore.{}", part)));
  machine::Machine machine(image::open_image_set(paths), options);
  Seen seen;
  for (const machine::FactInfo& info : machine.facts()) {
    const machine::Fact& fact = machine.fact(info.id);
    seen.facts[info.name] = fact.value ? machine::format(*fact.value, info.form) : "(absent)";
  }
  EXPECT_EQ(seen.facts.at("page_offset"), image.truth().at("page_offset"));
  seen.classes = classes_of(machine);
  seen.warnings = machine.warnings();
  return seen;
}

const Seen& elf() {
  static const Seen kElf = look_at("");
  return kElf;
}

void expect_same(const Seen& seen, const std::string& what) {
  EXPECT_EQ(seen.facts, elf().facts) << what;
  EXPECT_TRUE(seen.classes == elf().classes) << what;
  EXPECT_EQ(seen.warnings, elf().warnings) << what;
}

TEST(Formats, GiveTheSameFactsAndClasses) {
  expect_same(look_at("format flattened\n"), "flattened");
  expect_same(look_at("format lime\n", {"", true, 1}), "lime");
  expect_same(look_at("format avml\n", {"", true, 1}), "avml");
}

// Raw memory has no holes: what is between ranges of RAM counts too.
TEST(Formats, RawMemoryGivesTheSameFacts) {
  EXPECT_EQ(look_at("format raw\n", {"@0", true, 1}).facts, elf().facts);
}

std::vector<std::string> codecs() {
  std::vector<std::string> names = {"none", "zlib", "snappy", "zstd", "zlib,zstd,snappy"};
  if (codec::is_available(codec::Codec::lzo)) names.emplace_back("lzo");
  return names;
}

// Each version, whole and split, plain and flattened; the codecs and the filter take turns.
TEST(Formats, EveryKdumpVersionGivesTheSameFactsAndClasses) {
  const auto names = codecs();
  size_t turn = 0;
  for (unsigned version = 1; version <= 6; ++version) {
    for (const unsigned parts : {1U, 3U}) {
      if (parts > 1 && version < 2) continue;  // split dumps begin with version 2
      for (const char* layer : {"", "flattened "}) {
        const std::string lines =
            fmt::format("format {}kdump\nkdump version={} split={} codec={}\n{}", layer, version, parts,
                        names.at(turn % names.size()), turn % 2 == 0 ? kFilter : "");
        ++turn;
        // Files of versions 1 and 2 have no place for the note.
        expect_same(look_at(lines, {"", version < 3, parts}), lines);
      }
    }
  }
}

TEST(Formats, EveryCodecGivesTheSameFactsAndClasses) {
  for (const std::string& codec : codecs())
    expect_same(look_at(fmt::format("format kdump\nkdump codec={}\n{}", codec, kFilter)), codec);
}

}  // namespace
}  // namespace kvista::test
