// What stands in for the architectures of Capstone that the static command leaves out, so that it does not
// carry their tables (src/CMakeLists.txt says which): to open one of these fails, as where Capstone was built
// without it.
#include <capstone/capstone.h>

extern "C" cs_err kvista_capstone_left_out();

extern "C" cs_err kvista_capstone_left_out() {
  return CS_ERR_ARCH;
}
