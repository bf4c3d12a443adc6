// For a command that is one file.
#include "disasm/capstone.h"

namespace kvista::disasm {

const Capstone& capstone() {
  static constexpr Capstone kAll{cs_support, cs_open, cs_close,       cs_option,    cs_strerror,
                                 cs_malloc,  cs_free, cs_disasm_iter, cs_insn_group};
  return kAll;
}

}  // namespace kvista::disasm
