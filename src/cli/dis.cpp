// kvista dis: the kernel's code as instructions.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"
#include "disasm/decoder.h"
#include "kernel/code.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using disasm::Decoder;
using disasm::Instruction;
using kernel::CodePiece;
using kernel::Function;
using kernel::Session;

constexpr uint64_t kMostInstructions = 50'000;

TableSpec code_spec() {
  return {
      "code",
      "instructions, a row each",
      Layout::lines,
      {{"line", "LINE", Type::text, "", "as crash writes it", Show::only_text},
       {"address", "ADDRESS", Type::hex, "", "of the instruction", Show::only_json},
       {"symbol", "SYMBOL", Type::text, "", "that it belongs to; null where none has it", Show::only_json},
       {"offset", "OFFSET", Type::integer, "bytes", "of the instruction in it", Show::only_json},
       {"module", "MODULE", Type::text, "", "null for the kernel's own", Show::only_json},
       {"bytes", "BYTES", Type::text, "",
        "the instruction as it is in memory, in hexadecimal; null where that is missing", Show::only_json},
       {"mnemonic", "MNEMONIC", Type::text, "",
        "as GNU's assembler has it; (bad) where the bytes are no instruction", Show::only_json},
       {"operands", "OPERANDS", Type::text, "", "null where there are none", Show::only_json},
       {"target", "TARGET", Type::hex, "", "where a jump or call goes, if the instruction says so",
        Show::only_json},
       {"memory", "MEMORY", Type::hex, "", "what is read or written, if its address is in the instruction",
        Show::only_json},
       {"refers_to", "REFERS TO", Type::text, "", "the symbol of target or memory", Show::only_json},
       {"missing_bytes", "MISSING", Type::integer, "bytes", "how many cannot be read from here on",
        Show::only_json},
       {"why", "WHY", Type::text, "", "why not", Show::only_json},
       {"source_file", "FILE", Type::text, "", "with -l: what it was made from", Show::only_json},
       {"source_line", "LINE", Type::integer, "", "with -l: the line there", Show::only_json}}};
}

// What to show: from where, to where, and how much of that.
struct Wanted {
  VirtAddr at;          // that was asked for
  VirtAddr first, end;  // the code to read
  size_t most = kMostInstructions;
  std::optional<VirtAddr> last;   // -r: the instruction to end with
  std::optional<uint64_t> count;  // of instructions
};

// "schedule", "schedule+0x10", "(schedule+16)"; a symbol that has several places is ambiguous.
std::optional<VirtAddr> place_by_symbol(const Session& session, std::string text, bool& is_whole) {
  if (text.size() > 2 && text.front() == '(' && text.back() == ')') text = text.substr(1, text.size() - 2);
  const size_t sign = text.find('+');
  const auto found = session.find_symbols(text.substr(0, sign));
  if (found.empty()) return std::nullopt;
  std::optional<uint64_t> offset = 0;
  if (sign != std::string::npos) offset = vmcoreinfo::parse_number(text.substr(sign + 1), false);
  if (!offset) return std::nullopt;
  for (const symbol::Symbol& one : found)
    if (one.address != found.front().address) {
      std::string all;
      for (const symbol::Symbol& other : found)
        all += fmt::format("{}{:#x}{}", all.empty() ? "" : ", ", other.address.value,
                           other.module.empty() ? "" : fmt::format(" [{}]", other.module));
      throw UsageError(fmt::format("dis: {} is ambiguous: give one of {}", found.front().name, all));
    }
  is_whole = sign == std::string::npos;
  return found.front().address + *offset;
}

Function need_function(const Session& session, VirtAddr at) {
  const auto function = kernel::function_at(session, at);
  if (!function)
    throw NotFound(
        fmt::format("no symbol has {:#x}: say with COUNT how many instructions to show", at.value));
  return *function;
}

Wanted parse(const Invocation& invocation, const Session& session, const Decoder& decoder) {
  Wanted wanted;
  bool is_whole = false;
  const auto by_symbol = place_by_symbol(session, invocation.operands[0], is_whole);
  wanted.at = by_symbol ? *by_symbol : address_of(session, invocation.operands[0]);
  if (invocation.operands.size() > 1) {
    wanted.count = vmcoreinfo::parse_number(invocation.operands[1], false);
    if (!wanted.count || *wanted.count == 0 || *wanted.count > kMostInstructions)
      throw UsageError(fmt::format("dis: expected a number of instructions from 1 to {}, found {}",
                                   kMostInstructions, invocation.operands[1]));
  }
  const bool back = invocation.flag("-r");
  const bool forward = invocation.flag("-f");
  if (back && forward) throw UsageError("dis: -r goes up to the address, -f on from it: give one of them");
  wanted.first = wanted.at;
  if (back || forward || (is_whole && !wanted.count)) {
    const Function function = need_function(session, wanted.at);
    if (!forward) wanted.first = function.first;
    wanted.end = function.end;
    if (back) wanted.last = wanted.at;
  } else {
    if (!wanted.count) wanted.count = 1;
    wanted.end = wanted.at + *wanted.count * decoder.longest();
  }
  if (wanted.count && !back) wanted.most = *wanted.count;
  return wanted;
}

