// What the live view shows, as rows: a pure function of the run's account and of what was chosen by key.
// Thread-safe: no state.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/observer.h"
#include "report/paint.h"
#include "report/tally.h"

namespace pf::report {

/// One row of the view: keeps count of its cells, so that it never wraps.
class Row {
 public:
  Row(size_t width, bool color) : left_(width), color_(color) {}
  Row& add(std::string_view text, Style style = Style::plain);
  Row& add_padded(std::string_view text, size_t width, Style style = Style::plain);
  const std::string& text() const { return text_; }
  size_t left() const { return left_; }

 private:
  std::string text_;
  size_t left_;
  bool color_;
};

/// What the view is made of.
struct View {
  const Tally* tally = nullptr;
  std::optional<Milliseconds> left;  // of the run, by estimate
  int64_t selected = -1;             // an instance; -1: the newest that runs
  bool keys = false;                 // somebody may type
  bool help = false;
  bool log = false;                               // the log of the selected instance is shown
  const std::deque<std::string>* tail = nullptr;  // its last lines, visible(); null: none
  bool color = false;
};

/// What runs, in the order of the rows: first what works, then what waits for its next attempt.
std::vector<const Running*> in_view_order(const Tally& tally, SteadyTime now);
/// The selected instance, or the newest that runs; -1 where nothing does.
int64_t looked_at(const View& view);
/// How many of the last failures the view has room for.
size_t failures_in_view(const View& view, Size size);
/// `failed example.a 300ms: the file is empty`.
void append_failure_line(std::string& out, const Failure& failure, bool color);
/// At most size.rows - 1 rows, none wider than size.columns - 1.
std::vector<Row> draw(const View& view, SteadyTime now, Size size);

}  // namespace pf::report
