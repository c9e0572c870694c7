#include "extension/manifest.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/text.h"
#include "extension/grants.h"
#include "extension/semver.h"
#include "pipeline/reader.h"

namespace pf::extension {
namespace {

using pipeline::Document;
using pipeline::Entry;
using pipeline::Kind;
using pipeline::Node;

constexpr size_t kMaxManifest = 1U << 20;  // bytes
constexpr size_t kMaxEntries = 1000;       // of one permission
constexpr uint64_t kMinMemory = 1ULL << 20, kMaxMemory = 64ULL << 30;
constexpr uint64_t kMinLog = 1ULL << 10, kMaxLog = 1ULL << 40;
constexpr int64_t kMaxCalls = 1024;
constexpr uint64_t kMinOutput = 1ULL << 10,
                   kMaxOutput = 8ULL << 20;  // outputs and state share a frame of 16 MiB

// What an expression may begin with, and `core`: a section of that name would hide it.
constexpr std::array<std::string_view, 5> kTakenNames = {"core", "each", "env", "secret", "var"};

bool all_of(std::string_view text, bool (*allowed)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c); }
bool is_control(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }

bool is_extension_name(std::string_view text) {
  return text.size() <= 64 && !text.empty() && is_lower(text[0]) &&
         all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '_' || c == '-'; });
}

bool is_port(std::string_view text) {
  if (text.size() > 5 || !all_of(text, is_digit)) return false;
  const int port = std::stoi(std::string(text));
  return port > 0 && port < 65536;
}

// `host`, `host:port`, `[::1]:port`; `*.host` where `wild`.
bool is_host(std::string_view text, bool wild) {
  if (wild && text.starts_with("*.")) text.remove_prefix(2);
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    const bool address =
        all_of(text.substr(1, close - 1), [](char c) { return is_alnum(c) || c == ':' || c == '.'; });
    const std::string_view rest = text.substr(close + 1);
    return address && (rest.empty() || (rest[0] == ':' && is_port(rest.substr(1))));
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (!is_port(text.substr(colon + 1))) return false;
    text = text.substr(0, colon);
  }
  return all_of(text, [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; }) &&
         text.front() != '.' && text.find("..") == std::string_view::npos;
}

bool is_http(std::string_view text) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    return is_host(text.substr(0, text.find_first_of("/?#")), false);
  }
  return is_host(text, true);
}

bool is_path(std::string_view text) {
  return !text.empty() && text[0] != '~' && text.find_first_of("*?") == std::string_view::npos &&
         std::none_of(text.begin(), text.end(), is_control);
}

bool is_pattern(std::string_view text) {
  return !text.empty() && text[0] != '~' && std::none_of(text.begin(), text.end(), is_control);
}

bool is_variable(std::string_view text) {
  return all_of(text, [](char c) { return is_alnum(c) || c == '_'; }) && !is_digit(text[0]);
}

bool is_program(std::string_view text) {
  return all_of(text, [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '+' || c == '-'; }) &&
         text[0] != '-' && text[0] != '.';
}

bool is_git_host(std::string_view text) { return is_host(text, false); }

/// Walks the tree of one manifest and collects findings.
class Reading {
 public:
  Reading(const Document& document, Manifest& manifest) : document_(document), manifest_(manifest) {}
  Errors errors;

  /// The limits of an instance, in place of those in the manifest.
  void limits_of_operator(const Node& node, const std::string& path) { limits(node, path); }

  /// The lists of an instance, in place of those in the manifest.
  void of_operator(const Node& node, const std::string& path) {
    operator_ = true;
    prefix_ = path + '.';
    permissions(node);
  }

