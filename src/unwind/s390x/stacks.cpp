#include "unwind/s390x/stacks.h"

#include "arch/s390x/registers.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "unwind/frame_unwinder.h"
#include "unwind/kernel_memory.h"
#include "unwind/kernel_target.h"
#include "unwind/s390x/frames.h"

namespace kvista::unwind::s390x {
namespace {

using arch::s390x::Reg;
using kernel::Session;

// Members of struct lowcore (asm/lowcore.h), each with the top of a stack of THREAD_SIZE, less room for what
// is saved there (STACK_INIT_OFFSET). mcck_stack is there since 5.12.
struct LowcoreStack {
  const char* member;
  StackKind kind;
  const char* name;
};
constexpr std::array kLowcoreStacks = {LowcoreStack{"async_stack", StackKind::irq, "IRQ"},
                                       LowcoreStack{"nodat_stack", StackKind::real, "nodat"},
                                       LowcoreStack{"mcck_stack", StackKind::exception, "machine check"},
                                       LowcoreStack{"restart_stack", StackKind::exception, "restart"}};

constexpr uint64_t kMostSize = 4096;  // of a struct
constexpr unsigned kR14InFrame = static_cast<unsigned>(Reg::r14) - static_cast<unsigned>(Reg::r6);

FrameFacts facts_of(const Session& session) {
  FrameFacts facts;
  const auto frame = session.types().kernel_type("stack_frame", type::Kind::structure);
  const auto saved_registers = frame ? frame->find_member("gprs") : std::nullopt;
  const auto back_chain = frame ? frame->find_member("back_chain") : std::nullopt;
  if (saved_registers && back_chain && frame->size() <= kMostSize) {
    facts.layout.return_address =
        saved_registers->bit_offset / 8 + uint64_t{kR14InFrame} * session.word_size();
    facts.layout.back_chain = back_chain->bit_offset / 8;
    facts.frame_size = frame->size();
  }
  const auto saved = session.types().kernel_type("pt_regs", type::Kind::structure);
  const auto psw = saved ? saved->find_member("psw") : std::nullopt;
  if (psw && saved->size() <= kMostSize) {
    facts.psw_in_saved = psw->bit_offset / 8;
    facts.saved_size = saved->size();
  }
  return facts;
}

class FrameFollower final : public Follower {
 public:
  FrameFollower(const Session& session, const StackRules& rules)
      : session_(session),
        target_(session, rules),
        frames_(facts_of(session)),
        ret_from_fork_(place_of(session, "ret_from_fork")) {}

  Trace follow(std::span<const Stack> stacks, const Start& start) const override {
    return unwind_by_frames(target_, frames_, stacks, start, session_.byte_order());
  }

  // What __switch_to() saves in the frame of its caller (arch/s390/kernel/entry.S).
  Start of_switched_out(const Value& task) const override {
    const VirtAddr sp = lowest_of(task);
    const Value saved = session_.object(kernel::type_by_word(session_, "stack_frame"), sp)["gprs"];
    const Value address = saved[kR14InFrame];
    Start start;
    start.means = Means::switched_out;
    start.registers.set = &arch::s390x::kRegisterSet;
    start.registers.put(Reg::psw_addr, address.number());
    start.registers.put(Reg::r15, sp.value);
    for (unsigned i = 0; i < kR14InFrame; ++i)
      start.registers.put(static_cast<unsigned>(Reg::r6) + i, saved[i].number());
    start.at = address.address();
    start.is_interrupted = ret_from_fork_ && ret_from_fork_->value == start.registers[Reg::psw_addr];
    return start;
  }

  VirtAddr lowest_of(const Value& task) const override { return VirtAddr{task["thread"]["ksp"].number()}; }

 private:
  const Session& session_;
  KernelTarget target_;
  Frames frames_;
  std::optional<VirtAddr> ret_from_fork_;
};

}  // namespace

// Each begins at a multiple of its size, by which the kernel's entries tell them (CHECK_VMAP_STACK in
// arch/s390/kernel/entry.S).
void add_lowcore_stacks(const Session& session, unsigned cpu, uint64_t task_stack_size,
                        std::vector<Stack>& stacks) {
  const Value lowcore = session.own_global("lowcore_ptr")[cpu];
  if (lowcore.target().value == 0) return;
  for (const auto& [member, kind, name] : kLowcoreStacks) {
    const uint64_t top = lowcore.has(member) ? lowcore[member].number() : 0;
    const VirtAddr first{top - top % task_stack_size};
    if (top != 0) stacks.push_back({kind, name, first, first + task_stack_size});
  }
}

std::unique_ptr<Follower> make_follower(const Session& session, const StackRules& rules) {
  return std::make_unique<FrameFollower>(session, rules);
}

}  // namespace kvista::unwind::s390x
