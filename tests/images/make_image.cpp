// make_image DESCRIPTION OUT [SYSTEM]: builds the memory image that a text describes, and with SYSTEM the
// running system's files below that directory.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "images/image.h"

namespace {

void make_image(const char* description, const char* out, const char* system) {
  const std::ifstream file(description);
  if (!file) throw std::runtime_error(fmt::format("cannot read {}", description));
  std::stringstream text;
  text << file.rdbuf();
  const kvista::test::TestImage image(text.str());
  image.write(out);
  if (system != nullptr) image.write_system(system);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fputs("usage: make_image DESCRIPTION OUT [SYSTEM]\n", stderr);
    return 3;
  }
  try {
    make_image(argv[1], argv[2], argc == 4 ? argv[3] : nullptr);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_image: %s\n", error.what());
    return 2;
  }
}
