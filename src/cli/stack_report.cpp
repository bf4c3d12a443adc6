#include "cli/stack_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/endian.h"
#include "base/error.h"
#include "cli/stack_tables.h"
#include "cli/task_operand.h"

namespace kvista::cli {
namespace {

using kernel::Task;
using unwind::End;
using unwind::Frame;
using unwind::Means;
using unwind::Origin;

constexpr size_t kStacks = static_cast<size_t>(StackTable::stacks);
constexpr size_t kRegisters = static_cast<size_t>(StackTable::registers);
constexpr size_t kWords = static_cast<size_t>(StackTable::words);
constexpr size_t kInlined = static_cast<size_t>(StackTable::inlined);
constexpr size_t kFrames = static_cast<size_t>(StackTable::frames);
constexpr uint64_t kWord = 8;

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}
Cell text_cell(const std::string& text) {
  return text.empty() ? Cell{} : Cell(text);
}
std::string shown(const Cell& value) {
  return to_text(value);
}

// Behind a frame's line: by which means it was found, unless that is the usual.
std::string mark_of(const Frame& frame, Means usual) {
  const std::string doubt = frame.doubt.empty() ? "" : ": " + frame.doubt;
  if (frame.means == Means::scan) return fmt::format("  (a guess, found by scanning the stack{})", doubt);
  if (frame.means == Means::call_site) return fmt::format("  (by the call of the function above{})", doubt);
  if (frame.means == Means::link_register) return "  (by the link register)";
  if (frame.means == Means::frame_pointer && usual != frame.means) return "  (by frame pointer)";
  return {};
}

std::string stack_name(const unwind::Stack& stack) {
  return stack.kind == unwind::StackKind::exception ? stack.name + " exception" : stack.name;
}

// Stacks without frames are the same where they lack them for the same reason.
std::vector<uint64_t> identity_of(const unwind::TaskStack& stack) {
  std::vector<uint64_t> addresses;
  for (const Frame& frame : stack.trace.frames) addresses.push_back(frame.address.value);
  if (addresses.empty())
    addresses = {static_cast<uint64_t>(stack.origin), std::hash<std::string>()(stack.trace.fault)};
  return addresses;
}

}  // namespace

std::vector<OptionSpec> stack_options() {
  return {{"-f", "", "show what is on the stack, frame by frame"},
          {"-l", "", "show files and lines, by debuginfo"},
          {"-r", "", "show all of the stack as it is in memory, and no frames"},
          {"--unique", "",
           "show a stack that several tasks have only once, with how many have it, the most first"}};
}

StackStyle stack_style(const Invocation& invocation, const kernel::Session& session) {
  const StackStyle style{invocation.flag("-f"), invocation.flag("-l"), invocation.flag("-r"),
                         invocation.flag("--unique")};
  if (style.with_lines && session.debuginfo() == nullptr)
    throw UsageError(
        "-l: files and lines come from debuginfo: give it with --debuginfo FILE, or --find-debuginfo");
  if (style.raw && style.unique)
    throw UsageError("-r shows stacks as they are: --unique makes no sense with it");
  return style;
}

StackReport::StackReport(const kernel::Session& session, std::string command, StackStyle style)
    : session_(session),
      style_(style),
      tasks_(session),
      stacks_(session),
      registers_(register_view(
          session.with_machine([](machine::Machine& machine) { return machine.architecture().name; }))) {
  report_.command = std::move(command);
  for (TableSpec& spec : stack_tables(registers_)) report_.tables.push_back({std::move(spec), {}});
}

const std::optional<symbol::NearSymbol>& StackReport::symbol_at(VirtAddr address) {
  const auto [at, is_new] = symbols_.try_emplace(address.value);
  if (is_new) try {
      at->second = session_.nearest_symbol(address);
    } catch (const Error&) {
      at->second.reset();  // an address without a name is still an address
    }
  return at->second;
}

std::string StackReport::function_text(VirtAddr address) {
  const auto& near = symbol_at(address);
  return near ? near->symbol.name : "(unknown)";
}

std::string StackReport::word_text(uint64_t value) {
  if (!session_.may_be_pointer(value)) return {};
  const auto& near = symbol_at(VirtAddr{value});
  if (!near) return {};
  return near->offset == 0 ? near->symbol.name : fmt::format("{}+{}", near->symbol.name, near->offset);
}

