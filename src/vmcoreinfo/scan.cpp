#include "vmcoreinfo/scan.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/cursor.h"
#include "base/parallel.h"

namespace kvista::vmcoreinfo {
namespace {

// What every kernel writes first (crash_save_vmcoreinfo_init), both into the page of text and into the note,
// where it stands behind the header and the name. All of these are multiples of four bytes.
constexpr std::string_view kFirstKey = "OSRELEASE=";
constexpr std::string_view kNoteName = "VMCOREINFO";
constexpr uint64_t kHeaderSize = 3 * 4 + 12;  // sizes of name and descriptor, type; the name, filled up
// The kernel's text is at most a page (VMCOREINFO_BYTES), and pages are at most 64 KiB.
constexpr uint64_t kMostText = 65536;
// A hostile image may be full of texts: so many are read, and so many kept.
constexpr uint64_t kMostTries = 16384;
constexpr size_t kMostNotes = 256;

constexpr uint64_t kPiece = uint64_t{32} << 20;  // what a thread takes at once
constexpr uint64_t kView = uint64_t{2} << 20;
constexpr uint64_t kPage = 4096;
constexpr size_t kStep = 4;
constexpr size_t kBlock = 256;

uint32_t word_at(const std::byte* at) {
  return load<uint32_t>(at, kHostByteOrder);
}

// Whether one of the words of a block is `word`. Without a branch, so that the compiler takes several at
// once.
bool holds_word(const std::byte* block, uint32_t word) {
  uint32_t hits = 0;
  for (size_t i = 0; i < kBlock; i += kStep) hits |= static_cast<uint32_t>(word_at(block + i) == word);
  return hits != 0;
}

// Where kFirstKey stands in `bytes` from `from` on, a multiple of four; their size where it does not.
size_t find_first_key(std::span<const std::byte> bytes, size_t from) {
  const uint32_t word = word_at(reinterpret_cast<const std::byte*>(kFirstKey.data()));
  while (from + kStep <= bytes.size()) {
    if (from % kBlock == 0 && bytes.size() - from >= kBlock && !holds_word(&bytes[from], word)) {
      from += kBlock;
      continue;
    }
    if (word_at(&bytes[from]) == word) return from;
    from += kStep;
  }
  return bytes.size();
}

std::vector<std::byte> read_some(const image::MemoryImage& image, PhysAddr address, uint64_t size) {
  std::vector<std::byte> bytes(size);
  bytes.resize(image.read(address, bytes).done);
  return bytes;
}

// The size of the descriptor, and the byte order, where `bytes` are the header of a VMCOREINFO note.
std::optional<std::pair<uint64_t, ByteOrder>> parse_header(std::span<const std::byte> bytes) {
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
    Cursor in(bytes, order);
    const uint32_t name_size = in.u32();
    const uint32_t size = in.u32();
    const uint32_t type = in.u32();
    const auto name = in.bytes(kNoteName.size() + 2);
    if (in.ok() && name_size == kNoteName.size() + 1 && type == 0 && as_text(name) == kNoteName &&
        size <= kMostText)
      return std::pair(uint64_t{size}, order);
  }
  return std::nullopt;
}

// Up to the first byte that no text has.
std::string_view text_of(std::span<const std::byte> bytes) {
  const auto end = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) {
    const auto c = std::to_integer<unsigned char>(b);
    return c != '\n' && (c < ' ' || c > '~');
  });
  return {reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(end - bytes.begin())};
}

// Programs and logs hold the key as well, but not what follows it in a note.
bool is_note(const VmcoreInfo& info) {
  return info.text_of("OSRELEASE") && (info.decimal("PAGESIZE") || info.symbol("init_uts_ns"));
}

