// What has gone wrong before, and what must not go wrong: remapped segments, other layouts, notes that lie.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "image/open.h"
#include "matrix/rows.h"
#include "matrix/subject.h"

namespace kvista::test {
namespace {

using machine::Candidate;
using machine::Fact;
using machine::FactId;
using machine::Options;
using machine::Source;
using machine::Verdict;

constexpr const char* kNoRoot =
    "note omit SYMBOL(init_top_pgt) SYMBOL(swapper_pg_dir)\nsymbols omit init_top_pgt\n";

std::set<std::string> absent_facts(Subject& subject) {
  std::set<std::string> absent;
  for (const machine::FactInfo& info : subject.machine().facts())
    if (!subject.fact(info.id).value) absent.insert(info.name);
  return absent;
}

void expect_truth(Subject& subject, const std::set<std::string>& may_be_absent = {}) {
  for (const machine::FactInfo& info : subject.machine().facts()) {
    if (!subject.fact(info.id).value && may_be_absent.contains(info.name)) continue;
    EXPECT_EQ(subject.value(info.id), subject.truth(info.id)) << explain(subject.fact(info.id));
  }
}

// --- segments ---

// Kernels 4.19 and 4.20 list, behind RAM, one KCORE_REMAP segment per CPU: a page of kernel text as it is
// seen from the CPU's entry area. In 2018 tools took page_offset from the last segment.
TEST(EvidenceTest, RemappedSegmentsBehindRam) {
  for (const char* root : {"", kNoRoot}) {
    Subject subject(
        fmt::format("struct_page layout=4.19\nmachine levels=4\nsegments kcore remap=4\n{}", root));
    const auto segments = subject.machine().image().segments();
    const image::Segment& last = segments.back();
    ASSERT_TRUE(last.vaddr && last.paddr);
    const uint64_t by_position = last.vaddr->value - last.paddr->value;
    EXPECT_NE(fmt::format("{:#x}", by_position), subject.truth(FactId::page_offset))
        << "the last segment misleads";
    const Candidate* by_majority = subject.candidate(FactId::page_offset, Source::segments);
    ASSERT_TRUE(by_majority->value);
    EXPECT_EQ(shown(*by_majority->value, FactId::page_offset), subject.truth(FactId::page_offset));
    EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset));
    EXPECT_EQ(subject.warnings(), "");
  }
}

TEST(EvidenceTest, QemuVirtualAddressesSayNothing) {
  for (const char* vaddr : {"0", "paddr"}) {
    Subject subject(fmt::format("segments qemu vaddr={}\n{}", vaddr, kNoRoot));
    EXPECT_FALSE(subject.candidate(FactId::page_offset, Source::segments)->value);
    EXPECT_FALSE(subject.candidate(FactId::phys_base, Source::segments)->value);
  }
}

// --- kernels ---

// What a dump of QEMU gives where no symbol table is found.
std::set<std::string> facts_of_symbols(std::string_view layout) {
  if (layout == "4.19") return {"vmalloc", "kernel_image", "crashkernel", "build_id"};
  const bool exports_ranges = layout != "5.10" && layout != "6.1";
  return exports_ranges ? std::set<std::string>{"kernel_image", "crashkernel"}
                        : std::set<std::string>{"vmalloc", "kernel_image", "crashkernel"};
}

TEST(EvidenceTest, KernelsOfAllLayouts) {
  size_t ran = 0;
  for (const KernelLayout& layout : layouts()) {
    for (const unsigned levels : {4U, 5U}) {
      for (const char* segments : {"qemu", "vmcore", "kcore"}) {
        SCOPED_TRACE(fmt::format("{} with {} levels as {}", layout.name, levels, segments));
        Subject subject(
            fmt::format("struct_page layout={}\nmachine levels={}\nsegments {}\n"
                        "crashkernel 0x3000000-0x3800000\n",
                        layout.name, levels, segments));
        expect_truth(subject);
        EXPECT_EQ(subject.warnings(), "");
        ++ran;
      }
    }
  }
  fmt::print("layouts: {} kernels\n", ran);
  EXPECT_GE(ran, 36U);
}