class Listing {
 public:
  Listing(const Session& session, const Invocation& invocation)
      : session_(session), with_lines_(invocation.flag("-l")), in_hex_(invocation.flag("-x")) {
    if (with_lines_ && session.debuginfo() == nullptr)
      throw UsageError(
          "-l: files and lines come from debuginfo: give it with --debuginfo FILE, or --find-debuginfo");
  }

  void add(const Instruction& instruction, std::span<const std::byte> bytes) {
    Entry entry{instruction.address, label(instruction.address), {}, {}};
    std::string text = instruction.mnemonic;
    if (!instruction.operands.empty()) text = fmt::format("{:<6} {}", text, instruction.operands);
    const auto place = instruction.target ? instruction.target : instruction.memory;
    std::string refers_to = place ? label(*place) : "";
    if (instruction.target && !refers_to.empty()) text += fmt::format(" <{}>", refers_to);
    if (instruction.memory)
      text += fmt::format("        # {:#x}{}", instruction.memory->value,
                          refers_to.empty() ? "" : fmt::format(" <{}>", refers_to));
    std::string hex;
    if (instruction.is_bad())
      for (const std::byte byte : bytes) text += fmt::format(" {:02x}", std::to_integer<unsigned>(byte));
    for (const std::byte byte : bytes) hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
    entry.text = text;
    const auto near = session_.nearest_symbol(instruction.address);
    const auto source = with_lines_ ? session_.line_of(instruction.address) : std::nullopt;
    entry.source = source ? fmt::format("{}: {}", source->file, source->line) : "";
    entry.row = {Cell{},
                 Hex{instruction.address.value},
                 near ? Cell(near->symbol.name) : Cell{},
                 near ? Cell(near->offset) : Cell{},
                 near && !near->symbol.module.empty() ? Cell(near->symbol.module) : Cell{},
                 hex,
                 instruction.mnemonic,
                 instruction.operands.empty() ? Cell{} : Cell(instruction.operands),
                 instruction.target ? Cell(Hex{instruction.target->value}) : Cell{},
                 instruction.memory ? Cell(Hex{instruction.memory->value}) : Cell{},
                 refers_to.empty() ? Cell{} : Cell(refers_to),
                 Cell{},
                 Cell{},
                 source ? Cell(source->file) : Cell{},
                 source ? Cell(uint64_t{source->line}) : Cell{}};
    entries_.push_back(std::move(entry));
  }
  void add_missing(VirtAddr at, uint64_t size, const std::string& why) {
    Entry entry{at, label(at), {}, {}};
    entry.text = fmt::format("({} bytes are missing: {})", size, why);
    entry.row = {Cell{}, Hex{at.value}, Cell{}, Cell{}, Cell{},           Cell{}, Cell{}, Cell{},
                 Cell{}, Cell{},        Cell{}, size,   std::string(why), Cell{}, Cell{}};
    entries_.push_back(std::move(entry));
  }
  // With a count: so many of the last.
  void keep_last(size_t count) {
    if (entries_.size() > count)
      entries_.erase(entries_.begin(), entries_.end() - static_cast<ptrdiff_t>(count));
  }
  size_t size() const { return entries_.size(); }

  Table finish() {
    size_t width = 0;
    for (const Entry& entry : entries_) width = std::max(width, head(entry).size());
    Table table{code_spec(), {}};
    std::string source;
    for (Entry& entry : entries_) {
      if (!entry.source.empty() && entry.source != source) table.rows.push_back({entry.source});
      source = entry.source;
      entry.row[0] = fmt::format("{:<{}}  {}", head(entry), width, entry.text);
      table.rows.push_back(std::move(entry.row));
    }
    return table;
  }

 private:
  struct Entry {
    VirtAddr address;
    std::string label;
    std::string text;
    std::string source;
    Row row = {};
  };

