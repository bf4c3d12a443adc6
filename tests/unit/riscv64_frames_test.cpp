// Frames and registers of riscv64, on stacks that are made by hand.
#include "unwind/riscv64/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "arch/riscv64/registers.h"
#include "unit/hand_made_stacks.h"
#include "unwind/frame_unwinder.h"

namespace kvista::unwind {
namespace {

using arch::Registers;
using arch::riscv64::Reg;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kCode = 0xffffffff80000000;
constexpr uint64_t kTask = 0xff20000000010000;
constexpr uint64_t kIrq = 0xff20000000020000;
constexpr uint64_t kSize = 0x4000;
constexpr uint64_t kInner = kCode + 0x1000;
constexpr uint64_t kMiddle = kCode + 0x2000;
constexpr uint64_t kOuter = kCode + 0x3000;
constexpr uint64_t kEntry = kCode + 0x4000;
constexpr uint64_t kRetFromFork = kCode + 0x5000;
constexpr uint64_t kSupervisor = 0x100;
constexpr uint64_t kSp = kTask + 0x1000;

class RiscvFrames : public testing::Test {
 protected:
  // A frame whose pointer is `fp`.
  void put_frame(uint64_t fp, uint64_t caller_fp, uint64_t address) {
    machine_.words[fp - 16] = caller_fp;
    machine_.words[fp - 8] = address;
  }
  static Registers registers(uint64_t pc, uint64_t sp, uint64_t fp, uint64_t status = kSupervisor) {
    Registers all{&arch::riscv64::kRegisterSet};
    for (size_t i = 0; i < arch::riscv64::kRegCount; ++i) all.put(i, 0x100 + i);
    all.put(Reg::epc, pc);
    all.put(Reg::sp, sp);
    all.put(Reg::s0, fp);
    all.put(Reg::ra, 0);
    all.put(Reg::status, status);
    return all;
  }
  void put_registers(uint64_t at, const Registers& all) {
    machine_.put_registers(at, all, arch::riscv64::kRegCount);
  }
  Trace run(const Start& start) {
    const riscv64::Frames frames({288,
                                  {{VirtAddr{kEntry}, VirtAddr{kEntry + 0xfff}}},
                                  {{VirtAddr{kRetFromFork}, VirtAddr{kRetFromFork + 0xfff}}}});
    return unwind_by_frames(machine_, frames, stacks_, start, ByteOrder::little);
  }
  Trace run(uint64_t pc, uint64_t sp, uint64_t fp) {
    return run(Start{Means::switched_out, registers(pc, sp, fp), false, false});
  }

  HandMadeMemory<Target> machine_{kCode, kCode + 0x10000};
  std::vector<Stack> stacks_ = {{StackKind::task, "task", VirtAddr{kTask}, VirtAddr{kTask + kSize}},
                                {StackKind::irq, "IRQ", VirtAddr{kIrq}, VirtAddr{kIrq + kSize}}};
};

TEST_F(RiscvFrames, CallsUpToUserMode) {
  constexpr uint64_t kSaved = kTask + kSize - 288;
  put_frame(kSp + 0x20, kSp + 0x60, kMiddle + 8);
  put_frame(kSp + 0x60, kSaved, kOuter + 8);
  put_frame(kSaved, 0x7fff0000, kEntry + 0x40);
  put_registers(kSaved, registers(0x10000, 0x3fff0000, 0x7fff0000, 0));
  const Trace trace = run(kInner + 8, kSp, kSp + 0x20);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kOuter + 8, kEntry + 0x40));
  ASSERT_TRUE(trace.user);
  EXPECT_EQ((*trace.user)[Reg::epc], 0x10000U);
}

TEST_F(RiscvFrames, ExceptionOnAnotherStack) {
  constexpr uint64_t kSaved = kTask + 0x2000;
  put_frame(kIrq + kSize, kSaved - 0x40, kMiddle + 8);  // call_on_irq_stack
  put_frame(kSaved - 0x40, kSaved, kOuter + 8);
  put_frame(kSaved, kSaved + 0x300, kEntry + 0x40);
  const Registers all = registers(kMiddle + 0x20, kSaved + 288, kSaved + 0x300);
  put_registers(kSaved, all);
  put_frame(kSaved + 0x300, 0, kRetFromFork + 8);
  machine_.words[kMiddle] = 0x0080e406;  // sd ra, 8(sp); addi s0, sp, 64: it has a frame
  const Trace trace = run(kInner + 8, kIrq + kSize - 0x40, kIrq + kSize);
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kOuter + 8, kEntry + 0x40,
                                            kMiddle + 0x20, kRetFromFork + 8));
  EXPECT_EQ(trace.frames[4].registers, all);
  EXPECT_FALSE(trace.user);
}

