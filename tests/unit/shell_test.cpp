// The shell's line and its completion: text in, statements or candidates out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/shell_alias.h"
#include "cli/shell_completion.h"
#include "cli/shell_line.h"

namespace kvista::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Statement only(std::string_view line) {
  const auto statements = split_line(line);
  EXPECT_THAT(statements, SizeIs(1)) << line;
  return statements.empty() ? Statement{} : statements.front();
}

TEST(ShellLine, WordsAndQuotes) {
  EXPECT_THAT(only("  ps -G\t1 ").words, ElementsAre("ps", "-G", "1"));
  EXPECT_THAT(only("p 'a; b' \"c \\\" d\" e\\ f").words, ElementsAre("p", "a; b", "c \" d", "e f"));
  EXPECT_THAT(only("p a'b'c").words, ElementsAre("p", "abc"));
  EXPECT_THAT(only("p ''").words, ElementsAre("p", ""));
}

TEST(ShellLine, NothingAndComments) {
  EXPECT_THAT(split_line(""), IsEmpty());
  EXPECT_THAT(split_line(" ;; \r"), IsEmpty());
  EXPECT_THAT(split_line("# ps | 'x"), IsEmpty());
  EXPECT_THAT(only("ps # all").words, ElementsAre("ps"));
  EXPECT_THAT(only("p a#b").words, ElementsAre("p", "a#b"));
}

TEST(ShellLine, SeveralStatements) {
  const auto statements = split_line("ps;bt 1 ; sys");
  ASSERT_THAT(statements, SizeIs(3));
  EXPECT_THAT(statements[1].words, ElementsAre("bt", "1"));
  EXPECT_THAT(only("p (a ; b)").words, ElementsAre("p", "(a ; b)"));
}

TEST(ShellLine, Redirections) {
  const Statement written = only("ps>out -G");
  EXPECT_EQ(written.output, "out");
  EXPECT_FALSE(written.is_appended);
  EXPECT_THAT(written.words, ElementsAre("ps", "-G"));
  EXPECT_TRUE(only("ps >> 'a b'").is_appended);
  EXPECT_EQ(only("ps >> 'a b'").output, "a b");
  EXPECT_EQ(only("< script").input, "script");
  EXPECT_THAT(only("< script").words, IsEmpty());
  EXPECT_EQ(only("rd <places").input, "places");
}

TEST(ShellLine, Pipes) {
  const auto statements = split_line("ps | grep 'a;b' | awk '{print $1}' > out ; sys");
  ASSERT_THAT(statements, SizeIs(2));
  EXPECT_EQ(statements[0].pipe, "grep 'a;b' | awk '{print $1}' > out");
  EXPECT_EQ(statements[0].output, "");
  EXPECT_THAT(statements[1].words, ElementsAre("sys"));
  EXPECT_EQ(only("ps|(cat; cat)").pipe, "(cat; cat)");
}

TEST(ShellLine, OperatorsOfC) {
  EXPECT_THAT(only("p a->b->c").words, ElementsAre("p", "a->b->c"));
  EXPECT_THAT(only("p (a > b || c < d)").words, ElementsAre("p", "(a > b || c < d)"));
  EXPECT_THAT(only("p a[1 >> 2]").words, ElementsAre("p", "a[1 >> 2]"));
  EXPECT_THAT(only("p (c == ';')").words, ElementsAre("p", "(c == ';')"));
}

TEST(ShellLine, HostCommands) {
  EXPECT_EQ(only("!ls | wc; date 'x").host, "ls | wc; date 'x");
  EXPECT_NE(only("!").host, "");
  EXPECT_THAT(only("p !a").words, ElementsAre("p", "!a"));
}

TEST(ShellLine, WhatMakesNoSense) {
  for (const char* line : {"p 'x", R"(p "x\")", "ps >", "ps > ;", "ps |", "| less", "> out", "<",
                           "ps > a | b", "ps | cat 'x", "ps > >"})
    EXPECT_THROW(split_line(line), UsageError) << line;
}

TEST(ShellAlias, StandsForItsWords) {
  Aliases aliases;
  aliases.define({"alias", "tops", "ps", "-G", "|", "head"});
  const auto meant = aliases.expand(only("tops 1"));
  ASSERT_THAT(meant, SizeIs(1));
  EXPECT_THAT(meant[0].words, ElementsAre("ps", "-G", "1"));
  EXPECT_EQ(meant[0].pipe, "head");
  EXPECT_EQ(aliases.expand(only("tops > out"))[0].output, "out");
  EXPECT_EQ(aliases.expand(only("tops > out"))[0].pipe, "");
}

TEST(ShellAlias, ItsOwnNameWithinIsTheCommand) {
  Aliases aliases;
  aliases.define({"alias", "ps", "ps -G"});
  EXPECT_THAT(aliases.expand(only("ps 1"))[0].words, ElementsAre("ps", "-G", "1"));
  aliases.define({"alias", "a", "b"});
  aliases.define({"alias", "b", "a"});
  EXPECT_THAT(aliases.expand(only("a 1"))[0].words, ElementsAre("a", "1"));
}

TEST(ShellAlias, SeveralStatementsAndHostCommands) {
  Aliases aliases;
  aliases.define({"alias", "both", "sys; bt"});
  const auto meant = aliases.expand(only("both -f"));
  ASSERT_THAT(meant, SizeIs(2));
  EXPECT_THAT(meant[1].words, ElementsAre("bt", "-f"));
  aliases.define({"alias", "ll", "!ls -l"});
  EXPECT_EQ(aliases.expand(only("ll a"))[0].host, "ls -l a");
}

