// Parts of the HTML report. Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>

#include "report/book.h"

namespace pf::report {

/// The style and the script of the page, from src/report/page/.
std::string_view page_style();
std::string_view page_script();

/// Text as it stands in an element or in a quoted attribute; made visible() before.
std::string html(std::string_view text);
/// html() of the lines of a text, line breaks kept.
std::string html_lines(std::string_view text);
/// A result as class name: `r-timed_out`.
std::string class_of(InstanceResult result);
/// `12.34%`.
std::string percent(double part, double whole);

/// When what ran, as bars; a bar for each instance, or for many a row for each of those that ran side by
/// side.
void append_timeline(std::string& out, const Book& book, Milliseconds whole);
/// What waits for what; of many instances their sections.
void append_graph_section(std::string& out, const Book& book);
/// What the table is made of: JSON that is safe in a script element.
void append_data(std::string& out, const Book& book);

}  // namespace pf::report
