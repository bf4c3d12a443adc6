// A described kernel in memory, in which tests of walkers build structures and damage them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "image/memory_image.h"
#include "images/kernel.h"
#include "images/kernel_types.h"
#include "images/temporary.h"
#include "kernel/session.h"

namespace kvista::test {

/// Shows a kernel's memory, but for pages that are left out, as a dump of level 31 does.
class KernelImage final : public image::MemoryImage {
 public:
  KernelImage(const Kernel& kernel, const std::set<uint64_t>& left_out)
      : memory_(kernel.memory()), left_out_(left_out) {
    for (const Range& range : kernel.description().ram)
      ram_.push_back({PhysAddr{range.start}, range.end - range.start});
    traits_.word_size = 8;
    traits_.dump_level = 31;
  }

  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    for (size_t done = 0; done < out.size();) {
      const uint64_t at = address.value + done;
      const size_t size = std::min<size_t>(out.size() - done, kPage - at % kPage);
      if (left_out_.contains(at / kPage)) return {done, image::PageState::excluded};
      const bool is_ram = std::any_of(ram_.begin(), ram_.end(),
                                      [&](const PhysRange& range) { return range.contains(PhysAddr{at}); });
      if (!is_ram) return {done, image::PageState::beyond};
      memory_.read(at, out.subspan(done, size));
      done += size;
    }
    return {out.size(), image::PageState::present};
  }
  std::vector<std::byte> read_note(const image::Note& /*note*/, uint64_t /*limit*/) const override {
    return {};
  }

 private:
  const PhysicalMemory& memory_;
  const std::set<uint64_t>& left_out_;
};

class WalkMemory : public testing::Test {
 protected:
  /// `more` is added to the kernel's description.
  explicit WalkMemory(const std::string& more = "")
      : kernel_(parse_description("machine x86_64 levels=4\nbtf\ntask pid=1\n" + more)),
        next_(kernel_.allocate(kArena)),
        note_(directory_.write("note", note_text(kernel_, {}))) {}

  /// Room for an object, of zeros. Returns its virtual address.
  uint64_t make(uint64_t size, uint64_t alignment = 256) {
    next_ = (next_ + alignment - 1) / alignment * alignment;
    return kernel_.direct(std::exchange(next_, next_ + size));
  }
  uint64_t make_page() { return make(kPage, kPage); }
  void put(uint64_t virt, uint64_t value, unsigned size = 8) {
    for (unsigned i = 0; i < size; ++i)
      kernel_.memory().put8(virt - kernel_.page_offset() + i, static_cast<uint8_t>(value >> (8 * i)));
  }
  uint64_t get(uint64_t virt) { return kernel_.memory().get64(virt - kernel_.page_offset()); }
  /// The page is not in the image.
  void leave_out(uint64_t virt) { left_out_.insert((virt - kernel_.page_offset()) / kPage); }
  /// The kernel as it is now: what was read is kept.
  const kernel::Session& look() {
    machine::Options options;
    options.vmcoreinfo_file = note_;
    session_ = std::make_unique<kernel::Session>(std::make_unique<KernelImage>(kernel_, left_out_), options);
    return *session_;
  }
  /// A new seed each, which a failure shows.
  template <typename Test>
  void with_seeds(unsigned count, Test test) {
    for (unsigned seed = 1; seed <= count; ++seed) {
      SCOPED_TRACE(fmt::format("seed {}", seed));
      random_.seed(seed);
      left_out_.clear();
      test();
    }
  }
  uint64_t below(uint64_t end) { return std::uniform_int_distribution<uint64_t>(0, end - 1)(random_); }
  Value at(std::string_view type, uint64_t virt, const char* name = "it") {
    return session_->object(session_->types().resolve(type), VirtAddr{virt}, name);
  }

  static constexpr uint64_t kArena = uint64_t{16} << 20;
  TemporaryDirectory directory_;
  Kernel kernel_;
  std::set<uint64_t> left_out_;
  uint64_t next_;
  std::string note_;
  std::unique_ptr<kernel::Session> session_;
  std::mt19937_64 random_;
};

inline std::vector<uint64_t> addresses_of(const Walked& walked) {
  std::vector<uint64_t> addresses;
  for (const Value& item : walked.items) addresses.push_back(item.address()->value);
  return addresses;
}

}  // namespace kvista::test
