#include "arch/arm64/registers.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/endian.h"

namespace kvista::arch::arm64 {
namespace {

// Each register has a number of its own in its place.
std::vector<std::byte> numbered(size_t size, size_t from, size_t count) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < count; ++i) store<uint64_t>(&bytes[from + i * 8], 0x100 + i, ByteOrder::little);
  return bytes;
}

std::vector<std::byte> code(std::initializer_list<uint32_t> instructions) {
  std::vector<std::byte> bytes(instructions.size() * 4);
  size_t at = 0;
  for (const uint32_t one : instructions) store(&bytes[4 * at++], one, ByteOrder::little);
  return bytes;
}

TEST(Arm64RegistersTest, PtRegs) {
  const auto bytes = numbered(kRegistersSize, 0, 36);
  const auto registers = parse_registers(bytes);
  ASSERT_TRUE(registers);
  EXPECT_EQ((*registers)[Reg::x0], 0x100U);
  EXPECT_EQ((*registers)[Reg::x30], 0x11eU);
  EXPECT_EQ(registers->fp(), 0x11dU);
  EXPECT_EQ(registers->sp(), 0x11fU);
  EXPECT_EQ(registers->ip(), 0x120U);
  EXPECT_EQ((*registers)[Reg::pstate], 0x121U);
  EXPECT_EQ((*registers)[Reg::orig_x0], 0x122U);
  EXPECT_EQ((*registers)[Reg::syscallno], 0x123U);
  EXPECT_TRUE(registers->has_all());
  EXPECT_FALSE(parse_registers(std::span(bytes).first(kRegistersSize - 8)));
}

// Offsets of struct elf_prstatus, counted by hand from include/linux/elfcore.h.
TEST(Arm64RegistersTest, PrStatus) {
  const auto bytes = numbered(kPrStatusSize, 112, 34);
  const auto registers = parse_prstatus(bytes);
  ASSERT_TRUE(registers);
  EXPECT_EQ(registers->ip(), 0x120U);
  EXPECT_TRUE(registers->has(Reg::pstate));
  EXPECT_FALSE(registers->has(Reg::syscallno)) << "no note has it";
  EXPECT_FALSE(registers->has_all());
  for (const size_t size : {size_t{0}, size_t{100}, size_t{391}})
    EXPECT_FALSE(parse_prstatus(std::span(bytes).first(size))) << size;
}

TEST(Arm64RegistersTest, KernelAndUser) {
  Registers registers{&kRegisterSet};
  for (const auto& [pstate, is_user] : {std::pair{0x60001000U, true},      // EL0t
                                        std::pair{0x60000010U, true},      // 32 bits
                                        std::pair{0x60400005U, false},     // EL1h
                                        std::pair{0x60400009U, false}}) {  // EL2h, with VHE
    registers.put(Reg::pstate, pstate);
    EXPECT_EQ(registers.is_user(), is_user) << std::hex << pstate;
  }
}

TEST(Arm64RegistersTest, Signatures) {
  constexpr uint64_t kMask48 = ~uint64_t{0} << 48;
  EXPECT_EQ(strip_signature(0xffff800080001234, kMask48), 0xffff800080001234U);
  EXPECT_EQ(strip_signature(0x12b4800080001234, kMask48), 0xffff800080001234U)
      << "bit 55 says it is the kernel's";
  EXPECT_EQ(strip_signature(0x1234800080001234, kMask48), 0x1234800080001234U) << "of user mode";
  EXPECT_EQ(strip_signature(0x12bf800080001234, 0), 0x12bf800080001234U);
}

// As GNU as assembles them.
TEST(Arm64RegistersTest, Calls) {
  for (const uint32_t call : {0x94000001U, 0x97ffffffU,   // bl
                              0xd63f0000U, 0xd63f03c0U,   // blr x0, blr x30
                              0xd63f081fU, 0xd63f0c1fU,   // blraaz x0, blrabz x0
                              0xd73f0801U, 0xd73f0c01U})  // blraa x0, x1; blrab x0, x1
    EXPECT_TRUE(is_call(call)) << std::hex << call;
  for (const uint32_t other : {0x14000001U,                // b
                               0xd61f0000U, 0xd65f03c0U,   // br x0, ret
                               0xd65f0bffU, 0x00000000U})  // retaa, udf
    EXPECT_FALSE(is_call(other)) << std::hex << other;
}

TEST(Arm64RegistersTest, FrameRecords) {
  constexpr uint32_t kSign = 0xd503233f, kStore = 0xa9be7bfd, kMake = 0x910003fd, kMakeAbove = 0x910083fd;
  constexpr uint32_t kLeave = 0xa8c27bfd, kLoad = 0xa9427bfd, kCheck = 0xd50323bf, kNop = 0xd503201f;
  constexpr uint32_t kRet = 0xd65f03c0, kRetAuthenticated = 0xd65f0bff, kJump = 0x14000010;
  EXPECT_FALSE(has_frame_record({})) << "at the first instruction";
  EXPECT_FALSE(has_frame_record(code({kSign, kStore})));
  EXPECT_TRUE(has_frame_record(code({kSign, kStore, kMake})));
  EXPECT_TRUE(has_frame_record(code({kSign, kStore, kMakeAbove, kNop})));
  EXPECT_FALSE(has_frame_record(code({kMake, kNop, kLeave, kCheck})));
  EXPECT_FALSE(has_frame_record(code({kMake, kNop, kLoad})));
  for (const uint32_t away : {kRet, kRetAuthenticated, kJump})
    EXPECT_TRUE(has_frame_record(code({kMake, kNop, kLeave, kCheck, away, kNop}))) << std::hex << away;
  EXPECT_FALSE(has_frame_record(code({kNop, kRet, kNop}))) << "one that calls nothing";
}

}  // namespace
}  // namespace kvista::arch::arm64
