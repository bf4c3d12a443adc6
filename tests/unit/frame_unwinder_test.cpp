// Frames of arm64 on stacks that are made by hand: `Machine` is memory and code as a test says them.
#include "unwind/frame_unwinder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "arch/arm64/registers.h"
#include "unit/hand_made_stacks.h"
#include "unwind/arm64/frames.h"

namespace kvista::unwind {
namespace {

using arch::Registers;
using arch::arm64::Reg;
using arm64::FrameFacts;
using arm64::Frames;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kCode = 0xffff800080000000;
constexpr uint64_t kCodeEnd = kCode + 0x100000;
constexpr uint64_t kTask = 0xffff800081230000;
constexpr uint64_t kIrq = 0xffff800081240000;
constexpr uint64_t kOverflow = 0xffff0000beef0000;
constexpr uint64_t kSize = 0x4000;
constexpr uint64_t kMask = ~uint64_t{0} << 48;
// Functions of 4 KiB each.
constexpr uint64_t kInner = kCode + 0x1000;
constexpr uint64_t kMiddle = kCode + 0x2000;
constexpr uint64_t kOuter = kCode + 0x3000;
constexpr uint64_t kTop = kCode + 0x4000;
constexpr uint64_t kRetFromFork = kCode + 0x5000;
// struct pt_regs of 6.12, and of 6.13.
constexpr uint64_t kSaved = 336;
constexpr uint64_t kRecord = 304;
constexpr uint64_t kTypedRecord = 296;
constexpr uint64_t kLast = kTask + kSize - kSaved;
constexpr uint32_t kCall = 0x94000000;         // bl
constexpr uint32_t kMakeRecord = 0x910003fd;   // mov x29, sp
constexpr uint32_t kLeaveRecord = 0xa8c27bfd;  // ldp x29, x30, [sp], #32
constexpr uint32_t kReturn = 0xd65f03c0;
constexpr uint64_t kKernelMode = 0x60400005;  // EL1h

class Machine final : public HandMadeMemory<Target> {
 public:
  Machine() : HandMadeMemory(kCode, kCodeEnd) {}

  void put_instruction(uint64_t at, uint32_t instruction) {
    uint64_t& word = words[at & ~uint64_t{7}];
    const unsigned shift = (at & 4) * 8;
    word = (word & ~(uint64_t{0xffffffff} << shift)) | uint64_t{instruction} << shift;
  }
  void put_record(uint64_t at, uint64_t fp, uint64_t address) {
    put(at, fp);
    put(at + 8, address);
  }
  void put_registers(uint64_t at, const Registers& all) {
    HandMadeMemory::put_registers(at, all, arch::arm64::kRegCount);
  }
};

class FrameUnwinderTest : public testing::Test {
 protected:
  static Registers registers(uint64_t pc, uint64_t sp, uint64_t fp, uint64_t mode = kKernelMode) {
    Registers all{&arch::arm64::kRegisterSet};
    for (size_t i = 0; i < arch::arm64::kRegCount; ++i) all.put(i, 0x100 + i);
    all.put(Reg::pc, pc);
    all.put(Reg::sp, sp);
    all.put(Reg::x29, fp);
    all.put(Reg::x30, 0);
    all.put(Reg::pstate, mode);
    all.put(Reg::syscallno, 0xffffffff);
    return all;
  }
  // From where a task was switched out, or with all that a CPU had.
  Trace run(uint64_t pc, uint64_t sp, uint64_t fp) {
    return run(Start{Means::switched_out, registers(pc, sp, fp), false, false});
  }
  Trace run(const Registers& all) { return run(Start{Means::registers, all, true, true}); }
  Trace run(const Start& start) {
    return unwind_by_frames(machine_, Frames(facts_), stacks_, start, ByteOrder::little);
  }
  void use_types() {
    facts_.record_in_saved = kTypedRecord;
    facts_.has_types = true;
  }
  // Above all frames of a task that came from user mode, or of a thread of the kernel.
  uint64_t put_last(uint64_t mode, uint64_t pc) {
    machine_.put_registers(kLast, registers(pc, 0xffffc0001000, 0, mode));
    machine_.put_record(kLast + facts_.record_in_saved, 0, 0);
    if (facts_.has_types) machine_.put(kLast + facts_.record_in_saved + 16, 1);
    return kLast + facts_.record_in_saved;
  }

