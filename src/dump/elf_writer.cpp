#include "dump/elf_writer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "dump/copy_pages.h"
#include "dump/segment_writer.h"

namespace kvista::dump {
namespace {

using image::PageState;

// Room in the table of what is missing for pages that cannot be read; where it is not enough, the table goes
// behind the pages when these are written.
constexpr uint64_t kRoomForLost = 1024;
constexpr uint64_t kMostSegments = 65533;  // e_phnum, less the notes'

constexpr uint64_t round_up(uint64_t offset, uint64_t to) {
  return (offset + to - 1) / to * to;
}

class ElfWriter {
 public:
  ElfWriter(DumpPlan& plan, const DumpRequest& request)
      : plan_(plan),
        request_(request),
        second_({nullptr, 0, request.memory.bitmap_bytes, plan.again()},
                round_up((plan.end().value + 7) / 8, 8)) {
    const auto& traits = plan.image().traits();
    core_.byte_order = plan.byte_order();
    core_.word_size = traits.word_size;
    core_.machine = plan.elf_machine();
    core_.flags = image::kElfIncomplete;
    result_.level = plan.level();
    result_.page_shift = plan.page_shift();
  }

  DumpResult run() {
    for (const PhysRange& range : plan_.memory())
      result_.frames += pfn_of(range.end(), plan_.page_shift()) - pfn_of(range.start, plan_.page_shift());
    plan_.decide(second_, result_);
    const uint64_t most =
        std::min({request_.max_segments, kMostSegments, std::max<uint64_t>(result_.planned, 1)});
    rule_.emplace(plan_, second_, most);
    lay_out(most);
    result_.most_bytes = layout_.pages_at + result_.planned * plan_.page_size();
    if (request_.dry_run) return std::move(result_);
    output_ = create_output(request_.outputs.front(), request_.flattened, request_.overwrite, request_.limit);
    write_tables();
    try {
      write_pages();
      close();
    } catch (const OutputFailed& error) {
      result_.set_failure(error);
    }
    result_.written = pages_->written();
    result_.zeros = pages_->zeros();
    result_.joined = pages_->joined();
    result_.bytes = end_;
    return std::move(result_);
  }

 private:
  void lay_out(uint64_t segments) {
    const unsigned word = core_.word_size;
    layout_.headers_at = image::elf_header_size(word) + image::program_header_size(word);
    notes_at_ = round_up(layout_.headers_at + segments * image::program_header_size(word), 8);
    if (const auto erased = eraseinfo_of(plan_.image(), request_.erasure.record); !erased.empty())
      eraseinfo_note_ = note_bytes(kEraseinfo, 0, erased, core_.byte_order);
    memory_.reserve(plan_.memory().size());
    for (const PhysRange& range : plan_.memory()) memory_.push_back({range, PageState::present});
    own_.dump_level = plan_.level();
    own_.page_size = plan_.page_size();
    own_.memory = {round_up(notes_at_ + notes_size(), 8), memory_.size() * image::kMissingRangeSize};
    layout_.missing_at = own_.memory.offset + own_.memory.size;
    layout_.missing_room = rule_->holes() + kRoomForLost;
    own_.missing = {layout_.missing_at, 0};
    layout_.pages_at =
        round_up(layout_.missing_at + layout_.missing_room * image::kMissingRangeSize, plan_.page_size());
    layout_.most = segments;
    layout_.at_once = request_.memory.chunk_bytes;
    layout_.page_shift = plan_.page_shift();
    layout_.order = core_.byte_order;
    layout_.word_size = word;
    layout_.direct_map = plan_.identity().direct_map;
    end_ = layout_.pages_at;
  }

  static uint64_t own_note_size() { return note_head_size(image::kOwnNoteName) + image::kOwnNoteSize; }
  uint64_t notes_size() const { return own_note_size() + plan_.notes().size() + eraseinfo_note_.size(); }

  // The header and the note that leads to the tables: both change as pages are written.
  void write_heads(uint64_t segments) {
    std::vector<std::byte> note = note_bytes(image::kOwnNoteName, image::kOwnNoteType,
                                             image::own_note_bytes(own_, core_.byte_order), core_.byte_order);
    output_->write(notes_at_, note);
    output_->write(0, image::elf_header_bytes(core_, static_cast<uint16_t>(1 + segments)));
  }

  void write_tables() {
    write_heads(0);
    output_->write(image::elf_header_size(core_.word_size),
                   image::program_header_bytes({image::kPtNote, notes_at_, 0, 0, notes_size(), notes_size()},
                                               core_.byte_order, core_.word_size));
    plan_.notes().write(*output_, notes_at_ + own_note_size());
    output_->write(notes_at_ + own_note_size() + plan_.notes().size(), eraseinfo_note_);
    output_->write(own_.memory.offset, image::missing_range_bytes(memory_, core_.byte_order));
    pages_.emplace(*output_, *rule_, layout_, [this](uint64_t segments, uint64_t missing) {
      own_.missing.size = missing * image::kMissingRangeSize;
      segments_ = segments;
      write_heads(segments);
    });
  }

  void write_pages() {
    DumpRequest as_they_are = request_;
    as_they_are.codec.reset();
    copy_pages(
        plan_, as_they_are, second_,
        [&](const CopiedChunk& chunk) {
          pages_->add(chunk);
          end_ = pages_->end();
        },
        result_);
    pages_->finish();
    end_ = pages_->end();
  }

  void close() {
    const auto& missing = pages_->missing();
    if (missing.size() > layout_.missing_room) {
      own_.missing = {pages_->end(), missing.size() * image::kMissingRangeSize};
      output_->write(own_.missing.offset, image::missing_range_bytes(missing, core_.byte_order));
      end_ = own_.missing.offset + own_.missing.size;
    }
    output_->sync();
    core_.flags = 0;
    write_heads(segments_);
    output_->end();
    output_->sync();
  }

  DumpPlan& plan_;
  const DumpRequest& request_;
  SecondBitmap second_;
  std::optional<GapRule> rule_;
  image::ElfCore core_;
  image::OwnNote own_;
  std::vector<image::MissingRange> memory_;
  std::vector<std::byte> eraseinfo_note_;
  uint64_t notes_at_ = 0;
  SegmentWriter::Layout layout_;
  std::unique_ptr<Output> output_;
  std::optional<SegmentWriter> pages_;
  uint64_t segments_ = 0;
  uint64_t end_ = 0;
  DumpResult result_;
};

}  // namespace

DumpResult write_elf(DumpPlan& plan, const DumpRequest& request) {
  return ElfWriter(plan, request).run();
}

}  // namespace kvista::dump