TEST(EvidenceTest, KernelsWithoutSymbolTable) {
  for (const KernelLayout& layout : layouts()) {
    SCOPED_TRACE(layout.name);
    Subject subject(fmt::format("struct_page layout={}\nsymbols none\n", layout.name));
    const auto lacks = facts_of_symbols(layout.name);
    expect_truth(subject, lacks);
    EXPECT_EQ(absent_facts(subject), lacks);
    EXPECT_EQ(subject.warnings(), "");
  }
}

// A name that is lost must not shift those behind it: what then is found is right, or absent with a warning.
TEST(EvidenceTest, DamagedSymbolNames) {
  size_t tried = 0;
  size_t noticed = 0;
  for (const char* name : {"6.1", "6.12", "7.2"}) {
    const KernelLayout* layout = find_layout(name);
    ASSERT_NE(layout, nullptr);
    for (unsigned at = 0; at < 36000; at += 1800) {
      SCOPED_TRACE(fmt::format("{} damaged at {}", name, at));
      Subject subject(
          fmt::format("struct_page layout={}\nsymbols extra 3000\nsymbols damage {}\n", name, at));
      expect_truth(subject, facts_of_symbols(layout->name));
      ++tried;
      noticed +=
          subject.warnings().find("symbols are damaged, or not in the image") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_EQ(tried, 60U);
  EXPECT_GE(noticed, 20U) << "the others fell into one long name";
}

// Values that no kernel can hold are no candidates: the other sources decide, or the fact is absent.
TEST(EvidenceTest, AbsurdValuesOfVariables) {
  struct Case {
    FactId fact;
    const char* lie;
    const char* why;
  };
  const std::array cases = {
      Case{FactId::cpus, "__num_online_cpus=0", "no sensible number"},
      Case{FactId::cpus, "__num_online_cpus=0xffffffff", "no sensible number"},
      Case{FactId::crashkernel, "crashk_res=0x1234", "makes no sense"},
      Case{FactId::crashkernel, "crashk_res=0xf000000000000000", "makes no sense"},
      Case{FactId::vmalloc, "vmalloc_base=0x20706f6874786000", "no kernel address"},
      Case{FactId::vmemmap, "vmemmap_base=0x1000", "no kernel address"},
      Case{FactId::direct_map, "max_pfn=0xffffffffffffffff", "absurd"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.lie);
    Subject subject(fmt::format("symbols set {}\n", c.lie));
    const Candidate* candidate = subject.candidate(c.fact, Source::kallsyms);
    ASSERT_NE(candidate, nullptr);
    EXPECT_FALSE(candidate->value) << explain(subject.fact(c.fact));
    EXPECT_NE(candidate->detail.find(c.why), std::string::npos) << candidate->detail;
    expect_truth(subject, {machine::info_of(c.fact).name});
  }
}

TEST(EvidenceTest, WithoutKaslrTheDocumentedConstantsAgree) {
  for (const unsigned levels : {4U, 5U}) {
    const std::string ranges =
        levels == 5 ? "page_offset=0xff11000000000000 vmalloc=0xffa0000000000000 vmemmap=0xffd4000000000000"
                    : "page_offset=0xffff888000000000 vmalloc=0xffffc90000000000 vmemmap=0xffffea0000000000";
    Subject subject(fmt::format("machine levels={} kaslr=0 phys_base=0 {}\n", levels, ranges));
    expect_truth(subject);
    for (const FactId id : {FactId::page_offset, FactId::vmalloc, FactId::vmemmap})
      EXPECT_EQ(subject.candidate(id, Source::documented)->verdict, Verdict::agrees);
    EXPECT_EQ(subject.warnings(), "");
  }
}

TEST(EvidenceTest, MemoryEncryptionMask) {
  for (const unsigned levels : {4U, 5U}) {
    for (const unsigned bit : {47U, 51U}) {
      for (const char* layout : {"4.19", "6.12"}) {
        Subject subject(fmt::format("machine levels={} sme_mask={:#x}\nstruct_page layout={}\n", levels,
                                    uint64_t{1} << bit, layout));
        expect_truth(subject);
        EXPECT_TRUE(subject.fact(FactId::page_offset).verified);
        EXPECT_EQ(subject.warnings(), "");
      }
    }
  }
}

// A mask of bits that no entry has leads every walk to the right place: only other sources can speak against
// it.
TEST(EvidenceTest, MaskThatNoWalkRefutes) {
  Subject subject("note set NUMBER(sme_mask)=140737488355328\n");
  EXPECT_EQ(subject.value(FactId::sme_mask), "0x0") << explain(subject.fact(FactId::sme_mask));
  EXPECT_NE(subject.warnings().find("0x800000000000"), std::string::npos);
}

TEST(EvidenceTest, FormsOfMemSection) {
  for (const char* form : {"value", "pointer", "array"}) {
    SCOPED_TRACE(form);
    Subject subject(fmt::format("struct_page layout=4.19\nmachine levels=4\nmem_section {}\n", form));
    expect_truth(subject);
    const Candidate* page_offset = subject.candidate(FactId::page_offset, Source::mem_section);
    if (std::string_view(form) == "array") {
      EXPECT_FALSE(page_offset->value)
          << "the array is in the kernel image and says nothing of the direct map";
    } else {
      EXPECT_EQ(page_offset->verdict, subject.fact(FactId::page_offset).source == Source::mem_section
                                          ? Verdict::chosen
                                          : Verdict::agrees);
    }
    const Candidate* vmemmap = subject.candidate(FactId::vmemmap, Source::mem_section);
    ASSERT_TRUE(vmemmap->value) << vmemmap->detail;
    EXPECT_EQ(shown(*vmemmap->value, FactId::vmemmap), subject.truth(FactId::vmemmap));
  }
}

TEST(EvidenceTest, EncodingsOfKallsyms) {
  for (const char* encoding : {"place_relative", "base_relative", "base_relative_percpu", "absolute"}) {
    SCOPED_TRACE(encoding);
    Subject subject(fmt::format("symbols encoding {}\nsymbols extra 300\n", encoding));
    const Candidate* candidate = subject.candidate(FactId::page_offset, Source::kallsyms);
    ASSERT_TRUE(candidate->value) << candidate->detail;
    EXPECT_EQ(shown(*candidate->value, FactId::page_offset), subject.truth(FactId::page_offset));
    EXPECT_EQ(subject.value(FactId::kernel_image), subject.truth(FactId::kernel_image));
  }
}

TEST(EvidenceTest, ImageOfAnotherMachine) {
  try {
    Subject subject("machine elf_machine=258\n");
    FAIL() << "loongarch64 memory was taken for x86_64";
  } catch (const Unsupported& error) {
    EXPECT_NE(std::string(error.what()).find("loongarch64"), std::string::npos);
  }
}

// --- lies ---

// Where phys_base is 0 the kernel mapping looks like a direct map: it starts at a multiple of 1 GiB, and for
// the kernel's own memory it walks back.
TEST(EvidenceTest, TextMappingIsNoDirectMap) {
  Subject subject("machine kaslr=0x1000000 phys_base=0\nnote set NUMBER(page_offset_base)=-2147483648\n");
  const Candidate* offered = subject.candidate(FactId::page_offset, Source::note);
  EXPECT_EQ(shown(*offered->value, FactId::page_offset), "0xffffffff80000000");
  EXPECT_EQ(offered->verified, std::optional(false));
  EXPECT_EQ(offered->verdict, Verdict::disagrees);
  EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset));
}

