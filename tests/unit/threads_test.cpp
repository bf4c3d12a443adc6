// One kernel that several threads ask at once: each gets what one alone gets.
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "images/image.h"
#include "images/temporary.h"
#include "kvista/kernel.h"

namespace kvista {
namespace {

constexpr const char* kDescription =
    "machine x86_64 levels=4\n"
    "btf\n"
    "task pid=1 comm=init vsz=20M rss=8M\n"
    "task pid=2 comm=kthreadd kernel\n"
    "task pid=300 comm=worker ppid=1 rss=4M\n"
    "module ext4 symbols=ext4_init,ext4_exit types\n"
    "module jbd2 symbols=jbd2_start types\n";

using Question = std::function<std::string(const Kernel&)>;

std::string tasks(const Kernel& kernel) {
  std::string text;
  for (const Value& task : kernel.tasks().items)
    text += task["comm"].text() + " " + std::to_string(task["pid"].number()) + "\n";
  return text;
}
std::string symbols(const Kernel& kernel) {
  std::string text;
  for (const char* name : {"init_task", "ext4_exit", "jbd2_start", "no_such_symbol"})
    for (const symbol::Symbol& one : kernel.symbols(name))
      text += one.name + " " + std::to_string(one.address.value) + one.module + "\n";
  return text + kernel.symbol_at(*kernel["init_task"].address())->symbol.name;
}
std::string types(const Kernel& kernel) {
  return kernel.type("struct ext4_state").declaration() + kernel.type("struct task_struct *").declaration() +
         std::to_string(kernel.type("struct module").find_member("kallsyms")->bit_offset);
}
std::string values(const Kernel& kernel) {
  return kernel.evaluate("init_task.tasks").format() + kernel.evaluate("runqueues:1.curr->comm").format() +
         kernel.evaluate("sizeof(struct jbd2_state)").format();
}
std::string facts(const Kernel& kernel) {
  return kernel.text(machine::FactId::release).value_or("") +
         std::to_string(kernel.number(machine::FactId::page_offset).value_or(0));
}

TEST(Threads, OneKernelServesThemAll) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("vmcore");
  test::TestImage(kDescription).write(path);
  const std::vector<Question> questions = {tasks, symbols, types, values, facts};
  std::vector<std::string> expected;
  for (const Question& question : questions) expected.push_back(question(Kernel({path})));
  EXPECT_EQ(expected[0],
            "swapper/0 0\nswapper/1 0\nswapper/2 0\nswapper/3 0\ninit 1\nkthreadd 2\nworker 300\n");

  constexpr size_t kThreads = 4;
  for (unsigned round = 0; round < 8; ++round) {
    const Kernel kernel({path});
    std::vector<std::vector<std::string>> answers(kThreads, std::vector<std::string>(questions.size()));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        for (size_t k = 0; k < questions.size(); ++k) {
          const size_t which = (k + i) % questions.size();  // each begins with another one
          answers[i][which] = questions[which](kernel);
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (const auto& own : answers) EXPECT_EQ(own, expected);
  }
}

}  // namespace
}  // namespace kvista
