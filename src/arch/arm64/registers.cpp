#include "arch/arm64/registers.h"

#include <array>

#include "base/cursor.h"

namespace kvista::arch::arm64 {
namespace {

constexpr uint64_t kPrStatusRegisters = 112;  // pr_reg of struct elf_prstatus
constexpr uint64_t kModeMask = 0xf;           // PSR_MODE_MASK; PSR_MODE_EL0t, and 32 bits: 0

constexpr std::array<std::string_view, kRegCount> kNames = {
    "X0",  "X1",  "X2",  "X3",  "X4",  "X5",  "X6",  "X7",  "X8",  "X9",     "X10",     "X11",
    "X12", "X13", "X14", "X15", "X16", "X17", "X18", "X19", "X20", "X21",    "X22",     "X23",
    "X24", "X25", "X26", "X27", "X28", "X29", "X30", "SP",  "PC",  "PSTATE", "ORIG_X0", "SYSCALLNO"};

bool is_user(const Registers& registers) {
  return (registers[Reg::pstate] & kModeMask) == 0;
}

Registers read_user_registers(Cursor& in) {
  Registers registers{&kRegisterSet};
  for (size_t i = 0; i <= static_cast<size_t>(Reg::pstate); ++i) registers.put(i, in.u64());
  return registers;
}

constexpr size_t kInstruction = 4;

// "add x29, sp, #N", also as "mov x29, sp": the last instruction by which a frame record is made.
constexpr bool makes_record(uint32_t instruction) {
  return (instruction & 0xffc003ff) == 0x910003fd;
}
// "ldp x29, x30, [sp, #N]" and "ldp x29, x30, [sp], #N": it is no more this function's.
constexpr bool leaves_record(uint32_t instruction) {
  return (instruction & 0xffc07fff) == 0xa9407bfd || (instruction & 0xffc07fff) == 0xa8c07bfd;
}
// After "b", "br", "ret" and the like stands other code.
constexpr bool goes_away(uint32_t instruction) {
  return (instruction & 0xfc000000) == 0x14000000 || (instruction & 0xfebff000) == 0xd61f0000;
}

}  // namespace

constinit const RegisterSet kRegisterSet{kNames, static_cast<uint8_t>(Reg::pc), static_cast<uint8_t>(Reg::sp),
                                         static_cast<uint8_t>(Reg::x29), is_user};

std::optional<Registers> parse_registers(std::span<const std::byte> bytes) {
  Cursor in(bytes, ByteOrder::little);
  Registers registers = read_user_registers(in);
  registers.put(Reg::orig_x0, in.u64());
  registers.put(Reg::syscallno, in.u32());
  return in.ok() ? std::optional(registers) : std::nullopt;
}

std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor) {
  if (descriptor.size() < kPrStatusSize) return std::nullopt;
  Cursor in(descriptor.subspan(kPrStatusRegisters), ByteOrder::little);
  const Registers registers = read_user_registers(in);
  return in.ok() ? std::optional(registers) : std::nullopt;
}

bool has_frame_record(std::span<const std::byte> code) {
  bool is_epilogue = true;  // so far nothing says that what leaves the record does not lead here
  for (size_t end = code.size(); end >= kInstruction; end -= kInstruction) {
    const auto instruction = load<uint32_t>(&code[end - kInstruction], ByteOrder::little);
    if (makes_record(instruction)) return true;
    if (is_epilogue && leaves_record(instruction)) return false;
    if (goes_away(instruction)) is_epilogue = false;
  }
  return false;
}

}  // namespace kvista::arch::arm64