  static std::string head(const Entry& entry) {
    return entry.label.empty() ? fmt::format("{:#x}:", entry.address.value)
                               : fmt::format("{:#x} <{}>:", entry.address.value, entry.label);
  }
  // "schedule+16", as crash has it: in decimal, unless -x is given.
  std::string label(VirtAddr address) const try {
    const auto near = session_.nearest_symbol(address);
    if (!near) return {};
    if (near->offset == 0) return near->symbol.name;
    return in_hex_ ? fmt::format("{}+{:#x}", near->symbol.name, near->offset)
                   : fmt::format("{}+{}", near->symbol.name, near->offset);
  } catch (const Error&) {
    return {};  // an address without a name is still an address
  }

  const Session& session_;
  bool with_lines_;
  bool in_hex_;
  std::vector<Entry> entries_;
};

struct Shown {
  uint64_t missing = 0;  // bytes
  std::string why;       // of the first
  size_t bad = 0;
  bool passed_by = false;  // -r: the address is within an instruction
};

// Whether to go on.
bool add_instruction(Listing& listing, const Wanted& wanted, const Instruction& one,
                     std::span<const std::byte> bytes, Shown& shown) {
  if (wanted.last && one.address > *wanted.last) {
    shown.passed_by = true;
    return false;
  }
  listing.add(one, bytes);
  shown.bad += one.is_bad() ? 1 : 0;
  return listing.size() < wanted.most && !(wanted.last && one.address == *wanted.last);
}

Shown list(Listing& listing, const Session& session, const Decoder& decoder, const Wanted& wanted) {
  Shown shown;
  for (const CodePiece& piece : kernel::read_code(session, wanted.first, wanted.end)) {
    if (wanted.last && piece.first > *wanted.last) return shown;
    if (piece.bytes.empty()) {
      listing.add_missing(piece.first, piece.size, piece.why_missing);
      if (shown.missing == 0) shown.why = fmt::format("{:#x} is {}", piece.first.value, piece.why_missing);
      shown.missing += piece.size;
      continue;
    }
    const std::span<const std::byte> bytes(piece.bytes);
    for (size_t at = 0; at < bytes.size();) {
      const auto one = decoder.decode(bytes.subspan(at), piece.first + at);
      if (!add_instruction(listing, wanted, *one, bytes.subspan(at, one->size), shown)) return shown;
      at += one->size;
    }
  }
  return shown;
}

Report run(const Invocation& invocation) {
  if (invocation.flag("-s"))
    throw UsageError("dis -s: no source text is kept anywhere: -l shows files and lines, with debuginfo");
  return with_session(invocation, [&](const Session& session) {
    const Decoder decoder(session.elf_machine(), session.byte_order());
    const Wanted wanted = parse(invocation, session, decoder);
    Listing listing(session, invocation);
    const Shown shown = list(listing, session, decoder, wanted);
    if (listing.size() == 0 || (listing.size() == 1 && shown.missing != 0))
      throw NotFound(fmt::format("the code cannot be read: {}", shown.why));
    if (wanted.count && wanted.last) listing.keep_last(*wanted.count);
    Report report{"dis", {listing.finish()}, {}, ExitStatus::complete};
    if (!kernel::is_code(session, wanted.at))
      report.warnings.push_back(
          fmt::format("{:#x} is not in the kernel's code, nor a module's", wanted.at.value));
    if (shown.missing != 0)
      add_missing(report, fmt::format("{} bytes of the code are missing ({}): where instructions begin "
                                      "behind that is a guess",
                                      shown.missing, shown.why));
    if (shown.passed_by)
      report.warnings.push_back(fmt::format("no instruction begins at {:#x}", wanted.at.value));
    if (shown.bad != 0)
      report.warnings.push_back(
          fmt::format("{} shown as (bad): no instruction begins there that is known",
                      shown.bad == 1 ? "1 place is" : fmt::format("{} places are", shown.bad)));
    return report;
  });
}

}  // namespace

Command make_dis() {
  std::vector<OptionSpec> options = {{"-r", "", "from where the function begins up to the address"},
                                     {"-f", "", "from the address to where the function ends"},
                                     {"-l", "", "show files and lines, by debuginfo"},
                                     {"-s", "", "not supported: the source's text is in no image"},
                                     {"-x", "", "offsets in hexadecimal"},
                                     {"-d", "", "offsets in decimal (the default)"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"dis",
          "disassemble code as it is in memory",
          "kvista -c vmcore dis -r schedule+0x2c\n  what a function did up to an address; without -r and "
          "offset, the whole "
          "function",
          {{"WHERE", "a symbol, SYMBOL+OFFSET, an expression, or an address in hexadecimal", true},
           {"COUNT",
            "how many instructions; default: of a symbol the whole function, else one. With -r the last of "
            "them"}},
          options,
          {code_spec()},
          run};
}

}  // namespace kvista::cli
