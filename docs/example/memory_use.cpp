// memory_use [IMAGE...]: whose memory an image is, what it was used for, and what the kernel said last.
#include <iostream>
#include <thread>

#include "kvista/kernel.h"

int main(int argc, char** argv) try {
  const kvista::Kernel kernel({argv + 1, argv + argc});
  const auto release = kernel.text(kvista::machine::FactId::release);
  std::cout << kernel.image().path << ": Linux " << release.value_or("(release unknown)") << '\n';

  if (const auto page_offset = kernel.number(kvista::machine::FactId::page_offset))
    std::cout << "the direct map begins at 0x" << std::hex << *page_offset << std::dec << '\n';
  if (const auto name = kernel.note().symbol("init_uts_ns"))
    std::cout << "init_uts_ns begins with " << kernel.read<uint32_t>(kvista::VirtAddr{*name}) << '\n';

  const auto census = kernel.census({.threads = std::thread::hardware_concurrency()});
  for (const auto& info : kvista::pages::class_infos())
    if (const auto pages = census.count(info.page_class); pages != 0)
      std::cout << pages << ' ' << info.description << '\n';

  for (const auto& sentence : kernel.warnings()) std::cerr << sentence << '\n';
  const auto [log, form, unreachable] = kernel.log();
  if (!log.records.empty()) std::cout << log.records.back().text << '\n';
  return 0;
} catch (const kvista::Error& error) {
  std::cerr << error.what() << '\n';
  return static_cast<int>(error.exit_status());
}
