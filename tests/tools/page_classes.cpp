// page_classes IMAGE OUT: writes one ClassByte (kvista/page_class.h) a frame, from frame 0 on, for the lab's
// comparison with the kernel's own /proc/kpageflags.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "image/open.h"
#include "machine/machine.h"
#include "pages/frame_scan.h"

namespace {

void write_classes(const std::string& image, const std::string& out) {
  kvista::machine::Machine machine(kvista::image::open_image(image), {});
  const kvista::pages::FrameScan scan(machine, {1, true});
  std::vector<kvista::pages::ClassByte> all;
  // Memory without a section is not visited.
  for (const kvista::PhysRange& range : scan.memory()) {
    all.resize(range.start.value >> 12);
    all.resize(range.end().value >> 12, kvista::pages::to_byte(kvista::pages::PageClass::no_struct_page));
  }
  scan.run([&](const kvista::pages::FrameBlock& block, unsigned /*worker*/) {
    all.resize(std::max(all.size(), block.first.value + block.classes.size()));
    std::copy(block.classes.begin(), block.classes.end(),
              all.begin() + static_cast<ptrdiff_t>(block.first.value));
  });
  std::ofstream file(out, std::ios::binary);
  file.write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size()));
  if (!file) throw kvista::AccessError(fmt::format("cannot write {}", out));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: page_classes IMAGE OUT\n");
    return 3;
  }
  try {
    write_classes(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "page_classes: {}\n", error.what());
    return 2;
  }
}
