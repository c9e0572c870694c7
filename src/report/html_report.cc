#include "report/html_report.h"

#include <algorithm>

#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "report/files.h"
#include "report/html_parts.h"
#include "report/json_text.h"
#include "report/time_text.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using namespace orchestrator;

constexpr size_t kMostFailures = 25;  // told in full at the top; all are in the table
constexpr size_t kMostRefused = 100;
constexpr size_t kMostLogOfFailure = 2000;  // bytes of its last lines

constexpr InstanceResult kOrder[] = {
    InstanceResult::succeeded, InstanceResult::cached,    InstanceResult::failed,
    InstanceResult::timed_out, InstanceResult::crashed,   InstanceResult::blocked,
    InstanceResult::skipped,   InstanceResult::cancelled, InstanceResult::excluded};

std::string policy() {
  const auto hash = [](std::string_view text) {
    const auto digest = sha256(text);
    return "'sha256-" +
           base64_encode(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size())) + "'";
  };
  return "default-src 'none'; style-src " + hash(page_style()) + "; script-src " + hash(page_script()) +
         "; base-uri 'none'; form-action 'none'";
}

Counts counts_of(const Book& book) {
  Counts counts;
  for (const Story& story : book.stories) {
    if (story.result != InstanceResult::none) ++counts[story.result];
  }
  return counts;
}

std::string_view word_for(state::RunResult result) {
  switch (result) {
    case state::RunResult::succeeded: return "succeeded";
    case state::RunResult::failed: return "failed";
    case state::RunResult::cancelled: return "cancelled";
    case state::RunResult::timed_out: return "timed out";
    case state::RunResult::none: break;
  }
  return "did not finish";
}

std::string seconds_text(uint64_t microseconds) {
  return format_duration(Milliseconds(static_cast<int64_t>((microseconds + 500) / 1000)));
}

void append_head(std::string& out, const Book& book, const RunFinished& event) {
  out +=
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
      policy() +
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" "
      "content=\"no-referrer\">\n"
      "<title>" +
      html(book.pipeline) + ' ' + std::string(word_for(event.result)) + "</title>\n<style>";
  out.append(page_style())
      .append("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#h-instances\">To the instances</a>\n");
}

void append_fact(std::string& out, const char* name, const std::string& value) {
  if (value.empty()) return;
  out.append("<div><dt>").append(name).append("</dt><dd>").append(value).append("</dd></div>\n");
}

void append_header(std::string& out, const Book& book, const RunFinished& event) {
  const std::string result(state::to_text(event.result));
  out += "<header>\n<h1>" + html(book.pipeline) + " <span class=\"verdict v-" + result + "\">" +
         std::string(word_for(event.result)) + "</span></h1>\n";
  uint64_t cpu = 0, peak = 0, read = 0, written = 0;
  for (const Story& story : book.stories) {
    if (story.result == InstanceResult::cached) continue;
    cpu += story.cpu_us;
    peak = std::max(peak, story.peak_bytes);
    read += story.read_bytes;
    written += story.write_bytes;
  }
  out += "<dl class=\"facts\">\n";
  append_fact(out, "Took", format_duration(event.duration));
  append_fact(out, "Started", date_and_time(book.started));
  append_fact(out, "File", html(book.file));
  append_fact(out, "Profile", html(book.profile));
  append_fact(out, "Run", html(book.run) + (book.resumed ? " (gone on with)" : ""));
  if (book.max_parallel > 0) append_fact(out, "At once", "at most " + std::to_string(book.max_parallel));
  if (cpu > 0) append_fact(out, "CPU", seconds_text(cpu));
  if (peak > 0) append_fact(out, "Memory", format_bytes(peak) + " at most, of one");
  if (read + written > 0)
    append_fact(out, "Read, written", format_bytes(read) + ", " + format_bytes(written));
  if (event.oldest.time_since_epoch().count() != 0) {
    append_fact(out, "Oldest result", age_text(event.oldest, event.time) + " old");
  }
  append_fact(out, "Log", html(book.log_file));
  if (!event.command.empty()) append_fact(out, "To go on", "<code>" + html(event.command) + "</code>");
  out += "</dl>\n<ul class=\"counts\" id=\"counts\">\n";
  const Counts counts = counts_of(book);
  for (const auto one : kOrder) {
    if (counts[one] == 0) continue;
    out += "<li class=\"" + class_of(one) + "\" data-result=\"" + std::string(state::to_text(one)) +
           "\"><b>" + std::to_string(counts[one]) + "</b> <span>" + std::string(report::word_for(one)) +
           "</span></li>\n";
  }
  out += "</ul>\n</header>\n<main>\n";
}

