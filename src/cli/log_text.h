// A record of the kernel's log as dmesg prints it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "decode/printk_log.h"

namespace kvista::cli {

struct LogStyle {
  bool decode = false;  ///< "kern  :info  : " first
  bool caller = false;  ///< "[    T1]" behind the time
  /// When the kernel booted, in nanoseconds since 1970: times are then those of the clock on the wall.
  std::optional<int64_t> booted;
};

/// The record's lines, each with the same prefix, as syslog(2) gives them; without the last line's end.
/// Control characters and bytes that are no UTF-8 are written as \xHH, as by dmesg(1): the text is not to
/// command a terminal.
std::string format_record(const decode::PrintkRecord& record, const LogStyle& style);

/// "emerg" ... "debug"; an empty text for other numbers.
std::string_view level_name(uint8_t level);
std::optional<uint8_t> level_by_name(std::string_view name);
/// "kern", "user" ...; an empty text for other numbers.
std::string_view facility_name(uint8_t facility);
/// "T123" for a thread, "C1" for a CPU, as the kernel writes it.
std::string caller_name(uint32_t caller_id);
/// "2026-11-23T18:19:17Z" of the record; nothing where it has no time.
std::optional<std::string> wall_time(const decode::PrintkRecord& record, int64_t booted);

}  // namespace kvista::cli
