#include "arch/x86_64/qemu_cpu.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/endian.h"

namespace kvista::arch::x86_64 {
namespace {

// Offsets of QEMUCPUState, counted by hand from target/i386/arch_dump.c.
constexpr size_t kIdtBase = 384;
constexpr size_t kCr0 = 392;
constexpr size_t kCr3 = 416;
constexpr size_t kCr4 = 424;

std::vector<std::byte> descriptor(uint64_t cr0, uint64_t cr3, uint64_t cr4) {
  std::vector<std::byte> bytes(kQemuCpuSize, std::byte{0x5a});
  store<uint32_t>(bytes.data(), 1, ByteOrder::little);
  store<uint32_t>(bytes.data() + 4, 440, ByteOrder::little);
  store<uint64_t>(bytes.data() + kIdtBase, 0xfffffe0000000000, ByteOrder::little);
  store(bytes.data() + kCr0, cr0, ByteOrder::little);
  store(bytes.data() + kCr3, cr3, ByteOrder::little);
  store(bytes.data() + kCr4, cr4, ByteOrder::little);
  return bytes;
}

TEST(QemuCpuTest, Registers) {
  const auto cpu = parse_qemu_cpu(descriptor(0x80050033, 0x80000000017db805, 0x751ef0));
  ASSERT_TRUE(cpu);
  EXPECT_EQ(cpu->idt.value, 0xfffffe0000000000U);
  EXPECT_TRUE(cpu->is_paging());
  EXPECT_EQ(cpu->levels(), 5U);
  EXPECT_EQ(cpu->root().value, 0x17db000U) << "without PCID and the bit that keeps the TLB";
  EXPECT_EQ(cpu->kernel_half().value, 0x17da000U);
  EXPECT_EQ(parse_qemu_cpu(descriptor(0x80050033, 0x1000, 0x750ef0))->levels(), 4U);
}

TEST(QemuCpuTest, CpuThatWasNeverStarted) {
  EXPECT_FALSE(parse_qemu_cpu(descriptor(0x60000010, 0, 0))->is_paging());
  EXPECT_FALSE(parse_qemu_cpu(descriptor(0x80050033, 0, 0x751ef0))->is_paging());
  EXPECT_FALSE(parse_qemu_cpu(descriptor(0x80050033, 0x1000, 0))->is_paging()) << "32 bits without PAE";
}

TEST(QemuCpuTest, WhatIsNoSuchNote) {
  auto bytes = descriptor(0x80050033, 0x1000, 0x751ef0);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(parse_qemu_cpu(std::span(bytes).first(size))) << size;
  bytes[0] = std::byte{2};
  EXPECT_FALSE(parse_qemu_cpu(bytes)) << "another version";
  bytes[0] = std::byte{1};
  store<uint32_t>(bytes.data() + 4, 439, ByteOrder::little);
  EXPECT_FALSE(parse_qemu_cpu(bytes)) << "shorter than what is read";
}

}  // namespace
}  // namespace kvista::arch::x86_64
