#include "syntax/lexer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/failure.h"

namespace kvista::syntax {
namespace {

std::vector<std::string> words(std::string_view text) {
  Lexer lexer(text);
  std::vector<std::string> all;
  while (lexer.peek().kind != TokenKind::end) all.emplace_back(lexer.take().text);
  return all;
}

std::string failure(std::string_view text) {
  return test::failure_of<SyntaxError>([&] { words(text); });
}

// "31 int", "0xffffffff unsigned int", as C has the type.
std::string number(std::string_view text) {
  Lexer lexer(text);
  const Token token = lexer.take();
  if (token.kind != TokenKind::number || lexer.peek().kind != TokenKind::end) return "no single number";
  return std::to_string(token.number) + (token.is_unsigned ? " unsigned" : "") +
         (token.is_long ? " long" : " int");
}

using Words = std::vector<std::string>;

TEST(Lexer, SplitsIntoTheLongestMarks) {
  EXPECT_EQ(words("a->b.c[1]"), (Words{"a", "->", "b", ".", "c", "[", "1", "]"}));
  EXPECT_EQ(words("a<<=b>>c"), (Words{"a", "<<", "=", "b", ">>", "c"}));
  EXPECT_EQ(words("a<=b>=c==d!=e"), (Words{"a", "<=", "b", ">=", "c", "==", "d", "!=", "e"}));
  EXPECT_EQ(words("a&&&b|||c"), (Words{"a", "&&", "&", "b", "||", "|", "c"}));
  EXPECT_EQ(words("a- ->b"), (Words{"a", "-", "->", "b"}));
  EXPECT_EQ(words("(){};,:?*+-~!/%<>^|=@$"), (Words{"(", ")", "{", "}", ";", ",", ":", "?", "*", "+", "-",
                                                    "~", "!", "/", "%", "<", ">", "^", "|", "=", "@", "$"}));
  EXPECT_EQ(words("_a1 B_2"), (Words{"_a1", "B_2"}));
  EXPECT_EQ(words(""), Words{});
}

TEST(Lexer, PassesOverSpaceAndComments) {
  EXPECT_EQ(words(" \t\r\n"), Words{});
  EXPECT_EQ(words("a// b\n c // d"), (Words{"a", "c"}));
  EXPECT_EQ(words("//"), Words{});
  EXPECT_EQ(words("a/b"), (Words{"a", "/", "b"}));
}

TEST(Lexer, TokensKnowTheirKindAndPlace) {
  Lexer lexer(" ab  12 +");
  const Token name = lexer.take();
  EXPECT_EQ(name.kind, TokenKind::name);
  EXPECT_EQ(name.at, 1U);
  EXPECT_EQ(lexer.last_end(), 3U);
  const Token number = lexer.take();
  EXPECT_EQ(number.kind, TokenKind::number);
  EXPECT_EQ(number.at, 5U);
  EXPECT_EQ(lexer.last_end(), 7U);
  EXPECT_EQ(lexer.take().kind, TokenKind::mark);
  EXPECT_EQ(lexer.peek().kind, TokenKind::end);
  EXPECT_EQ(lexer.peek().at, 9U);
  EXPECT_EQ(lexer.take().kind, TokenKind::end) << "the end may be taken";
  EXPECT_EQ(lexer.take().kind, TokenKind::end) << "and again";
}

TEST(Lexer, NumbersHaveTheTypeThatCGivesThem) {
  EXPECT_EQ(number("0"), "0 int");
  EXPECT_EQ(number("2147483647"), "2147483647 int");
  EXPECT_EQ(number("2147483648"), "2147483648 long");
  EXPECT_EQ(number("9223372036854775807"), "9223372036854775807 long");
  EXPECT_EQ(number("18446744073709551615"), "18446744073709551615 unsigned long");
  EXPECT_EQ(number("0x1F"), "31 int");
  EXPECT_EQ(number("0X1f"), "31 int");
  EXPECT_EQ(number("0x7fffffff"), "2147483647 int");
  EXPECT_EQ(number("0x80000000"), "2147483648 unsigned int");
  EXPECT_EQ(number("0x100000000"), "4294967296 long");
  EXPECT_EQ(number("0xffffffffffffffff"), "18446744073709551615 unsigned long");
  EXPECT_EQ(number("010"), "8 int");
  EXPECT_EQ(number("037777777777"), "4294967295 unsigned int");
  EXPECT_EQ(number("01777777777777777777777"), "18446744073709551615 unsigned long");
}

TEST(Lexer, SuffixesChooseTheTypeOfNumbers) {
  EXPECT_EQ(number("1u"), "1 unsigned int");
  EXPECT_EQ(number("1L"), "1 long");
  EXPECT_EQ(number("1ULL"), "1 unsigned long");
  EXPECT_EQ(number("0lu"), "0 unsigned long");
  EXPECT_EQ(number("4294967295u"), "4294967295 unsigned int");
  EXPECT_EQ(number("4294967296u"), "4294967296 unsigned long");
  EXPECT_EQ(number("0xful"), "15 unsigned long");
}

TEST(Lexer, RefusesWhatIsNoNumber) {
  for (const char* text : {"0x", "0xg", "08", "019", "12ab", "0b1", "1_000", "0xfz", "1ux"})
    EXPECT_EQ(failure(text), " >>" + std::string(text) + ": this is no number");
  for (const char* text :
       {"18446744073709551616", "0x10000000000000000", "02000000000000000000000", "99999999999999999999999"})
    EXPECT_TRUE(failure(text).ends_with("this number has more than 64 bits")) << failure(text);
}

TEST(Lexer, CharactersAreNumbers) {
  EXPECT_EQ(number("'a'"), "97 int");
  EXPECT_EQ(number("' '"), "32 int");
  EXPECT_EQ(number("'('"), "40 int");
  EXPECT_EQ(number("'\"'"), "34 int");
  EXPECT_EQ(number("'\xff'"), "255 int");
  EXPECT_EQ(number("'\\n'"), "10 int");
  EXPECT_EQ(number("'\\t'"), "9 int");
  EXPECT_EQ(number("'\\r'"), "13 int");
  EXPECT_EQ(number("'\\0'"), "0 int");
  EXPECT_EQ(number("'\\\\'"), "92 int");
  EXPECT_EQ(number("'\\''"), "39 int");
}

TEST(Lexer, RefusesWhatIsNoCharacter) {
  for (const char* text : {"'", "''", "'''", "'a", "'ab'", "'\\'", "'\\n", "'\\x41'", "''' "})
    EXPECT_EQ(failure(text), " >>" + std::string(text) + ": this is no character");
  // C has another number for these than that of the letter.
  for (const char* text : {"'\\a'", "'\\v'", "'\\1'"})
    EXPECT_EQ(failure(text), " >>" + std::string(text) + ": this character is not known");
}

// A character in quotes is never a mark, nor a number a name.
TEST(Lexer, AcceptsMarksAndWordsOnly) {
  Lexer character("'('");
  EXPECT_FALSE(character.accept("'('"));
  Lexer lexer("5 struct (");
  EXPECT_FALSE(lexer.accept("5"));
  lexer.take();
  EXPECT_FALSE(lexer.accept("str"));
  EXPECT_TRUE(lexer.accept("struct"));
  EXPECT_TRUE(lexer.accept("("));
  EXPECT_FALSE(lexer.accept("")) << "the end is no word";
}

TEST(Lexer, ComesBackToAMark) {
  Lexer lexer("a b c");
  lexer.take();
  const auto mark = lexer.mark();
  lexer.take();
  lexer.take();
  lexer.back_to(mark);
  EXPECT_EQ(lexer.last_end(), 1U);
  EXPECT_EQ(lexer.take().text, "b");
  EXPECT_EQ(lexer.take().text, "c");
}

TEST(Lexer, ErrorsShowThePlace) {
  EXPECT_EQ(failure("a + #b"), "a +  >>#b: this is no word of C");
  EXPECT_EQ(failure("a\n\x01"), "a  >> : this is no word of C") << "nothing that moves a terminal's cursor";
  Lexer lexer("a b");
  EXPECT_EQ(test::failure_of<SyntaxError>([&] { lexer.expect("b"); }), " >>a b: expected \"b\", found \"a\"");
  lexer.take();
  lexer.take();
  EXPECT_EQ(test::failure_of<SyntaxError>([&] { lexer.expect(";"); }), "a b: expected \";\", found the end");
  EXPECT_EQ(test::failure_of<SyntaxError>([&] { lexer.expect_name("a type"); }),
            "a b: expected a type, found the end");
  const std::string before(100, 'a');
  const std::string after(100, 'b');
  EXPECT_EQ(failure(before + "#" + after),
            std::string(40, 'a') + " >>#" + std::string(19, 'b') + ": this is no word of C");
}

TEST(Lexer, AnErrorIsOneOfUsage) {
  EXPECT_EQ(SyntaxError("x", 0, "y").exit_status(), ExitStatus::usage);
}

}  // namespace
}  // namespace kvista::syntax
