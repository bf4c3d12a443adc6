#include "dump/kdump_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/in_order.h"
#include "base/parallel.h"
#include "dump/notes.h"
#include "dump/output.h"
#include "dump/page_choice.h"
#include "dump/page_copier.h"
#include "dump/page_table_writer.h"
#include "dump/protected_memory.h"
#include "dump/second_bitmap.h"
#include "image/kdump_header.h"
#include "machine/probes.h"
#include "pages/frame_scan.h"

namespace kvista::dump {
namespace {

using machine::FactId;
using machine::Machine;

constexpr uint32_t kVersion = 6;
constexpr uint64_t kChunkFrames = 256;
// In flattened files readers refuse the descriptor of a missing page not by its offset, but by a size beyond
// that of a page.
constexpr uint32_t kBeyondPage = 1;

uint32_t blocks_of(uint64_t bytes, uint32_t block_size) {
  return static_cast<uint32_t>((bytes + block_size - 1) / block_size);
}

std::unique_ptr<Output> create_output(const DumpRequest& request) {
  if (request.dry_run) return create_nothing();
  auto output = request.format == Format::flattened ? create_flattened(request.output, request.overwrite)
                                                    : create_file(request.output, request.overwrite);
  return request.limit ? limit_size(std::move(output), *request.limit) : std::move(output);
}

// The note's text where the image carries no note that says the same.
std::string text_to_add(const kernel::Session& session) {
  const auto& image = session.image();
  const auto notes = image.notes();
  const bool carried =
      std::any_of(notes.begin(), notes.end(), [](const auto& note) { return note.name == "VMCOREINFO"; });
  const bool from_user =
      session.with_machine([](Machine& m) { return !m.options().vmcoreinfo_file.empty(); });
  return carried && !from_user ? std::string() : session.note().text();
}

class KdumpWriter {
 public:
  KdumpWriter(const kernel::Session& session, const DumpRequest& request)
      : session_(session),
        image_(session.image()),
        request_(request),
        scan_(session.with_machine([&](Machine& machine) {
          const bool live = image_.traits().live;
          return pages::FrameScan(machine, {request.threads, false, !live, true});
        })),
        notes_(image_, text_to_add(session)),
        page_shift_(scan_.memory_map().page_shift) {
    if (const uint64_t frames = scan_.memory_map().frames(); frames % kChunkFrames != 0)
      throw Unsupported(
          fmt::format("memory sections have {} page frames: dumps are written of sections of {} or more",
                      frames, kChunkFrames));
    fill_header();
    result_.level = header_.dump_level;
  }

  DumpResult run() {
    output_ = create_output(request_);
    write_tables();
    // The page of zeros, and each page as it is.
    result_.most_bytes = header_.descriptors_at() + result_.planned * image::kKdumpDescriptorSize +
                         (result_.planned + 1) * page_size();
    if (request_.dry_run) return std::move(result_);
    try {
      copy_pages();
      close();
    } catch (const OutputFailed& error) {
      result_.failure = error.what();
      result_.full = dynamic_cast<const OutputFull*>(&error) != nullptr;
    }
    // Without it there was no room for a single page.
    if (pages_) {
      result_.written = pages_->written();
      result_.zeros = pages_->zeros();
      result_.bytes = pages_->end() + header_.eraseinfo.size;
    }
    return std::move(result_);
  }

 private:
  // Frames of one section.
  struct Block {
    Pfn first;
    uint64_t kept = 0;
  };

  uint64_t page_size() const { return uint64_t{1} << page_shift_; }
  uint64_t second_bitmap_at() const { return header_.bitmaps_at() + header_.bitmap_size(); }

  void fill_header() {
    const auto traits = image_.traits();
    header_.byte_order = traits.byte_order;
    header_.word_size = traits.word_size;
    header_.signature = "KDUMP   ";
    header_.version = kVersion;
    header_.seconds = request_.timestamp;
    header_.status = image::kKdumpIncomplete | (request_.codec ? image::kdump_flag_of(*request_.codec) : 0);
    header_.dump_level = request_.level | traits.dump_level.value_or(0);
    header_.block_size = static_cast<uint32_t>(page_size());
    header_.max_mapnr = scan_.end().value;
    const uint64_t bitmap_blocks = blocks_of((header_.max_mapnr + 7) / 8, header_.block_size);
    header_.bitmap_blocks = static_cast<uint32_t>(2 * bitmap_blocks);
    header_.notes = {image::kdump_notes_at(header_), notes_.size()};
    header_.vmcoreinfo = notes_.vmcoreinfo(header_.notes.offset);
    header_.sub_header_blocks =
        blocks_of(header_.notes.offset + header_.notes.size - header_.block_size, header_.block_size);
    session_.with_machine([&](Machine& machine) {
      header_.phys_base = machine.number(FactId::phys_base).value_or(0);
      header_.cpus = notes_.cpus();
      if (header_.cpus == 0) header_.cpus = static_cast<uint32_t>(machine.number(FactId::cpus).value_or(1));
      if (const auto uts = machine::read_utsname(machine, header_.phys_base)) header_.utsname = uts->fields;
    });
  }

  void write_tables() {
    write_header();
    notes_.write(*output_, header_.notes.offset);
    output_->reserve(header_.bitmaps_at(), 2 * header_.bitmap_size());
    write_first_bitmap();
    decide();
  }

  void write_header() { output_->write(0, image::kdump_header_bytes(header_)); }

