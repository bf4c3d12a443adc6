#include "arch/x86_64/registers.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/endian.h"

namespace kvista::arch::x86_64 {
namespace {

constexpr size_t kQemuSize = 440;

// Each register has a number of its own in its place.
std::vector<std::byte> numbered(size_t size, size_t from, size_t count) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < count; ++i) store<uint64_t>(&bytes[from + i * 8], 0x100 + i, ByteOrder::little);
  return bytes;
}

TEST(RegistersTest, PtRegs) {
  const auto bytes = numbered(kRegistersSize, 0, kRegCount);
  const auto registers = parse_registers(bytes);
  ASSERT_TRUE(registers);
  EXPECT_EQ((*registers)[Reg::r15], 0x100U);
  EXPECT_EQ((*registers)[Reg::bp], 0x104U);
  EXPECT_EQ((*registers)[Reg::orig_ax], 0x10fU);
  EXPECT_EQ((*registers)[Reg::ip], 0x110U);
  EXPECT_EQ((*registers)[Reg::sp], 0x113U);
  EXPECT_EQ((*registers)[Reg::ss], 0x114U);
  EXPECT_FALSE(parse_registers(std::span(bytes).first(kRegistersSize - 1)));
}

TEST(RegistersTest, WhatTheCpuPushes) {
  auto bytes = numbered(40, 0, 5);
  store<uint64_t>(&bytes[8], 0xabcd000000000033, ByteOrder::little);
  const auto registers = parse_interrupt_frame(bytes);
  ASSERT_TRUE(registers);
  EXPECT_EQ((*registers)[Reg::ip], 0x100U);
  EXPECT_EQ((*registers)[Reg::sp], 0x103U);
  EXPECT_EQ((*registers)[Reg::cs], 0x33U) << "what FRED says above the selector is not it";
  EXPECT_EQ((*registers)[Reg::ax], 0U);
  EXPECT_TRUE(registers->is_user());
  EXPECT_FALSE(parse_interrupt_frame(std::span(bytes).first(39)));
}

TEST(RegistersTest, KernelAndUser) {
  Registers registers;
  EXPECT_FALSE(registers.is_user());
  registers[Reg::cs] = 0x10;
  EXPECT_FALSE(registers.is_user());
  registers[Reg::cs] = 0x33;
  EXPECT_TRUE(registers.is_user());
}

TEST(RegistersTest, PrStatus) {
  const auto bytes = numbered(kPrStatusSize, 112, kRegCount);
  const auto registers = parse_prstatus(bytes);
  ASSERT_TRUE(registers);
  EXPECT_EQ((*registers)[Reg::ip], 0x110U);
  EXPECT_FALSE(parse_prstatus(std::span(bytes).first(kPrStatusSize - 1)));
  EXPECT_FALSE(parse_prstatus({}));
}

// Offsets of QEMUCPUState, counted by hand from target/i386/arch_dump.c.
TEST(RegistersTest, QemuNote) {
  auto bytes = numbered(kQemuSize, 8, 18);
  store<uint32_t>(bytes.data(), 1, ByteOrder::little);
  store<uint32_t>(&bytes[4], kQemuSize, ByteOrder::little);
  store<uint32_t>(&bytes[152], 0x10, ByteOrder::little);
  store<uint32_t>(&bytes[272], 0x18, ByteOrder::little);
  const auto registers = parse_qemu_registers(bytes);
  ASSERT_TRUE(registers);
  EXPECT_EQ((*registers)[Reg::ax], 0x100U);
  EXPECT_EQ((*registers)[Reg::sp], 0x106U);
  EXPECT_EQ((*registers)[Reg::bp], 0x107U);
  EXPECT_EQ((*registers)[Reg::r15], 0x10fU);
  EXPECT_EQ((*registers)[Reg::ip], 0x110U);
  EXPECT_EQ((*registers)[Reg::flags], 0x111U);
  EXPECT_EQ((*registers)[Reg::cs], 0x10U);
  EXPECT_EQ((*registers)[Reg::ss], 0x18U);
  for (size_t size = 0; size < 276; ++size)
    EXPECT_FALSE(parse_qemu_registers(std::span(bytes).first(size))) << size;
  bytes[0] = std::byte{2};
  EXPECT_FALSE(parse_qemu_registers(bytes)) << "another version";
}

}  // namespace
}  // namespace kvista::arch::x86_64
