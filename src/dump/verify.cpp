#include "dump/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "base/bits.h"
#include "base/error.h"
#include "base/in_order.h"
#include "base/parallel.h"
#include "image/kdump_image.h"
#include "vmcoreinfo/locate.h"

namespace kvista::dump {
namespace {

using image::PageState;

constexpr uint64_t kBlockFrames = 8192;
// So many bytes are read at once.
constexpr uint64_t kMostAtOnce = uint64_t{256} << 10;
constexpr unsigned kUsualPageShift = 12;

// What came of the frames of one block, in order.
struct Run {
  PhysRange where;
  uint64_t frames = 0;
  PageState state = PageState::present;
};
using Runs = std::vector<Run>;

class Reader {
 public:
  Reader(const image::MemoryImage& image, unsigned page_shift)
      : image_(image), page_shift_(page_shift), buffer_(kMostAtOnce) {}

  // The frames from `first` on that are memory.
  Runs read(Pfn first) {
    held_.assign(kBlockFrames / 8, std::byte{0xff});
    image_.clear_missing(first, page_shift_, held_);
    Runs runs;
    const PhysRange block{phys_of(first, page_shift_), kBlockFrames << page_shift_};
    const auto ram = image_.ram();
    auto range = std::partition_point(ram.begin(), ram.end(),
                                      [&](const PhysRange& r) { return r.end() <= block.start; });
    for (; range != ram.end() && range->start < block.end(); ++range)
      read_range(block, std::max(range->start, block.start), std::min(range->end(), block.end()), runs);
    return runs;
  }

 private:
  void read_range(const PhysRange& block, PhysAddr from, PhysAddr to, Runs& runs) {
    for (PhysAddr at = from; at < to;) {
      const uint64_t frame = (at - block.start) >> page_shift_;
      const PhysAddr page_end = std::min(to, block.start + ((frame + 1) << page_shift_));
      if (!is_held(frame)) {
        add({{at, page_end - at}, 1, image_.read(at, std::span(page_).first(1)).state}, runs);
        at = page_end;
        continue;
      }
      uint64_t count = 1;
      while (count < kMostAtOnce >> page_shift_ && frame + count < kBlockFrames && is_held(frame + count))
        ++count;
      at = read_pages(at, std::min(to, block.start + ((frame + count) << page_shift_)), runs);
    }
  }

  // As many pages as are there, and the one behind them that is not; gives where to go on.
  PhysAddr read_pages(PhysAddr from, PhysAddr to, Runs& runs) {
    const uint64_t page_size = uint64_t{1} << page_shift_;
    const auto result = image_.read(from, std::span(buffer_).first(to - from));
    // A page of which only a part is there counts as the part that is not.
    const PhysAddr good = result.done == to - from
                              ? to
                              : std::max(from, PhysAddr{(from.value + result.done) & ~(page_size - 1)});
    if (good > from)
      add({{from, good - from},
           pfn_of(good + (page_size - 1), page_shift_) - pfn_of(from, page_shift_),
           PageState::present},
          runs);
    if (good == to) return to;
    const PhysAddr next = std::min(to, phys_of(pfn_of(good, page_shift_) + 1, page_shift_));
    // "Present" would mean that nothing was read, and nothing said why.
    const bool silent = result.state == PageState::present;
    add({{good, next - good}, 1, silent ? PageState::unreadable : result.state}, runs);
    return next;
  }

  bool is_held(uint64_t frame) const {
    return (std::to_integer<unsigned>(held_[frame / 8]) >> (frame % 8) & 1U) != 0;
  }

  static void add(const Run& run, Runs& runs) {
    if (!runs.empty() && runs.back().state == run.state && runs.back().where.end() == run.where.start) {
      runs.back().where.size += run.where.size;
      runs.back().frames += run.frames;
    } else {
      runs.push_back(run);
    }
  }

