// Times as people read them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace kvista::cli {

/// "1 day, 02:03:04", or without days "02:03:04".
inline std::string duration_text(uint64_t seconds) {
  constexpr uint64_t kDay = 86400;
  const uint64_t days = seconds / kDay;
  const std::string clock =
      fmt::format("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
  return days == 0 ? clock : fmt::format("{} day{}, {}", days, days == 1 ? "" : "s", clock);
}

/// "  0 02:03:04.005": days, and the clock with milliseconds, as crash has it.
inline std::string exact_duration_text(uint64_t nanoseconds) {
  constexpr uint64_t kDay = 86400;
  constexpr uint64_t kSecond = 1'000'000'000;
  constexpr uint64_t kMillisecond = 1'000'000;
  const uint64_t seconds = nanoseconds / kSecond;
  return fmt::format("{:3} {}.{:03}", seconds / kDay, duration_text(seconds % kDay),
                     nanoseconds / kMillisecond % 1000);
}

}  // namespace kvista::cli