std::string to_string(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What stands at `text`, where kFirstKey begins.
std::optional<FoundNote> read_candidate(const image::MemoryImage& image, PhysAddr text) {
  FoundNote found{text, false, ByteOrder::little, 0, {}};
  uint64_t size = kMostText;
  if (text.value >= kHeaderSize) {
    if (const auto header = parse_header(read_some(image, text - kHeaderSize, kHeaderSize))) {
      found.address = text - kHeaderSize;
      found.has_header = true;
      found.byte_order = header->second;
      size = header->first;
    }
  }
  // Some kernels write garbage for a value: only without a header does the text end there.
  const auto parse = [&](std::span<const std::byte> bytes) {
    return VmcoreInfo(found.has_header ? to_string(bytes) : std::string(text_of(bytes)));
  };
  // The first lines are enough to tell most of what is none.
  constexpr uint64_t kFirstLines = 1024;
  if (!is_note(parse(read_some(image, text, std::min(size, kFirstLines))))) return std::nullopt;
  const auto bytes = read_some(image, text, size);
  if (found.has_header) found.missing = size - bytes.size();
  found.info = parse(bytes);
  return found;
}

std::vector<PhysRange> pieces_of(const image::MemoryImage& image) {
  std::vector<PhysRange> pieces;
  for (const PhysRange& range : image.stored()) {
    PhysAddr at{(range.start.value + kStep - 1) / kStep * kStep};
    while (at < range.end() && at >= range.start) {
      const PhysAddr next{(at.value / kPiece + 1) * kPiece};
      const uint64_t size = std::min(next - at, range.end() - at);
      pieces.push_back({at, size});
      at += size;
    }
  }
  return pieces;
}

class Search {
 public:
  Search(const image::MemoryImage& image, unsigned threads) : image_(image), windows_(threads) {}

  void look_through(const PhysRange& piece, unsigned worker) {
    uint64_t done = 0;
    while (done < piece.size) {
      const PhysAddr at = piece.start + done;
      const uint64_t size = std::min(kView - at.value % kView, piece.size - done);
      const image::View view = image_.view(at, size, windows_.at(worker));
      const auto texts = find_texts(view.bytes);
      for (const size_t into : texts) add(at + into);
      done += view.bytes.size();
      // A page that is not there, or not all of it.
      if (view.bytes.size() == size) continue;
      if (view.state == image::PageState::unreadable) ++unreadable_;
      done += kPage - (piece.start.value + done) % kPage;
    }
  }

  Scan take() {
    std::sort(notes_.begin(), notes_.end(),
              [](const FoundNote& a, const FoundNote& b) { return a.address < b.address; });
    const bool complete = tries_ <= kMostTries && notes_.size() <= kMostNotes;
    if (notes_.size() > kMostNotes) notes_.resize(kMostNotes);
    return {std::move(notes_), complete, unreadable_};
  }

 private:
  static std::vector<size_t> find_texts(std::span<const std::byte> bytes) {
    std::vector<size_t> texts;
    for (size_t at = find_first_key(bytes, 0); at < bytes.size(); at = find_first_key(bytes, at + kStep)) {
      const auto key = bytes.subspan(at, std::min(kFirstKey.size(), bytes.size() - at));
      if (kFirstKey.starts_with(std::string_view(reinterpret_cast<const char*>(key.data()), key.size())))
        texts.push_back(at);
    }
    return texts;
  }

  void add(PhysAddr text) {
    if (++tries_ > kMostTries) return;
    auto found = read_candidate(image_, text);
    if (!found) return;
    const std::lock_guard lock(mutex_);
    if (notes_.size() <= kMostNotes) notes_.push_back(std::move(*found));
  }

  const image::MemoryImage& image_;
  std::vector<image::Window> windows_;
  std::atomic<uint64_t> tries_ = 0;
  std::atomic<uint64_t> unreadable_ = 0;
  std::mutex mutex_;
  std::vector<FoundNote> notes_;
};

}  // namespace

std::optional<FoundNote> note_at(const image::MemoryImage& image, PhysAddr address) {
  if (!checked_add(address.value, kHeaderSize)) return std::nullopt;
  auto found = read_candidate(image, address + kHeaderSize);
  if (!found || found->address != address) return std::nullopt;
  return found;
}

Scan scan(const image::MemoryImage& image, unsigned threads) {
  if (threads == 0) threads = default_threads();
  Search search(image, threads);
  const auto pieces = pieces_of(image);
  parallel_for(pieces.size(), threads,
               [&](size_t piece, unsigned worker) { search.look_through(pieces[piece], worker); });
  return search.take();
}

}  // namespace kvista::vmcoreinfo
