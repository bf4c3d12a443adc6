// Types, variables and lines of compiled files, beside what their compiler says of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "debuginfo/debug_file.h"
#include "debuginfo/dwarf_lines.h"
#include "decode/elf_symbols.h"
#include "tests/unit/dwarf_files.h"

namespace kvista::debuginfo {
namespace {

using ::testing::HasSubstr;
using type::Kind;
using type::Type;

std::string output_of(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> piece{};
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) text += piece.data();
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

// "struct bits", "size_word" ...: the type of that name. Void where there is none.
Type type_named(const DebugFile& file, const std::string& text) {
  const size_t space = text.find(' ');
  const std::string word = space == std::string::npos ? "" : text.substr(0, space);
  const Kind kind = word == "struct"  ? Kind::structure
                    : word == "union" ? Kind::union_type
                    : word == "enum"  ? Kind::enumeration
                                      : Kind::type_definition;
  const auto found = file.types().find(space == std::string::npos ? text : text.substr(space + 1), kind);
  return found.empty() ? Type() : found.front();
}

// The address that the symbol table gives.
VirtAddr address_of(const std::string& path, std::string_view name) {
  const File file = File::open(path);
  const std::array names = {name};
  const auto found = decode::read_elf_symbols(
      [&](uint64_t offset, std::span<std::byte> out) { return file.read_at(offset, out); }, names);
  const auto at = found.addresses.find(name);
  return at == found.addresses.end() ? VirtAddr{} : *at->second.begin();
}

// Each form of DWARF that compilers write.
class DwarfForms : public ::testing::TestWithParam<const char*> {
 protected:
  test::TemporaryDirectory directory_;
  std::string path_ = test::compile_types(directory_, GetParam());
  std::unique_ptr<DebugFile> file_ = open_debug_file(path_);
};

INSTANTIATE_TEST_SUITE_P(Flags, DwarfForms,
                         ::testing::Values("-g", "-g -gdwarf-5", "-g -gdwarf-4",
                                           "-g -gdwarf-3 -gstrict-dwarf", "-g -gdwarf-2 -gstrict-dwarf",
                                           "-gdwarf-4 -fdebug-types-section",
                                           "-gdwarf-5 -fdebug-types-section", "-g -gz", "-g -O2",
                                           "-gdwarf-5 -gdwarf64"));

TEST_P(DwarfForms, EachMemberIsWhereTheCompilerPutsIt) {
  const std::string program = directory_.file("values");
  test::run_command(fmt::format("gcc -std=gnu11 {}values.c -o {}", test::kDwarfSources, program));
  std::istringstream lines(output_of(program));
  size_t compared = 0;
  for (std::string line; std::getline(lines, line); ++compared) {
    std::istringstream words(line);
    std::string word;
    std::string name;
    std::string member;
    words >> name;
    if (name == "struct" || name == "union" || name == "enum") {
      words >> word;
      name += " " + word;
    }
    uint64_t first = 0;
    uint64_t bits = 0;
    words >> member >> first >> bits;
    const Type type = type_named(*file_, name);
    if (member == "-") {
      EXPECT_EQ(type.size() * 8, bits) << line;
      continue;
    }
    const auto found = type.find_member(member);
    ASSERT_TRUE(found) << line;
    EXPECT_EQ(found->bit_offset, first) << line;
    EXPECT_EQ(found->bit_size == 0 ? found->type.size() * 8 : found->bit_size, bits) << line;
    EXPECT_EQ(found->bit_size != 0, name == "struct bits") << line;
  }
  EXPECT_EQ(compared, 35);
}

TEST_P(DwarfForms, DeclarationsAreAsInTheSource) {
  const Type type = type_named(*file_, "struct everything");
  const auto declared = [&](const char* name) { return type.find_member(name)->type.declaration(name); };
  EXPECT_EQ(declared("letter"), "char letter");
  EXPECT_EQ(declared("table"), "int table[3][5]");
  EXPECT_EQ(declared("colour"), "enum colour colour");
  EXPECT_EQ(declared("operation"), "int (*operation)(struct everything *, const char *, ...)");
  EXPECT_EQ(declared("other"), "struct elsewhere *other");
  EXPECT_EQ(declared("size"), "size_word size");
  EXPECT_EQ(declared("pair"), "pair_of_ints pair");
  EXPECT_EQ(declared("flag"), "_Bool flag");
  EXPECT_EQ(declared("next"), "struct everything *next");
  EXPECT_EQ(declared("flexible"), "char flexible[0]");
  EXPECT_THAT(declared("pointer"),
              ::testing::AnyOf("const volatile int *pointer", "volatile const int *pointer"));
  EXPECT_EQ(type.find_member("only")->type.resolved().declaration(), "int *");
  EXPECT_EQ(type.find_member("counter")->type.resolved().kind(), Kind::integer);
  EXPECT_TRUE(type.find_member("flag")->type.is(Kind::boolean));
  EXPECT_TRUE(type.find_member("letter")->type.is(Kind::character));
  EXPECT_TRUE(type.find_member("ratio")->type.is(Kind::floating));
  EXPECT_FALSE(type.find_member("size")->type.is_signed());
  EXPECT_TRUE(type.find_member("left")->type.is_signed());
  EXPECT_FALSE(type.find_member("nothing"));
}

TEST_P(DwarfForms, WhatIsOnlyDeclaredIsCompletedElsewhere) {
  const auto other = type_named(*file_, "struct everything").find_member("other");
  const Type target = other->type.target();
  EXPECT_EQ(target.kind(), Kind::structure);
  EXPECT_EQ(target.size(), 16);
  EXPECT_EQ(target.find_member("there")->bit_offset, 64);
}

TEST_P(DwarfForms, EnumerationsHaveTheirValuesAndSigns) {
  const Type colour = type_named(*file_, "enum colour");
  ASSERT_EQ(colour.enumerators().size(), 3);
  EXPECT_EQ(colour.enumerators()[2].name, "blue");
  EXPECT_EQ(colour.enumerators()[2].value, 6);
  const Type negative = type_named(*file_, "enum negative");
  EXPECT_TRUE(negative.is_signed());
  EXPECT_EQ(static_cast<int64_t>(negative.enumerators()[0].value), -3);
  EXPECT_FALSE(type_named(*file_, "enum large").is_signed());
  EXPECT_EQ(file_->types().enumerator("large_one"), uint64_t{1} << 32);
  EXPECT_EQ(file_->types().enumerator("minus"), static_cast<uint64_t>(-3));
  EXPECT_EQ(file_->types().enumerator("nameless_one"), 77);
  EXPECT_FALSE(file_->types().enumerator("global_number"));
}

TEST_P(DwarfForms, VariablesHaveTypesAtTheirAddressesOnly) {
  const VirtAddr at = address_of(path_, "global_table");
  ASSERT_NE(at, VirtAddr{});
  EXPECT_EQ(file_->variable("global_table", at)->declaration("t"), "struct everything *t[4]");
  EXPECT_FALSE(file_->variable("global_table", at + 1));
  EXPECT_FALSE(file_->variable("global_tables", at));
  EXPECT_EQ(file_->variable("hidden_number", address_of(path_, "hidden_number"))->declaration(),
            "volatile int");
  EXPECT_EQ(file_->variable("global_elsewhere", address_of(path_, "global_elsewhere"))->size(), 16);
}

TEST_P(DwarfForms, FunctionsHaveTheirPrototypes) {
  EXPECT_EQ(file_->types().functions("add").at(0).declaration("add"), "int add(int, struct everything *)");
  EXPECT_EQ(file_->function("use_elsewhere", address_of(path_, "use_elsewhere"))->declaration("f"),
            "void f(struct elsewhere *, ...)");
  EXPECT_EQ(file_->function("add.isra.0", VirtAddr{1})->declaration("f"), "int f(int, struct everything *)");
  EXPECT_TRUE(file_->types().functions("global_number").empty());
}

TEST_P(DwarfForms, CodeHasItsLine) {
  const auto line = file_->line_of(address_of(path_, "use_elsewhere"));
  ASSERT_TRUE(line);
  EXPECT_THAT(line->file, ::testing::EndsWith("tests/unit/dwarf/other.c"));
  EXPECT_EQ(line->line, 12);
  EXPECT_FALSE(file_->line_of(VirtAddr{0x10}));
}

// Two functions within a third: the line that runs, then from where each was called.
TEST(Dwarf, InlinedFunctionsAreNamed) {
  for (const char* version : {"-gdwarf-4", "-gdwarf-5"}) {
    const test::TemporaryDirectory directory;
    directory.write("inlined.c",
                    "#define INLINED static inline __attribute__((always_inline))\n"
                    "INLINED void inner(void) {\n"
                    "  __asm__ volatile(\".globl marker\\nmarker: nop\");\n"
                    "}\n"
                    "INLINED void middle(void) {\n"
                    "  inner();\n"
                    "}\n"
                    "void outer(void) {\n"
                    "  middle();\n"
                    "}\n"
                    "void alone(void) {}\n");
    test::run_command(fmt::format("cd {} && gcc -O2 {} -nostdlib -static -Wl,-e,0 inlined.c -o inlined",
                                  directory.path(), version));
    const std::string path = directory.file("inlined");
    const auto file = open_debug_file(path);
    const auto functions = file->functions_at(address_of(path, "marker"));
    ASSERT_EQ(functions.size(), 3) << version;
    const std::array<std::pair<const char*, unsigned>, 3> wanted = {
        std::pair{"inner", 3U}, std::pair{"middle", 6U}, std::pair{"outer", 9U}};
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(functions[i].name, wanted.at(i).first);
      ASSERT_TRUE(functions[i].line);
      EXPECT_EQ(functions[i].line->line, wanted.at(i).second);
      EXPECT_THAT(functions[i].line->file, ::testing::EndsWith("inlined.c"));
    }
    EXPECT_EQ(file->functions_at(address_of(path, "alone")).size(), 1);
    EXPECT_TRUE(file->functions_at(VirtAddr{0x10}).empty());
  }
}

TEST_P(DwarfForms, NothingIsDamaged) {
  EXPECT_EQ(file_->types().damage(), "");
}

TEST(Dwarf, PartialUnitsAreRead) {
  const test::TemporaryDirectory directory;
  const std::string path = test::compile_types(directory, "-g -gdwarf-4");
  test::run_command("dwz -l none -L none " + path);
  const auto file = open_debug_file(path);
  EXPECT_EQ(type_named(*file, "struct everything").find_member("table")->type.size(), 60);
  EXPECT_EQ(file->types().damage(), "");
}

// As Dwarf 3 counts bits, from the highest, and as Dwarf 5 does; on a machine that begins with the highest
// byte.
TEST(Dwarf, BitFieldsOfABigEndianMachine) {
  for (const char* version : {"-gdwarf-3 -gstrict-dwarf", "-gdwarf-5"}) {
    const test::TemporaryDirectory directory;
    directory.write("big.c",
                    "struct bits { unsigned a:3; unsigned b:7; int c:22; unsigned long d:40; } global_bits;");
    test::run_command(fmt::format(
        "cd {} && clang --target=powerpc64-linux-gnu {} -c big.c -o big.o && ld.lld -e 0 big.o -o big",
        directory.path(), version));
    const auto file = open_debug_file(directory.file("big"));
    const Type bits = type_named(*file, "struct bits");
    ASSERT_EQ(bits.members().size(), 4) << version;
    constexpr std::array kFirst = {0U, 3U, 10U, 64U};
    for (size_t i = 0; i < kFirst.size(); ++i) EXPECT_EQ(bits.members()[i].bit_offset, kFirst[i]) << version;
    EXPECT_EQ(bits.members()[3].bit_size, 40);
  }
}

TEST(Dwarf, PointersOfAMachineOf32Bits) {
  const test::TemporaryDirectory directory;
  const auto file = open_debug_file(test::compile_types(directory, "-g -m32"));
  EXPECT_EQ(type_named(*file, "struct everything").find_member("next")->type.size(), 4);
  EXPECT_EQ(type_named(*file, "size_word").size(), 4);
}

TEST(Dwarf, AStructThatIsTwoThingsCompletesNothing) {
  const test::TemporaryDirectory directory;
  directory.write("one.c", "struct twice; struct twice *pointer; int first(void) { return 1; }");
  directory.write(
      "two.c",
      "struct twice { int a; } two; static int same(void) { return 1; } int second(void) { return same(); }");
  directory.write("three.c",
                  "struct twice { long a; } three; static long same(int a) { return a; } long third(void) { "
                  "return same(1); }");
  test::run_command(fmt::format("cd {} && gcc -g -no-pie -nostdlib -Wl,-e,first one.c two.c three.c -o all",
                                directory.path()));
  const auto file = open_debug_file(directory.file("all"));
  EXPECT_EQ(file->types().find("twice", Kind::structure).size(), 2);
  const auto pointer = file->variable("pointer", address_of(directory.file("all"), "pointer"));
  EXPECT_EQ(pointer->target().kind(), Kind::forward);
  EXPECT_EQ(file->types().functions("same").size(), 2);
  EXPECT_EQ(file->function("same.cold", VirtAddr{1}), std::nullopt) << "either";
}

TEST(Dwarf, FilesWithoutItAreRefused) {
  const test::TemporaryDirectory directory;
  const auto why = [](const std::string& path) -> std::string {
    try {
      open_debug_file(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  };
  EXPECT_THAT(why(test::compile_types(directory, "", "plain")),
              HasSubstr("holds no debug information (DWARF)"));
  EXPECT_THAT(why(directory.write("text", "text")), HasSubstr("is no ELF file"));
  EXPECT_THAT(why(directory.file("nowhere")), HasSubstr("cannot open"));
  test::run_command(fmt::format("gcc -g -c {}types.c -o {}", test::kDwarfSources, directory.file("module")));
  EXPECT_THAT(why(directory.file("module")), HasSubstr("is an object file"));
}

TEST(Dwarf, PathsAreTidied) {
  EXPECT_EQ(tidy_path("/src/linux/./kernel/fork.c", "/src/linux"), "kernel/fork.c");
  EXPECT_EQ(tidy_path("/src/linux/obj/../kernel/fork.c", "/src/linux"), "kernel/fork.c");
  EXPECT_EQ(tidy_path("/src/linuxes/a.c", "/src/linux"), "/src/linuxes/a.c");
  EXPECT_EQ(tidy_path("debian/build/a/mm/slub.c", "debian/build/a"), "mm/slub.c");
  EXPECT_EQ(tidy_path("mm/slub.c", ""), "mm/slub.c");
}

// --- damage ---

// A section of a file by its name, as offset and size.
struct Span {
  uint64_t offset = 0;
  uint64_t size = 0;
};
Span section_of(const std::string& path, const std::string& name) {
  std::istringstream words(output_of(fmt::format(
      "readelf -SW {} | sed -n 's/.* {} *PROGBITS *[0-9a-f]* \\([0-9a-f]*\\) \\([0-9a-f]*\\).*/\\1 \\2/p'",
      path, name)));
  Span span;
  words >> std::hex >> span.offset >> span.size;
  return span;
}

// Follows a type into all that it is made of, as far as `left` allows.
void explore(const Type& type, unsigned& left) {
  if (left == 0) return;
  --left;
  type.declaration("name");
  type.size();
  type.find_member("right");
  for (const auto& member : type.info().members) explore(member.type, left);
  explore(type.target(), left);
}

// Asks everything; what it answers is another thing, but each refusal is an Error.
void ask_everything(const std::string& path, size_t& refused) {
  const auto attempt = [&](auto ask) {
    try {
      ask();
    } catch (const Error&) {
      ++refused;
    }
  };
  attempt([&] {
    const auto file = open_debug_file(path);
    attempt([&] { file->types().damage(); });
    for (const char* name : {"struct bits", "union both", "enum colour", "enum negative", "size_word",
                             "pair_of_ints", "struct everything", "struct elsewhere"})
      attempt([&] {
        unsigned left = 200;
        explore(type_named(*file, name), left);
      });
    attempt([&] { file->types().enumerator("blue"); });
    for (const char* name : {"global_table", "global_bits", "hidden_number"})
      attempt([&] { file->variable(name, address_of(path, name)); });
    for (const char* name : {"add", "use_elsewhere"})
      attempt([&] {
        file->function(name, address_of(path, name));
        file->line_of(address_of(path, name));
        static_cast<void>(file->functions_at(address_of(path, name)));
      });
  });
}

// Each damaged byte gives right or wrong answers, or an Error, and no crash and no endless walk. This is no
// target for libFuzzer, which would find libdw's own faults, in tables that the sweep does not get to; a file
// of debuginfo is one that the user chose, and has proven to be the kernel's, before anything of it is read.
TEST(Dwarf, DamageIsAnErrorAndNoCrash) {
  const test::TemporaryDirectory directory;
  for (const char* flags : {"-gdwarf-5", "-gdwarf-4 -fdebug-types-section"}) {
    const std::string path = test::compile_types(directory, flags);
    std::ostringstream whole;
    whole << std::ifstream(path, std::ios::binary).rdbuf();
    size_t refused = 0;
    size_t tried = 0;
    for (const char* name : {".debug_info", ".debug_types", ".debug_abbrev", ".debug_str", ".debug_line"}) {
      const Span section = section_of(path, name);
      const uint64_t step = std::max<uint64_t>(1, section.size / 150);
      for (uint64_t at = 0; at < section.size; at += step)
        for (const int value : {0x00, 0xff, 0x41}) {
          std::string bytes = whole.str();
          bytes[section.offset + at] = static_cast<char>(value);
          ask_everything(directory.write("damaged", bytes), refused);
          ++tried;
        }
    }
    EXPECT_GT(tried, 900) << flags;
    EXPECT_GT(refused, 100) << flags;
  }
}

TEST(Dwarf, ACutFileIsAnErrorAndNoCrash) {
  const test::TemporaryDirectory directory;
  const std::string path = test::compile_types(directory, "-g");
  std::ostringstream whole;
  whole << std::ifstream(path, std::ios::binary).rdbuf();
  size_t refused = 0;
  for (size_t size = 0; size < whole.str().size(); size += 97)
    ask_everything(directory.write("cut", whole.str().substr(0, size)), refused);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace kvista::debuginfo
