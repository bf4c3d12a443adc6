#include "dump/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bits.h"
#include "base/error.h"
#include "base/parallel.h"
#include "dump/own_pages.h"
#include "dump/protected_memory.h"
#include "dump/unused_map.h"
#include "machine/probes.h"

namespace kvista::dump {
namespace {

using machine::FactId;
using machine::Machine;

// Where no memory map says how long its sections are.
constexpr uint64_t kBlockFrames = 32768;

// The note's text where the image carries no note that says the same.
std::string text_to_add(const kernel::Session& session) {
  const auto notes = session.image().notes();
  const bool carried =
      std::any_of(notes.begin(), notes.end(), [](const auto& note) { return note.name == "VMCOREINFO"; });
  const bool from_user =
      session.with_machine([](Machine& m) { return !m.options().vmcoreinfo_file.empty(); });
  return carried && !from_user ? std::string() : session.note().text();
}

std::optional<uint64_t> live_since(const kernel::Session& session, const DumpRequest& request) {
  return session.image().traits().live ? std::optional(request.timestamp) : std::nullopt;
}

// A copy of /proc/kcore is live memory of another time.
bool is_this_machine(const image::Traits& traits) {
  return traits.live && (traits.path.starts_with("/proc/") || traits.path.starts_with("/dev/"));
}

// Of a kernel that nothing is known of, the smallest: what is held is found in pieces of it.
unsigned page_shift_of_any(Machine& machine) {
  constexpr unsigned kLeastPageShift = 12;
  return machine.number(FactId::page_size) ? pages::page_shift_of(machine) : kLeastPageShift;
}

// Where the direct map has physical address 0: it starts with another one where the kernel has phys_offset.
std::optional<uint64_t> direct_map_of(Machine& machine) {
  auto start = machine.number(FactId::page_offset);
  const auto facts = machine.facts();
  const bool has_offset = std::any_of(facts.begin(), facts.end(), [](const machine::FactInfo& info) {
    return info.id == FactId::phys_offset;
  });
  if (!start || !has_offset) return start;
  const auto offset = machine.number(FactId::phys_offset);
  return offset ? std::optional(*start - *offset) : std::nullopt;
}

// A kdump header has them once more: what is erased in memory does not stand there either.
std::array<std::string, 6> header_fields(const machine::Utsname& uts, const ErasedRanges& erased) {
  std::array<std::string, 6> fields = uts.fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const PhysRange where{uts.at + i * machine::kUtsField, machine::kUtsField};
    if (erased.within(where).empty()) continue;
    std::string& field = fields.at(i);
    field.resize(machine::kUtsField);
    erased.apply(where.start, std::as_writable_bytes(std::span(field)));
    field.resize(std::min(field.find('\0'), machine::kUtsField - 1));
  }
  return fields;
}

}  // namespace

DumpPlan::DumpPlan(const kernel::Session& session, const DumpRequest& request)
    : session_(session),
      request_(request),
      notes_(session.image(), session.byte_order(), text_to_add(session), live_since(session, request)) {
  if (request.every_page)
    plan_all();
  else
    plan_by_class();
}

void DumpPlan::plan_by_class() {
  session_.with_machine([&](Machine& machine) {
    const bool live = image().traits().live;
    scan_.emplace(machine, pages::ScanOptions{request_.threads, false, !live, true});
  });
  page_shift_ = scan_->memory_map().page_shift;
  block_frames_ = scan_->memory_map().frames();
  if (block_frames_ % kWordBits != 0)
    throw Unsupported(
        fmt::format("memory sections have {} page frames: dumps are written of sections of {} or more",
                    block_frames_, kWordBits));
  memory_.assign(scan_->memory().begin(), scan_->memory().end());
  end_ = scan_->end();
  blocks_.reserve(scan_->blocks().size());
  for (const Pfn first : scan_->blocks()) blocks_.push_back({first, 0});
}

void DumpPlan::plan_all() {
  page_shift_ = session_.with_machine(page_shift_of_any);
  block_frames_ = kBlockFrames;
  memory_.assign(image().ram().begin(), image().ram().end());
  for (const PhysRange& range : memory_) {
    const Pfn end = pfn_of(range.end(), page_shift_);
    uint64_t at = pfn_of(range.start, page_shift_).value / kBlockFrames;
    if (!blocks_.empty()) at = std::max(at, blocks_.back().first.value / kBlockFrames + 1);
    for (; at * kBlockFrames < end.value; ++at) blocks_.push_back({Pfn{at * kBlockFrames}, 0});
    end_ = std::max(end_, end);
  }
}

unsigned DumpPlan::level() const {
  return request_.level | image().traits().dump_level.value_or(0);
}

KernelIdentity DumpPlan::identity() const {
  KernelIdentity identity;
  session_.with_machine([&](Machine& machine) {
    identity.phys_base = machine.number(FactId::phys_base).value_or(0);
    identity.direct_map = direct_map_of(machine);
    identity.cpus = notes_.cpus();
    if (identity.cpus == 0) identity.cpus = static_cast<uint32_t>(machine.number(FactId::cpus).value_or(1));
    const auto offset = machine.image_offset();
    if (const auto uts = offset ? machine::read_utsname(machine, *offset) : std::nullopt)
      identity.utsname = header_fields(*uts, request_.erasure.ranges);
  });
  return identity;
}

