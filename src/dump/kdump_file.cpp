#include "dump/kdump_file.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <vector>

#include "base/bits.h"
#include "dump/copy_live.h"
#include "dump/copy_pages.h"
#include "dump/page_table_writer.h"

namespace kvista::dump {
namespace {

constexpr uint32_t kVersion = 6;
constexpr uint64_t kPiece = uint64_t{256} << 10;  // of a bitmap, in bytes
// In flattened files readers refuse the descriptor of a missing page not by its offset, but by a size beyond
// that of a page.
constexpr uint32_t kBeyondPage = 1;

uint32_t blocks_of(uint64_t bytes, uint32_t block_size) {
  return static_cast<uint32_t>((bytes + block_size - 1) / block_size);
}

}  // namespace

KdumpFile::KdumpFile(const DumpPlan& plan, const DumpRequest& request, const std::string& path)
    : plan_(plan),
      flattened_(request.flattened),
      is_part_(request.outputs.size() > 1),
      keeps_decisions_(!request.dry_run || request.leave_out_map) {
  fill_header(request);
  output_ = request.dry_run ? create_nothing()
                            : create_output(path, request.flattened, request.overwrite, request.limit);
}

void KdumpFile::fill_header(const DumpRequest& request) {
  const auto& traits = plan_.image().traits();
  const Notes& notes = plan_.notes();
  header_.byte_order = plan_.byte_order();
  header_.word_size = traits.word_size;
  header_.signature = "KDUMP   ";
  header_.version = kVersion;
  header_.seconds = request.timestamp;
  const bool lacks_map = request.leave_out_map || traits.lacks_memory_map;
  header_.status = image::kKdumpIncomplete | (lacks_map ? image::kKdumpExcludedVmemmap : 0) |
                   (request.codec ? image::kdump_flag_of(*request.codec) : 0);
  header_.dump_level = plan_.level();
  header_.block_size = static_cast<uint32_t>(plan_.page_size());
  header_.max_mapnr = plan_.end().value;
  const uint64_t bitmap_blocks = blocks_of((header_.max_mapnr + 7) / 8, header_.block_size);
  header_.bitmap_blocks = static_cast<uint32_t>(2 * bitmap_blocks);
  header_.notes = {image::kdump_notes_at(header_), notes.size()};
  header_.vmcoreinfo = notes.vmcoreinfo(header_.notes.offset);
  header_.sub_header_blocks =
      blocks_of(header_.notes.offset + header_.notes.size - header_.block_size, header_.block_size);
  KernelIdentity identity = plan_.identity();
  header_.phys_base = identity.phys_base;
  header_.cpus = identity.cpus;
  header_.utsname = std::move(identity.utsname);
}

uint64_t KdumpFile::write_tables() {
  write_header();
  plan_.notes().write(*output_, header_.notes.offset);
  output_->reserve(header_.bitmaps_at(), 2 * header_.bitmap_size());
  uint64_t frames = 0;
  std::vector<std::byte> bits;
  for (uint64_t at = 0; at < header_.bitmap_size(); at += kPiece) {
    bits.assign(std::min(kPiece, header_.bitmap_size() - at), std::byte{0});
    plan_.mark_memory(Pfn{at * 8}, bits);
    frames += count_bits(bits);
    output_->write(header_.bitmaps_at() + at, bits);
  }
  return frames;
}

SecondBitmap KdumpFile::second_bitmap() const {
  return {{output_.get(), second_bitmap_at(), plan_.memory_share().bitmap_bytes, plan_.again()},
          keeps_decisions_ ? header_.bitmap_size() : 0};
}

uint64_t KdumpFile::most_bytes(uint64_t pages) const {
  // The page of zeros, and each page as it is.
  return header_.descriptors_at() + pages * image::kKdumpDescriptorSize + (pages + 1) * header_.block_size;
}

void KdumpFile::copy_second_bitmap(const SecondBitmap& from) {
  std::vector<std::byte> bits;
  for (uint64_t at = 0; at < header_.bitmap_size(); at += kPiece) {
    bits.resize(std::min(kPiece, header_.bitmap_size() - at));
    from.get(at, bits);
    output_->write(second_bitmap_at() + at, bits);
  }
}

DumpResult KdumpFile::write_pages(const DumpRequest& request, const SecondBitmap& second, const Part& part) {
  DumpResult result;
  result.planned = part.pages;
  std::optional<PageTableWriter> pages;
  try {
    if (is_part_) {
      header_.split = 1;
      header_.start = part.first;
      header_.end = part.end;
      write_header();
    }
    const uint64_t descriptors = result.planned * image::kKdumpDescriptorSize;
    output_->reserve(header_.descriptors_at(), descriptors);
    pages.emplace(*output_, PageTableWriter::Layout{
                                header_.descriptors_at(), header_.descriptors_at() + descriptors,
                                header_.block_size, request.codec ? image::kdump_flag_of(*request.codec) : 0,
                                flattened_ ? header_.block_size + kBeyondPage : 0, header_.byte_order});
    if (plan_.image().traits().live)
      copy_live(
          plan_, request, second,
          [&](const CopiedChunk& chunk, uint64_t index) {
            pages->go_to(index);
            pages->add(chunk);
          },
          result);
    else
      copy_pages(
          plan_, request, second, part.first, part.end, [&](const CopiedChunk& chunk) { pages->add(chunk); },
          result);
    pages->flush();
    // Eraseinfo is the first part's.
    const bool is_first = part.first == Pfn{0};
    close(pages->end(),
          is_first ? eraseinfo_of(plan_.image(), request.erasure.record) : std::vector<std::byte>());
  } catch (const OutputFailed& error) {
    result.set_failure(error);
  }
  // Without it there was no room for a single page.
  if (pages) {
    result.written = pages->written();
    result.zeros = pages->zeros();
    result.bytes = pages->end() + header_.eraseinfo.size;
  }
  return result;
}

void KdumpFile::close(uint64_t pages_end, std::span<const std::byte> erased) {
  if (!erased.empty()) {
    header_.eraseinfo = {pages_end, erased.size()};
    output_->write(header_.eraseinfo.offset, erased);
  }
  if (plan_.image().traits().live)
    plan_.notes().write(*output_, header_.notes.offset, static_cast<uint64_t>(std::time(nullptr)));
  output_->sync();
  header_.status &= ~image::kKdumpIncomplete;
  write_header();
  output_->end();
  output_->sync();
}

}  // namespace kvista::dump
