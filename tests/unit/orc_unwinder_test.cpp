// The unwinder on stacks that are made by hand: `Machine` is memory, code and ORC entries as a test says
// them.
#include "unwind/x86_64/orc_unwinder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <set>

#include "base/endian.h"
#include "unit/hand_made_stacks.h"
#include "unwind/x86_64/orc_tables.h"

namespace kvista::unwind {
namespace {

using arch::x86_64::OrcBase;
using arch::x86_64::OrcEntry;
using arch::x86_64::OrcFormat;
using arch::x86_64::OrcType;
using arch::x86_64::Reg;
using arch::x86_64::Registers;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kCode = 0xffffffff81000000;
constexpr uint64_t kCodeEnd = kCode + 0x100000;
constexpr uint64_t kTask = 0xffffc90000010000;
constexpr uint64_t kIrq = 0xffffc90000020000;
constexpr uint64_t kNmi = 0xfffffe0000005000;
constexpr uint64_t kSize = 0x4000;
// Functions, each with room for what a test needs.
constexpr uint64_t kInner = kCode + 0x1000;
constexpr uint64_t kMiddle = kCode + 0x2000;
constexpr uint64_t kOuter = kCode + 0x3000;
constexpr uint64_t kTop = kCode + 0x4000;
constexpr uint64_t kGenerated = kCode + 0x80000;

constexpr OrcEntry call(int16_t sp_offset, OrcBase base = OrcBase::sp) {
  return {OrcType::call, base, OrcBase::undefined, sp_offset, 0, false};
}
constexpr OrcEntry kEnd{OrcType::end_of_stack};
constexpr OrcEntry kUndefined{OrcType::undefined};

class Machine final : public HandMadeMemory<OrcTarget> {
 public:
  Machine() : HandMadeMemory(kCode, kCodeEnd) {}

  OrcAnswer orc(VirtAddr address) const override {
    lookups.push_back(address.value);
    if (faults.contains(address.value & ~uint64_t{0xfff})) return {std::nullopt, "the table is excluded"};
    auto at = entries.upper_bound(address.value);
    if (at == entries.begin()) return {};
    --at;
    return at->second ? OrcAnswer{at->second} : OrcAnswer{};
  }
  bool is_breakpoint_entry(VirtAddr address) const override {
    return function_of(address) == VirtAddr{kTop + 0x1000};
  }

  // The bytes before `address` are a call, of `function` or of something that is not there.
  void put_call_before(uint64_t address, uint64_t function = 0) {
    const uint64_t distance = function == 0 ? 0 : function - address;
    put_byte(address - 5, 0xe8);
    for (unsigned i = 0; i < 4; ++i) put_byte(address - 4 + i, static_cast<uint8_t>(distance >> (8 * i)));
  }
  void put_byte(uint64_t at, uint8_t byte) {
    uint64_t& word = words[at & ~uint64_t{7}];
    word = (word & ~(uint64_t{0xff} << (8 * (at & 7)))) | uint64_t{byte} << (8 * (at & 7));
  }

  std::map<uint64_t, std::optional<OrcEntry>> entries = {
      {kInner, call(16)}, {kMiddle, call(32)}, {kOuter, call(8)}, {kTop, kEnd}, {kGenerated, std::nullopt}};
  std::set<uint64_t> faults;
  mutable std::vector<uint64_t> lookups;
};

class UnwinderTest : public testing::Test {
 protected:
  static Registers registers(uint64_t ip, uint64_t sp, uint64_t bp = 0) {
    Registers all;
    all[Reg::ip] = ip;
    all[Reg::sp] = sp;
    all[Reg::bp] = bp;
    all[Reg::cs] = 0x10;
    return all;
  }
  Trace run(uint64_t ip, uint64_t sp, uint64_t bp = 0) { return run(registers(ip, sp, bp)); }
  Trace run(const Registers& all) {
    return unwind_by_orc(machine_, stacks_, {Means::registers, all, true, true});
  }
  void put_registers(uint64_t at, const Registers& all) {
    machine_.put_registers(at, all, all.values.size());
  }

