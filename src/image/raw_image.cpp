#include "image/raw_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace kvista::image {
namespace {

// One file, and where its memory is.
struct Part {
  File file;
  PhysRange range;
};

Part open_part(const RawPiece& piece) {
  File file = File::open(piece.path);
  if (file.is_directory()) throw AccessError(fmt::format("{}: a directory, not a memory image", piece.path));
  if (file.size() == 0)
    throw FormatError(fmt::format("{}: the file is empty: it holds no memory", piece.path), 0);
  if (!checked_add(piece.base.value, file.size()))
    throw FormatError(fmt::format("{}: {} bytes from {:#x} on reach beyond the end of the address space",
                                  piece.path, file.size(), piece.base.value),
                      0);
  const PhysRange range{piece.base, file.size()};
  return {std::move(file), range};
}

class RawImage final : public MemoryImage {
 public:
  explicit RawImage(std::vector<Part> parts) : parts_(std::move(parts)) {
    // Nothing in the files says which machine it was.
    traits_ = {parts_.front().file.path(), "raw memory", ByteOrder::little, 8, 0, false};
    for (const Part& part : parts_) {
      segments_.push_back({std::nullopt, part.range.start, part.range.size});
      if (!ram_.empty() && ram_.back().end() == part.range.start)
        ram_.back().size += part.range.size;
      else
        ram_.push_back(part.range);
    }
  }

  ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const PhysAddr at = address + done;
      const Part* part = find(at);
      if (part == nullptr) return {done, PageState::beyond};
      const auto piece = out.subspan(done, std::min<uint64_t>(part->range.end() - at, out.size() - done));
      const size_t got = part->file.read_at(at - part->range.start, piece);
      done += got;
      if (got < piece.size()) return {done, PageState::unreadable};
    }
    return {done, PageState::present};
  }

  View view(PhysAddr address, size_t size, Window& window) const override {
    const Part* part = find(address);
    if (part != nullptr && part->file.is_regular() && part->range.end() - address >= size) {
      const auto bytes = window.file.view(part->file, address - part->range.start, size);
      if (!bytes.empty()) return {bytes, PageState::present};
    }
    return MemoryImage::view(address, size, window);
  }

  std::vector<std::byte> read_note(const Note& /*note*/, uint64_t /*limit*/) const override { return {}; }

 private:
  const Part* find(PhysAddr address) const {
    auto after = std::upper_bound(parts_.begin(), parts_.end(), address,
                                  [](PhysAddr at, const Part& part) { return at < part.range.start; });
    if (after == parts_.begin()) return nullptr;
    const Part& part = *--after;
    return part.range.contains(address) ? &part : nullptr;
  }

  std::vector<Part> parts_;
};

}  // namespace

std::optional<RawPiece> parse_raw_piece(std::string_view text) {
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  std::string_view number = text.substr(at + 1);
  const bool hex = number.starts_with("0x") || number.starts_with("0X");
  if (hex) number.remove_prefix(2);
  uint64_t base = 0;
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, base, hex ? 16 : 10);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return RawPiece{std::string(text.substr(0, at)), PhysAddr{base}};
}

std::unique_ptr<MemoryImage> open_raw_set(const std::vector<RawPiece>& pieces) {
  std::vector<Part> parts;
  parts.reserve(pieces.size());
  for (const RawPiece& piece : pieces) parts.push_back(open_part(piece));
  if (parts.empty()) throw FormatError("raw memory: no file is given", 0);
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.range.start < b.range.start; });
  for (size_t i = 1; i < parts.size(); ++i)
    if (parts[i].range.start < parts[i - 1].range.end())
      throw FormatError(
          fmt::format("{} and {} both hold the memory at {:#x}: which one is right?",
                      parts[i - 1].file.path(), parts[i].file.path(), parts[i].range.start.value),
          0);
  return std::make_unique<RawImage>(std::move(parts));
}

}  // namespace kvista::image
