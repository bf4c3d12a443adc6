// Stacks of a described kernel's tasks, the code that ran on them, and the ORC tables that tell how they hang
// together.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "images/object_writer.h"

namespace kvista::test {
namespace {

constexpr uint64_t kStackSize = 16384;
constexpr uint64_t kCode = 0x10000;      // where functions are, behind _stext
constexpr uint64_t kFunction = 0x100;    // bytes of one
constexpr uint64_t kReturn = 0x10;       // where in a function its call returns to
constexpr uint64_t kFrame = 0x20;        // bytes of a frame, with the return address on top
constexpr uint64_t kRegisters = 168;     // struct pt_regs
constexpr uint64_t kSwitchFrame = 56;    // struct inactive_task_frame
constexpr uint64_t kCrashNote = 0x2000;  // where in a CPU's area
constexpr uint64_t kUserIp = 0x401000;
constexpr uint64_t kUserSp = 0x7ffc00001000;
constexpr std::string_view kEntry = "entry_SYSCALL_64_after_hwframe";
constexpr std::string_view kBegin = "ret_from_fork_asm";

// How each form writes an entry: arch/x86/include/asm/orc_types.h.
struct Orc {
  std::string_view form;
  uint16_t call, registers, end;  // with the stack pointer as base
  uint16_t sample;                // orc_fp_entry
  std::string_view hash;
};
constexpr std::array kForms = {
    Orc{"4.14", 0x0005, 0x0105, 0x0400, 0x0014, ""},
    Orc{"6.3", 0x0005, 0x0505, 0x0800, 0x0014, "db84aed4103b31dd51e017f8f79783ca985c2c51"},
    Orc{"6.4", 0x0205, 0x0b05, 0x0100, 0x0214, "fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24"},
    Orc{"7.1", 0x0203, 0x0b03, 0x0100, 0x0284, "137c36ad7627c4dd55932176bb0ecdbd5041fc82"}};

class StackPlacer {
 public:
  StackPlacer(ObjectWriter& writer, const Description& description)
      : out_(writer), description_(description) {}

  void run() {
    for (const TaskLine& task : description_.objects.tasks)
      for (const std::string& function : task.stack) add_function(function);
    if (functions_.empty()) return;
    kernel().name("_etext", kernel().text() + kCode + functions_.size() * kFunction);
    for (const TaskLine& task : description_.objects.tasks)
      if (!task.stack.empty()) place_stack(task);
    if (!description_.orc.empty()) place_tables();
  }

 private:
  Kernel& kernel() { return out_.kernel(); }

  void add_function(const std::string& name) {
    if (std::find(functions_.begin(), functions_.end(), name) != functions_.end()) return;
    functions_.push_back(name);
    kernel().name(name, kernel().text() + kCode + (functions_.size() - 1) * kFunction);
  }

  // An address in a function that is behind a call of another.
  uint64_t return_address(const std::string& function, uint64_t called) {
    const uint64_t address = kernel().symbol(function) + kReturn;
    const uint64_t at = kernel().image_phys(address);
    out_.put(at - 5, 0xe8, 1);
    out_.put(at - 4, called - address, 4);
    return address;
  }

  void place_stack(const TaskLine& line) {
    const PlacedObject task = kernel().object(fmt::format("task:{}", line.pid));
    const PlacedObject stack = out_.make_bytes(fmt::format("stack:{}", line.pid), kStackSize);
    const uint64_t top = kStackSize - kRegisters;
    put_registers(stack.phys + top, kUserIp, 0x33, kUserSp);
    uint64_t sp = top - kFrame * (line.stack.size() - 1);
    const uint64_t innermost = sp;
    for (size_t i = 1; i < line.stack.size(); ++i) {
      sp += kFrame;
      out_.put(stack.phys + sp - 8, return_address(line.stack[i], kernel().symbol(line.stack[i - 1])), 8);
    }
    out_.set(task, "stack", stack.virt);
    out_.set(task, "thread.sp", stack.virt + innermost - kSwitchFrame);
    out_.put(stack.phys + innermost - 8, return_address(line.stack.front(), 0), 8);
    if (line.is_running && description_.crashed) note_registers(line, stack.virt + innermost);
  }