TEST(ShellAlias, Errors) {
  Aliases aliases;
  EXPECT_THROW(aliases.define({"alias", "none"}), UsageError);
  EXPECT_THROW(aliases.define({"alias", "x", "'y"}), UsageError);
  EXPECT_THROW(aliases.define({"alias", "x", ""}), UsageError);
  EXPECT_THROW(aliases.remove({"unalias", "none"}), UsageError);
  aliases.remove({"unalias", "log"});
  EXPECT_THAT(aliases.expand(only("log"))[0].words, ElementsAre("log"));
}

// A kernel of few names.
CompletionSource source() {
  const auto of = [](const std::vector<std::string>& names) {
    return [names](const std::string& prefix) {
      std::vector<std::string> found;
      for (const std::string& name : names)
        if (name.starts_with(prefix)) found.push_back(name);
      return found;
    };
  };
  CompletionSource source;
  source.commands = of({"ps", "p", "struct", "sys"});
  source.symbols = of({"init_task", "init_pid_ns", "modules"});
  source.types = of({"task_struct", "task_group", "init_data"});
  source.files = of({"out", "other"});
  source.options = [](const std::string& command, const std::string& prefix) {
    return command == "ps" && std::string("-G").starts_with(prefix) ? std::vector<std::string>{"-G"}
                                                                    : std::vector<std::string>{};
  };
  source.members = [](const std::string& path, bool is_type) -> std::vector<std::string> {
    if (is_type && path == "task_struct") return {"pid", "comm", "se"};
    if (is_type && path == "task_struct.se") return {"vruntime", "load"};
    if (!is_type && path == "init_task") return {"pid", "comm"};
    if (!is_type && path == "init_task.mm") return {"pgd"};
    if (!is_type && path == "runqueues:0") return {"curr"};
    return {};
  };
  return source;
}

std::vector<std::string> at_end(std::string_view line) {
  return complete(line, line.size(), source()).candidates;
}

TEST(ShellCompletion, Commands) {
  EXPECT_THAT(at_end(""), ElementsAre("p", "ps", "struct", "sys"));
  EXPECT_THAT(at_end("  s"), ElementsAre("struct", "sys"));
  EXPECT_THAT(at_end("ps; s"), ElementsAre("struct", "sys"));
  EXPECT_THAT(at_end("repeat p"), ElementsAre("p", "ps"));
  EXPECT_EQ(complete("ps; st", 6, source()).start, 4U);
}

TEST(ShellCompletion, AtTheCursorAndNotTheEnd) {
  EXPECT_THAT(complete("st init_task", 2, source()).candidates, ElementsAre("struct"));
  EXPECT_THAT(complete("p", 99, source()).candidates, ElementsAre("p", "ps"));
}

TEST(ShellCompletion, Options) {
  EXPECT_THAT(at_end("ps -"), ElementsAre("-G"));
  EXPECT_THAT(at_end("ps "), ElementsAre("-G"));
  EXPECT_THAT(at_end("sys -"), IsEmpty());
}

TEST(ShellCompletion, Symbols) {
  EXPECT_THAT(at_end("p init"), ElementsAre("init_pid_ns", "init_task"));
  EXPECT_THAT(at_end("p &(init"), ElementsAre("init_pid_ns", "init_task"));
  EXPECT_THAT(at_end("whatis init"), ElementsAre("init_data", "init_pid_ns", "init_task"));
  EXPECT_THAT(at_end("struct task_struct mod"), ElementsAre("modules"));
  EXPECT_EQ(complete("p 1+init", 8, source()).start, 4U);
}

TEST(ShellCompletion, Types) {
  EXPECT_THAT(at_end("struct task"), ElementsAre("task_group", "task_struct"));
  EXPECT_THAT(at_end("*task_s"), ElementsAre("task_struct"));
}

TEST(ShellCompletion, Members) {
  EXPECT_THAT(at_end("struct task_struct."), ElementsAre("comm", "pid", "se"));
  EXPECT_THAT(at_end("struct task_struct.pid,c"), ElementsAre("comm"));
  EXPECT_THAT(at_end("struct task_struct.pid,se.v"), ElementsAre("vruntime"));
  EXPECT_THAT(at_end("p init_task.c"), ElementsAre("comm"));
  EXPECT_THAT(at_end("p init_task.mm->"), ElementsAre("pgd"));
  EXPECT_THAT(at_end("p (init_task.mm->p"), ElementsAre("pgd"));
  EXPECT_THAT(at_end("p runqueues:0.c"), ElementsAre("curr"));
  EXPECT_THAT(at_end("task -R pid,co"), ElementsAre("comm"));
}

TEST(ShellCompletion, WhatGoesOnWithAMember) {
  EXPECT_TRUE(complete("str", 3, source()).is_whole);
  EXPECT_FALSE(complete("p init_t", 8, source()).is_whole);
  EXPECT_FALSE(complete("struct task_s", 13, source()).is_whole);
}

TEST(ShellCompletion, FilesAndWhatNobodyKnows) {
  EXPECT_THAT(at_end("ps > o"), ElementsAre("other", "out"));
  EXPECT_THAT(at_end("< ou"), ElementsAre("out"));
  EXPECT_THAT(at_end("ps | gr"), IsEmpty());
  EXPECT_THAT(at_end("p nothing.x"), IsEmpty());
}

TEST(ShellCompletion, CommonStart) {
  EXPECT_EQ(common_start({}), "");
  EXPECT_EQ(common_start({"init_task"}), "init_task");
  EXPECT_EQ(common_start({"init_task", "init_pid_ns", "init"}), "init");
  EXPECT_EQ(common_start({"a", "b"}), "");
}

}  // namespace
}  // namespace kvista::cli
