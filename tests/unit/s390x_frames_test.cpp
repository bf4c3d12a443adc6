// Frames and registers of s390x, on stacks that are made by hand.
#include "unwind/s390x/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "unit/hand_made_stacks.h"
#include "unwind/frame_unwinder.h"

namespace kvista::unwind {
namespace {

using arch::Registers;
using arch::s390x::Reg;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kCode = 0x3fffe8f0000;
constexpr uint64_t kTask = 0x37ffe700000;
constexpr uint64_t kIrq = 0x3f890000;
constexpr uint64_t kRestart = 0x3f898000;
constexpr uint64_t kSize = 0x4000;
// Functions of 4 KiB each.
constexpr uint64_t kInner = kCode + 0x1000;
constexpr uint64_t kMiddle = kCode + 0x2000;
constexpr uint64_t kOuter = kCode + 0x3000;
constexpr uint64_t kEntry = kCode + 0x4000;
constexpr uint64_t kRetFromFork = kCode + 0x5000;
constexpr uint64_t kSaved = 200;                  // struct pt_regs
constexpr uint64_t kTop = kSize - 160 - kSaved;   // in a stack: the frame below what is saved
constexpr uint64_t kKernel = 0x0704c00180000000;  // program status words
constexpr uint64_t kUser = 0x0705200180000000;
constexpr uint64_t kCall = 0xc0e5000000000000;  // brasl, and two bytes of the next
constexpr uint64_t kSp = kTask + 0x1000;

class S390xFrames : public testing::Test {
 protected:
  // The function that returned to `address` saved it in the frame at `sp`, which leads to another.
  void put_frame(uint64_t sp, uint64_t chain, uint64_t address) {
    machine_.put(sp + facts_.layout.return_address, address);
    machine_.put(sp + facts_.layout.back_chain, chain);
  }
  static Registers registers(uint64_t pc, uint64_t sp, uint64_t mask = kKernel) {
    Registers all{&arch::s390x::kRegisterSet};
    for (size_t i = 0; i < arch::s390x::kRegCount; ++i) all.put(i, 0x100 + i);
    all.put(Reg::psw_mask, mask);
    all.put(Reg::psw_addr, pc);
    all.put(Reg::r15, sp);
    all.put(Reg::r14, 0);
    all.put(Reg::int_code, 0x60011);
    return all;
  }
  // Behind the frame at `sp`, as the kernel is entered.
  void put_saved(uint64_t sp, Registers all) {
    all.values[static_cast<size_t>(Reg::int_code)] <<= 32;  // in front of int_parm
    machine_.put_registers(sp + facts_.frame_size + facts_.psw_in_saved, all, arch::s390x::kRegCount);
  }
  Trace run(const Start& start) {
    return unwind_by_frames(machine_, s390x::Frames(facts_), stacks_, start, ByteOrder::big);
  }
  Trace run(uint64_t pc, uint64_t sp) {
    return run(Start{Means::switched_out, registers(pc, sp), false, false});
  }
  Trace run(const Registers& all) { return run(Start{Means::registers, all, true, true}); }

  s390x::FrameFacts facts_;
  HandMadeMemory<Target> machine_{kCode, kCode + 0x10000, ByteOrder::big};
  std::vector<Stack> stacks_ = {
      {StackKind::task, "task", VirtAddr{kTask}, VirtAddr{kTask + kSize}},
      {StackKind::irq, "IRQ", VirtAddr{kIrq}, VirtAddr{kIrq + kSize}},
      {StackKind::exception, "restart", VirtAddr{kRestart}, VirtAddr{kRestart + kSize}}};
};

// Where a call at the start of a function returns to.
constexpr uint64_t kBehind = 6;

TEST_F(S390xFrames, CallsUpToUserMode) {
  // As of before the stack was packed, and since.
  for (const arch::s390x::FrameLayout layout :
       {arch::s390x::FrameLayout{112, 0}, arch::s390x::FrameLayout{}}) {
    facts_.layout = layout;
    put_frame(kSp, kSp + 56, kInner + 8);
    put_frame(kSp + 56, kTask + kTop, kMiddle + 8);  // they overlap
    put_frame(kTask + kTop, 0, kEntry + 0x40);
    put_saved(kTask + kTop, registers(0x10210ea, 0x3ffe7779968, kUser));
    const Trace trace = run(kInner + 8, kSp);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kEntry + 0x40));
    EXPECT_THAT(means(trace), ElementsAre(Means::switched_out, Means::frame_pointer, Means::frame_pointer));
    EXPECT_EQ(trace.frames[1].sp, VirtAddr{kSp + 56});
    EXPECT_EQ(trace.frames[1].at, VirtAddr{kSp + 56 + layout.return_address});
    EXPECT_EQ(trace.frames[2].stack, stacks_.data());
    ASSERT_TRUE(trace.user);
    EXPECT_EQ(*trace.user, registers(0x10210ea, 0x3ffe7779968, kUser));
    EXPECT_TRUE(trace.user->has_all());
  }
}

