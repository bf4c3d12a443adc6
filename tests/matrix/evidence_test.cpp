// Each source of each fact: once the only one, once in agreement with all others, once lying, once lying
// alone.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "matrix/rows.h"
#include "matrix/subject.h"

namespace kvista::test {
namespace {

using machine::Candidate;
using machine::Fact;
using machine::FactId;
using machine::Probe;
using machine::Source;
using machine::Verdict;

constexpr uint16_t kX86 = 62;  // EM_X86_64

std::string describe(const Row& row) {
  return fmt::format("{} from {}", machine::info_of(row.fact).name, machine::describe(row.source));
}

const Probe& probe_of(const Row& row) {
  const auto& probes = machine::probes_of(*machine::architecture_of_elf(kX86)).probes;
  return *std::find_if(probes.begin(), probes.end(), [&](const Probe& probe) {
    return probe.fact == row.fact && probe.source == row.source;
  });
}

// Runs `check` for the rows that `applies` takes, and demands that they are at least `floor`.
template <typename Applies, typename Check>
void for_each_row(const char* situation, size_t floor, Applies applies, Check check) {
  size_t ran = 0;
  for (const Row& row : rows()) {
    if (!applies(row)) continue;
    SCOPED_TRACE(describe(row));
    check(row);
    ++ran;
  }
  fmt::print("matrix: {} of {} (fact, source) pairs ran: {}\n", ran, rows().size(), situation);
  EXPECT_GE(ran, floor);
}

bool any_row(const Row& /*row*/) {
  return true;
}
bool can_lie(const Row& row) {
  return row.alone != LieAlone::impossible;
}
// A guess is wrong without being made to lie, but can be made to be wrong, too.
bool guesses(const Row& row) {
  return !probe_of(row).proves;
}

// All symbol tables are one witness.
size_t count_other_proofs(const Fact& fact, Source source) {
  std::set<Source> others;
  for (const Candidate& c : fact.candidates) {
    const bool same =
        c.source == source || (machine::reads_symbols(c.source) && machine::reads_symbols(source));
    if (c.proves && c.value && !same)
      others.insert(machine::reads_symbols(c.source) ? Source::kallsyms : c.source);
  }
  return others.size();
}

bool has_checks(const Fact& fact) {
  return std::any_of(fact.candidates.begin(), fact.candidates.end(),
                     [](const Candidate& c) { return c.proves && c.verified.value_or(false); });
}

// Who wins where sources contradict each other: what memory confirms, else two against one, else the first in
// rank.
bool truth_wins(const Fact& fact, Source liar) {
  if (has_checks(fact) || count_other_proofs(fact, liar) >= 2) return true;
  const auto first = std::find_if(fact.candidates.begin(), fact.candidates.end(),
                                  [](const Candidate& c) { return c.proves && c.value; });
  return first->source != liar;
}

void expect_warning_with_both(Subject& subject, const Row& row, const std::string& lie,
                              const std::string& other) {
  const auto warnings = subject.machine().warnings();
  const std::string start = std::string(machine::info_of(row.fact).name) + ": ";
  EXPECT_TRUE(std::any_of(warnings.begin(), warnings.end(),
                          [&](const std::string& w) {
                            return w.starts_with(start) && w.find(lie) != std::string::npos &&
                                   w.find(other) != std::string::npos;
                          }))
      << "no warning names " << lie << " and " << other << ":\n"
      << subject.warnings();
}

TEST(EvidenceMatrix, EveryProbeHasARow) {
  std::set<std::pair<FactId, Source>> covered;
  for (const Row& row : rows()) EXPECT_TRUE(covered.emplace(row.fact, row.source).second) << describe(row);
  const auto& probes = machine::probes_of(*machine::architecture_of_elf(kX86)).probes;
  for (const Probe& probe : probes)
    EXPECT_TRUE(covered.contains({probe.fact, probe.source}))
        << machine::info_of(probe.fact).name << " from " << machine::describe(probe.source) << " has no row";
  EXPECT_EQ(covered.size(), probes.size());
}

TEST(EvidenceMatrix, OnlySource) {
  for_each_row("as the only source", 60, any_row, [](const Row& row) {
    Subject subject(std::string(kCommon) + row.base + row.only);
    const Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact));
    const Candidate* own = subject.candidate(row.fact, row.source);
    ASSERT_NE(own, nullptr);
    ASSERT_TRUE(own->value);
    if (guesses(row)) {
      EXPECT_FALSE(fact.value) << "a guess was taken for the truth";
      EXPECT_EQ(own->verdict, Verdict::candidate);
      return;
    }
    EXPECT_EQ(subject.value(row.fact), subject.truth(row.fact));
    EXPECT_EQ(fact.source, row.source);
    EXPECT_EQ(fact.verified, row.verified);
    for (const Candidate& other : fact.candidates) {
      if (!other.proves || other.source == row.source) continue;
      const bool stays = std::count(row.remain.begin(), row.remain.end(), other.source) != 0;
      EXPECT_EQ(other.value.has_value(), stays) << machine::describe(other.source);
      if (!stays) {
        EXPECT_FALSE(other.detail.empty()) << "no reason why there is nothing";
      }
    }
  });
}

