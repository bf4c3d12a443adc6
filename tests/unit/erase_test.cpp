// Dumps in which data is erased by rules: what is gone from them, what is not, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "codec/codec.h"
#include "dump/erase.h"
#include "dump/erase_rules.h"
#include "dump/notes.h"
#include "dump/writer.h"
#include "image/open.h"
#include "images/image.h"
#include "images/temporary.h"
#include "kernel/session.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kPageSize = 4096;
// Pages that are no neighbours are mapped behind one another; the last is one of zeros.
constexpr const char* kDescription =
    "pages 0x400-0x7ff class=buddy order=10\n"
    "pages 0x800-0xbff class=anon\n"
    "pages 0xc00-0xcff class=lru\n"
    "contents pattern 0x800000-0x1800000\n"
    "map 0xffffc90000100000 0xd00000\n"
    "map 0xffffc90000101000 0xf00000\n"
    "map 0xffffc90000102000 0x1900000\n"
    "map 0xffffc90000103000 0x900000\n"
    "map 0xffffffffc1000000 0xe00000\n"
    "cpus 3\n"
    "btf\n"
    "task pid=1 comm=init\n"
    "task pid=2 comm=secretd\n"
    "task pid=3 of=2 comm=secretworker\n"
    "module vault symbols=vault_key,vault_length types\n";
constexpr const char* kRules =
    "# what is secret here\n"
    "erase init_uts_ns.name.nodename\n"
    "\n"
    "for t in init_task.tasks.next within task_struct:tasks  # each process\n"
    "  erase t.comm\n"
    "  for s in t.signal.thread_head within task_struct:thread_node\n"
    "    erase s.comm\n"
    "  endfor\n"
    "endfor\r\n"
    "erase (char *)0xffffc90000100ff0 size 32\n";

class Erasing : public testing::Test {
 protected:
  Erasing() { make(""); }

  void make(const std::string& more) { test::TestImage(kDescription + more).write(source_path_); }
  static kernel::Session open(const std::string& path) { return {image::open_image(path), {}}; }

  std::string rules(const std::string& text) const {
    directory_.write("rules", text);
    return directory_.file("rules");
  }

  DumpRequest request(const std::string& text) const {
    DumpRequest request;
    request.outputs = {directory_.file("dump")};
    request.overwrite = true;
    request.codec = codec::Codec::zstd;
    request.threads = 2;
    request.erase_rules = rules(text);
    return request;
  }

  Erasure erasure(const std::string& text) const { return find_erased(open(source_path_), rules(text)); }
  // How many places, and bytes, rules come to.
  std::pair<uint64_t, uint64_t> counts(const std::string& text) const {
    const Erasure found = erasure(text);
    return {found.places, found.ranges.bytes()};
  }
  std::string refusal(const std::string& text) const {
    return test::failure_of<Error>([&] { erasure(text); });
  }

  static std::optional<std::vector<std::byte>> page(const image::MemoryImage& image, uint64_t pfn) {
    std::vector<std::byte> bytes(kPageSize);
    if (image.read(PhysAddr{pfn * kPageSize}, bytes).done != kPageSize) return std::nullopt;
    return bytes;
  }

  // What kRules name, by the kernel's own words: each byte's physical address.
  std::map<uint64_t, char> erased_bytes() const {
    std::map<uint64_t, char> bytes;
    const kernel::Session session = open(source_path_);
    const auto add = [&](VirtAddr at, uint64_t size) {
      for (uint64_t i = 0; i < size; ++i) bytes[session.space().translate(at + i)->phys.value] = 'X';
    };
    add(*session.evaluate("init_uts_ns.name.nodename").address(), 65);
    for (const Value& task :
         list_entries(session.evaluate("init_task.tasks"), "task_struct", "tasks").items) {
      add(*task["comm"].address(), 16);
      for (const Value& thread :
           list_entries(task["signal"]["thread_head"], "task_struct", "thread_node").items)
        add(*thread["comm"].address(), 16);
    }
    add(VirtAddr{0xffffc90000100ff0}, 32);
    return bytes;
  }

