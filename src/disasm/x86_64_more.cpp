#include "disasm/x86_64_more.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace kvista::disasm {
namespace {

// Intel's Software Developer's Manual volume 2, AMD's Architecture Programmer's Manual volume 3.
struct Fixed {
  std::array<uint8_t, 5> bytes;
  unsigned size;
  const char* mnemonic;
  const char* registers = "";  // e, r: the last byte's lowest 3 bits say which, of 32 or 64 bits
};
constexpr std::array kFixed = {
    Fixed{{0xf3, 0x0f, 0x01, 0xca}, 4, "eretu"},
    Fixed{{0xf2, 0x0f, 0x01, 0xca}, 4, "erets"},
    Fixed{{0x0f, 0x01, 0xe8}, 3, "serialize"},
    Fixed{{0xf3, 0x0f, 0x01, 0xe8}, 4, "setssbsy"},
    Fixed{{0xf3, 0x0f, 0x01, 0xea}, 4, "saveprevssp"},
    Fixed{{0x0f, 0x01, 0xc6}, 3, "wrmsrns"},
    Fixed{{0x0f, 0x01, 0xca}, 3, "clac"},
    Fixed{{0x0f, 0x01, 0xee}, 3, "rdpkru"},
    Fixed{{0x0f, 0x01, 0xef}, 3, "wrpkru"},
    Fixed{{0x0f, 0x01, 0xfa}, 3, "monitorx"},
    Fixed{{0x0f, 0x01, 0xfb}, 3, "mwaitx"},
    Fixed{{0x0f, 0x01, 0xfc}, 3, "clzero"},
    Fixed{{0x0f, 0x01, 0xfe}, 3, "invlpgb"},
    Fixed{{0x0f, 0x01, 0xff}, 3, "tlbsync"},
    Fixed{{0xf3, 0x0f, 0x01, 0xd9}, 4, "vmgexit"},
    Fixed{{0xf2, 0x0f, 0x01, 0xd9}, 4, "vmgexit"},
    Fixed{{0xf2, 0x0f, 0x01, 0xff}, 4, "pvalidate"},
    Fixed{{0xf3, 0x0f, 0x01, 0xff}, 4, "psmash"},
    Fixed{{0xf3, 0x0f, 0x01, 0xfe}, 4, "rmpadjust"},
    Fixed{{0xf2, 0x0f, 0x01, 0xfe}, 4, "rmpupdate"},
    Fixed{{0x66, 0x0f, 0x01, 0xcc}, 4, "tdcall"},
    Fixed{{0x66, 0x0f, 0x01, 0xcf}, 4, "seamcall"},
    Fixed{{0xf3, 0x0f, 0x01, 0xee}, 4, "clui"},
    Fixed{{0xf3, 0x0f, 0x01, 0xef}, 4, "stui"},
    Fixed{{0xf2, 0x0f, 0x00, 0xf0}, 4, "lkgs", "e"},
    Fixed{{0xf3, 0x0f, 0xc7, 0xf8}, 4, "rdpid", "r"},
    Fixed{{0x66, 0x0f, 0xae, 0xf0}, 4, "tpause", "e"},
    Fixed{{0xf2, 0x0f, 0xae, 0xf0}, 4, "umwait", "e"},
    Fixed{{0xf3, 0x0f, 0xae, 0xf0}, 4, "umonitor", "r"},
    Fixed{{0xf3, 0x48, 0x0f, 0xae, 0xe8}, 5, "incsspq", "r"},
    Fixed{{0xf3, 0x48, 0x0f, 0x1e, 0xc8}, 5, "rdsspq", "r"},
};

constexpr std::array<std::string_view, 8> kRegisters = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
constexpr unsigned kRegisterBits = 7;

std::string register_name(char width, unsigned number) {
  return fmt::format("%{}{}", width, kRegisters.at(number & kRegisterBits));
}

bool fits(const Fixed& one, std::span<const std::byte> bytes) {
  if (bytes.size() < one.size) return false;
  const unsigned free_bits = *one.registers != '\0' ? kRegisterBits : 0;
  for (size_t i = 0; i < one.size; ++i) {
    const unsigned mask = i + 1 == one.size ? ~free_bits : ~0U;
    if ((std::to_integer<unsigned>(bytes[i]) & mask) != one.bytes.at(i)) return false;
  }
  return true;
}

// UD1 has operands, though it never looks at them: since 6.8 (7424fc6b86c8) and 7.0 the kernel says with them
// what is wrong. Capstone 4 takes it for two bytes.
std::optional<Instruction> decode_ud1(std::span<const std::byte> bytes, VirtAddr address) {
  const auto byte = [&](size_t i) { return i < bytes.size() ? std::to_integer<unsigned>(bytes[i]) : 0; };
  size_t at = 0;
  const bool is_short = byte(at) == 0x67;
  if (is_short) ++at;
  const bool is_wide = (byte(at) & 0xf8) == 0x48;
  if (is_wide || (byte(at) & 0xf0) == 0x40) ++at;
  if (byte(at) != 0x0f || byte(at + 1) != 0xb9) return std::nullopt;
  const unsigned modrm = byte(at + 2);
  at += 3;
  const unsigned mode = modrm >> 6;
  const unsigned base = modrm & kRegisterBits;
  if (mode != 3 && base == 4) ++at;  // SIB
  const unsigned wide_offset = mode == 2 || (mode == 0 && base == 5) ? 4 : 0;
  const unsigned offset_size = mode == 1 ? 1 : wide_offset;
  if (at + offset_size > bytes.size()) return Instruction{address, 1, kBad, ""};
  uint32_t offset = 0;
  for (unsigned i = 0; i < offset_size; ++i) offset |= byte(at + i) << (8 * i);
  std::string memory = register_name(is_short ? 'e' : 'r', base);
  if (mode != 3) memory = fmt::format("{}({})", offset == 0 ? "" : fmt::format("{:#x}", offset), memory);
  const std::string other = register_name(is_wide ? 'r' : 'e', modrm >> 3);
  return Instruction{address, static_cast<unsigned>(at + offset_size), "ud1", memory + ", " + other};
}

}  // namespace

std::optional<Instruction> decode_x86_more(std::span<const std::byte> bytes, VirtAddr address) {
  const auto* const found =
      std::find_if(kFixed.begin(), kFixed.end(), [&](const Fixed& one) { return fits(one, bytes); });
  if (found == kFixed.end()) return decode_ud1(bytes, address);
  Instruction instruction{address, found->size, found->mnemonic, ""};
  if (*found->registers != '\0')
    instruction.operands =
        register_name(*found->registers, std::to_integer<unsigned>(bytes[found->size - 1]));
  return instruction;
}

}  // namespace kvista::disasm
