#include "cli/register_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "arch/arm64/registers.h"
#include "arch/riscv64/registers.h"
#include "arch/s390x/registers.h"
#include "arch/x86_64/registers.h"

namespace kvista::cli {
namespace {

using arch::x86_64::Reg;
using Line = std::span<const uint8_t>;

template <typename... Regs>
constexpr std::array<uint8_t, sizeof...(Regs)> numbers(Regs... regs) {
  return {static_cast<uint8_t>(regs)...};
}

// All registers in their order, and so many on a line.
template <size_t Count>
constexpr std::array<uint8_t, Count> counted() {
  std::array<uint8_t, Count> all{};
  for (size_t i = 0; i < Count; ++i) all.at(i) = static_cast<uint8_t>(i);
  return all;
}
template <size_t Count>
constexpr std::array<std::array<uint8_t, 3>, Count / 3> threes() {
  std::array<std::array<uint8_t, 3>, Count / 3> lines{};
  for (size_t i = 0; i < Count; ++i) lines.at(i / 3).at(i % 3) = static_cast<uint8_t>(i);
  return lines;
}

// --- x86_64 ---

constexpr auto kX86Columns = numbers(Reg::ip, Reg::sp, Reg::flags, Reg::ax, Reg::bx, Reg::cx, Reg::dx,
                                     Reg::si, Reg::di, Reg::bp, Reg::r8, Reg::r9, Reg::r10, Reg::r11,
                                     Reg::r12, Reg::r13, Reg::r14, Reg::r15, Reg::orig_ax, Reg::cs, Reg::ss);
constexpr std::array kX86Notes = {
    RegisterView::Note{static_cast<uint8_t>(Reg::orig_ax), nullptr,
                       "of an exception its error code, of a system call its number", 0},
    RegisterView::Note{static_cast<uint8_t>(Reg::flags), nullptr, "", 8},
    RegisterView::Note{static_cast<uint8_t>(Reg::cs), nullptr, "", 4},
    RegisterView::Note{static_cast<uint8_t>(Reg::ss), nullptr, "", 4}};
constexpr std::array kX86Order = {
    numbers(Reg::ip, Reg::sp, Reg::flags),  numbers(Reg::ax, Reg::bx, Reg::cx),
    numbers(Reg::dx, Reg::si, Reg::di),     numbers(Reg::bp, Reg::r8, Reg::r9),
    numbers(Reg::r10, Reg::r11, Reg::r12),  numbers(Reg::r13, Reg::r14, Reg::r15),
    numbers(Reg::orig_ax, Reg::cs, Reg::ss)};

// --- arm64 ---

using Arm = arch::arm64::Reg;
constexpr auto kArmColumns = counted<arch::arm64::kRegCount>();
constexpr std::array kArmNotes = {
    RegisterView::Note{static_cast<uint8_t>(Arm::x30), "LR", "the link register", 0},
    RegisterView::Note{static_cast<uint8_t>(Arm::pstate), nullptr, "", 8},
    RegisterView::Note{static_cast<uint8_t>(Arm::orig_x0), nullptr,
                       "of a system call its first argument; null where a note has the registers", 0},
    RegisterView::Note{static_cast<uint8_t>(Arm::syscallno), nullptr,
                       "of a system call its number, else 0xffffffff; null likewise", 8}};
constexpr std::array kArmOrder = {numbers(Arm::pc, Arm::x30, Arm::sp),
                                  numbers(29, 28, 27),
                                  numbers(26, 25, 24),
                                  numbers(23, 22, 21),
                                  numbers(20, 19, 18),
                                  numbers(17, 16, 15),
                                  numbers(14, 13, 12),
                                  numbers(11, 10, 9),
                                  numbers(8, 7, 6),
                                  numbers(5, 4, 3),
                                  numbers(2, 1, 0),
                                  numbers(Arm::orig_x0, Arm::syscallno, Arm::pstate)};

// --- riscv64 ---

using Risc = arch::riscv64::Reg;
constexpr auto kRiscColumns = counted<arch::riscv64::kRegCount>();
constexpr std::array kRiscNotes = {
    RegisterView::Note{static_cast<uint8_t>(Risc::status), nullptr, "null where a note has the registers", 0},
    RegisterView::Note{static_cast<uint8_t>(Risc::cause), nullptr,
                       "of an exception its number; null likewise", 0},
    RegisterView::Note{static_cast<uint8_t>(Risc::orig_a0), nullptr,
                       "of a system call its first argument; null likewise", 0}};
constexpr auto kRiscOrder = threes<arch::riscv64::kRegCount>();

// --- s390x ---

using S390 = arch::s390x::Reg;
constexpr auto kS390Columns = counted<arch::s390x::kRegCount>();
constexpr std::array kS390Notes = {
    RegisterView::Note{static_cast<uint8_t>(S390::psw_mask), nullptr, "the program status word's mask", 0},
    RegisterView::Note{static_cast<uint8_t>(S390::psw_addr), nullptr, "its instruction address", 0},
    RegisterView::Note{static_cast<uint8_t>(S390::orig_gpr2), nullptr,
                       "of a system call its first argument; null where a note has the registers", 0},
    RegisterView::Note{static_cast<uint8_t>(S390::int_code), nullptr,
                       "of an interruption the length of the instruction and the code; null likewise", 8},
    RegisterView::Note{static_cast<uint8_t>(S390::int_parm_long), nullptr,
                       "of a page fault the address; null likewise", 0}};
constexpr std::array kS390Order = {numbers(S390::psw_mask, S390::psw_addr, S390::r15),
                                   numbers(2, 3, 4),
                                   numbers(5, 6, 7),
                                   numbers(8, 9, 10),
                                   numbers(11, 12, 13),
                                   numbers(14, 15, 16),
                                   numbers(S390::orig_gpr2, S390::int_code, S390::int_parm_long)};

template <size_t Count>
constexpr std::array<Line, Count> lines_of(const std::array<std::array<uint8_t, 3>, Count>& order) {
  std::array<Line, Count> lines{};
  for (size_t i = 0; i < Count; ++i) lines[i] = order[i];
  return lines;
}
constexpr auto kX86Lines = lines_of(kX86Order);
constexpr auto kArmLines = lines_of(kArmOrder);
constexpr auto kRiscLines = lines_of(kRiscOrder);
constexpr auto kS390Lines = lines_of(kS390Order);

constexpr std::array kViews = {
    RegisterView{"x86_64", &arch::x86_64::kRegisterSet, kX86Columns, kX86Lines, kX86Notes},
    RegisterView{"arm64", &arch::arm64::kRegisterSet, kArmColumns, kArmLines, kArmNotes},
    RegisterView{"riscv64", &arch::riscv64::kRegisterSet, kRiscColumns, kRiscLines, kRiscNotes},
    RegisterView{"s390x", &arch::s390x::kRegisterSet, kS390Columns, kS390Lines, kS390Notes}};

const RegisterView::Note* note_of(const RegisterView& view, uint8_t reg) {
  const auto at = std::find_if(view.notes.begin(), view.notes.end(),
                               [&](const RegisterView::Note& note) { return note.reg == reg; });
  return at == view.notes.end() ? nullptr : &*at;
}

std::string_view title_of(const RegisterView& view, uint8_t reg) {
  const RegisterView::Note* const note = note_of(view, reg);
  return note != nullptr && note->title != nullptr ? note->title : view.set->names[reg];
}

std::string register_text(const RegisterView& view, const arch::Registers& registers, uint8_t reg) {
  const std::string name = fmt::format("{}:", title_of(view, reg));
  const RegisterView::Note* const note = note_of(view, reg);
  if (note != nullptr && note->digits != 0)
    return fmt::format("{} {:0{}x}", name, registers[reg], note->digits);
  return fmt::format("{:<4} {:016x}", name, registers[reg]);
}

}  // namespace

std::span<const RegisterView> register_views() {
  return kViews;
}

const RegisterView& register_view(std::string_view architecture) {
  const auto* const at = std::find_if(kViews.begin(), kViews.end(), [&](const RegisterView& view) {
    return view.architecture == architecture;
  });
  return at == kViews.end() ? kViews.front() : *at;
}

std::string_view name_of_ip(const RegisterView& view) {
  return view.set->names[view.set->ip];
}

std::vector<Column> register_columns(const RegisterView& view) {
  std::vector<Column> columns;
  for (const uint8_t reg : view.columns) {
    const std::string title(view.set->names[reg]);
    std::string name = title;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const RegisterView::Note* const note = note_of(view, reg);
    columns.push_back({name, title, Type::hex, "", note == nullptr ? "" : note->meaning, Show::only_json});
  }
  return columns;
}

void add_register_cells(Row& row, const RegisterView& view, const arch::Registers& registers) {
  for (const uint8_t reg : view.columns) {
    Cell& cell = row.emplace_back();
    if (registers.has(reg)) cell = Hex{registers[reg]};
  }
}

std::vector<std::string> register_lines(const RegisterView& view, const arch::Registers& registers) {
  std::vector<std::string> lines;
  for (const Line& line : view.lines) {
    std::string text = " ";
    for (const uint8_t reg : line)
      if (registers.has(reg))
        text += fmt::format("{}{}", text.size() == 1 ? "   " : "  ", register_text(view, registers, reg));
    if (text.size() > 1) lines.push_back(std::move(text));
  }
  return lines;
}

}  // namespace kvista::cli
