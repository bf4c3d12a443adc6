#include "cli/stack_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/endian.h"
#include "base/error.h"
#include "cli/task_operand.h"

namespace kvista::cli {
namespace {

using kernel::Task;
using unwind::End;
using unwind::Frame;
using unwind::Means;
using unwind::Origin;
using unwind::Reg;
using unwind::Registers;

constexpr size_t kStacks = 0;
constexpr size_t kRegisters = 1;
constexpr size_t kWords = 2;
constexpr size_t kInlined = 3;
constexpr size_t kFrames = 4;
constexpr uint64_t kWord = 8;

// In text all is in the table of frames, because a stack's parts follow each other there.
TableSpec stacks_spec() {
  return {"stacks",
          "a row for each stack",
          Layout::lines,
          {{"task", "TASK", Type::hex, "", "where the struct task_struct is", Show::only_json},
           {"pid", "PID", Type::integer, "", "of the task", Show::only_json},
           {"cpu", "CPU", Type::integer, "", "that it runs on, or ran on last", Show::only_json},
           {"comm", "COMMAND", Type::text, "", "its name", Show::only_json},
           {"state", "ST", Type::text, "", "as in kvista ps", Show::only_json},
           {"from", "FROM", Type::text, "",
            "where it was followed from: switched out, cpu (it ran), user mode (it ran there, and has no "
            "frames), guess (it "
            "ran, and nobody noted where: from where it was switched out last), none",
            Show::only_json},
           {"registers_from", "REGISTERS FROM", Type::text, "",
            "of what ran, who noted the registers: QEMU note, crash_notes or NT_PRSTATUS", Show::only_json},
           {"frames", "FRAMES", Type::integer, "", "how many", Show::only_json},
           {"complete", "COMPLETE", Type::boolean, "",
            "whether it was followed to where the kernel was entered, or a thread of its own began",
            Show::only_json},
           {"fault", "FAULT", Type::text, "", "why not, or why there is none", Show::only_json},
           {"tasks", "TASKS", Type::integer, "", "how many have this stack: more than 1 with --unique only",
            Show::only_json},
           {"pids", "PIDS", Type::text, "", "theirs, with commas between", Show::only_json}}};
}

std::vector<Reg> shown_registers() {
  return {Reg::ip,  Reg::sp,  Reg::flags, Reg::ax,  Reg::bx,      Reg::cx,  Reg::dx,
          Reg::si,  Reg::di,  Reg::bp,    Reg::r8,  Reg::r9,      Reg::r10, Reg::r11,
          Reg::r12, Reg::r13, Reg::r14,   Reg::r15, Reg::orig_ax, Reg::cs,  Reg::ss};
}

bool is_pushed_by_cpu(Reg reg) {
  return reg >= Reg::ip;
}

TableSpec registers_spec() {
  TableSpec spec{
      "registers",
      "the registers of frames that were interrupted, and those with which the kernel was entered from user "
      "mode",
      Layout::lines,
      {{"task", "TASK", Type::hex, "", "the task's", Show::only_json},
       {"frame", "FRAME", Type::integer, "", "of that task; null for user mode's", Show::only_json}}};
  for (const Reg reg : shown_registers()) {
    std::string name(arch::x86_64::name_of(reg));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const char* meaning =
        reg == Reg::orig_ax ? "of an exception its error code, of a system call its number" : "";
    spec.columns.push_back(
        {name, std::string(arch::x86_64::name_of(reg)), Type::hex, "", meaning, Show::only_json});
  }
  return spec;
}

TableSpec words_spec() {
  return {"words",
          "with -f or -r: the words on the stack",
          Layout::lines,
          {{"task", "TASK", Type::hex, "", "the task's", Show::only_json},
           {"frame", "FRAME", Type::integer, "", "of that task, in which the word is; null with -r",
            Show::only_json},
           {"address", "ADDRESS", Type::hex, "", "where it is", Show::only_json},
           {"value", "VALUE", Type::hex, "", "what it is", Show::only_json},
           {"symbol", "SYMBOL", Type::text, "", "that it is an address in", Show::only_json}}};
}

TableSpec inlined_spec() {
  return {
      "inlined",
      "with -l: functions that were inlined into those of the frames, the innermost first",
      Layout::lines,
      {{"task", "TASK", Type::hex, "", "the task's", Show::only_json},
       {"frame", "FRAME", Type::integer, "", "of that task", Show::only_json},
       {"depth", "DEPTH", Type::integer, "", "0: what runs; each is inlined into the next", Show::only_json},
       {"function", "FUNCTION", Type::text, "", "that was inlined", Show::only_json},
       {"source_file", "FILE", Type::text, "", "where in it", Show::only_json},
       {"source_line", "LINE", Type::integer, "", "the line there", Show::only_json}}};
}

TableSpec frames_spec() {
  return {
      "frames",
      "the frames of each stack, the innermost first",
      Layout::lines,
      {{"line", "LINE", Type::text, "", "as crash writes it", Show::only_text},
       {"task", "TASK", Type::hex, "", "the task's", Show::only_json},
       {"pid", "PID", Type::integer, "", "the task's", Show::only_json},
       {"frame", "FRAME", Type::integer, "", "counted from 0", Show::only_json},
       {"function", "FUNCTION", Type::text, "", "null where no symbol has the address", Show::only_json},
       {"offset", "OFFSET", Type::integer, "bytes", "of the address in it", Show::only_json},
       {"module", "MODULE", Type::text, "", "null for the kernel's own", Show::only_json},
       {"address", "ADDRESS", Type::hex, "",
        "to which a call returns, or of the instruction that was interrupted", Show::only_json},
       {"interrupted", "INTERRUPTED", Type::boolean, "", "which of the two it is", Show::only_json},
       {"at", "AT", Type::hex, "", "where on the stack the address is; null where it comes from a note",
        Show::only_json},
       {"sp", "SP", Type::hex, "", "the stack pointer there", Show::only_json},
       {"stack", "STACK", Type::text, "", "task, IRQ, entry, or an exception's: NMI, DF, DB, MCE, VC",
        Show::only_json},
       {"means", "MEANS", Type::text, "",
        "how it was found: registers, switched out, orc, frame pointer, call site (on the stack is the "
        "address behind a call of "
        "the function above); scan is a guess",
        Show::only_json},
       {"doubt", "DOUBT", Type::text, "",
        "what was wrong with the frame before, so that this one had to be guessed; null where nothing was",
        Show::only_json},
       {"source_file", "FILE", Type::text, "", "with -l: what it was made from", Show::only_json},
       {"source_line", "LINE", Type::integer, "", "with -l: the line there", Show::only_json}}};
}

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
std::string mark_of(const Frame& frame) {
  const std::string doubt = frame.doubt.empty() ? "" : ": " + frame.doubt;
  if (frame.means == Means::scan) return fmt::format("  (a guess, found by scanning the stack{})", doubt);
  if (frame.means == Means::call_site) return fmt::format("  (by the call of the function above{})", doubt);
  if (frame.means == Means::frame_pointer) return "  (by frame pointer)";
  return {};
}

std::string stack_name(const unwind::Stack& stack) {
  return stack.kind == unwind::StackKind::exception ? stack.name + " exception" : stack.name;
}

std::string register_text(const Registers& registers, Reg reg) {
  const std::string name = fmt::format("{}:", arch::x86_64::name_of(reg));
  return reg == Reg::cs || reg == Reg::ss ? fmt::format("{} {:04x}", name, registers[reg])
         : reg == Reg::flags              ? fmt::format("{} {:08x}", name, registers[reg])
                                          : fmt::format("{:<4} {:016x}", name, registers[reg]);
}

// As crash lays them out.
std::vector<std::vector<Reg>> register_lines(bool are_all) {
  if (!are_all) return {{Reg::ip, Reg::sp, Reg::flags}, {Reg::cs, Reg::ss}};
  return {{Reg::ip, Reg::sp, Reg::flags},  {Reg::ax, Reg::bx, Reg::cx},    {Reg::dx, Reg::si, Reg::di},
          {Reg::bp, Reg::r8, Reg::r9},     {Reg::r10, Reg::r11, Reg::r12}, {Reg::r13, Reg::r14, Reg::r15},
          {Reg::orig_ax, Reg::cs, Reg::ss}};
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

std::vector<TableSpec> stack_tables() {
  return {stacks_spec(), registers_spec(), words_spec(), inlined_spec(), frames_spec()};
}

StackReport::StackReport(const kernel::Session& session, std::string command, StackStyle style)
    : session_(session), style_(style), tasks_(session), stacks_(session) {
  report_.command = std::move(command);
  for (TableSpec& spec : stack_tables()) report_.tables.push_back({std::move(spec), {}});
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
  constexpr uint64_t kKernelHalf = uint64_t{1} << 63;
  if ((value & kKernelHalf) == 0) return {};
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
  if (!stacks_.why_no_orc().empty())
    add_missing(report_, fmt::format("stacks are followed without ORC: {}", stacks_.why_no_orc()));
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

void StackReport::add_registers(const Shown& one, std::optional<size_t> frame, const Registers& registers,
                                bool are_all) {
  if (frame) {
    const VirtAddr ip{registers[Reg::ip]};
    const auto& near = symbol_at(ip);
    add_line(
        fmt::format("    [exception RIP: {}]", near ? fmt::format("{}+{}", near->symbol.name, near->offset)
                                                    : fmt::format("{:x}", ip.value)));
  }
  for (const auto& line : register_lines(are_all)) {
    std::string text = " ";
    for (const Reg reg : line)
      text += fmt::format("{}{}", text.size() == 1 ? "   " : "  ", register_text(registers, reg));
    add_line(text);
  }
  Row row = {Hex{one.task.address.value}, frame ? Cell(uint64_t{*frame}) : Cell{}};
  for (const Reg reg : shown_registers())
    row.push_back(are_all || is_pushed_by_cpu(reg) ? Cell(Hex{registers[reg]}) : Cell{});
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
      {line + mark_of(frame), Hex{one.task.address.value}, cell(one.task.pid), uint64_t{index},
       near ? Cell(near->symbol.name) : Cell{}, near ? Cell(offset) : Cell{}, text_cell(module),
       Hex{frame.address.value}, frame.is_interrupted, frame.at ? Cell(Hex{frame.at->value}) : Cell{},
       Hex{frame.sp.value}, frame.stack == nullptr ? Cell{} : Cell(frame.stack->name),
       std::string(describe(frame.means)), text_cell(frame.doubt), source ? Cell(source->file) : Cell{},
       source ? Cell(uint64_t{source->line}) : Cell{}});
  if (source) add_lines(one, index, *source);
  if (frame.registers) add_registers(one, index, *frame.registers, frame.has_all_registers);
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
  if (trace.user) add_registers(one, std::nullopt, *trace.user, true);
  if (!trace.fault.empty()) add_line(fmt::format("    ({})", trace.fault));
}

}  // namespace kvista::cli