  void all() {
    const Node& root = document_.root();
    if (root.kind != Kind::map) {
      return report("manifest.type", root, "",
                    "expected a mapping with name and version, found " + found(root), "begin with `name: …`");
    }
    keys(root, "",
         {{"name", [&](const Node& n) { name(n); }},
          {"version", [&](const Node& n) { version(n); }},
          {"summary", [&](const Node& n) { line(n, "summary", manifest_.summary); }},
          {"license", [&](const Node& n) { line(n, "license", manifest_.license); }},
          {"requires", [&](const Node& n) { requirements(n); }},
          {"tools", [&](const Node& n) { tools(n); }},
          {"permissions", [&](const Node& n) { permissions(n); }},
          {"limits", [&](const Node& n) { limits(n, "limits"); }},
          {"cache", [&](const Node& n) { cache(n); }},
          {"inputs", [&](const Node& n) { inputs(n); }},
          {"commands",
           [&](const Node& n) { neutral(n, "commands", n.kind == Kind::list && n.size == 0, "[]"); }},
          {"bakery", [&](const Node& n) { neutral(n, "bakery", false, "null"); }}});
    // Who looks at `programs` sees all that is run, also to ask it for its version.
    for (const Tool& tool : manifest_.tools) {
      const auto& programs = manifest_.permissions.programs;
      const bool listed = std::any_of(programs.begin(), programs.end(), [&](const Permissions::Program& p) {
        return p.name == tool.probe.front();
      });
      if (listed) continue;
      Error error;
      error.code = "manifest.tool";
      error.message = tool.where.path + ": expected '" + tool.probe.front() +
                      "' in permissions.programs, which does "
                      "not name it";
      error.hint = "add permissions: {programs: [" + tool.probe.front() + "]}";
      error.where = tool.where;
      error.retryable = false;
      errors.push_back(std::move(error));
    }
    for (const char* key : {"name", "version"}) {
      const Node* node = root.find(key);
      if (node == nullptr || node->is_null()) {
        report("manifest.missing", root, key, "the key is missing",
               std::string("add `") + key + (*key == 'n' ? ": my-extension`" : ": 1.0.0`"));
      }
    }
  }

 private:
  using Keys = std::vector<std::pair<std::string, std::function<void(const Node&)>>>;

  static std::string found(const Node& node) {
    if (node.kind == Kind::string) return "'" + shorten(node.string(), 60) + "'";
    const std::string text = pipeline::scalar_text(node);
    return std::string(describe(node.kind)) + (text.empty() || node.is_null() ? "" : " " + text);
  }

  void report(const char* code, const Node& node, const std::string& path, const std::string& what,
              std::string hint) {
    Error error;
    error.code = code;
    error.message = (path.empty() ? "" : path + ": ") + what;
    error.hint = std::move(hint);
    error.where = document_.where(node, path);
    error.retryable = false;
    errors.push_back(std::move(error));
  }

  // Calls what handles each key; a null counts as not written.
  void keys(const Node& map, const std::string& prefix, const Keys& known) {
    for (const Entry& entry : map.map()) {
      const std::string_view key = entry.key.string();
      const auto at = std::find_if(known.begin(), known.end(), [&](const auto& k) { return k.first == key; });
      if (at != known.end()) {
        if (!entry.value.is_null()) at->second(entry.value);
        continue;
      }
      std::vector<std::string> names;
      for (const auto& k : known) names.push_back(k.first);
      std::string hint = did_you_mean(key, names);
      report("manifest.unknown_key", entry.key, prefix + shorten(key, 60), "unknown key",
             (hint.empty() ? "" : hint + " ") + "known: " + join(names, ", "));
    }
  }

  // A mapping, or an error.
  bool is_map(const Node& node, const std::string& path) {
    if (node.kind == Kind::map) return true;
    report("manifest.type", node, path, "expected a mapping, found " + found(node), {});
    return false;
  }

  bool is_text(const Node& node, const std::string& path, const std::string& expected,
               const std::string& hint = {}) {
    if (node.kind == Kind::string) return true;
    report("manifest.type", node, path, "expected " + expected + ", found " + found(node),
           node.kind == Kind::integer || node.kind == Kind::number ? "put it in quotes" : hint);
    return false;
  }

  void name(const Node& node) {
    const std::string rule =
        "begins with a lower-case letter, then lower-case letters, digits, - and _; at most 64";
    if (!is_text(node, "name", "a name", rule)) return;
    const std::string_view text = node.string();
    if (!is_extension_name(text)) {
      return report("manifest.name", node, "name", "expected an extension's name, found " + found(node),
                    "a name " + rule);
    }
    if (std::find(kTakenNames.begin(), kTakenNames.end(), text) != kTakenNames.end()) {
      return report("manifest.name", node, "name", "'" + std::string(text) + "' is a word of pipeline files",
                    "choose another name");
    }
    manifest_.name = text;
  }

  void version(const Node& node) {
    if (node.kind == Kind::string && SemVer::parse(node.string())) {
      manifest_.version = node.string();
      return;
    }
    report("manifest.version", node, "version", "expected a version such as 1.2.3, found " + found(node),
           "versions are three numbers, with -rc.1 or the like after them: semver.org");
  }

