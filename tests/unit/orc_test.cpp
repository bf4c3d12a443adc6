#include "arch/x86_64/orc.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/endian.h"

namespace kvista::arch::x86_64 {
namespace {

constexpr std::array kFormats = {OrcFormat::v4_14, OrcFormat::v6_3, OrcFormat::v6_4, OrcFormat::v7_1};

std::vector<std::byte> entry(int16_t sp_offset, int16_t bp_offset, uint16_t flags) {
  std::vector<std::byte> bytes(kOrcEntrySize);
  store(bytes.data(), static_cast<uint16_t>(sp_offset), ByteOrder::little);
  store(bytes.data() + 2, static_cast<uint16_t>(bp_offset), ByteOrder::little);
  store(bytes.data() + 4, flags, ByteOrder::little);
  return bytes;
}

OrcEntry decoded(unsigned flags, OrcFormat format) {
  return *decode_orc(entry(0, 0, static_cast<uint16_t>(flags)), format);
}

// Each number of a register, as arch/x86/include/asm/orc_types.h has them.
TEST(OrcTest, RegistersOfTheFirstForms) {
  constexpr std::array kBases = {OrcBase::undefined,   OrcBase::previous_sp, OrcBase::dx,  OrcBase::di,
                                 OrcBase::bp,          OrcBase::sp,          OrcBase::r10, OrcBase::r13,
                                 OrcBase::bp_indirect, OrcBase::sp_indirect};
  for (const OrcFormat format : {OrcFormat::v4_14, OrcFormat::v6_3, OrcFormat::v6_4})
    for (unsigned number = 0; number < kBases.size(); ++number) {
      EXPECT_EQ(decoded(number, format).sp_base, kBases.at(number)) << describe(format) << " " << number;
      EXPECT_EQ(decoded(number << 4, format).bp_base, kBases.at(number)) << number;
    }
  EXPECT_EQ(decoded(10, OrcFormat::v6_4).sp_base, OrcBase::ax) << "as stable kernels took it back";
}

TEST(OrcTest, RegistersSince7_1) {
  constexpr std::array kBases = {OrcBase::undefined,   OrcBase::ax,         OrcBase::dx,
                                 OrcBase::sp,          OrcBase::bp,         OrcBase::di,
                                 OrcBase::r10,         OrcBase::r13,        OrcBase::previous_sp,
                                 OrcBase::sp_indirect, OrcBase::bp_indirect};
  for (unsigned number = 0; number < kBases.size(); ++number)
    EXPECT_EQ(decoded(number, OrcFormat::v7_1).sp_base, kBases.at(number)) << number;
}

TEST(OrcTest, NumbersWithoutAMeaning) {
  for (const OrcFormat format : kFormats)
    for (unsigned number = 11; number < 16; ++number)
      EXPECT_EQ(decoded(number, format).sp_base, OrcBase::unknown) << describe(format) << " " << number;
}

TEST(OrcTest, TypesOfTheFirstForms) {
  constexpr uint16_t kSp = 5;
  for (const OrcFormat format : {OrcFormat::v4_14, OrcFormat::v6_3}) {
    EXPECT_EQ(decoded(kSp, format).type, OrcType::call);
    EXPECT_EQ(decoded(kSp | 1 << 8, format).type, OrcType::registers);
    EXPECT_EQ(decoded(kSp | 2 << 8, format).type, OrcType::partial_registers);
    EXPECT_EQ(decoded(kSp | 3 << 8, format).type, OrcType::unknown);
    EXPECT_EQ(decoded(0, format).type, OrcType::undefined);
  }
  EXPECT_EQ(decoded(1 << 10, OrcFormat::v4_14).type, OrcType::end_of_stack);
  EXPECT_EQ(decoded(1 << 11, OrcFormat::v6_3).type, OrcType::end_of_stack);
  EXPECT_EQ(decoded(1 << 10, OrcFormat::v6_3).type, OrcType::undefined) << "this bit is `signal` there";
}

TEST(OrcTest, TypesSince6_4) {
  constexpr std::array kTypes = {
      OrcType::undefined,         OrcType::end_of_stack, OrcType::call,    OrcType::registers,
      OrcType::partial_registers, OrcType::unknown,      OrcType::unknown, OrcType::unknown};
  for (const OrcFormat format : {OrcFormat::v6_4, OrcFormat::v7_1})
    for (unsigned number = 0; number < kTypes.size(); ++number)
      EXPECT_EQ(decoded(number << 8, format).type, kTypes.at(number)) << number;
}

TEST(OrcTest, WhatWasInterrupted) {
  EXPECT_FALSE(decoded(5, OrcFormat::v4_14).is_signal);
  EXPECT_TRUE(decoded(5 | 1 << 8, OrcFormat::v4_14).is_signal)
      << "before the bit all registers were an interrupt's";
  EXPECT_TRUE(decoded(5 | 2 << 8, OrcFormat::v4_14).is_signal);
  EXPECT_FALSE(decoded(5 | 1 << 8, OrcFormat::v6_3).is_signal);
  EXPECT_TRUE(decoded(5 | 1 << 8 | 1 << 10, OrcFormat::v6_3).is_signal);
  for (const OrcFormat format : {OrcFormat::v6_4, OrcFormat::v7_1}) {
    EXPECT_FALSE(decoded(3 << 8, format).is_signal);
    EXPECT_TRUE(decoded(3 << 8 | 1 << 11, format).is_signal);
  }
}

TEST(OrcTest, OffsetsHaveASign) {
  const auto one = decode_orc(entry(-0x8000, -16, 0x0215), OrcFormat::v6_4);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->sp_offset, -0x8000);
  EXPECT_EQ(one->bp_offset, -16);
}

TEST(OrcTest, CutEntries) {
  const auto bytes = entry(8, 0, 0x0205);
  for (const OrcFormat format : kFormats)
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_orc(std::span(bytes).first(size), format)) << size;
}

