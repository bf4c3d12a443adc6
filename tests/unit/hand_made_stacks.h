// Memory and code of a kernel as a test says them, and what it asks of a trace.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/endian.h"
#include "unwind/trace.h"

namespace kvista::unwind {

/// A `Base` with words, zeros where none was put, and with functions of 4 KiB each in its code.
template <typename Base>
class HandMadeMemory : public Base {
 public:
  HandMadeMemory(uint64_t code, uint64_t code_end, ByteOrder order = ByteOrder::little)
      : code_(code), code_end_(code_end), order_(order) {}

  std::string read(VirtAddr address, std::span<std::byte> out) const override {
    for (size_t i = 0; i < out.size(); ++i) {
      const uint64_t at = address.value + i;
      if (missing.contains(at & ~uint64_t{0xfff})) return fmt::format("{:#x} is excluded", at);
      const auto word = words.find(at & ~uint64_t{7});
      const uint64_t byte = order_ == ByteOrder::little ? at & 7 : 7 - (at & 7);
      out[i] = static_cast<std::byte>((word == words.end() ? 0 : word->second) >> (8 * byte));
    }
    return {};
  }
  bool is_code(VirtAddr address) const override {
    return address.value >= code_ && address.value < code_end_;
  }
  std::optional<VirtAddr> function_of(VirtAddr address) const override {
    return is_code(address) ? std::optional(VirtAddr{address.value & ~uint64_t{0xfff}}) : std::nullopt;
  }

  void put(uint64_t at, uint64_t value) { words[at] = value; }
  template <typename Registers>
  void put_registers(uint64_t at, const Registers& all, size_t count) {
    for (size_t i = 0; i < count; ++i) put(at + i * 8, all.values.at(i));
  }

  std::map<uint64_t, uint64_t> words;
  std::set<uint64_t> missing;  // pages

 private:
  uint64_t code_, code_end_;
  ByteOrder order_;
};

inline std::vector<uint64_t> addresses(const Trace& trace) {
  std::vector<uint64_t> all;
  for (const Frame& frame : trace.frames) all.push_back(frame.address.value);
  return all;
}

inline std::vector<Means> means(const Trace& trace) {
  std::vector<Means> all;
  for (const Frame& frame : trace.frames) all.push_back(frame.means);
  return all;
}

}  // namespace kvista::unwind
