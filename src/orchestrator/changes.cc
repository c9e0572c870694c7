#include "orchestrator/changes.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pf::orchestrator {
namespace {

using pipeline::Kind;
using pipeline::Node;

constexpr size_t kWidth = 120;  // of a value
constexpr size_t kMost = 100;   // changes of one instance that are told

std::string shown(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.starts_with(kConcealed)) return "(secret)";
    return shorten(text, kWidth);
  }
  return shorten(to_json_text(value), kWidth);
}

bool is_index(std::string_view part) { return !part.empty() && part.front() == '['; }

// The innermost key, with the indexes behind it.
std::string key_of(const std::vector<std::string>& path) {
  size_t from = path.size();
  while (from > 1 && is_index(path[from - 1])) --from;
  std::string out;
  for (size_t i = from == 0 ? 0 : from - 1; i < path.size(); ++i) out += path[i];
  return out;
}

std::string path_text(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& part : path) {
    if (!out.empty() && !is_index(part)) out += '.';
    out += part;
  }
  return out;
}

const Node* step(const Node& node, const std::string& part) {
  if (!is_index(part)) return node.find(part);
  const size_t index = std::stoul(part.substr(1));
  return index < node.list().size() ? &node.list()[index] : nullptr;
}

class Comparison {
 public:
  Comparison(const pipeline::Document& document, const Node& written, std::vector<Change>& out)
      : document_(document), written_(written), out_(out) {}

  // Depth is bounded: both were decoded from CBOR of bounded nesting.
  void values(const Json& before, const Json& now) {
    if (before == now || out_.size() >= kMost) return;
    if (before.is_object() && now.is_object()) return objects(before, now);
    if (before.is_array() && now.is_array() && before.size() == now.size()) {
      for (size_t i = 0; i < now.size(); ++i) {
        path_.push_back("[" + std::to_string(i) + "]");
        values(before[i], now[i]);
        path_.pop_back();
      }
      return;
    }
    tell(&before, &now);
  }

 private:
  void objects(const Json& before, const Json& now) {
    for (const auto& [key, value] : now.items()) {
      path_.push_back(key);
      if (const auto old = before.find(key); old != before.end())
        values(*old, value);
      else
        tell(nullptr, &value);
      path_.pop_back();
    }
    for (const auto& [key, value] : before.items()) {
      if (now.contains(key)) continue;
      path_.push_back(key);
      tell(&value, nullptr);
      path_.pop_back();
    }
  }

  bool computed() const {
    const Node* node = &written_;
    for (const std::string& part : path_) {
      if (node->kind == Kind::string) break;  // a whole expression stands for all that is below it
      node = step(*node, part);
      if (node == nullptr) return false;
    }
    return node->kind == Kind::string && node->computed;
  }

  void tell(const Json* before, const Json* now) {
    Change change;
    change.key = key_of(path_);
    change.path = path_text(path_);
    change.from = before == nullptr ? "(none)" : shown(*before);
    change.to = computed() ? "(computed)" : now == nullptr ? "(none)" : shown(*now);
    if (change.from == "(secret)" && change.to == "(secret)") change.to = "(another secret)";
    change.where = place_of(document_, written_, path_);
    out_.push_back(std::move(change));
  }

  const pipeline::Document& document_;
  const Node& written_;
  std::vector<Change>& out_;
  std::vector<std::string> path_;
};

}  // namespace

std::string Change::text() const {
  std::string out = key + ": " + from + " -> " + to;
  Where at = where;
  at.path.clear();
  if (const std::string place = at.text(); !place.empty()) out += " at " + place;
  return out;
}

Where place_of(const pipeline::Document& document, const Node& written,
               const std::vector<std::string>& path) {
  const Node* node = &written;
  for (const std::string& part : path) {
    const Node* next = step(*node, part);
    if (next == nullptr) break;
    node = next;
  }
  return document.where(*node);
}

void compare_configs(const Json& before, const Json& now, const pipeline::Document& document,
                     const Node& written, std::vector<Change>& out) {
  Comparison(document, written, out).values(before, now);
}

std::string short_version(std::string_view version) {
  const size_t colon = version.find(':');
  if (colon == std::string_view::npos || version.size() - colon < 14) return std::string(version);
  return std::string(version.substr(0, colon + 9)) + "…";
}

}  // namespace pf::orchestrator
