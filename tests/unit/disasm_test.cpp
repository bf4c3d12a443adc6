#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "disasm/decoder.h"

namespace kvista::disasm {
namespace {

constexpr uint16_t kX86 = 62;
constexpr VirtAddr kPlace{0xffffffff81000000};

std::vector<std::byte> bytes_of(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

Instruction one(const std::string& hex, uint16_t machine = kX86, ByteOrder order = ByteOrder::little) {
  const auto bytes = bytes_of(hex);
  return *Decoder(machine, order).decode(bytes, kPlace);
}

std::string text_of(const std::string& hex, uint16_t machine = kX86, ByteOrder order = ByteOrder::little) {
  const Instruction found = one(hex, machine, order);
  return found.operands.empty() ? found.mnemonic : found.mnemonic + " " + found.operands;
}

TEST(Disasm, JumpsAndCallsSayWhereTheyGo) {
  const Instruction call = one("e8fb000000");
  EXPECT_EQ(call.mnemonic, "callq");
  EXPECT_EQ(call.target, kPlace + 0x100);
  EXPECT_EQ(one("74f0").target, kPlace - 14);
  EXPECT_EQ(one("ffe0").target, std::nullopt);  // jmp *%rax
  EXPECT_EQ(one("48c7c000000082").target, std::nullopt);
}

TEST(Disasm, MemoryRelativeToTheInstruction) {
  EXPECT_EQ(one("488b0511000000").memory, kPlace + 7 + 0x11);
  EXPECT_EQ(one("488b05f0ffffff").memory, kPlace + 7 - 0x10);
  EXPECT_EQ(one("65488b0511000000").memory, std::nullopt);  // %gs:
  EXPECT_EQ(one("488b4511").memory, std::nullopt);
}

TEST(Disasm, WhatCapstoneLacks) {
  EXPECT_EQ(text_of("f30f1efa"), "endbr64");
  EXPECT_EQ(text_of("f30f01ca"), "eretu");
  EXPECT_EQ(text_of("f20f01ca"), "erets");
  EXPECT_EQ(text_of("0f01ca"), "clac");
  EXPECT_EQ(text_of("0f01e8"), "serialize");
  EXPECT_EQ(text_of("f20f00f7"), "lkgs %edi");
  EXPECT_EQ(text_of("f30fc7f8"), "rdpid %rax");
  EXPECT_EQ(text_of("660faef1"), "tpause %ecx");
  EXPECT_EQ(text_of("67480fb93a"), "ud1 (%edx), %rdi");
  EXPECT_EQ(one("67480fb93a").size, 5U);
  EXPECT_EQ(text_of("670fb94010"), "ud1 0x10(%eax), %eax");
  EXPECT_EQ(text_of("670fb98010203040"), "ud1 0x40302010(%eax), %eax");
  EXPECT_EQ(text_of("0fb9c1"), "ud1 %rcx, %eax");
}

TEST(Disasm, NumbersWithoutSign) {
  EXPECT_EQ(text_of("4881ff00000082"), "cmpq $0xffffffff82000000, %rdi");
}

TEST(Disasm, BadBytesAreOneByteEach) {
  const Decoder decoder(kX86, ByteOrder::little);
  const auto all = decoder.decode_all(bytes_of("d6d6909090"), kPlace, 4);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_TRUE(all[0].is_bad());
  EXPECT_TRUE(all[1].is_bad());
  EXPECT_EQ(all[2].mnemonic, "nop");
  EXPECT_EQ(all[3].address, kPlace + 3);
}

TEST(Disasm, AnInstructionThatIsCutIsBad) {
  for (const char* const hex :
       {"e8", "e800", "488b05", "0f", "0fb9", "67480fb9", "0fb980102030", "f30f01", "67"}) {
    const Instruction cut = one(hex);
    EXPECT_TRUE(cut.is_bad()) << hex;
    EXPECT_EQ(cut.size, 1U) << hex;
  }
  EXPECT_EQ(Decoder(kX86, ByteOrder::little).decode({}, kPlace), std::nullopt);
}

TEST(Disasm, NoLengthOfBytesIsTooLong) {
  const Decoder decoder(kX86, ByteOrder::little);
  for (unsigned first = 0; first < 256; ++first) {
    std::vector<std::byte> bytes(64, static_cast<std::byte>(first));
    uint64_t sum = 0;
    for (const Instruction& each : decoder.decode_all(bytes, kPlace, 1000)) {
      EXPECT_GE(each.size, 1U);
      EXPECT_LE(each.size, decoder.longest());
      sum += each.size;
    }
    EXPECT_EQ(sum, bytes.size()) << first;
  }
}

TEST(Disasm, OtherArchitectures) {
  constexpr uint16_t kArm64 = 183;
  constexpr uint16_t kPpc64 = 21;
  constexpr uint16_t kS390 = 22;
  EXPECT_EQ(one("40000094", kArm64).target, kPlace + 0x100);  // bl
  EXPECT_EQ(one("48000101", kPpc64, ByteOrder::big).target, kPlace + 0x100);
  EXPECT_EQ(one("01010048", kPpc64).target, kPlace + 0x100);
  EXPECT_EQ(one("c0e500000080", kS390, ByteOrder::big).target, kPlace + 0x100);  // brasl
  EXPECT_EQ(one("00000000", kArm64).size, 4U);
}

TEST(Disasm, ArchitecturesThatAreNotKnown) {
  EXPECT_THROW(Decoder(243, ByteOrder::little), Unsupported);
  EXPECT_THROW(Decoder(8, ByteOrder::big), Unsupported);
}

}  // namespace
}  // namespace kvista::disasm
