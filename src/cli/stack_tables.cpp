#include "cli/stack_tables.h"

#include <fmt/format.h>

namespace kvista::cli {
namespace {

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

TableSpec registers_spec(const RegisterView& view) {
  TableSpec spec{
      "registers",
      "the registers of frames that were interrupted, and those with which the kernel was entered from user "
      "mode",
      Layout::lines,
      {{"task", "TASK", Type::hex, "", "the task's", Show::only_json},
       {"frame", "FRAME", Type::integer, "", "of that task; null for user mode's", Show::only_json}}};
  for (Column& column : register_columns(view)) spec.columns.push_back(std::move(column));
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
       {"stack", "STACK", Type::text, "", fmt::format("task, {}", kCpuStackNames), Show::only_json},
       {"means", "MEANS", Type::text, "",
        "how it was found: registers, switched out, orc, frame pointer, link register (the function above "
        "has "
        "no frame yet), call site (on the stack is the "
        "address behind a call of "
        "the function above); scan is a guess",
        Show::only_json},
       {"doubt", "DOUBT", Type::text, "",
        "what was wrong with the frame before, so that this one had to be guessed; null where nothing was",
        Show::only_json},
       {"source_file", "FILE", Type::text, "", "with -l: what it was made from", Show::only_json},
       {"source_line", "LINE", Type::integer, "", "with -l: the line there", Show::only_json}}};
}

}  // namespace

std::vector<TableSpec> stack_tables(const RegisterView& view) {
  return {stacks_spec(), registers_spec(view), words_spec(), inlined_spec(), frames_spec()};
}

std::vector<TableSpec> stack_tables() {
  std::vector<TableSpec> specs = stack_tables(register_views().front());
  for (const RegisterView& view : register_views().subspan(1))
    specs.at(static_cast<size_t>(StackTable::registers)).alternatives.push_back(registers_spec(view).columns);
  return specs;
}

}  // namespace kvista::cli