void DumpPlan::mark_memory(Pfn first, std::span<std::byte> bits) const {
  const Pfn end = std::min(first + bits.size() * 8, end_);
  auto range = std::partition_point(memory_.begin(), memory_.end(), [&](const PhysRange& r) {
    return pfn_of(r.end(), page_shift_) <= first;
  });
  for (; range != memory_.end(); ++range) {
    const Pfn from = std::max(first, pfn_of(range->start, page_shift_));
    const Pfn to = std::min(end, pfn_of(range->end(), page_shift_));
    if (from >= end) break;
    if (from < to) set_bits(bits, from - first, to - first);
  }
}

Block& DumpPlan::block_of(Pfn first) {
  return *std::lower_bound(blocks_.begin(), blocks_.end(), first,
                           [](const Block& block, Pfn pfn) { return block.first < pfn; });
}

void DumpPlan::decide(SecondBitmap& second, DumpResult& result) {
  if (scan_)
    keep_by_class(second, result);
  else
    keep_all(second);
  if (scan_ && request_.leave_out_map) leave_out_map(second, result);
  for (const Block& block : blocks_) result.planned += block.kept;
  std::erase_if(blocks_, [](const Block& block) { return block.kept == 0; });
  second.store();
}

// All that the image holds.
void DumpPlan::keep_memory(Pfn first, std::span<std::byte> kept) const {
  mark_memory(first, kept);
  image().clear_missing(first, page_shift_, kept);
}

void DumpPlan::keep_all(SecondBitmap& second) {
  parallel_for(blocks_.size(), request_.threads, [&](size_t item, unsigned /*worker*/) {
    std::vector<std::byte> kept(block_frames_ / 8);
    Block& block = blocks_[item];
    keep_memory(block.first, kept);
    block.kept = count_bits(kept);
    second.put(block.first.value / 8, kept);
  });
}

// Of a running kernel's memory some is this process itself.
void DumpPlan::leave_out_own(Pfn first, std::span<std::byte> kept, DumpResult& result) const {
  const Pfn end = first + kept.size() * 8;
  auto own = std::lower_bound(own_pages_.begin(), own_pages_.end(), first);
  if (own == own_pages_.end() || *own >= end) return;
  const uint64_t before = count_bits(kept);
  for (; own != own_pages_.end() && *own < end; ++own) clear_bits(kept, *own - first, *own - first + 1);
  const std::lock_guard lock(own_mutex_);
  result.own += before - count_bits(kept);
}

void DumpPlan::leave_out_map(SecondBitmap& second, DumpResult& result) {
  result.map_pages = leave_out_unused_map(session_.space(), scan_->memory_map(), second);
  std::vector<std::byte> kept(block_frames_ / 8);
  for (Block& block : blocks_) {
    second.get(block.first.value / 8, kept);
    block.kept = count_bits(kept);
  }
}

SecondBitmap::Again DumpPlan::again() const {
  // What is left out of the memory map is decided by sections that are elsewhere.
  if (image().traits().live || request_.leave_out_map) return {};
  return [this](uint64_t at, std::span<std::byte> bits) { decide_again(Pfn{at * 8}, bits); };
}

void DumpPlan::decide_again(Pfn first, std::span<std::byte> kept) const {
  std::fill(kept.begin(), kept.end(), std::byte{0});
  const auto block = std::lower_bound(blocks_.begin(), blocks_.end(), first,
                                      [](const Block& one, Pfn pfn) { return one.first < pfn; });
  if (block == blocks_.end() || block->first != first) return;
  if (scan_) {
    std::vector<pages::ClassByte> classes(block_frames_);
    look_again(first, classes, kept);
  } else {
    keep_memory(first, kept);
  }
  if (count_bits(kept) != block->kept)
    throw AccessError(fmt::format(
        "the memory map of the frames from {:#x} on reads differently the second time", first.value));
}

void DumpPlan::look_again(Pfn block, std::span<pages::ClassByte> classes, std::span<std::byte> kept) const {
  PageCounts ignored;
  scan_->classify(block, classes);
  choice_->decide(block, classes, kept, ignored);
}

Stage DumpPlan::stage_of(PhysAddr address, pages::ClassByte byte) const {
  const bool is_kernel_data = pages::class_of(byte) == pages::PageClass::kern_data;
  if (choice_->is_protected(address) || (is_kernel_data && (byte & pages::kFlagSpecial) != 0))
    return Stage::tables;
  return is_kernel_data ? Stage::kernel_data : Stage::rest;
}

void DumpPlan::keep_by_class(SecondBitmap& second, DumpResult& result) {
  choice_.emplace(image(), request_.level, page_shift_, protected_memory(session_, scan_->memory_map()));
  if (is_this_machine(image().traits())) own_pages_ = own_pages();
  std::vector<PageCounts> counts(std::max(1U, request_.threads));
  const auto gaps = scan_->run([&](const pages::FrameBlock& block, unsigned worker) {
    std::vector<std::byte> kept(block.classes.size() / 8);
    choice_->decide(block.first, block.classes, kept, counts.at(worker));
    leave_out_own(block.first, kept, result);
    if (request_.decided) request_.decided(block.first, block.classes, kept, worker);
    block_of(block.first).kept = count_bits(kept);
    second.put(block.first.value / 8, kept);
  });
  scan_->end_runs();
  for (const PageCounts& count : counts) result += count;
  if (gaps.without_struct != 0)
    result.warnings.push_back(fmt::format(
        "the struct pages of {} frames are not in the image: these frames are kept", gaps.without_struct));
}

}  // namespace kvista::dump
