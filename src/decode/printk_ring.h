// The kernel's log since 5.10: a ring of descriptors and a ring of text (kernel/printk/printk_ringbuffer.c).
#pragma once

#include "base/address.h"
#include "base/reader.h"
#include "decode/printk_log.h"
#include "decode/printk_memory.h"

namespace kvista::decode {

/// Where everything is; sizes and offsets in bytes, as VMCOREINFO exports them.
struct PrintkRingLayout {
  WordFormat words;
  VirtAddr prb;  ///< of the pointer to the struct printk_ringbuffer that is in use

  struct {
    uint64_t size = 0, desc_ring = 0, text_data_ring = 0;
  } printk_ringbuffer;
  struct {
    uint64_t size = 0, count_bits = 0, descs = 0, infos = 0, head_id = 0, tail_id = 0;
  } prb_desc_ring;
  struct {
    uint64_t size = 0, size_bits = 0, data = 0;
  } prb_data_ring;
  struct {
    uint64_t size = 0, state_var = 0, text_blk_lpos = 0;
  } prb_desc;
  struct {
    uint64_t size = 0, begin = 0, next = 0;
  } prb_data_blk_lpos;
  /// 88 bytes; 112 where the kernel also notes the command's name (CONFIG_PRINTK_EXECUTION_CTX).
  struct {
    uint64_t size = 0, seq = 0, ts_nsec = 0, text_len = 0, caller_id = 0, dev_info = 0;
  } printk_info;
  struct {
    uint64_t size = 0, subsystem = 0, subsystem_length = 0, device = 0, device_length = 0;
  } dev_printk_info;
  uint64_t counter = 0;  ///< atomic_long_t.counter

  /// The sequence number of the first record after the log was last cleared.
  struct Clear {
    VirtAddr clear_seq;
    /// latched_seq.val: two values, of which the latch's lowest bit chooses one (since 5.12);
    /// nothing where clear_seq is a plain number.
    std::optional<uint64_t> latched_val;
  };
  std::optional<Clear> clear;
};

/// The records of the ring, as far as they are sound. Throws FormatError where the ring itself cannot be read
/// or is of a size that no ring has.
PrintkLog read_printk_ring(const VirtReader& read, const PrintkRingLayout& layout);

}  // namespace kvista::decode
