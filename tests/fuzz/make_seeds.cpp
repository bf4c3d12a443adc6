// make_seeds TARGET DIRECTORY: writes the target's seeds, each of which the target must accept.
#include <cstdio>
#include <fstream>

#include "fuzz/seeds.h"

namespace {

bool write_seed(const kvista::fuzz::Target& target, const kvista::fuzz::Seed& seed,
                const std::string& directory) {
  if (!target.run(seed.bytes)) {
    std::fprintf(stderr, "seed %s is not valid\n", seed.name.c_str());
    return false;
  }
  std::ofstream file(directory + "/" + seed.name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(seed.bytes.data()),
             static_cast<std::streamsize>(seed.bytes.size()));
  return file.good();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc == 3 ? argv[1] : "";
  for (const kvista::fuzz::Target& target : kvista::fuzz::targets()) {
    if (target.name != name) continue;
    for (const kvista::fuzz::Seed& seed : target.seeds())
      if (!write_seed(target, seed, argv[2])) return 1;
    return 0;
  }
  std::fprintf(stderr, "usage: make_seeds TARGET DIRECTORY\n");
  return 1;
}