TEST_F(S390xFrames, ThreadOfTheKernel) {
  put_frame(kSp, kTask + kTop, 0);
  put_frame(kTask + kTop, 0, kRetFromFork + 10);
  // Until 5.12 its registers lead to where it began; the first task has zeros there.
  for (const uint64_t address : {kRetFromFork, uint64_t{0}}) {
    put_saved(kTask + kTop, registers(address, 0, address == 0 ? 0 : kKernel));
    const Trace trace = run(kInner + 8, kSp);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kRetFromFork + 10));
    EXPECT_FALSE(trace.user);
  }
}

TEST_F(S390xFrames, ExceptionOnAnotherStack) {
  constexpr uint64_t kEntered = kTask + 0x2000;
  const Registers all = registers(kOuter + 0x20, kEntered + 160 + kSaved);
  put_frame(kIrq + kTop - 80, kIrq + kTop, 0);
  put_frame(kIrq + kTop, kEntered, kMiddle + 8);  // call_on_stack()
  put_frame(kEntered, 0, kEntry + 0x40);
  put_saved(kEntered, all);
  put_frame(all.sp(), kTask + kTop, 0xdead);  // nothing that it called is left
  put_frame(kTask + kTop, 0, kRetFromFork + 10);
  put_saved(kTask + kTop, registers(0, 0));
  machine_.put(kOuter, 0xebeff0880024e3f0);      // stmg %r14,%r15,136(%r15)
  machine_.put(kOuter + 8, 0xffc8ff71e3e0f098);  // lay %r15,-56(%r15); stg %r14,152(%r15)
  machine_.put(kOuter + 16, 0x0024000000000000);
  const Trace trace = run(kInner + 8, kIrq + kTop - 80);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace),
              ElementsAre(kInner + 8, kMiddle + 8, kEntry + 0x40, kOuter + 0x20, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[3].registers, all);
  EXPECT_TRUE(trace.frames[3].is_interrupted);
  EXPECT_FALSE(trace.user);
}

// A CPU that was restarted has what it ran on top of another stack than the task's.
TEST_F(S390xFrames, RegistersOnTopOfACpusStack) {
  put_frame(kRestart + kTop, 0, kEntry + 0x40);
  put_saved(kRestart + kTop, registers(0x1234, 0x3ff0000, kUser));
  Trace trace = run(kEntry + 0x40, kRestart + kTop);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_TRUE(trace.user);
  put_saved(kRestart + kTop, registers(kInner, kSp));
  put_frame(kSp, kTask + kTop, 0);
  put_frame(kTask + kTop, 0, kRetFromFork + 10);
  trace = run(kEntry + 0x40, kRestart + kTop);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kEntry + 0x40, kInner, kRetFromFork + 10));
}

class S390xLinks : public S390xFrames {
 protected:
  // kInner was called from kMiddle, whose frame is at kSp, and interrupted behind `code`, with r15 by so much
  // lower.
  Trace run_in(const std::vector<uint64_t>& code, uint64_t size, uint64_t lower, uint64_t r14) {
    machine_.put(kMiddle, kCall);
    for (size_t i = 0; i < code.size(); ++i) machine_.put(kInner + i * 8, code[i]);
    put_frame(kSp, kTask + kTop, kMiddle + kBehind);
    put_frame(kTask + kTop, 0, kRetFromFork + 10);
    Registers all = registers(kInner + size, kSp - lower);
    all.put(Reg::r14, r14);
    return run(all);
  }
  static constexpr uint64_t kReturnTo = kMiddle + kBehind;
};

