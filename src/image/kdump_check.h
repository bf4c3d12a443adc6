// The tables of a kdump-compressed file, checked against each other.
#pragma once

#include <vector>

#include "base/file.h"
#include "image/consistency.h"
#include "image/kdump_header.h"
#include "image/kdump_pages.h"

namespace kvista::image {

/// One file of a dump, as it was opened.
struct KdumpFile {
  const File& file;
  const KdumpHeader& header;
  const KdumpPages& pages;  ///< as many as the bitmaps of the dump's first file say
};

/// Checks bitmaps, descriptors, notes and marks. Reads all tables, and no page. What cannot be read is a
/// fault, and no exception.
std::vector<Check> check_kdump(const KdumpFile& part);
/// Whether a further file of a split dump has the same bitmaps as the first one.
Check compare_bitmaps(const KdumpFile& first, const KdumpFile& other);

}  // namespace kvista::image