// A page_offset off by a page, by 1 GiB, or of another kernel.
TEST(EvidenceTest, WrongPageOffsetsAreRefuted) {
  for (const char* offset : {"0xff38ad6400001000", "0xff38ad6440000000", "0xff38ad63c0000000",
                             "0xff11000000000000", "0", "0xffffffffc0000000", "0x7fffffffffffffff"}) {
    SCOPED_TRACE(offset);
    Subject subject(fmt::format("note set NUMBER(page_offset_base)={}\n", offset));
    EXPECT_EQ(subject.candidate(FactId::page_offset, Source::note)->verified, std::optional(false));
    EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset));
  }
}

TEST(EvidenceTest, AmbiguousSearch) {
  Subject subject("note omit NUMBER(phys_base)\nmemory second_uts\n");
  EXPECT_FALSE(subject.fact(FactId::phys_base).value);
  EXPECT_NE(subject.candidate(FactId::phys_base, Source::search)->detail.find("ambiguous"),
            std::string::npos);
}

// CPUs run with the tables of processes, of which the kernel's half is the same; or with the user's half.
TEST(EvidenceTest, PageTablesOfCpus) {
  constexpr const char* kOnlyCpus =
      "note omit NUMBER(phys_base) SYMBOL(init_top_pgt) SYMBOL(swapper_pg_dir)\nsymbols omit init_top_pgt\n";
  Subject with_pcid(fmt::format("{}qemu_cpus cr3=0x8000000002200805\n", kOnlyCpus));
  EXPECT_EQ(with_pcid.truth(FactId::root_page_table), "0x2200000");
  EXPECT_EQ(with_pcid.fact(FactId::root_page_table).source, Source::cpu_notes);
  expect_truth(with_pcid);

  // 0x2201000 is where the user's half would be: no kernel is mapped there.
  Subject user_half(fmt::format("{}qemu_cpus cr3=0x2201000\n", kOnlyCpus));
  expect_truth(user_half);

  Subject never_started("qemu_cpus\nqemu_cpus cpu=1 cr0=0x60000010 cr3=0 cr4=0\n");
  expect_truth(never_started);
  EXPECT_EQ(never_started.warnings(), "");
}