  Machine machine_;
  std::vector<Stack> stacks_ = {{StackKind::task, "task", VirtAddr{kTask}, VirtAddr{kTask + kSize}},
                                {StackKind::irq, "IRQ", VirtAddr{kIrq}, VirtAddr{kIrq + kSize}},
                                {StackKind::exception, "NMI", VirtAddr{kNmi}, VirtAddr{kNmi + kSize}}};
};

// inner (16 bytes) <- middle (32) <- outer (8) <- top.
TEST_F(UnwinderTest, Calls) {
  const uint64_t sp = kTask + 0x1000;
  machine_.put(sp + 8, kMiddle + 5);
  machine_.put(sp + 16 + 24, kOuter + 5);
  machine_.put(sp + 48, kTop + 5);
  const Trace trace = run(kInner + 3, sp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 3, kMiddle + 5, kOuter + 5, kTop + 5));
  EXPECT_THAT(means(trace), ElementsAre(Means::registers, Means::orc, Means::orc, Means::orc));
  EXPECT_EQ(trace.frames[1].at, VirtAddr{sp + 8});
  EXPECT_EQ(trace.frames[1].sp, VirtAddr{sp + 16});
  EXPECT_EQ(trace.frames[3].stack, stacks_.data());
  EXPECT_FALSE(trace.user);
}

// A call at a function's very end returns to where another one begins, of which the entry says nothing.
TEST_F(UnwinderTest, LooksUpBeforeReturnAddresses) {
  const uint64_t sp = kTask + 0x1000;
  machine_.put(sp + 8, kOuter);  // middle's last instruction is a call that never returns
  machine_.put(sp + 16 + 24, kTop + 5);
  const Trace trace = run(kInner, sp);
  EXPECT_THAT(machine_.lookups, ElementsAre(kInner, kOuter - 1, kTop + 4)) << "an instruction by itself";
  EXPECT_EQ(trace.frames[1].lookup_address(), VirtAddr{kOuter - 1});
  EXPECT_THAT(addresses(trace), ElementsAre(kInner, kOuter, kTop + 5));
}

TEST_F(UnwinderTest, FramePointerFromTheStack) {
  const uint64_t sp = kTask + 0x1000;
  machine_.entries[kInner] = {OrcType::call, OrcBase::sp, OrcBase::previous_sp, 24, -16, false};
  machine_.put(sp + 8, kTask + 0x1080);  // bp as middle had it
  machine_.put(sp + 16, kMiddle + 5);
  machine_.entries[kMiddle] = {OrcType::call, OrcBase::bp, OrcBase::bp, 16, 0, false};
  machine_.put(kTask + 0x1080, kTask + 0x1100);
  machine_.put(kTask + 0x1088, kOuter + 5);
  machine_.entries[kOuter] = call(16, OrcBase::bp);
  machine_.put(kTask + 0x1108, kTop + 5);
  const Trace trace = run(kInner, sp, 0xdead);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner, kMiddle + 5, kOuter + 5, kTop + 5));
}

TEST_F(UnwinderTest, Indirect) {
  const uint64_t sp = kTask + 0x1000;
  machine_.entries[kInner] = call(8, OrcBase::sp_indirect);
  machine_.put(sp, kTask + 0x1100);  // where the caller's stack goes on, less the offset
  machine_.put(kTask + 0x1100, kMiddle + 5);
  machine_.entries[kMiddle] = call(-8, OrcBase::bp_indirect);
  machine_.put(kTask + 0x1200 - 8, kTask + 0x1300);
  machine_.put(kTask + 0x1300 - 8, kTop + 5);
  const Trace trace = run(kInner, sp, kTask + 0x1200);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner, kMiddle + 5, kTop + 5));
  EXPECT_EQ(trace.frames[1].sp, VirtAddr{kTask + 0x1108});
  EXPECT_EQ(trace.frames[2].sp, VirtAddr{kTask + 0x1300});
}