  Machine machine_;
  FrameFacts facts_{
      kMask, kSaved, kRecord, false, {{VirtAddr{kRetFromFork}, VirtAddr{kRetFromFork + 0xfff}}}};
  std::vector<Stack> stacks_ = {
      {StackKind::task, "task", VirtAddr{kTask}, VirtAddr{kTask + kSize}},
      {StackKind::irq, "IRQ", VirtAddr{kIrq}, VirtAddr{kIrq + kSize}},
      {StackKind::exception, "overflow", VirtAddr{kOverflow}, VirtAddr{kOverflow + 0x1000}}};
};

constexpr uint64_t kSp = kTask + 0x1000;

TEST_F(FrameUnwinderTest, CallsUpToUserMode) {
  for (const bool has_types : {false, true}) {
    if (has_types) use_types();
    machine_.put_record(kSp, kSp + 0x40, kMiddle + 8);
    machine_.put_record(kSp + 0x40, kSp + 0x80, kOuter + 8);
    machine_.put_record(kSp + 0x80, put_last(0, 0xaaaa1234), kTop + 8);
    const Trace trace = run(kInner + 8, kSp, kSp);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kOuter + 8, kTop + 8));
    EXPECT_THAT(means(trace), ElementsAre(Means::switched_out, Means::frame_pointer, Means::frame_pointer,
                                          Means::frame_pointer));
    EXPECT_EQ(trace.frames[1].at, VirtAddr{kSp + 8});
    EXPECT_EQ(trace.frames[1].sp, VirtAddr{kSp + 0x40});
    EXPECT_EQ(trace.frames[1].lookup_address(), VirtAddr{kMiddle + 7});
    EXPECT_EQ(trace.frames[3].stack, stacks_.data());
    ASSERT_TRUE(trace.user);
    EXPECT_EQ((*trace.user)[Reg::pc], 0xaaaa1234U);
    EXPECT_EQ((*trace.user)[Reg::orig_x0], 0x100U + 34);
    EXPECT_TRUE(trace.user->has_all());
  }
}

TEST_F(FrameUnwinderTest, ThreadOfTheKernel) {
  machine_.put_record(kSp, put_last(kKernelMode, 0), kRetFromFork + 0x10);
  Trace trace = run(kInner + 8, kSp, kSp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kRetFromFork + 0x10));
  EXPECT_FALSE(trace.user);
  // The first task's registers are zeros, which is user mode's mode.
  put_last(0, 0);
  for (size_t i = 0; i < arch::arm64::kRegCount; ++i) machine_.put(kLast + i * 8, 0);
  trace = run(kInner + 8, kSp, kSp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_FALSE(trace.user);
}

// Until 5.13 a thread of the kernel ended with a frame pointer of 0.
TEST_F(FrameUnwinderTest, NoFramePointer) {
  machine_.put_record(kSp, 0, kRetFromFork + 0x10);
  EXPECT_EQ(run(kInner + 8, kSp, kSp).end, End::complete);
  EXPECT_EQ(run(kRetFromFork, kSp, 0).frames.size(), 1U) << "a task that was never run";
  machine_.put_record(kSp, 0, kMiddle + 8);
  const Trace trace = run(kInner + 8, kSp, kSp);
  EXPECT_EQ(trace.end, End::damaged) << "no stack begins there";
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8));
  EXPECT_THAT(trace.fault, HasSubstr("leads to 0x0, which is in no stack"));
}

