// The kernel's log from 3.5 to 5.9: records of different lengths, one behind the other, in a buffer that
// wraps (kernel/printk/printk.c).
#pragma once

#include "base/address.h"
#include "base/reader.h"
#include "decode/printk_log.h"
#include "decode/printk_memory.h"

namespace kvista::decode {

struct PrintkRecordsLayout {
  WordFormat words;
  VirtAddr log_buf;      ///< of the pointer to the buffer
  VirtAddr log_buf_len;  ///< this and the indices: of u32
  VirtAddr first_idx, next_idx;
  std::optional<VirtAddr> clear_idx;
  /// struct printk_log (struct log until 3.10): the head of each record.
  struct {
    uint64_t size = 0, ts_nsec = 0, len = 0, text_len = 0, dict_len = 0;
  } head;
};

/// The records of the buffer, up to the first that is not sound. Throws FormatError where the buffer itself
/// cannot be read or is of a size that no buffer has.
PrintkLog read_printk_records(const VirtReader& read, const PrintkRecordsLayout& layout);

}  // namespace kvista::decode
