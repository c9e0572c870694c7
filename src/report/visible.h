// Text that others wrote, made fit for a terminal: what could move the cursor, change colours or reorder a
// line is taken out, and widths are counted in cells. Thread-safe: no state, no locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pf::report {

/// One line: escape sequences are removed, control characters and line breaks become spaces, bytes that are
/// no UTF-8 and characters that reorder text become U+FFFD.
std::string visible(std::string_view text);
/// The lines of a text, each made visible(); a trailing line break makes no line of its own. Never empty.
std::vector<std::string> visible_lines(std::string_view text);
/// Terminal cells that a visible() text takes: 2 for wide characters, 0 for combining ones.
size_t cells(std::string_view text);
/// Cuts a visible() text to at most `width` cells, ending in `…` where something was cut.
std::string fit(std::string_view text, size_t width);
/// As fit(), but cuts the beginning: names differ at their ends.
std::string fit_end(std::string_view text, size_t width);
/// Appends spaces until `text`, which begins at `from` in `out`, takes `width` cells.
void pad(std::string& out, size_t from, size_t width);
/// `1 instance`, `3 instances`.
std::string count_of(uint64_t count, std::string_view singular, std::string_view plural = {});

/// Decodes the code point at `at` and moves past it; U+FFFD, and one byte further, where the bytes are no
/// UTF-8.
char32_t next_point(std::string_view text, size_t& at);

}  // namespace pf::report
