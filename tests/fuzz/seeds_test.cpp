// Runs each fuzz target over its seeds and over small damages of them, in every build.
#include "fuzz/seeds.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kvista::fuzz {
namespace {

TEST(FuzzSeeds, AreAllValid) {
  for (const Target& target : targets()) {
    const auto seeds = target.seeds();
    EXPECT_GE(seeds.size(), 2U) << target.name;
    for (const Seed& seed : seeds) EXPECT_TRUE(target.run(seed.bytes)) << target.name << ": " << seed.name;
  }
}

TEST(FuzzSeeds, AreSurvivedWhenCutAnywhere) {
  for (const Target& target : targets()) {
    for (const Seed& seed : target.seeds()) {
      const size_t step = std::max<size_t>(1, seed.bytes.size() / 500);
      for (size_t size = 0; size < seed.bytes.size(); size += step)
        target.run(std::span(seed.bytes).first(size));
    }
  }
}

TEST(FuzzSeeds, AreSurvivedWithAnyByteDamaged) {
  for (const Target& target : targets()) {
    for (Seed& seed : target.seeds()) {
      // All of what heads an input, then samples.
      const size_t step = std::max<size_t>(1, seed.bytes.size() / 500);
      for (size_t at = 0; at < seed.bytes.size(); at += at < 256 ? 1 : step) {
        for (const std::byte damage : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
          seed.bytes[at] ^= damage;
          target.run(seed.bytes);
          seed.bytes[at] ^= damage;
        }
      }
    }
  }
}

}  // namespace
}  // namespace kvista::fuzz
