#include "images/s390_dump_builder.h"

#include <algorithm>
#include <string_view>

#include "base/endian.h"

namespace kvista::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr size_t kHeaderSize = 4096;

void put64(Bytes& bytes, size_t at, uint64_t value) {
  store(&bytes.at(at), value, ByteOrder::big);
}
void put32(Bytes& bytes, size_t at, uint32_t value) {
  store(&bytes.at(at), value, ByteOrder::big);
}

// struct df_s390_hdr.
Bytes header_of(const S390Dump& dump) {
  uint64_t end = 0;
  for (const S390Segment& segment : dump.segments) end = std::max(end, segment.start + segment.bytes.size());
  Bytes bytes(kHeaderSize);
  put64(bytes, 0x00, dump.is_extended ? 0xa8190173618f23fe : 0xa8190173618f23fd);
  put32(bytes, 0x08, dump.is_extended ? 1 : 5);  // version
  put32(bytes, 0x0c, kHeaderSize);
  put32(bytes, 0x10, 4);     // dump level
  put32(bytes, 0x14, 4096);  // page size
  put64(bytes, 0x18, end);
  put64(bytes, 0x28, end);
  put32(bytes, 0x30, static_cast<uint32_t>(end / 4096));
  put64(bytes, 0x38, 0xe1d6'7f2f'0000'0000);  // time of the TOD clock
  put32(bytes, 0x48, dump.arch);
  put32(bytes, 0x50, 2);
  put64(bytes, 0x54, end);
  bytes[0x5c] = static_cast<std::byte>(dump.volumes);
  bytes[0x5e] = std::byte{1};  // CPUs, of 2 bytes each: dumped, and real ones
  bytes[0x60] = std::byte{1};
  return bytes;
}

// struct df_s390_dump_segm_hdr.
Bytes segment_header_of(const S390Segment& segment, bool is_last) {
  Bytes bytes(kHeaderSize);
  put64(bytes, 0x00, segment.start);
  put64(bytes, 0x08, segment.bytes.size());
  put64(bytes, 0x10, is_last ? 1 : 0);
  put32(bytes, 0x18, segment.blocks_on_disk);
  return bytes;
}

void append(Bytes& to, const Bytes& bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

std::vector<std::byte> s390_dump_bytes(const S390Dump& dump) {
  Bytes bytes = header_of(dump);
  for (const S390Segment& segment : dump.segments) {
    if (dump.is_extended) append(bytes, segment_header_of(segment, &segment == &dump.segments.back()));
    append(bytes, segment.bytes);
  }
  if (!dump.has_end) return bytes;
  constexpr std::string_view kEnd = "DUMP_END";
  for (const char c : kEnd) bytes.push_back(static_cast<std::byte>(c));
  bytes.resize(bytes.size() + 8, std::byte{0xff});  // the time then
  return bytes;
}

}  // namespace kvista::test
