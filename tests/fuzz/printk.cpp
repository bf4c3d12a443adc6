#include <optional>
#include <string_view>

#include "base/cursor.h"
#include "base/error.h"
#include "fuzz/printk_input.h"
#include "fuzz/targets.h"
#include "unit/kallsyms_blob.h"

namespace kvista::fuzz {
namespace {

std::optional<PrintkInput> take_head(Cursor& in) {
  PrintkInput head;
  head.flags = in.u32();
  head.form = in.u32();
  for (uint16_t& number : head.numbers) number = in.u16();
  return in.ok() ? std::optional(head) : std::nullopt;
}

decode::PrintkLog read_log(const PrintkInput& head, const VirtReader& read, const test::PrintkShape& shape) {
  if (head.form == PrintkInput::records) {
    decode::PrintkRecordsLayout layout = test::PrintkRecords(shape).layout;
    exchange(layout, [&](size_t index, uint64_t& number) { number = head.numbers.at(index); });
    return decode::read_printk_records(read, layout);
  }
  if (head.form == PrintkInput::text) return decode::read_printk_text(read, test::PrintkText(shape).layout);
  decode::PrintkRingLayout layout = test::PrintkRing(shape).layout;
  exchange(layout, [&](size_t index, uint64_t& number) { number = head.numbers.at(index); });
  if ((head.flags & PrintkInput::latched) != 0) layout.clear = {shape.start() + test::PrintkRing::kClear, 8};
  return decode::read_printk_ring(read, layout);
}

// No log says what its memory cannot hold.
void check(const decode::PrintkLog& log, const PrintkInput& head, size_t memory) {
  size_t text = 0;
  for (const decode::PrintkRecord& record : log.records) {
    require(!record.level || *record.level < 8, "there are eight levels");
    text += record.text.size();
  }
  require(head.form == PrintkInput::ring || text <= memory, "text is not longer than memory");
  require(log.damaged == 0 || !log.why_damaged.empty(), "what is damaged has a reason");
  require(!log.first_since_clear || *log.first_since_clear <= log.records.size(),
          "the first record since the log was cleared is one of them");
  for (const decode::PrintkRecord& record : log.records)
    require(record.seq.has_value() == (head.form == PrintkInput::ring), "the records of a ring have numbers");
}

}  // namespace

bool printk(Input input) {
  Cursor in(input, ByteOrder::little);
  const auto head = take_head(in);
  if (!head || head->form > PrintkInput::text) return false;
  const Input memory = in.bytes(in.remaining());
  const test::PrintkShape shape = shape_of(*head);
  try {
    const auto log = read_log(*head, test::KallsymsBlob::reader_of(shape.start(), memory), shape);
    check(log, *head, memory.size());
    return !log.records.empty() && log.damaged == 0 && !log.cut;
  } catch (const Error& error) {
    require(!std::string_view(error.what()).empty(), "an error has a message");
    return false;
  }
}

}  // namespace kvista::fuzz
