// Dumps of described kernels: what is in them, page by page, and what is said of what is not.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "codec/codec.h"
#include "dump/output.h"
#include "dump/writer.h"
#include "image/open.h"
#include "kernel/session.h"
#include "unit/dump_fixture.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using image::PageState;
using pages::PageClass;
using testing::HasSubstr;

TEST_F(Dumps, HoldEveryPageThatTheLevelKeeps) {
  for (const unsigned level : {0U, 1U, 2U, 4U, 8U, 16U, 31U}) {
    SCOPED_TRACE(level);
    const DumpResult result = dump(request(level));
    EXPECT_EQ(result.failure, "");
    EXPECT_EQ(result.lost(), 0U);
    expect_right_pages(directory_.file("dump"), level);
  }
}

TEST_F(Dumps, AreTheSameWithEveryCodecAndFormatAndNumberOfThreads) {
  for (const auto codec :
       {std::optional<codec::Codec>(), std::optional(codec::Codec::zlib), std::optional(codec::Codec::lzo),
        std::optional(codec::Codec::snappy), std::optional(codec::Codec::zstd)}) {
    if (codec && !codec::is_available(*codec)) continue;
    for (const bool flattened : {false, true}) {
      for (const unsigned threads : {1U, 3U}) {
        SCOPED_TRACE(testing::Message() << (codec ? codec::describe(*codec) : "none") << ' '
                                        << (flattened ? "flattened " : "") << threads);
        DumpRequest wanted = request(31);
        wanted.codec = codec;
        wanted.flattened = flattened;
        wanted.threads = threads;
        EXPECT_EQ(dump(wanted).lost(), 0U);
        expect_right_pages(wanted.outputs.front(), 31);
      }
    }
  }
}

// The header of a kdump-compressed file tells the machine by what struct utsname says; an ELF file has a
// number. LiME's and raw memory have neither: it is by the kernel that it is known.
TEST_F(Dumps, TellWhichMachineItWas) {
  for (const char* format : {"", "note place both\nformat lime\n", "note place both\nformat raw\n"}) {
    make(std::string(kDescription) + format);
    if (std::string_view(format).ends_with("raw\n")) source_path_ += "@0";
    for (const bool is_elf : {false, true}) {
      SCOPED_TRACE(testing::Message() << format << is_elf);
      DumpRequest wanted = request(31);
      wanted.format = is_elf ? Format::elf : Format::kdump;
      if (is_elf) wanted.codec.reset();
      dump(wanted);
      const auto saved = image::open_image(wanted.outputs.front());
      EXPECT_EQ(saved->traits().elf_machine, 62);
      EXPECT_EQ(saved->traits().byte_order, ByteOrder::little);
    }
  }
}

