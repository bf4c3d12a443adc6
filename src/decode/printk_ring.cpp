#include "decode/printk_ring.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cursor.h"
#include "base/error.h"

namespace kvista::decode {
namespace {

// log_buf_len= takes up to 2 GiB, with a descriptor for each 32 bytes (PRB_AVGBITS).
constexpr uint64_t kMostSizeBits = 31;
constexpr uint64_t kMostCountBits = kMostSizeBits - 5;
constexpr uint64_t kChunk = 512;            // descriptors read at once
constexpr uint64_t kChunkBytes = 32 << 10;  // and the room that they may take
// A damaged number of descriptors can be huge: where so many chunks in a row are not in the image, the others
// are not looked for.
constexpr uint64_t kMostMissingChunks = 4096;

// enum desc_state: the two highest bits of a descriptor's state_var; the others are its id.
enum class State : uint8_t { reserved, committed, finalized, reusable };

constexpr const char* kMissingDescriptors = "their descriptors are not in the image";

// Special values of a block's begin and next; all of them are odd, and real ones are not.
constexpr uint64_t kNoText = 3;  // NO_LPOS, an empty message

// What the ring's structs say.
struct Ring {
  uint64_t count = 0;  // of descriptors
  VirtAddr descs, infos;
  uint64_t head_id = 0, tail_id = 0;
  uint64_t data_size = 0;
  VirtAddr data;
};

struct Block {
  uint64_t begin = 0, next = 0;
};

class Reader {
 public:
  Reader(const VirtReader& read, const PrintkRingLayout& layout)
      : read_(read),
        layout_(layout),
        order_(layout.words.order),
        word_(layout.words.word_size),
        id_mask_(word_ == 4 ? UINT32_MAX >> 2 : UINT64_MAX >> 2),
        word_mask_(word_ == 4 ? UINT32_MAX : UINT64_MAX) {}

  PrintkLog take() {
    check_layout();
    load_ring();
    const uint64_t span = (ring_.head_id - ring_.tail_id) & id_mask_;
    if (span < ring_.count) {
      walk(ring_.tail_id, span + 1);
    } else {
      // One of the two is damaged: each descriptor is taken at its own word, and numbers give the order.
      ids_known_ = false;
      walk(0, ring_.count);
      add_damage(log_, fmt::format("the ring's first and last id ({:#x}, {:#x}) are damaged", ring_.tail_id,
                                   ring_.head_id));
      std::stable_sort(log_.records.begin(), log_.records.end(),
                       [](const auto& a, const auto& b) { return a.seq < b.seq; });
    }
    find_clear();
    return std::move(log_);
  }

 private:
  uint64_t number(VirtAddr at, unsigned size, std::string_view what) const {
    return read_number(read_, at, size, order_, what);
  }
  std::optional<uint64_t> word_in(std::span<const std::byte> bytes, uint64_t offset) const {
    return number_in(bytes, offset, word_, order_);
  }

  void check_layout() const;
  void load_ring();
  void walk(uint64_t first_id, uint64_t count);
  bool walk_chunk(uint64_t first_id, uint64_t index, uint64_t count);
  bool is_readable(uint64_t id, uint64_t state_var);
  void take_record(uint64_t id, std::span<const std::byte> desc, std::span<const std::byte> info);
  std::optional<std::string> text_of(uint64_t id, const Block& block, uint64_t length);
  std::optional<std::span<const std::byte>> text_bytes(uint64_t id, const Block& block);
  void add_info(PrintkRecord& record, std::span<const std::byte> info) const;
  void find_clear();

