#include "image/kdump_bitmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/bits.h"
#include "base/error.h"
#include "image/frame_bits.h"

namespace kvista::image {
namespace {

constexpr uint64_t kPieceSize = 4096;
constexpr uint64_t kPieceBits = kPieceSize * 8;
// Both bitmaps are gone through in steps of so many bytes.
constexpr uint64_t kStep = uint64_t{256} << 10;
// Firmware leaves tens of runs: so many are noise.
constexpr size_t kMostRuns = size_t{1} << 18;

// The bits of 64 frames; those of frames that do not exist are cleared.
uint64_t word_at(std::span<const std::byte> piece, uint64_t index, uint64_t frames) {
  const uint64_t first = index * kWordBits;
  if (first >= frames) return 0;
  return load_bits(piece, index) & mask_bits(0, std::min(frames - first, kWordBits));
}

using PieceBytes = std::array<std::byte, kPieceSize>;

}  // namespace

KdumpBitmap::KdumpBitmap(const File& file, const KdumpHeader& header)
    : at_(header.bitmaps_at() + header.bitmap_size()),
      size_((header.max_mapnr + 7) / 8),
      max_mapnr_(header.max_mapnr),
      page_shift_(static_cast<unsigned>(std::countr_zero(header.block_size))) {
  for_each_piece(
      file, header, [&](Pfn first, std::span<const std::byte> memory, std::span<const std::byte> dumped) {
        scan_piece(first.value / kPieceBits, memory, dumped);
        if (memory_.size() > kMostRuns)
          throw FormatError(fmt::format("{}: the bitmap of memory has more than {} runs: the file is damaged",
                                        file.path(), kMostRuns),
                            header.bitmaps_at());
      });
}

void KdumpBitmap::for_each_piece(const File& file, const KdumpHeader& header, const Visit& visit) {
  const uint64_t whole = (header.max_mapnr + 7) / 8;
  const uint64_t memory_at = header.bitmaps_at();
  const uint64_t dumped_at = memory_at + header.bitmap_size();
  std::vector<std::byte> memory(std::min(whole, kStep));
  std::vector<std::byte> dumped(memory.size());
  for (uint64_t from = 0; from < whole; from += kStep) {
    const uint64_t size = std::min(kStep, whole - from);
    if (file.read_at(memory_at + from, std::span(memory).first(size)) != size ||
        file.read_at(dumped_at + from, std::span(dumped).first(size)) != size)
      throw FormatError(
          fmt::format("{}: the bitmaps at offset {:#x} cannot be read", file.path(), dumped_at + from),
          dumped_at + from);
    for (uint64_t into = 0; into < size; into += kPieceSize) {
      const uint64_t part = std::min(kPieceSize, size - into);
      visit(Pfn{(from + into) * 8}, std::span<const std::byte>(memory).subspan(into, part),
            std::span<const std::byte>(dumped).subspan(into, part));
    }
  }
}

void KdumpBitmap::add_memory(Pfn first, uint64_t count) {
  if (!memory_.empty() && memory_.back().first + memory_.back().count == first)
    memory_.back().count += count;
  else
    memory_.push_back({first, count});
}

void KdumpBitmap::scan_piece(uint64_t number, std::span<const std::byte> memory,
                             std::span<const std::byte> dumped) {
  // Whole words: what is behind the bitmap's last byte does not count.
  PieceBytes both{};
  PieceBytes second{};
  std::copy(dumped.begin(), dumped.end(), second.begin());
  for (size_t i = 0; i < memory.size(); ++i) both.at(i) = memory[i] | dumped[i];
  const uint64_t first = number * kPieceBits;
  const uint64_t frames = std::min(kPieceBits, max_mapnr_ - first);
  uint64_t count = 0;
  for (uint64_t i = 0; i < kPieceBits / kWordBits; ++i) {
    count += count_ones(word_at(second, i, frames));
    uint64_t word = word_at(both, i, frames);
    uint64_t bit = 0;
    while (word != 0) {
      const auto skip = static_cast<unsigned>(std::countr_zero(word));
      word >>= skip;
      const auto ones = static_cast<unsigned>(std::countr_one(word));
      add_memory(Pfn{first + i * kWordBits + bit + skip}, ones);
      bit += skip + ones;
      word = ones == kWordBits ? 0 : word >> ones;
    }
  }
  if (count != 0) pieces_.push_back({number, dumped_});
  dumped_ += count;
}

KdumpBitmap::Run KdumpBitmap::find(const File& file, Pfn pfn, uint64_t most) const {
  if (pfn.value >= max_mapnr_) return {0, dumped_, true};
  const uint64_t number = pfn.value / kPieceBits;
  const auto piece = std::lower_bound(pieces_.begin(), pieces_.end(), number,
                                      [](const Piece& p, uint64_t wanted) { return p.number < wanted; });
  const uint64_t before = piece == pieces_.end() ? dumped_ : piece->rank;
  if (piece == pieces_.end() || piece->number != number) return {0, before, true};
  PieceBytes bytes{};
  const uint64_t from = number * kPieceSize;
  const uint64_t size = std::min(kPieceSize, size_ - from);
  if (file.read_at(at_ + from, std::span(bytes).first(size)) != size) return {0, before, false};
  const uint64_t frames = std::min(kPieceBits, max_mapnr_ - number * kPieceBits);
  const uint64_t bit = pfn.value % kPieceBits;
  uint64_t index = bit / kWordBits;
  Run run{0, before, true};
  for (uint64_t i = 0; i < index; ++i) run.rank += count_ones(word_at(bytes, i, frames));
  const uint64_t into = bit % kWordBits;
  uint64_t word = word_at(bytes, index, frames);
  run.rank += count_ones(word & mask_bits(0, into));
  run.count = std::min<uint64_t>(static_cast<unsigned>(std::countr_one(word >> into)), kWordBits - into);
  // On as long as the run reaches the end of its word.
  bool on = into + run.count == kWordBits;
  while (on && run.count < most && ++index < kPieceBits / kWordBits) {
    word = word_at(bytes, index, frames);
    run.count += static_cast<unsigned>(std::countr_one(word));
    on = word == UINT64_MAX;
  }
  run.count = std::min(run.count, most);
  return run;
}

uint64_t KdumpBitmap::rank(const File& file, Pfn pfn) const {
  const Run run = find(file, pfn, 1);
  if (!run.readable) throw FormatError(fmt::format("{}: its bitmap cannot be read", file.path()), at_);
  return run.rank;
}

// The kernel's pages can have another size than the file's blocks: QEMU writes blocks of 64 KiB of every
// arm64 machine (target/arm/arch_dump.c).
void KdumpBitmap::clear_missing(const File& file, Pfn first, unsigned page_shift,
                                std::span<std::byte> bits) const {
  if (page_shift == page_shift_) return clear_not_dumped(file, first, bits);
  const uint64_t block_size = uint64_t{1} << page_shift_;
  const PhysAddr end = phys_of(first + bits.size() * 8, page_shift);
  const Pfn start{pfn_of(phys_of(first, page_shift), page_shift_).value / kWordBits * kWordBits};
  const uint64_t blocks = pfn_of(end + (block_size - 1), page_shift_) - start;
  std::vector<std::byte> dumped((blocks + kWordBits - 1) / kWordBits * 8, std::byte{0xff});
  clear_not_dumped(file, start, dumped);
  std::vector<PhysRange> held;
  for_each_run(dumped, [&](uint64_t from, uint64_t to) {
    held.push_back({phys_of(start + from, page_shift_), (to - from) << page_shift_});
  });
  clear_outside(first, page_shift, bits, held);
}

void KdumpBitmap::clear_not_dumped(const File& file, Pfn first, std::span<std::byte> bits) const {
  PieceBytes bytes;
  for (size_t done = 0; done < bits.size(); done += bytes.size()) {
    const auto part = bits.subspan(done, std::min(bytes.size(), bits.size() - done));
    const uint64_t from = first.value / 8 + done;
    const uint64_t size = from < size_ ? std::min<uint64_t>(part.size(), size_ - from) : 0;
    bytes.fill(std::byte{0});
    // What cannot be read is lost, and not left out.
    if (file.read_at(at_ + from, std::span(bytes).first(size)) != size) continue;
    for (size_t i = 0; i < part.size(); ++i) part[i] &= bytes.at(i);
  }
}

}  // namespace kvista::image