// Functions that realign their stack keep the caller's in a register, which is known only where all were
// saved.
TEST_F(UnwinderTest, OtherRegisters) {
  for (const auto& [base, reg] :
       {std::pair{OrcBase::ax, Reg::ax}, std::pair{OrcBase::dx, Reg::dx}, std::pair{OrcBase::di, Reg::di},
        std::pair{OrcBase::r10, Reg::r10}, std::pair{OrcBase::r13, Reg::r13}}) {
    SCOPED_TRACE(arch::x86_64::name_of(reg));
    machine_.entries[kInner] = call(0, base);
    Registers all = registers(kInner + 3, kTask + 0x1000);
    all[reg] = kTask + 0x1100;
    machine_.put(kTask + 0x10f8, kTop + 5);
    const Trace trace = run(all);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_THAT(addresses(trace), ElementsAre(kInner + 3, kTop + 5));
    const Trace without = unwind_by_orc(machine_, stacks_, {Means::switched_out, all, false, false});
    EXPECT_EQ(without.end, End::damaged);
    EXPECT_THAT(without.fault, HasSubstr(std::string(arch::x86_64::name_of(reg))));
  }
}

// After a call nothing is known of registers that were saved before it.
TEST_F(UnwinderTest, RegistersAreForgotten) {
  const uint64_t sp = kTask + 0x1000;
  machine_.put(sp + 8, kMiddle + 5);
  machine_.entries[kMiddle] = call(0, OrcBase::r13);
  const Trace trace = run(kInner, sp);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("R13"));
}

TEST_F(UnwinderTest, ExceptionAndInterruptedCode) {
  const uint64_t sp = kTask + 0x1000;
  const uint64_t saved = kTask + 0x1100;
  machine_.entries[kInner] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0x100, 0, true};
  Registers all = registers(kMiddle, kTask + 0x1200, 0x1234);
  all[Reg::orig_ax] = 2;
  put_registers(saved, all);
  machine_.put(kTask + 0x1200 + 24, kTop + 5);
  const Trace trace = run(kInner, sp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner, kMiddle, kTop + 5));
  const Frame& interrupted = trace.frames[1];
  EXPECT_TRUE(interrupted.is_interrupted);
  EXPECT_EQ(interrupted.registers, all);
  EXPECT_TRUE(interrupted.registers->has_all());
  EXPECT_EQ(interrupted.at, VirtAddr{saved + 128});
  EXPECT_EQ(interrupted.means, Means::registers);
  EXPECT_THAT(machine_.lookups, ElementsAre(kInner, kMiddle, kTop + 4));
}

TEST_F(UnwinderTest, OnlyWhatTheCpuPushed) {
  const uint64_t sp = kTask + 0x1000;
  machine_.entries[kInner] = {OrcType::partial_registers, OrcBase::sp, OrcBase::undefined, 8, 0, true};
  machine_.put(sp + 8, kMiddle);
  machine_.put(sp + 16, 0x10);
  machine_.put(sp + 32, kTask + 0x1200);
  machine_.put(kTask + 0x1200 + 24, kTop + 5);
  const Trace trace = run(kInner, sp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  ASSERT_TRUE(trace.frames[1].registers);
  EXPECT_FALSE(trace.frames[1].registers->has_all());
  EXPECT_EQ((*trace.frames[1].registers)[Reg::sp], kTask + 0x1200);
  // The registers that were whole before are what this frame's are.
  machine_.entries[kMiddle] = call(0, OrcBase::r10);
  Registers all = registers(kInner, sp);
  all[Reg::r10] = kTask + 0x1300;
  machine_.put(kTask + 0x12f8, kTop + 5);
  EXPECT_EQ(run(all).end, End::complete);
}

TEST_F(UnwinderTest, EntryFromUserMode) {
  machine_.entries[kInner] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0x100, 0, true};
  Registers user = registers(0x401000, 0x7ffc00001000);
  user[Reg::cs] = 0x33;
  user[Reg::orig_ax] = 61;
  put_registers(kTask + 0x1100, user);
  const Trace trace = run(kInner, kTask + 0x1000);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner)) << "nothing of user mode is followed";
  EXPECT_EQ(trace.user, user);
}