TEST_F(FrameUnwinderTest, SignaturesAreStripped) {
  constexpr uint64_t kSignature = 0x0035000000000000;  // bit 55 stays
  machine_.put_record(kSp, kSp + 0x40, (kMiddle + 8) & ~kSignature);
  machine_.put_record(kSp + 0x40, put_last(0, 0x1000), (kOuter + 8) & ~uint64_t{0x7f00000000000000});
  Trace trace = run(kInner + 8, kSp, kSp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kOuter + 8));
  // A processor without pointer authentication signs nothing: such an address is damage.
  facts_.signature_mask = 0;
  trace = run(kInner + 8, kSp, kSp);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("which is no code"));
}

TEST_F(FrameUnwinderTest, ExceptionAndInterruptedCode) {
  for (const bool has_types : {false, true}) {
    if (has_types) use_types();
    constexpr uint64_t kAt = kTask + 0x1100;
    const Registers all = registers(kMiddle + 4, kAt + kSaved, kAt + kSaved + 0x20);
    const uint64_t record = kAt + facts_.record_in_saved;
    machine_.put_registers(kAt, all);
    if (has_types)
      machine_.put_record(record, 0, 0);
    else
      machine_.put_record(record, kAt + kSaved + 0x20, kMiddle + 4);
    machine_.put(record + 16, has_types ? 2 : 0);
    machine_.put_record(kSp, record, kTop + 0x20);  // the entry
    machine_.put_record(kAt + kSaved + 0x20, put_last(0, 0x1000), kOuter + 8);
    machine_.put_instruction(kMiddle, kMakeRecord);
    const Trace trace = run(kInner + 8, kSp, kSp);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kTop + 0x20, kMiddle + 4, kOuter + 8));
    const Frame& interrupted = trace.frames[2];
    EXPECT_TRUE(interrupted.is_interrupted);
    EXPECT_EQ(interrupted.means, Means::registers);
    EXPECT_EQ(interrupted.registers, all);
    EXPECT_EQ(interrupted.at, VirtAddr{kAt + 256});
    EXPECT_EQ(interrupted.sp, VirtAddr{kAt + kSaved});
  }
}

// A function that has no frame keeps where it returns to in x30.
TEST_F(FrameUnwinderTest, LinkRegister) {
  Registers all = registers(kInner + 8, kSp, kSp);
  all.put(Reg::x30, kMiddle + 8);
  machine_.put_instruction(kMiddle + 4, kCall);
  machine_.put_record(kSp, put_last(0, 0x1000), kOuter + 8);
  const Trace trace = run(all);
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kOuter + 8));
  EXPECT_THAT(means(trace), ElementsAre(Means::registers, Means::link_register, Means::frame_pointer));
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_EQ(trace.frames[0].registers, all);
  EXPECT_FALSE(trace.frames[1].registers);
  // What is behind no call is none, and what was called from within is no caller.
  for (const uint64_t other : {kMiddle + 0x18, kInner + 0x20, kCodeEnd + 8}) {
    all.put(Reg::x30, other);
    machine_.put_instruction(kInner + 0x1c, kCall);
    EXPECT_THAT(addresses(run(all)), ElementsAre(kInner + 8, kOuter + 8));
  }
  // As soon as it has a frame, that counts; and no more when it left it.
  all.put(Reg::x30, kMiddle + 8);
  machine_.put_instruction(kInner, kMakeRecord);
  EXPECT_THAT(addresses(run(all)), ElementsAre(kInner + 8, kOuter + 8));
  machine_.put_instruction(kInner + 4, kLeaveRecord);
  EXPECT_THAT(addresses(run(all)), ElementsAre(kInner + 8, kMiddle + 8, kOuter + 8));
  all.put(Reg::pc, kInner + 0x10);
  machine_.put_instruction(kInner + 8, kReturn);
  EXPECT_THAT(addresses(run(all)), ElementsAre(kInner + 0x10, kOuter + 8)) << "behind a return is other code";
}

