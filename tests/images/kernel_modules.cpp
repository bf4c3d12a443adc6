// The modules of a described kernel, their symbols and their types.
#include <fmt/format.h>

#include "images/object_writer.h"

namespace kvista::test {
namespace {

constexpr uint64_t kModulesAt = 0x1000000;  // behind the largest kernel image, where modules are

class ModulePlacer {
 public:
  ModulePlacer(ObjectWriter& writer, const std::vector<ModuleLine>& modules)
      : out_(writer), lines_(modules) {}

  void run() {
    place_taints();
    std::vector<ObjectWriter::Link> modules;
    std::vector<ObjectWriter::Link> types;
    next_ = kKernelMap + out_.kernel().description().machine.image_size + kModulesAt;
    for (const ModuleLine& line : lines_) {
      const PlacedObject module = make(line);
      modules.push_back(out_.link(module, "list"));
      if (line.has_types) types.push_back(make_types(line, module));
    }
    out_.make_list(out_.link(out_.variable("modules", "struct list_head"), ""), modules);
    out_.make_list(out_.link(out_.variable("btf_modules", "struct list_head"), ""), types);
  }

 private:
  // kernel/panic.c: the letters of the taints, of which modules have some.
  void place_taints() {
    constexpr std::string_view kLetters = "PFSRMBUDAWCIOELKXTN";
    constexpr std::string_view kOfModules = "PCOEKTN";
    const PlacedObject flags = out_.variable("taint_flags", "struct taint_flag", kLetters.size());
    for (size_t i = 0; i < kLetters.size(); ++i) {
      const uint64_t at = flags.phys + i * out_.types().size("struct taint_flag");
      out_.put(at, static_cast<uint64_t>(kLetters[i]), 1);
      out_.put(at + 1, ' ', 1);
      out_.put(at + 2, kOfModules.find(kLetters[i]) != std::string_view::npos ? 1 : 0, 1);
    }
    out_.kernel().name("taint_flags_end",
                       flags.virt + kLetters.size() * out_.types().size("struct taint_flag"));
  }

  PlacedObject make(const ModuleLine& line) {
    const PlacedObject module = out_.make("module:" + line.name, "struct module");
    out_.set(module, "state", line.state);
    out_.write(module, "name", line.name);
    out_.set(module, "taints", line.taints);
    out_.set(module, "refcnt", line.used + 1);
    // Text and data.
    const uint64_t text = next_;
    out_.set(module, "mem[0].base", text);
    out_.set(module, "mem[0].size", line.size / 2);
    out_.set(module, "mem[1].base", text + line.size);
    out_.set(module, "mem[1].size", line.size - line.size / 2);
    next_ += 2 * line.size;
    place_symbols(line, module, text);
    return module;
  }

  void place_symbols(const ModuleLine& line, const PlacedObject& module, uint64_t text) {
    const uint64_t entry = out_.types().size("struct elf64_sym");
    const PlacedObject table = out_.make_bytes("symtab:" + line.name, (line.symbols.size() + 1) * entry);
    const PlacedObject letters = out_.make_bytes("typetab:" + line.name, line.symbols.size() + 1);
    std::string names(1, '\0');
    for (size_t i = 0; i < line.symbols.size(); ++i) {
      const uint64_t at = table.phys + (i + 1) * entry;
      out_.put(at, names.size(), 4);
      out_.put(at + out_.types().offset("struct elf64_sym", "st_value"), text + 0x10 * i, 8);
      out_.put(letters.phys + i + 1, 't', 1);
      names += line.symbols[i] + '\0';
    }
    const PlacedObject strings = out_.make_bytes("strtab:" + line.name, names.size() + 512);
    out_.kernel().memory().write(strings.phys, names);
    const PlacedObject tables = out_.make("kallsyms:" + line.name, "struct mod_kallsyms");
    out_.set(tables, "symtab", table.virt);
    out_.set(tables, "num_symtab", line.symbols.size() + 1);
    out_.set(tables, "strtab", strings.virt);
    out_.set(tables, "typetab", letters.virt);
    out_.set(module, "kallsyms", tables.virt);
  }

  // Split BTF: a struct of its own, NAME_state.
  ObjectWriter::Link make_types(const ModuleLine& line, const PlacedObject& module) {
    BtfBuilder split(ByteOrder::little, btf_of(out_.kernel().description()));
    const uint32_t number = split.integer(line.name + "_number", 4);
    split.structure(line.name + "_state", 8, {{"users", number, 0}, {"limit", number, 32}});
    const auto bytes = split.build();
    const PlacedObject data = out_.make_bytes("btf_data:" + line.name, bytes.size());
    out_.kernel().memory().write(data.phys, bytes);
    const PlacedObject types = out_.make("btf:" + line.name, "struct btf");
    out_.set(types, "data", data.virt);
    out_.set(types, "data_size", bytes.size());
    out_.write(types, "name", line.name);
    const PlacedObject entry = out_.make("btf_module:" + line.name, "struct btf_module");
    out_.set(entry, "btf", types.virt);
    out_.set(entry, "module", module.virt);
    return out_.link(entry, "list");
  }

  ObjectWriter& out_;
  const std::vector<ModuleLine>& lines_;
  uint64_t next_ = 0;
};

}  // namespace

void place_modules(ObjectWriter& writer, const std::vector<ModuleLine>& modules) {
  ModulePlacer(writer, modules).run();
}

}  // namespace kvista::test
