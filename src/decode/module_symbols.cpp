#include "decode/module_symbols.h"

#include <algorithm>

namespace kvista::decode {
namespace {

constexpr uint64_t kMostName = 512;  // KSYM_NAME_LEN
constexpr uint64_t kMostNames = uint64_t{64} << 20;

struct Entry {
  uint64_t name = 0;
  uint64_t value = 0;
  uint8_t info = 0;
};

size_t entry_size(unsigned word_size) {
  return word_size == 8 ? 24 : 16;
}

Entry entry_at(std::span<const std::byte> bytes, ByteOrder order, unsigned word_size) {
  if (word_size == 8)
    return {load<uint32_t>(bytes.data(), order), load<uint64_t>(&bytes[8], order),
            std::to_integer<uint8_t>(bytes[4])};
  return {load<uint32_t>(bytes.data(), order), load<uint32_t>(&bytes[4], order),
          std::to_integer<uint8_t>(bytes[12])};
}

}  // namespace

uint64_t names_size_of_module_symbols(std::span<const std::byte> symbols, ByteOrder order,
                                      unsigned word_size) {
  uint64_t last = 0;
  const size_t size = entry_size(word_size);
  for (size_t at = 0; at + size <= symbols.size(); at += size)
    last = std::max(last, entry_at(symbols.subspan(at, size), order, word_size).name);
  return std::min(last + kMostName, kMostNames);
}

size_t for_each_module_symbol(const ModuleSymbolTable& table,
                              const std::function<void(const ModuleSymbol&)>& visit) {
  const size_t size = entry_size(table.word_size);
  size_t damaged = 0;
  for (size_t i = 0; (i + 1) * size <= table.symbols.size(); ++i) {
    const Entry entry = entry_at(table.symbols.subspan(i * size, size), table.order, table.word_size);
    if (entry.name >= table.names.size()) {
      ++damaged;
      continue;
    }
    const auto rest =
        table.names.subspan(entry.name, std::min<size_t>(kMostName, table.names.size() - entry.name));
    const auto end = std::find(rest.begin(), rest.end(), std::byte{0});
    if (end == rest.end()) {
      ++damaged;
      continue;
    }
    if (end == rest.begin()) continue;
    const char letter =
        i < table.letters.size() ? std::to_integer<char>(table.letters[i]) : static_cast<char>(entry.info);
    const std::string_view name(reinterpret_cast<const char*>(rest.data()),
                                static_cast<size_t>(end - rest.begin()));
    visit({VirtAddr{entry.value}, letter > ' ' && letter < 0x7f ? letter : '?', name});
  }
  return damaged;
}

}  // namespace kvista::decode
