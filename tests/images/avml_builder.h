// Writes AVML dumps of version 2 for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "images/memory.h"
#include "images/sink.h"

namespace kvista::test {

/// A chunk of Snappy's framing format: its head and `body`.
std::vector<std::byte> snappy_chunk(uint8_t type, std::span<const std::byte> body);
/// A chunk with the checksum of `bytes` and these, compressed where that pays.
std::vector<std::byte> snappy_data_chunk(std::span<const std::byte> bytes);
/// A stream: its identifier and chunks of 64 KiB.
std::vector<std::byte> snappy_stream(std::span<const std::byte> bytes);
/// A block of memory from `start` on whose compressed data is `stream`.
std::vector<std::byte> avml_block(uint64_t start, uint64_t size, std::span<const std::byte> stream);
/// Writes memory in blocks of 16 MiB, without those that are all zeros.
void write_avml(const MemoryBytes& memory, const std::vector<Range>& ram, Sink& sink);

}  // namespace kvista::test
