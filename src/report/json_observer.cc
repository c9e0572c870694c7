// One JSON object a line, as docs/interface.md's "Events" has them. Each is written before control returns to
// the loop; nothing is buffered beyond that.

#include <algorithm>

#include "base/json.h"
#include "report/json_text.h"
#include "report/observer.h"
#include "report/sink.h"
#include "report/time_text.h"

namespace pf::report {
namespace {

using namespace orchestrator;

class JsonObserver final : public Observer {
 public:
  explicit JsonObserver(ObserverOptions options) : options_(std::move(options)), sink_(options_.fd) {}

  void on(const RunStarted& event) override {
    run_ = "\",\"run\":";
    append_json_string(run_, event.run);
    instances_ = event.instances;
    open("run_started", event.time);
    text_field("pipeline", event.pipeline);
    text_field("file", event.file);
    out() += ",\"schema\":1";
    number_field("instances", event.instances == nullptr ? 0 : event.instances->size());
    out() += ",\"sandbox\":" + (event.sandbox == nullptr ? "null" : to_json_text(*event.sandbox));
    text_field("log_file", event.log_file);
    if (!event.profile.empty()) text_field("profile", event.profile);
    out() += event.resumed ? ",\"resumed\":true" : ",\"resumed\":false";
    number_field("max_parallel", event.max_parallel);
    close();
  }

  void on(const InstanceStarted& event) override {
    open("instance_started", event.time, event.index);
    number_field("attempt", event.attempt);
    lines_field("why", event.why);
    close();
  }

  void on(const Expanded& event) override {
    open("expanded", event.time, event.group);
    number_field("count", event.count);
    out() += ",\"instances\":[";
    for (uint32_t i = event.first; i < event.first + event.count; ++i) {
      if (i != event.first) out() += ',';
      append_json_string(out(), (*instances_)[i].address);
      sink_.flush_if_large();
    }
    out() += ']';
    close();
  }

  void on(const HookRan& event) override {
    open("hook", event.time);
    text_field("stage", event.stage);
    out() += ",\"instance\":";
    if (event.index >= 0 && static_cast<uint64_t>(event.index) < instances_->size())
      append_json_string(out(), (*instances_)[static_cast<size_t>(event.index)].address);
    else
      out() += "null";
    text_field("script", event.script);
    text_field("decision", event.decision);
    if (!event.text.empty()) text_field("text", event.text);
    number_field("duration_ms", static_cast<uint64_t>(event.duration.count()));
    close();
  }

  void on(const AttemptFailed& event) override {
    open("attempt_failed", event.time, event.index);
    number_field("attempt", event.attempt);
    error_field(event.error);
    number_field("retry_in_ms", static_cast<uint64_t>(event.retry_in.count()));
    close();
  }

  void on(const InstanceFinished& event) override {
    open("instance_finished", event.time, event.index);
    text_field("result", state::to_text(event.result));
    number_field("attempts", event.attempts);
    number_field("duration_ms", static_cast<uint64_t>(event.duration.count()));
    if (!event.outputs.empty()) outputs_field(event.outputs);
    if (event.error != nullptr) error_field(event.error);
    if (!event.blocked_by.empty()) text_field("blocked_by", event.blocked_by);
    if (!event.work_folder.empty()) text_field("work_folder", event.work_folder);
    if (event.cpu_us > 0) number_field("cpu_ms", (event.cpu_us + 500) / 1000);
    if (event.peak_bytes > 0) number_field("peak_bytes", event.peak_bytes);
    if (event.read_bytes > 0) number_field("read_bytes", event.read_bytes);
    if (event.write_bytes > 0) number_field("write_bytes", event.write_bytes);
    if (event.result == state::InstanceResult::cached) time_field("cached_at", event.cached_at);
    lines_field("why", event.why);
    close();
  }

  void on(const LogLine& event) override {
    if (options_.quiet || (event.level == LogLevel::debug && !options_.verbose)) return;
    static constexpr const char* kLevels[] = {"debug", "info", "warn", "error"};
    open("log", event.time, event.index);
    text_field("level", kLevels[static_cast<size_t>(event.level)]);
    text_field("message", event.message);
    out() += ",\"fields\":";
    if (event.fields == nullptr || !append_json_value(out(), to_cbor(*event.fields))) out() += "{}";
    close();
  }

