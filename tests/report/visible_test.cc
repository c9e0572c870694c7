#include "report/visible.h"

#include <gtest/gtest.h>

namespace pf::report {
namespace {

TEST(Visible, takes_out_what_drives_a_terminal) {
  EXPECT_EQ(visible("plain text"), "plain text");
  EXPECT_EQ(visible("\x1b[31mred\x1b[0m"), "red");
  EXPECT_EQ(visible("\x1b]0;title\x07"
                    "after"),
            "after");
  EXPECT_EQ(visible("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"), "link");
  EXPECT_EQ(visible("\x1bPq#0\x1b\\sixel"), "sixel");
  EXPECT_EQ(visible("\x1b"
                    "c"
                    "reset"),
            "reset");
  EXPECT_EQ(visible("bell\x07 back\x08 del\x7f"), "bell  back  del ");
  EXPECT_EQ(visible("a\tb\nc\rd"), "a b c d");
  // A C1 control sequence introducer, as UTF-8 and as a bare byte.
  EXPECT_EQ(visible("\xC2\x9B"
                    "31m"),
            "\xEF\xBF\xBD"
            "31m");
  EXPECT_EQ(visible("\x9B"
                    "31m"),
            "\xEF\xBF\xBD"
            "31m");
  EXPECT_EQ(visible("a\xE2\x80\xAE"
                    "b"),
            "a\xEF\xBF\xBD"
            "b");  // right-to-left override
  EXPECT_EQ(visible("größe 水"), "größe 水");
}

TEST(Visible, keeps_what_follows_a_sequence_that_never_ends) {
  EXPECT_EQ(visible("\x1b[12"), "12");
  EXPECT_EQ(visible("\x1b]0;title"), "0;title");
  EXPECT_EQ(visible("end\x1b"), "end");
  EXPECT_EQ(visible("\x1b\x1b[31mx"), "x");
}

TEST(Visible, refuses_malformed_utf8) {
  EXPECT_EQ(visible("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");                  // overlong
  EXPECT_EQ(visible("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // surrogate
  EXPECT_EQ(visible("\xE6\xB0"), "\xEF\xBF\xBD\xEF\xBF\xBD");                  // cut short
}

TEST(Visible, lines) {
  EXPECT_EQ(visible_lines("a\r\nb\n"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(visible_lines(""), (std::vector<std::string>{""}));
  EXPECT_EQ(visible_lines("a\n\nb"), (std::vector<std::string>{"a", "", "b"}));
}

TEST(Visible, widths_count_cells) {
  EXPECT_EQ(cells("abc"), 3U);
  EXPECT_EQ(cells("größe"), 5U);
  EXPECT_EQ(cells("水水"), 4U);
  EXPECT_EQ(cells("e\xCC\x81"), 1U);  // a combining accent
  EXPECT_EQ(fit("abcdef", 6), "abcdef");
  EXPECT_EQ(fit("abcdef", 5), "abcd…");
  EXPECT_EQ(fit("水水水", 5), "水水…");
  EXPECT_EQ(fit("水水水", 4), "水…");
  EXPECT_EQ(fit("abc", 1), "…");
  EXPECT_EQ(fit("abc", 0), "");
  EXPECT_EQ(fit_end("abcdef", 6), "abcdef");
  EXPECT_EQ(fit_end("abcdef", 5), "…cdef");
  EXPECT_EQ(fit_end("水水水", 4), "…水");
  EXPECT_EQ(fit_end("abc", 1), "…");
  EXPECT_EQ(fit_end("abc", 0), "");
  std::string out = "xx水";
  pad(out, 2, 4);
  EXPECT_EQ(out, "xx水  ");
}

TEST(Visible, counts) {
  EXPECT_EQ(count_of(1, "instance"), "1 instance");
  EXPECT_EQ(count_of(2, "instance"), "2 instances");
  EXPECT_EQ(count_of(0, "dependency", "dependencies"), "0 dependencies");
}

}  // namespace
}  // namespace pf::report
