// A view that redraws in place. Finished failures and log lines scroll away above it. It never hides the
// cursor nor changes a mode of the terminal, and leaves the cursor below the view after each redraw: a
// process that dies in the middle leaves a terminal that needs no mending.

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "report/messages.h"
#include "report/observer.h"
#include "report/paint.h"
#include "report/sink.h"
#include "report/summary.h"
#include "report/tally.h"
#include "report/values.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using namespace orchestrator;

constexpr Milliseconds kRedraw{100};
constexpr Milliseconds kFirstFrame{100};  // shorter runs show no view at all, only their summary
constexpr size_t kMostLogLines = 100;     // in one redraw; the rest is in the log file
constexpr size_t kBar = 20;

// One line of the view: keeps count of its cells, so that it never wraps.
class Row {
 public:
  Row(size_t width, bool color) : left_(width), color_(color) {}
  Row& add(std::string_view text, Style style = Style::plain) {
    if (left_ == 0) return *this;
    const std::string piece = fit(text, left_);
    left_ -= cells(piece);
    paint(text_, color_, style, piece);
    return *this;
  }
  Row& add_padded(std::string_view text, size_t width, Style style = Style::plain) {
    std::string piece = fit(text, width);
    pad(piece, 0, width);
    return add(piece, style);
  }
  const std::string& text() const { return text_; }
  size_t left() const { return left_; }

 private:
  std::string text_;
  size_t left_;
  bool color_;
};

class LiveObserver final : public Observer {
 public:
  explicit LiveObserver(ObserverOptions options) : options_(std::move(options)), sink_(options_.fd) {}
  ~LiveObserver() override {
    if (!finished_) show({});
  }

