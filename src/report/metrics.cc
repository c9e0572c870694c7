// The format: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md. All of a
// family stands together, its # TYPE and # UNIT first; a unit is the end of its family's name.

#include "report/metrics.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "report/files.h"
#include "report/json_text.h"
#include "report/tally.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using namespace orchestrator;

constexpr std::array<double, 9> kBuckets = {0.01, 0.1, 0.5, 1, 5, 30, 120, 600, 3600};
constexpr InstanceResult kResults[] = {
    InstanceResult::succeeded, InstanceResult::cached,  InstanceResult::failed,
    InstanceResult::timed_out, InstanceResult::crashed, InstanceResult::cancelled,
    InstanceResult::skipped,   InstanceResult::blocked, InstanceResult::excluded};
constexpr state::RunResult kRunResults[] = {state::RunResult::succeeded, state::RunResult::failed,
                                            state::RunResult::cancelled, state::RunResult::timed_out};

// What a section's instances came to.
struct OfSection {
  std::map<InstanceResult, uint64_t> results;
  uint64_t attempts = 0;
  uint64_t retries = 0;
  uint64_t refused = 0;
  double cpu_s = 0;
  uint64_t peak_bytes = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  // Durations of what ran.
  std::array<uint64_t, kBuckets.size()> up_to{};
  uint64_t ran = 0;
  double sum_s = 0;
};

double seconds(Milliseconds time) { return static_cast<double>(time.count()) / 1000; }
double seconds(WallTime time) {
  return seconds(std::chrono::duration_cast<Milliseconds>(time.time_since_epoch()));
}