void StackReport::count_damage(const Shown& one) {
  const unwind::Trace& trace = one.stack.trace;
  const auto doubt = std::find_if(trace.frames.begin(), trace.frames.end(),
                                  [](const Frame& frame) { return !frame.doubt.empty(); });
  const bool is_whole = trace.end == End::complete;
  if (is_whole && doubt == trace.frames.end()) return;
  if (damaged_++ == 0)
    first_damage_ = fmt::format("of task {} at {:#x}: {}", shown(cell(one.task.pid)), one.task.address.value,
                                is_whole ? doubt->doubt : trace.fault);
}

void StackReport::add(const Task& task) {
  Shown one{task, stacks_.read(task.object), {}};
  count_damage(one);
  if (!style_.unique) {
    show(one);
    return;
  }
  const auto [known, is_new] = known_.try_emplace(identity_of(one.stack), shown_.size());
  if (is_new)
    shown_.push_back(std::move(one));
  else
    shown_[known->second].others.push_back(task);
}

Report StackReport::finish() {
  std::stable_sort(shown_.begin(), shown_.end(),
                   [](const Shown& a, const Shown& b) { return a.others.size() > b.others.size(); });
  for (const Shown& one : shown_) show(one);
  // A task of which it is not known that it runs is followed from where it was switched out.
  for (const std::string& fault : stacks_.running().faults) add_missing(report_, fault);
  if (const std::string missing = stacks_.what_is_missing(); !missing.empty()) add_missing(report_, missing);
  if (damaged_ > 0)
    add_missing(report_, damaged_ == 1
                             ? "one stack is damaged, that " + first_damage_
                             : fmt::format("{} stacks are damaged, the first {}", damaged_, first_damage_));
  return std::move(report_);
}

void StackReport::add_line(const std::string& text) {
  table(kFrames).rows.push_back({text});  // no cell for JSON
}

void StackReport::add_head(const Shown& one) {
  if (!table(kFrames).rows.empty()) add_line("");
  if (!one.others.empty()) {
    constexpr size_t kMostPids = 12;
    std::string pids = shown(cell(one.task.pid));
    for (size_t i = 0; i < one.others.size() && i < kMostPids; ++i)
      pids += fmt::format(" {}", shown(cell(one.others[i].pid)));
    add_line(fmt::format("{} tasks have this stack: {}{}", one.others.size() + 1, pids,
                         one.others.size() > kMostPids ? " ..." : ""));
  }
  add_line(task_head(one.task));
}

void StackReport::add_stack_row(const Shown& one) {
  const unwind::Trace& trace = one.stack.trace;
  std::string pids = shown(cell(one.task.pid));
  for (const Task& other : one.others) pids += fmt::format(",{}", shown(cell(other.pid)));
  table(kStacks).rows.push_back({Hex{one.task.address.value}, cell(one.task.pid), cell(one.task.cpu),
                                 cell(one.task.comm), cell(one.task.state),
                                 std::string(describe(one.stack.origin)),
                                 one.stack.source ? Cell(std::string(describe(*one.stack.source))) : Cell{},
                                 uint64_t{trace.frames.size()}, trace.end == End::complete,
                                 text_cell(trace.fault), uint64_t{one.others.size() + 1}, pids});
}

void StackReport::add_registers(const Shown& one, std::optional<size_t> frame,
                                const arch::Registers& registers) {
  if (frame) {
    const VirtAddr ip = one.stack.trace.frames[*frame].address;
    const auto& near = symbol_at(ip);
    add_line(fmt::format(
        "    [exception {}: {}]", name_of_ip(registers_),
        near ? fmt::format("{}+{}", near->symbol.name, near->offset) : fmt::format("{:x}", ip.value)));
  }
  for (const std::string& line : register_lines(registers_, registers)) add_line(line);
  Row row = {Hex{one.task.address.value}, frame ? Cell(uint64_t{*frame}) : Cell{}};
  add_register_cells(row, registers_, registers);
  table(kRegisters).rows.push_back(std::move(row));
}

void StackReport::add_word_lines(const Shown& one, std::optional<size_t> frame, VirtAddr first,
                                 VirtAddr end) {
  constexpr uint64_t kPerLine = 2;
  std::vector<std::byte> bytes(end - first);
  try {
    session_.read(first, bytes, nullptr);
  } catch (const Error& error) {
    add_line(fmt::format("    {}", error.what()));
    return;
  }
  std::string line;
  for (uint64_t at = 0; at + kWord <= bytes.size(); at += kWord) {
    const auto value = load<uint64_t>(&bytes[at], session_.byte_order());
    const std::string symbol = word_text(value);
    if (at % (kPerLine * kWord) == 0) {
      if (!line.empty()) add_line(line);
      line = fmt::format("    {:x}:", first.value + at);
    }
    line += frame || symbol.empty() ? fmt::format(" {:016x}", value) : fmt::format(" {:<16}", symbol);
    table(kWords).rows.push_back({Hex{one.task.address.value}, frame ? Cell(uint64_t{*frame}) : Cell{},
                                  Hex{first.value + at}, Hex{value}, text_cell(symbol)});
  }
  if (!line.empty()) add_line(line);
}

