#include "cli/log_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kvista/fact.h"

namespace kvista::cli {
namespace {

constexpr uint64_t kNanoseconds = 1000000000;
constexpr uint32_t kCallerIsCpu = 0x80000000;

constexpr std::array<std::string_view, 8> kLevels = {"emerg", "alert",  "crit", "err",
                                                     "warn",  "notice", "info", "debug"};
// As util-linux's dmesg names them; 12 to 15 belong to nobody.
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "res0",   "res1",   "res2",   "res3",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};

// The length of the UTF-8 character that `text` begins with; 0 where it is none, or one that controls a
// terminal (C1).
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Longer forms than needed, surrogates, and what is beyond the last character.
  constexpr unsigned char kAfterFirst = 0x90, kSurrogates = 0xa0;
  if (byte(0) == 0xe0 && byte(1) < 0xa0) return 0;
  if (byte(0) == 0xed && byte(1) >= kSurrogates) return 0;
  if (byte(0) == 0xf0 && byte(1) < kAfterFirst) return 0;
  if (byte(0) == 0xf4 && byte(1) >= kAfterFirst) return 0;
  if (byte(0) == 0xc2 && byte(1) < 0xa0) return 0;
  return length;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    size_t length = 1;
    if (first >= 0x80) length = character_length(text);
    const bool control = (first < 0x20 && first != '\t') || first == 0x7f;
    if (length == 0 || control) {
      out += fmt::format("\\x{:02x}", first);
      length = 1;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string prefix_of(const decode::PrintkRecord& record, const LogStyle& style) {
  std::string prefix;
  if (style.decode)
    prefix = fmt::format("{:<6}:{:<6}: ", record.facility ? facility_name(*record.facility) : "",
                         record.level ? level_name(*record.level) : "");
  const auto wall = style.booted ? wall_time(record, *style.booted) : std::nullopt;
  if (wall)
    prefix += fmt::format("[{}]", *wall);
  else if (record.ts_nsec)
    prefix +=
        fmt::format("[{:5}.{:06}]", *record.ts_nsec / kNanoseconds, *record.ts_nsec % kNanoseconds / 1000);
  const bool caller = style.caller && record.caller_id;
  if (caller) prefix += fmt::format("[{:>6}]", caller_name(*record.caller_id));
  if (record.ts_nsec || caller) prefix += ' ';
  return prefix;
}

}  // namespace

std::string format_record(const decode::PrintkRecord& record, const LogStyle& style) {
  const std::string prefix = prefix_of(record, style);
  std::string out;
  std::string_view rest = record.text;
  for (bool first = true;; first = false) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    out += fmt::format("{}{}{}", first ? "" : "\n", prefix, printable(rest.substr(0, end)));
    if (end == rest.size()) return out;
    rest.remove_prefix(end + 1);
  }
}

std::string_view level_name(uint8_t level) {
  return level < kLevels.size() ? kLevels[level] : std::string_view{};
}

std::optional<uint8_t> level_by_name(std::string_view name) {
  const auto* const at = std::find(kLevels.begin(), kLevels.end(), name);
  if (at == kLevels.end()) return std::nullopt;
  return static_cast<uint8_t>(at - kLevels.begin());
}

std::string_view facility_name(uint8_t facility) {
  return facility < kFacilities.size() ? kFacilities[facility] : std::string_view{};
}

std::string caller_name(uint32_t caller_id) {
  return fmt::format("{}{}", (caller_id & kCallerIsCpu) != 0 ? 'C' : 'T', caller_id & ~kCallerIsCpu);
}

std::optional<std::string> wall_time(const decode::PrintkRecord& record, int64_t booted) {
  if (!record.ts_nsec) return std::nullopt;
  const uint64_t at = static_cast<uint64_t>(booted) + *record.ts_nsec;
  return machine::format(at / kNanoseconds, machine::Form::time);
}

}  // namespace kvista::cli
