#include "decode/config_text.h"

#include <algorithm>
#include <string>

#include "codec/codec.h"
#include "fuzz/targets.h"

namespace kvista::fuzz {
namespace {

bool check(std::string_view text) {
  const decode::ConfigText config(text);
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  require(config.size() <= lines + 1, "a line has one option at most");
  require(config.version().find('\n') == std::string::npos, "the version is within its line");
  for (const char* name : {"X86_64", "RANDOMIZE_BASE", "PGTABLE_LEVELS"}) {
    require(!(config.is_on(name) && config.is_off(name)), "an option is not on and off");
    require(!config.number(name) || config.value(name), "a number is a value");
  }
  return config.size() > 0 && !config.version().empty();
}

}  // namespace

bool config(Input input) {
  if (input.size() < 2 || input[0] != std::byte{0x1f} || input[1] != std::byte{0x8b})
    return check({reinterpret_cast<const char*>(input.data()), input.size()});
  constexpr size_t kMost = size_t{1} << 16;
  std::string text(kMost, '\0');
  size_t size = 0;
  if (!codec::decompress(codec::Codec::gzip, input, std::as_writable_bytes(std::span(text)), size))
    return false;
  require(size <= kMost, "no more comes out than there is room for");
  return check(std::string_view(text).substr(0, size));
}

}  // namespace kvista::fuzz