// NMI's stack, then the interrupt's, then the task's.
TEST_F(UnwinderTest, FromStackToStack) {
  machine_.entries[kInner] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0, 0, true};
  put_registers(kNmi + 0x1000, registers(kMiddle, kIrq + 0x2000));
  machine_.put(kIrq + 0x2000 + 24, kOuter + 5);
  machine_.entries[kOuter] = call(8, OrcBase::sp_indirect);  // call_on_irqstack
  machine_.put(kIrq + 0x2020, kTask + 0x3000);
  machine_.put(kTask + 0x3000, kTop + 5);
  const Trace trace = run(kInner, kNmi + 0x1000);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  ASSERT_EQ(trace.frames.size(), 4U);
  EXPECT_EQ(trace.frames[0].stack->name, "NMI");
  EXPECT_EQ(trace.frames[1].stack->name, "IRQ");
  EXPECT_EQ(trace.frames[2].stack->name, "IRQ");
  EXPECT_EQ(trace.frames[3].stack->name, "task");
}

// A probe of a function's first instruction, a push: the registers are those behind the int3, the stack is
// not.
TEST_F(UnwinderTest, Breakpoint) {
  constexpr uint64_t kEntry = kTop + 0x1000;
  const uint64_t sp = kTask + 0x1100;
  machine_.entries[kEntry] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0, 0, true};
  machine_.entries[kMiddle] = call(8);
  machine_.entries[kMiddle + 1] = call(16);
  put_registers(kTask + 0x1000, registers(kMiddle + 1, sp));
  machine_.put(sp, kTop + 5);
  machine_.put_byte(kMiddle, 0xcc);
  const Trace trace = run(kEntry + 9, kTask + 0x1000);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kEntry + 9, kMiddle + 1, kTop + 5));
  EXPECT_THAT(machine_.lookups, testing::Contains(kMiddle));
  // Without the int3 there, or by another entry, it is behind the push.
  machine_.put(sp + 8, kTop + 5);
  machine_.put(sp, 0);
  machine_.put_byte(kMiddle, 0x55);
  EXPECT_THAT(addresses(run(kEntry + 9, kTask + 0x1000)), ElementsAre(kEntry + 9, kMiddle + 1, kTop + 5));
  machine_.put_byte(kMiddle, 0xcc);
  machine_.entries[kInner] = machine_.entries[kEntry];
  EXPECT_THAT(addresses(run(kInner + 9, kTask + 0x1000)), ElementsAre(kInner + 9, kMiddle + 1, kTop + 5));
}

// A task has used up its stack: the double fault's registers lead into the guard page below it.
TEST_F(UnwinderTest, GuardPage) {
  machine_.entries[kInner] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0, 0, true};
  machine_.entries[kMiddle] = call(0x810);
  put_registers(kNmi + 0x1000, registers(kMiddle, kTask - 0x800));
  machine_.put(kTask + 8, kOuter + 5);
  machine_.put(kTask + 0x10, kTop + 5);
  const Trace trace = run(kInner, kNmi + 0x1000);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner, kMiddle, kOuter + 5, kTop + 5));
  EXPECT_EQ(trace.frames[1].stack->name, "task");
  // More than a page below it is no stack of the task's.
  put_registers(kNmi + 0x1000, registers(kMiddle, kTask - 0x1008));
  EXPECT_THAT(run(kInner, kNmi + 0x1000).fault, HasSubstr("which is in no stack"));
}

TEST_F(UnwinderTest, NeverBackToAStackThatWasLeft) {
  machine_.entries[kInner] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0, 0, true};
  put_registers(kIrq + 0x1000, registers(kInner, kTask + 0x1000));
  put_registers(kTask + 0x1000, registers(kInner, kIrq + 0x1000));
  const Trace trace = run(kInner, kIrq + 0x1000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("leads back to the IRQ stack"));
  EXPECT_EQ(trace.frames.size(), 2U);
}

TEST_F(UnwinderTest, NeverDownAStack) {
  machine_.entries[kInner] = call(0, OrcBase::sp_indirect);
  machine_.put(kTask + 0x1000, kTask + 0x800);
  machine_.put(kTask + 0x7f8, kInner + 5);
  const Trace trace = run(kInner, kTask + 0x1000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("leads back to"));
  EXPECT_EQ(trace.frames.size(), 1U);
}

