// kvista rd: memory, as numbers and characters.
#include <fmt/format.h>

#include <algorithm>

#include "base/endian.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::Session;

constexpr uint64_t kMostBytes = uint64_t{64} << 20;
constexpr size_t kLineBytes = 16;

TableSpec memory_spec() {
  return {"memory",
          "memory, a number each row; in text 16 bytes a line",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "address, numbers, characters", Show::only_text},
           {"address", "ADDRESS", Type::hex, "", "where the number is", Show::only_json},
           {"value", "VALUE", Type::hex, "", "in the kernel's byte order", Show::only_json},
           {"symbol", "SYMBOL", Type::text, "", "with -s: the symbol that the number is an address in",
            Show::only_json},
           {"text", "TEXT", Type::text, "", "with -a: the characters", Show::only_json}}};
}

struct Wanted {
  uint64_t at = 0;
  uint64_t bytes = 0;
  unsigned unit = 8;
  bool is_physical = false;
  bool with_symbols = false;
  bool with_characters = true;
  bool is_decimal = false;
};

unsigned unit_of(const Invocation& invocation, unsigned word) {
  for (const unsigned bits : {8U, 16U, 32U, 64U})
    if (invocation.flag(fmt::format("--{}", bits))) return bits / 8;
  return word;
}

// Of a symbol that is in memory, by its name alone. Per-CPU variables have a place for each CPU.
std::optional<VirtAddr> place_of_symbol(const Session& session, const std::string& name) {
  try {
    auto found = session.symbols().find(name);
    if (found.empty()) found = session.module_symbols().find(name);
    if (found.empty() || found.front().address < session.first_address()) return std::nullopt;
    return found.front().address;
  } catch (const Error&) {
    return std::nullopt;  // there are no symbols, and addresses need none
  }
}

// A symbol is a place, as crash has it, whatever its value is; an expression is an address.
VirtAddr place_of(const Session& session, const std::string& text) {
  const size_t sign = text.find_first_of("+-");
  const auto more = sign == std::string::npos ? std::optional<uint64_t>(0)
                                              : vmcoreinfo::parse_number(text.substr(sign + 1), false);
  const auto place = more ? place_of_symbol(session, text.substr(0, sign)) : std::nullopt;
  if (!place) return address_of(session, text);
  return sign != std::string::npos && text[sign] == '-' ? *place - *more : *place + *more;
}

uint64_t count_of(const std::string& text) {
  const auto count = vmcoreinfo::parse_number(text, false);
  if (!count || *count == 0) throw UsageError(fmt::format("rd: expected how many, found {}", text));
  return *count;
}

Wanted parse(const Invocation& invocation, const Session& session) {
  Wanted wanted;
  wanted.unit = unit_of(invocation, session.word_size());
  wanted.is_physical = invocation.flag("-p");
  wanted.with_symbols = invocation.flag("-s");
  wanted.with_characters = !invocation.flag("-x") && !wanted.with_symbols;
  wanted.is_decimal = invocation.flag("-d");
  wanted.at = place_of(session, invocation.operands[0]).value;
  const uint64_t count = invocation.operands.size() > 1 ? count_of(invocation.operands[1]) : 1;
  if (count > kMostBytes) throw UsageError(fmt::format("rd: {} numbers are more than one look takes", count));
  wanted.bytes = count * wanted.unit;
  if (const auto end = invocation.value("-e")) {
    const uint64_t last = place_of(session, *end).value;
    if (last <= wanted.at) throw UsageError("rd -e: the end is not behind the start");
    wanted.bytes = last - wanted.at;
  }
  if (wanted.bytes > kMostBytes)
    throw UsageError(fmt::format("rd: {} bytes are more than one look takes ({})", wanted.bytes, kMostBytes));
  return wanted;
}

// What is there from the start on, and why it ends where it does.
struct Memory {
  std::vector<std::byte> bytes;
  std::string why;
};

Memory read(const Session& session, const Wanted& wanted) {
  Memory memory;
  memory.bytes.resize(wanted.bytes);
  size_t done = 0;
  if (wanted.is_physical) {
    const auto got = session.image().read(PhysAddr{wanted.at}, memory.bytes);
    done = got.done;
    memory.why = session.image().describe_state(got.state);
  } else {
    const auto got = session.space().read(VirtAddr{wanted.at}, memory.bytes);
    done = got.done;
    memory.why =
        got.end == machine::WalkEnd::mapped ? session.image().describe_state(got.state) : describe(got.end);
  }
  memory.why =
      done == wanted.bytes ? "" : fmt::format("{:#x} cannot be read: it is {}", wanted.at + done, memory.why);
  memory.bytes.resize(done / wanted.unit * wanted.unit);
  return memory;
}

