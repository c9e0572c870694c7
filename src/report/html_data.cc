// The instances as JSON, for the page's script. Keys are short, and left out where there is nothing to say:
// there may be 10,000 of them.

#include "base/text.h"
#include "report/html_parts.h"
#include "report/json_text.h"
#include "report/values.h"
#include "report/visible.h"

namespace pf::report {
namespace {

constexpr size_t kMostValue = 1000;  // cells of one output
constexpr size_t kMostOutputs = 100;

class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  ~Object() { out_ += '}'; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  std::string& key(const char* name) {
    if (!first_) out_ += ',';
    first_ = false;
    out_.append(1, '"').append(name).append("\":");
    return out_;
  }
  void text(const char* name, std::string_view value) {
    if (!value.empty()) append_json_string(key(name), value);
  }
  void number(const char* name, double value) {
    if (value != 0) append_json_number(key(name), value);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void append_error_object(std::string& out, const Error& error) {
  Object object(out);
  object.text("m", error.message);
  object.text("c", error.code);
  object.text("h", error.hint);
  object.text("w", error.where.text());
  object.text("t", error.traceback);
}

void append_outputs(std::string& out, std::string_view cbor) {
  out += '[';
  size_t count = 0;
  for (const Output& output : outputs_of(cbor)) {
    if (count == kMostOutputs) break;
    out += count++ == 0 ? "[" : ",[";
    append_json_string(out, visible(output.name));
    out += ',';
    append_json_string(out, short_value(output.value, kMostValue, false));
    out += ']';
  }
  out += ']';
}

void append_story(std::string& out, const Book& book, size_t index) {
  const Story& story = book.stories[index];
  Object object(out);
  object.text("a", visible(book.address(index)));
  object.text("r", state::to_text(story.result));
  if (!story.spans.empty())
    append_json_number(object.key("s"), static_cast<double>(story.spans.front().begin));
  if (story.result != InstanceResult::cached) {
    object.number("n", story.attempts);
    object.number("d", static_cast<double>(story.duration.count()));
    object.number("u", static_cast<double>(story.cpu_us) / 1000);
    object.number("p", static_cast<double>(story.peak_bytes));
    object.number("ir", static_cast<double>(story.read_bytes));
    object.number("iw", static_cast<double>(story.write_bytes));
  }
  object.text("y", story.why);
  object.text("b", story.blocked_by);
  object.text("f", story.work_folder);
  if (story.cached_at.time_since_epoch().count() != 0) object.text("k", rfc3339(story.cached_at));
  if (story.error) append_error_object(object.key("e"), *story.error);
  if (!story.attempt_errors.empty()) {
    std::string& list = object.key("x");
    list += '[';
    for (size_t i = 0; i < story.attempt_errors.size(); ++i) {
      if (i != 0) list += ',';
      append_error_object(list, story.attempt_errors[i]);
    }
    list += ']';
  }
  if (!story.outputs.empty()) append_outputs(object.key("o"), story.outputs);
  object.text("l", story.log);
  object.number("lc", static_cast<double>(story.log_cut));
  if (!story.refused.empty()) {
    std::string& list = object.key("z");
    list += '[';
    for (size_t i = 0; i < story.refused.size(); ++i) {
      if (i != 0) list += ',';
      append_json_string(list, story.refused[i]);
    }
    list += ']';
  }
}

}  // namespace

void append_data(std::string& out, const Book& book) {
  std::string json = "[";
  for (size_t i = 0; i < book.stories.size(); ++i) {
    if (i != 0) json += ",\n";
    append_story(json, book, i);
  }
  json += ']';
  // In strings only, where this is the same character: no end tag and no comment can begin.
  for (char c : json) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
}

}  // namespace pf::report
