#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "report/html_parts.h"
#include "report/visible.h"

namespace pf::report {
namespace {

constexpr size_t kMostRows = 150;     // instances with a row each
constexpr size_t kMostLanes = 64;     // rows of those that share them
constexpr size_t kMostBars = 20'000;  // in shared rows

struct Bar {
  uint32_t index;
  int64_t begin, end;
};

int64_t end_of(const Story& story, int64_t whole) {
  const int64_t end = story.spans.back().end;
  return end < 0 ? whole : end;
}

std::string title_of(const Book& book, uint32_t index) {
  const Story& story = book.stories[index];
  std::string out = visible(book.address(index)) + ": " + std::string(word_for(story.result));
  if (story.result == InstanceResult::none) out += "not finished";
  if (story.attempts > 1) out += " after " + count_of(story.attempts, "attempt");
  return out + ", " + format_duration(story.duration);
}

void append_bar(std::string& out, const std::string& class_name, int64_t begin, int64_t end, double whole,
                int y, const std::string& title) {
  // Hairlines are kept wide enough to be seen and hit.
  const auto length = std::max(static_cast<double>(end - begin), whole / 500);
  out += "<rect class=\"" + class_name + "\" x=\"" +
         percent(std::min(static_cast<double>(begin), whole - length), whole) + "\" width=\"" +
         percent(length, whole) + "\" y=\"" + std::to_string(y) + "\" height=\"14\" rx=\"2\"><title>" +
         html(title) + "</title></rect>";
}

void append_axis(std::string& out, Milliseconds whole) {
  out +=
      "<div class=\"axis\" aria-hidden=\"true\"><span></span>"
      "<svg width=\"100%\" height=\"18\" focusable=\"false\">";
  for (int quarter = 0; quarter <= 4; ++quarter) {
    const char* anchor = quarter == 0 ? "start" : quarter == 4 ? "end" : "middle";
    const std::string x = std::to_string(quarter * 25) + "%";
    out += "<text x=\"" + x + "\" y=\"13\" text-anchor=\"" + anchor + "\">" +
           format_duration(whole * quarter / 4) + "</text>";
  }
  out += "</svg></div>\n";
}

void append_rows(std::string& out, const Book& book, const std::vector<uint32_t>& ran,
                 Milliseconds whole_ms) {
  const auto whole = static_cast<double>(whole_ms.count());
  out += "<ol class=\"bars\">\n";
  for (uint32_t index : ran) {
    const Story& story = book.stories[index];
    out += "<li><a href=\"#i" + std::to_string(index) + "\" title=\"" + html(title_of(book, index)) + "\">" +
           html(book.address(index)) + "</a><svg width=\"100%\" height=\"18\" role=\"img\" aria-label=\"" +
           html(title_of(book, index)) + "\">";
    const std::string from = percent(static_cast<double>(story.spans.front().begin), whole);
    const std::string to = percent(static_cast<double>(end_of(story, whole_ms.count())), whole);
    out += "<line class=\"wait\" x1=\"" + from + "\" x2=\"" + to + "\" y1=\"9\" y2=\"9\"/>";
    for (size_t i = 0; i < story.spans.size(); ++i) {
      const Span& span = story.spans[i];
      const bool last = i + 1 == story.spans.size();
      const std::string class_name = last ? class_of(story.result) : "r-retried";
      const int64_t end = span.end < 0 ? whole_ms.count() : span.end;
      append_bar(out, class_name, span.begin, end, whole, 2,
                 "attempt " + std::to_string(i + 1) + ", " + format_duration(Milliseconds(end - span.begin)) +
                     (span.failed ? ", failed" : ""));
    }
    out += "</svg></li>\n";
  }
  out += "</ol>\n";
}

// Bars that do not overlap share a row: as many rows as ran side by side.
void append_lanes(std::string& out, const Book& book, const std::vector<uint32_t>& ran,
                  Milliseconds whole_ms) {
  const int64_t whole = std::max<int64_t>(whole_ms.count(), 1);
  std::vector<Bar> bars;
  for (uint32_t index : ran) {
    const Story& story = book.stories[index];
    bars.push_back({index, story.spans.front().begin, end_of(story, whole)});
  }
  std::stable_sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) { return a.begin < b.begin; });
  std::vector<std::vector<Bar>> lanes;
  size_t left_out = 0, drawn = 0;
  for (const Bar& bar : bars) {
    const auto free = std::find_if(lanes.begin(), lanes.end(),
                                   [&](const auto& lane) { return lane.back().end <= bar.begin; });
    if (drawn == kMostBars || (free == lanes.end() && lanes.size() == kMostLanes)) {
      ++left_out;
      continue;
    }
    ++drawn;
    if (free == lanes.end())
      lanes.push_back({bar});
    else
      free->push_back(bar);
  }
  out += "<p class=\"note\">" + std::to_string(ran.size()) +
         " instances ran; those that follow each other share a row.";
  if (left_out > 0) out += ' ' + count_of(left_out, "instance is", "instances are") + " left out here.";
  out += "</p>\n<ol class=\"bars lanes\">\n";
  for (size_t i = 0; i < lanes.size(); ++i) {
    out += "<li><span>row " + std::to_string(i + 1) +
           "</span><svg width=\"100%\" height=\"18\" role=\"img\" aria-label=\"" +
           count_of(lanes[i].size(), "instance") + "\">";
    for (const Bar& bar : lanes[i]) {
      append_bar(out, class_of(book.stories[bar.index].result), bar.begin, bar.end,
                 static_cast<double>(whole), 2, title_of(book, bar.index));
    }
    out += "</svg></li>\n";
  }
  out += "</ol>\n";
}

}  // namespace

std::string class_of(InstanceResult result) { return "r-" + std::string(state::to_text(result)); }

std::string percent(double part, double whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f%%", whole <= 0 ? 0.0 : std::clamp(part / whole * 100, 0.0, 100.0));
  return text;
}

void append_timeline(std::string& out, const Book& book, Milliseconds whole) {
  std::vector<uint32_t> ran;
  for (uint32_t i = 0; i < book.stories.size(); ++i) {
    if (!book.stories[i].spans.empty()) ran.push_back(i);
  }
  out += "<section aria-labelledby=\"h-timeline\"><h2 id=\"h-timeline\">Timeline</h2>\n";
  if (ran.empty()) {
    out += "<p class=\"note\">Nothing ran.</p></section>\n";
    return;
  }
  // A result is told only when it is on disk, which may be after the clock of the run was stopped.
  for (uint32_t index : ran)
    whole = std::max(whole, Milliseconds(end_of(book.stories[index], whole.count())));
  whole = std::max(whole, Milliseconds(1));
  std::stable_sort(ran.begin(), ran.end(), [&](uint32_t a, uint32_t b) {
    return book.stories[a].spans.front().begin < book.stories[b].spans.front().begin;
  });
  if (ran.size() <= kMostRows)
    append_rows(out, book, ran, whole);
  else
    append_lanes(out, book, ran, whole);
  append_axis(out, whole);
  out += "</section>\n";
}

}  // namespace pf::report