std::string characters(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const auto c = std::to_integer<unsigned char>(byte);
    text += c >= ' ' && c < 0x7f ? static_cast<char>(c) : '.';
  }
  return text;
}

std::string number_text(const Session& session, const Wanted& wanted, uint64_t value, std::string& symbol) {
  if (wanted.with_symbols && wanted.unit == session.word_size()) {
    symbol = session.symbol_text(VirtAddr{value});
    if (!symbol.empty()) return fmt::format("{:<16}", symbol);
  }
  constexpr unsigned kDecimalWidth = 20;
  if (wanted.is_decimal) return fmt::format("{:>{}}", value, kDecimalWidth);
  return fmt::format("{:0{}x}", value, wanted.unit * 2);
}

void add_lines(const Session& session, const Wanted& wanted, const std::vector<std::byte>& bytes,
               Table& table) {
  for (size_t line = 0; line < bytes.size(); line += kLineBytes) {
    const auto own = std::span(bytes).subspan(line, std::min(kLineBytes, bytes.size() - line));
    std::string text = fmt::format("{:16x}: ", wanted.at + line);
    const size_t first = table.rows.size();
    for (size_t at = 0; at < own.size(); at += wanted.unit) {
      const uint64_t value = load_sized(own.subspan(at, wanted.unit), session.byte_order());
      std::string symbol;
      text += " " + number_text(session, wanted, value, symbol);
      table.rows.push_back({std::string(), Hex{wanted.at + line + at}, Hex{value},
                            symbol.empty() ? Cell{} : Cell(symbol), Cell{}});
    }
    const size_t width = kLineBytes / wanted.unit * (wanted.unit * 2 + 1) + 18;
    if (wanted.with_characters) text = fmt::format("{:<{}}   {}", text, width, characters(own));
    // One line of text for several rows: it stands in the first, and the others have none.
    table.rows[first][0] = text;
    for (size_t i = first + 1; i < table.rows.size(); ++i) table.rows[i][0] = Cell{};
  }
}

void add_text(const Wanted& wanted, const std::vector<std::byte>& bytes, Table& table) {
  for (size_t line = 0; line < bytes.size(); line += kLineBytes * 4) {
    const auto own = std::span(bytes).subspan(line, std::min(kLineBytes * 4, bytes.size() - line));
    const std::string text = characters(own);
    table.rows.push_back(
        {fmt::format("{:16x}:  {}", wanted.at + line, text), Hex{wanted.at + line}, Cell{}, Cell{}, text});
  }
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    Wanted wanted = parse(invocation, session);
    if (invocation.flag("-a")) wanted.unit = 1;
    if (invocation.flag("-a") && invocation.operands.size() < 2 && !invocation.value("-e"))
      wanted.bytes = kLineBytes * 4;
    const Memory memory = read(session, wanted);
    if (memory.bytes.empty()) throw NotFound(memory.why);
    Report report{"rd", {{memory_spec(), {}}}, {}, ExitStatus::complete};
    if (invocation.flag("-a"))
      add_text(wanted, memory.bytes, report.tables[0]);
    else
      add_lines(session, wanted, memory.bytes, report.tables[0]);
    if (!memory.why.empty()) add_missing(report, memory.why);
    return report;
  });
}

}  // namespace

namespace {

// "-64" serves, too.
OptionSpec width_option(const char* name, const char* help) {
  OptionSpec option{name, "", help};
  option.has_single_dash = true;
  return option;
}

}  // namespace

Command make_rd() {
  std::vector<OptionSpec> options = {{"-p", "", "the address is physical"},
                                     {"-s", "", "show numbers that are addresses of symbols by these"},
                                     {"-a", "", "show characters only"},
                                     {"-x", "", "show no characters"},
                                     {"-d", "", "numbers in decimal"},
                                     {"-e", "END", "read up to this address"},
                                     width_option("--8", "numbers of 8 bits"),
                                     width_option("--16", "numbers of 16 bits"),
                                     width_option("--32", "numbers of 32 bits"),
                                     width_option("--64", "numbers of 64 bits; default: of a word")};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"rd",
          "read memory",
          "kvista -c vmcore rd -s init_task 8\n  eight words, with the symbols that they are addresses of",
          {{"ADDRESS",
            "a symbol (where it is, whatever its type), SYMBOL+BYTES, an address in hexadecimal, or an "
            "expression",
            true},
           {"COUNT", "how many numbers"}},
          options,
          {memory_spec()},
          run};
}

}  // namespace kvista::cli
