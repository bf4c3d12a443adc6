#include "machine/kernel_log.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "decode/printk_records.h"
#include "decode/printk_ring.h"
#include "decode/printk_text.h"

namespace kvista::machine {
namespace {

using vmcoreinfo::VmcoreInfo;

// What a form of the log needs of the note; what is missing is gathered, to be named at once.
class Exports {
 public:
  Exports(const VmcoreInfo& note, decode::WordFormat words) : note_(note), words_(words) {}

  VirtAddr symbol(std::string_view name) { return {take("SYMBOL", name, note_.symbol(name))}; }
  uint64_t size(std::string_view name) { return take("SIZE", name, note_.size(name)); }
  uint64_t offset(std::string_view name) { return take("OFFSET", name, note_.offset(name)); }
  uint64_t length(std::string_view name) { return take("LENGTH", name, note_.length(name)); }
  std::optional<VirtAddr> maybe_symbol(std::string_view name) const {
    const auto address = note_.symbol(name);
    return address ? std::optional(VirtAddr{*address}) : std::nullopt;
  }
  const VmcoreInfo& note() const { return note_; }
  decode::WordFormat words() const { return words_; }

  /// Throws NotFound where anything was missing.
  void require_all() const {
    if (!missing_.empty())
      throw NotFound(fmt::format("the kernel's log cannot be found: VMCOREINFO has no {}", missing_));
  }

 private:
  uint64_t take(const char* kind, std::string_view name, std::optional<uint64_t> value) {
    if (!value) missing_ += fmt::format("{}{}({})", missing_.empty() ? "" : ", ", kind, name);
    return value.value_or(0);
  }

  const VmcoreInfo& note_;
  decode::WordFormat words_;
  std::string missing_;
};

decode::PrintkLog read_ring(Exports& note, const VirtReader& read) {
  decode::PrintkRingLayout layout;
  layout.words = note.words();
  layout.prb = note.symbol("prb");
  layout.printk_ringbuffer = {note.size("printk_ringbuffer"), note.offset("printk_ringbuffer.desc_ring"),
                              note.offset("printk_ringbuffer.text_data_ring")};
  layout.prb_desc_ring = {note.size("prb_desc_ring"),           note.offset("prb_desc_ring.count_bits"),
                          note.offset("prb_desc_ring.descs"),   note.offset("prb_desc_ring.infos"),
                          note.offset("prb_desc_ring.head_id"), note.offset("prb_desc_ring.tail_id")};
  layout.prb_data_ring = {note.size("prb_data_ring"), note.offset("prb_data_ring.size_bits"),
                          note.offset("prb_data_ring.data")};
  layout.prb_desc = {note.size("prb_desc"), note.offset("prb_desc.state_var"),
                     note.offset("prb_desc.text_blk_lpos")};
  layout.prb_data_blk_lpos = {note.size("prb_data_blk_lpos"), note.offset("prb_data_blk_lpos.begin"),
                              note.offset("prb_data_blk_lpos.next")};
  layout.printk_info = {note.size("printk_info"),
                        note.offset("printk_info.seq"),
                        note.offset("printk_info.ts_nsec"),
                        note.offset("printk_info.text_len"),
                        note.offset("printk_info.caller_id"),
                        note.offset("printk_info.dev_info")};
  layout.dev_printk_info = {note.size("dev_printk_info"), note.offset("dev_printk_info.subsystem"),
                            note.length("printk_info_subsystem"), note.offset("dev_printk_info.device"),
                            note.length("printk_info_device")};
  layout.counter = note.offset("atomic_long_t.counter");
  if (const auto clear = note.maybe_symbol("clear_seq"))
    layout.clear = {*clear, note.note().offset("latched_seq.val")};
  note.require_all();
  return decode::read_printk_ring(read, layout);
}

// The head of a record was struct log until 3.10.
decode::PrintkLog read_records(Exports& note, const VirtReader& read) {
  const std::string head = note.note().size("log") ? "log" : "printk_log";
  decode::PrintkRecordsLayout layout;
  layout.words = note.words();
  layout.log_buf = note.symbol("log_buf");
  layout.log_buf_len = note.symbol("log_buf_len");
  layout.first_idx = note.symbol("log_first_idx");
  layout.next_idx = note.symbol("log_next_idx");
  layout.clear_idx = note.maybe_symbol("clear_idx");
  layout.head = {note.size(head), note.offset(head + ".ts_nsec"), note.offset(head + ".len"),
                 note.offset(head + ".text_len"), note.offset(head + ".dict_len")};
  note.require_all();
  return decode::read_printk_records(read, layout);
}

decode::PrintkLog read_text(Exports& note, const VirtReader& read) {
  decode::PrintkTextLayout layout;
  layout.words = note.words();
  layout.log_buf = note.symbol("log_buf");
  layout.log_buf_len = note.symbol("log_buf_len");
  layout.log_end = note.symbol("log_end");
  layout.logged_chars = note.symbol("logged_chars");
  note.require_all();
  return decode::read_printk_text(read, layout);
}

struct LogForm {
  const char* symbol;  // that the note has for this form only
  const char* name;
  decode::PrintkLog (*read)(Exports& note, const VirtReader& read);
};

// Newest first.
constexpr std::array kForms = {
    LogForm{"prb", "lockless ring, since 5.10", read_ring},
    LogForm{"log_first_idx", "records in a buffer, 3.5 to 5.9", read_records},
    LogForm{"logged_chars", "text in a buffer, until 3.4", read_text},
};

// The log is in the kernel image, unless it was enlarged at boot: then in the direct map.
class Memory {
 public:
  explicit Memory(Machine& machine) : machine_(machine) {}

  size_t read(VirtAddr address, std::span<std::byte> out) {
    if (machine_.is_of_image(address)) return machine_.read_image(address, out);
    if (!tried_) {
      tried_ = true;
      try {
        space_ = machine_.kernel_space();
      } catch (const Error& error) {
        unreachable_ = error.what();
      }
    }
    return space_ ? space_->read(address, out).done : 0;
  }
  const std::string& unreachable() const { return unreachable_; }

 private:
  Machine& machine_;
  std::optional<AddressSpace> space_;
  bool tried_ = false;
  std::string unreachable_;
};

}  // namespace

KernelLog read_kernel_log(Machine& machine) {
  machine.need_image_offset();  // all pointers to the log are in the kernel image
  Memory memory(machine);
  const VirtReader read = [&](VirtAddr at, std::span<std::byte> out) { return memory.read(at, out); };
  Exports note(machine.note(), {machine.byte_order(), 8});
  for (const LogForm& form : kForms)
    if (machine.note().symbol(form.symbol)) {
      KernelLog found{form.read(note, read), form.name, {}};
      found.unreachable = memory.unreachable();
      return found;
    }
  throw NotFound(
      "the kernel's log cannot be found: VMCOREINFO has none of SYMBOL(prb), SYMBOL(log_first_idx) and "
      "SYMBOL(logged_chars)");
}

}  // namespace kvista::machine
