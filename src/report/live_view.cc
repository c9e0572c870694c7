#include "report/live_view.h"

#include <algorithm>

#include "base/text.h"
#include "report/messages.h"
#include "report/visible.h"

namespace pf::report {
namespace {

constexpr size_t kBar = 20;
constexpr size_t kMostFailures = 5;
constexpr size_t kKeyRows = 10;  // terminals with fewer rows show no line of keys

constexpr std::string_view kHelp[] = {
    "l            show or hide the log of an instance",
    "j k, arrows  select an instance",
    "Esc          select none: the newest is looked at",
    "q            leave the view, not the run",
    "?            show or hide this",
    "Ctrl-C       stop the run",
};

// Whole seconds: tenths would only flicker.
std::string elapsed(SteadyTime::duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  return seconds < 60 ? std::to_string(std::max<int64_t>(seconds, 0)) + "s"
                      : format_duration(Milliseconds(seconds * 1000));
}

// How many rows each part of the view may take.
struct Plan {
  size_t running = 0, failures = 0, log = 0;
  bool footer = false;
};

Plan plan(const View& view, Size size) {
  // One row is the header's and one stays for the cursor; some stay for what scrolls above, unless the user
  // wants to look at a log.
  size_t room = size.rows <= 8 ? std::max<size_t>(size.rows, 4) - 3 : size.rows * 2 / 3;
  if (view.log && size.rows > 8) room = size.rows - 3;
  Plan out;
  out.footer = view.keys && size.rows >= kKeyRows;
  if (out.footer) --room;
  out.failures = std::min({view.tally->failures().size(), kMostFailures, std::max<size_t>(room / 3, 1)});
  if (room <= 2) out.failures = 0;
  room -= out.failures;
  if (view.log) out.log = std::min(room, std::max<size_t>(room / 2, 2));
  out.running = room - out.log;
  return out;
}

Row header(const View& view, SteadyTime now, size_t width) {
  const Tally& tally = *view.tally;
  const uint32_t total = tally.total();
  struct Piece {
    std::string text;
    Style style = Style::plain;
  };
  std::vector<Piece> pieces;
  pieces.push_back({std::to_string(tally.done()) + "/" + std::to_string(total) + " done", Style::bold});
  const auto count = [&](size_t of, const char* what, Style style) {
    if (of == 0) return;
    pieces.push_back({", "});
    pieces.push_back({std::to_string(of) + what, style});
  };
  const Counts& counts = tally.counts();
  count(counts.failed(), " failed", Style::red);
  count(counts[InstanceResult::blocked], " blocked", Style::yellow);
  count(counts[InstanceResult::cached], " cached", Style::plain);
  size_t backing_off = 0;
  for (const Running& running : tally.running()) backing_off += running.retry_at > now ? 1 : 0;
  pieces.push_back({", " + std::to_string(tally.running().size() - backing_off) + " running"});
  count(backing_off, " waiting to retry", Style::yellow);
  pieces.push_back({"  " + elapsed(now - tally.since())});
  if (view.left && view.left->count() > 0)
    pieces.push_back({", about " + elapsed(*view.left + Milliseconds(999)) + " left"});
  size_t needed = kBar + 3;
  for (const Piece& piece : pieces) needed += cells(piece.text);
  Row row(width, view.color);
  // What it counts matters more than the bar.
  if (needed <= width && width >= 60 && total > 0) {
    const size_t filled = kBar * std::min(tally.done(), total) / total;
    std::string bar = "[" + std::string(filled, '=');
    if (filled < kBar) bar += '>' + std::string(kBar - filled - 1, ' ');
    row.add(bar + "] ");
  }
  for (const Piece& piece : pieces) row.add(piece.text, piece.style);
  row.add("  ").add(tally.pipeline(), Style::dim);
  return row;
}

Row running_row(const View& view, const Running& running, SteadyTime now, size_t widest, size_t width) {
  Row row(width, view.color);
  const bool selected = view.selected == static_cast<int64_t>(running.index);
  row.add(selected ? "> " : "  ", selected ? Style::bold : Style::plain)
      .add_padded(fit_end(visible(view.tally->address(running.index)), widest), widest,
                  selected ? Style::bold : Style::plain)
      .add("  ");
  row.add_padded(elapsed(now - running.since), 6, Style::dim);
  if (running.retry_at > now) {
    row.add("  next attempt in " + elapsed(running.retry_at - now + std::chrono::milliseconds(999)),
            Style::yellow);
  } else if (running.attempt > 1) {
    row.add("  attempt " + std::to_string(running.attempt), Style::yellow);
  }
  if (!running.progress.empty()) row.add("  " + running.progress);
  return row;
}

void add_running(std::vector<Row>& rows, const View& view, SteadyTime now, size_t room, size_t width) {
  const auto running = in_view_order(*view.tally, now);
  size_t shown = running.size() <= room ? running.size() : room > 0 ? room - 1 : 0;
  size_t first = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    // The selected one is always in sight.
    if (static_cast<int64_t>(running[i]->index) == view.selected && i >= shown && shown > 0)
      first = i - shown + 1;
  }
  size_t widest = 0;
  for (size_t i = first; i < first + shown; ++i)
    widest = std::max(widest, cells(visible(view.tally->address(running[i]->index))));
  widest = std::min(widest, std::max<size_t>(width / 2, 12));
  for (size_t i = first; i < first + shown; ++i)
    rows.push_back(running_row(view, *running[i], now, widest, width));
  if (shown < running.size() && room > 0) {
    Row more(width, view.color);
    more.add("  … and " + std::to_string(running.size() - shown) + " more", Style::dim);
    rows.push_back(std::move(more));
  }
}

void add_failures(std::vector<Row>& rows, const View& view, size_t count, size_t width) {
  const auto& failures = view.tally->failures();
  for (size_t i = failures.size() - count; i < failures.size(); ++i) {
    const Failure& failure = failures[i];
    Row row(width, view.color);
    row.add(word_for(failure.result), Style::red)
        .add(' ' + failure.address + ' ' + effort(failure.attempts, failure.duration) + ": " +
             visible(failure.error.message));
    rows.push_back(std::move(row));
  }
}

void add_log(std::vector<Row>& rows, const View& view, size_t room, size_t width) {
  if (room == 0) return;
  const int64_t instance = looked_at(view);
  Row title(width, view.color);
  const std::string name = instance < 0
                               ? "nothing runs"
                               : "log of " + visible(view.tally->address(static_cast<uint32_t>(instance)));
  title.add("── " + name + " ", Style::bold);
  std::string line;
  for (size_t i = 0; i < title.left() && i < 60; ++i) line += "─";
  title.add(line, Style::dim);
  rows.push_back(std::move(title));
  if (view.tail == nullptr || view.tail->empty()) {
    if (room < 2) return;
    Row none(width, view.color);
    none.add("  nothing was logged yet", Style::dim);
    rows.push_back(std::move(none));
    return;
  }
  const size_t count = std::min(room - 1, view.tail->size());
  for (size_t i = view.tail->size() - count; i < view.tail->size(); ++i) {
    Row row(width, view.color);
    row.add("  ").add((*view.tail)[i]);
    rows.push_back(std::move(row));
  }
}

}  // namespace