TEST(EvidenceMatrix, AllAgree) {
  for_each_row("with all sources in agreement", 60, any_row, [](const Row& row) {
    Subject subject(std::string(kCommon) + row.base);
    const Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact));
    EXPECT_EQ(subject.value(row.fact), subject.truth(row.fact));
    const Candidate* own = subject.candidate(row.fact, row.source);
    ASSERT_NE(own, nullptr);
    ASSERT_TRUE(own->value);
    if (!guesses(row)) {
      EXPECT_EQ(own->verdict, fact.source == row.source ? Verdict::chosen : Verdict::agrees);
    }
    if (count_other_proofs(fact, Source::user) >= 2) {
      EXPECT_TRUE(fact.verified);
    }
    for (const machine::FactInfo& info : subject.machine().facts()) subject.fact(info.id);
    EXPECT_EQ(subject.warnings(), "");
  });
}

// A lie about one fact must not do harm to others, save those that it is about, too.
void expect_no_harm(Subject& subject, const Row& row) {
  for (const machine::FactInfo& info : subject.machine().facts()) {
    if (info.id == row.fact || std::count(row.collateral.begin(), row.collateral.end(), info.id) != 0)
      continue;
    EXPECT_EQ(subject.value(info.id), subject.truth(info.id)) << explain(subject.fact(info.id));
  }
}

TEST(EvidenceMatrix, LiesAmongOthers) {
  for_each_row("lying among others", 45, can_lie, [](const Row& row) {
    Subject subject(std::string(kCommon) + row.base + row.lie);
    const Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact));
    const Candidate* own = subject.candidate(row.fact, row.source);
    ASSERT_NE(own, nullptr);
    ASSERT_TRUE(own->value);
    const std::string lie = shown(*own->value, row.fact);
    const std::string truth = subject.truth(row.fact);
    EXPECT_NE(lie, truth);
    expect_no_harm(subject, row);
    if (row.says != nullptr) {
      EXPECT_EQ(lie, row.says);
    }
    if (count_other_proofs(fact, row.source) == 0) {
      EXPECT_EQ(subject.value(row.fact), lie) << "there is nothing else to believe";
      EXPECT_FALSE(fact.verified);
      return;
    }
    const bool right = truth_wins(fact, row.source);
    EXPECT_EQ(subject.value(row.fact), right ? truth : lie);
    EXPECT_EQ(own->verdict, right ? Verdict::disagrees : Verdict::chosen);
    if (!right) {
      EXPECT_FALSE(fact.verified);
    }
    expect_warning_with_both(subject, row, lie, truth);
  });
}

TEST(EvidenceMatrix, LiesAlone) {
  for_each_row("lying alone", 45, can_lie, [](const Row& row) {
    Subject subject(std::string(kCommon) + row.base + row.only + row.lie);
    const Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact));
    const Candidate* own = subject.candidate(row.fact, row.source);
    ASSERT_NE(own, nullptr);
    ASSERT_TRUE(own->value);
    const std::string lie = shown(*own->value, row.fact);
    if (row.alone == LieAlone::refuted) {
      EXPECT_FALSE(fact.value);
      expect_warning_with_both(subject, row, lie, "refutes");
    } else if (row.alone == LieAlone::believed) {
      EXPECT_EQ(subject.value(row.fact), lie);
      EXPECT_FALSE(fact.verified);
    } else {
      EXPECT_EQ(subject.value(row.fact), subject.truth(row.fact));
      expect_warning_with_both(subject, row, lie, subject.truth(row.fact));
    }
  });
}

TEST(EvidenceMatrix, WrongGuessesChangeNothing) {
  for_each_row("guessing wrong beside proofs", 8, guesses, [](const Row& row) {
    Subject subject(std::string(kCommon) + row.base + row.lie);
    SCOPED_TRACE(explain(subject.fact(row.fact)));
    EXPECT_EQ(subject.value(row.fact), subject.truth(row.fact));
    const Candidate* own = subject.candidate(row.fact, row.source);
    ASSERT_NE(own, nullptr);
    ASSERT_TRUE(own->value);
    EXPECT_EQ(shown(*own->value, row.fact), row.says);
    const bool agrees = row.says == subject.truth(row.fact);
    EXPECT_EQ(own->verdict, agrees ? Verdict::agrees : Verdict::candidate);
    EXPECT_EQ(subject.warnings(), "");
  });
}

// Asking lazily must lead to the same values as asking all.
TEST(EvidenceMatrix, LazyAnswersAreTheSame) {
  for_each_row("asked lazily, lying among others", 45, can_lie, [](const Row& row) {
    const std::string description = std::string(kCommon) + row.base + row.lie;
    Subject all(description);
    Subject lazy(description, {}, false);
    for (const machine::FactInfo& info : all.machine().facts())
      EXPECT_EQ(lazy.value(info.id), all.value(info.id))
          << info.name << "\n"
          << explain(all.fact(info.id)) << explain(lazy.fact(info.id));
  });
}

}  // namespace
}  // namespace kvista::test
