#include "unwind/trace.h"

namespace kvista::unwind {

const char* describe(Means means) {
  switch (means) {
    case Means::registers:
      return "registers";
    case Means::switched_out:
      return "switched out";
    case Means::orc:
      return "orc";
    case Means::frame_pointer:
      return "frame pointer";
    case Means::link_register:
      return "link register";
    case Means::call_site:
      return "call site";
    case Means::scan:
      return "scan";
  }
  return "";
}

}  // namespace kvista::unwind
