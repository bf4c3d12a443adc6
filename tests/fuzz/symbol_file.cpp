#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "decode/elf_symbols.h"
#include "fuzz/targets.h"

namespace kvista::fuzz {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"_stext", "init_uts_ns", "linux_banner"};

decode::FoundSymbols read_elf(Input input) {
  return decode::read_elf_symbols(
      [input](uint64_t offset, std::span<std::byte> out) {
        const size_t size = offset >= input.size() ? 0 : std::min<size_t>(out.size(), input.size() - offset);
        if (size != 0) std::memcpy(out.data(), &input[offset], size);
        return size;
      },
      kNames);
}

// In pieces of a size that the input chooses: what is found must not depend on it.
decode::FoundSymbols read_text(std::string_view text, size_t piece) {
  decode::SymbolTextParser parser(kNames);
  while (!text.empty()) {
    parser.add(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
  }
  return parser.finish();
}

void check(const decode::FoundSymbols& found) {
  require(found.nonzero <= found.count, "no more addresses than symbols");
  for (const auto& [name, addresses] : found.addresses) {
    require(std::count(kNames.begin(), kNames.end(), name) == 1, "only what is asked for is found");
    require(!addresses.empty() && addresses.size() <= found.count, "each name has addresses");
  }
}

}  // namespace

bool symbol_file(Input input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (!text.starts_with("\x7f"
                        "ELF")) {
    const decode::FoundSymbols whole = read_text(text, text.size());
    const size_t piece = text.empty() ? 1 : 1 + static_cast<unsigned char>(text.back()) % 64;
    const decode::FoundSymbols pieces = read_text(text, piece);
    check(whole);
    require(whole.addresses == pieces.addresses && whole.count == pieces.count, "pieces change nothing");
    return whole.count > 0 && whole.nonsense == 0;
  }
  try {
    const decode::FoundSymbols found = read_elf(input);
    check(found);
    return found.count > 0;
  } catch (const FormatError&) {
    return false;
  }
}

}  // namespace kvista::fuzz
