// The tables of kvista's own ELF core files, damaged.
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <random>

#include "base/endian.h"
#include "image/own_note.h"
#include "unit/dump_fixture.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using testing::Contains;
using testing::HasSubstr;

// Words of the note's descriptor.
enum Word : unsigned { kVersion, kLevel, kPageBytes, kMemory, kMemorySize, kMissing, kMissingSize, kWords };

/// A dump in which left-out pages are joined to others, so that only its tables tell them from zeros.
class DamagedTables : public Dumps {
 protected:
  DamagedTables() {
    std::string description = kDescription;
    for (unsigned pfn = 0x1800; pfn < 0x1900; pfn += 2)
      description += fmt::format("pages {0:#x}-{0:#x} class=anon\n", pfn);
    make(description);
    DumpRequest wanted = request(8);
    wanted.format = Format::elf;
    wanted.max_segments = 20;
    dump(wanted);
    std::ifstream in(wanted.outputs.front(), std::ios::binary);
    whole_.assign(std::istreambuf_iterator<char>(in), {});
    constexpr size_t kHead = 12 + 8;  // of the note: three words of 4 bytes, and the name
    note_ = whole_.find("KVISTA") - 12 + kHead;
  }

  uint64_t word(uint64_t which) const { return read_at(note_ + which * 8); }
  uint64_t read_at(size_t at) const {
    return load<uint64_t>(reinterpret_cast<const std::byte*>(&whole_.at(at)), ByteOrder::little);
  }
  void set(size_t at, uint64_t value) {
    store(reinterpret_cast<std::byte*>(&whole_.at(at)), value, ByteOrder::little);
  }
  std::unique_ptr<image::MemoryImage> opened() const {
    directory_.write("damaged", whole_);
    return image::open_image(directory_.file("damaged"));
  }

  std::string whole_;
  size_t note_ = 0;  // where the descriptor is
};

TEST_F(DamagedTables, AreWhatTheDocumentSays) {
  EXPECT_EQ(word(kVersion), 1U);
  EXPECT_EQ(word(kLevel), 8U);
  EXPECT_EQ(word(kPageBytes), kPageSize);
  EXPECT_GE(word(kMissingSize), 100 * image::kMissingRangeSize);
  EXPECT_THAT(opened()->warnings(), testing::IsEmpty());
}

TEST_F(DamagedTables, AreUsedUpToTheDamage) {
  set(word(kMissing) + image::kMissingRangeSize, 0);  // the second entry is before the first
  EXPECT_THAT(opened()->warnings(),
              Contains(HasSubstr(fmt::format("is damaged: 1 of its {} entries are used",
                                             word(kMissingSize) / image::kMissingRangeSize))));
}

TEST_F(DamagedTables, MayBeBehindTheEnd) {
  set(note_ + uint64_t{kMissing} * 8, uint64_t{1} << 62);
  EXPECT_THAT(opened()->warnings(), Contains(HasSubstr("is damaged: 0 of its")));
  set(note_ + uint64_t{kMemorySize} * 8, UINT64_MAX);
  EXPECT_THAT(opened()->warnings(), Contains(HasSubstr("the table of memory at")));
}

// Whatever they say: the image opens or says why not, and each of its pages can be asked for.
TEST_F(DamagedTables, NeverLeadAstray) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::minstd_rand random(seed);
  const std::string sound = whole_;
  unsigned opens = 0;
  for (unsigned round = 0; round < 60; ++round) {
    whole_ = sound;
    for (unsigned i = 0; i <= random() % 4; ++i) {
      const bool in_note = random() % 2 == 0;
      const size_t at = in_note ? note_ + random() % (uint64_t{kWords} * 8)
                                : word(kMissing) % sound.size() +
                                      random() % std::max<uint64_t>(1, word(kMissingSize) % 4096);
      whole_.at(std::min(at, whole_.size() - 1)) = static_cast<char>(random());
    }
    std::unique_ptr<image::MemoryImage> damaged;
    test::failure_of<Error>([&] { damaged = opened(); });
    if (!damaged) continue;
    ++opens;
    uint64_t asked = 0;
    for (const PhysRange& range : damaged->ram())
      for (uint64_t pfn = range.start.value / kPageSize;
           pfn < range.end().value / kPageSize && asked < 20'000; ++pfn, ++asked)
        page(*damaged, pfn);
  }
  EXPECT_GE(opens, 20U);
}

}  // namespace
}  // namespace kvista::dump
