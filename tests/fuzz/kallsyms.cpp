#include "decode/kallsyms.h"

#include "base/cursor.h"
#include "base/error.h"
#include "fuzz/targets.h"
#include "unit/kallsyms_blob.h"

namespace kvista::fuzz {
namespace {

std::optional<KallsymsInput> take_head(Cursor& in) {
  KallsymsInput head;
  head.flags = in.u64();
  head.known = in.u64();
  for (uint32_t* field : {&head.names, &head.num_syms, &head.token_table, &head.token_index, &head.offsets,
                          &head.addresses, &head.relative_base, &head.unused})
    *field = in.u32();
  return in.ok() ? std::optional(head) : std::nullopt;
}

decode::KallsymsTables tables_of(const KallsymsInput& head) {
  const auto maybe = [&](KallsymsInput::Flag flag, uint32_t offset) {
    return (head.flags & flag) != 0 ? std::optional(kKallsymsStart + offset) : std::nullopt;
  };
  return {kKallsymsStart + head.names,
          kKallsymsStart + head.num_syms,
          kKallsymsStart + head.token_table,
          kKallsymsStart + head.token_index,
          maybe(KallsymsInput::has_offsets, head.offsets),
          maybe(KallsymsInput::has_addresses, head.addresses),
          maybe(KallsymsInput::has_base, head.relative_base)};
}

void check(const decode::Kallsyms& kallsyms, VirtAddr known) {
  bool seen = false;
  size_t count = 0;
  kallsyms.for_each([&](const decode::KallsymsSymbol& symbol) {
    ++count;
    seen = seen || (symbol.name == kKnownSymbol && symbol.address == known);
  });
  require(count + kallsyms.damaged() == kallsyms.size(), "all symbols are visited that are not damaged");
  require(seen, "the known symbol is at its address");
  const std::string_view name = kKnownSymbol;
  for (const auto& found : kallsyms.find(std::span(&name, 1)))
    require(found.name == name, "only what is asked for is found");
}

}  // namespace

bool kallsyms(Input input) {
  Cursor in(input, ByteOrder::little);
  const auto head = take_head(in);
  if (!head) return false;
  const Input memory = in.bytes(in.remaining());
  const ByteOrder order = (head->flags & KallsymsInput::big_endian) != 0 ? ByteOrder::big : ByteOrder::little;
  const unsigned word_size = (head->flags & KallsymsInput::narrow) != 0 ? 4 : 8;
  try {
    const decode::Kallsyms::Known known{kKnownSymbol, VirtAddr{head->known}};
    const decode::Kallsyms kallsyms(test::KallsymsBlob::reader_of(kKallsymsStart, memory), tables_of(*head),
                                    order, word_size, std::span(&known, 1));
    // A damaged marker can make blocks overlap.
    require(kallsyms.size() - kallsyms.damaged() <= 2 * memory.size(), "each symbol takes a byte at least");
    check(kallsyms, VirtAddr{head->known});
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace kvista::fuzz
