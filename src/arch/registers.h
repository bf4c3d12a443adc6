// The registers of a CPU, of any architecture: numbers, and a description of what each is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kvista::arch {

struct RegisterSet;

struct Registers {
  static constexpr size_t kMost = 40;

  const RegisterSet* set = nullptr;
  std::array<uint64_t, kMost> values{};
  uint64_t known = 0;  ///< bit i: that register i has a value

  /// By the number that an architecture's own enumeration gives it.
  template <typename Reg>
  uint64_t operator[](Reg reg) const {
    return values.at(static_cast<size_t>(reg));
  }
  template <typename Reg>
  void put(Reg reg, uint64_t value) {
    values.at(static_cast<size_t>(reg)) = value;
    known |= uint64_t{1} << static_cast<size_t>(reg);
  }
  template <typename Reg>
  bool has(Reg reg) const {
    return (known >> static_cast<size_t>(reg) & 1) != 0;
  }
  bool has_all() const;
  /// Instruction pointer, stack pointer, frame pointer.
  uint64_t ip() const;
  uint64_t sp() const;
  uint64_t fp() const;
  /// Whether they are of code that is not the kernel's.
  bool is_user() const;
  friend bool operator==(const Registers&, const Registers&) = default;
};

/// What registers an architecture's kernel saves.
struct RegisterSet {
  std::span<const std::string_view> names;  ///< as people write them: "RIP", "X29"
  uint8_t ip, sp, fp;                       ///< which of them
  bool (*is_user)(const Registers& registers);
};

inline uint64_t Registers::ip() const {
  return values.at(set->ip);
}
inline uint64_t Registers::sp() const {
  return values.at(set->sp);
}
inline uint64_t Registers::fp() const {
  return values.at(set->fp);
}
inline bool Registers::is_user() const {
  return set->is_user(*this);
}
inline bool Registers::has_all() const {
  return known == (uint64_t{1} << set->names.size()) - 1;
}

}  // namespace kvista::arch