  void on(const Progress& event) override {
    if (options_.quiet) return;
    open("progress", event.time, event.index);
    out() += ",\"done\":";
    append_json_number(out(), event.done);
    out() += ",\"total\":";
    if (event.total > 0)
      append_json_number(out(), event.total);
    else
      out() += "null";
    out() += ",\"unit\":null";
    text_field("text", event.text);
    close();
  }

  void on(const Refused& event) override {
    open("refused", event.time, event.index);
    text_field("call", event.call);
    if (event.error != nullptr) {
      text_field("code", event.error->code);
      text_field("message", event.error->message);
      text_field("hint", event.error->hint);
    }
    close();
  }

  void on(const RunFailure& event) override {
    open("error", event.time);
    out() += ',';
    append_error_fields(out(), *event.error);
    close();
  }

  void on(const RunFinished& event) override {
    open("run_finished", event.time);
    text_field("result", state::to_text(event.result));
    number_field("duration_ms", static_cast<uint64_t>(event.duration.count()));
    number_field("refused_calls", event.refused_calls);
    if (!event.command.empty()) text_field("command", event.command);
    time_field("oldest", event.oldest);
    if (!event.first_failed.empty()) text_field("first_failed", event.first_failed);
    out() += ",\"instances\":{";
    bool first = true;
    for (const auto& record : *event.instances) {
      if (!first) out() += ',';
      first = false;
      append_json_string(out(), record.address);
      out() += R"(:{"result":")";
      out().append(state::to_text(record.result)).append(1, '"');
      number_field("attempts", record.attempts);
      number_field("duration_ms", static_cast<uint64_t>(record.duration.count()));
      outputs_field(record.outputs);
      if (!record.error.empty()) out() += ",\"error\":" + on_one_line(record.error);
      if (!record.blocked_by.empty()) text_field("blocked_by", record.blocked_by);
      out() += '}';
      sink_.flush_if_large();
    }
    out() += '}';
    close();
  }

  void tick(SteadyTime) override {}

 private:
  std::string& out() { return sink_.text(); }

  void open(const char* name, WallTime time) {
    out().append("{\"event\":\"").append(name).append("\",\"time\":\"");
    times_.append_utc(out(), time);
    out() += run_;
  }
  void open(const char* name, WallTime time, uint32_t index) {
    open(name, time);
    if (index < instances_->size())
      text_field("instance", (*instances_)[index].address);
    else
      out() += ",\"instance\":null";  // of a hook of the pipeline
  }
  void close() {
    out() += "}\n";
    sink_.flush();
  }
  void text_field(const char* name, std::string_view value) {
    out().append(",\"").append(name).append("\":");
    append_json_string(out(), value);
  }
  void number_field(const char* name, uint64_t value) {
    out().append(",\"").append(name).append("\":").append(std::to_string(value));
  }
  void time_field(const char* name, WallTime time) {
    if (time.time_since_epoch().count() == 0) return;
    out().append(",\"").append(name).append("\":\"");
    times_.append_utc(out(), time);
    out() += '"';
  }
  // A list of the lines of a text; left out where there are none.
  void lines_field(const char* name, std::string_view text) {
    if (text.empty()) return;
    out().append(",\"").append(name).append("\":[");
    for (bool first = true; !text.empty(); first = false) {
      const size_t end = std::min(text.find('\n'), text.size());
      if (!first) out() += ',';
      append_json_string(out(), text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    out() += ']';
  }
  void error_field(const Error* error) {
    if (error == nullptr) return;
    out() += ",\"error\":{";
    append_error_fields(out(), *error);
    out() += '}';
  }
  void outputs_field(std::string_view cbor) {
    out() += ",\"outputs\":";
    if (cbor.empty() || !append_json_value(out(), cbor)) out() += "{}";
  }
  // The store's error text is compact JSON already; what is not would break the line.
  static std::string on_one_line(const std::string& json) {
    if (json.find('\n') == std::string::npos) return json;
    const auto value = parse_json(json);
    return value ? to_json_text(*value) : to_json_text(Json(json));
  }

  ObserverOptions options_;
  Sink sink_;
  TimeText times_;
  std::string run_ = "\",\"run\":null";
  const std::vector<InstanceInfo>* instances_ = nullptr;
};

}  // namespace

std::unique_ptr<orchestrator::Observer> make_json_observer(ObserverOptions options) {
  return std::make_unique<JsonObserver>(std::move(options));
}

}  // namespace pf::report