  const VirtReader& read_;
  const PrintkRingLayout& layout_;
  ByteOrder order_;
  unsigned word_;
  uint64_t id_mask_;
  uint64_t word_mask_;
  Ring ring_;
  bool ids_known_ = true;
  uint64_t text_taken_ = 0;
  std::vector<std::byte> block_;
  PrintkLog log_;
};

// The note is as untrusted as the rest.
void Reader::check_layout() const {
  const auto& l = layout_;
  const auto& desc_ring = l.prb_desc_ring;
  const auto& info = l.printk_info;
  const auto& device = l.dev_printk_info;
  struct Member {
    const char* name;
    uint64_t offset, size, within;
  };
  for (const Member& m : {
           Member{"printk_ringbuffer.desc_ring", l.printk_ringbuffer.desc_ring, desc_ring.size,
                  l.printk_ringbuffer.size},
           Member{"printk_ringbuffer.text_data_ring", l.printk_ringbuffer.text_data_ring,
                  l.prb_data_ring.size, l.printk_ringbuffer.size},
           Member{"prb_desc_ring.count_bits", desc_ring.count_bits, 4, desc_ring.size},
           Member{"prb_desc_ring.descs", desc_ring.descs, word_, desc_ring.size},
           Member{"prb_desc_ring.infos", desc_ring.infos, word_, desc_ring.size},
           Member{"prb_desc_ring.head_id", desc_ring.head_id, word_, desc_ring.size},
           Member{"prb_desc_ring.tail_id", desc_ring.tail_id, word_, desc_ring.size},
           Member{"atomic_long_t.counter", l.counter, word_, word_},
           Member{"prb_data_ring.size_bits", l.prb_data_ring.size_bits, 4, l.prb_data_ring.size},
           Member{"prb_data_ring.data", l.prb_data_ring.data, word_, l.prb_data_ring.size},
           Member{"prb_desc.state_var", l.prb_desc.state_var, word_, l.prb_desc.size},
           Member{"prb_desc.text_blk_lpos", l.prb_desc.text_blk_lpos, l.prb_data_blk_lpos.size,
                  l.prb_desc.size},
           Member{"prb_data_blk_lpos.begin", l.prb_data_blk_lpos.begin, word_, l.prb_data_blk_lpos.size},
           Member{"prb_data_blk_lpos.next", l.prb_data_blk_lpos.next, word_, l.prb_data_blk_lpos.size},
           Member{"printk_info.seq", info.seq, 8, info.size},
           Member{"printk_info.ts_nsec", info.ts_nsec, 8, info.size},
           Member{"printk_info.text_len", info.text_len, 4, info.size},
           Member{"printk_info.caller_id", info.caller_id, 4, info.size},
           Member{"printk_info.dev_info", info.dev_info, device.size, info.size},
           Member{"dev_printk_info.subsystem", device.subsystem, device.subsystem_length, device.size},
           Member{"dev_printk_info.device", device.device, device.device_length, device.size},
       })
    require_member(m.offset, m.size, m.within, m.name);
}

void Reader::load_ring() {
  const VirtAddr at{number(layout_.prb, word_, "prb")};
  const VirtAddr descs = at + layout_.printk_ringbuffer.desc_ring;
  const VirtAddr data = at + layout_.printk_ringbuffer.text_data_ring;
  const auto& d = layout_.prb_desc_ring;
  const uint64_t count_bits = number(descs + d.count_bits, 4, "prb_desc_ring.count_bits");
  const uint64_t size_bits = number(data + layout_.prb_data_ring.size_bits, 4, "prb_data_ring.size_bits");
  if (count_bits == 0 || count_bits > kMostCountBits || size_bits < 3 || size_bits > kMostSizeBits)
    throw FormatError(
        fmt::format("the log's ring at {:#x} has 2^{} descriptors and 2^{} bytes of text: no kernel's "
                    "has, so that memory is damaged",
                    at.value, count_bits, size_bits),
        at.value);
  ring_.count = uint64_t{1} << count_bits;
  ring_.data_size = uint64_t{1} << size_bits;
  ring_.descs = VirtAddr{number(descs + d.descs, word_, "prb_desc_ring.descs")};
  ring_.infos = VirtAddr{number(descs + d.infos, word_, "prb_desc_ring.infos")};
  ring_.data = VirtAddr{number(data + layout_.prb_data_ring.data, word_, "prb_data_ring.data")};
  ring_.tail_id = number(descs + d.tail_id + layout_.counter, word_, "prb_desc_ring.tail_id") & id_mask_;
  ring_.head_id = number(descs + d.head_id + layout_.counter, word_, "prb_desc_ring.head_id") & id_mask_;
}

// Goes through `count` descriptors from `first_id` on, in pieces that do not wrap.
void Reader::walk(uint64_t first_id, uint64_t count) {
  const uint64_t chunk = std::clamp(kChunkBytes / layout_.prb_desc.size, uint64_t{1}, kChunk);
  uint64_t missing = 0;  // chunks in a row
  for (uint64_t done = 0; done < count;) {
    const uint64_t index = (first_id + done) & (ring_.count - 1);
    const uint64_t piece = std::min({count - done, chunk, ring_.count - index});
    missing = walk_chunk((first_id + done) & id_mask_, index, piece) ? 0 : missing + 1;
    done += piece;
    if (missing < kMostMissingChunks) continue;
    add_damage(log_, kMissingDescriptors, count - done);
    log_.cut = true;
    return;
  }
}

// False where none of the descriptors is in the image.
bool Reader::walk_chunk(uint64_t first_id, uint64_t index, uint64_t count) {
  const uint64_t desc_size = layout_.prb_desc.size;
  const uint64_t info_size = layout_.printk_info.size;
  const PrintkWindow descs(read_, ring_.descs + index * desc_size, count * desc_size);
  if (descs.empty()) {
    add_damage(log_, kMissingDescriptors, count);
    return false;
  }
  std::optional<PrintkWindow> infos;
  for (uint64_t i = 0; i < count; ++i) {
    const auto desc = descs.bytes(i * desc_size, desc_size);
    const auto state_var = word_in(desc, layout_.prb_desc.state_var);
    if (!state_var) {
      add_damage(log_, "its descriptor is not in the image");
      continue;
    }
    // Without a sound head and tail the id is what the descriptor says, if that belongs where it is.
    const uint64_t id = ids_known_ ? (first_id + i) & id_mask_ : *state_var & id_mask_;
    if (!ids_known_ && (id & (ring_.count - 1)) != index + i) continue;
    if (!is_readable(id, *state_var)) continue;
    if (!infos) infos.emplace(read_, ring_.infos + index * info_size, count * info_size);
    const auto info = infos->bytes(i * info_size, info_size);
    if (info.empty())
      add_damage(log_, fmt::format("the printk_info of id {:#x} is not in the image", id));
    else
      take_record(id, desc, info);
  }
  return true;
}

// Whether the descriptor holds a record with this id that has been written.
bool Reader::is_readable(uint64_t id, uint64_t state_var) {
  const auto state = static_cast<State>(state_var >> (word_ * 8 - 2) & 3);
  const uint64_t has = state_var & id_mask_;
  if (has != id) {
    // head_id moves on before the descriptor is taken: until then it is unused, or what was there one round
    // ago.
    const bool before =
        state_var == 0 || (state == State::reusable && has == ((id - ring_.count) & id_mask_));
    if (before)
      ++log_.unfinished;
    else
      add_damage(log_, fmt::format("the descriptor of id {:#x} has id {:#x}", id, has));
    return false;
  }
  // Of a reusable one the text has been overwritten already: older than what is left, no damage.
  if (state == State::reserved) ++log_.unfinished;
  return state == State::committed || state == State::finalized;
}

void Reader::take_record(uint64_t id, std::span<const std::byte> desc, std::span<const std::byte> info) {
  const uint64_t at = layout_.prb_desc.text_blk_lpos;
  const Block block{word_in(desc, at + layout_.prb_data_blk_lpos.begin).value_or(0),
                    word_in(desc, at + layout_.prb_data_blk_lpos.next).value_or(0)};
  PrintkRecord record;
  record.seq = number_in(info, layout_.printk_info.seq, 8, order_);
  // Ids and sequence numbers are given out together, both from a multiple of the count on.
  if (((*record.seq - id) & (ring_.count - 1)) != 0)
    return add_damage(log_,
                      fmt::format("the record with id {:#x} says that it is number {}", id, *record.seq));
  const bool dataless = (block.begin & 1) != 0 && (block.next & 1) != 0;
  if (dataless && (block.begin != kNoText || block.next != kNoText)) {
    ++log_.textless;
    return;
  }
  if (!dataless) {
    auto text = text_of(id, block, *number_in(info, layout_.printk_info.text_len, 2, order_));
    if (!text) return;
    record.text = std::move(*text);
  }
  add_info(record, info);
  log_.records.push_back(std::move(record));
}

void Reader::add_info(PrintkRecord& record, std::span<const std::byte> info) const {
  const auto& layout = layout_.printk_info;
  record.ts_nsec = number_in(info, layout.ts_nsec, 8, order_);
  // struct printk_info has `u8 facility; u8 flags:5; u8 level:3;` behind text_len. They are not exported.
  record.facility = static_cast<uint8_t>(*number_in(info, layout.text_len + 2, 1, order_));
  record.level = level_of(static_cast<uint8_t>(*number_in(info, layout.text_len + 3, 1, order_)), order_);
  record.caller_id = static_cast<uint32_t>(*number_in(info, layout.caller_id, 4, order_));
  const auto& device = layout_.dev_printk_info;
  const auto dev_info = info.subspan(layout.dev_info, device.size);
  record.subsystem = as_text(dev_info.subspan(device.subsystem, device.subsystem_length));
  record.device = as_text(dev_info.subspan(device.device, device.device_length));
}

std::optional<std::string> Reader::text_of(uint64_t id, const Block& block, uint64_t length) {
  const auto bytes = text_bytes(id, block);
  if (!bytes) return std::nullopt;
  if (length > bytes->size()) {
    add_damage(log_,
               fmt::format("the record with id {:#x} says that its text has {} bytes, of which {} are there",
                           id, length, bytes->size()));
    length = bytes->size();
  }
  return std::string(reinterpret_cast<const char*>(bytes->data()), length);
}

// What is in the record's data block behind the id with which each block begins, padding included.
std::optional<std::span<const std::byte>> Reader::text_bytes(uint64_t id, const Block& block) {
  const uint64_t size_mask = ring_.data_size - 1;
  const auto fail = [&](const char* why) {
    add_damage(log_, fmt::format("the text of the record with id {:#x} {}", id, why));
    return std::nullopt;
  };
  if (block.begin % word_ != 0 || block.next % word_ != 0) return fail("is nowhere");
  const uint64_t size = (block.next - block.begin) & word_mask_;
  if (size <= word_ - 1 || size > ring_.data_size) return fail("has a size that does not fit its ring");
  // A block that would go beyond the ring's end is at its start instead; one that just fits is not moved.
  const bool wraps = (block.begin & size_mask) + size > ring_.data_size;
  const uint64_t offset = wraps ? 0 : block.begin & size_mask;
  const uint64_t stored = wraps ? block.next & size_mask : size;
  if (stored < word_) return fail("has no room in its ring");
  // Each block has bytes of its own, so that all of them together are no more than the ring.
  text_taken_ += stored;
  if (text_taken_ > ring_.data_size) return fail("overlaps others");
  block_.resize(stored);
  if (read_(ring_.data + offset, block_) != stored) return fail("is not in the image");
  if (word_in(block_, 0) != id) return fail("is another record's");
  return std::span<const std::byte>(block_).subspan(word_);
}

void Reader::find_clear() {
  if (!layout_.clear) return;
  const auto& clear = *layout_.clear;
  VirtAddr at = clear.clear_seq;
  try {
    if (clear.latched_val) {
      const uint64_t latch = number(at, 4, "clear_seq");
      at += *clear.latched_val + 8 * (latch & 1);
    }
    const uint64_t first = number(at, 8, "clear_seq");
    const auto found = std::find_if(log_.records.begin(), log_.records.end(),
                                    [&](const PrintkRecord& record) { return *record.seq >= first; });
    log_.first_since_clear = static_cast<size_t>(found - log_.records.begin());
  } catch (const FormatError&) {
    // Not in the image: then it is not known.
  }
}

}  // namespace

PrintkLog read_printk_ring(const VirtReader& read, const PrintkRingLayout& layout) {
  return Reader(read, layout).take();
}

}  // namespace kvista::decode
