// kvista vmcoreinfo: what the kernel tells about itself.
#include "kvista/vmcoreinfo.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "image/open.h"
#include "vmcoreinfo/locate.h"

namespace kvista::cli {
namespace {

using vmcoreinfo::Entry;
using vmcoreinfo::Kind;

TableSpec entries_spec() {
  return {"entries",
          "the lines of the note, in its order",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "the line as it stands", Show::only_text},
           {"kind", "KIND", Type::text, "", "SYMBOL, SIZE, OFFSET, LENGTH, NUMBER or text", Show::only_json},
           {"name", "NAME", Type::text, "", "what stands in the parentheses, or the key", Show::only_json},
           {"value", "VALUE", Type::any, "",
            "a number; a string for text, and for what the kernel writes in hexadecimal", Show::only_json}}};
}

std::string line_of(const Entry& entry) {
  if (entry.kind == Kind::text) return fmt::format("{}={}", entry.name, entry.value);
  return fmt::format("{}({})={}", describe(entry.kind), entry.name, entry.value);
}

Cell value_of(const Entry& entry) {
  if (!entry.number) return entry.value;
  if (entry.kind == Kind::symbol || entry.value.starts_with("0x")) return Hex{*entry.number};
  if (entry.value.starts_with('-')) return static_cast<int64_t>(*entry.number);
  return *entry.number;
}

Report run(const Invocation& invocation) {
  const auto operand =
      invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front());
  const auto image = image::open_image_set(image_paths(invocation, operand));
  const auto located = vmcoreinfo::locate(*image);
  if (!located)
    throw NotFound(
        fmt::format("{}: no VMCOREINFO in it (a dump made by QEMU holds one if the guest has the device "
                    "'-device vmcoreinfo' and the module qemu_fw_cfg)",
                    image->traits().path));
  Report report{"vmcoreinfo", {{entries_spec(), {}}}, {}, ExitStatus::complete};
  for (const Entry& entry : located->info.entries())
    report.tables[0].rows.push_back({line_of(entry), describe(entry.kind), entry.name, value_of(entry)});
  report.warnings.assign(image->warnings().begin(), image->warnings().end());
  report.warnings.insert(report.warnings.end(), located->info.warnings().begin(),
                         located->info.warnings().end());
  return report;
}

}  // namespace

Command make_vmcoreinfo() {
  return {"vmcoreinfo",
          "print the VMCOREINFO note",
          "kvista vmcoreinfo vmcore | grep KERNELOFFSET\n  how far KASLR moved the kernel that crashed",
          {{"IMAGE", "the image; default: /proc/vmcore, or the running kernel"}},
          {},
          {entries_spec()},
          run};
}

}  // namespace kvista::cli