  void on(const RunStarted& event) override {
    tally_.begin(event, options_.clock->steady());
    above_ += "Running " + tally_.pipeline() + " of " + visible(event.file) + ": " +
              count_of(tally_.total(), "instance") +
              (options_.verbose ? " (run " + tally_.run() + ")\n" : "\n");
    show({});
    last_drawn_ = tally_.since() + kFirstFrame - kRedraw;
  }
  void on(const InstanceStarted& event) override { tally_.started(event, options_.clock->steady()); }
  void on(const AttemptFailed& event) override {
    tally_.attempt_failed(event, options_.clock->steady());
    paint(above_, options_.color, Style::yellow, "retrying");
    above_ += ' ' + visible(tally_.address(event.index)) + " in " + format_duration(event.retry_in) +
              ": attempt " + std::to_string(event.attempt) + " failed: " + visible(event.error->message) +
              '\n';
  }
  void on(const InstanceFinished& event) override {
    const Failure* failure = tally_.finished(event);
    if (failure == nullptr) return;
    // The whole story is in the summary.
    paint(above_, options_.color, Style::red, word_for(failure->result));
    above_ += ' ' + failure->address + ' ' + effort(failure->attempts, failure->duration) + ": " +
              visible(failure->error.message) + '\n';
  }
  void on(const LogLine& event) override {
    if (event.level == LogLevel::debug && !options_.verbose) return;
    std::string fields;
    if (event.fields != nullptr && !event.fields->empty())
      fields = "  " + outputs_line(to_cbor(*event.fields), 100);
    const auto lines = visible_lines(event.message);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (++log_lines_ > kMostLogLines) continue;
      paint(above_, options_.color, Style::dim, visible(tally_.address(event.index)) + ":");
      above_ += ' ';
      const Style style = event.level == LogLevel::error  ? Style::red
                          : event.level == LogLevel::warn ? Style::yellow
                                                          : Style::plain;
      if (event.level == LogLevel::warn) paint(above_, options_.color, style, "warning: ");
      if (event.level == LogLevel::error) paint(above_, options_.color, style, "error: ");
      above_ += lines[i] + (i + 1 == lines.size() ? fields : std::string()) + '\n';
    }
  }
  void on(const Progress& event) override { tally_.progress(event); }
  void on(const Refused& event) override {
    if (!options_.verbose)
      return;  // what comes of it fails the instance, or the extension has an answer to it
    above_ += visible(tally_.address(event.index)) + ": refused " + visible(event.call);
    if (event.error != nullptr) above_ += " [" + visible(event.error->code) + "]";
    above_ += '\n';
  }
  void on(const RunFailure& event) override {
    tally_.run_failed(*event.error);
    append_error(above_, *event.error, 0, false);
  }
  void on(const RunFinished& event) override {
    finished_ = true;
    const Size size = options_.size();
    append_summary(above_, tally_, event, options_, std::max<size_t>(size.columns, 20) - 1);
    show({});
  }

  void tick(SteadyTime now) override {
    if (now - last_drawn_ < kRedraw) return;
    last_drawn_ = now;
    show(frame(now));
  }

 private:
  std::vector<Row> frame(SteadyTime now) {
    const Size size = options_.size();
    // The last column stays free: writing into it wraps on some terminals.
    const size_t width = std::max<size_t>(size.columns, 2) - 1;
    std::vector<Row> rows;
    rows.push_back(header(now, width));
    const auto& running = tally_.running();
    // One row stays for the cursor, and some for what scrolls above.
    const size_t room = size.rows <= 8 ? std::max<size_t>(size.rows, 4) - 3 : size.rows * 2 / 3;
    const size_t shown = running.size() <= room ? running.size() : room - 1;
    size_t widest = 0;
    for (size_t i = 0; i < shown; ++i)
      widest = std::max(widest, cells(visible(tally_.address(running[i].index))));
    widest = std::min(widest, std::max<size_t>(width / 2, 12));
    for (size_t i = 0; i < shown; ++i) rows.push_back(row_of(running[i], now, widest, width));
    if (shown < running.size()) {
      Row more(width, options_.color);
      more.add("  … and " + std::to_string(running.size() - shown) + " more", Style::dim);
      rows.push_back(std::move(more));
    }
    return rows;
  }

  Row header(SteadyTime now, size_t width) const {
    Row row(width, options_.color);
    const uint32_t total = tally_.total();
    if (width >= 60 && total > 0) {
      const size_t filled = kBar * tally_.done() / total;
      std::string bar = "[" + std::string(filled, '=');
      if (filled < kBar) bar += '>' + std::string(kBar - filled - 1, ' ');
      row.add(bar + "] ");
    }
    row.add(std::to_string(tally_.done()) + "/" + std::to_string(total) + " done", Style::bold);
    const Counts& counts = tally_.counts();
    if (counts.failed() > 0) row.add(", ").add(std::to_string(counts.failed()) + " failed", Style::red);
    if (const uint32_t blocked = counts[InstanceResult::blocked]; blocked > 0) {
      row.add(", ").add(std::to_string(blocked) + " blocked", Style::yellow);
    }
    row.add(", " + std::to_string(tally_.running().size()) + " running");
    row.add("  " + elapsed(now - tally_.since()) + "  ");
    row.add(tally_.pipeline(), Style::dim);
    return row;
  }

  Row row_of(const Running& running, SteadyTime now, size_t widest, size_t width) const {
    Row row(width, options_.color);
    row.add("  ").add_padded(fit_end(visible(tally_.address(running.index)), widest), widest).add("  ");
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

  // Whole seconds: tenths would only flicker.
  static std::string elapsed(SteadyTime::duration time) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
    return seconds < 60 ? std::to_string(std::max<int64_t>(seconds, 0)) + "s"
                        : format_duration(Milliseconds(seconds * 1000));
  }

  // Replaces the view by what has gathered above it and the new one, in one write.
  void show(const std::vector<Row>& rows) {
    std::string& out = sink_.text();
    const size_t up = rows_on_screen();
    // Without text above, each line is cleared behind its end only: nothing flickers. What stays on the
    // screen is written on cleared lines, since some terminals wrap the blanks of a cleared end when they
    // become narrower.
    const bool in_place = up > 0 && above_.empty();
    if (up > 0) out += "\r\x1b[" + std::to_string(up) + (in_place ? "A" : "A\x1b[J");
    if (log_lines_ > kMostLogLines) {
      above_ += "… " + count_of(log_lines_ - kMostLogLines, "more log line");
      if (!tally_.log_file().empty()) above_ += " in " + visible(tally_.log_file());
      above_ += '\n';
    }
    log_lines_ = 0;
    out += above_;
    above_.clear();
    drawn_.clear();
    const size_t width = std::max<size_t>(options_.size().columns, 2) - 1;
    for (const Row& row : rows) {
      out.append(row.text()).append(in_place ? "\x1b[K\n" : "\n");
      drawn_.push_back(width - std::min(width, row.left()));
    }
    if (in_place) out += "\x1b[J";
    sink_.flush();
  }

  // The rows that the drawn view takes now: a terminal that became narrower has wrapped its lines.
  size_t rows_on_screen() const {
    const Size size = options_.size();
    const size_t columns = std::max<size_t>(size.columns, 1);
    size_t rows = 0;
    for (size_t used : drawn_) rows += std::max<size_t>(1, (used + columns - 1) / columns);
    // Lines that have left the screen cannot be reached any more.
    return std::min(rows, std::max<size_t>(size.rows, 1) - 1);
  }

  ObserverOptions options_;
  Sink sink_;
  Tally tally_;
  SteadyTime last_drawn_{};
  std::string above_;          // what scrolls away, whole lines
  size_t log_lines_ = 0;       // of extensions, since the last redraw
  std::vector<size_t> drawn_;  // cells of each line of the view on the screen
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<orchestrator::Observer> make_live_observer(ObserverOptions options) {
  return std::make_unique<LiveObserver>(std::move(options));
}

}  // namespace pf::report