  // Which frames are memory, in pieces.
  void write_first_bitmap() {
    constexpr uint64_t kPiece = uint64_t{256} << 10;
    std::vector<std::byte> bits;
    for (uint64_t at = 0; at < header_.bitmap_size(); at += kPiece) {
      bits.assign(std::min(kPiece, header_.bitmap_size() - at), std::byte{0});
      const Pfn first{at * 8};
      const Pfn end = std::min(first + bits.size() * 8, Pfn{header_.max_mapnr});
      for (const PhysRange& range : scan_.memory()) {
        const Pfn from = std::max(first, pfn_of(range.start, page_shift_));
        const Pfn to = std::min(end, pfn_of(range.end(), page_shift_));
        if (from < to) set_bits(bits, from - first, to - first);
      }
      result_.frames += count_bits(bits);
      output_->write(header_.bitmaps_at() + at, bits);
    }
  }

  // The counting pass.
  void decide() {
    second_.emplace(*output_, second_bitmap_at(), header_.bitmap_size());
    const PageChoice choice(image_, request_.level, page_shift_,
                            protected_memory(session_, scan_.memory_map()));
    for (const Pfn first : scan_.blocks()) blocks_.push_back({first, 0});
    std::vector<PageCounts> counts(std::max(1U, request_.threads));
    const auto gaps = scan_.run([&](const pages::FrameBlock& block, unsigned worker) {
      std::vector<std::byte> kept(block.classes.size() / 8);
      choice.decide(block.first, block.classes, kept, counts.at(worker));
      block_of(block.first).kept = count_bits(kept);
      second_->put(block.first.value / 8, kept);
      if (request_.decided) request_.decided(block.first, block.classes, kept, worker);
    });
    for (const PageCounts& count : counts) result_ += count;
    if (gaps.without_struct != 0)
      result_.warnings.push_back(fmt::format(
          "the struct pages of {} frames are not in the image: these frames are kept", gaps.without_struct));
    for (const Block& block : blocks_) result_.planned += block.kept;
    second_->store();
  }

  Block& block_of(Pfn first) {
    return *std::lower_bound(blocks_.begin(), blocks_.end(), first,
                             [](const Block& block, Pfn pfn) { return block.first < pfn; });
  }

  void copy_pages() {
    const uint64_t descriptors = result_.planned * image::kKdumpDescriptorSize;
    output_->reserve(header_.descriptors_at(), descriptors);
    const bool flattened = request_.format == Format::flattened;
    pages_.emplace(*output_, PageTableWriter::Layout{
                                 header_.descriptors_at(), header_.descriptors_at() + descriptors,
                                 header_.block_size, header_.status & ~image::kKdumpIncomplete,
                                 flattened ? header_.block_size + kBeyondPage : 0, header_.byte_order});
    std::erase_if(blocks_, [](const Block& block) { return block.kept == 0; });
    const uint64_t frames = scan_.memory_map().frames();
    const uint64_t chunks = frames / kChunkFrames;
    std::vector<std::unique_ptr<PageCopier>> copiers(std::max(1U, request_.threads));
    uint64_t done = 0;
    InOrder<CopiedChunk> in_order(2 * copiers.size(), [&](const CopiedChunk& chunk) {
      for (size_t i = 0; i < chunk.missing.size(); ++i) result_.missing.at(i) += chunk.missing.at(i);
      done += chunk.pages.size();
      pages_->add(chunk);
      if (request_.progress) request_.progress(done, result_.planned);
    });
    const auto copy_chunk = [&](size_t item, unsigned worker) {
      auto& copier = copiers.at(worker);
      if (!copier)
        copier = std::make_unique<PageCopier>(image_, request_.codec, compression_level(), page_shift_);
      const Pfn first = blocks_[item / chunks].first + item % chunks * kChunkFrames;
      std::array<std::byte, kChunkFrames / 8> bits;
      second_->get(first.value / 8, bits);
      in_order.put(item, copier->copy(first, bits));
    };
    parallel_for(blocks_.size() * chunks, request_.threads, [&](size_t item, unsigned worker) {
      try {
        copy_chunk(item, worker);
      } catch (...) {
        in_order.stop();
        throw;
      }
    });
    pages_->flush();
  }

  int compression_level() const {
    return request_.compression.value_or(request_.codec ? codec::levels_of(*request_.codec).usual : 0);
  }

  void close() {
    const auto erased = eraseinfo_of(image_);
    if (!erased.empty()) {
      header_.eraseinfo = {pages_->end(), erased.size()};
      output_->write(header_.eraseinfo.offset, erased);
    }
    output_->sync();
    header_.status &= ~image::kKdumpIncomplete;
    write_header();
    output_->end();
    output_->sync();
  }

  const kernel::Session& session_;
  const image::MemoryImage& image_;
  const DumpRequest& request_;
  pages::FrameScan scan_;
  Notes notes_;
  unsigned page_shift_;
  image::KdumpHeader header_;
  DumpResult result_;
  std::unique_ptr<Output> output_;
  std::optional<SecondBitmap> second_;
  std::optional<PageTableWriter> pages_;
  std::vector<Block> blocks_;
};

}  // namespace

const char* describe(Format format) {
  switch (format) {
    case Format::kdump:
      return "kdump-compressed v6";
    case Format::flattened:
      return "kdump-compressed v6, flattened";
  }
  return "";
}

DumpResult write_kdump(const kernel::Session& session, const DumpRequest& request) {
  if (session.image().traits().live && !request.dry_run)
    throw Unsupported(
        "dumps of the running kernel are not written yet: /proc/kcore changes while it is read, and gives "
        "zeros "
        "without an error for what it cannot read");
  return KdumpWriter(session, request).run();
}

}  // namespace kvista::dump