TEST_F(FrameUnwinderTest, FromStackToStack) {
  machine_.put_record(kIrq + 0x3f00, kSp, kMiddle + 8);  // call_on_irq_stack
  machine_.put_record(kSp, put_last(0, 0x1000), kOuter + 8);
  const Trace trace = run(kInner + 8, kIrq + 0x3e00, kIrq + 0x3f00);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  ASSERT_EQ(trace.frames.size(), 3U);
  EXPECT_EQ(trace.frames[0].stack->name, "IRQ");
  EXPECT_EQ(trace.frames[1].stack->name, "task") << "where it goes on";
}

// The registers of code that used up its stack are on the stack for that.
TEST_F(FrameUnwinderTest, Overflow) {
  use_types();
  constexpr uint64_t kAt = kOverflow + 0x800;
  machine_.put_registers(kAt, registers(kMiddle + 4, kTask - 0x40, kTask + 0x20));
  machine_.put(kAt + kTypedRecord + 16, 2);
  machine_.put_record(kTask + 0x20, kTask + 0x60, kMiddle + 0x20);
  machine_.put_record(kTask + 0x60, put_last(0, 0x1000), kTop + 8);
  machine_.put_instruction(kMiddle, kMakeRecord);
  const Trace trace = run(kInner + 8, kAt - 0x100, kAt + kTypedRecord);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 4, kMiddle + 0x20, kTop + 8));
  EXPECT_EQ(trace.frames[0].stack->name, "overflow");
  EXPECT_EQ(trace.frames[1].stack->name, "task");
}

TEST_F(FrameUnwinderTest, NeverBack) {
  machine_.put_record(kSp, kSp - 0x80, kMiddle + 8);
  machine_.put_record(kSp - 0x80, kSp, kOuter + 8);
  Trace trace = run(kInner + 8, kSp - 0x200, kSp);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("leads back to"));
  EXPECT_EQ(trace.frames.size(), 2U);
  machine_.put_record(kSp, kSp, kMiddle + 8);  // to itself
  EXPECT_THAT(run(kInner + 8, kSp, kSp).fault, HasSubstr("leads back to"));
  machine_.put_record(kSp, kSp + 8, kMiddle + 8);  // into itself
  EXPECT_THAT(run(kInner + 8, kSp, kSp).fault, HasSubstr("leads back to"));
}

TEST_F(FrameUnwinderTest, NeverBackToAStackThatWasLeft) {
  machine_.put_record(kIrq + 0x1000, kSp, kMiddle + 8);
  machine_.put_record(kSp, kIrq + 0x2000, kOuter + 8);
  const Trace trace = run(kInner + 8, kIrq + 0x1000, kIrq + 0x1000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("leads back to the IRQ stack"));
}

TEST_F(FrameUnwinderTest, OutOfTheStack) {
  for (const uint64_t fp : {kTask - 8, kTask + kSize, uint64_t{0x1000}, ~uint64_t{7}}) {
    const Trace trace = run(kInner + 8, kSp, fp);
    EXPECT_EQ(trace.end, End::damaged);
    EXPECT_THAT(trace.fault, HasSubstr("which is in no stack")) << fp;
  }
  EXPECT_THAT(run(kInner + 8, kSp, kTask + kSize - 8).fault, HasSubstr("which is in no stack"))
      << "half of it is";
  EXPECT_THAT(run(kInner + 8, kSp, kSp + 4).fault, HasSubstr("no multiple of 8"));
  const Trace trace = run(kInner + 8, 0xffff000000001000, kSp);
  EXPECT_THAT(trace.fault, HasSubstr("0xffff000000001000 is in no stack"));
  EXPECT_EQ(trace.frames.size(), 1U) << "where it is, is known";
}

