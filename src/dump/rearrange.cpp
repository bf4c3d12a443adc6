#include "dump/rearrange.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "base/error.h"
#include "dump/output.h"
#include "image/flattened.h"

namespace kvista::dump {
namespace {

using image::FlattenedRecord;

constexpr size_t kStep = size_t{1} << 20;

class Stream {
 public:
  explicit Stream(int fd) : fd_(fd) {}

  // As many bytes as there are; fewer at the end, or at an error, which `why` then tells.
  size_t read(std::span<std::byte> out) {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::read(fd_, &out[done], out.size() - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) why_ = std::strerror(errno);
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    at_ += done;
    return done;
  }

  uint64_t at() const { return at_; }
  std::string cut(std::string_view where) const {
    return why_.empty() ? fmt::format("the flattened stream is cut short at offset {:#x}, {}", at_, where)
                        : fmt::format("the flattened stream cannot be read at offset {:#x}: {}", at_, why_);
  }

 private:
  int fd_;
  uint64_t at_ = 0;
  std::string why_;
};

// Which bytes of the file have been written.
class Written {
 public:
  void add(uint64_t start, uint64_t end) {
    auto next = runs_.upper_bound(start);
    if (next != runs_.begin() && std::prev(next)->second >= start) {
      --next;
      start = next->first;
    }
    while (next != runs_.end() && next->first <= end) {
      end = std::max(end, next->second);
      next = runs_.erase(next);
    }
    runs_.emplace(start, end);
  }

  uint64_t end() const { return runs_.empty() ? 0 : runs_.rbegin()->second; }

  // Writers fill up a block by going on at the next one: what was there on a device must not show.
  void fill_up(Output& output) const {
    uint64_t end = 0;
    for (const auto& [start, run_end] : runs_) {
      const std::vector<std::byte> zeros(std::min(start - end, image::kFlattenedPadding));
      if (start - end < image::kFlattenedPadding) output.write(end, zeros);
      end = run_end;
    }
  }

 private:
  std::map<uint64_t, uint64_t> runs_;  // start and end, disjoint, no two of them touch
};

class Rearranger {
 public:
  Rearranger(Stream& stream, Output& output) : stream_(stream), output_(output) {}

  // The records, behind the header.
  Rearranged run() {
    try {
      result_.failure = copy_records();
      written_.fill_up(output_);
      output_.sync();
    } catch (const OutputFailed& error) {
      result_.failure = error.what();
    }
    result_.size = written_.end();
    return std::move(result_);
  }

 private:
  // Why they end before the end record; empty: they do not.
  std::string copy_records() {
    while (true) {
      std::array<std::byte, image::kFlattenedRecordSize> head{};
      const uint64_t at = stream_.at();
      if (stream_.read(head) != head.size()) return stream_.cut("before its end record");
      const FlattenedRecord record = image::parse_flattened_record(head);
      if (record.kind == FlattenedRecord::Kind::end) return "";
      if (record.kind == FlattenedRecord::Kind::damaged)
        return fmt::format("the flattened stream is damaged at offset {:#x}: what follows there is lost", at);
      if (!copy(record)) return stream_.cut(fmt::format("within the record at offset {:#x}", at));
      ++result_.records;
    }
  }

  bool copy(const FlattenedRecord& record) {
    for (uint64_t done = 0; done < record.size;) {
      const auto part = std::span(buffer_).first(std::min<uint64_t>(buffer_.size(), record.size - done));
      const size_t got = stream_.read(part);
      output_.write(record.start + done, part.first(got));
      if (got != 0) written_.add(record.start + done, record.start + done + got);
      if (got != part.size()) return false;
      done += got;
    }
    return true;
  }

  Stream& stream_;
  Output& output_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kStep);
  Written written_;
  Rearranged result_;
};

void check_header(Stream& stream) {
  std::array<std::byte, image::kFlattenedHeaderSize> header{};
  const auto head = std::span<const std::byte>(header).first(stream.read(header));
  if (!image::looks_flattened(head))
    throw FormatError("standard input: no flattened stream (makedumpfile -F, kvista dump -F)", 0);
  image::check_flattened_header(head, "standard input");
}

}  // namespace

Rearranged rearrange(int input, const std::string& output, bool overwrite) {
  Stream stream(input);
  check_header(stream);  // what is there is not touched for the sake of noise
  const auto file = create_output(output, false, overwrite);
  return Rearranger(stream, *file).run();
}

}  // namespace kvista::dump