std::vector<std::byte> hash(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

// As scripts/orc_hash.sh makes them of each kernel's orc_types.h.
TEST(OrcTest, FormByHash) {
  EXPECT_EQ(orc_format_of_hash(hash("db84aed4103b31dd51e017f8f79783ca985c2c51")), OrcFormat::v6_3);
  EXPECT_EQ(orc_format_of_hash(hash("fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24")), OrcFormat::v6_4);
  EXPECT_EQ(orc_format_of_hash(hash("137c36ad7627c4dd55932176bb0ecdbd5041fc82")), OrcFormat::v7_1);
  EXPECT_FALSE(orc_format_of_hash(hash("137c36ad7627c4dd55932176bb0ecdbd5041fc83")));
  EXPECT_FALSE(orc_format_of_hash(hash("fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe"))) << "cut";
  EXPECT_FALSE(orc_format_of_hash({}));
}

TEST(OrcTest, FormBySample) {
  EXPECT_EQ(orc_format_of_sample(entry(16, -16, 0x0014), false), OrcFormat::v4_14);
  EXPECT_EQ(orc_format_of_sample(entry(16, -16, 0x0014), true), OrcFormat::v6_3);
  EXPECT_EQ(orc_format_of_sample(entry(16, -16, 0x0214), true), OrcFormat::v6_4);
  EXPECT_EQ(orc_format_of_sample(entry(16, -16, 0x0284), true), OrcFormat::v7_1);
  EXPECT_FALSE(orc_format_of_sample(entry(16, -16, 0x0284), false)) << "the types contradict it";
  EXPECT_FALSE(orc_format_of_sample(entry(16, -8, 0x0214), true)) << "another entry";
  EXPECT_FALSE(orc_format_of_sample(entry(8, -16, 0x0214), true));
  const auto bytes = entry(16, -16, 0x0214);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(orc_format_of_sample(std::span(bytes).first(size), true)) << size;
}

// What the sample says of itself: by frame pointer, in its own form.
TEST(OrcTest, SamplesMeanWhatTheyAreTakenFor) {
  for (const auto& [flags, format] :
       {std::pair{0x0014, OrcFormat::v4_14}, std::pair{0x0014, OrcFormat::v6_3},
        std::pair{0x0214, OrcFormat::v6_4}, std::pair{0x0284, OrcFormat::v7_1}}) {
    const auto one = decode_orc(entry(16, -16, static_cast<uint16_t>(flags)), format);
    EXPECT_EQ(one, (OrcEntry{OrcType::call, OrcBase::bp, OrcBase::previous_sp, 16, -16, false}))
        << describe(format);
  }
}

}  // namespace
}  // namespace kvista::arch::x86_64
