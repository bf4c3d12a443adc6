// The messages of a kernel's log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvista::decode {

/// One message of the kernel's log. What a form of the log does not hold is nothing.
struct PrintkRecord {
  std::optional<uint64_t> seq;        ///< its number since boot
  std::optional<uint64_t> ts_nsec;    ///< since boot
  std::optional<uint8_t> facility;    ///< as syslog(3) numbers them
  std::optional<uint8_t> level;       ///< 0 (emerg) to 7 (debug)
  std::optional<uint32_t> caller_id;  ///< a thread's number; with bit 31 set that of a CPU
  std::string text;                   ///< the message as it was written, any bytes
  std::string subsystem, device;      ///< which device it is about; empty for none
};

/// The log, and what of it could not be had.
struct PrintkLog {
  std::vector<PrintkRecord> records;  ///< oldest first
  /// The first record that was written after the log was last cleared; nothing where that is not known.
  std::optional<size_t> first_since_clear;
  uint64_t damaged = 0;     ///< records that are not sound, or not in the image
  std::string why_damaged;  ///< of the first of these: a clause
  bool cut = false;         ///< how many records follow the damage cannot be told
  uint64_t unfinished = 0;  ///< records that were being written
  uint64_t textless = 0;    ///< records for whose text the kernel had no room
};

}  // namespace kvista::decode