  void line(const Node& node, const std::string& path, std::string& to) {
    if (!is_text(node, path, "a line of text")) return;
    const std::string_view text = node.string();
    if (std::any_of(text.begin(), text.end(), is_control)) {
      return report("manifest.type", node, path,
                    "expected a line of text, found line breaks or control characters",
                    "write one line; README.md has room for more");
    }
    to = text;
  }

  void requirements(const Node& node) {
    if (!is_map(node, "requires")) return;
    keys(node, "requires.", {{"core", [&](const Node& core) {
                                if (!is_text(core, "requires.core", "a version range such as '>=0.1 <2'"))
                                  return;
                                if (auto range = SemVerRange::parse(core.string()); !range) {
                                  return report("manifest.range", core, "requires.core",
                                                range.error().message, range.error().hint);
                                }
                                manifest_.requires_core = core.string();
                              }}});
  }

  void tools(const Node& node) {
    if (!is_map(node, "tools")) return;
    for (const Entry& entry : node.map()) tool(entry);
  }

  void tool(const Entry& entry) {
    const std::string path = "tools." + shorten(entry.key.string(), 60);
    Tool out;
    out.name = entry.key.string();
    out.where = document_.where(entry.key, path);
    const Node& node = entry.value;
    if (!is_program(out.name)) {
      return report("manifest.tool", entry.key, path,
                    "expected the plain name of a program, found " + found(entry.key),
                    "write, for example, tools: {tofu: {version: \">=1.6\", probe: [tofu, version]}}");
    }
    if (!node.is_null() && !is_map(node, path)) return;
    bool good = true;
    keys(node, path + '.',
         {{"version",
           [&](const Node& n) {
             good = is_text(n, path + ".version", "a version range such as '>=1.6'") && good;
             if (n.kind != Kind::string) return;
             if (auto range = SemVerRange::parse(n.string()); !range) {
               good = false;
               return report("manifest.range", n, path + ".version", range.error().message,
                             range.error().hint);
             }
             out.range = n.string();
           }},
          {"probe", [&](const Node& n) { good = probe(n, path + ".probe", out.probe) && good; }}});
    if (out.probe.empty()) out.probe = {out.name, "--version"};
    if (good) manifest_.tools.push_back(std::move(out));
  }

  bool probe(const Node& node, const std::string& path, std::vector<std::string>& to) {
    if (node.kind != Kind::list || node.size == 0 || node.size > 20) {
      report("manifest.type", node, path, "expected a list of 1 to 20 words, found " + found(node),
             "write the command that prints the version, such as [tofu, version, -json]");
      return false;
    }
    for (const Node& word : node.list()) {
      if (!is_text(word, path + '[' + std::to_string(to.size()) + ']', "text")) return false;
      to.emplace_back(word.string());
    }
    if (is_program(to.front())) return true;
    report("manifest.tool", node.list().front(), path + "[0]",
           "expected the plain name of a program, found " + found(node.list().front()), {});
    return false;
  }

  void neutral(const Node& node, const std::string& path, bool is_neutral, const std::string& allowed) {
    if (is_neutral) return;
    report("manifest.not_supported", node, path,
           "this version of pangeo-forge takes only " + allowed + " here, found " + found(node),
           "leave the key out, or use a version that knows it");
  }

  // One list of texts; `is_good` judges those without an expression.
  void list(const Node& node, const std::string& key, bool (*is_good)(std::string_view),
            const std::string& expected,
            const std::function<void(const Node&, const std::string&, std::string_view)>& add) {
    const std::string path = prefix_ + key;
    if (node.kind != Kind::list) {
      return report("manifest.type", node, path, "expected a list, found " + found(node),
                    "write " + key + ": [entry]");
    }
    if (node.size > kMaxEntries) {
      return report("manifest.permission", node, path,
                    "expected at most 1000 entries, found " + std::to_string(node.size),
                    "name what holds them all");
    }
    size_t index = 0;
    for (const Node& item : node.list()) {
      const std::string at = path + "[" + std::to_string(index++) + "]";
      if (key == "programs" && item.kind == Kind::map) {
        program(item, at);
        continue;
      }
      if (is_text(item, at, expected) && is_entry(item, at, is_good, expected)) add(item, at, item.string());
    }
  }

