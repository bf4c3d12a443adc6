#include "images/architecture.h"

#include <fmt/format.h>

#include <array>

namespace kvista::test {

std::span<const Architecture* const> all_architectures() {
  static constexpr std::array kAll = {&kX86, &kArm64, &kRiscv64, &kS390x};
  return kAll;
}

std::string hex(uint64_t value) {
  return fmt::format("{:#x}", value);
}

std::string range_text(const Range& range) {
  return fmt::format("{:#x}-{:#x}", range.start, range.end - 1);
}

std::pair<std::string, std::string> hex_number(std::string_view name, uint64_t value) {
  return {fmt::format("NUMBER({})", name), hex(value)};
}

std::pair<std::string, std::string> number(std::string_view name, uint64_t value) {
  return {fmt::format("NUMBER({})", name), fmt::to_string(static_cast<int64_t>(value))};
}

}  // namespace kvista::test
