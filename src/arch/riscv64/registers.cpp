#include "arch/riscv64/registers.h"

#include <array>

#include "base/cursor.h"

namespace kvista::arch::riscv64 {
namespace {

constexpr uint64_t kPrStatusRegisters = 112;  // pr_reg of struct elf_prstatus
constexpr uint64_t kSupervisor = 0x100;       // SR_PP: where the trap came from
constexpr size_t kNoted = 32;

constexpr std::array<std::string_view, kRegCount> kNames = {
    "EPC", "RA", "SP",  "GP",  "TP", "T0", "T1", "T2", "S0",     "S1",      "A0",    "A1",
    "A2",  "A3", "A4",  "A5",  "A6", "A7", "S2", "S3", "S4",     "S5",      "S6",    "S7",
    "S8",  "S9", "S10", "S11", "T3", "T4", "T5", "T6", "STATUS", "BADADDR", "CAUSE", "ORIG_A0"};

// Notes have no status: then the address tells, which is the kernel's in the upper half.
bool is_user(const Registers& registers) {
  if (registers.has(Reg::status)) return (registers[Reg::status] & kSupervisor) == 0;
  return registers.ip() >> 63 == 0;
}

std::optional<Registers> parse_first(std::span<const std::byte> bytes, size_t count) {
  Cursor in(bytes, ByteOrder::little);
  Registers registers{&kRegisterSet};
  for (size_t i = 0; i < count; ++i) registers.put(i, in.u64());
  return in.ok() ? std::optional(registers) : std::nullopt;
}

// One instruction, of 2 or 4 bytes.
struct Instruction {
  uint32_t bits = 0;
  size_t size = 0;
};
Instruction instruction_at(std::span<const std::byte> code) {
  if (code.size() < 2) return {};
  const auto half = load<uint16_t>(code.data(), ByteOrder::little);
  if ((half & 3) != 3) return {half, 2};
  if (code.size() < 4) return {};
  return {load<uint32_t>(code.data(), ByteOrder::little), 4};
}

// "sd ra, N(sp)" and "ld ra, N(sp)", and the short forms of each.
bool stores_ra(const Instruction& one) {
  return one.size == 2 ? (one.bits & 0xe07f) == 0xe006 : (one.bits & 0x01fff07f) == 0x00113023;
}
bool loads_ra(const Instruction& one) {
  return one.size == 2 ? (one.bits & 0xef83) == 0x6082 : (one.bits & 0x000fffff) == 0x00013083;
}
// "addi s0, sp, N".
bool makes_frame_pointer(const Instruction& one) {
  return one.size == 2 ? (one.bits & 0xe01f) == 0 && one.bits != 0 : (one.bits & 0x000fffff) == 0x00010413;
}
// "ld s0, N(sp)".
bool loads_s0(const Instruction& one) {
  return one.size == 2 ? (one.bits & 0xef83) == 0x6402 : (one.bits & 0x000fffff) == 0x00013403;
}
// "ret", "j", "jr": what stands behind is other code.
bool goes_away(const Instruction& one) {
  if (one.size == 2) return (one.bits & 0xf07f) == 0x8002 || (one.bits & 0xe003) == 0xa001;
  return (one.bits & 0x00000fff) == 0x0000006f || (one.bits & 0x00007fff) == 0x00000067;
}

}  // namespace

constinit const RegisterSet kRegisterSet{kNames, static_cast<uint8_t>(Reg::epc),
                                         static_cast<uint8_t>(Reg::sp), static_cast<uint8_t>(Reg::s0),
                                         is_user};

std::optional<Registers> parse_registers(std::span<const std::byte> bytes) {
  return parse_first(bytes, kRegCount);
}

std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor) {
  if (descriptor.size() < kPrStatusSize) return std::nullopt;
  return parse_first(descriptor.subspan(kPrStatusRegisters), kNoted);
}

bool ends_with_call(std::span<const std::byte> code) {
  if (code.size() >= 4) {
    const auto bits = load<uint32_t>(&code[code.size() - 4], ByteOrder::little);
    if ((bits & 0xfff) == 0x0ef || (bits & 0x7fff) == 0x00e7) return true;
  }
  if (code.size() < 2) return false;
  const auto half = load<uint16_t>(&code[code.size() - 2], ByteOrder::little);
  return (half & 0xf07f) == 0x9002 && (half & 0x0f80) != 0;
}

Prologue prologue_of(std::span<const std::byte> code) {
  Prologue made;
  Prologue now;
  for (size_t at = 0; at < code.size();) {
    const Instruction one = instruction_at(code.subspan(at));
    if (one.size == 0) break;
    at += one.size;
    if (stores_ra(one)) made.has_return_address = now.has_return_address = true;
    if (makes_frame_pointer(one)) made.has_frame_pointer = now.has_frame_pointer = true;
    if (loads_ra(one)) now.has_return_address = false;
    if (loads_s0(one)) now.has_frame_pointer = false;
    if (goes_away(one)) now = made;
  }
  return now;
}

}  // namespace kvista::arch::riscv64
