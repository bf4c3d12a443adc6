// What the seeds of the log's target and the target itself have in common.
#pragma once

#include <functional>

#include "fuzz/targets.h"
#include "images/printk_builder.h"

namespace kvista::fuzz {

inline test::PrintkShape shape_of(const PrintkInput& head) {
  return {.words = {(head.flags & PrintkInput::big_endian) != 0 ? ByteOrder::big : ByteOrder::little,
                    (head.flags & PrintkInput::narrow) != 0 ? 4U : 8U}};
}

/// Visits the numbers of a layout, each with its index in PrintkInput::numbers.
using VisitNumber = std::function<void(size_t index, uint64_t& number)>;

inline void exchange(decode::PrintkRingLayout& l, const VisitNumber& visit) {
  size_t index = 0;
  for (uint64_t* number : {&l.printk_ringbuffer.size,
                           &l.printk_ringbuffer.desc_ring,
                           &l.printk_ringbuffer.text_data_ring,
                           &l.prb_desc_ring.size,
                           &l.prb_desc_ring.count_bits,
                           &l.prb_desc_ring.descs,
                           &l.prb_desc_ring.infos,
                           &l.prb_desc_ring.head_id,
                           &l.prb_desc_ring.tail_id,
                           &l.prb_data_ring.size,
                           &l.prb_data_ring.size_bits,
                           &l.prb_data_ring.data,
                           &l.prb_desc.size,
                           &l.prb_desc.state_var,
                           &l.prb_desc.text_blk_lpos,
                           &l.prb_data_blk_lpos.size,
                           &l.prb_data_blk_lpos.begin,
                           &l.prb_data_blk_lpos.next,
                           &l.printk_info.size,
                           &l.printk_info.seq,
                           &l.printk_info.ts_nsec,
                           &l.printk_info.text_len,
                           &l.printk_info.caller_id,
                           &l.printk_info.dev_info,
                           &l.dev_printk_info.size,
                           &l.dev_printk_info.subsystem,
                           &l.dev_printk_info.subsystem_length,
                           &l.dev_printk_info.device,
                           &l.dev_printk_info.device_length})
    visit(index++, *number);
}

inline void exchange(decode::PrintkRecordsLayout& l, const VisitNumber& visit) {
  size_t index = 0;
  for (uint64_t* number : {&l.head.size, &l.head.ts_nsec, &l.head.len, &l.head.text_len, &l.head.dict_len})
    visit(index++, *number);
}

}  // namespace kvista::fuzz
