// Goes through all frames of an image, section by section and in parallel, and gives each its class.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/address.h"
#include "kvista/census.h"
#include "kvista/page_class.h"
#include "machine/machine.h"
#include "pages/memory_map.h"
#include "pages/page_rules.h"

namespace kvista::pages {

struct ScanOptions {
  unsigned threads = 1;
  bool find_zeros = true;     ///< read what would be kern_data, and tell the zero pages among it
  bool crash_kernel = false;  ///< the crash kernel's memory, too
  /// Also what no section has, as no_struct_page, as far as the image can hold its bytes.
  bool beyond_sections = false;
};

/// The classes of consecutive frames. Frames that are not in the image have class not_in_image.
struct FrameBlock {
  Pfn first;
  std::span<const ClassByte> classes;
};

/// Whether all bytes are zero.
bool is_zero(std::span<const std::byte> bytes);

class FrameScan {
 public:
  /// Gathers what is needed: rules, memory map, RAM without the crash kernel's. Throws an Error with the
  /// reason.
  FrameScan(machine::Machine& machine, ScanOptions options);

  /// Calls `visit` once for each section that holds memory, from several threads; `worker` is in
  /// [0, options.threads).
  ScanGaps run(const std::function<void(const FrameBlock& block, unsigned worker)>& visit) const;

  /// The classes of the frames of one block, as they are now: `classes` is as long as a section. Safe to use
  /// from several threads.
  void classify(Pfn block, std::span<ClassByte> classes) const;

  /// The memory that is counted, and what was left out of it as the crash kernel's.
  std::span<const PhysRange> memory() const { return memory_; }
  /// How many frames are visited, holes between them included.
  uint64_t visited() const { return blocks_.size() * map_.frames(); }
  /// Gives back the list of what run() visits, which grows with the machine: after this there is no other
  /// run(), and visited(), blocks() and end() have no answer.
  void end_runs() { blocks_ = {}; }
  /// The first frame of each stretch that is visited, in order; each is as long as a section.
  std::span<const Pfn> blocks() const { return blocks_; }
  /// The end of the last frame of memory that is visited.
  Pfn end() const;
  const MemoryMap& memory_map() const { return map_; }
  const PageRules& rules() const { return rules_; }

 private:
  struct Worker;
  void scan_block(Pfn first, Worker& worker) const;
  void classify_section(const Section& section, Worker& worker) const;
  void enter_run(const Section& section, Worker& worker) const;
  void keep_memory(Pfn first, Worker& worker) const;
  void find_zeros(Pfn first, Worker& worker) const;

  const image::MemoryImage& image_;
  machine::AddressSpace space_;
  ScanOptions options_;
  PageRules rules_;
  MemoryMap map_;
  std::vector<PhysRange> memory_;
  std::vector<Pfn> blocks_;
};

}  // namespace kvista::pages