// From a frame's stack pointer up to where the next frame's address stands.
void StackReport::add_words(const Shown& one, size_t index) {
  const auto& frames = one.stack.trace.frames;
  const Frame& frame = frames[index];
  if (frame.stack == nullptr) return;
  VirtAddr end = frame.stack->end;
  if (index + 1 < frames.size() && frames[index + 1].stack == frame.stack) end = frames[index + 1].sp;
  if (frame.sp < end) add_word_lines(one, index, frame.sp, end);
}

void StackReport::add_raw(const Shown& one) {
  if (!one.stack.stacks || one.stack.stacks->empty()) return;
  const unwind::Stack& stack = one.stack.stacks->front();
  add_word_lines(one, std::nullopt, stack.first, stack.end);
}

void StackReport::add_frame(const Shown& one, size_t index) {
  const Frame& frame = one.stack.trace.frames[index];
  const auto& near = symbol_at(frame.lookup_address());
  const std::string module = near ? near->symbol.module : "";
  const auto source = style_.with_lines ? session_.line_of(frame.lookup_address()) : std::nullopt;
  std::string line =
      fmt::format("{}#{} [{:x}] {} at {:x}", index < 10 ? " " : "", index, frame.at.value_or(frame.sp).value,
                  function_text(frame.lookup_address()), frame.address.value);
  if (!module.empty()) line += fmt::format(" [{}]", module);
  const uint64_t offset = near ? frame.address - near->symbol.address : 0;
  table(kFrames).rows.push_back(
      {line + mark_of(frame, stacks_.usual_means()), Hex{one.task.address.value}, cell(one.task.pid),
       uint64_t{index}, near ? Cell(near->symbol.name) : Cell{}, near ? Cell(offset) : Cell{},
       text_cell(module), Hex{frame.address.value}, frame.is_interrupted,
       frame.at ? Cell(Hex{frame.at->value}) : Cell{}, Hex{frame.sp.value},
       frame.stack == nullptr ? Cell{} : Cell(frame.stack->name), std::string(describe(frame.means)),
       text_cell(frame.doubt), source ? Cell(source->file) : Cell{},
       source ? Cell(uint64_t{source->line}) : Cell{}});
  if (source) add_lines(one, index, *source);
  if (frame.registers) add_registers(one, index, *frame.registers);
}

// The line that runs; where it was inlined, also from which lines it was called.
void StackReport::add_lines(const Shown& one, size_t index, const debuginfo::SourceLine& source) {
  const VirtAddr address = one.stack.trace.frames[index].lookup_address();
  const auto functions = session_.debuginfo()->functions_at(address);
  if (functions.size() < 2) {
    add_line(fmt::format("    {}: {}", source.file, source.line));
    return;
  }
  for (size_t i = 0; i < functions.size(); ++i) {
    const auto& [name, line] = functions[i];
    const bool is_inlined = i + 1 < functions.size();
    add_line(fmt::format("    {}{}",
                         line ? fmt::format("{}: {}", line->file, line->line) : "(line not known)",
                         is_inlined ? fmt::format("  (inlined: {})", name) : ""));
    if (is_inlined)
      table(kInlined).rows.push_back({Hex{one.task.address.value}, uint64_t{index}, uint64_t{i}, name,
                                      line ? Cell(line->file) : Cell{},
                                      line ? Cell(uint64_t{line->line}) : Cell{}});
  }
}

void StackReport::show(const Shown& one) {
  const unwind::Trace& trace = one.stack.trace;
  add_head(one);
  add_stack_row(one);
  if (style_.raw) {
    add_raw(one);
    return;
  }
  if (one.stack.origin == Origin::guess)
    add_line("    (a guess: it runs, and this is where it was switched out last)");
  if (one.stack.origin == Origin::user_mode) add_line("    (it runs in user mode)");
  for (size_t i = 0; i < trace.frames.size(); ++i) {
    const unwind::Stack* before = i == 0 ? nullptr : trace.frames[i - 1].stack;
    if (before != nullptr && before != trace.frames[i].stack)
      add_line(fmt::format("--- <{} stack> ---", stack_name(*before)));
    add_frame(one, i);
    if (style_.with_words) add_words(one, i);
  }
  if (trace.user) add_registers(one, std::nullopt, *trace.user);
  if (!trace.fault.empty()) add_line(fmt::format("    ({})", trace.fault));
}

}  // namespace kvista::cli
