// What a piece of code says when it refuses something.
#pragma once

#include <string>

#include "base/error.h"

namespace kvista::test {

/// The message of the `Expected` that `act` throws; "no failure" where it throws none.
template <class Expected = Error, class Act>
std::string failure_of(const Act& act) {
  try {
    act();
  } catch (const Expected& error) {
    return error.what();
  }
  return "no failure";
}

}  // namespace kvista::test
