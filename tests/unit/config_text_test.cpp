#include "decode/config_text.h"

#include <gtest/gtest.h>

namespace kvista::decode {
namespace {

constexpr std::string_view kText =
    "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.12.57 Kernel Configuration\n#\n"
    "CONFIG_CC_VERSION_TEXT=\"gcc (Debian 14.2.0) = 14\"\n"
    "CONFIG_X86_64=y\n"
    "CONFIG_NET=m\r\n"
    "CONFIG_PHYSICAL_START=0x1000000\n"
    "CONFIG_PAGE_SHIFT=12\n"
    "# CONFIG_RANDOMIZE_MEMORY is not set\n"
    "# end of Processor type and features\n"
    "CONFIG_NR_CPUS=64\n"
    "CONFIG_NR_CPUS=8192";

TEST(ConfigText, Options) {
  const ConfigText config(kText);
  EXPECT_EQ(config.version(), "6.12.57");
  EXPECT_EQ(config.size(), 7U);
  EXPECT_EQ(config.value("CC_VERSION_TEXT"), "gcc (Debian 14.2.0) = 14");
  EXPECT_TRUE(config.is_on("X86_64"));
  EXPECT_FALSE(config.is_off("X86_64"));
  EXPECT_EQ(config.value("NET"), "m");
  EXPECT_FALSE(config.is_on("NET"));
  EXPECT_EQ(config.number("PHYSICAL_START"), 0x1000000U);
  EXPECT_EQ(config.number("PAGE_SHIFT"), 12U);
  EXPECT_TRUE(config.is_off("RANDOMIZE_MEMORY"));
  EXPECT_EQ(config.number("NR_CPUS"), 8192U) << "the last line wins";
}

// An option without a line may not exist in that kernel: it is neither on nor off.
TEST(ConfigText, WhatNoLineSays) {
  const ConfigText config(kText);
  EXPECT_FALSE(config.is_on("X86_5LEVEL"));
  EXPECT_FALSE(config.is_off("X86_5LEVEL"));
  EXPECT_FALSE(config.value("X86_5LEVEL"));
  EXPECT_FALSE(config.number("X86_64")) << "no number";
}

TEST(ConfigText, Versions) {
  EXPECT_EQ(ConfigText("# Linux/x86_64 4.19.0 Kernel Configuration\n").version(), "4.19.0");
  EXPECT_EQ(ConfigText("# Linux/arm64 6.1.0-rc3 Kernel Configuration").version(), "6.1.0-rc3");
  EXPECT_EQ(ConfigText("# Another Kernel Configuration\nCONFIG_A=y\n").version(), "");
}

TEST(ConfigText, Nonsense) {
  for (const char* text :
       {"", "\n\n", "CONFIG_", "CONFIG_=y", "CONFIG_A B=y", "A=y", "#CONFIG_A is not set",
        "# CONFIG_ is not set", "# is not set", "CONFIG_A", "\"", "# Kernel Configuration"})
    EXPECT_EQ(ConfigText(text).size(), 0U) << text;
  EXPECT_EQ(ConfigText("CONFIG_A=\"").value("A"), "\"");
  EXPECT_EQ(ConfigText("CONFIG_A=").value("A"), "");
  EXPECT_FALSE(ConfigText("CONFIG_A=0x\n").number("A"));
  EXPECT_FALSE(ConfigText("CONFIG_A=99999999999999999999\n").number("A"));
}

}  // namespace
}  // namespace kvista::decode