TEST(EvidenceTest, CpusThatCannotBeRight) {
  Subject elsewhere("qemu_cpus cr3=0x3000000\n");
  const Candidate* root = elsewhere.candidate(FactId::root_page_table, Source::cpu_notes);
  EXPECT_FALSE(root->value);
  EXPECT_EQ(root->detail, "no CPU's CR3 leads to init_uts_ns with this OSRELEASE");
  expect_truth(elsewhere);

  Subject apart("qemu_cpus\nqemu_cpus cpu=2 cr4=0xef0\n");
  const Candidate* levels = apart.candidate(FactId::page_table_levels, Source::cpu_notes);
  EXPECT_FALSE(levels->value);
  EXPECT_EQ(levels->detail, "ambiguous: CPU 2 says 4, CPU 0 says 5");
  expect_truth(apart);

  Subject off("qemu_cpus cr0=0\n");
  EXPECT_EQ(off.candidate(FactId::phys_base, Source::cpu_notes)->detail,
            "no QEMU note shows a CPU that runs with page tables");
  expect_truth(off);
}

// A release that nothing in memory confirms is no reason to distrust all that two sources agree on.
TEST(EvidenceTest, WrongReleaseLeavesTheRestAlone) {
  for (const char* segments : {"qemu", "vmcore", "kcore"}) {
    SCOPED_TRACE(segments);
    Subject subject(fmt::format("segments {}\nnote set OSRELEASE=5.5.5-liar\n", segments));
    EXPECT_EQ(subject.value(FactId::phys_base), subject.truth(FactId::phys_base));
    EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset));
    subject.fact(FactId::release);
    EXPECT_NE(subject.warnings().find("release: "), std::string::npos) << subject.warnings();
  }
}

// A file on disk that is opened again and again with another note.
class NoteTest : public testing::Test {
 protected:
  NoteTest()
      : image_("segments vmcore\nram 0x0-0x9f000 0x100000-0x3000000\n"), path_(directory_.file("image")) {
    image_.write(path_);
  }

  machine::Machine open_with(std::string_view note, bool explain = true) {
    Options options;
    options.explain = explain;
    options.vmcoreinfo_file = directory_.write("note", note);
    return {image::open_image(path_), options};
  }
  // The image's own note without the line of `key`.
  std::string note_without(const std::string& key) const {
    std::string note;
    for (std::string_view rest = image_.note(); !rest.empty(); rest.remove_prefix(rest.find('\n') + 1))
      if (!rest.starts_with(key + "=")) note += rest.substr(0, rest.find('\n') + 1);
    return note;
  }
  std::string truth(FactId id) const { return image_.truth().at(machine::info_of(id).name); }