  void expect_erased_and_nothing_else(const image::MemoryImage& saved) const {
    const auto source = image::open_image(source_path_);
    const std::map<uint64_t, char> erased = erased_bytes();
    ASSERT_EQ(erased.size(), 65 + 3 * 16 + 32U);
    uint64_t compared = 0;
    for (const PhysRange& range : source->ram())
      for (uint64_t pfn = range.start.value / kPageSize; pfn < range.end().value / kPageSize; ++pfn) {
        auto expected = page(*source, pfn);
        if (!expected) continue;
        for (auto at = erased.lower_bound(pfn * kPageSize);
             at != erased.end() && at->first / kPageSize == pfn; ++at)
          (*expected)[at->first % kPageSize] = static_cast<std::byte>(at->second);
        ASSERT_EQ(page(saved, pfn), expected) << "frame " << std::hex << pfn;
        ++compared;
      }
    EXPECT_GT(compared, 5000U);
  }

  static std::string file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string eraseinfo(const image::MemoryImage& image) {
    const auto bytes = eraseinfo_of(image, "");
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  test::TemporaryDirectory directory_;
  std::string source_path_ = directory_.file("vmcore");
};

TEST_F(Erasing, IsDoneWithEveryCodecAndStream) {
  for (const auto codec :
       {std::optional<codec::Codec>(), std::optional(codec::Codec::zlib), std::optional(codec::Codec::lzo),
        std::optional(codec::Codec::snappy), std::optional(codec::Codec::zstd)}) {
    if (codec && !codec::is_available(*codec)) continue;
    for (const bool flattened : {false, true}) {
      SCOPED_TRACE(testing::Message() << (codec ? codec::describe(*codec) : "none") << ' ' << flattened);
      DumpRequest wanted = request(kRules);
      wanted.codec = codec;
      wanted.flattened = flattened;
      const DumpResult result = write_dump(open(source_path_), wanted);
      EXPECT_EQ(result.lost(), 0U);
      EXPECT_EQ(result.erased_places, 1 + 2 + 3 + 1U);
      EXPECT_EQ(result.erased_bytes, 65 + 3 * 16 + 32U);
      expect_erased_and_nothing_else(*image::open_image(wanted.outputs.front()));
    }
  }
}

TEST_F(Erasing, IsDoneInElfCoreFiles) {
  for (const bool flattened : {false, true})
    for (const uint64_t segments : {60000U, 9U}) {
      DumpRequest wanted = request(kRules);
      wanted.format = Format::elf;
      wanted.flattened = flattened;
      wanted.max_segments = segments;
      EXPECT_EQ(write_dump(open(source_path_), wanted).lost(), 0U);
      const auto saved = image::open_image(wanted.outputs.front());
      expect_erased_and_nothing_else(*saved);
      EXPECT_THAT(eraseinfo(*saved), HasSubstr("erase init_uts_ns.name.nodename size 65\n"));
    }
}

TEST_F(Erasing, IsDoneInEachPartOfASplitDump) {
  DumpRequest wanted = request(kRules);
  wanted.outputs = {directory_.file("one"), directory_.file("two"), directory_.file("three")};
  EXPECT_EQ(write_dump(open(source_path_), wanted).lost(), 0U);
  expect_erased_and_nothing_else(*image::open_image_set(wanted.outputs));
  constexpr std::string_view kRecord = "erase init_uts_ns.name.nodename size 65\n";
  EXPECT_NE(file(wanted.outputs[0]).find(kRecord), std::string::npos);
  EXPECT_EQ(file(wanted.outputs[1]).find(kRecord), std::string::npos);
}

TEST_F(Erasing, IsDoneWhereNoPageIsLookedAt) {
  DumpRequest wanted = request(kRules);
  wanted.every_page = true;
  EXPECT_EQ(write_dump(open(source_path_), wanted).lost(), 0U);
  expect_erased_and_nothing_else(*image::open_image(wanted.outputs.front()));
}

// Not in a header, a table, or what a page had room for.
TEST_F(Erasing, LeavesNothingOfTheDataInTheFile) {
  const auto has = [](const std::string& bytes, std::string_view text) {
    return bytes.find(text) != std::string::npos;
  };
  const std::string source = file(source_path_);
  for (const char* secret : {"testhost", "secretd", "secretw"}) ASSERT_TRUE(has(source, secret)) << secret;
  for (const Format format : {Format::kdump, Format::elf}) {
    DumpRequest wanted = request(kRules);
    wanted.format = format;
    wanted.codec = std::nullopt;
    write_dump(open(source_path_), wanted);
    const std::string bytes = file(wanted.outputs.front());
    for (const char* secret : {"testhost", "secretd", "secretw"}) EXPECT_FALSE(has(bytes, secret)) << secret;
    EXPECT_TRUE(has(bytes, "Linux"));
  }
}

TEST_F(Erasing, OfARunningKernelIsDoneAsItsPagesAreCopied) {
  make("segments kcore\n");
  DumpRequest wanted = request("erase init_uts_ns.name.nodename\n");
  wanted.codec = std::nullopt;
  write_dump(open(source_path_), wanted);
  EXPECT_EQ(open(wanted.outputs.front()).evaluate("init_uts_ns.name.nodename").text(), std::string(65, 'X'));
  EXPECT_EQ(file(wanted.outputs.front()).find("testhost"), std::string::npos);
}

TEST_F(Erasing, IsRecordedBehindWhatWasErasedBefore) {
  write_dump(open(source_path_), request("erase init_uts_ns.name.nodename\n"));
  const std::string first = directory_.file("first");
  std::filesystem::rename(directory_.file("dump"), first);
  EXPECT_EQ(eraseinfo(*image::open_image(first)), "erase init_uts_ns.name.nodename size 65\n");

  // A copy in another format keeps it, with rules and without.
  DumpRequest copy = request("");
  copy.erase_rules.reset();
  copy.every_page = true;
  copy.format = Format::elf;
  write_dump(open(first), copy);
  EXPECT_EQ(eraseinfo(*image::open_image(directory_.file("dump"))),
            "erase init_uts_ns.name.nodename size 65\n");

  DumpRequest second = request(
      "for t in init_task.tasks within task_struct:tasks\nerase t.comm\nendfor\n"
      "erase init_task.tasks.next nullify\n");
  for (const Format format : {Format::kdump, Format::elf}) {
    second.format = format;
    write_dump(open(first), second);
    EXPECT_EQ(eraseinfo(*image::open_image(directory_.file("dump"))),
              "erase init_uts_ns.name.nodename size 65\n"
              "for t in init_task.tasks within task_struct:tasks\n"
              "erase t.comm # 2 places, 32 bytes\n"
              "endfor\n"
              "erase init_task.tasks.next nullify\n");
  }
}

TEST_F(Erasing, OfAPageOfZerosMakesItOneOfData) {
  DumpRequest without = request("");
  without.erase_rules.reset();
  const uint64_t zeros = write_dump(open(source_path_), without).zeros;
  for (const Format format : {Format::kdump, Format::elf}) {
    DumpRequest wanted = request("erase (char *)0xffffc90000102000 size 4096\n");
    wanted.format = format;
    EXPECT_EQ(write_dump(open(source_path_), wanted).zeros, zeros - 1);
    EXPECT_EQ(page(*image::open_image(wanted.outputs.front()), 0x1900),
              std::vector<std::byte>(kPageSize, kErasedData));
  }
}

TEST_F(Erasing, OfAPageThatIsLeftOutIsNoError) {
  DumpRequest wanted = request("erase (char *)0xffffc90000103000 size 4096\n");
  wanted.level = 8;
  const DumpResult result = write_dump(open(source_path_), wanted);
  EXPECT_EQ(result.erased_bytes, kPageSize);
  const auto saved = image::open_image(wanted.outputs.front());
  EXPECT_EQ(page(*saved, 0x900), std::nullopt);
  EXPECT_THAT(eraseinfo(*saved), HasSubstr("size 4096"));
}

TEST_F(Erasing, CountsPlacesAndBytes) {
  using Counts = std::pair<uint64_t, uint64_t>;
  // A pointer stands for what it leads to: a text as long as it is, a struct, so many bytes.
  EXPECT_EQ(counts("erase (char *)&init_uts_ns.name.nodename\n"), Counts(1, 8));
  EXPECT_EQ(counts("erase &init_uts_ns.name\n"), Counts(1, 390));
  EXPECT_EQ(counts("erase *&init_uts_ns.name\n"), Counts(1, 390));
  EXPECT_EQ(counts("erase (void *)&init_uts_ns size 7\n"), Counts(1, 7));
  EXPECT_EQ(counts("erase init_task size 2k\n"), Counts(1, 2048));
  EXPECT_EQ(counts("erase init_uts_ns.name size sizeof(struct new_utsname) / 2\n"), Counts(1, 195));
  EXPECT_EQ(counts("erase init_task.tasks.next nullify\n"), Counts(1, 8));
  EXPECT_EQ(counts("erase init_task.signal\n"), Counts(0, 0)) << "it leads nowhere";
  // The same place twice.
  EXPECT_EQ(counts("erase init_task.comm\nerase init_task.comm size 20\n"), Counts(2, 20));
  // Each CPU's.
  EXPECT_EQ(counts("erase runqueues.nr_running\n"), Counts(3, 12));
  EXPECT_EQ(counts("erase runqueues:1.nr_running\n"), Counts(1, 4));
  // Elements.
  EXPECT_EQ(counts("for m in init_uts_ns.name.machine\nerase m\nendfor\n"), Counts(65, 65));
  EXPECT_EQ(counts("for t in container_of(init_task.tasks.prev, struct task_struct, tasks) via real_parent\n"
                   "erase t.comm\nendfor\n"),
            Counts(2, 32));
  EXPECT_EQ(counts("for t in init_task.real_parent via real_parent\nerase t.comm\nendfor\n"), Counts(0, 0));
  EXPECT_EQ(counts("for p in init_pid_ns.idr within pid\nerase p.level\nendfor\n"), Counts(3, 12));
  EXPECT_EQ(
      counts("for p in init_pid_ns.idr within pid\n"
             "for t in p.tasks[0] within struct task_struct : pid_links\nerase t.comm\nendfor\nendfor\n"),
      Counts(3, 48));
  EXPECT_EQ(counts("for b in (struct list_head *)&btf_modules within btf_module:list\n"
                   "erase b.btf.data size b.btf.data_size\nendfor\n")
                .first,
            1U);
  // A name that a loop around it has as well.
  EXPECT_EQ(counts("for t in init_task.tasks within task_struct:tasks\n"
                   "for t in t.signal.thread_head within task_struct:thread_node\nerase t.pid\nendfor\n"
                   "erase t.comm\nendfor\n"),
            Counts(5, 3 * 4 + 2 * 16));
  // Another module's symbols.
  EXPECT_EQ(counts("[vmlinux]\nerase init_task.comm\n[vault]\nerase vault_key size 4\n"), Counts(2, 20));
}

// In makedumpfile's rules a list is named by the pointer to its first entry, here by its head as well.
TEST_F(Erasing, OfAListIsTheSameByItsHeadAndByItsFirstEntry) {
  const auto loop_over = [](const std::string& list) {
    return "for t in " + list + " within task_struct:tasks\nerase t.comm\nendfor\n";
  };
  const Erasure by_head = erasure(loop_over("init_task.tasks"));
  EXPECT_EQ(by_head.places, 2U);
  for (const char* same : {"init_task.tasks.next", "(init_task.tasks).next", "&init_task.tasks",
                           "(&init_task.tasks)->next", "init_task.tasks.prev"}) {
    const Erasure found = erasure(loop_over(same));
    EXPECT_TRUE(std::ranges::equal(found.ranges.all(), by_head.ranges.all())) << same;
  }
}

TEST_F(Erasing, RefusesRulesThatMakeNoSense) {
  const std::map<std::string, std::string> refused = {
      {"erase\n", "rules:1: erase: what is to be erased is missing"},
      {"\n# x\n wipe init_task.comm\n", "rules:3: wipe init_task.comm: expected erase, for"},
      {"erase init_task.comm size\n", "how many bytes is missing"},
      {"erase init_task.comm nullify x\n", "nothing can stand behind nullify"},
      {"erase init_task.comm size 0\n", "size 0 erases nothing"},
      {"erase init_task.comm size 4G\n", "rules:1: erase init_task.comm size 4G: "},
      {"erase init_task.comm 16\n", "rules:1: erase init_task.comm 16: "},
      {"erase init_task.comm size -1\n", "the size -1 is -1"},
      {"erase init_task.comm size 99999999999\n", "are taken for a mistake"},
      {"erase init_task.comm size 18446744073709551615\n", "are taken for a mistake"},
      {"erase init_task.(\n", "rules:1: erase init_task.(: "},
      {"erase \x01\x02\xff\n", "rules:1: erase ???: "},
      {"endfor\n", "there is no loop"},
      {"for t in init_uts_ns.name.machine\nerase t\n",
       "rules:1: for t in init_uts_ns.name.machine: the loop has no end"},
      {"for in init_task.comm\n", "expected in"},
      {"for t.x in init_task.comm\nendfor\n", "expected a name"},
      {"for t init_task.comm\nendfor\n", "expected in"},
      {"for t in init_task.tasks within task_struct:\nendfor\n", "expected STRUCT:MEMBER"},
      {"for t in init_task.tasks within :tasks\nendfor\n", "expected STRUCT:MEMBER"},
      {"for t in init_task via\nendfor\n", "behind via"},
      {"for t in init_task.comm\n[vault]\nendfor\n", "endfor is missing"},
      {"[vault\n", "in brackets"},
      {"[]\n", "in brackets"},
  };
  for (const auto& [text, why] : refused) EXPECT_THAT(refusal(text), HasSubstr(why)) << text;
  std::string deep;
  for (unsigned i = 0; i < 9; ++i) deep += fmt::format("for a{} in init_uts_ns.name.machine\n", i);
  EXPECT_THAT(refusal(deep), HasSubstr("more than 8 deep"));
}

TEST_F(Erasing, RefusesRulesThatCannotBeFollowed) {
  const std::map<std::string, std::string> refused = {
      {"erase init_task.com\n", "rules:1: erase init_task.com: struct task_struct has no member com"},
      {"erase init_tsk\n", "no symbol or enumerator init_tsk"},
      {"erase *(struct nothing *)&init_task\n", "struct nothing"},
      {"erase 5\n", "nowhere in memory"},
      {"erase init_task.comm size no_such\n", "no_such"},
      {"erase init_task.comm nullify\n", "nullify is for pointers"},
      {"erase (void *)&init_task\n", "say it, as in size 64"},
      {"erase (unsigned char *)&init_task\n", "say it, as in size 64"},
      {"erase (char *)8\n", "is not mapped"},
      {"erase (char *)0xffffc90000103ff0 size 32\n", "0xffffc90000104000 is not mapped"},
      {"erase (char *)0xfffffffffffffff0 size 32\n", "is not mapped"},
      {"for t in init_task\nerase t\nendfor\n", "no array"},
      {"for t in init_task.comm within task_struct:tasks\nerase t\nendfor\n", "expected one of list_head"},
      {"for t in init_task.tasks within task_struct:task\nerase t\nendfor\n", "has no member task"},
      {"for t in init_task.tasks within pid\nerase t\nendfor\n", "expected one of xarray"},
      {"for t in init_task.tasks within task_struct:tasks\nerase t.com\nendfor\n", "rules:2: erase t.com: "},
      {"for t in init_task via pid\nerase t.comm\nendfor\n", "no pointer"},
      {"for t in init_uts_ns.name.machine\nendfor\nerase t\n", "no symbol or enumerator t"},
      {"[missing]\nerase vault_key size 4\n", "rules:1: [missing]: no module missing is loaded"},
      {"[vault]\nerase init_task.comm\n", "module vault has no symbol init_task"},
      {"[vault]\nerase vault_key\n", "the type of vault_key is not known"},
  };
  for (const auto& [text, why] : refused) EXPECT_THAT(refusal(text), HasSubstr(why)) << text;
}

TEST_F(Erasing, RefusesWhatCannotBeWalkedToItsEnd) {
  const std::string tasks = "for t in init_task.tasks within task_struct:tasks\nerase t.comm\nendfor\n";
  make("object set task:2.tasks.next=task:1.tasks\n");
  EXPECT_THAT(refusal(tasks),
              AllOf(StartsWith(directory_.file("rules") + ":1: for t in"), HasSubstr("a loop")));
  make("format kdump\nobject missing task:2.tasks\n");
  EXPECT_THAT(refusal(tasks), HasSubstr("cannot be followed"));
  make(
      "object set task:1.real_parent=task:2\nobject set task:2.real_parent=task:3\n"
      "object set task:3.real_parent=task:2\n");
  const std::string chain =
      "for t in container_of(init_task.tasks.next, struct task_struct, tasks) via real_parent\n"
      "erase t.comm\nendfor\n";
  EXPECT_THAT(refusal(chain), HasSubstr("a loop"));
  make(
      "object set task:1.real_parent=task:2\nobject set task:2.real_parent=task:3\n"
      "object set task:3.real_parent=task:1\n");
  EXPECT_EQ(counts(chain).first, 3U) << "it comes back to where it began";
}

TEST_F(Erasing, WritesNothingWhereItIsRefused) {
  make("btf damaged\n");
  DumpRequest wanted = request("erase init_task.comm\n");
  wanted.overwrite = false;
  EXPECT_THAT(test::failure_of<NotFound>([&] { write_dump(open(source_path_), wanted); }),
              HasSubstr("rules:1: erase init_task.comm: the type of init_task is not known"));
  wanted.erase_rules = directory_.file("no_such_rules");
  EXPECT_THAT(test::failure_of<AccessError>([&] { write_dump(open(source_path_), wanted); }),
              HasSubstr("no_such_rules: the rules cannot be read: No such file"));
  wanted.erase_rules = "";
  EXPECT_THAT(test::failure_of<AccessError>([&] { write_dump(open(source_path_), wanted); }),
              HasSubstr("cannot be read"));
  wanted.erase_rules = rules(std::string((size_t{1} << 20) + 1, '\n'));
  EXPECT_THAT(test::failure_of<FormatError>([&] { write_dump(open(source_path_), wanted); }),
              HasSubstr("no file of rules"));
  EXPECT_FALSE(std::filesystem::exists(wanted.outputs.front()));
}

TEST_F(Erasing, SaysWhereNothingIsNamed) {
  const DumpResult result = write_dump(open(source_path_), request("# nothing yet\n"));
  EXPECT_THAT(result.warnings, testing::Contains(HasSubstr("name nothing that could be erased")));
  EXPECT_EQ(eraseinfo(*image::open_image(directory_.file("dump"))), "");
}

// Rules that are damaged are read, or refused with their line.
TEST(EraseRules, AreReadOrRefusedWhateverTheySay) {
  const std::string whole = kRules;
  unsigned refused = 0;
  const auto read = [&](const std::string& text) {
    try {
      parse_erase_rules(text, "rules");
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), StartsWith("rules:"));
      ++refused;
    }
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    read(whole.substr(0, at));
    for (const char damage : {'\0', '\n', '(', ':', '.', '\'', '#', '\xff'}) {
      std::string text = whole;
      text[at] = damage;
      read(text);
    }
  }
  EXPECT_GT(refused, whole.size());
}

// Without types places are named by their size.
TEST_F(Erasing, NeedsNoTypesForWhatHasASize) {
  make("btf damaged\n");
  EXPECT_EQ(counts("erase init_task size 64\n"), std::make_pair(uint64_t{1}, uint64_t{64}));
}

}  // namespace
}  // namespace kvista::dump
