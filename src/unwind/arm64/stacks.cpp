#include "unwind/arm64/stacks.h"

#include <utility>

#include "arch/arm64/layout.h"
#include "arch/arm64/registers.h"
#include "base/error.h"
#include "kernel/session.h"
#include "unwind/arm64/frames.h"
#include "unwind/cpu_stacks.h"
#include "unwind/frame_unwinder.h"
#include "unwind/kernel_memory.h"
#include "unwind/kernel_target.h"

namespace kvista::unwind::arm64 {
namespace {

using arch::arm64::Reg;
using kernel::Session;

// Code that nobody called: the first of a thread, and the first of each CPU's own.
constexpr std::array kBeginnings = {"ret_from_fork", "__primary_switched", "__secondary_switched",
                                    "start_kernel", "secondary_start_kernel"};
constexpr std::array kEntries = {Labels{"__entry_text_start", "__entry_text_end"}};
constexpr uint64_t kMostSaved = 4096;

// The kernel's own word (ec6e822d1a22, 5.8), else all bits above those of an address.
uint64_t signature_mask(const Session& session) {
  const uint64_t above = ~uint64_t{0} << session.space().paging().address_bits();
  const auto noted = session.note().number("KERNELPACMASK");
  return noted ? *noted & above : above;
}

FrameFacts facts_of(const Session& session) {
  FrameFacts facts;
  facts.signature_mask = signature_mask(session);
  facts.beginnings = between_labels(session, kEntries);
  const auto functions = code_of(session, kBeginnings);
  facts.beginnings.insert(facts.beginnings.end(), functions.begin(), functions.end());
  const auto saved = session.types().kernel_type("pt_regs", type::Kind::structure);
  const auto record = saved ? saved->find_member("stackframe") : std::nullopt;
  if (!record || saved->size() < arch::arm64::kRegistersSize || saved->size() > kMostSaved) return facts;
  facts.saved_size = saved->size();
  facts.record_in_saved = record->bit_offset / 8;
  const type::Type type = record->type.resolved();
  facts.has_types = type.is_compound() && type.find_member("type");
  return facts;
}

class FrameFollower final : public Follower {
 public:
  FrameFollower(const Session& session, const StackRules& rules)
      : order_(session.byte_order()),
        target_(session, rules),
        frames_(facts_of(session)),
        ret_from_fork_(place_of(session, "ret_from_fork")) {}

  Trace follow(std::span<const Stack> stacks, const Start& start) const override {
    return unwind_by_frames(target_, frames_, stacks, start, order_);
  }

  // What cpu_switch_to() saves (arch/arm64/kernel/entry.S).
  Start of_switched_out(const Value& task) const override {
    const Value saved = task["thread"]["cpu_context"];
    Start start;
    start.means = Means::switched_out;
    start.registers.set = &arch::arm64::kRegisterSet;
    for (auto number = static_cast<unsigned>(Reg::x19); number <= static_cast<unsigned>(Reg::x28); ++number)
      start.registers.put(number, saved["x" + std::to_string(number)].number());
    start.registers.put(Reg::x29, saved["fp"].number());
    start.registers.put(Reg::sp, saved["sp"].number());
    start.registers.put(Reg::pc, saved["pc"].number());
    start.is_interrupted = ret_from_fork_ && ret_from_fork_->value == start.registers[Reg::pc];
    return start;
  }

  VirtAddr lowest_of(const Value& task) const override {
    return VirtAddr{task["thread"]["cpu_context"]["sp"].number()};
  }

 private:
  ByteOrder order_;
  KernelTarget target_;
  Frames frames_;
  std::optional<VirtAddr> ret_from_fork_;
};

}  // namespace

// SDEI_STACK_SIZE is THREAD_SIZE (asm/memory.h).
void add_firmware_stacks(const Session& session, unsigned cpu, uint64_t task_stack_size,
                         std::vector<Stack>& stacks) {
  add_stack_at(session, cpu, "sdei_stack_normal_ptr", "SDEI", StackKind::exception, task_stack_size, stacks);
  add_stack_at(session, cpu, "sdei_stack_critical_ptr", "critical SDEI", StackKind::exception,
               task_stack_size, stacks);
}

// Since ff7a167961d1 (6.2).
void add_efi_stack(const Session& session, unsigned /*cpu*/, uint64_t task_stack_size,
                   std::vector<Stack>& stacks) {
  const auto place = place_of(session, "efi_rt_stack_top");
  const uint64_t end = place ? session.read_number(*place, session.word_size(), nullptr) : 0;
  if (end > task_stack_size)
    stacks.push_back({StackKind::firmware, "EFI", VirtAddr{end - task_stack_size}, VirtAddr{end}});
}

std::unique_ptr<Follower> make_follower(const Session& session, const StackRules& rules) {
  return std::make_unique<FrameFollower>(session, rules);
}

}  // namespace kvista::unwind::arm64
