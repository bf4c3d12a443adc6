// A flattened stream back into the file that it stands for (makedumpfile -R).
#pragma once

#include <cstdint>
#include <string>

namespace kvista::dump {

struct Rearranged {
  uint64_t records = 0;  ///< written whole
  uint64_t size = 0;     ///< of the file
  std::string failure;   ///< why the rest is missing; empty: the stream was whole
};

/// Reads a flattened stream from the file descriptor `input`, up to its end record and no farther, and writes
/// what it holds to `output`: a file that must not exist unless `overwrite` is set, or a device. A stream
/// that is cut or damaged leaves what came before. Throws FormatError where it is no such stream, AccessError
/// as create_output().
Rearranged rearrange(int input, const std::string& output, bool overwrite);

}  // namespace kvista::dump
