#include "image/memory_image.h"

namespace kvista::image {

const char* describe(PageState state) {
  switch (state) {
    case PageState::present:
      return "present";
    case PageState::zero_elided:
      return "zero (left out of the file)";
    case PageState::excluded:
      return "excluded from the dump";
    case PageState::absent:
      return "absent from the file (excluded or zero, unknown which)";
    case PageState::lost:
      return "lost (the file is cut short)";
    case PageState::unreadable:
      return "unreadable";
    case PageState::beyond:
      return "beyond the image";
  }
  return "unknown";
}

}  // namespace kvista::image
