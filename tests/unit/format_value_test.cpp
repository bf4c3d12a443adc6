// How a value becomes lines, and what is left out of one that is too long.
#include "kernel/format_value.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "image/open.h"
#include "images/image.h"
#include "images/temporary.h"
#include "kernel/session.h"

namespace kvista::kernel {
namespace {

class FormatValue : public testing::Test {
 protected:
  FormatValue() {
    const std::string path = directory_.file("vmcore");
    test::TestImage("machine x86_64 levels=4\nbtf\n").write(path);
    session_ = std::make_unique<Session>(image::open_image_set({path}), machine::Options{});
  }

  ValueLines lines(const char* expression, const ValueStyle& style = {}) const {
    return value_lines(*session_, session_->evaluate(expression), style);
  }
  static std::string text(const ValueLines& lines) {
    std::string all;
    for (const ValueLine& line : lines.lines) all += line.text + "\n";
    return all;
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<Session> session_;
};

constexpr const char* kThree = "*(struct list_head (*)[3])&init_uts_ns";

TEST_F(FormatValue, AWholeValueIsNotCut) {
  const ValueLines whole = lines(kThree);
  EXPECT_EQ(whole.lines.size(), 2 + 3 * 4U);
  EXPECT_EQ(whole.cut, 0U);
  EXPECT_EQ(whole.faults, 0U);
  EXPECT_EQ(whole.lines[2].path, "[0].next");
  EXPECT_EQ(whole.lines[2].type, "struct list_head *");
}

TEST_F(FormatValue, ElementsAreCutAndCounted) {
  ValueStyle style;
  style.most_elements = 1;
  const ValueLines cut = lines(kThree, style);
  EXPECT_EQ(cut.lines.size(), 2 + 4 + 1U);
  EXPECT_EQ(cut.cut, 1U);
  EXPECT_NE(text(cut).find("... 3 elements in all\n"), std::string::npos) << text(cut);
  EXPECT_EQ(lines("*(int (*)[3])&init_uts_ns", style).cut, 1U);
  EXPECT_EQ(lines("*(char (*)[8])&init_uts_ns", style).cut, 0U) << "a text is one value";
}

TEST_F(FormatValue, LinesAreCutAtEachLevelAndBracesClosed) {
  for (size_t most = 1; most < 12; ++most) {
    ValueStyle style;
    style.most_lines = most;
    const std::string found = text(lines(kThree, style));
    EXPECT_EQ(std::count(found.begin(), found.end(), '{'), std::count(found.begin(), found.end(), '}'))
        << found;
    EXPECT_NE(found.find(" in all\n"), std::string::npos) << most << ": " << found;
    EXPECT_LE(lines(kThree, style).lines.size(), most + 5);
  }
}

TEST_F(FormatValue, OnlyCharIsAText) {
  EXPECT_EQ(text(lines("*(char (*)[8])&init_uts_ns")), "\"Linux\"\n");
  EXPECT_EQ(text(lines("*(unsigned char (*)[7])&init_uts_ns")), "{76, 105, 110, 117, 120, 0, 0}\n");
  EXPECT_EQ(text(lines("*(signed char (*)[2])&init_uts_ns")), "{76, 105}\n");
  EXPECT_EQ(text(lines("(char)65")), "65 'A'\n");
  EXPECT_EQ(text(lines("(unsigned char)65")), "65\n");
}

}  // namespace
}  // namespace kvista::kernel
