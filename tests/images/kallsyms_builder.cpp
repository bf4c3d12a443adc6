#include "images/kallsyms_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>

#include "images/byte_writer.h"

namespace kvista::test {
namespace {

constexpr size_t kNamesPerMarker = 256;
constexpr size_t kFirstLongToken = 0x80;
// Some hold the type letter and the name's beginning in one, as real tables do.
constexpr std::array<std::string_view, 16> kLongTokens = {
    "page_",   "_base", "crashk_", "_res",      "__",  "_pgt", "Dpage_of", "T_",
    "Tstart_", "stop_", "notes",   "kallsyms_", "D__", "aaaa", "symbol_",  "vm"};

std::string token(size_t number) {
  if (number >= ' ' && number <= '~') return {static_cast<char>(number)};
  if (number >= kFirstLongToken && number - kFirstLongToken < kLongTokens.size())
    return std::string(kLongTokens.at(number - kFirstLongToken));
  // Real tables have no empty tokens; these are never used.
  return fmt::format("?{:02x}", number);
}

std::vector<uint8_t> compress(std::string_view text) {
  std::vector<uint8_t> codes;
  while (!text.empty()) {
    auto best = static_cast<uint8_t>(text[0]);
    size_t length = 1;
    for (size_t i = 0; i < kLongTokens.size(); ++i) {
      if (kLongTokens.at(i).size() <= length || !text.starts_with(kLongTokens.at(i))) continue;
      best = static_cast<uint8_t>(kFirstLongToken + i);
      length = kLongTokens.at(i).size();
    }
    codes.push_back(best);
    text.remove_prefix(length);
  }
  return codes;
}

void add_name(ByteWriter& names, const Symbol& symbol) {
  const auto codes = compress(symbol.type + symbol.name);
  if (codes.size() < 0x80) {
    names.u8(static_cast<uint8_t>(codes.size()));
  } else {
    names.u8(static_cast<uint8_t>(codes.size() | 0x80));
    names.u8(static_cast<uint8_t>(codes.size() >> 7));
  }
  for (const uint8_t code : codes) names.u8(code);
}

uint32_t relative(const Symbol& symbol, SymbolEncoding encoding, uint64_t place, uint64_t base) {
  switch (encoding) {
    case SymbolEncoding::place_relative:
      return static_cast<uint32_t>(symbol.address - place);
    case SymbolEncoding::base_relative:
      return static_cast<uint32_t>(symbol.address - base);
    default:
      break;
  }
  const bool per_cpu = symbol.address < uint64_t{1} << 31;
  return static_cast<uint32_t>(per_cpu ? symbol.address : base - 1 - symbol.address);
}

}  // namespace

KallsymsTable encode_names(std::vector<Symbol>& symbols, ByteOrder order) {
  std::sort(symbols.begin(), symbols.end(), [](const Symbol& a, const Symbol& b) {
    return std::tie(a.address, a.name) < std::tie(b.address, b.name);
  });
  ByteWriter names(order);
  std::vector<uint64_t> markers;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (i % kNamesPerMarker == 0) markers.push_back(names.size());
    add_name(names, symbols[i]);
  }
  ByteWriter tokens(order);
  ByteWriter index(order);
  for (size_t i = 0; i < 256; ++i) {
    index.u16(static_cast<uint16_t>(tokens.size()));
    tokens.text(token(i));
    tokens.u8(0);
  }
  ByteWriter count(order);
  count.u32(static_cast<uint32_t>(symbols.size()));
  return {count.take(), names.take(), tokens.take(), index.take(), markers};
}

std::vector<std::byte> encode_addresses(const std::vector<Symbol>& symbols, SymbolEncoding encoding,
                                        uint64_t table_at, uint64_t base, ByteOrder order,
                                        unsigned word_size) {
  ByteWriter out(order, word_size);
  for (const Symbol& symbol : symbols) {
    if (encoding == SymbolEncoding::absolute)
      out.word(symbol.address);
    else
      out.u32(relative(symbol, encoding, table_at + out.size(), base));
  }
  return out.take();
}

}  // namespace kvista::test
