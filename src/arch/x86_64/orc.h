// ORC: what the kernel's tables say of how to get from a function to its caller
// (arch/x86/include/asm/orc_types.h; Documentation/arch/x86/orc-unwinder.rst). Pure functions on bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace kvista::arch::x86_64 {

/// The forms that struct orc_entry has had, by the kernel that brought them. Distributions take them back to
/// older kernels, so that a version tells nothing.
enum class OrcFormat : uint8_t {
  v4_14,  ///< the first (ee9f8fce9964); `end` came with d31a580266ee (4.19)
  v6_3,   ///< with `signal` (ffb1b4a41016)
  v6_4,   ///< types of their own for the end and for what is not known (fb799447ae29)
  v7_1,   ///< registers have other numbers (1735858caa4b)
};
const char* describe(OrcFormat format);

/// What an offset counts from.
enum class OrcBase : uint8_t {
  undefined,
  previous_sp,  ///< the stack pointer of the caller, before it called
  ax,
  dx,
  di,
  bp,
  sp,
  r10,
  r13,
  bp_indirect,  ///< what is in memory at bp plus the offset
  sp_indirect,  ///< what is in memory at sp; then the offset
  unknown,      ///< a number that has no meaning
};

enum class OrcType : uint8_t {
  undefined,          ///< nothing is known of this code
  end_of_stack,       ///< nobody called it
  call,               ///< it was called
  registers,          ///< a whole struct pt_regs is there
  partial_registers,  ///< only what the CPU pushed: ip to ss
  unknown,            ///< a number that has no meaning
};

struct OrcEntry {
  OrcType type = OrcType::undefined;
  OrcBase sp_base = OrcBase::undefined;
  OrcBase bp_base = OrcBase::undefined;
  int16_t sp_offset = 0;
  int16_t bp_offset = 0;
  /// The frame that is found by it was interrupted: its address is that of an instruction. Else it is one to
  /// which a call returns.
  bool is_signal = false;

  friend bool operator==(const OrcEntry&, const OrcEntry&) = default;
};

inline constexpr uint64_t kOrcEntrySize = 6;
inline constexpr uint64_t kOrcHashSize = 20;

/// By the hash of the declarations that the kernel was built with, in its section .orc_header
/// (b9f174c811e3, 6.4). Nothing for one that is not known.
std::optional<OrcFormat> orc_format_of_hash(std::span<const std::byte> hash);
/// By the kernel's own entry for code that keeps frame pointers, orc_fp_entry (ae6a45a08689, 5.2), whose
/// meaning is known. `has_signal`: struct orc_entry has that member. Nothing where it is not that entry in
/// any form.
std::optional<OrcFormat> orc_format_of_sample(std::span<const std::byte> entry, bool has_signal);
/// Nothing where there are too few bytes.
std::optional<OrcEntry> decode_orc(std::span<const std::byte> bytes, OrcFormat format);

}  // namespace kvista::arch::x86_64
