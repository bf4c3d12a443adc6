// process_list [IMAGE...]: the tasks of a kernel, by what it carries in its own memory.
#include <iostream>

#include "kvista/kernel.h"

int main(int argc, char** argv) try {
  const kvista::Kernel kernel({argv + 1, argv + argc});
  const auto [tasks, fault] = kernel.tasks();
  for (const kvista::Value& task : tasks)
    std::cout << task["pid"].number() << ' ' << task["real_parent"]["tgid"].number() << ' '
              << task["comm"].text() << '\n';
  if (!fault.empty()) std::cerr << fault << '\n';
  return fault.empty() ? 0 : 1;
} catch (const kvista::Error& error) {
  std::cerr << error.what() << '\n';
  return static_cast<int>(error.exit_status());
}