  bool is_entry(const Node& item, const std::string& path, bool (*is_good)(std::string_view),
                const std::string& expected) {
    const std::string_view text = item.string();
    auto parts = parse_entry(text);
    if (!parts) {
      report("manifest.permission", item, path, parts.error().message, parts.error().hint);
      return false;
    }
    const bool is_literal = parts->size() == 1 && !(*parts)[0].is_config;
    const bool control = std::any_of(text.begin(), text.end(), is_control);
    if (!text.empty() && !control && (!is_literal || is_good(text))) return true;
    report("manifest.permission", item, path, "expected " + expected + ", found " + found(item),
           "a value of the instance's configuration is written ${config.FIELD}");
    return false;
  }

  void program(const Node& node, const std::string& path) {
    const std::string expected = "the plain name of a program";
    Permissions::Program out;
    bool good = true;
    const auto flag = [&](const Node& n, const std::string& key, bool& to) {
      if (n.kind == Kind::boolean) {
        to = n.boolean;
      } else {
        good = false;
        report("manifest.type", n, path + key, "expected true or false, found " + found(n), {});
      }
    };
    keys(node, path + ".",
         {{"name",
           [&](const Node& n) {
             if (is_text(n, path + ".name", expected) && is_entry(n, path + ".name", is_program, expected))
               out.name = n.string();
             else
               good = false;
           }},
          {"network", [&](const Node& n) { flag(n, ".network", out.network); }},
          {"confined", [&](const Node& n) {
             bool confined = true;
             flag(n, ".confined", confined);
             if (!confined && operator_) {
               out.confined = false;
             } else if (!confined) {
               report("manifest.permission", n, path + ".confined",
                      "a manifest cannot ask for an unconfined program",
                      "only the operator's pipeline file can grant that");
             }
           }}});
    if (good && out.name.empty()) {
      report("manifest.missing", node, path + ".name", "the key is missing", "add `name: PROGRAM`");
    } else if (good) {
      manifest_.permissions.programs.push_back(std::move(out));
    }
  }

  void permissions(const Node& node) {
    if (!is_map(node, prefix_.substr(0, prefix_.size() - 1))) return;
    Permissions& to = manifest_.permissions;
    const auto texts = [this](const std::string& key, std::vector<std::string>& out,
                              bool (*is_good)(std::string_view), const std::string& expected) {
      return std::pair<std::string, std::function<void(const Node&)>>(key, [=, this, &out](const Node& n) {
        out.clear();
        list(n, key, is_good, expected,
             [&out](const Node&, const std::string&, std::string_view text) { out.emplace_back(text); });
      });
    };
    const auto paths = [this](const std::string& key, std::vector<std::string>& out) {
      return std::pair<std::string, std::function<void(const Node&)>>(key, [=, this, &out](const Node& n) {
        out.clear();
        if (key == "write") manifest_.permissions.shm = manifest_.permissions.pty = false;
        list(n, key, is_path, "a path (everything below a folder is meant; no ~, * or ?)",
             [this, &out, key](const Node& item, const std::string& at, std::string_view text) {
               if (text != "shm" && text != "pty") return out.emplace_back(text), void();
               if (key == "write") {
                 Permissions& all = manifest_.permissions;
                 (text == "shm" ? all.shm : all.pty) = true;
                 return;
               }
               report("manifest.permission", item, at,
                      "'" + std::string(text) + "' is a word of `write`, for programs",
                      "move it there; a folder of that name is ./" + std::string(text));
             });
      });
    };
    keys(node, prefix_,
         {texts("http", to.http, is_http, "host, host:port, *.host or a URL"),
          {"programs",
           [&](const Node& n) {
             to.programs.clear();
             list(n, "programs", is_program, "the plain name of a program, or {name, network}",
                  [&](const Node&, const std::string&, std::string_view text) {
                    to.programs.push_back({std::string(text)});
                  });
           }},
          texts("env", to.env, is_variable, "the name of an environment variable"),
          paths("read", to.read),
          paths("write", to.write),
          texts("git", to.git, is_git_host, "host or host:port"),
          texts("secrets", to.secrets, is_variable, "the name of a secret (letters, digits and _)")});
  }

  void cache(const Node& node) {
    using Policy = pipeline::CachePolicy::Kind;
    if (node.kind == pipeline::Kind::string && (node.string() == "auto" || node.string() == "never")) {
      manifest_.cache.kind = node.string() == "never" ? Policy::never : Policy::automatic;
      return;
    }
    const Node* age = node.find("max_age");
    if (age == nullptr || node.size != 1) {
      report("manifest.type", node, "cache",
             "expected auto, never or {max_age: DURATION}, found " + found(node),
             "auto takes what did not change as done, unless it read something without a version");
      return;
    }
    manifest_.cache.kind = Policy::max_age;
    duration(*age, "cache.max_age", manifest_.cache.max_age);
  }

