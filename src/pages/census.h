// Counts the frames of an image.
#pragma once

#include "kvista/census.h"
#include "machine/machine.h"

namespace kvista::pages {

/// Counts all frames of the image. Throws an Error where they cannot be told apart at all.
Census take_census(machine::Machine& machine, const CensusOptions& options);

}  // namespace kvista::pages
