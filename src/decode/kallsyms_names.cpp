#include "decode/kallsyms_names.h"

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr size_t kNamesPerBlock = 256;
constexpr size_t kMaxName = 0x7fff;  // two length bytes, 73bbb94466fd of 6.1
constexpr size_t kMaxBlock = kNamesPerBlock * (kMaxName + 2);

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// The size of the name that `bytes` begin with, and of its length before it; nothing where they end before.
struct NameSize {
  size_t header = 0;
  size_t length = 0;
};
std::optional<NameSize> name_size(std::span<const std::byte> bytes) {
  if (bytes.empty()) return std::nullopt;
  const auto low = std::to_integer<size_t>(bytes[0]);
  if ((low & 0x80) == 0) return NameSize{1, low};
  if (bytes.size() < 2) return std::nullopt;
  return NameSize{2, (low & 0x7f) | std::to_integer<size_t>(bytes[1]) << 7};
}

// Virtual memory from front to back, through a window.
class Stream {
 public:
  Stream(const VirtReader& read, VirtAddr start) : read_(read), next_(start) {}

  // The next `size` bytes, or as many as there are; they stay unread.
  std::span<const std::byte> peek(size_t size) {
    if (end_ - begin_ < size) refill(size);
    return std::span(buffer_).subspan(begin_, std::min(size, end_ - begin_));
  }
  void skip(size_t size) { begin_ += size; }
  void seek(VirtAddr to) {
    const VirtAddr start = next_ - end_;
    if (to >= start && to <= next_) {
      begin_ = to - start;
    } else {
      begin_ = end_ = 0;
      next_ = to;
    }
  }
  VirtAddr end() const { return next_; }

 private:
  static constexpr size_t kWindow = size_t{128} * 1024;

  void refill(size_t size) {
    buffer_.resize(std::max({buffer_.size(), kWindow, size}));
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
    const size_t got = read_(next_, std::span(buffer_).subspan(end_));
    next_ += got;
    end_ += got;
  }

  const VirtReader& read_;
  VirtAddr next_;
  std::vector<std::byte> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

// The size of block `i`; 0 where its markers make no sense.
size_t block_size(std::span<const uint64_t> blocks, size_t i) {
  const bool sensible = blocks[i] < blocks[i + 1] && blocks[i + 1] - blocks[i] <= kMaxBlock;
  return sensible ? blocks[i + 1] - blocks[i] : 0;
}

// Splits `block` into exactly `count` names; behind the last block's is padding to the next table.
bool split(std::span<const std::byte> block, size_t count, size_t padding,
           std::vector<std::span<const std::byte>>& names) {
  names.clear();
  for (size_t i = 0; i < count; ++i) {
    const auto size = name_size(block);
    if (!size || size->length == 0 || block.size() < size->header + size->length) return false;
    names.push_back(block.subspan(size->header, size->length));
    block = block.subspan(size->header + size->length);
  }
  return block.size() <= padding &&
         std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

KallsymsNames::KallsymsNames(const VirtReader& read, VirtAddr names, VirtAddr token_table, size_t count,
                             ByteOrder order, unsigned word_size)
    : names_(names), count_(count), word_size_(word_size) {
  const uint64_t blocks = (count + kNamesPerBlock - 1) / kNamesPerBlock;
  // In 6.2 and 6.3 kallsyms_seqs_of_names, 3 bytes a symbol, is between (60443c88f3a8; 404bad70fcf7 moved
  // it).
  for (const uint64_t between : {uint64_t{0}, align_up(3 * uint64_t{count}, word_size)})
    // They were words until 4.20, and are 4 bytes wide since.
    for (const unsigned width : {4U, 8U})
      // Tables were aligned to words until 7.0, and are to 4 bytes since.
      for (const unsigned alignment : {word_size, 4U})
        if (find_markers(read, token_table - between - align_up(blocks * width, alignment), width, order))
          return;
}

// Whether markers of this width are at `at`: most of them ascend, and the names end where they begin.
bool KallsymsNames::find_markers(const VirtReader& read, VirtAddr at, unsigned width, ByteOrder order) {
  const size_t count = (count_ + kNamesPerBlock - 1) / kNamesPerBlock;
  if (at <= names_ || at - names_ > count * kMaxBlock) return false;
  std::vector<std::byte> bytes(count * width);
  if (read(at, bytes) != bytes.size()) return false;
  std::vector<uint64_t> blocks(count + 1);
  for (size_t i = 0; i < count; ++i) {
    const std::byte* marker = &bytes[i * width];
    blocks[i] = width == 4 ? load<uint32_t>(marker, order) : load<uint64_t>(marker, order);
  }
  blocks[count] = at - names_;
  size_t ascending = 0;
  uint64_t size = 0;  // that of all blocks; a damaged marker makes some overlap
  for (size_t i = 0; i < count; ++i) {
    ascending += block_size(blocks, i) != 0 ? 1 : 0;
    size += block_size(blocks, i);
  }
  if (blocks[0] != 0 || ascending * 4 < count * 3 || size > 2 * blocks[count]) return false;
  blocks_ = std::move(blocks);
  return true;
}

size_t KallsymsNames::for_each_block(
    const VirtReader& read, const std::function<void(size_t, std::span<const std::byte>)>& visit) const {
  std::vector<std::span<const std::byte>> names;
  Stream stream(read, names_);
  size_t damaged = 0;
  for (size_t i = 0; i + 1 < blocks_.size(); ++i) {
    const size_t first = i * kNamesPerBlock;
    const size_t count = std::min(kNamesPerBlock, count_ - first);
    const size_t size = block_size(blocks_, i);
    stream.seek(names_ + blocks_[i]);
    const auto block = stream.peek(size);
    const bool last = i + 2 == blocks_.size();
    if (size == 0 || block.size() < size || !split(block, count, last ? word_size_ - 1 : 0, names)) {
      damaged += count;
      continue;
    }
    for (size_t k = 0; k < names.size(); ++k) visit(first + k, names[k]);
  }
  return damaged;
}

std::optional<std::vector<std::byte>> KallsymsNames::at(const VirtReader& read, size_t index) const {
  if (blocks_.empty() || index >= count_) return std::nullopt;
  const size_t number = index / kNamesPerBlock;
  const size_t size = block_size(blocks_, number);
  std::vector<std::byte> block(size);
  if (size == 0 || read(names_ + blocks_[number], block) != size) return std::nullopt;
  std::span<const std::byte> rest = block;
  for (size_t left = index % kNamesPerBlock;; --left) {
    const auto name = name_size(rest);
    if (!name || name->length == 0 || rest.size() < name->header + name->length) return std::nullopt;
    rest = rest.subspan(name->header);
    if (left == 0)
      return std::vector<std::byte>(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(name->length));
    rest = rest.subspan(name->length);
  }
}

size_t KallsymsNames::for_each(const VirtReader& read,
                               const std::function<void(size_t, std::span<const std::byte>)>& visit) const {
  if (!blocks_.empty()) return for_each_block(read, visit);
  Stream stream(read, names_);
  for (size_t i = 0; i < count_; ++i) {
    const auto size = name_size(stream.peek(2));
    const size_t all = size ? size->header + size->length : 0;
    const auto name = stream.peek(all);
    if (!size || name.size() < all)
      throw FormatError("the kernel's symbol names (kallsyms_names) end early", stream.end().value);
    visit(i, name.subspan(size->header));
    stream.skip(all);
  }
  return 0;
}

}  // namespace kvista::decode
