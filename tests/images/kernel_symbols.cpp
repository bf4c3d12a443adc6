// The symbol table of a described kernel.
#include <fmt/format.h>

#include <algorithm>

#include "images/byte_writer.h"
#include "images/kernel.h"

namespace kvista::test {

std::vector<Symbol> Kernel::table_symbols() const {
  auto all = kallsyms_symbols();
  std::sort(all.begin(), all.end(), [](const Symbol& a, const Symbol& b) { return a.address < b.address; });
  return all;
}

std::vector<Symbol> Kernel::kallsyms_symbols() const {
  std::vector<Symbol> all;
  const auto& lies = description_.symbols.addresses;
  for (const auto& [name, address] : symbols_) {
    const auto lie = lies.find(name);
    const bool text_symbol = name == "_text" || name == "_stext";
    if (description_.symbols.functions_only && !text_symbol && name != "_end") continue;
    if (!description_.symbols.omit.contains(name))
      all.push_back({name, text_symbol ? 'T' : 'D', lie == lies.end() ? address : lie->second});
  }
  // Names longer than a one-byte length can say came with 6.1 (73bbb94466fd), before the tables were
  // exported.
  const size_t longest = layout().kallsyms ? 150 : 100;
  for (unsigned i = 0; i < description_.symbols.extra; ++i)
    all.push_back({fmt::format("symbol_{}{}", i, std::string(i % 5 == 0 ? longest : 0, 'z')), 't',
                   text() + uint64_t{64} * (i + 1)});
  if (symbol_encoding() == SymbolEncoding::base_relative_percpu) {
    all.push_back({"__per_cpu_start", 'A', 0});
    all.push_back({"cpu_number", 'A', 0x1c004});
  }
  return all;
}

// Only x86_64 had absolute symbols of per-CPU variables (CONFIG_KALLSYMS_ABSOLUTE_PERCPU).
SymbolEncoding Kernel::symbol_encoding() const {
  const SymbolEncoding usual = layout().encoding;
  const bool is_percpu = usual == SymbolEncoding::base_relative_percpu;
  const bool has_percpu = description_.machine.architecture == &kX86;
  return description_.symbols.encoding.value_or(is_percpu && !has_percpu ? SymbolEncoding::base_relative
                                                                         : usual);
}

void Kernel::place_addresses(const std::vector<Symbol>& all) {
  const SymbolEncoding encoding = symbol_encoding();
  const bool absolute = encoding == SymbolEncoding::absolute;
  const uint64_t size = all.size() * (absolute ? 8 : 4);
  const uint64_t at = place(absolute ? "kallsyms_addresses" : "kallsyms_offsets", size);
  memory_.write(image_phys(at), encode_addresses(all, encoding, at, text(), byte_order(), 8));
  if (!absolute && encoding != SymbolEncoding::place_relative) variable("kallsyms_relative_base", text());
}

// Each table is aligned to 8 bytes, and nothing stands between them: scripts/kallsyms.c.
void Kernel::place_kallsyms() {
  if (description_.symbols.none) return;
  auto all = kallsyms_symbols();
  KallsymsTable table = encode_names(all, byte_order());
  if (const auto at = description_.symbols.damage)
    for (size_t i = *at; i < std::min<size_t>(*at + 32, table.names.size()); ++i)
      table.names[i] = std::byte{1};
  const auto put = [&](const char* name, std::span<const std::byte> bytes) {
    memory_.write(image_phys(place(name, bytes.size())), bytes);
  };
  ByteWriter count(byte_order(), layout().marker_size);
  count.word(all.size());
  ByteWriter markers(byte_order(), layout().marker_size);
  for (const uint64_t marker : table.markers) markers.word(marker);
  if (layout().addresses_first) place_addresses(all);
  put("kallsyms_num_syms", count.take());
  put("kallsyms_names", table.names);
  put("kallsyms_markers", markers.take());
  put("kallsyms_token_table", table.token_table);
  put("kallsyms_token_index", table.token_index);
  if (!layout().addresses_first) place_addresses(all);
}

}  // namespace kvista::test