  TestImage image_;
  TemporaryDirectory directory_;
  std::string path_;
};

// Absurd numbers must neither crash nor hang anything.
TEST_F(NoteTest, AbsurdNumbers) {
  size_t ran = 0;
  for (const char* key : {"PAGESIZE",
                          "SYMBOL(init_uts_ns)",
                          "OFFSET(uts_namespace.name)",
                          "SYMBOL(swapper_pg_dir)",
                          "SYMBOL(init_top_pgt)",
                          "SYMBOL(_stext)",
                          "NUMBER(VMALLOC_START)",
                          "SYMBOL(vmemmap)",
                          "SYMBOL(mem_section)",
                          "LENGTH(mem_section)",
                          "SIZE(mem_section)",
                          "OFFSET(mem_section.section_mem_map)",
                          "SIZE(page)",
                          "NUMBER(SECTION_SIZE_BITS)",
                          "NUMBER(MAX_PHYSMEM_BITS)",
                          "NUMBER(phys_base)",
                          "NUMBER(pgtable_l5_enabled)",
                          "KERNELOFFSET",
                          "NUMBER(KERNEL_IMAGE_SIZE)",
                          "NUMBER(sme_mask)",
                          "SYMBOL(kallsyms_names)",
                          "SYMBOL(kallsyms_num_syms)",
                          "SYMBOL(kallsyms_token_table)",
                          "SYMBOL(kallsyms_token_index)",
                          "SYMBOL(kallsyms_offsets)",
                          "SYMBOL(kallsyms_relative_base)",
                          "NUMBER(page_offset_base)"}) {
    for (const char* value :
         {"0", "-1", "18446744073709551615", "0xffffffffffffffff", "63", "64", "ffffffff88a00000",
          "-9223372036854775808", "", "x", "9999999999999999999999"}) {
      SCOPED_TRACE(fmt::format("{}={}", key, value));
      auto machine = open_with(fmt::format("{}{}={}\n", note_without(key), key, value));
      for (const machine::FactInfo& info : machine.facts()) machine.fact(info.id);
      EXPECT_TRUE(machine.fact(FactId::arch).value);
      for (const std::string& warning : machine.warnings()) EXPECT_FALSE(warning.empty());
      ++ran;
    }
  }
  fmt::print("notes with absurd numbers: {}\n", ran);
  EXPECT_GE(ran, 290U);
}

// A note that is cut anywhere gives what it has: no fact may be wrong, it can only be missing.
TEST_F(NoteTest, CutAnywhere) {
  size_t ran = 0;
  for (size_t size = 60; size < image_.note().size(); size += 61) {
    SCOPED_TRACE(size);
    auto machine = open_with(image_.note().substr(0, size), false);
    for (const machine::FactInfo& info : machine.facts()) {
      const Fact& fact = machine.fact(info.id);
      if (!fact.value) continue;
      EXPECT_EQ(*fact.value, machine::parse(image_.truth().at(info.name), info.form)) << explain(fact);
    }
    ++ran;
  }
  EXPECT_GE(ran, 30U);
}

TEST_F(NoteTest, FromFile) {
  auto machine = open_with(image_.note());
  EXPECT_EQ(machine.note_source(), "user");
  for (const machine::FactInfo& info : machine.facts()) {
    const Fact& fact = machine.fact(info.id);
    ASSERT_TRUE(fact.value) << info.name;
    EXPECT_EQ(*fact.value, machine::parse(image_.truth().at(info.name), info.form));
    for (const Candidate& candidate : fact.candidates) EXPECT_NE(candidate.source, Source::note);
  }
  EXPECT_EQ(machine.fact(FactId::phys_base).source, Source::user);
  EXPECT_EQ(machine.fact(FactId::release).source, Source::user);
  EXPECT_EQ(machine.warnings(), std::vector<std::string>{});
}