// A label's value: backslash, quote and line feed escaped, no other control character.
std::string label(std::string_view value) {
  std::string out;
  for (char c : visible(value)) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

class Page {
 public:
  void family(const char* name, const char* type, const char* unit, const char* help) {
    text_.append("# TYPE ").append(name).append(1, ' ').append(type).append(1, '\n');
    if (*unit != '\0') text_.append("# UNIT ").append(name).append(1, ' ').append(unit).append(1, '\n');
    text_.append("# HELP ").append(name).append(1, ' ').append(help).append(1, '\n');
  }
  void sample(std::string_view name, const std::string& labels, double value) {
    text_.append(name).append(1, '{').append(labels).append("} ");
    append_json_number(text_, value);
    text_ += '\n';
  }
  std::string finish() { return std::move(text_.append("# EOF\n")); }

 private:
  std::string text_;
};

class Metrics final : public Observer {
 public:
  Metrics(std::string file, Observer& tell) : file_(std::move(file)), tell_(tell) {}

  void on(const RunStarted& event) override {
    instances_ = event.instances;
    run_ = event.run;
    pipeline_ = event.pipeline;
    profile_ = event.profile;
    started_ = event.time;
  }
  void on(const AttemptFailed& event) override { ++of(event.index).retries; }
  void on(const Refused& event) override {
    if (event.index < instances_->size()) ++of(event.index).refused;  // others are of hooks of the pipeline
  }
  void on(const HookRan& event) override {
    ++hooks_[{std::string(event.stage), std::string(event.decision)}];
  }
  void on(const InstanceFinished& event) override {
    OfSection& section = of(event.index);
    ++section.results[event.result];
    // What a cached instance has are the figures of its earlier success.
    if (event.result == InstanceResult::cached) return;
    section.attempts += event.attempts;
    section.cpu_s += static_cast<double>(event.cpu_us) / 1e6;
    section.peak_bytes = std::max(section.peak_bytes, event.peak_bytes);
    section.read_bytes += event.read_bytes;
    section.write_bytes += event.write_bytes;
    if (event.attempts == 0) return;
    const double took = seconds(event.duration);
    for (size_t i = 0; i < kBuckets.size(); ++i) section.up_to[i] += took <= kBuckets[i] ? 1 : 0;
    ++section.ran;
    section.sum_s += took;
  }
  void on(const RunFinished& event) override {
    write_or_tell(file_, page(event), "the metrics", event.time, tell_);
  }
  void on(const InstanceStarted&) override {}
  void on(const LogLine&) override {}
  void on(const Progress&) override {}
  void on(const RunFailure&) override {}
  void tick(SteadyTime) override {}

 private:
  OfSection& of(uint32_t index) { return sections_[(*instances_)[index].type]; }

  std::string page(const RunFinished& event) const {
    const std::string pipeline = "pipeline=\"" + label(pipeline_) + '"';
    Page page;
    page.family("pangeo_forge_run", "info", "", "The run that these metrics are of.");
    page.sample("pangeo_forge_run_info",
                pipeline + ",run=\"" + label(run_) + "\",profile=\"" + label(profile_) + '"', 1);
    page.family("pangeo_forge_run_result", "stateset", "", "How it ended.");
    for (const auto result : kRunResults) {
      page.sample("pangeo_forge_run_result",
                  pipeline + ",pangeo_forge_run_result=\"" + std::string(state::to_text(result)) + '"',
                  result == event.result ? 1 : 0);
    }
    const auto gauge = [&](const char* name, const char* unit, const char* help, double value) {
      page.family(name, "gauge", unit, help);
      page.sample(name, pipeline, value);
    };
    gauge("pangeo_forge_run_started_timestamp_seconds", "seconds", "When it started.", seconds(started_));
    gauge("pangeo_forge_run_finished_timestamp_seconds", "seconds", "When it ended.", seconds(event.time));
    gauge("pangeo_forge_run_duration_seconds", "seconds", "How long it took.", seconds(event.duration));
    if (event.oldest.time_since_epoch().count() != 0) {
      gauge("pangeo_forge_oldest_result_age_seconds", "seconds", "How old the oldest cached result is.",
            std::max(seconds(event.time) - seconds(event.oldest), 0.0));
    }
    by_section(page, pipeline);
    page.family("pangeo_forge_hooks", "gauge", "", "Hooks that ran, by stage and what they decided.");
    for (const auto& [hook, count] : hooks_) {
      page.sample("pangeo_forge_hooks",
                  pipeline + ",stage=\"" + label(hook.first) + "\",decision=\"" + label(hook.second) + '"',
                  static_cast<double>(count));
    }
    return page.finish();
  }

  void by_section(Page& page, const std::string& pipeline) const {
    const auto labels = [&](const std::string& type) { return pipeline + ",section=\"" + label(type) + '"'; };
    page.family("pangeo_forge_instances", "gauge", "", "Instances, by section and result.");
    for (const auto& [type, section] : sections_) {
      for (const auto result : kResults) {
        const auto found = section.results.find(result);
        page.sample("pangeo_forge_instances",
                    labels(type) + ",result=\"" + std::string(state::to_text(result)) + '"',
                    found == section.results.end() ? 0 : static_cast<double>(found->second));
      }
    }
    const auto gauge = [&](const char* name, const char* unit, const char* help, auto value) {
      page.family(name, "gauge", unit, help);
      for (const auto& [type, section] : sections_)
        page.sample(name, labels(type), static_cast<double>(value(section)));
    };
    gauge("pangeo_forge_attempts", "", "Attempts of instances.", [](const auto& s) { return s.attempts; });
    gauge("pangeo_forge_retries", "", "Attempts that failed and were followed by another.",
          [](const auto& s) { return s.retries; });
    gauge("pangeo_forge_refused_calls", "", "Calls of extensions that lacked a permission.",
          [](const auto& s) { return s.refused; });
    gauge("pangeo_forge_cpu_seconds", "seconds", "Time that attempts spent on CPUs.",
          [](const auto& s) { return s.cpu_s; });
    gauge("pangeo_forge_memory_peak_bytes", "bytes", "Most memory that one attempt had.",
          [](const auto& s) { return s.peak_bytes; });
    gauge("pangeo_forge_read_bytes", "bytes", "What attempts read, of files, servers and by programs.",
          [](const auto& s) { return s.read_bytes; });
    gauge("pangeo_forge_written_bytes", "bytes", "What attempts wrote, to files, servers and by programs.",
          [](const auto& s) { return s.write_bytes; });
    page.family("pangeo_forge_instance_duration_seconds", "histogram", "seconds",
                "How long instances took that ran, over all their attempts.");
    for (const auto& [type, section] : sections_) {
      const std::string name = "pangeo_forge_instance_duration_seconds";
      for (size_t i = 0; i < kBuckets.size(); ++i) {
        // The specification wants bounds as floating point numbers in one form.
        char bound[32];
        std::snprintf(bound, sizeof bound, kBuckets[i] < 1 ? "%g" : "%.1f", kBuckets[i]);
        page.sample(name + "_bucket", labels(type) + ",le=\"" + bound + '"',
                    static_cast<double>(section.up_to[i]));
      }
      page.sample(name + "_bucket", labels(type) + ",le=\"+Inf\"", static_cast<double>(section.ran));
      page.sample(name + "_count", labels(type), static_cast<double>(section.ran));
      page.sample(name + "_sum", labels(type), section.sum_s);
    }
  }

  std::string file_;
  Observer& tell_;
  const std::vector<InstanceInfo>* instances_ = nullptr;
  std::string run_, pipeline_, profile_;
  WallTime started_{};
  std::map<std::string, OfSection> sections_;
  std::map<std::pair<std::string, std::string>, uint64_t> hooks_;
};

}  // namespace

std::unique_ptr<Observer> make_metrics(std::string file, Observer& tell) {
  return std::make_unique<Metrics>(std::move(file), tell);
}

}  // namespace pf::report