// A frame that takes no room would be found again and again.
TEST_F(UnwinderTest, NeverOnTheSpot) {
  machine_.entries[kInner] = call(0);
  machine_.put(kTask + 0xff8, kInner + 5);
  const Trace trace = run(kInner, kTask + 0x1000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_EQ(trace.frames.size(), 1U);
}

TEST_F(UnwinderTest, StackPointerOutOfAnyStack) {
  const Trace trace = run(kInner, 0xffff888000000000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("0xffff888000000000 is in no stack"));
  EXPECT_EQ(trace.frames.size(), 1U) << "where it is, is known";
}

TEST_F(UnwinderTest, BeyondTheEndOfTheStack) {
  machine_.entries[kInner] = call(0x7ff8);
  const Trace trace = run(kInner, kTask + 0x3000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("in no stack"));
}

TEST_F(UnwinderTest, RegistersThatReachOverTheEnd) {
  machine_.entries[kInner] = {OrcType::registers, OrcBase::sp, OrcBase::undefined, 0, 0, true};
  const Trace trace = run(kInner, kTask + kSize - 160);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("in no stack"));
}

TEST_F(UnwinderTest, PageThatIsNotThere) {
  machine_.put(kTask + 0xff0 + 8, kMiddle + 5);
  machine_.missing.insert(kTask + 0x1000);
  const Trace trace = run(kInner, kTask + 0xff0);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(addresses(trace), ElementsAre(kInner, kMiddle + 5));
  EXPECT_THAT(trace.fault, HasSubstr("is excluded"));
}

TEST_F(UnwinderTest, TableThatIsNotThere) {
  machine_.faults.insert(kInner);
  const Trace trace = run(kInner, kTask + 0x1000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("is not known"));
}

TEST_F(UnwinderTest, CodeThatKeepsFramePointers) {
  const uint64_t bp = kTask + 0x1100;
  machine_.put(bp, 0x5555);
  machine_.put(bp + 8, kTop + 5);
  const Trace trace = run(kGenerated, kTask + 0x1000, bp);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(means(trace), ElementsAre(Means::registers, Means::frame_pointer));
  EXPECT_EQ(trace.frames[1].sp, VirtAddr{bp + 16});
}

TEST_F(UnwinderTest, FramePointerThatLeadsNowhereIsScannedFor) {
  machine_.put(kTask + 0x1010, kTop + 5);  // is no return address: there is no call before it
  machine_.put(kTask + 0x1020, kTop + 0x25);
  machine_.put_call_before(kTop + 0x25);
  for (const uint64_t bp : {uint64_t{0}, kTask + 0x800, kIrq + 0x1000, kTask + kSize}) {
    const Trace trace = run(kGenerated, kTask + 0x1000, bp);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_THAT(addresses(trace), ElementsAre(kGenerated, kTop + 0x25)) << bp;
    EXPECT_EQ(trace.frames[1].means, Means::scan);
    EXPECT_EQ(trace.frames[1].at, VirtAddr{kTask + 0x1020});
  }
}

// After a guess RBP is not known; what needs it is guessed again.
TEST_F(UnwinderTest, GuessesGoOn) {
  machine_.entries[kInner] = kUndefined;
  machine_.put(kTask + 0x1000, kMiddle + 0x10);
  machine_.put_call_before(kMiddle + 0x10);
  machine_.entries[kMiddle] = call(16, OrcBase::bp);
  machine_.put(kTask + 0x1080, kTop + 0x30);
  machine_.put_call_before(kTop + 0x30);
  const Trace trace = run(kInner, kTask + 0x1000, kTask + 0x1040);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(means(trace), ElementsAre(Means::registers, Means::scan, Means::scan));
}

// A function without ORC that was called by its name: what else looks like a return address is no match for
// that.
TEST_F(UnwinderTest, CallsNameTheFunction) {
  machine_.entries[kInner] = kUndefined;
  machine_.put(kTask + 0x1008, kOuter + 0x20);
  machine_.put_call_before(kOuter + 0x20);
  machine_.put(kTask + 0x1010, kMiddle + 0x20);
  machine_.put_call_before(kMiddle + 0x20, kInner);
  machine_.entries[kMiddle] = call(16, OrcBase::bp);  // RBP is still middle's
  machine_.put(kTask + 0x1088, kTop + 0x50);
  machine_.put_call_before(kTop + 0x50);
  const Trace trace = run(kInner + 8, kTask + 0x1000, kTask + 0x1080);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 0x20, kTop + 0x50));
  EXPECT_THAT(means(trace), ElementsAre(Means::registers, Means::call_site, Means::orc));
}