  void inputs(const Node& node) {
    const std::string prefix = std::exchange(prefix_, "");
    list(
        node, "inputs", is_pattern, "the pattern of a path, such as ${config.source}/**/*.tf",
        [&](const Node&, const std::string&, std::string_view text) { manifest_.inputs.emplace_back(text); });
    prefix_ = prefix;
  }

  void bytes(const Node& node, const std::string& path, uint64_t least, uint64_t most, uint64_t& to) {
    std::optional<uint64_t> size;
    if (node.kind == Kind::string) size = parse_bytes(node.string());
    if (node.kind == Kind::integer && node.integer >= 0) size = static_cast<uint64_t>(node.integer);
    if (size && *size >= least && *size <= most) {
      to = *size;
      return;
    }
    report("manifest.limit", node, path,
           "expected a size from " + format_bytes(least) + " to " + format_bytes(most) + ", found " +
               found(node),
           "write a number with B, KiB, MiB or GiB, such as 64MiB");
  }

  void duration(const Node& node, const std::string& path, Milliseconds& to) {
    const auto time = node.kind == Kind::string ? parse_duration(node.string()) : std::nullopt;
    if (time && time->count() > 0) {
      to = *time;
      return;
    }
    report("manifest.limit", node, path, "expected a duration above zero such as 60s, found " + found(node),
           "units are ms, s, m, h and d");
  }

  void calls(const Node& node, const std::string& path, uint32_t& to) {
    if (node.kind == Kind::integer && node.integer >= 1 && node.integer <= kMaxCalls) {
      to = static_cast<uint32_t>(node.integer);
      return;
    }
    report("manifest.limit", node, path,
           "expected a number of calls from 1 to " + std::to_string(kMaxCalls) + ", found " + found(node),
           "it bounds the host calls that wait for their replies at once");
  }

  void limits(const Node& node, const std::string& path) {
    if (!is_map(node, path)) return;
    Limits& to = manifest_.limits;
    const std::string in = path + '.';
    const auto size = [&](const char* key, uint64_t least, uint64_t most, uint64_t& value) {
      return std::pair<std::string, std::function<void(const Node&)>>(
          key, [=, this, &value](const Node& n) { bytes(n, in + key, least, most, value); });
    };
    keys(node, in,
         {size("memory", kMinMemory, kMaxMemory, to.memory),
          {"cpu", [&](const Node& n) { duration(n, in + "cpu", to.cpu); }},
          {"deadline", [&](const Node& n) { duration(n, in + "deadline", to.deadline); }},
          size("output", kMinOutput, kMaxOutput, to.output),
          {"calls", [&](const Node& n) { calls(n, in + "calls", to.calls); }},
          size("log", kMinLog, kMaxLog, to.log)});
  }

  const Document& document_;
  Manifest& manifest_;
  std::string prefix_ = "permissions.";
  bool operator_ = false;
};

}  // namespace

tl::expected<Manifest, Errors> read_manifest(const std::filesystem::path& file) {
  pipeline::ReadLimits limits;
  limits.bytes = kMaxManifest;
  const auto document = pipeline::read_yaml_file(file, file.string(), limits);
  if (!document) return tl::unexpected(Errors{document.error()});
  Manifest manifest;
  manifest.file = file;
  Reading reading(**document, manifest);
  reading.all();
  if (!reading.errors.empty()) return tl::unexpected(std::move(reading.errors));
  return manifest;
}

tl::expected<Permissions, Errors> read_permissions(const Document& document, const Node& node,
                                                   const std::string& path, const Permissions& manifest) {
  Manifest scratch;
  scratch.permissions = manifest;
  Reading reading(document, scratch);
  reading.of_operator(node, path);
  if (!reading.errors.empty()) return tl::unexpected(std::move(reading.errors));
  return std::move(scratch.permissions);
}

tl::expected<Limits, Errors> read_limits(const Document& document, const Node& node, const std::string& path,
                                         const Limits& manifest) {
  Manifest scratch;
  scratch.limits = manifest;
  Reading reading(document, scratch);
  reading.limits_of_operator(node, path);
  if (!reading.errors.empty()) return tl::unexpected(std::move(reading.errors));
  return scratch.limits;
}

}  // namespace pf::extension
