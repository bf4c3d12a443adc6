// kvista eval: a number in each notation.
#include <fmt/format.h>

#include <cctype>

#include "base/error.h"
#include "cli/command.h"

namespace kvista::cli {
namespace {

using kernel::Session;

constexpr unsigned kBits = 64;

TableSpec eval_spec() {
  return {"eval",
          "one row: the number",
          Layout::pairs,
          {{"hexadecimal", "hexadecimal", Type::text, "",
            "with what it is in units of 1024, where it is whole", Show::only_text},
           {"decimal_text", "decimal", Type::text, "", "and as a number with a sign, where that is another",
            Show::only_text},
           {"value", "VALUE", Type::hex, "", "the number", Show::only_json},
           {"decimal", "DECIMAL", Type::integer, "", "the number without a sign", Show::only_json},
           {"signed", "SIGNED", Type::integer, "", "its 64 bits as a number with a sign", Show::only_json},
           {"octal", "octal", Type::text, "", "the number"},
           {"binary", "binary", Type::text, "", "its 64 bits"},
           {"bits_set", "bits set", Type::text, "", "with -b: those that are 1, the highest first"}}};
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}

// crash's units: "4k", "1m", "2g" are numbers. In C they are not, so that nothing else is meant by them.
std::string without_units(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end == at) {
      out += text[at++];
      continue;
    }
    const std::string word = text.substr(at, end - at);
    const size_t unit = std::string_view("kmg").find(static_cast<char>(std::tolower(word.back())));
    const std::string number = word.substr(0, word.size() - 1);
    const bool is_hex = number.starts_with("0x") || number.starts_with("0X");
    const char* digits = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
    const bool has_unit = unit != std::string_view::npos && number.size() > (is_hex ? 2 : 0) &&
                          number.find_first_not_of(digits, is_hex ? 2 : 0) == std::string::npos;
    out += has_unit ? fmt::format("({}*{}UL)", number, uint64_t{1} << (10 * (unit + 1))) : word;
    at = end;
  }
  return out;
}

std::string in_units(uint64_t value) {
  constexpr std::pair<unsigned, const char*> kUnits[] = {{30, "GB"}, {20, "MB"}, {10, "KB"}};
  // Addresses of the kernel are no sizes.
  if (value >> (kBits - 1) != 0) return {};
  for (const auto& [shift, name] : kUnits)
    if (value != 0 && value % (uint64_t{1} << shift) == 0)
      return fmt::format("  ({}{})", value >> shift, name);
  return {};
}

std::string bits_of(uint64_t value) {
  std::string text;
  for (unsigned bit = kBits; bit-- > 0;)
    if ((value >> bit & 1) != 0) text += fmt::format("{}{}", text.empty() ? "" : " ", bit);
  return text.empty() ? "none" : text;
}

Row row_of(uint64_t value, bool with_bits) {
  const auto with_sign = static_cast<int64_t>(value);
  return {fmt::format("{:x}{}", value, in_units(value)),
          with_sign < 0 ? fmt::format("{}  ({})", value, with_sign) : fmt::format("{}", value),
          Hex{value},
          value,
          with_sign,
          fmt::format("{:o}", value),
          fmt::format("{:0{}b}", value, kBits),
          with_bits ? Cell(bits_of(value)) : Cell{}};
}

Report run(const Invocation& invocation) {
  const std::string text = fmt::format("{}", fmt::join(invocation.operands, " "));
  return with_session(invocation, [&](const Session& session) {
    const Value value = session.evaluate(without_units(text));
    return Report{
        "eval", {{eval_spec(), {row_of(value.number(), invocation.flag("-b"))}}}, {}, ExitStatus::complete};
  });
}

}  // namespace

Command make_eval() {
  std::vector<OptionSpec> options = {{"-b", "", "show which bits are set"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "eval",
      "show what an expression is worth in hexadecimal, decimal, octal and binary",
      "kvista -c vmcore eval -b '(1 << 32) + 4k'\n  a number in each notation; k, m and g are units of 1024",
      {{"EXPRESSION", "as of kvista p; several are one, with spaces between", true, {}, true}},
      options,
      {eval_spec()},
      run};
}

}  // namespace kvista::cli