TEST_F(UnwinderTest, GuessOverTheTopOfTheInterruptStack) {
  machine_.entries[kInner] = kUndefined;
  machine_.put(kIrq + kSize - 8, kTask + 0x2000);
  machine_.put(kTask + 0x2008, kTop + 0x40);
  machine_.put_call_before(kTop + 0x40);
  const Trace trace = run(kInner, kIrq + 0x3f00);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_EQ(trace.frames.back().stack->name, "task");
}

// Without ORC the end is where nothing looks like a frame any more, and the registers of user mode are.
TEST_F(UnwinderTest, EndWithoutTables) {
  machine_.entries.clear();
  for (const uint64_t padding : {0U, 16U}) {
    machine_.words.clear();
    Registers user = registers(0x401000, 0x7ffc00001000);
    user[Reg::cs] = 0x33;
    user[Reg::ss] = 0x2b;
    put_registers(kTask + kSize - padding - 168, user);
    const Trace trace = run(kGenerated, kTask + 0x3000);
    EXPECT_EQ(trace.end, End::complete) << trace.fault;
    EXPECT_EQ(trace.user, user);
    EXPECT_EQ(run(kGenerated, kTask + kSize - 100).end, End::damaged) << "they are below the frame";
  }
}

TEST_F(UnwinderTest, NothingToGuess) {
  machine_.entries[kInner] = kUndefined;
  const Trace trace = run(kInner, kTask + 0x1000);
  EXPECT_EQ(trace.end, End::damaged);
  EXPECT_THAT(trace.fault, HasSubstr("what called 0xffffffff81001000 is not known"));
}

TEST_F(UnwinderTest, EntriesThatMakeNoSense) {
  for (const OrcEntry& one : {OrcEntry{OrcType::unknown, OrcBase::sp, OrcBase::undefined, 16, 0, false},
                              OrcEntry{OrcType::call, OrcBase::unknown, OrcBase::undefined, 16, 0, false},
                              OrcEntry{OrcType::call, OrcBase::undefined, OrcBase::undefined, 16, 0, false},
                              OrcEntry{OrcType::call, OrcBase::previous_sp, OrcBase::undefined, 16, 0, false},
                              OrcEntry{OrcType::call, OrcBase::sp, OrcBase::r10, 16, 0, false}}) {
    machine_.put(kTask + 0x1008, kTop + 5);
    machine_.entries[kInner] = one;
    const Trace trace = run(kInner, kTask + 0x1000);
    EXPECT_EQ(trace.end, End::damaged);
    EXPECT_THAT(trace.fault, HasSubstr("makes no sense"));
  }
}

// Whatever is on a stack, and whatever the tables say: it ends, within bounds, and frames only go up.
TEST_F(UnwinderTest, RandomMemoryAndTables) {
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t end) {
    return std::uniform_int_distribution<uint64_t>(0, end - 1)(random);
  };
  const auto on_stack = [&] { return stacks_[below(3)].first.value + below(kSize / 8) * 8; };
  const auto word = [&] {
    const uint64_t kind = below(16);
    return kind < 13    ? kCode + below(kCodeEnd - kCode)
           : kind < 14  ? on_stack()
           : kind == 14 ? 0x10
                        : random();
  };
  const auto entry = [&] {
    if (below(4) != 0) return call(static_cast<int16_t>(8 + 8 * below(8)));  // what most code is
    return OrcEntry{static_cast<OrcType>(below(6)),  static_cast<OrcBase>(below(12)),
                    static_cast<OrcBase>(below(12)), static_cast<int16_t>(random()),
                    static_cast<int16_t>(random()),  below(2) == 0};
  };
  size_t frames = 0;
  for (unsigned round = 0; round < 500; ++round) {
    machine_.words.clear();
    machine_.entries.clear();
    for (unsigned i = 0; i < 64; ++i) machine_.entries[kCode + below(kCodeEnd - kCode)] = entry();
    for (const Stack& stack : stacks_)
      for (uint64_t at = 0; at < kSize; at += 8) machine_.words[stack.first.value + at] = word();
    const Trace trace = run(kCode + below(kCodeEnd - kCode), on_stack(), word());
    ASSERT_LE(trace.frames.size(), 1024U);
    ASSERT_TRUE(trace.end == End::complete || !trace.fault.empty());
    frames += trace.frames.size();
    for (size_t i = 1; i < trace.frames.size(); ++i)
      if (trace.frames[i].stack == trace.frames[i - 1].stack) {
        ASSERT_GT(trace.frames[i].sp, trace.frames[i - 1].sp);
      }
  }
  EXPECT_GT(frames, 1000U) << "the rounds are worth something";
}

