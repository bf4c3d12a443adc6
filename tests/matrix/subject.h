// A machine made from a described image, with all that it needs on disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/image.h"
#include "images/temporary.h"
#include "machine/machine.h"

namespace kvista::test {

class Subject {
 public:
  /// Builds and opens the image; `options` may override facts. All sources are asked unless told otherwise.
  explicit Subject(const std::string& description, machine::Options options = {}, bool explain = true);

  const TestImage& image() const { return image_; }
  machine::Machine& machine() { return *machine_; }
  const machine::Fact& fact(machine::FactId id) { return machine_->fact(id); }
  /// The fact's value as text, "(absent)" where there is none.
  std::string value(machine::FactId id);
  /// What the fact truly is.
  std::string truth(machine::FactId id) const;
  /// What `source` said of the fact, or null.
  const machine::Candidate* candidate(machine::FactId id, machine::Source source);
  /// The warnings, one a line.
  std::string warnings() const;
  std::string file(std::string_view name) const { return directory_.file(name); }

 private:
  TemporaryDirectory directory_;
  TestImage image_;
  std::unique_ptr<machine::Machine> machine_;
};

/// The value as `info` shows it.
std::string shown(const machine::FactValue& value, machine::FactId id);
/// All that was said of a fact, for a failure's message.
std::string explain(const machine::Fact& fact);

}  // namespace kvista::test
