// Described kernels whose dumps are looked at page by page.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "dump/writer.h"
#include "image/open.h"
#include "images/image.h"
#include "images/temporary.h"
#include "kernel/session.h"

namespace kvista::dump {

using image::PageState;

inline constexpr uint64_t kPageSize = 4096;
/// Every class; the kernel image is at 32 MiB.
inline constexpr const char* kDescription =
    "pages 0x400-0x7ff class=buddy order=10\n"
    "pages 0x800-0xbff class=anon\n"
    "pages 0xc00-0xcff class=lru\n"
    "pages 0xd00-0xdff class=lru private\n"
    "pages 0xe00-0xe0f class=hwpoison\n"
    "pages 0xe10-0xe1f class=offline\n"
    "pages 0xf00-0xfff class=slab order=3\n"
    "contents pattern 0x800000-0x1800000\n";

class Dumps : public testing::Test {
 protected:
  Dumps() { make(kDescription); }

  void make(const std::string& description) {
    described_.emplace(description);
    described_->write(source_path_);
  }

  static kernel::Session open(const std::string& path) { return {image::open_image(path), {}}; }

  DumpRequest request(unsigned level) const {
    DumpRequest request;
    request.outputs = {directory_.file("dump")};
    request.overwrite = true;
    request.level = level;
    request.codec = codec::Codec::zstd;
    request.threads = 2;
    return request;
  }

  DumpResult dump(const DumpRequest& wanted) const { return write_dump(open(source_path_), wanted); }

  uint64_t page_size() const { return described_->kernel().page_size(); }

  // What the page of frame `pfn` is in the image, and its bytes.
  std::pair<PageState, std::vector<std::byte>> page(const image::MemoryImage& image, uint64_t pfn) const {
    std::vector<std::byte> bytes(page_size());
    const auto result = image.read(PhysAddr{pfn * page_size()}, bytes);
    bytes.resize(result.done == page_size() ? page_size() : 0);
    return {result.state, bytes};
  }

  // By what the description says of the frame, and the meaning of the level's bits.
  bool should_hold(uint64_t pfn, unsigned level) const {
    const test::PageRun run = described_->class_of(pfn);
    if (run.kind == "hwpoison" || run.kind == "offline" || run.kind == "unaccepted") return false;
    unsigned excluding = 0;
    if (run.kind == "buddy" || run.kind == "free_pcp") excluding = pages::kLevelFree;
    if (run.kind == "anon" || run.kind == "hugetlb") excluding = pages::kLevelUser;
    if (run.kind == "lru")
      excluding = run.flags.contains("private") ? pages::kLevelCachePrivate
                                                : pages::kLevelCache | pages::kLevelCachePrivate;
    return (excluding & level) == 0;
  }

  // Each frame of the source is in the dump, with the same bytes, or left out by the level, or one of
  // `left_out`.
  void expect_right_pages(const std::string& path, unsigned level,
                          const std::set<uint64_t>& left_out = {}) const {
    const auto source = image::open_image(source_path_);
    const auto saved = image::open_image(path);
    if (left_out.empty()) {
      EXPECT_THAT(saved->warnings(), testing::IsEmpty());
    }
    uint64_t compared = 0;
    for (const PhysRange& range : source->ram())
      for (uint64_t pfn = range.start.value / page_size(); pfn < range.end().value / page_size(); ++pfn) {
        const auto [state, bytes] = page(*saved, pfn);
        if (!should_hold(pfn, level) || left_out.contains(pfn)) {
          ASSERT_EQ(state, PageState::excluded) << "frame " << std::hex << pfn;
          continue;
        }
        ASSERT_EQ(state, PageState::present) << "frame " << std::hex << pfn;
        ASSERT_EQ(bytes, page(*source, pfn).second) << "frame " << std::hex << pfn;
        ++compared;
      }
    EXPECT_GT(compared * page_size(), uint64_t{20} << 20);
  }

  test::TemporaryDirectory directory_;
  std::string source_path_ = directory_.file("vmcore");
  std::optional<test::TestImage> described_;
};

/// Another image, of which something is changed.
class LayeredImage : public image::MemoryImage {
 public:
  explicit LayeredImage(std::unique_ptr<image::MemoryImage> whole) : whole_(std::move(whole)) {
    traits_ = whole_->traits();
    ram_.assign(whole_->ram().begin(), whole_->ram().end());
    segments_.assign(whole_->segments().begin(), whole_->segments().end());
    notes_.assign(whole_->notes().begin(), whole_->notes().end());
  }
  std::vector<std::byte> read_note(const image::Note& note, uint64_t limit) const override {
    return whole_->read_note(note, limit);
  }

 protected:
  const image::MemoryImage& whole() const { return *whole_; }

 private:
  std::unique_ptr<image::MemoryImage> whole_;
};

/// Some of its pages cannot be read.
class TornImage : public LayeredImage {
 public:
  TornImage(std::unique_ptr<image::MemoryImage> whole, std::set<uint64_t> torn)
      : LayeredImage(std::move(whole)), torn_(std::move(torn)) {}
  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const PhysAddr at = address + done;
      if (torn_.contains(at.value / kPageSize)) return {done, PageState::unreadable};
      const size_t size = std::min<size_t>(out.size() - done, kPageSize - at.value % kPageSize);
      const auto result = whole().read(at, out.subspan(done, size));
      done += result.done;
      if (result.state != PageState::present) return {done, result.state};
    }
    return {done, PageState::present};
  }

 private:
  std::set<uint64_t> torn_;
};

}  // namespace kvista::dump
