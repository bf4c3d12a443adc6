#include "arch/s390x/registers.h"

#include <algorithm>
#include <array>

#include "base/cursor.h"

namespace kvista::arch::s390x {
namespace {

constexpr uint64_t kPrStatusRegisters = 112;           // pr_reg of struct elf_prstatus
constexpr uint64_t kProblemState = uint64_t{1} << 48;  // PSW_MASK_PSTATE
constexpr size_t kNoted = 18;

constexpr std::array<std::string_view, kRegCount> kNames = {
    "PSWM", "PSWA", "R0",  "R1",  "R2",  "R3",  "R4",  "R5",        "R6",       "R7",           "R8",
    "R9",   "R10",  "R11", "R12", "R13", "R14", "R15", "ORIG_GPR2", "INT_CODE", "INT_PARM_LONG"};

bool is_user(const Registers& registers) {
  return (registers[Reg::psw_mask] & kProblemState) != 0;
}

Registers read_noted(Cursor& in) {
  Registers registers{&kRegisterSet};
  for (size_t i = 0; i < kNoted; ++i) registers.put(i, in.u64());
  return registers;
}

// One instruction, of 2, 4 or 6 bytes, which its first two bits tell.
struct Instruction {
  uint64_t bits = 0;
  size_t size = 0;

  uint64_t field(unsigned shift) const { return bits >> shift & 0xf; }
  /// Of the longest: its first and its last byte.
  uint64_t operation() const { return bits >> 40 << 8 | (bits & 0xff); }
  /// Of the longest: 20 bits with a sign, the upper 8 of which stand behind.
  int64_t displacement() const {
    const uint64_t value = (bits >> 8 & 0xff) << 12 | (bits >> 16 & 0xfff);
    return static_cast<int64_t>(value ^ 0x80000) - 0x80000;
  }
};
Instruction instruction_at(std::span<const std::byte> code) {
  constexpr std::array<size_t, 4> kSizes = {2, 4, 4, 6};
  if (code.empty()) return {};
  const size_t size = kSizes.at(static_cast<size_t>(code[0]) >> 6);
  if (code.size() < size) return {};
  Instruction one{0, size};
  for (size_t i = 0; i < size; ++i) one.bits = one.bits << 8 | static_cast<uint64_t>(code[i]);
  return one;
}

constexpr uint64_t kR14 = 14;
constexpr uint64_t kR15 = 15;

// "aghi %r15,N", "la %r15,N(%r15)" and "lay %r15,N(%r15)": by how much they move the stack pointer.
int64_t move_of(const Instruction& one) {
  if (one.size == 4 && one.bits >> 16 == 0xa7fb) return static_cast<int16_t>(one.bits & 0xffff);
  if (one.size == 4 && one.bits >> 12 == 0x41f0f) return static_cast<int64_t>(one.bits & 0xfff);
  return one.size == 6 && one.bits >> 28 == 0xe3f0f && one.operation() == 0xe371 ? one.displacement() : 0;
}
// "stg %r14,D(%r15)", and "stmg %rN,%rM,D(%r15)" with r14 among them: where they put it, from r15 on.
std::optional<int64_t> place_of_r14(const Instruction& one) {
  if (one.size != 6 || one.field(28) != kR15) return std::nullopt;
  const uint64_t first = one.field(36);
  const bool stores = one.operation() == 0xe324
                          ? first == kR14
                          : one.operation() == 0xeb24 && first <= kR14 && one.field(32) >= kR14;
  return stores ? std::optional(one.displacement() + static_cast<int64_t>((kR14 - first) * 8)) : std::nullopt;
}
bool stores_back_chain(const Instruction& one, const FrameLayout& layout) {
  return one.size == 6 && one.operation() == 0xe324 && one.field(32) == 0 && one.field(28) == kR15 &&
         one.displacement() == static_cast<int64_t>(layout.back_chain);
}
// "lmg %rN,%r15,D(%r15)" and "lg %r15,D(%r15)".
bool loads_r15(const Instruction& one) {
  if (one.size != 6 || one.field(28) != kR15) return false;
  if (one.operation() == 0xeb04) return one.field(32) == kR15;
  return one.operation() == 0xe304 && one.field(36) == kR15 && one.field(32) == 0;
}
// "lgr %r15,%rN": back from another stack (call_on_stack() of asm/stacktrace.h).
bool copies_to_r15(const Instruction& one) {
  return one.size == 4 && one.bits >> 4 == 0xb90400f;
}
// "br %rN", "j", "jg": what stands behind is other code.
bool goes_away(const Instruction& one) {
  if (one.size == 2) return one.bits >> 4 == 0x07f && one.field(0) != 0;
  return one.size == 4 ? one.bits >> 16 == 0xa7f4 : one.bits >> 32 == 0xc0f4;
}

}  // namespace

constinit const RegisterSet kRegisterSet{kNames, static_cast<uint8_t>(Reg::psw_addr),
                                         static_cast<uint8_t>(Reg::r15), static_cast<uint8_t>(Reg::r15),
                                         is_user};

std::optional<Registers> parse_registers(std::span<const std::byte> bytes) {
  Cursor in(bytes, ByteOrder::big);
  Registers registers = read_noted(in);
  registers.put(Reg::orig_gpr2, in.u64());
  registers.put(Reg::int_code, in.u32());
  in.skip(4);  // int_parm, of external interrupts
  registers.put(Reg::int_parm_long, in.u64());
  return in.ok() ? std::optional(registers) : std::nullopt;
}

std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor) {
  if (descriptor.size() < kPrStatusSize) return std::nullopt;
  Cursor in(descriptor.subspan(kPrStatusRegisters), ByteOrder::big);
  return read_noted(in);
}

bool ends_with_call(std::span<const std::byte> code) {
  const auto starts = [&](size_t size, uint16_t first) {
    return code.size() >= size && load<uint16_t>(&code[code.size() - size], ByteOrder::big) == first;
  };
  if (starts(6, 0xc0e5) || starts(4, 0xa7e5)) return true;
  if (code.size() < 2) return false;
  const auto last = load<uint16_t>(&code[code.size() - 2], ByteOrder::big);
  return (last & 0xfff0) == 0x0de0 && (last & 0xf) != 0;
}

Prologue prologue_of(std::span<const std::byte> code, const FrameLayout& layout) {
  Prologue made;
  Prologue now;
  for (size_t at = 0; at < code.size();) {
    const Instruction one = instruction_at(code.subspan(at));
    if (one.size == 0) break;
    at += one.size;
    if (place_of_r14(one) == now.size + static_cast<int64_t>(layout.return_address))
      now.has_return_address = true;
    if (stores_back_chain(one, layout) && now.size != 0) now.has_back_chain = true;
    now.size = std::max<int64_t>(now.size - move_of(one), 0);
    if (now.size == 0) now.has_back_chain = false;
    // An epilogue does not undo what was made for the code behind it.
    if (now.has_back_chain || (now.size == 0 && !made.has_back_chain)) made = now;
    if (loads_r15(one)) now = {};
    if (copies_to_r15(one) || goes_away(one)) now = made;
  }
  return now;
}

}  // namespace kvista::arch::s390x
