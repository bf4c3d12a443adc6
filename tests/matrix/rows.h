// The matrix: for each source of each fact, how to make it the only one and how to make it lie.
#pragma once

#include <span>
#include <vector>

#include "kvista/fact.h"

namespace kvista::test {

/// What becomes of a lie that nothing else speaks against.
enum class LieAlone {
  refuted,     ///< memory shows that it is one: the fact is absent, and a warning says so
  believed,    ///< used, but not as verified
  overruled,   ///< a source that cannot be taken away knows better
  impossible,  ///< this source cannot lie
};

struct Row {
  machine::FactId fact;
  machine::Source source;
  const char* base;  ///< an image that has this source, and as many others as there are
  const char* only;  ///< lines that take the other sources away
  const char* lie;   ///< lines that make this source lie
  const char* says;  ///< what it says then; null: anything but the truth
  LieAlone alone;
  bool verified = false;  ///< whether the fact is verified where this is its only source
  /// Sources that cannot be taken away without taking this one, too.
  std::vector<machine::Source> remain = {};
  /// Other facts that the lie is about, too, or that follow from it.
  std::vector<machine::FactId> collateral = {};
};

std::span<const Row> rows();

/// What all images of the matrix have.
extern const char* const kCommon;

}  // namespace kvista::test
