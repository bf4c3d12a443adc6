// An image whose file holds memory as it is, in runs: ELF core, LiME.
#pragma once

#include <vector>

#include "base/file.h"
#include "image/extent_map.h"
#include "image/memory_image.h"

namespace kvista::image {

class ExtentImage : public MemoryImage {
 public:
  ReadResult read(PhysAddr address, std::span<std::byte> out) const override;
  View view(PhysAddr address, size_t size, Window& window) const override;
  std::vector<std::byte> read_note(const Note& note, uint64_t limit) const override;
  std::vector<PhysRange> stored() const override;
  void clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const override;

 protected:
  explicit ExtentImage(File file);
  const File& file() const { return file_; }
  /// Takes the places of memory, and sets ram_ from them.
  void set_extents(ExtentMap extents);

 private:
  File file_;
  bool map_;  // parts of the file, instead of reading them
  ExtentMap extents_;
};

/// Bytes that the headers name and the file does not have.
uint64_t count_lost(const ExtentMap& extents);
/// The sentence for that.
std::string describe_lost(uint64_t bytes);

}  // namespace kvista::image
