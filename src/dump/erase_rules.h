// The rules by which data is erased, as they are written: docs/erase.md.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvista::dump {

/// A line of a file of rules, and of a loop those within it. What expressions mean is found out later.
struct EraseRule {
  enum class Kind : uint8_t {
    section,  ///< "[NAME]": whose symbols the rules behind it are about
    erase,
    loop,
  };
  Kind kind = Kind::erase;
  size_t line = 0;         ///< counted from 1
  std::string text;        ///< as it stands there, without a comment
  std::string name;        ///< of a section; what a loop calls its elements
  std::string expression;  ///< what is erased; what a loop goes through

  std::string size;         ///< of `erase`: how many bytes; empty: as its type says
  bool is_nullify = false;  ///< the pointer itself, not what it leads to

  std::string via;     ///< of a loop: the member that leads to the next element
  std::string within;  ///< the struct that the elements are ...
  std::string link;    ///< ... and the member by which they hang together; empty: pointers lead to them
  std::vector<EraseRule> body;
};

/// Reads rules; `path` is for messages. Throws FormatError, whose message names path, line and rule.
std::vector<EraseRule> parse_erase_rules(std::string_view text, const std::string& path);

/// "rules:3: erase x.y: why" for a message.
std::string about_rule(const std::string& path, const EraseRule& rule, std::string_view why);

}  // namespace kvista::dump
