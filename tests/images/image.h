// A memory image for tests, from its description: see README.md.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "images/elf_builder.h"
#include "images/kernel.h"
#include "images/saved.h"

namespace kvista::test {

class TestImage {
 public:
  /// Throws DescriptionError.
  explicit TestImage(std::string_view description);

  const Kernel& kernel() const { return kernel_; }
  /// VMCOREINFO's text.
  const std::string& note() const { return note_; }
  /// The right value of each fact, in the form in which kvista writes it.
  const std::map<std::string, std::string>& truth() const { return truth_; }
  /// The class of a frame.
  PageRun class_of(uint64_t pfn) const { return test::class_of(kernel_, pfn); }

  /// The memory and what the file says beside it; valid while this object is.
  Saved saved() const;
  /// Writes the image; the parts of a split dump behind the first as PATH.2, PATH.3 ...,
  /// a System.map as PATH.map and a configuration as PATH.config, where they are asked for.
  void write(const std::string& path) const;
  /// Writes the running system's files (/proc/iomem ...) below `root`.
  void write_system(const std::string& root) const;

 private:
  std::vector<ElfNote> cpu_notes() const;
  void write_beside(const std::string& path) const;
  /// A symbol table as text, each address moved by `shift`.
  std::string symbol_text(uint64_t shift, bool hidden = false) const;
  void write_note_to_memory();

  Kernel kernel_;
  std::map<std::string, std::string> truth_;
  std::string note_;
};

}  // namespace kvista::test