void append_error_html(std::string& out, const Error& error) {
  out += "<p class=\"error\">";
  const std::string where = error.where.text();
  if (!where.empty()) out += "<span class=\"where\">" + html(where) + "</span> ";
  out += html_lines(error.message);
  if (!error.code.empty()) out += " <code>" + html(error.code) + "</code>";
  out += "</p>\n";
  if (!error.hint.empty()) out += "<p class=\"hint\">Hint: " + html_lines(error.hint) + "</p>\n";
  if (!error.traceback.empty()) {
    out += "<details><summary>Traceback</summary><pre>" + html_lines(error.traceback) + "</pre></details>\n";
  }
}

void append_failures(std::string& out, const Book& book, const RunFinished& event) {
  std::vector<uint32_t> failed;
  for (uint32_t i = 0; i < book.stories.size(); ++i) {
    if (is_failure(book.stories[i].result)) failed.push_back(i);
  }
  if (failed.empty() && book.errors.empty()) return;
  // The run's first error comes first.
  std::stable_partition(failed.begin(), failed.end(),
                        [&](uint32_t i) { return book.address(i) == event.first_failed; });
  out += "<section aria-labelledby=\"h-failed\"><h2 id=\"h-failed\">What failed</h2>\n";
  for (const Error& error : book.errors) {
    out += "<article class=\"failure\">\n<h3>The run itself</h3>\n";
    append_error_html(out, error);
    out += "</article>\n";
  }
  for (size_t i = 0; i < failed.size() && i < kMostFailures; ++i) {
    const Story& story = book.stories[failed[i]];
    out += "<article class=\"failure\">\n<h3><a href=\"#i" + std::to_string(failed[i]) + "\">" +
           html(book.address(failed[i])) + "</a> <span>" + std::string(report::word_for(story.result)) +
           (story.attempts > 1 ? " after " + count_of(story.attempts, "attempt") : "") + ", " +
           format_duration(story.duration) + "</span></h3>\n";
    if (story.error) append_error_html(out, *story.error);
    if (!story.work_folder.empty())
      out += "<p class=\"hint\">Its files are in " + html(story.work_folder) + "</p>\n";
    if (!story.log.empty()) {
      std::string_view log = story.log;
      if (log.size() > kMostLogOfFailure) {
        log.remove_prefix(log.size() - kMostLogOfFailure);
        log.remove_prefix(std::min(log.find('\n') + 1, log.size()));
      }
      out += "<details><summary>Last log lines</summary><pre>" + html_lines(log) + "</pre></details>\n";
    }
    out += "</article>\n";
  }
  if (failed.size() > kMostFailures) {
    out += "<p class=\"note\">and " + std::to_string(failed.size() - kMostFailures) +
           " more, in the table below</p>\n";
  }
  out += "</section>\n";
}

void append_instances(std::string& out) {
  // The script fills it: 10,000 rows would keep a browser busy that has to show only some.
  out +=
      "<section aria-labelledby=\"h-instances\"><h2 id=\"h-instances\" tabindex=\"-1\">Instances</h2>\n"
      "<noscript><p class=\"note\">The table of instances needs JavaScript; everything else on this page "
      "does "
      "not.</p></noscript>\n"
      "<div class=\"tools\" hidden><label>Find <input id=\"find\" type=\"search\" placeholder=\"name, error, "
      "why\" "
      "autocomplete=\"off\"></label> <label>Result <select id=\"result\"><option "
      "value=\"\">all</option></select></label>"
      " <span id=\"shown\" role=\"status\"></span></div>\n"
      "<table id=\"instances\" hidden><caption class=\"hidden\">Instances; the buttons in the head sort "
      "them</caption><thead><tr></tr></thead><tbody></tbody></table>\n"
      "<button id=\"more\" type=\"button\" hidden>Show more</button>\n</section>\n";
}

