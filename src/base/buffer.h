// Large pieces of memory.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvista {

/// So many bytes, all zero, whose pages the system makes at once (MADV_POPULATE_WRITE, since 5.14): a fault
/// for each costs more than what is then read into them, most of all in a virtual machine.
inline std::vector<std::byte> large_buffer(size_t size) {
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  constexpr int kPopulateWrite = 23;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const size_t before = reinterpret_cast<uintptr_t>(bytes.data()) % page;
  // Where it fails, pages are made as they are touched.
  if (size > page) static_cast<void>(madvise(bytes.data() - before, before + size, kPopulateWrite));
  bytes.resize(size);
  return bytes;
}

}  // namespace kvista
