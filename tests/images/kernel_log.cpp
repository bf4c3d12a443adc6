// The kernel's log in a synthetic kernel, and what VMCOREINFO says of it.
#include <fmt/format.h>

#include <string>

#include "images/kernel.h"
#include "images/printk_builder.h"

namespace kvista::test {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// The lines of a note, in the form in which the kernel writes them.
class NoteLinesOfLog {
 public:
  void symbol(const char* name, VirtAddr at) { add("SYMBOL", name, fmt::format("{:x}", at.value)); }
  void size(const char* name, uint64_t value) { add("SIZE", name, fmt::to_string(value)); }
  void offset(const char* name, uint64_t value) { add("OFFSET", name, fmt::to_string(value)); }
  void length(const char* name, uint64_t value) { add("LENGTH", name, fmt::to_string(value)); }
  Lines take() { return std::move(lines_); }

 private:
  void add(const char* kind, const char* name, std::string value) {
    lines_.emplace_back(fmt::format("{}({})", kind, name), std::move(value));
  }
  Lines lines_;
};

Lines note_of(const PrintkRing& log) {
  const decode::PrintkRingLayout& l = log.layout;
  NoteLinesOfLog note;
  note.symbol("prb", l.prb);
  note.size("printk_ringbuffer", l.printk_ringbuffer.size);
  note.offset("printk_ringbuffer.desc_ring", l.printk_ringbuffer.desc_ring);
  note.offset("printk_ringbuffer.text_data_ring", l.printk_ringbuffer.text_data_ring);
  note.size("prb_desc_ring", l.prb_desc_ring.size);
  note.offset("prb_desc_ring.count_bits", l.prb_desc_ring.count_bits);
  note.offset("prb_desc_ring.descs", l.prb_desc_ring.descs);
  note.offset("prb_desc_ring.infos", l.prb_desc_ring.infos);
  note.offset("prb_desc_ring.head_id", l.prb_desc_ring.head_id);
  note.offset("prb_desc_ring.tail_id", l.prb_desc_ring.tail_id);
  note.size("prb_data_ring", l.prb_data_ring.size);
  note.offset("prb_data_ring.size_bits", l.prb_data_ring.size_bits);
  note.offset("prb_data_ring.data", l.prb_data_ring.data);
  note.size("prb_desc", l.prb_desc.size);
  note.offset("prb_desc.state_var", l.prb_desc.state_var);
  note.offset("prb_desc.text_blk_lpos", l.prb_desc.text_blk_lpos);
  note.size("prb_data_blk_lpos", l.prb_data_blk_lpos.size);
  note.offset("prb_data_blk_lpos.begin", l.prb_data_blk_lpos.begin);
  note.offset("prb_data_blk_lpos.next", l.prb_data_blk_lpos.next);
  note.size("printk_info", l.printk_info.size);
  note.offset("printk_info.seq", l.printk_info.seq);
  note.offset("printk_info.ts_nsec", l.printk_info.ts_nsec);
  note.offset("printk_info.text_len", l.printk_info.text_len);
  note.offset("printk_info.caller_id", l.printk_info.caller_id);
  note.offset("printk_info.dev_info", l.printk_info.dev_info);
  note.size("dev_printk_info", l.dev_printk_info.size);
  note.offset("dev_printk_info.subsystem", l.dev_printk_info.subsystem);
  note.length("printk_info_subsystem", l.dev_printk_info.subsystem_length);
  note.offset("dev_printk_info.device", l.dev_printk_info.device);
  note.length("printk_info_device", l.dev_printk_info.device_length);
  note.offset("atomic_long_t.counter", l.counter);
  if (l.clear) {
    note.symbol("clear_seq", l.clear->clear_seq);
    note.offset("latched_seq.val", *l.clear->latched_val);
  }
  return note.take();
}

Lines note_of(const PrintkRecords& log) {
  const decode::PrintkRecordsLayout& l = log.layout;
  NoteLinesOfLog note;
  note.symbol("log_buf", l.log_buf);
  note.symbol("log_buf_len", l.log_buf_len);
  note.symbol("log_first_idx", l.first_idx);
  note.symbol("log_next_idx", l.next_idx);
  note.symbol("clear_idx", *l.clear_idx);
  note.size("printk_log", l.head.size);
  note.offset("printk_log.ts_nsec", l.head.ts_nsec);
  note.offset("printk_log.len", l.head.len);
  note.offset("printk_log.text_len", l.head.text_len);
  note.offset("printk_log.dict_len", l.head.dict_len);
  return note.take();
}

Lines note_of(const PrintkText& log) {
  const decode::PrintkTextLayout& l = log.layout;
  NoteLinesOfLog note;
  note.symbol("log_buf", l.log_buf);
  note.symbol("log_buf_len", l.log_buf_len);
  note.symbol("log_end", l.log_end);
  note.symbol("logged_chars", l.logged_chars);
  return note.take();
}

void add(PrintkRing& log, const LogMessage& message) {
  if (message.clear) return log.clear();
  log.add(message.text, PrintkRing::finalized, static_cast<uint8_t>(message.level));
}

void add(PrintkRecords& log, const LogMessage& message) {
  if (message.clear) return log.clear();
  log.add(message.text, "", static_cast<uint8_t>(message.level));
}

// Text has no marks: what was cleared is not in logged_chars any more, which no test needs.
void add(PrintkText& log, const LogMessage& message) {
  if (!message.clear) log.add(fmt::format("<{}>[    0.000001] {}\n", message.level, message.text));
}

template <typename Log>
Lines fill(Log log, const std::vector<LogMessage>& messages, PhysicalMemory& memory, uint64_t phys) {
  for (const LogMessage& message : messages) add(log, message);
  memory.write(phys, log.bytes);
  return note_of(log);
}

}  // namespace

void Kernel::place_log() {
  if (!description_.log) return;
  const LogLine& line = *description_.log;
  PrintkShape shape;
  shape.words.order = byte_order();
  shape.info_size = line.info_size;
  shape.count_bits = 7;
  shape.size_bits = 13;
  const uint64_t size = PrintkRing(shape).bytes.size();  // the largest of the three
  const uint64_t phys = line.in_direct_map ? allocate(size) : image_phys(place("log_memory", size, kPage));
  shape.at = VirtAddr{line.in_direct_map ? direct(phys) : symbol("log_memory")};
  switch (line.form) {
    case LogForm::ring:
      log_note_ = fill(PrintkRing(shape), line.messages, memory_, phys);
      break;
    case LogForm::records:
      log_note_ = fill(PrintkRecords(shape), line.messages, memory_, phys);
      break;
    case LogForm::text:
      log_note_ = fill(PrintkText(shape), line.messages, memory_, phys);
      break;
  }
}

}  // namespace kvista::test