TEST_F(S390xLinks, NoFrameYet) {
  machine_.put(kSp + 136, 0);
  Trace trace = run_in({0xb904002307001234}, 4, 0, kReturnTo);  // lgr %r2,%r3
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 4, kReturnTo, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[1].means, Means::link_register);
  EXPECT_EQ(trace.frames[1].sp, VirtAddr{kSp});
  // r14 was saved, and is used for the back chain since: lgr %r14,%r15; lay %r15,-56(%r15).
  trace = run_in({0xebaff0680024b904, 0x00efe3f0ffc8ff71}, 16, 56, kSp);
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 16, kReturnTo, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[1].at, VirtAddr{kSp + 136});
}

TEST_F(S390xLinks, FrameOfAFunctionThatCallsNone) {
  put_frame(kSp - 32, kSp, 0xbad);
  // stg %r15,144(%r15); lgr %r1,%r15; lay %r15,-32(%r15); stg %r1,152(%r15)
  const Trace trace = run_in({0xe3f0f0900024b904, 0x001fe3f0ffe0ff71, 0xe310f09800240000}, 22, 32, kReturnTo);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 22, kReturnTo, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[1].sp, VirtAddr{kSp});
}

TEST_F(S390xLinks, WholeFrameAndItsEnd) {
  put_frame(kSp - 56, kSp, kReturnTo);
  // stmg %r14,%r15,136(%r15); lgr %r1,%r15; lay %r15,-56(%r15); stg %r1,152(%r15)
  const std::vector<uint64_t> code = {0xebeff0880024b904, 0x001fe3f0ffc8ff71, 0xe310f09800240700,
                                      0xebeff0c00004c0f4, 0x0000000100000000};
  Trace trace = run_in(code, 24, 56, 0x1234);
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 24, kReturnTo, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[1].means, Means::frame_pointer);
  // lmg %r14,%r15,192(%r15), and behind the jump its body goes on.
  trace = run_in(code, 30, 0, kReturnTo);
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 30, kReturnTo, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[1].means, Means::link_register);
  trace = run_in(code, 36, 56, 0x1234);
  EXPECT_EQ(trace.frames.at(1).means, Means::frame_pointer);
}

TEST_F(S390xFrames, Damage) {
  put_frame(kSp, kSp, kMiddle + 8);
  EXPECT_THAT(run(kInner + 8, kSp).fault, HasSubstr("leads back to"));
  put_frame(kSp, kSp + 0x40, 0);
  put_frame(kSp + 0x40, kSp, kMiddle + 8);
  EXPECT_THAT(run(kInner + 8, kSp).fault, HasSubstr("leads back to"));
  put_frame(kSp, kSp + 0x44, 0);
  EXPECT_THAT(run(kInner + 8, kSp).fault, HasSubstr("no multiple of 8"));
  for (const uint64_t chain : {uint64_t{8}, kTask + kSize, kTask + kSize - 8, ~uint64_t{7}, kTask - 160}) {
    put_frame(kSp, chain, 0);
    const Trace trace = run(kInner + 8, kSp);
    EXPECT_EQ(trace.end, End::damaged) << chain;
    EXPECT_THAT(trace.fault, HasSubstr("which is in no stack")) << chain;
  }
  for (const uint64_t sp : {uint64_t{0}, uint64_t{8}, kTask + kSize + 0x10000, ~uint64_t{7}})
    EXPECT_EQ(run(kInner + 8, sp).end, End::damaged) << sp;
  put_frame(kSp, kSp + 0x40, 0);
  put_frame(kSp + 0x40, 0, 0x1234);
  EXPECT_THAT(run(kInner + 8, kSp).fault, HasSubstr("which is no code"));
}

TEST_F(S390xFrames, DamagedRegisters) {
  put_frame(kSp, 0, kMiddle + 8);
  put_saved(kSp, registers(0x1234, 0x3ff0000, kUser));
  Trace trace = run(kInner + 8, kSp);
  EXPECT_THAT(trace.fault, HasSubstr("registers of user mode"));
  EXPECT_FALSE(trace.user);
  put_saved(kSp, registers(0x1234, kSp + 0x800));
  EXPECT_THAT(run(kInner + 8, kSp).fault, HasSubstr("which is no code"));
  put_frame(kTask + kSize - 176, 0, 0);
  EXPECT_THAT(run(kInner + 8, kTask + kSize - 176).fault, HasSubstr("which is in no stack"));
}

