// The same memory in other files than ELF.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "images/kdump_builder.h"
#include "images/memory.h"

namespace kvista::test {

/// A flattened stream: its header, `records` (offset and bytes) and the end mark.
std::vector<std::byte> flattened_bytes(
    const std::vector<std::pair<uint64_t, std::vector<std::byte>>>& records, bool end_mark = true);
/// Writes `file` as it is.
void write_bytes(std::span<const std::byte> file, const std::string& path);
/// `file` as a flattened stream: records out of order, and the head of the file written again at the end.
void write_flattened(std::span<const std::byte> file, const std::string& path);
/// LiME's header of a range.
std::vector<std::byte> lime_header(const Range& range);
void write_lime(const PhysicalMemory& memory, const std::vector<Range>& ram, const std::string& path);
/// Describes a kdump-compressed file, and which frames it holds.
KdumpDescription kdump_of(const PhysicalMemory& memory, const std::vector<Range>& ram,
                          const std::vector<Range>& excluded);
/// Memory from address 0 on.
void write_raw(const PhysicalMemory& memory, const std::vector<Range>& ram, const std::string& path);

}  // namespace kvista::test