Row& Row::add(std::string_view text, Style style) {
  if (left_ == 0) return *this;
  const std::string piece = fit(text, left_);
  left_ -= cells(piece);
  paint(text_, color_, style, piece);
  return *this;
}

Row& Row::add_padded(std::string_view text, size_t width, Style style) {
  std::string piece = fit(text, width);
  pad(piece, 0, width);
  return add(piece, style);
}

std::vector<const Running*> in_view_order(const Tally& tally, SteadyTime now) {
  std::vector<const Running*> out;
  out.reserve(tally.running().size());
  for (const Running& running : tally.running()) {
    if (running.retry_at <= now) out.push_back(&running);
  }
  for (const Running& running : tally.running()) {
    if (running.retry_at > now) out.push_back(&running);
  }
  return out;
}

int64_t looked_at(const View& view) {
  if (view.selected >= 0) return view.selected;
  const auto& running = view.tally->running();
  return running.empty() ? -1 : running.back().index;
}

size_t failures_in_view(const View& view, Size size) { return plan(view, size).failures; }

void append_failure_line(std::string& out, const Failure& failure, bool color) {
  paint(out, color, Style::red, word_for(failure.result));
  out += ' ' + failure.address + ' ' + effort(failure.attempts, failure.duration) + ": " +
         visible(failure.error.message) + '\n';
}

std::vector<Row> draw(const View& view, SteadyTime now, Size size) {
  // The last column stays free: writing into it wraps on some terminals.
  const size_t width = std::max<size_t>(size.columns, 2) - 1;
  const Plan parts = plan(view, size);
  std::vector<Row> rows;
  rows.push_back(header(view, now, width));
  if (view.help) {
    const size_t room = parts.running + parts.failures + parts.log;
    for (size_t i = 0; i < std::size(kHelp) && i < room; ++i) {
      rows.emplace_back(width, view.color);
      rows.back().add("  ").add(kHelp[i]);
    }
  } else {
    add_running(rows, view, now, parts.running, width);
    add_failures(rows, view, parts.failures, width);
    if (view.log) add_log(rows, view, parts.log, width);
  }
  if (parts.footer) {
    rows.emplace_back(width, view.color);
    rows.back().add(view.log ? "l hide the log  j/k select  q leave the view  ? keys"
                             : "l log  j/k select  q leave the view  ? keys",
                    Style::dim);
  }
  return rows;
}

}  // namespace pf::report
