#include "arch/x86_64/registers.h"

#include "base/cursor.h"

namespace kvista::arch::x86_64 {
namespace {

constexpr uint64_t kPrStatusRegisters = 112;  // pr_reg of struct elf_prstatus
constexpr uint32_t kQemuVersion = 1;
constexpr uint64_t kQemuSegment = 24;     // struct QEMUCPUSegment
constexpr unsigned kSegmentsBetween = 4;  // between cs and ss: ds, es, fs, gs
constexpr uint64_t kSelector = 0xffff;
constexpr uint64_t kNoSystemCall = ~uint64_t{0};  // what orig_ax is outside of one

constexpr std::array<std::string_view, kRegCount> kNames = {
    "R15", "R14", "R13", "R12", "RBP",      "RBX", "R11", "R10",    "R9",  "R8", "RAX",
    "RCX", "RDX", "RSI", "RDI", "ORIG_RAX", "RIP", "CS",  "RFLAGS", "RSP", "SS"};

// QEMU's own order (target/i386/arch_dump.c).
constexpr std::array kQemuOrder = {Reg::ax,  Reg::bx,  Reg::cx,  Reg::dx,  Reg::si,  Reg::di,
                                   Reg::sp,  Reg::bp,  Reg::r8,  Reg::r9,  Reg::r10, Reg::r11,
                                   Reg::r12, Reg::r13, Reg::r14, Reg::r15, Reg::ip,  Reg::flags};

bool is_user_set(const arch::Registers& registers) {
  return own_registers(registers).is_user();
}

arch::Registers any_from(const Registers& own, size_t first) {
  arch::Registers registers{&kRegisterSet};
  for (size_t i = first; i < kRegCount; ++i) registers.put(i, own.values.at(i));
  return registers;
}

std::optional<Registers> parse_from(std::span<const std::byte> bytes, size_t first) {
  Cursor in(bytes, ByteOrder::little);
  Registers registers;
  for (size_t i = first; i < kRegCount; ++i) registers.values.at(i) = in.u64();
  // Above the selectors, FRED says what came (cd19bab825bd, 6.9).
  for (const Reg selector : {Reg::cs, Reg::ss}) registers[selector] &= kSelector;
  return in.ok() ? std::optional(registers) : std::nullopt;
}

}  // namespace

constinit const RegisterSet kRegisterSet{kNames, static_cast<uint8_t>(Reg::ip), static_cast<uint8_t>(Reg::sp),
                                         static_cast<uint8_t>(Reg::bp), is_user_set};

Registers::operator arch::Registers() const {
  return any_from(*this, 0);
}

arch::Registers interrupt_frame(const Registers& registers) {
  return any_from(registers, static_cast<size_t>(Reg::ip));
}

Registers own_registers(const arch::Registers& registers) {
  Registers own;
  for (size_t i = 0; i < kRegCount; ++i) own.values.at(i) = registers.values.at(i);
  return own;
}

std::string_view name_of(Reg reg) {
  return kNames.at(static_cast<size_t>(reg));
}

std::optional<Registers> parse_registers(std::span<const std::byte> bytes) {
  return parse_from(bytes, 0);
}

std::optional<Registers> parse_interrupt_frame(std::span<const std::byte> bytes) {
  return parse_from(bytes, static_cast<size_t>(Reg::ip));
}

std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor) {
  if (descriptor.size() < kPrStatusSize) return std::nullopt;
  return parse_registers(descriptor.subspan(kPrStatusRegisters));
}

std::optional<Registers> parse_qemu_registers(std::span<const std::byte> descriptor) {
  Cursor in(descriptor, ByteOrder::little);
  const uint32_t version = in.u32();
  const uint32_t size = in.u32();
  Registers registers;
  for (const Reg reg : kQemuOrder) registers[reg] = in.u64();
  registers[Reg::cs] = in.u32();
  in.skip(kQemuSegment - 4 + kSegmentsBetween * kQemuSegment);
  registers[Reg::ss] = in.u32();
  registers[Reg::orig_ax] = kNoSystemCall;
  if (!in.ok() || version != kQemuVersion || size < in.offset()) return std::nullopt;
  return registers;
}

}  // namespace kvista::arch::x86_64
