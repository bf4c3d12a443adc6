#include "disasm/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "disasm/capstone.h"
#include "disasm/x86_64_more.h"

namespace kvista::disasm {
namespace {

// The operands of an architecture, each a struct of its own in Capstone.
template <typename Details, typename IsNumber>
std::optional<VirtAddr> last_number(const Details& details, IsNumber is_number) {
  for (size_t i = details.op_count; i-- > 0;)
    if (is_number(details.operands[i]))
      return VirtAddr{static_cast<uint64_t>(int64_t{details.operands[i].imm})};
  return std::nullopt;
}

std::optional<VirtAddr> x86_number(const cs_insn& insn) {
  return last_number(insn.detail->x86, [](const cs_x86_op& op) { return op.type == X86_OP_IMM; });
}
std::optional<VirtAddr> arm64_number(const cs_insn& insn) {
  return last_number(insn.detail->arm64, [](const cs_arm64_op& op) { return op.type == ARM64_OP_IMM; });
}
std::optional<VirtAddr> ppc_number(const cs_insn& insn) {
  return last_number(insn.detail->ppc, [](const cs_ppc_op& op) { return op.type == PPC_OP_IMM; });
}
std::optional<VirtAddr> sysz_number(const cs_insn& insn) {
  return last_number(insn.detail->sysz, [](const cs_sysz_op& op) { return op.type == SYSZ_OP_IMM; });
}

// What is relative to the instruction behind. A segment's base is not known: %gs:0x10(%rip) is no address.
std::optional<VirtAddr> x86_memory(const cs_insn& insn) {
  const cs_x86& details = insn.detail->x86;
  for (size_t i = 0; i < details.op_count; ++i) {
    const cs_x86_op& op = details.operands[i];
    if (op.type != X86_OP_MEM || op.mem.base != X86_REG_RIP || op.mem.index != X86_REG_INVALID ||
        op.mem.segment != X86_REG_INVALID)
      continue;
    return VirtAddr{insn.address + insn.size + static_cast<uint64_t>(op.mem.disp)};
  }
  return std::nullopt;
}
std::optional<VirtAddr> no_memory(const cs_insn& /*insn*/) {
  return std::nullopt;
}

std::optional<Instruction> no_more(std::span<const std::byte> /*bytes*/, VirtAddr /*address*/) {
  return std::nullopt;
}

struct Architecture {
  uint16_t elf_machine;
  const char* name;
  bool is_known;  // to Capstone 4, and later
  cs_arch arch;
  unsigned mode;
  unsigned shortest, longest;  // bytes of an instruction
  std::string_view branches;   // letters that mnemonics begin with which Capstone 4 does not group as such
  std::optional<VirtAddr> (*number)(const cs_insn&);
  std::optional<VirtAddr> (*memory)(const cs_insn&);
  std::optional<Instruction> (*more)(std::span<const std::byte>, VirtAddr);  // what Capstone lacks
};
// The first is what an image is taken for whose format does not say.
constexpr std::array kArchitectures = {
    Architecture{62, "x86_64", true, CS_ARCH_X86, CS_MODE_64, 1, 15, "", x86_number, x86_memory,
                 decode_x86_more},
    Architecture{183, "arm64", true, CS_ARCH_ARM64, 0, 4, 4, "", arm64_number, no_memory, no_more},
    Architecture{21, "ppc64", true, CS_ARCH_PPC, CS_MODE_64, 4, 4, "b", ppc_number, no_memory, no_more},
    Architecture{22, "s390x", true, CS_ARCH_SYSZ, 0, 2, 6, "bj", sysz_number, no_memory, no_more},
    Architecture{243, "riscv64", false, CS_ARCH_ALL, 0, 2, 4, "", nullptr, nullptr, no_more},
};

const Architecture& architecture_of(uint16_t elf_machine) {
  const auto* const found =
      std::find_if(kArchitectures.begin(), kArchitectures.end(),
                   [&](const Architecture& one) { return one.elf_machine == elf_machine; });
  if (elf_machine == 0) return kArchitectures.front();
  if (found == kArchitectures.end())
    throw Unsupported(fmt::format("code of ELF machine {} cannot be disassembled", elf_machine));
  if (!found->is_known || !capstone().support(found->arch))
    throw Unsupported(fmt::format("code of {} cannot be disassembled", found->name));
  return *found;
}

bool is_in_group(csh handle, const cs_insn& insn, std::initializer_list<unsigned> groups) {
  return std::any_of(groups.begin(), groups.end(),
                     [&](unsigned group) { return capstone().insn_group(handle, &insn, group); });
}

}  // namespace

bool Instruction::is_bad() const {
  return mnemonic == kBad;
}

struct Decoder::Handle {
  const Architecture& architecture;
  const Capstone& library = capstone();
  csh handle = 0;
  cs_insn* insn = nullptr;

  Handle(uint16_t elf_machine, ByteOrder order) : architecture(architecture_of(elf_machine)) {
    const unsigned big = order == ByteOrder::big ? static_cast<unsigned>(CS_MODE_BIG_ENDIAN) : 0;
    const cs_err error =
        library.open(architecture.arch, static_cast<cs_mode>(architecture.mode | big), &handle);
    if (error != CS_ERR_OK)
      throw Unsupported(fmt::format("code of {} cannot be disassembled: this build leaves it out ({})",
                                    architecture.name, library.strerror(error)));
    library.option(handle, CS_OPT_DETAIL, CS_OPT_ON);
    library.option(handle, CS_OPT_UNSIGNED, CS_OPT_ON);
    if (architecture.arch == CS_ARCH_X86) library.option(handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    insn = library.malloc(handle);
  }
  ~Handle() {
    library.free(insn, 1);
    library.close(&handle);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

Decoder::Decoder(uint16_t elf_machine, ByteOrder order)
    : handle_(std::make_unique<Handle>(elf_machine, order)) {}
Decoder::~Decoder() = default;

unsigned Decoder::longest() const {
  return handle_->architecture.longest;
}

std::optional<Instruction> Decoder::decode(std::span<const std::byte> bytes, VirtAddr address) const {
  if (bytes.empty()) return std::nullopt;
  const Architecture& architecture = handle_->architecture;
  if (auto own = architecture.more(bytes, address)) return own;
  const auto* code = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = std::min<size_t>(bytes.size(), architecture.longest);
  uint64_t at = address.value;
  if (!handle_->library.disasm_iter(handle_->handle, &code, &left, &at, handle_->insn)) {
    const auto size = static_cast<unsigned>(std::min<size_t>(architecture.shortest, bytes.size()));
    return Instruction{address, size, kBad, ""};
  }
  const cs_insn& insn = *handle_->insn;
  Instruction found{address, insn.size, &insn.mnemonic[0], &insn.op_str[0]};
  if (is_in_group(handle_->handle, insn, {CS_GRP_JUMP, CS_GRP_CALL, CS_GRP_BRANCH_RELATIVE}) ||
      architecture.branches.find(found.mnemonic.front()) != std::string_view::npos)
    found.target = architecture.number(insn);
  found.memory = architecture.memory(insn);
  return found;
}

std::vector<Instruction> Decoder::decode_all(std::span<const std::byte> bytes, VirtAddr address,
                                             size_t most) const {
  std::vector<Instruction> all;
  for (size_t at = 0; at < bytes.size() && all.size() < most; at += all.back().size)
    all.push_back(*decode(bytes.subspan(at), address + at));
  return all;
}

}  // namespace kvista::disasm