  const image::MemoryImage& image_;
  unsigned page_shift_;
  std::vector<std::byte> held_;
  std::vector<std::byte> buffer_;
  std::array<std::byte, 1> page_{};
};

void add_run(const Run& run, FramesInState& into) {
  into.frames += run.frames;
  if (!into.first.empty() && into.first.back().end() == run.where.start)
    into.first.back().size += run.where.size;
  else if (into.first.size() < kFirstPlaces)
    into.first.push_back(run.where);
}

// The first frame of each block that has memory.
std::vector<Pfn> blocks_of(const image::MemoryImage& image, unsigned page_shift) {
  std::vector<Pfn> blocks;
  for (const PhysRange& range : image.ram()) {
    if (range.size == 0) continue;
    const uint64_t last = pfn_of(range.end() - 1, page_shift).value / kBlockFrames;
    uint64_t block = pfn_of(range.start, page_shift).value / kBlockFrames;
    if (!blocks.empty()) block = std::max(block, blocks.back().value / kBlockFrames + 1);
    for (; block <= last; ++block) blocks.push_back(Pfn{block * kBlockFrames});
  }
  return blocks;
}

uint64_t count_bytes(const image::MemoryImage& image) {
  uint64_t bytes = 0;
  for (const PhysRange& range : image.ram()) bytes += range.size;
  return bytes;
}

// Where the image's own tables do not tell.
unsigned page_shift_of(const std::optional<vmcoreinfo::Located>& note) {
  const uint64_t size = note ? note->info.decimal("PAGESIZE").value_or(0) : 0;
  const bool is_possible = std::has_single_bit(size) && size >> kUsualPageShift != 0 && size <= kMostAtOnce;
  return is_possible ? static_cast<unsigned>(std::countr_zero(size)) : kUsualPageShift;
}

// What the kernel's note says must be a text that is understood.
image::Check check_note_text(const image::MemoryImage& image, const vmcoreinfo::Located& note) {
  image::Check check{image.traits().path, "VMCOREINFO text", true, ""};
  const auto release = note.info.text_of("OSRELEASE");
  if (!release) return image::Check{check.path, check.what, false, "it has no OSRELEASE"};
  if (!note.info.warnings().empty())
    return image::Check{check.path, check.what, false, note.info.warnings().front()};
  check.found = fmt::format("{} entries, of {}", note.info.entries().size(), *release);
  return check;
}

void read_all(const image::MemoryImage& image, unsigned page_shift, const VerifyOptions& options,
              VerifyResult& result) {
  const std::vector<Pfn> blocks = blocks_of(image, page_shift);
  const uint64_t planned = count_bytes(image);
  const unsigned threads = std::max(1U, options.threads);
  std::vector<std::optional<Reader>> readers(threads);
  uint64_t done = 0;
  InOrder<Runs> in_order(size_t{2} * threads, [&](const Runs& runs) {
    for (const Run& run : runs) {
      add_run(run, result.states.at(static_cast<size_t>(run.state)));
      done += run.where.size;
    }
    if (options.progress) options.progress(std::min(done, planned), planned);
  });
  parallel_for(blocks.size(), threads, [&](size_t item, unsigned worker) {
    try {
      auto& reader = readers.at(worker);
      if (!reader) reader.emplace(image, page_shift);
      in_order.put(item, reader->read(blocks[item]));
    } catch (...) {
      in_order.stop();
      throw;
    }
  });
}

}  // namespace

uint64_t VerifyResult::frames() const {
  uint64_t sum = 0;
  for (const FramesInState& state : states) sum += state.frames;
  return sum;
}

uint64_t VerifyResult::good() const {
  return in(PageState::present).frames + in(PageState::zero_elided).frames;
}

uint64_t VerifyResult::bad() const {
  return in(PageState::lost).frames + in(PageState::unreadable).frames;
}

bool VerifyResult::is_whole() const {
  return bad() == 0 &&
         std::all_of(checks.begin(), checks.end(), [](const image::Check& check) { return check.good; });
}

VerifyResult verify(const image::MemoryImage& image, const VerifyOptions& options) {
  if (image.traits().live)
    throw Unsupported(
        "the memory of a running kernel changes while it is read: only what was saved can be verified");
  auto own = image::check_kdump_image(image);
  const auto note = vmcoreinfo::locate(image);
  const unsigned page_shift = own ? own->page_shift : page_shift_of(note);
  VerifyResult result;
  result.page_size = uint64_t{1} << page_shift;
  if (own) result.checks = std::move(own->checks);
  if (note) result.checks.push_back(check_note_text(image, *note));
  read_all(image, page_shift, options, result);
  return result;
}

}  // namespace kvista::dump
