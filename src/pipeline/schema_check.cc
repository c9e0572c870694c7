// Runs rules over a configuration. Recursion follows the configuration, whose depth is bounded first.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/text.h"
#include "pipeline/schema.h"
#include "pipeline/schema_rules.h"

namespace pf::pipeline::rules {
namespace {

// A configuration travels inside a frame, which may have cbor::kMaxDepth (64) levels in all.
constexpr int kMaxConfigDepth = 60;
constexpr int64_t kMaxInteger = 9007199254740992;  // 2^53: what Lua's numbers hold exactly

// The way from the top to a value, as a chain on the stack: text is made of it only when something is wrong.
struct Step {
  const Step* up = nullptr;
  std::string_view key;
  size_t index = 0;
  bool is_index = false;
};

bool is_plain_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

void append(std::string& out, const Step* step) {
  if (step == nullptr) return;
  append(out, step->up);
  if (step->is_index)
    out += "[" + std::to_string(step->index) + "]";
  else if (is_plain_key(step->key))
    out += "." + shorten(step->key, 60);
  else
    out += "[\"" + shorten(step->key, 60) + "\"]";
}

std::string number_text(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::string count_text(uint32_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

// What was found, for the end of a sentence.
std::string found(const Node& node, bool secret) {
  switch (node.kind) {
    case Kind::null: return "nothing";
    case Kind::boolean: return secret ? "a boolean" : node.boolean ? "true" : "false";
    case Kind::integer: return secret ? "an integer" : "integer " + std::to_string(node.integer);
    case Kind::number: return secret ? "a number" : "number " + number_text(node.number);
    case Kind::string: return secret ? "a text" : "text '" + shorten(node.string(), 40) + "'";
    case Kind::list: return "a list of " + count_text(node.size, "item", "items");
    case Kind::map: return "a mapping of " + count_text(node.size, "entry", "entries");
  }
  return {};
}

// Text that would be a number without its quotes.
bool is_number(const Node& node) {
  double value = 0;
  const std::string_view text = node.string();
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && code == std::errc() && end == text.data() + text.size();
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(),
                                           [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

bool in_range(const Rule& rule, double value) {
  return !(rule.min && value < *rule.min) && !(rule.max && value > *rule.max);
}

class Checker {
 public:
  Checker(const Document& document, const std::string& path, const CheckOptions& options, Errors& errors)
      : document_(document), path_(path), options_(options), errors_(errors), start_(errors.size()) {}

  void stand_in(const Node* at) { stand_in_ = at; }

  void value(const Rule& rule, const Node& node, const Step* step, int depth) {
    if (full()) return;
    if (node.kind == Kind::string && node.computed && options_.computed_ok) return;
    if (depth > kMaxConfigDepth) {
      return report("config.depth", node, step, "expected at most 60 levels, found more",
                    "flatten the value");
    }
    switch (rule.type) {
      case Type::string: return text(rule, node, step);
      case Type::integer: return integer(rule, node, step);
      case Type::number: return number(rule, node, step);
      case Type::boolean:
        if (node.kind != Kind::boolean) mismatch("config.type", rule, node, step);
        return;
      case Type::any: return anything(node, step, depth);
      case Type::choice: return choice(rule, node, step);
      case Type::list: return list(rule, node, step, depth);
      case Type::map: return map(rule, node, step, depth);
      case Type::object: return object(rule, node, step, depth);
      case Type::either: return either(rule, node, step, depth);
      case Type::path: return path(rule, node, step);
    }
  }

 private:
  bool full() const { return errors_.size() - start_ >= kMaxFindings; }

  std::string path_text(const Step* step) const {
    std::string out = path_;
    append(out, step);
    return out;
  }

  void report(const char* code, const Node& node, const Step* step, const std::string& what,
              std::string hint) {
    if (full()) return;
    Error error;
    error.code = code;
    std::string at = path_text(step);
    error.message = at + ": " + what;
    error.hint = std::move(hint);
    error.where = document_.where(stand_in_ != nullptr ? *stand_in_ : node, std::move(at));
    error.retryable = false;
    errors_.push_back(std::move(error));
  }

  void mismatch(const char* code, const Rule& rule, const Node& node, const Step* step) {
    report(code, node, step, "expected " + rule.expected + ", found " + found(node, rule.secret),
           hint(rule, node));
  }

  static std::string hint(const Rule& rule, const Node& node) {
    if (rule.type == Type::string &&
        (node.kind == Kind::integer || node.kind == Kind::number || node.kind == Kind::boolean)) {
      return "put the value in quotes to make it text";
    }
    if (rule.type == Type::boolean && node.kind == Kind::string) return "write true or false, without quotes";
    if ((rule.type == Type::integer || rule.type == Type::number) && is_number(node))
      return "write the number without quotes";
    if (rule.type == Type::list && node.kind != Kind::map && node.kind != Kind::list)
      return "write it as a list: [value]";
    if (!rule.example.empty() && !rule.secret) return "for example: " + rule.example;
    return shorten(rule.description, 200);
  }

  void text(const Rule& rule, const Node& node, const Step* step) {
    if (node.kind != Kind::string) return mismatch("config.type", rule, node, step);
    if ((rule.min || rule.max) && !in_range(rule, static_cast<double>(characters(node.string())))) {
      return mismatch("config.range", rule, node, step);
    }
    if (rule.pattern && !re2::RE2::PartialMatch(re2::StringPiece(node.text, node.size), *rule.pattern)) {
      mismatch("config.pattern", rule, node, step);
    }
  }

  void integer(const Rule& rule, const Node& node, const Step* step) {
    double size = 0;
    bool too_big = false;
    if (node.kind == Kind::integer) {
      size = static_cast<double>(node.integer);
      too_big = node.integer > kMaxInteger || node.integer < -kMaxInteger;
    } else if (node.kind == Kind::number && std::isfinite(node.number) &&
               node.number == std::trunc(node.number)) {
      size = node.number;
      too_big = std::abs(size) > static_cast<double>(kMaxInteger);
    } else {
      return mismatch("config.type", rule, node, step);
    }
    if (too_big) {
      return report("config.range", node, step,
                    "expected an integer of at most 2^53 in size, found " + found(node, rule.secret),
                    "write larger ones as text, in quotes: Lua's numbers do not hold them exactly");
    }
    if (!in_range(rule, size)) mismatch("config.range", rule, node, step);
  }

  void number(const Rule& rule, const Node& node, const Step* step) {
    double size = 0;
    if (node.kind == Kind::integer)
      size = static_cast<double>(node.integer);
    else if (node.kind == Kind::number)
      size = node.number;
    else
      return mismatch("config.type", rule, node, step);
    if (!std::isfinite(size)) {
      return report("config.range", node, step, "expected a finite number, found " + found(node, rule.secret),
                    {});
    }
    if (!in_range(rule, size)) mismatch("config.range", rule, node, step);
  }

  void anything(const Node& node, const Step* step, int depth) {
    static const Rule rule;
    size_t index = 0;
    for (const Node& item : node.list()) {
      const Step at{step, {}, index++, true};
      value(rule, item, &at, depth + 1);
    }
    for (const Entry& entry : node.map()) {
      const Step at{step, entry.key.string()};
      value(rule, entry.value, &at, depth + 1);
    }
  }

  void choice(const Rule& rule, const Node& node, const Step* step) {
    for (const auto& allowed : rule.values) {
      const auto* flag = std::get_if<bool>(&allowed);
      const auto* size = std::get_if<double>(&allowed);
      const auto* name = std::get_if<std::string>(&allowed);
      if (flag != nullptr && node.kind == Kind::boolean && node.boolean == *flag) return;
      if (size != nullptr && node.kind == Kind::integer && static_cast<double>(node.integer) == *size) return;
      if (size != nullptr && node.kind == Kind::number && node.number == *size) return;
      if (name != nullptr && node.kind == Kind::string && node.string() == *name) return;
    }
    std::string near;
    if (node.kind == Kind::string && !rule.secret) {
      std::vector<std::string> names;
      for (const auto& allowed : rule.values) {
        if (const auto* name = std::get_if<std::string>(&allowed)) names.push_back(*name);
      }
      near = did_you_mean(node.string(), names);
    }
    report("config.enum", node, step, "expected " + rule.expected + ", found " + found(node, rule.secret),
           near.empty() ? hint(rule, node) : near);
  }

  void list(const Rule& rule, const Node& node, const Step* step, int depth) {
    if (node.kind != Kind::list) return mismatch("config.type", rule, node, step);
    if (!in_range(rule, node.size)) mismatch("config.range", rule, node, step);
    static const Rule any;
    size_t index = 0;
    for (const Node& item : node.list()) {
      const Step at{step, {}, index++, true};
      value(rule.items ? *rule.items : any, item, &at, depth + 1);
      if (full()) return;
    }
  }

  void map(const Rule& rule, const Node& node, const Step* step, int depth) {
    if (node.kind != Kind::map) return mismatch("config.type", rule, node, step);
    if (!in_range(rule, node.size)) mismatch("config.range", rule, node, step);
    static const Rule any;
    for (const Entry& entry : node.map()) {
      const Step at{step, entry.key.string()};
      if (rule.keys) {
        const size_t before = errors_.size();
        text(*rule.keys, entry.key, &at);
        if (errors_.size() > before) errors_.back().message += " as the key";
      }
      value(rule.items ? *rule.items : any, entry.value, &at, depth + 1);
      if (full()) return;
    }
  }

  void object(const Rule& rule, const Node& node, const Step* step, int depth) {
    if (node.kind != Kind::map) return mismatch("config.type", rule, node, step);
    uint64_t few = 0;  // which fields were written: enough for most models
    std::vector<bool> many(rule.fields.size() > 64 ? rule.fields.size() : 0);
    for (const Entry& entry : node.map()) {
      const std::string_view key = entry.key.string();
      const Field* field = rule.field(key);
      const Step at{step, key};
      if (field == nullptr) {
        unknown_key(rule, entry.key, &at, depth == 1);
        if (full()) return;
        continue;
      }
      if (is_absent(*field->rule, &entry.value)) continue;
      const auto index = static_cast<size_t>(field - rule.fields.data());
      if (many.empty())
        few |= uint64_t{1} << index;
      else
        many[index] = true;
      value(*field->rule, entry.value, &at, depth + 1);
      if (full()) return;
    }
    for (size_t i = 0; i < rule.fields.size(); ++i) {
      if (many.empty() ? (few >> i & 1) != 0 : many[i]) continue;
      absent(rule.fields[i], node, step, depth);
    }
  }

  void absent(const Field& field, const Node& node, const Step* step, int depth) {
    const Rule& rule = *field.rule;
    const Step at{step, field.name};
    if (rule.default_value && rule.has_path && options_.look_at_files) {
      const Node* outer = stand_in_;
      if (stand_in_ == nullptr) stand_in_ = &node;
      value(rule, *rule.default_value, &at, depth + 1);
      stand_in_ = outer;
    } else if (!rule.may_be_absent()) {
      std::string hint = "add `" + shorten(field.name, 60) + ":`";
      if (!rule.description.empty()) hint += ": " + shorten(rule.description, 200);
      if (!rule.example.empty() && !rule.secret) hint += "; for example " + rule.example;
      report("config.missing", node, &at, "missing, expected " + rule.expected, std::move(hint));
    }
  }

  void unknown_key(const Rule& rule, const Node& key, const Step* step, bool top) {
    constexpr size_t kShown = 30;
    std::vector<std::string> names;
    for (const auto& field : rule.fields) names.push_back(field.name);
    std::vector<std::string> candidates = names;
    if (top) candidates.insert(candidates.end(), options_.more_keys.begin(), options_.more_keys.end());
    std::string hint = did_you_mean(key.string(), candidates);
    if (!hint.empty()) hint += " ";
    if (names.empty()) {
      hint += "no keys are allowed here";
    } else {
      if (names.size() > kShown) {
        names.resize(kShown);
        names.emplace_back("…");
      }
      hint += "allowed: " + join(names, ", ");
    }
    report("config.unknown_key", key, step, "unknown key", std::move(hint));
  }

  // How far errors are from a fit: a value of another kind is farthest, then one that a tag field tells
  // apart.
  static size_t distance(const Errors& errors, const std::string& path) {
    size_t sum = 0;
    for (const auto& error : errors) {
      if (error.code == "config.type" && error.where.path == path)
        sum += 1000;
      else if (error.code == "config.enum")
        sum += 20;
      else if (error.code == "config.unknown_key")
        sum += 3;
      else
        sum += 2;
    }
    return sum;
  }

  void either(const Rule& rule, const Node& node, const Step* step, int depth) {
    const std::string at = path_text(step);
    Errors best;
    size_t least = SIZE_MAX;
    bool tie = false;
    for (const auto& branch : rule.branches) {
      Errors errors;
      Checker inner(document_, path_, options_, errors);
      inner.stand_in_ = stand_in_;
      inner.value(*branch, node, step, depth);
      if (errors.empty()) return;
      const size_t far = distance(errors, at);
      if (far == least) tie = true;
      if (far >= least) continue;
      least = far;
      tie = false;
      best = std::move(errors);
    }
    // Where no model is nearer than another, the sentence that names them all says most.
    if (least >= 1000 || (tie && best.size() == 1 && best[0].where.path == at)) {
      return report(best[0].code.c_str(), node, step,
                    "expected " + rule.expected + ", found " + found(node, rule.secret),
                    shorten(rule.description, 200));
    }
    for (auto& error : best) {
      if (rule.secret && error.where.path == at) return mismatch(error.code.c_str(), rule, node, step);
      if (!full()) errors_.push_back(std::move(error));
    }
  }

  void path(const Rule& rule, const Node& node, const Step* step) {
    if (node.kind != Kind::string) return mismatch("config.type", rule, node, step);
    const std::string_view text = node.string();
    if (text.empty() || text.find('\0') != std::string_view::npos)
      return mismatch("config.path", rule, node, step);
    if (!options_.look_at_files) return;
    const auto& folder = document_.folder((stand_in_ != nullptr ? *stand_in_ : node).file);
    const std::string full_path = resolve_path(folder, text);
    struct stat info {};
    const int code = ::stat(full_path.c_str(), &info) == 0 ? 0 : errno;
    if (code == ENOENT || code == ENOTDIR) {
      if (rule.must_exist) wrong_path(rule, node, step, full_path, "does not exist");
    } else if (code != 0) {
      wrong_path(rule, node, step, full_path, std::string("cannot be looked at: ") + std::strerror(code));
    } else if ((rule.path_kind == PathKind::file && !S_ISREG(info.st_mode)) ||
               (rule.path_kind == PathKind::folder && !S_ISDIR(info.st_mode))) {
      wrong_path(rule, node, step, full_path,
                 S_ISDIR(info.st_mode)   ? "is a folder"
                 : S_ISREG(info.st_mode) ? "is a file"
                                         : "is neither a file nor a folder");
    }
  }

  void wrong_path(const Rule& rule, const Node& node, const Step* step, const std::string& full_path,
                  const std::string& what) {
    const std::string shown = rule.secret ? "it" : "'" + shorten(node.string(), 80) + "'";
    report("config.path", node, step, "expected " + rule.expected + ", but " + shown + " " + what,
           "looked for " + (rule.secret ? "it" : shorten(full_path, 300)) +
               "; relative paths start at the folder of the file that they are written in");
  }

  const Document& document_;
  const std::string& path_;
  const CheckOptions& options_;
  Errors& errors_;
  size_t start_;
  const Node* stand_in_ = nullptr;  // where the value is a default: the written node that it belongs to
};

}  // namespace

std::string resolve_path(const std::filesystem::path& folder, std::string_view text) {
  std::string out;
  const auto add = [&out](std::string_view part) {
    for (size_t at = 0; at < part.size();) {
      const size_t end = std::min(part.find('/', at), part.size());
      const std::string_view name = part.substr(at, end - at);
      at = end + 1;
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        out.resize(out.empty() ? 0 : out.rfind('/'));
        continue;
      }
      out += '/';
      out += name;
    }
  };
  if (text.empty() || text.front() != '/') {
    if (!folder.is_absolute()) {
      std::error_code code;
      add(std::filesystem::current_path(code).native());
    }
    add(folder.native());
  }
  add(text);
  return out.empty() ? "/" : out;
}

void check(const Rule& rule, const Document& document, const Node& node, const std::string& path,
           const CheckOptions& options, Errors& errors) {
  Checker(document, path, options, errors).value(rule, node, nullptr, 1);
}

void check_at(const Rule& rule, const Document& document, const Node& node, const Node* at,
              const CheckOptions& options, Errors& errors) {
  const std::string path;
  Checker checker(document, path, options, errors);
  checker.stand_in(at);
  checker.value(rule, node, nullptr, 1);
}

}  // namespace pf::pipeline::rules
