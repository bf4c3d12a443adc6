#include "images/memory.h"

#include <algorithm>

namespace kvista::test {
namespace {

// splitmix64: any state gives good bits, so that pages can be filled in any order.
uint64_t scramble(uint64_t state) {
  state += 0x9e3779b97f4a7c15;
  state = (state ^ state >> 30) * 0xbf58476d1ce4e5b9;
  state = (state ^ state >> 27) * 0x94d049bb133111eb;
  return state ^ state >> 31;
}

}  // namespace

PhysicalMemory::Page& PhysicalMemory::page(uint64_t number) {
  auto& page = pages_[number];
  if (!page) page = std::make_unique<Page>();
  return *page;
}

void PhysicalMemory::write(uint64_t address, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const uint64_t into = address % kPage;
    const auto part = bytes.first(std::min<uint64_t>(bytes.size(), kPage - into));
    std::copy(part.begin(), part.end(), page(address / kPage).begin() + static_cast<ptrdiff_t>(into));
    address += part.size();
    bytes = bytes.subspan(part.size());
  }
}

void PhysicalMemory::write(uint64_t address, std::string_view text) {
  write(address, std::as_bytes(std::span(text)));
}

void PhysicalMemory::put64(uint64_t address, uint64_t value) {
  std::array<std::byte, sizeof value> bytes{};
  store(bytes.data(), value, order_);
  write(address, bytes);
}

void PhysicalMemory::put32(uint64_t address, uint32_t value) {
  std::array<std::byte, sizeof value> bytes{};
  store(bytes.data(), value, order_);
  write(address, bytes);
}

void PhysicalMemory::put8(uint64_t address, uint8_t value) {
  const std::array bytes{std::byte{value}};
  write(address, bytes);
}

void PhysicalMemory::read(uint64_t address, std::span<std::byte> out) const {
  while (!out.empty()) {
    const uint64_t into = address % kPage;
    const auto part = out.first(std::min<uint64_t>(out.size(), kPage - into));
    const auto at = pages_.find(address / kPage);
    if (at == pages_.end())
      std::fill(part.begin(), part.end(), std::byte{0});
    else
      std::copy_n(at->second->begin() + static_cast<ptrdiff_t>(into), part.size(), part.begin());
    address += part.size();
    out = out.subspan(part.size());
  }
}

uint64_t PhysicalMemory::get64(uint64_t address) const {
  std::array<std::byte, sizeof(uint64_t)> bytes{};
  read(address, bytes);
  return load<uint64_t>(bytes.data(), order_);
}

void PhysicalMemory::fill(Range range, Contents contents) {
  for (uint64_t number = range.start / kPage; number < (range.end + kPage - 1) / kPage; ++number) {
    if (contents == Contents::zero) {
      pages_.erase(number);
      continue;
    }
    Page& filled = page(number);
    for (uint64_t into = 0; into < kPage; into += sizeof(uint64_t)) {
      const uint64_t address = number * kPage + into;
      store(&filled.at(into), contents == Contents::random ? scramble(address) : address, order_);
    }
  }
}

void PhysicalMemory::for_each(Range range, const MemoryVisit& visit) const {
  for (auto at = pages_.lower_bound(range.start / kPage); at != pages_.end(); ++at) {
    const uint64_t start = at->first * kPage;
    if (start >= range.end) return;
    const uint64_t from = std::max(start, range.start);
    const uint64_t to = std::min(start + kPage, range.end);
    visit(from, std::span(*at->second).subspan(from - start, to - from));
  }
}

}  // namespace kvista::test