  void put_registers(uint64_t phys, uint64_t ip, uint64_t cs, uint64_t sp) {
    for (uint64_t i = 0; i < 15; ++i) out_.put(phys + i * 8, 0x1000 + i, 8);
    out_.put(phys + 120, 61, 8);  // the system call
    out_.put(phys + 128, ip, 8);
    out_.put(phys + 136, cs, 8);
    out_.put(phys + 144, 0x246, 8);
    out_.put(phys + 152, sp, 8);
    out_.put(phys + 160, cs == 0x33 ? 0x2b : 0x18, 8);
  }

  // What the CPU noted as its kernel crashed: crash_save_cpu().
  void note_registers(const TaskLine& line, uint64_t sp) {
    if (!has_notes_) kernel().variable("crash_notes", kCrashNote);
    has_notes_ = true;
    const PlacedObject queue = kernel().object(fmt::format("rq:{}", line.cpu));
    const uint64_t note = queue.phys - kernel().symbol("runqueues") + kCrashNote;
    out_.put(note, 5, 4);
    out_.put(note + 4, 336, 4);
    out_.put(note + 8, 1, 4);
    kernel().memory().write(note + 12, std::string_view("CORE"));
    const uint64_t registers = note + 20 + 112;
    if (line.is_user)
      put_registers(registers, kUserIp, 0x33, kUserSp);
    else
      put_registers(registers, kernel().symbol(line.stack.front()) + 8, 0x10, sp);
  }

  void place_tables() {
    const auto* const form = std::find_if(kForms.begin(), kForms.end(),
                                          [&](const Orc& one) { return one.form == description_.orc; });
    if (form == kForms.end())
      throw DescriptionError(fmt::format("orc: there is no form {}", description_.orc));
    if (!form->hash.empty() && !description_.orc_without_hash) place_hash(form->hash);
    put_entry(kernel().place("orc_fp_entry", 6), 16, -16, form->sample);
    const uint64_t count = functions_.size();
    const uint64_t addresses = kernel().place("__start_orc_unwind_ip", count * 4);
    kernel().name("__stop_orc_unwind_ip", addresses + count * 4);
    const uint64_t entries = kernel().place("__start_orc_unwind", count * 6);
    kernel().name("__stop_orc_unwind", entries + count * 6);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t at = addresses + i * 4;
      out_.put(kernel().image_phys(at), kernel().symbol(functions_[i]) - at, 4);
      const uint64_t entry = entries + i * 6;
      if (functions_[i] == kEntry)
        put_entry(entry, 0, 0, form->registers);
      else if (functions_[i] == kBegin)
        put_entry(entry, 0, 0, form->end);
      else
        put_entry(entry, kFrame, 0, form->call);
    }
  }

  void place_hash(std::string_view hex) {
    const uint64_t at = kernel().place("__start_orc_header", hex.size() / 2);
    for (size_t i = 0; i < hex.size(); i += 2)
      out_.put(kernel().image_phys(at + i / 2), std::stoul(std::string(hex.substr(i, 2)), nullptr, 16), 1);
  }

  void put_entry(uint64_t virt, int16_t sp_offset, int16_t bp_offset, uint16_t flags) {
    const uint64_t at = kernel().image_phys(virt);
    out_.put(at, static_cast<uint16_t>(sp_offset), 2);
    out_.put(at + 2, static_cast<uint16_t>(bp_offset), 2);
    out_.put(at + 4, flags, 2);
  }

  ObjectWriter& out_;
  const Description& description_;
  std::vector<std::string> functions_;
  bool has_notes_ = false;
};

}  // namespace

void place_stacks(ObjectWriter& writer, const Description& description) {
  StackPlacer(writer, description).run();
}

}  // namespace kvista::test
