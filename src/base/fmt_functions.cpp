// fmt's functions that are no templates, compiled once for all of kvista. Debian has a shared library of them
// and no archive, which the static command needs; compiled into each file, as fmt's headers can be
// (FMT_HEADER_ONLY, which this file alone defines), they are half of what compiling takes. This file uses
// what others use; it is compiled without inlining, so that each is in it as a function.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

namespace kvista {

[[gnu::used]] static std::string use_all_of_fmt(std::FILE* file, double number, const std::string& text) {
  fmt::print(file, "{:>{}} {:.3f} {:.1e} {}\n", text, 8, number, static_cast<float>(number), number);
  fmt::print("{}", text);
  std::string all =
      fmt::format(fmt::runtime(text), text, number, 1, true, 'c', static_cast<const void*>(file));
  all += fmt::format("{} {:#x} {:L}", fmt::join(std::vector{text}, ", "), 1U, number);
  all += fmt::format("{}", std::vector{text});
  all += fmt::format("{:%Y-%m-%d %T}", fmt::gmtime(std::time_t{1}));
  if (all.empty()) throw fmt::format_error(text);
  return all;
}

}  // namespace kvista