TEST_F(RiscvFrames, FunctionThatCallsNone) {
  Registers all = registers(kInner + 8, kSp, kSp + 0x10);
  all.put(Reg::ra, kMiddle + 8);
  machine_.words[kMiddle] = 0x000000ef00000000;  // jal
  machine_.words[kInner] = 0x0800e422;           // sd s0, 8(sp); addi s0, sp, 16
  machine_.words[kSp + 8] = kSp + 0x40;
  put_frame(kSp + 0x40, 0, kRetFromFork + 8);
  const Trace trace = run(Start{Means::registers, all, true, true});
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kInner + 8, kMiddle + 8, kRetFromFork + 8));
  EXPECT_EQ(trace.frames[1].means, Means::link_register);
}

// A CPU at the first instruction of an entry has saved nothing; what it interrupted has a frame.
TEST_F(RiscvFrames, AtTheStartOfAnEntry) {
  machine_.words[kMiddle] = 0x000000ef00000000;  // jal
  put_frame(kSp + 0x20, kSp + 0x60, kMiddle + 8);
  put_frame(kSp + 0x60, 0, kRetFromFork + 8);
  Registers all = registers(kEntry, kSp, kSp + 0x20);
  all.put(Reg::ra, kMiddle + 8);
  Trace trace = run(Start{Means::registers, all, true, true});
  EXPECT_EQ(trace.end, End::complete) << trace.fault;
  EXPECT_THAT(addresses(trace), ElementsAre(kEntry, kMiddle + 8, kRetFromFork + 8));
  EXPECT_THAT(means(trace), ElementsAre(Means::registers, Means::frame_pointer, Means::frame_pointer));
  // Further on it has.
  put_registers(kSp, registers(kMiddle + 0x20, kSp + 288, kSp + 0x300));
  machine_.words[kMiddle] = 0x0080e406;  // sd ra, 8(sp); addi s0, sp, 64
  put_frame(kSp + 0x300, 0, kRetFromFork + 8);
  all.put(Reg::ra, 0);
  trace = run(Start{Means::registers, all, true, true});
  EXPECT_THAT(addresses(trace), ElementsAre(kEntry, kMiddle + 0x20, kRetFromFork + 8));
}

TEST_F(RiscvFrames, Damage) {
  put_frame(kSp + 0x20, kSp + 0x20, kMiddle + 8);
  EXPECT_THAT(run(kInner + 8, kSp, kSp + 0x20).fault, HasSubstr("leads back to"));
  for (const uint64_t fp : {uint64_t{0}, uint64_t{8}, kSp + 4, kTask, uint64_t{0x1000}})
    EXPECT_EQ(run(kInner + 8, kSp, fp).end, End::damaged) << fp;
}

TEST_F(RiscvFrames, Notes) {
  std::vector<std::byte> bytes(arch::riscv64::kPrStatusSize);
  for (size_t i = 0; i < 32; ++i) store<uint64_t>(&bytes[112 + i * 8], 0x100 + i, ByteOrder::little);
  const auto found = arch::riscv64::parse_prstatus(bytes);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ip(), 0x100U);
  EXPECT_EQ(found->sp(), 0x102U);
  EXPECT_EQ(found->fp(), 0x108U);
  EXPECT_TRUE(found->is_user()) << "by the address alone";
  EXPECT_FALSE(arch::riscv64::parse_prstatus(std::span(bytes).first(375)));
}

// As GNU as assembles them.
TEST_F(RiscvFrames, Calls) {
  const auto is_call = [](uint32_t instruction, size_t size) {
    std::vector<std::byte> bytes(4);
    store(bytes.data(), instruction, ByteOrder::little);
    return arch::riscv64::ends_with_call(std::span(bytes).first(size));
  };
  EXPECT_TRUE(is_call(0x010000ef, 4)) << "jal";
  EXPECT_TRUE(is_call(0x000780e7, 4)) << "jalr a5";
  EXPECT_TRUE(is_call(0x9782, 2)) << "c.jalr a5";
  EXPECT_FALSE(is_call(0x0100006f, 4)) << "j";
  EXPECT_FALSE(is_call(0x8082, 2)) << "ret";
  EXPECT_FALSE(is_call(0x9002, 2)) << "ebreak";
}

}  // namespace
}  // namespace kvista::unwind
