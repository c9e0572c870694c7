// `config`: the merged pipeline, each value with the place that it came from.
#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/commands.h"
#include "cli/project.h"
#include "report/json_text.h"
#include "report/visible.h"

namespace pf::cli {
namespace {

using pipeline::Entry;
using pipeline::Kind;
using pipeline::Node;

constexpr size_t kWidestMargin = 72;

/// Whether a text is itself as YAML writes it, also for readers of YAML 1.1.
bool is_plain(std::string_view text) {
  constexpr std::string_view kWords[] = {"null", "Null", "NULL", "yes",  "Yes",   "YES",   "no",   "No", "NO",
                                         "on",   "On",   "ON",   "off",  "Off",   "OFF",   "y",    "Y",  "n",
                                         "N",    "true", "True", "TRUE", "false", "False", "FALSE"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > 200 || !(letter(text[0]) || text[0] == '/')) return false;
  for (char c : text) {
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '/') return false;
  }
  for (std::string_view word : kWords) {
    if (text == word) return false;
  }
  return true;
}

void append_text(std::string& out, std::string_view text) {
  if (is_plain(text))
    out += text;
  else
    report::append_json_string(out, text);
}

void append_scalar(std::string& out, const Node& node) {
  switch (node.kind) {
    case Kind::string: append_text(out, node.string()); break;
    case Kind::list: out += "[]"; break;
    case Kind::map: out += "{}"; break;
    case Kind::number:
      if (std::isfinite(node.number))
        out += pipeline::scalar_text(node);
      else
        out += std::isnan(node.number) ? ".nan" : node.number > 0 ? ".inf" : "-.inf";
      break;
    default: out += pipeline::scalar_text(node);
  }
}

bool is_block(const Node& node) {
  return (node.kind == Kind::list || node.kind == Kind::map) && node.size > 0;
}

/// Lines of YAML, and what is said of them in the margin.
class Lines {
 public:
  explicit Lines(const pipeline::Document& document) : document_(document) {}

  /// A mapping or list; its first line begins with `start`, the others with spaces.
  void block(const Node& node, size_t indent, std::string start) {
    const auto begin = [&] {
      if (start.empty()) return std::string(indent, ' ');
      return std::exchange(start, {});
    };
    for (const Entry& entry : node.map()) {
      std::string line = begin();
      append_text(line, entry.key.string());
      value(entry.value, indent, line + ":", true);
    }
    for (const Node& item : node.list()) value(item, indent, begin() + "-", false);
  }

  void append(std::string& out) const {
    size_t margin = 0;
    for (const auto& [text, place] : lines_) {
      if (!place.empty()) margin = std::max(margin, std::min(report::cells(text), kWidestMargin));
    }
    for (const auto& [text, place] : lines_) {
      const size_t from = out.size();
      out += text;
      if (!place.empty()) {
        report::pad(out, from, margin);
        out += "  # " + place;
      }
      out += '\n';
    }
  }

 private:
  void value(const Node& node, size_t indent, std::string line, bool entry) {
    if (!is_block(node)) {
      line += ' ';
      append_scalar(line, node);
      lines_.emplace_back(std::move(line), report::visible(document_.where(node).text()));
    } else if (entry) {
      lines_.emplace_back(std::move(line), "");
      block(node, indent + 2, {});
    } else {
      block(node, indent + 2, line + ' ');
    }
  }

  const pipeline::Document& document_;
  std::vector<std::pair<std::string, std::string>> lines_;
};

/// The merged value, and in a second text the places, by path.
class JsonText {
 public:
  explicit JsonText(const pipeline::Document& document) : document_(document) {}

  void value(std::string& out, const Node& node) {
    switch (node.kind) {
      case Kind::string: report::append_json_string(out, node.string()); break;
      case Kind::number: report::append_json_number(out, node.number); break;
      case Kind::list: {
        size_t index = 0;
        out += '[';
        for (const Node& item : node.list()) {
          if (index > 0) out += ',';
          step('[' + std::to_string(index++) + ']', out, item);
        }
        out += ']';
        break;
      }
      case Kind::map: {
        bool first = true;
        out += '{';
        for (const Entry& entry : node.map()) {
          if (!first) out += ',';
          first = false;
          report::append_json_string(out, entry.key.string());
          out += ':';
          step(as_step(entry.key.string()), out, entry.value);
        }
        out += '}';
        break;
      }
      default: out += pipeline::scalar_text(node);
    }
    if (!is_block(node)) place(node);
  }

  std::string places;

 private:
  std::string as_step(std::string_view key) const {
    if (is_plain(key) && key.find_first_of("./") == std::string_view::npos)
      return (path_.empty() ? "" : ".") + std::string(key);
    std::string out = "[";
    report::append_json_string(out, key);
    return out + ']';
  }
  void step(const std::string& step, std::string& out, const Node& node) {
    const size_t length = path_.size();
    path_ += step;
    value(out, node);
    path_.resize(length);
  }
  void place(const Node& node) {
    const Where where = document_.where(node);
    if (!places.empty()) places += ',';
    report::append_json_string(places, path_);
    places += R"(:{"file":)";
    report::append_json_string(places, where.file);
    places += ",\"line\":" + std::to_string(where.line) + ",\"column\":" + std::to_string(where.column) + '}';
  }

  const pipeline::Document& document_;
  std::string path_;
};

}  // namespace

int config(const Arguments& arguments, Screen& screen) {
  pipeline::LoadOptions options;
  options.file = arguments.file;
  options.pipeline = arguments.pipeline;
  options.profile = arguments.profile;
  options.variables = arguments.variables;
  const auto merged = pipeline::merge(options);
  if (!merged) return refuse(screen, arguments, merged.error());
  std::string& out = screen.text();
  if (arguments.json()) {
    JsonText text(*merged->document);
    out += "{\"pipeline\":";
    report::append_json_string(out, merged->name);
    out += ",\"profile\":";
    if (merged->profile.empty())
      out += "null";
    else
      report::append_json_string(out, merged->profile);
    out += ",\"value\":";
    text.value(out, merged->body);
    out += ",\"places\":{" + text.places + "}}\n";
    return 0;
  }
  Lines lines(*merged->document);
  append_text(out, merged->name);
  if (!is_block(merged->body)) {
    out += ": {}\n";
    return 0;
  }
  out += ":\n";
  lines.block(merged->body, 2, {});
  lines.append(out);
  return 0;
}

}  // namespace pf::cli