TEST_F(FrameUnwinderTest, PageThatIsNotThere) {
  machine_.put_record(kTask + 0xff0, kSp, kMiddle + 8);
  machine_.missing.insert(kSp);
  const Trace trace = run(kInner + 8, kTask + 0xf00, kTask + 0xff0);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8));
  EXPECT_THAT(trace.fault, HasSubstr("is excluded"));
}

TEST_F(FrameUnwinderTest, RecordsOfNoType) {
  use_types();
  machine_.put(kSp + 16, 7);
  EXPECT_THAT(run(kInner + 8, kSp, kSp).fault, HasSubstr("of type 7"));
  machine_.put(kSp + 16, 1);
  EXPECT_THAT(run(kInner + 8, kSp, kSp).fault, HasSubstr("last record"));
  machine_.put(kTask + 16, 2);
  EXPECT_THAT(run(kInner + 8, kTask, kTask).fault, HasSubstr("in no stack"))
      << "the registers begin below it";
}

// What leads nowhere is searched for: a return address behind a call, with a frame pointer that leads on.
TEST_F(FrameUnwinderTest, DamagedFrameIsSearchedFor) {
  machine_.put_record(kSp + 0x20, kSp + 0x80, kOuter + 0x20);  // is no return address
  machine_.put_record(kSp + 0x40, kSp, kMiddle + 8);           // leads back
  machine_.put_record(kSp + 0x60, kSp + 0x90, kMiddle + 8);
  machine_.put_instruction(kMiddle + 4, kCall);
  machine_.put_record(kSp + 0x90, put_last(0, 0x1000), kTop + 8);
  const Trace trace = run(kInner + 8, kSp, kIrq + kSize);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kTop + 8));
  EXPECT_THAT(means(trace), ElementsAre(Means::switched_out, Means::scan, Means::frame_pointer));
  EXPECT_THAT(trace.frames[1].doubt, HasSubstr("which is in no stack"));
  EXPECT_EQ(trace.frames[2].doubt, "");
}

// Whatever is on a stack: it ends, within bounds, and frames of a stack only go up.
TEST_F(FrameUnwinderTest, RandomMemory) {
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t end) {
    return std::uniform_int_distribution<uint64_t>(0, end - 1)(random);
  };
  size_t frames = 0;
  for (unsigned round = 0; round < 200; ++round) {
    machine_.words.clear();
    if (round % 2 == 1) use_types();
    for (const Stack& stack : stacks_)
      for (uint64_t at = 0; at + 16 <= stack.end - stack.first; at += 16) {
        const uint64_t here = stack.first.value + at;
        const uint64_t near = here + 16 + below(16) * 16;
        machine_.put_record(here,
                            below(32) != 0 ? near : stacks_[below(3)].first.value + below(kSize / 8) * 8,
                            below(32) != 0 ? kCode + below(kCodeEnd - kCode) : below(3));
      }
    for (unsigned i = 0; i < 2000; ++i) machine_.put_instruction(kCode + below(0x40000) * 4, kCall);
    const Stack& stack = stacks_[below(3)];
    const uint64_t sp = stack.first.value + below((stack.end - stack.first) / 16) * 16;
    const Trace trace = run(registers(kCode + below(kCodeEnd - kCode), sp, sp + below(4) * 8));
    ASSERT_LE(trace.frames.size(), kMostFrames);
    ASSERT_TRUE(trace.end == End::complete || !trace.fault.empty());
    frames += trace.frames.size();
    for (size_t i = 1; i < trace.frames.size(); ++i) {
      const auto &at = trace.frames[i].at, &before = trace.frames[i - 1].at;
      for (const Stack& one : stacks_)
        if (at && before && one.contains(*at) && one.contains(*before)) {
          ASSERT_GT(*at, *before);
        }
    }
  }
  EXPECT_GT(frames, 1000U) << "the rounds are worth something";
}

}  // namespace
}  // namespace kvista::unwind