// The note of another boot of the same kernel: what memory can refute is refuted, and it is said.
TEST_F(NoteTest, FromFileOfAnotherBoot) {
  const TestImage other("machine kaslr=0x2200000\nsegments vmcore\n");
  auto machine = open_with(other.note());
  for (const machine::FactInfo& info : machine.facts()) machine.fact(info.id);
  EXPECT_FALSE(machine.warnings().empty());
  EXPECT_NE(machine.fact(FactId::page_offset).verified, true) << explain(machine.fact(FactId::page_offset));
}

TEST_F(NoteTest, FileThatIsNoNote) {
  EXPECT_THROW(open_with("\x7f"
                         "ELF\n\n"),
               FormatError);
  EXPECT_THROW(open_with(""), FormatError);
  Options options;
  options.vmcoreinfo_file = directory_.file("missing");
  EXPECT_THROW(machine::Machine(image::open_image(path_), options), AccessError);
}

TEST(EvidenceTest, GarbageBuildId) {
  Subject subject("segments kcore\nnote set BUILD-ID=0000000000000000000000000000000000000000\n");
  EXPECT_EQ(subject.value(FactId::build_id), subject.truth(FactId::build_id));
  EXPECT_FALSE(subject.candidate(FactId::build_id, Source::note)->value);
}

// --- where the note is ---

TEST(EvidenceTest, NoteBehindSysfs) {
  Subject subject("segments kcore\nnote place memory\n");
  EXPECT_TRUE(subject.machine().note_source().ends_with("/sys/kernel/vmcoreinfo"))
      << subject.machine().note_source();
  expect_truth(subject);
  EXPECT_EQ(subject.warnings(), "");
}

TEST(EvidenceTest, NoNoteAnywhere) {
  for (const char* lines :
       {"segments qemu\nnote place none\n", "segments kcore\nnote place none\n",
        "segments kcore\nnote place memory\nsystem set vmcoreinfo=0 1000\n",
        "segments kcore\nnote place memory\nsystem set vmcoreinfo=fffffffffffff000 1000\n",
        "segments kcore\nnote place memory\nsystem set vmcoreinfo=garbage\n",
        "segments kcore\nnote place memory\nsystem omit vmcoreinfo\n"}) {
    SCOPED_TRACE(lines);
    Subject subject(lines);
    EXPECT_EQ(subject.machine().note_source(), "");
    EXPECT_EQ(subject.value(FactId::arch), "x86_64");
    for (const machine::FactInfo& info : subject.machine().facts()) subject.fact(info.id);
    EXPECT_THROW(subject.machine().kernel_space(), NotFound);
  }
}

// --- what the user says ---

TEST(EvidenceTest, UserOverridesMemory) {
  Options options;
  options.overrides[FactId::page_offset] = uint64_t{0xff11000000000000};
  options.overrides[FactId::release] = std::string("5.5.5-user");
  for (const bool explained : {true, false}) {
    Subject subject(kCommon, options, explained);
    const Fact& fact = subject.fact(FactId::page_offset);
    EXPECT_EQ(subject.value(FactId::page_offset), "0xff11000000000000");
    EXPECT_EQ(fact.source, Source::user);
    EXPECT_FALSE(fact.verified);
    EXPECT_EQ(fact.candidates.front().verified, std::optional(false))
        << "memory contradicts, and that is shown";
    EXPECT_EQ(subject.fact(FactId::release).source, Source::user);
    const std::string warnings = subject.warnings();
    EXPECT_NE(warnings.find("0xff11000000000000"), std::string::npos) << warnings;
    EXPECT_NE(warnings.find(subject.truth(FactId::page_offset)), std::string::npos) << warnings;
    EXPECT_NE(warnings.find("5.5.5-user"), std::string::npos) << warnings;
  }
}

TEST(EvidenceTest, UserAgreesWithMemory) {
  Options options;
  options.overrides[FactId::page_offset] = uint64_t{0xff38ad6400000000};
  Subject subject(kCommon, options);
  EXPECT_EQ(subject.fact(FactId::page_offset).source, Source::user);
  EXPECT_TRUE(subject.fact(FactId::page_offset).verified);
  subject.fact(FactId::release);
  EXPECT_EQ(subject.warnings(), "");
}

