#include "images/file_formats.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "images/byte_writer.h"

namespace kvista::test {
namespace {

using Records = std::vector<std::pair<uint64_t, std::vector<std::byte>>>;

// The file grows to its end only where something is written: what is not is a hole.
class OutFile {
 public:
  explicit OutFile(const std::string& path) : path_(path), file_(path, std::ios::binary) {}
  void write(uint64_t at, std::span<const std::byte> bytes) {
    file_.seekp(static_cast<std::streamoff>(at));
    file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void end(uint64_t size) {
    file_.close();
    std::filesystem::resize_file(path_, size);
  }

 private:
  std::string path_;
  std::ofstream file_;
};

void write_range(OutFile& out, uint64_t at, const PhysicalMemory& memory, const Range& range) {
  memory.for_each(range, [&](uint64_t address, std::span<const std::byte> bytes) {
    out.write(at + address - range.start, bytes);
  });
}

}  // namespace

std::vector<std::byte> flattened_bytes(const Records& records, bool end_mark) {
  ByteWriter out(ByteOrder::big);
  out.text("makedumpfile");
  out.zeros(4);
  out.u64(1);
  out.u64(1);
  out.zeros(4096 - out.size());
  for (const auto& [offset, bytes] : records) {
    out.u64(offset);
    out.u64(bytes.size());
    out.bytes(bytes);
  }
  if (end_mark) {
    out.u64(UINT64_MAX);
    out.u64(UINT64_MAX);
  }
  return out.take();
}

void write_bytes(std::span<const std::byte> file, const std::string& path) {
  OutFile(path).write(0, file);
}

void write_flattened(std::span<const std::byte> file, const std::string& path) {
  constexpr size_t kRecord = 100001;
  constexpr size_t kHead = 64;
  Records records;
  for (size_t at = 0; at < file.size(); at += kRecord) {
    const auto part = file.subspan(at, std::min(kRecord, file.size() - at));
    records.emplace_back(at, std::vector<std::byte>(part.begin(), part.end()));
  }
  for (size_t i = 1; i + 1 < records.size(); i += 2) std::swap(records[i], records[i + 1]);
  const auto head = file.first(std::min(kHead, file.size()));
  std::fill_n(records.front().second.begin(), head.size(), std::byte{0xee});
  records.emplace_back(0, std::vector<std::byte>(head.begin(), head.end()));
  OutFile(path).write(0, flattened_bytes(records));
}

std::vector<std::byte> lime_header(const Range& range) {
  ByteWriter out;
  out.text("EMiL");
  out.u32(1);
  out.u64(range.start);
  out.u64(range.end - 1);
  out.u64(0);
  return out.take();
}

void write_lime(const PhysicalMemory& memory, const std::vector<Range>& ram, const std::string& path) {
  OutFile out(path);
  uint64_t at = 0;
  for (const Range& range : ram) {
    const auto header = lime_header(range);
    out.write(at, header);
    at += header.size();
    write_range(out, at, memory, range);
    at += range.end - range.start;
  }
  out.end(at);
}

KdumpDescription kdump_of(const PhysicalMemory& memory, const std::vector<Range>& ram,
                          const std::vector<Range>& excluded) {
  KdumpDescription kdump;
  for (const Range& range : ram) {
    for (uint64_t at = range.start; at + kPage <= range.end; at += kPage) kdump.memory.insert(at / kPage);
    kdump.max_mapnr = std::max(kdump.max_mapnr, range.end / kPage);
  }
  for (const Range& range : excluded)
    for (uint64_t at = range.start; at < range.end; at += kPage) kdump.excluded.insert(at / kPage);
  kdump.page = [&memory](uint64_t pfn) {
    std::vector<std::byte> page(kPage);
    memory.read(pfn * kPage, page);
    return page;
  };
  return kdump;
}

void write_raw(const PhysicalMemory& memory, const std::vector<Range>& ram, const std::string& path) {
  OutFile out(path);
  uint64_t end = 0;
  for (const Range& range : ram) {
    write_range(out, range.start, memory, range);
    end = std::max(end, range.end);
  }
  out.end(end);
}

}  // namespace kvista::test
