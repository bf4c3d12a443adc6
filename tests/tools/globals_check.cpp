// globals_check IMAGE: of each variable that globals.decl declares and the kernel has, whether a declaration
// fits.
#include <iostream>

#include "image/open.h"
#include "kernel/globals.h"
#include "kernel/session.h"

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: globals_check IMAGE\n";
    return 3;
  }
  const kvista::kernel::Session session(kvista::image::open_image_set({argv[1]}), {});
  std::string last;
  for (const auto& one : kvista::kernel::all_declarations()) {
    const std::string& name = one.declaration.name;
    if (name == last || !session.has_global(name)) continue;
    last = name;
    const kvista::type::Type type = session.own_global(name).type();
    const bool fits = type.kind() != kvista::type::Kind::nothing && type.size() != 0;
    std::cout << (fits ? "fits " : "does not fit ") << name << '\n';
  }
  return 0;
} catch (const kvista::Error& error) {
  std::cerr << error.what() << '\n';
  return static_cast<int>(error.exit_status());
}