TEST_F(S390xFrames, MissingPages) {
  put_frame(kSp, kSp + 0x1000, 0);
  machine_.missing.insert(kSp + 0x1000);
  Trace trace = run(kInner + 8, kSp);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("is excluded"));
  machine_.missing = {kSp};
  EXPECT_THAT(run(kInner + 8, kSp).fault, HasSubstr("is excluded"));
}

// Where the chain is torn, the next frame is one whose address is behind a call.
TEST_F(S390xFrames, TornChain) {
  put_frame(kSp, 0x41414141414140, 0);
  machine_.put(kMiddle, kCall);
  put_frame(kSp + 0x400, kSp + 0x408, 0x1234);  // no code
  put_frame(kSp + 0x800, kTask + kTop, kMiddle + kBehind);
  put_frame(kTask + kTop, 0, kRetFromFork + 10);
  Trace trace = run(kInner + 8, kSp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + kBehind, kRetFromFork + 10));
  EXPECT_EQ(trace.frames[1].means, Means::scan);
  EXPECT_THAT(trace.frames[1].doubt, HasSubstr("which is in no stack"));
  // Also the last one.
  put_frame(kSp + 0x800, 0, 0);
  machine_.put(kRetFromFork, kCall);
  put_frame(kTask + kTop, 0, kRetFromFork + kBehind);
  trace = run(kInner + 8, kSp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kRetFromFork + kBehind));
}

TEST_F(S390xFrames, AnyWords) {
  std::mt19937_64 random(390);
  for (int round = 0; round < 300; ++round) {
    machine_.words.clear();
    for (uint64_t at = kTask + 0x3000; at < kTask + kSize; at += 8) {
      const uint64_t value = random();
      const std::array choices = {value % kSize + kTask,
                                  value % kSize / 8 * 8 + kTask,
                                  value % 0x10000 + kCode,
                                  value % kSize / 8 * 8 + kIrq,
                                  value,
                                  uint64_t{0},
                                  kKernel};
      machine_.put(at, choices.at(random() % choices.size()));
    }
    const Registers all = registers(kInner + 8, kTask + 0x3000 + random() % 64 * 8);
    const Trace trace = run(all);
    EXPECT_LE(trace.frames.size(), kMostFrames);
    EXPECT_TRUE(trace.end == End::complete || !trace.fault.empty());
  }
}

TEST_F(S390xFrames, Notes) {
  std::vector<std::byte> bytes(arch::s390x::kPrStatusSize);
  for (size_t i = 0; i < 18; ++i) store<uint64_t>(&bytes[112 + i * 8], 0x100 + i, ByteOrder::big);
  auto found = arch::s390x::parse_prstatus(bytes);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ip(), 0x101U);
  EXPECT_EQ(found->sp(), 0x111U);
  EXPECT_FALSE(found->has(Reg::orig_gpr2));
  EXPECT_FALSE(found->is_user());
  store<uint64_t>(&bytes[112], kUser, ByteOrder::big);
  found = arch::s390x::parse_prstatus(bytes);
  EXPECT_TRUE(found->is_user());
  EXPECT_FALSE(arch::s390x::parse_prstatus(std::span(bytes).first(335)));
  EXPECT_FALSE(arch::s390x::parse_registers(std::span(bytes).first(167)));
}

// As GNU as assembles them.
TEST_F(S390xFrames, Calls) {
  const auto is_call = [](uint64_t instruction, size_t size) {
    std::vector<std::byte> bytes(8);
    store(bytes.data(), instruction, ByteOrder::big);
    return arch::s390x::ends_with_call(std::span(bytes).subspan(8 - size));
  };
  EXPECT_TRUE(is_call(0xc0e500000100, 6)) << "brasl %r14";
  EXPECT_TRUE(is_call(0xa7e50100, 4)) << "bras %r14";
  EXPECT_TRUE(is_call(0x0de1, 2)) << "basr %r14,%r1";
  EXPECT_FALSE(is_call(0x0de0, 2)) << "basr %r14,%r0 goes nowhere";
  EXPECT_FALSE(is_call(0xc0f400000100, 6)) << "jg";
  EXPECT_FALSE(is_call(0xc00500000100, 6)) << "brasl %r0, as ftrace has it";
  EXPECT_FALSE(is_call(0x07fe, 2)) << "br %r14";
}

}  // namespace
}  // namespace kvista::unwind