void append_hooks(std::string& out, const Book& book) {
  if (book.hooks.empty()) return;
  out +=
      "<section aria-labelledby=\"h-hooks\"><h2 id=\"h-hooks\">Hooks</h2>\n<div class=\"scroll\" "
      "tabindex=\"0\" "
      "role=\"region\" aria-label=\"Hooks, "
      "scrolls\"><table><thead><tr><th>After</th><th>Stage</th><th>Instance</th>"
      "<th>Decided</th><th>Why</th><th>Script</th><th>Took</th></tr></thead><tbody>\n";
  for (const HookStory& hook : book.hooks) {
    const bool known = hook.index >= 0 && static_cast<size_t>(hook.index) < book.stories.size();
    out += "<tr><td>" + format_duration(Milliseconds(hook.begin)) + "</td><td>" + html(hook.stage) +
           "</td><td>" +
           (known ? "<a href=\"#i" + std::to_string(hook.index) + "\">" +
                        html(book.address(static_cast<size_t>(hook.index))) + "</a>"
                  : "the pipeline") +
           "</td><td>" + html(hook.decision) + "</td><td>" + html(hook.text) + "</td><td>" +
           html(hook.script) + "</td><td>" + format_duration(hook.duration) + "</td></tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (book.hooks_cut > 0) out += "<p class=\"note\">and " + std::to_string(book.hooks_cut) + " more</p>\n";
  out += "</section>\n";
}

// What the supervisor says of the sandbox, an entry each; what is below an entry is named with it.
void append_entries(std::string& out, const Json& value, const std::string& name) {
  if (value.is_object()) {
    for (const auto& [key, one] : value.items())
      append_entries(out, one, name.empty() ? key : name + ' ' + key);
    return;
  }
  std::string label = name;
  std::replace(label.begin(), label.end(), '_', ' ');
  const std::string text = value.is_boolean() ? (value.get<bool>() ? "yes" : "no") : to_json_text(value);
  out += "<div><dt>" + html(label) + "</dt><dd>" + html(text) + "</dd></div>\n";
}

void append_sandbox(std::string& out, const Book& book, const RunFinished& event) {
  out +=
      "<section aria-labelledby=\"h-sandbox\"><h2 id=\"h-sandbox\">Sandbox and refusals</h2>\n"
      "<dl class=\"facts\">\n";
  if (const auto sandbox = parse_json(book.sandbox)) append_entries(out, *sandbox, {});
  out += "</dl>\n";
  if (event.refused_calls == 0) {
    out += "<p>No call was refused.</p></section>\n";
    return;
  }
  out += "<p>" + count_of(event.refused_calls, "call") + " of extensions " +
         (event.refused_calls == 1 ? "was" : "were") + " refused for want of a permission:</p>\n<ul>\n";
  size_t shown = 0;
  for (size_t i = 0; i < book.stories.size() && shown < kMostRefused; ++i) {
    for (const std::string& text : book.stories[i].refused) {
      if (++shown > kMostRefused) break;
      out += "<li><a href=\"#i" + std::to_string(i) + "\">" + html(book.address(i)) + "</a>: " + html(text) +
             "</li>\n";
    }
  }
  out += "</ul>\n";
  if (shown < event.refused_calls) out += "<p class=\"note\">All are in audit.jsonl beside the log.</p>\n";
  out += "</section>\n";
}

void append_cuts(std::string& out, const Book& book) {
  std::string text;
  uint64_t lines = 0;
  for (const Story& story : book.stories) lines += story.log_cut;
  if (lines > 0) text += count_of(lines, "log line") + (lines == 1 ? " is" : " are") + " left out; ";
  if (book.outputs_dropped > 0)
    text += "the outputs of " + count_of(book.outputs_dropped, "instance") + " are left out; ";
  if (text.empty()) return;
  out += "<p class=\"note\">So that this page stays small enough to be opened, " + text + "the log file" +
         (book.outputs_dropped > 0 ? " and the state folder have all" : " has all") + ".</p>\n";
}

/// Keeps the book, and makes the page of it.
class HtmlReport final : public Observer {
 public:
  HtmlReport(std::string file, Observer& tell) : file_(std::move(file)), tell_(tell) {}
  void on(const RunStarted& event) override { keeper_.on(event); }
  void on(const InstanceStarted& event) override { keeper_.on(event); }
  void on(const AttemptFailed& event) override { keeper_.on(event); }
  void on(const InstanceFinished& event) override { keeper_.on(event); }
  void on(const LogLine& event) override { keeper_.on(event); }
  void on(const Refused& event) override { keeper_.on(event); }
  void on(const Expanded& event) override { keeper_.on(event); }
  void on(const HookRan& event) override { keeper_.on(event); }
  void on(const RunFailure& event) override { keeper_.on(event); }
  void on(const RunFinished& event) override {
    write_or_tell(file_, html_page(keeper_.book(), event), "the report", event.time, tell_);
  }
  void on(const Progress&) override {}
  void tick(SteadyTime) override {}

 private:
  std::string file_;
  Observer& tell_;
  Bookkeeper keeper_;
};

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (char c : visible(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string html_lines(std::string_view text) {
  std::string out;
  const auto lines = visible_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) out += (i == 0 ? "" : "\n") + html(lines[i]);
  return out;
}

std::string html_page(const Book& book, const RunFinished& event) {
  std::string out;
  append_head(out, book, event);
  append_header(out, book, event);
  append_failures(out, book, event);
  append_timeline(out, book, event.duration);
  append_graph_section(out, book);
  append_instances(out);
  append_hooks(out, book);
  append_sandbox(out, book, event);
  append_cuts(out, book);
  out += "</main>\n<script type=\"application/json\" id=\"data\">";
  append_data(out, book);
  out += "</script>\n<script>";
  out.append(page_script()).append("</script>\n</body>\n</html>\n");
  return out;
}

std::unique_ptr<Observer> make_html_report(std::string file, Observer& tell) {
  return std::make_unique<HtmlReport>(std::move(file), tell);
}

}  // namespace pf::report
