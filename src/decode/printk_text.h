// The kernel's log until 3.4: nothing but text, in a buffer that wraps.
#pragma once

#include "base/address.h"
#include "base/reader.h"
#include "decode/printk_log.h"
#include "decode/printk_memory.h"

namespace kvista::decode {

struct PrintkTextLayout {
  WordFormat words;
  VirtAddr log_buf;                             ///< of the pointer to the buffer
  VirtAddr log_buf_len, log_end, logged_chars;  ///< of 4 bytes each
};

/// The lines of the buffer: a record each, with the level and the time that its text begins with. Throws
/// FormatError where the buffer cannot be read or is of a size that no buffer has.
PrintkLog read_printk_text(const VirtReader& read, const PrintkTextLayout& layout);

}  // namespace kvista::decode
