#include "decode/module_symbols.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "images/byte_writer.h"

namespace kvista::decode {
namespace {

struct Shape {
  ByteOrder order;
  unsigned word_size;
};
constexpr Shape kShapes[] = {
    {ByteOrder::little, 8}, {ByteOrder::big, 8}, {ByteOrder::little, 4}, {ByteOrder::big, 4}};

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  test::ByteWriter out;
  out.text(text);
  return out.take();
}

// A struct elf32_sym or elf64_sym (include/uapi/linux/elf.h); what is not asked for differs from zero.
void add_symbol(test::ByteWriter& out, const Shape& shape, uint32_t name, uint64_t value, char info) {
  const auto rest = [&] {
    out.u8(static_cast<uint8_t>(info));
    out.u8(0x61);
    out.u16(0x6263);
  };
  out.u32(name);
  if (shape.word_size == 8) {
    rest();
    out.u64(value);
    out.u64(0x6465666768696a6b);
  } else {
    out.u32(static_cast<uint32_t>(value));
    out.u32(0x64656667);
    rest();
  }
}

struct Module {
  explicit Module(const Shape& its) : shape(its), out(its.order) {}
  void add(uint32_t name, uint64_t value, char info = 't') { add_symbol(out, shape, name, value, info); }

  // "t init_module 1000" of each symbol, and how many are damaged.
  std::vector<std::string> read(std::string_view names, std::string_view letters = {}, size_t cut = 0) {
    Bytes symbols = out.take();
    symbols.resize(symbols.size() - cut);
    const Bytes name_bytes = bytes_of(names);
    const Bytes letter_bytes = bytes_of(letters);
    std::vector<std::string> all;
    damaged = for_each_module_symbol(
        {symbols, name_bytes, letter_bytes, shape.order, shape.word_size}, [&](const ModuleSymbol& symbol) {
          all.push_back(std::string(1, symbol.type) + " " + std::string(symbol.name) + " " +
                        std::to_string(symbol.address.value));
        });
    return all;
  }

  Shape shape;
  test::ByteWriter out;
  size_t damaged = 0;
};

using Lines = std::vector<std::string>;
using namespace std::string_view_literals;

TEST(ModuleSymbols, AreReadInEveryShape) {
  for (const Shape& shape : kShapes) {
    Module module(shape);
    module.add(0, 0);
    module.add(1, 0xc0001000, 'x');
    module.add(7, 0xc0002000, 'x');
    EXPECT_EQ(module.read("\0start\0data\0"sv, "?Td"), (Lines{"T start 3221229568", "d data 3221233664"}))
        << "the first has no name";
    EXPECT_EQ(module.damaged, 0U);
  }
}

TEST(ModuleSymbols, AddressesHaveTheWordsSize) {
  Module module(kShapes[1]);
  module.add(0, 0xffffffffc0001000);
  EXPECT_EQ(module.read("a\0"sv), Lines{"t a 18446744072635813888"});
}

TEST(ModuleSymbols, WithoutLettersTheSymbolHasItsOwn) {
  for (const Shape& shape : kShapes) {
    Module module(shape);
    module.add(0, 1, 'D');
    module.add(0, 2, 'b');
    EXPECT_EQ(module.read("a\0"sv), (Lines{"D a 1", "b a 2"}));
    module.add(0, 1, 'D');
    module.add(0, 2, 'b');
    EXPECT_EQ(module.read("a\0"sv, "r"), (Lines{"r a 1", "b a 2"})) << "and where there are too few";
  }
}

TEST(ModuleSymbols, WhatIsNoLetterIsAQuestionMark) {
  Module module(kShapes[0]);
  for (int i = 0; i < 5; ++i) module.add(0, 1);
  EXPECT_EQ(module.read("a\0"sv, "\0 \x7f\xff~"sv), (Lines{"? a 1", "? a 1", "? a 1", "? a 1", "~ a 1"}));
}

TEST(ModuleSymbols, NamesOutsideOfTheTableAreDamaged) {
  for (const Shape& shape : kShapes) {
    Module module(shape);
    module.add(2, 1);
    module.add(0, 2);
    module.add(UINT32_MAX, 3);
    EXPECT_EQ(module.read("a\0"sv), Lines{"t a 2"});
    EXPECT_EQ(module.damaged, 2U);
    module.add(0, 1);
    EXPECT_EQ(module.read({}), Lines{});
    EXPECT_EQ(module.damaged, 1U);
  }
}

TEST(ModuleSymbols, NamesWithoutAnEndAreDamaged) {
  Module module(kShapes[0]);
  module.add(0, 1);
  module.add(2, 2);
  EXPECT_EQ(module.read("a\0bc"sv), Lines{"t a 1"});
  EXPECT_EQ(module.damaged, 1U);
  // KSYM_NAME_LEN is 512, the end's byte included.
  const std::string longest = std::string(511, 'x') + '\0';
  module.add(0, 1);
  EXPECT_EQ(module.read(longest), Lines{"t " + std::string(511, 'x') + " 1"});
  module.add(0, 1);
  EXPECT_EQ(module.read('x' + longest), Lines{});
  EXPECT_EQ(module.damaged, 1U);
}

TEST(ModuleSymbols, WhatIsCutIsNoSymbol) {
  for (const Shape& shape : kShapes) {
    Module module(shape);
    module.add(0, 1);
    module.add(0, 2);
    EXPECT_EQ(module.read("a\0"sv, {}, 1), Lines{"t a 1"});
    EXPECT_EQ(module.damaged, 0U);
    EXPECT_EQ(module.read("a\0"sv), Lines{}) << "none at all";
  }
}

TEST(ModuleSymbols, NamesReachBehindTheLast) {
  for (const Shape& shape : kShapes) {
    test::ByteWriter out(shape.order);
    for (const uint32_t name : {1U, 1000U, 30U}) add_symbol(out, shape, name, 0x7fffffff, 't');
    Bytes symbols = out.take();
    EXPECT_EQ(names_size_of_module_symbols(symbols, shape.order, shape.word_size), 1512U);
    symbols.pop_back();
    EXPECT_EQ(names_size_of_module_symbols(symbols, shape.order, shape.word_size), 1512U);
    add_symbol(out, shape, UINT32_MAX, 0, 't');
    const uint64_t most = names_size_of_module_symbols(out.take(), shape.order, shape.word_size);
    EXPECT_EQ(most, uint64_t{64} << 20) << "a damaged one does not make the reader ask for gigabytes";
  }
}

}  // namespace
}  // namespace kvista::decode
