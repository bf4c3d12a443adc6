#include "unwind/riscv64/stacks.h"

#include <algorithm>

#include "arch/riscv64/registers.h"
#include "kernel/session.h"
#include "unwind/frame_unwinder.h"
#include "unwind/kernel_memory.h"
#include "unwind/kernel_target.h"
#include "unwind/riscv64/frames.h"

namespace kvista::unwind::riscv64 {
namespace {

using arch::riscv64::Reg;
using kernel::Session;

// The assembly by which traps enter and leave; the first code of a task, whose form for the kernel's own
// threads has a name of its own since 6.16; the first of each CPU.
constexpr std::array kEntries = {"handle_exception", "ret_from_exception"};
constexpr std::array kBeginnings = {"ret_from_fork", "ret_from_fork_kernel_asm", "ret_from_fork_user_asm",
                                    "start_kernel", "smp_callin"};
constexpr std::array kFirstPlaces = {"ret_from_fork", "ret_from_fork_kernel_asm", "ret_from_fork_user_asm"};

uint64_t saved_size(const Session& session) {
  const auto saved = session.types().kernel_type("pt_regs", type::Kind::structure);
  return saved && saved->size() >= arch::riscv64::kRegistersSize ? saved->size()
                                                                 : arch::riscv64::kRegistersSize;
}

class FrameFollower final : public Follower {
 public:
  FrameFollower(const Session& session, const StackRules& rules)
      : order_(session.byte_order()),
        target_(session, rules),
        frames_({saved_size(session), code_of(session, kEntries), code_of(session, kBeginnings)}) {
    for (const char* name : kFirstPlaces)
      if (const auto place = place_of(session, name)) first_places_.push_back(*place);
  }

  Trace follow(std::span<const Stack> stacks, const Start& start) const override {
    return unwind_by_frames(target_, frames_, stacks, start, order_);
  }

  // What __switch_to() saves (arch/riscv/kernel/entry.S).
  Start of_switched_out(const Value& task) const override {
    const Value saved = task["thread"];
    Start start;
    start.means = Means::switched_out;
    start.registers.set = &arch::riscv64::kRegisterSet;
    start.registers.put(Reg::epc, saved["ra"].number());
    start.registers.put(Reg::sp, saved["sp"].number());
    start.registers.put(Reg::s0, saved["s"][0].number());
    start.registers.put(Reg::s1, saved["s"][1].number());
    for (unsigned number = 2; number < 12; ++number)
      start.registers.put(static_cast<unsigned>(Reg::s2) + number - 2, saved["s"][number].number());
    const VirtAddr place{start.registers.ip()};
    start.is_interrupted =
        std::find(first_places_.begin(), first_places_.end(), place) != first_places_.end();
    return start;
  }

  VirtAddr lowest_of(const Value& task) const override { return VirtAddr{task["thread"]["sp"].number()}; }

 private:
  ByteOrder order_;
  KernelTarget target_;
  Frames frames_;
  std::vector<VirtAddr> first_places_;
};

}  // namespace

std::unique_ptr<Follower> make_follower(const Session& session, const StackRules& rules) {
  return std::make_unique<FrameFollower>(session, rules);
}

}  // namespace kvista::unwind::riscv64
