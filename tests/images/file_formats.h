// The same memory in other files than ELF and kdump-compressed ones.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "images/memory.h"
#include "images/sink.h"

namespace kvista::test {

/// A flattened stream: its header, `records` (offset and bytes) and the end mark.
std::vector<std::byte> flattened_bytes(
    const std::vector<std::pair<uint64_t, std::vector<std::byte>>>& records, bool end_mark = true);
/// The file `plain` as a flattened stream: records out of order, and the head of the file written again at
/// the end.
void flatten(const std::string& plain, Sink& sink);
/// LiME's header of a range.
std::vector<std::byte> lime_header(const Range& range);
void write_lime(const MemoryBytes& memory, const std::vector<Range>& ram, Sink& sink);
/// Memory from address 0 on.
void write_raw(const MemoryBytes& memory, const std::vector<Range>& ram, Sink& sink);

}  // namespace kvista::test
