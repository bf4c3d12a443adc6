// Machine code as instructions in text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/endian.h"

namespace kvista::disasm {

/// The mnemonic of what is no instruction.
inline constexpr const char* kBad = "(bad)";

struct Instruction {
  VirtAddr address;
  unsigned size = 0;     ///< bytes
  std::string mnemonic;  ///< as GNU's assembler has it; "(bad)" where the bytes are no instruction
  std::string operands;  ///< may be empty
  /// Where a jump or call goes, if the instruction itself says so.
  std::optional<VirtAddr> target = {};
  /// The memory that it reads or writes, if its address is in the instruction.
  std::optional<VirtAddr> memory = {};

  bool is_bad() const;
  friend bool operator==(const Instruction&, const Instruction&) = default;
};

/// Decodes the code of one architecture. For one thread.
class Decoder {
 public:
  /// Throws Unsupported where the architecture of that ELF machine (e_machine) is not known.
  Decoder(uint16_t elf_machine, ByteOrder order);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Bytes of the longest instruction.
  unsigned longest() const;
  /// The instruction at the start of `bytes`, which are at `address`. Where they are none it is "(bad)", as
  /// short as an instruction can be. Nothing of no bytes.
  std::optional<Instruction> decode(std::span<const std::byte> bytes, VirtAddr address) const;
  /// All of `bytes`, at most `most` instructions.
  std::vector<Instruction> decode_all(std::span<const std::byte> bytes, VirtAddr address, size_t most) const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace kvista::disasm