TEST(EvidenceTest, UserGivesWhatNothingElseDoes) {
  Options options;
  options.overrides[FactId::phys_base] = uint64_t{0xfffffffff9600000};
  Subject subject("note omit NUMBER(phys_base)\nmemory second_uts\n", options);
  expect_truth(subject);
  EXPECT_EQ(subject.fact(FactId::phys_base).source, Source::user);
}

// --- damaged page tables ---

TEST(EvidenceTest, LoopsEnd) {
  for (const char* loop : {"loop 0xff00000000000000 level=4\n", "loop 0xff00000000000000 level=3\n",
                           "loop 0xff50000000000000 level=4\n", "loop 0xff38ad6480000000 level=2\n",
                           "loop 0xff38ad6480000000 level=5\n", "loop 0xffffffffa0000000 level=3\n"}) {
    SCOPED_TRACE(loop);
    const auto start = std::chrono::steady_clock::now();
    Subject subject(std::string(kCommon) + loop);
    EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset))
        << explain(subject.fact(FactId::page_offset));
    for (const machine::FactInfo& info : subject.machine().facts()) subject.fact(info.id);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
}

// The tables of the direct map are not in the image (a file cut short): that refutes nothing.
TEST(EvidenceTest, MissingTablesRefuteNothing) {
  Subject subject(std::string(kCommon) + "missing 0xff38ad6400000000 level=3\n");
  EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset))
      << explain(subject.fact(FactId::page_offset));
  const Candidate* noted = subject.candidate(FactId::page_offset, Source::note);
  EXPECT_EQ(noted->verified, std::nullopt) << "it can neither be confirmed nor refuted";
}

TEST(EvidenceTest, MissingTablesOfTheMemoryMapRefuteNothing) {
  Subject subject(std::string(kCommon) + "missing 0xffa4cb1280000000 level=3\n");
  EXPECT_EQ(subject.value(FactId::vmemmap), subject.truth(FactId::vmemmap))
      << explain(subject.fact(FactId::vmemmap));
}

TEST(EvidenceTest, PartOfTheDirectMapMissing) {
  // The first 2 MiB are mapped by a table that is gone.
  Subject subject(std::string(kCommon) + "missing 0xff38ad6400000000 level=2\n");
  expect_truth(subject);
}

// What is below the direct map hides it from a descent to the first mapping, but not from the others.
TEST(EvidenceTest, SomethingBelowTheDirectMap) {
  Subject subject("map 0xff10000000005000 0x5000\n");
  EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset));
  EXPECT_EQ(subject.candidate(FactId::page_offset, Source::page_tables)->verdict, Verdict::disagrees);
}

// A file that is cut at any place: facts are right or missing, and nothing throws but an Error.
TEST(EvidenceTest, FilesCutAnywhere) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("image");
  const TestImage whole("segments vmcore\nram 0x0-0x9f000 0x100000-0x3000000\n");
  whole.write(path);
  const uint64_t size = std::filesystem::file_size(path);
  size_t opened = 0;
  for (uint64_t cut = 1; cut < 60; ++cut) {
    SCOPED_TRACE(cut);
    const uint64_t left = size - size / 60 * cut;
    std::filesystem::resize_file(path, left);
    machine::Machine machine(image::open_image(path), {});
    ++opened;
    for (const machine::FactInfo& info : machine.facts()) {
      const Fact& fact = machine.fact(info.id);
      if (!fact.value || info.id == FactId::direct_map) continue;
      EXPECT_EQ(*fact.value, machine::parse(whole.truth().at(info.name), info.form)) << explain(fact);
    }
    // The note and the segments are at the front: they say it whatever of memory is lost.
    EXPECT_TRUE(machine.fact(FactId::page_offset).value) << explain(machine.fact(FactId::page_offset));
    EXPECT_FALSE(machine.warnings().empty());
  }
  EXPECT_EQ(opened, 59U);
}

}  // namespace
}  // namespace kvista::test