// --- the search in a table ---

class OrcSearchTest : public testing::Test {
 protected:
  static constexpr uint64_t kAddresses = 0x1000;
  static constexpr uint64_t kEntries = 0x8000;

  // Entry i begins at `starts[i]`, and its offset of the stack pointer is i.
  void make(const std::vector<uint64_t>& starts) {
    memory_.assign(0x10000, std::byte{});
    for (size_t i = 0; i < starts.size(); ++i) {
      const uint64_t at = kAddresses + i * 4;
      store(&memory_[at], static_cast<uint32_t>(starts[i] - at), ByteOrder::little);
      store(&memory_[kEntries + i * 6], static_cast<uint16_t>(i), ByteOrder::little);
      store<uint16_t>(&memory_[kEntries + i * 6 + 4], 0x0205, ByteOrder::little);
    }
    table_ = {VirtAddr{kAddresses}, VirtAddr{kEntries}, starts.size()};
  }
  OrcAnswer find(uint64_t address) {
    return find_orc(table_, VirtAddr{address}, OrcFormat::v6_4,
                    [&](VirtAddr at, std::span<std::byte> out) -> std::string {
                      ++reads_;
                      if (at.value + out.size() > memory_.size()) return "it is beyond the image";
                      std::memcpy(out.data(), &memory_[at.value], out.size());
                      return {};
                    });
  }
  std::optional<int> index(uint64_t address) {
    const OrcAnswer answer = find(address);
    return answer.entry ? std::optional<int>(answer.entry->sp_offset) : std::nullopt;
  }

  std::vector<std::byte> memory_;
  OrcTable table_;
  size_t reads_ = 0;
};

TEST_F(OrcSearchTest, TheLastThatBeginsBefore) {
  std::vector<uint64_t> starts;
  for (uint64_t i = 0; i < 1000; ++i) starts.push_back(0x100000 + i * i * 16);
  for (const size_t count : {1U, 2U, 3U, 7U, 64U, 999U, 1000U}) {
    make({starts.begin(), starts.begin() + static_cast<std::ptrdiff_t>(count)});
    EXPECT_FALSE(index(0xfffff)) << "before the first";
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(index(starts[i]), static_cast<int>(i));
      const uint64_t last = i + 1 < count ? starts[i + 1] - 1 : starts[i] + 12345;
      EXPECT_EQ(index(last), static_cast<int>(i));
    }
  }
  reads_ = 0;
  find(0x500000);
  EXPECT_LE(reads_, 11U) << "it is a search by halves";
}

TEST_F(OrcSearchTest, CodeBelowTheTable) {
  make({0x10, 0x20, 0x500});
  EXPECT_EQ(index(0x25), 1) << "distances have a sign";
}

TEST_F(OrcSearchTest, EmptyAndCutTables) {
  make({});
  EXPECT_FALSE(find(0x1000).entry);
  EXPECT_TRUE(find(0x1000).fault.empty());
  make({0x100000, 0x200000});
  table_.count = 1 << 20;
  EXPECT_THAT(find(0x300000).fault, HasSubstr("beyond the image"));
  make({0x100000, 0x200000});
  table_.entries = VirtAddr{0xffff};
  EXPECT_THAT(find(0x300000).fault, HasSubstr("beyond the image"));
}

}  // namespace
}  // namespace kvista::unwind