TEST_F(Dumps, OneThreadAndManyWriteTheSameBytes) {
  const auto bytes_with = [&](unsigned threads) {
    DumpRequest wanted = request(0);
    wanted.threads = threads;
    dump(wanted);
    std::ifstream in(wanted.outputs.front(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(bytes_with(1), bytes_with(4));
}

TEST_F(Dumps, OfDumpsLeaveOutMore) {
  DumpRequest first = request(16);
  dump(first);
  const std::string between = directory_.file("between");
  std::filesystem::rename(first.outputs.front(), between);
  const DumpResult second = write_dump(open(between), request(9));
  EXPECT_EQ(second.level, 25U);
  expect_right_pages(directory_.file("dump"), 25);
}

TEST_F(Dumps, KeepTheNotesByteForByte) {
  dump(request(31));
  const auto source = image::open_image(source_path_);
  const auto saved = image::open_image(directory_.file("dump"));
  const auto contents = [](const image::MemoryImage& image) {
    std::multimap<std::string, std::vector<std::byte>> all;
    for (const image::Note& note : image.notes()) all.emplace(note.name, image.read_note(note, note.size));
    return all;
  };
  EXPECT_EQ(contents(*source), contents(*saved));
  EXPECT_GE(saved->notes().size(), 2U);
}

TEST_F(Dumps, TellWhatIsInThem) {
  const DumpResult result = dump(request(31));
  const auto& anon = result.classes.at(static_cast<size_t>(PageClass::user));
  EXPECT_GE(anon.frames, 0x400U);
  EXPECT_EQ(anon.kept, 0U);
  EXPECT_EQ(result.classes.at(static_cast<size_t>(PageClass::hwpoison)).kept, 0U);
  EXPECT_EQ(result.written, result.planned);
  uint64_t kept = 0;
  uint64_t frames = 0;
  for (const ClassCount& count : result.classes) {
    kept += count.kept;
    frames += count.frames;
  }
  EXPECT_EQ(kept, result.planned);
  EXPECT_GE(frames, result.frames);
  EXPECT_EQ(result.bytes, std::filesystem::file_size(directory_.file("dump")));
}

// makedumpfile drops such pages (its bug 21).
TEST_F(Dumps, KeepTheKernelImageWhateverItsStructPagesSay) {
  make(std::string(kDescription) + "pages 0x2100-0x2103 class=lru\n");
  const DumpResult result = dump(request(31));
  const auto saved = image::open_image(directory_.file("dump"));
  EXPECT_EQ(result.protected_frames, 4U);
  EXPECT_EQ(page(*saved, 0x2101).first, PageState::present);
  EXPECT_EQ(page(*saved, 0xc00).first, PageState::excluded);
}

TEST_F(Dumps, OfTornImagesSayWhatIsLost) {
  std::filesystem::resize_file(source_path_, std::filesystem::file_size(source_path_) - 100 * kPageSize);
  const DumpResult result = dump(request(0));
  EXPECT_GT(result.missing.at(static_cast<size_t>(PageState::lost)), 90U);
  EXPECT_EQ(result.lost(), result.missing.at(static_cast<size_t>(PageState::lost)));
  for (const bool flattened : {false, true}) {
    DumpRequest wanted = request(0);
    wanted.flattened = flattened;
    dump(wanted);
    const auto saved = image::open_image(wanted.outputs.front());
    const auto last = saved->ram().back().end().value / kPageSize - 1;
    EXPECT_NE(page(*saved, last).first, PageState::present);
    EXPECT_NE(page(*saved, last).first, PageState::excluded);
  }
}

TEST_F(Dumps, AreForTheirOwnerAlone) {
  dump(request(31));
  struct stat status {};
  ASSERT_EQ(stat(directory_.file("dump").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(Dumps, DoNotOverwriteUnasked) {
  directory_.write("dump", "precious");
  DumpRequest wanted = request(31);
  wanted.overwrite = false;
  EXPECT_THAT(test::failure_of<AccessError>([&] { dump(wanted); }), HasSubstr("-f overwrites it"));
  EXPECT_EQ(std::filesystem::file_size(directory_.file("dump")), 8U);
}

// Zeros behind p_filesz, left-out pages without a segment, and where segments are scarce with one.
TEST_F(Dumps, AreElfCoreFiles) {
  for (const bool flattened : {false, true}) {
    for (const unsigned level : {0U, 1U, 2U, 8U, 31U}) {
      for (const uint64_t segments : {60000U, 40U, 9U}) {
        SCOPED_TRACE(testing::Message() << level << ' ' << segments << ' ' << flattened);
        DumpRequest wanted = request(level);
        wanted.format = Format::elf;
        wanted.flattened = flattened;
        wanted.max_segments = segments;
        const DumpResult result = dump(wanted);
        EXPECT_EQ(result.lost(), 0U);
        expect_right_pages(wanted.outputs.front(), level);
        const auto saved = image::open_image(wanted.outputs.front());
        EXPECT_LE(saved->segments().size(), segments);
        EXPECT_EQ(saved->traits().dump_level, level);
      }
    }
  }
}

TEST_F(Dumps, OfElfJoinWhatIsLeftOutWhereSegmentsAreScarce) {
  std::string holes = kDescription;
  for (unsigned pfn = 0x1800; pfn < 0x1900; pfn += 2)
    holes += fmt::format("pages {0:#x}-{0:#x} class=anon\n", pfn);
  make(holes);
  DumpRequest wanted = request(8);
  wanted.format = Format::elf;
  EXPECT_EQ(dump(wanted).joined, 0U);
  wanted.max_segments = 20;
  EXPECT_GE(dump(wanted).joined, 100U);
  expect_right_pages(wanted.outputs.front(), 8);
  wanted.max_segments = 1;
  EXPECT_THAT(test::failure_of<Unsupported>([&] { dump(wanted); }), HasSubstr("--max-segments"));
}

TEST_F(Dumps, OfElfAreConvertedBack) {
  DumpRequest wanted = request(8);
  wanted.format = Format::elf;
  wanted.max_segments = 20;
  dump(wanted);
  const std::string between = directory_.file("between");
  std::filesystem::rename(wanted.outputs.front(), between);
  DumpRequest back = request(0);
  back.every_page = true;
  const DumpResult result = write_dump(open(between), back);
  EXPECT_EQ(result.lost(), 0U);
  EXPECT_EQ(result.level, 8U);
  expect_right_pages(back.outputs.front(), 8);
}

TEST_F(Dumps, AreSplitAndPutTogether) {
  for (const size_t count : {2U, 3U, 5U}) {
    SCOPED_TRACE(count);
    DumpRequest wanted = request(16);
    wanted.outputs.clear();
    for (size_t i = 0; i < count; ++i) wanted.outputs.push_back(directory_.file(fmt::format("part{}", i)));
    const DumpResult result = dump(wanted);
    EXPECT_EQ(result.lost(), 0U);
    const uint64_t whole = std::filesystem::file_size(wanted.outputs.front());
    for (const std::string& part : wanted.outputs)
      EXPECT_LT(std::filesystem::file_size(part), whole * 2) << "parts are of about the same size";
    DumpRequest together = request(0);
    together.every_page = true;
    const kernel::Session parts(image::open_image_set(wanted.outputs), {});
    EXPECT_EQ(write_dump(parts, together).lost(), 0U);
    expect_right_pages(together.outputs.front(), 16);
  }
}

// What the image holds needs no word of the kernel.
TEST_F(Dumps, OfEveryPageNeedNoMemoryMap) {
  make(std::string(kDescription) + "note omit SYMBOL(mem_section)\n");
  DumpRequest wanted = request(0);
  wanted.every_page = true;
  EXPECT_EQ(dump(wanted).lost(), 0U);
}

// A limit on the size of files stands for a full disk: at many sizes, so that each stage of the writing is
// hit.
class FullDisk : public Dumps {
 protected:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
  }
  ~FullDisk() override { setrlimit(RLIMIT_FSIZE, &before_); }
  void limit(uint64_t bytes) const {
    const rlimit limit{bytes, before_.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  void no_limit() const { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

class FullDiskOf : public FullDisk, public testing::WithParamInterface<Format> {};
INSTANTIATE_TEST_SUITE_P(Formats, FullDiskOf, testing::Values(Format::kdump, Format::elf));

TEST_P(FullDiskOf, LeavesADumpThatSaysWhatItLacks) {
  DumpRequest wanted = request(0);
  wanted.codec = std::nullopt;
  wanted.format = GetParam();
  const uint64_t whole = dump(wanted).bytes;
  // Among the tables, where the room for descriptors ends, and among the pages.
  std::vector<uint64_t> limits = {100, 5000, 10000, 20000, 100000, 300000};
  for (unsigned step = 1; step < 20; ++step) limits.push_back(whole * step / 20);
  unsigned remains = 0;
  unsigned without_room = 0;
  for (const uint64_t bytes : limits) {
    SCOPED_TRACE(bytes);
    std::optional<DumpResult> result;
    limit(bytes);
    const std::string failure = test::failure_of<OutputFailed>([&] { result = dump(wanted); });
    no_limit();
    if (!result) {
      EXPECT_THAT(failure, HasSubstr("File too large"));
      continue;
    }
    EXPECT_THAT(result->failure, HasSubstr("File too large"));
    EXPECT_LT(result->written, result->planned);
    if (result->bytes == 0) {
      ++without_room;
      EXPECT_EQ(result->written, 0U);
      continue;
    }
    ++remains;
    const auto saved = image::open_image(wanted.outputs.front());
    EXPECT_THAT(saved->warnings(), testing::Contains(HasSubstr("incomplete")));
    uint64_t present = 0;
    const auto source = image::open_image(source_path_);
    for (const PhysRange& range : saved->ram())
      for (uint64_t pfn = range.start.value / kPageSize; pfn < range.end().value / kPageSize; ++pfn) {
        const auto [state, bytes_of_page] = page(*saved, pfn);
        if (state != PageState::present) continue;
        ++present;
        ASSERT_EQ(bytes_of_page, page(*source, pfn).second);
      }
    EXPECT_EQ(present, result->written);
  }
  EXPECT_GE(remains, 15U);
  // An ELF core file takes no room for tables beforehand.
  EXPECT_GE(without_room, GetParam() == Format::kdump ? 1U : 0U);
}

// A number that a child's process counts and its parent reads.
class SharedCounter {
 public:
  SharedCounter()
      : memory_(mmap(nullptr, sizeof(std::atomic<unsigned>), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    new (memory_) std::atomic<unsigned>(0);
  }
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;
  ~SharedCounter() { munmap(memory_, sizeof(std::atomic<unsigned>)); }
  std::atomic<unsigned>& operator*() const { return *static_cast<std::atomic<unsigned>*>(memory_); }

 private:
  void* memory_;
};

// A writer that is killed at any time. It says in memory that both share how far it is, so that the times
// are spread over its work however fast the machine is.
class KilledWriter : public Dumps, public testing::WithParamInterface<std::pair<Format, bool>> {
 protected:
  // Whether the writer was done before it was killed: some microseconds after it told its progress `steps`
  // times.
  bool write_and_kill(DumpRequest wanted, unsigned steps, unsigned after) const {
    const SharedCounter told;
    wanted.progress = [&](uint64_t, uint64_t) {
      ++*told;
      usleep(kPause);
    };
    const pid_t writer = fork();
    if (writer == 0) {
      dump(wanted);
      _exit(0);
    }
    int status = 0;
    for (; *told < steps; usleep(kPause / 10))
      if (waitpid(writer, &status, WNOHANG) == writer) return WIFEXITED(status);
    usleep(after);
    kill(writer, SIGKILL);
    EXPECT_EQ(waitpid(writer, &status, 0), writer);
    return WIFEXITED(status);
  }

  static constexpr unsigned kPause = 1000;  // microseconds

  // Pages that can be read, each of which is right, and those that are lost.
  struct Remains {
    uint64_t present = 0;
    uint64_t lost = 0;
  };
  Remains look_at(const image::MemoryImage& saved) const {
    const auto source = image::open_image(source_path_);
    Remains found;
    for (const PhysRange& range : source->ram())
      for (uint64_t pfn = range.start.value / kPageSize; pfn < range.end().value / kPageSize; ++pfn) {
        const auto [state, bytes] = page(saved, pfn);
        if (state == PageState::present) {
          ++found.present;
          EXPECT_EQ(bytes, page(*source, pfn).second) << "frame " << std::hex << pfn;
        } else if (state != PageState::excluded) {
          ++found.lost;
        }
      }
    return found;
  }
};
INSTANTIATE_TEST_SUITE_P(Formats, KilledWriter,
                         testing::Values(std::pair(Format::kdump, false), std::pair(Format::kdump, true),
                                         std::pair(Format::elf, false)));

TEST_P(KilledWriter, LeavesADumpOfWhatItHadWritten) {
  constexpr unsigned kRounds = 20;
  DumpRequest wanted = request(31);
  wanted.codec = std::nullopt;
  std::tie(wanted.format, wanted.flattened) = GetParam();
  wanted.threads = 1;
  unsigned steps = 0;
  wanted.progress = [&](uint64_t, uint64_t) { ++steps; };
  const uint64_t planned = dump(wanted).planned;
  ASSERT_GT(steps, 10U);
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::minstd_rand random(seed);
  unsigned partial = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    std::filesystem::remove(wanted.outputs.front());
    const bool done = write_and_kill(wanted, random() % (steps + 1), random() % kPause);
    std::unique_ptr<image::MemoryImage> saved;
    // Without its tables there is nothing to open.
    const std::string failure =
        test::failure_of<Error>([&] { saved = image::open_image(wanted.outputs.front()); });
    if (!saved) {
      EXPECT_FALSE(done) << failure;
      continue;
    }
    const Remains found = look_at(*saved);
    if (done) {
      EXPECT_EQ(found.present, planned);
    }
    if (found.present == 0) continue;
    EXPECT_EQ(found.present + found.lost, planned);
    partial += found.lost > 0 ? 1 : 0;
  }
  EXPECT_GE(partial, 3U);
}

class UnreadablePages : public Dumps, public testing::WithParamInterface<std::pair<Format, bool>> {};
INSTANTIATE_TEST_SUITE_P(Formats, UnreadablePages,
                         testing::Values(std::pair(Format::kdump, false), std::pair(Format::kdump, true),
                                         std::pair(Format::elf, false), std::pair(Format::elf, true)));

TEST_P(UnreadablePages, AreLostAndNoOtherIs) {
  constexpr unsigned kRounds = 20;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::minstd_rand random(seed);
  for (unsigned round = 0; round < kRounds; ++round) {
    DumpRequest wanted = request(0);
    std::tie(wanted.format, wanted.flattened) = GetParam();
    wanted.max_segments = round % 2 == 0 ? 60000 : 12;
    std::set<uint64_t> torn;
    // Frames of user data and cache, so that nothing that the writer needs is among them.
    for (unsigned i = 0; i <= random() % 100; ++i) torn.insert(0x800 + random() % 0x500);
    const kernel::Session session(std::make_unique<TornImage>(image::open_image(source_path_), torn), {});
    const DumpResult result = write_dump(session, wanted);
    EXPECT_EQ(result.lost(), torn.size());
    EXPECT_EQ(result.missing.at(static_cast<size_t>(PageState::unreadable)), torn.size());
    const auto saved = image::open_image(wanted.outputs.front());
    const auto source = image::open_image(source_path_);
    for (uint64_t pfn = 0x780; pfn < 0xd80; ++pfn) {
      const auto [state, bytes] = page(*saved, pfn);
      if (torn.contains(pfn)) {
        EXPECT_EQ(state, PageState::lost) << "frame " << std::hex << pfn;
      } else {
        EXPECT_EQ(bytes, page(*source, pfn).second) << "frame " << std::hex << pfn;
      }
    }
  }
}

// What a section has room for can be more than the bitmaps, which end with memory.
TEST_F(Dumps, OfLargeSectionsEndWhereMemoryDoes) {
  make(std::string(kDescription) + "mem_section value bits=30\n");
  EXPECT_EQ(dump(request(31)).lost(), 0U);
  expect_right_pages(directory_.file("dump"), 31);
}

}  // namespace
}  // namespace kvista::dump
