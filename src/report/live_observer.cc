// A view that redraws in place. Log lines scroll away above it, and failures when newer ones need their rows.
// It never hides the cursor, and leaves it below the view after each redraw: a process that dies in the
// middle leaves a screen that needs no mending. The terminal's modes are the keyboard's, which puts them
// back.

#include <algorithm>
#include <unordered_map>

#include "base/json.h"
#include "base/text.h"
#include "report/eta.h"
#include "report/keyboard.h"
#include "report/live_view.h"
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
constexpr Milliseconds kEstimate{1000};   // between two estimates, which look at all instances
constexpr size_t kMostLogLines = 100;     // in one redraw; the rest is in the log file
constexpr size_t kMostTail = 40;          // lines kept of each instance that runs
constexpr size_t kWidestTail = 300;       // cells of them

class LiveObserver final : public Observer {
 public:
  explicit LiveObserver(ObserverOptions options) : options_(std::move(options)), sink_(options_.fd) {
    view_.tally = &tally_;
    view_.color = options_.color;
    view_.keys = options_.keys != nullptr;
  }
  ~LiveObserver() override {
    if (!finished_ && lines_ == nullptr) show({});
    if (options_.keys != nullptr) options_.keys->close();
  }

  void on(const RunStarted& event) override {
    tally_.begin(event, options_.clock->steady());
    eta_.begin(event);
    if (options_.keys != nullptr) options_.keys->open();
    above_ += tally_.heading(event, options_.verbose) + '\n';
    show({});
    last_drawn_ = tally_.since() + kFirstFrame - kRedraw;
    last_estimate_ = tally_.since() - kEstimate;
  }
  void on(const InstanceStarted& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    tally_.started(event, options_.clock->steady());
    if (options_.verbose && !event.why.empty()) {
      for (const auto& line : visible_lines(event.why))
        above_ += visible(tally_.address(event.index)) + ": runs because: " + line + '\n';
    }
  }
  void on(const AttemptFailed& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    tally_.attempt_failed(event, options_.clock->steady());
    paint(above_, options_.color, Style::yellow, "retrying");
    above_ += ' ' + visible(tally_.address(event.index)) + " in " + format_duration(event.retry_in) +
              ": attempt " + std::to_string(event.attempt) + " failed: " + visible(event.error->message) +
              '\n';
  }
  void on(const InstanceFinished& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    tally_.finished(event);
    eta_.finished(event);
    if (static_cast<int64_t>(event.index) != view_.selected) tails_.erase(event.index);
  }
  void on(const LogLine& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    if (event.level == LogLevel::debug && !options_.verbose) return;
    std::string fields;
    if (event.fields != nullptr && !event.fields->empty())
      fields = "  " + outputs_line(to_cbor(*event.fields), 100);
    const auto lines = visible_lines(event.message);
    // While a log is looked at only what is not as it should be scrolls above.
    const bool scrolls = !view_.log || event.level >= LogLevel::warn;
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string text = lines[i] + (i + 1 == lines.size() ? fields : std::string());
      keep_tail(event, text);
      if (!scrolls || ++log_lines_ > kMostLogLines) continue;
      paint(above_, options_.color, Style::dim, visible(tally_.address(event.index)) + ":");
      above_ += ' ';
      if (event.level == LogLevel::warn) paint(above_, options_.color, Style::yellow, "warning: ");
      if (event.level == LogLevel::error) paint(above_, options_.color, Style::red, "error: ");
      above_ += text + '\n';
    }
  }
  void on(const Progress& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    tally_.progress(event);
  }
  void on(const Refused& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    // What comes of it fails the instance, or the extension has an answer to it.
    if (!options_.verbose) return;
    above_ += visible(tally_.address(event.index)) + ": refused " + visible(event.call);
    if (event.error != nullptr) above_ += " [" + visible(event.error->code) + "]";
    above_ += '\n';
  }
  void on(const Expanded& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    above_ +=
        visible(tally_.address(event.group)) + ": expanded into " + count_of(event.count, "instance") + '\n';
  }
  void on(const HookRan& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    if (event.decision == "none" && !options_.verbose) return;
    paint(above_, options_.color, Style::dim, "hook");
    above_ += ' ' + hook_text(tally_, event) + '\n';
  }
  void on(const RunFailure& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    tally_.run_failed(*event.error);
    append_error(above_, *event.error, 0, false);
  }
  void on(const RunFinished& event) override {
    if (lines_ != nullptr) return lines_->on(event);
    finished_ = true;
    const Size size = options_.size();
    append_summary(above_, tally_, event, options_, std::max<size_t>(size.columns, 20) - 1);
    show({});
    if (options_.keys != nullptr) options_.keys->close();
  }
  void leaving() override {
    if (options_.keys != nullptr) options_.keys->close();
  }

  void tick(SteadyTime now) override {
    if (lines_ != nullptr) return lines_->tick(now);
    if (now - last_drawn_ < kRedraw) return;
    last_drawn_ = now;
    if (options_.keys != nullptr) {
      if (!options_.keys->foreground()) return;
      if (options_.keys->resumed()) drawn_.clear();  // a shell has written there
      press(options_.keys->take(), now);
      if (lines_ != nullptr) return;
    }
    if (now - last_estimate_ >= kEstimate) {
      last_estimate_ = now;
      view_.left = eta_.left(tally_, now);
    }
    draw_at(now);
  }

 private:
  void draw_at(SteadyTime now) {
    const Size size = options_.size();
    const auto tail = tails_.find(static_cast<uint32_t>(looked_at(view_)));
    view_.tail = looked_at(view_) < 0 || tail == tails_.end() ? nullptr : &tail->second;
    scroll_failures(failures_in_view(view_, size));
    show(draw(view_, now, size));
  }

  // Failures that the view has no room for any more go above it, so that each is seen once.
  void scroll_failures(size_t in_view) {
    const auto& failures = tally_.failures();
    for (; scrolled_ + in_view < failures.size(); ++scrolled_)
      append_failure_line(above_, failures[scrolled_], options_.color);
  }

  void keep_tail(const LogLine& event, const std::string& text) {
    if (options_.keys == nullptr) return;
    auto& tail = tails_[event.index];
    static constexpr std::string_view kLabels[] = {"debug: ", "", "warning: ", "error: "};
    tail.push_back(std::string(kLabels[static_cast<size_t>(event.level)]) + fit(text, kWidestTail));
    if (tail.size() > kMostTail) tail.pop_front();
  }

  void press(const std::string& keys, SteadyTime now) {
    for (size_t i = 0; i < keys.size() && lines_ == nullptr; ++i) {
      char key = keys[i];
      if (key == '\x1b' && i + 2 < keys.size() && (keys[i + 1] == '[' || keys[i + 1] == 'O')) {
        // Arrows; other keys that send a sequence are passed over as a whole.
        i += 2;
        while (i < keys.size() && (keys[i] < 0x40 || keys[i] > 0x7E)) ++i;
        if (i >= keys.size()) return;
        key = keys[i] == 'A' ? 'k' : keys[i] == 'B' ? 'j' : '\0';
      }
      switch (key) {
        case 'l': view_.log = !view_.log; break;
        case 'j': select(1, now); break;
        case 'k': select(-1, now); break;
        case '\x1b': view_.selected = -1; break;
        case '?': view_.help = !view_.help; break;
        case 'q': leave_view(); break;
        default: break;
      }
    }
  }

  void select(int step, SteadyTime now) {
    const auto running = in_view_order(tally_, now);
    if (running.empty()) return;
    const auto at = std::find_if(running.begin(), running.end(), [&](const Running* one) {
      return static_cast<int64_t>(one->index) == view_.selected;
    });
    const auto last = static_cast<int64_t>(running.size()) - 1;
    int64_t next = step > 0 ? 0 : last;
    if (at != running.end()) next = std::clamp<int64_t>(at - running.begin() + step, 0, last);
    const auto index = static_cast<int64_t>(running[static_cast<size_t>(next)]->index);
    // The log of one that has ended was kept only while it was selected.
    if (at == running.end() && view_.selected >= 0) tails_.erase(static_cast<uint32_t>(view_.selected));
    view_.selected = index;
  }

  // From here on a line for each event, as where there is no view.
  void leave_view() {
    scroll_failures(0);
    above_ += "The run goes on, with a line for each event.\n";
    show({});
    options_.keys->close();
    lines_ = make_line_observer(options_, tally_);
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
  Eta eta_;
  View view_;
  SteadyTime last_drawn_{};
  SteadyTime last_estimate_{};
  std::string above_;          // what scrolls away, whole lines
  size_t log_lines_ = 0;       // of extensions, since the last redraw
  size_t scrolled_ = 0;        // failures that have left the view
  std::vector<size_t> drawn_;  // cells of each line of the view on the screen
  std::unordered_map<uint32_t, std::deque<std::string>> tails_;  // last log lines of what runs
  std::unique_ptr<Observer> lines_;                              // takes over when the user leaves the view
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<orchestrator::Observer> make_live_observer(ObserverOptions options) {
  return std::make_unique<LiveObserver>(std::move(options));
}

}  // namespace pf::report
