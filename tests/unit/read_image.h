// Reads of an image by both of its ways.
#pragma once

#include <gtest/gtest.h>

#include "image/memory_image.h"
#include "unit/bytes.h"

namespace kvista::test {

/// What is at `address`, and how the read ended: the same whether it is copied or looked at.
inline Bytes read(const image::MemoryImage& image, uint64_t address, size_t size,
                  image::PageState* state = nullptr) {
  Bytes out(size);
  const image::ReadResult result = image.read(PhysAddr{address}, out);
  if (state != nullptr) *state = result.state;
  out.resize(result.done);
  image::Window window;
  const image::View view = image.view(PhysAddr{address}, size, window);
  EXPECT_EQ(view.state, result.state);
  EXPECT_EQ(Bytes(view.bytes.begin(), view.bytes.end()), out);
  return out;
}

}  // namespace kvista::test
