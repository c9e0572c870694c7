#include "extension/grants.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pf::extension {
namespace {

constexpr size_t kMaxGrants = 10000;  // entries that one expression's lists may come to

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Reads `.key`, `[0]` and `["key"]` in turn; nullopt where something else stands.
std::optional<std::vector<std::string>> parse_steps(std::string_view text) {
  std::vector<std::string> steps;
  while (!text.empty()) {
    if (text.front() == '.') {
      const size_t end =
          static_cast<size_t>(std::find_if_not(text.begin() + 1, text.end(), is_word) - text.begin());
      if (end == 1) return std::nullopt;
      steps.emplace_back(text.substr(1, end - 1));
      text.remove_prefix(end);
      continue;
    }
    if (text.front() != '[' || text.size() < 3) return std::nullopt;
    if (text[1] == '"') {
      const size_t end = text.find("\"]", 2);
      if (end == std::string_view::npos || end == 2) return std::nullopt;
      steps.emplace_back(text.substr(2, end - 2));
      text.remove_prefix(end + 2);
      continue;
    }
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1 || end > 10 ||
        !std::all_of(text.begin() + 1, text.begin() + static_cast<ptrdiff_t>(end),
                     [](char c) { return c >= '0' && c <= '9'; })) {
      return std::nullopt;
    }
    steps.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
  }
  return steps;
}

/// A text that an entry comes to.
struct Text {
  std::string text;
  const FromOutputs* from = nullptr;  // null: a person wrote all of it
};

// Where `path` is one of the values that came from outputs, or below one. Keys are compared as
// pipeline::evaluate writes them, without quotes: a key that holds a dot may be taken for two, which can only
// take a grant away.
const FromOutputs* origin(const std::vector<FromOutputs>& computed, const std::string& path) {
  const auto found = std::find_if(computed.begin(), computed.end(), [&](const FromOutputs& from) {
    return path.starts_with(from.path) && (from.path.empty() || path.size() == from.path.size() ||
                                           path[from.path.size()] == '.' || path[from.path.size()] == '[');
  });
  return found == computed.end() ? nullptr : &*found;
}

// The value at a path, or null; `written` gets the path as pipeline::evaluate writes it.
const Json* find(const Json& config, const std::vector<std::string>& path, std::string& written) {
  const Json* at = &config;
  for (const std::string& step : path) {
    if (at->is_object()) {
      const auto found = at->find(step);
      if (found == at->end()) return nullptr;
      at = &*found;
      if (!written.empty()) written += '.';
      written += step;
    } else if (at->is_array()) {
      if (step.empty() || step.size() > 9 || step.find_first_not_of("0123456789") != std::string::npos)
        return nullptr;
      const auto index = static_cast<size_t>(std::stoul(step));
      if (index >= at->size()) return nullptr;
      at = &(*at)[index];
      written += "[" + std::to_string(index) + "]";
    } else {
      return nullptr;
    }
  }
  return at;
}

bool is_plain(const std::string& text) {
  return !text.empty() && std::none_of(text.begin(), text.end(),
                                       [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; });
}

// The texts that one expression stands for. `alone`: nothing else stands in the entry; within text a number
// will do.
std::vector<Text> values(const Json& config, const std::vector<FromOutputs>& computed, const EntryPart& part,
                         bool alone) {
  std::vector<Text> out;
  std::string written;
  const Json* value = find(config, part.path, written);
  if (value == nullptr) return out;
  const auto add = [&](const Json& item, const std::string& path) {
    const FromOutputs* from = origin(computed, path);
    if (item.is_string() && is_plain(item.get_ref<const std::string&>()))
      out.push_back({item.get<std::string>(), from});
    if (item.is_number_integer() && !alone) out.push_back({to_json_text(item), from});
  };
  if (!value->is_array()) {
    add(*value, written);
    return out;
  }
  for (size_t i = 0; i < value->size(); ++i) add((*value)[i], written + "[" + std::to_string(i) + "]");
  return out;
}

// All texts that an entry comes to: every combination of what its expressions stand for.
std::vector<Text> expand(const std::string& entry, const Json& config,
                         const std::vector<FromOutputs>& computed) {
  const auto parts = parse_entry(entry);
  if (!parts) return {};
  std::vector<Text> texts{Text{}};
  for (const EntryPart& part : *parts) {
    const std::vector<Text> next =
        part.is_config ? values(config, computed, part, parts->size() == 1) : std::vector<Text>{{part.text}};
    if (texts.size() * next.size() > kMaxGrants) return {};
    std::vector<Text> longer;
    for (const auto& text : texts) {
      for (const auto& end : next)
        longer.push_back({text.text + end.text, text.from != nullptr ? text.from : end.from});
    }
    texts = std::move(longer);
  }
  std::erase_if(texts, [](const Text& text) { return !is_plain(text.text); });
  return texts;
}

bool is_below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) &&
         (path.size() == folder.size() || path[folder.size()] == '/' || folder == "/");
}

std::string absolute(const std::filesystem::path& folder, const std::string& text) {
  std::string path = (folder / text).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// `'x' in its config`, for people.
std::string config_words(const std::vector<EntryPart>& parts) {
  std::vector<std::string> fields;
  for (const auto& part : parts) {
    if (part.is_config) fields.push_back("'" + part.text + "'");
  }
  return "its config field " + join(fields, " and ");
}

std::string subject(const std::string& entry, std::string_view what_config, std::string_view what_literal) {
  const auto parts = parse_entry(entry);
  if (parts && parts->size() == 1 && (*parts)[0].is_config) {
    return std::string(what_config) + " in " + config_words(*parts);
  }
  const std::string text = shorten(entry, 120);
  if (parts && std::any_of(parts->begin(), parts->end(), [](const EntryPart& p) { return p.is_config; })) {
    return std::string(what_literal) + " " + text + ", with " + config_words(*parts);
  }
  return std::string(what_literal) + " " + text;
}

std::string http_words(const std::string& entry) {
  const auto parts = parse_entry(entry);
  if (!parts || parts->size() != 1 || (*parts)[0].is_config) {
    return "talks to " + subject(entry, "the host", "the host");
  }
  std::string_view text = entry;
  std::string scheme;
  for (std::string_view prefix : {"http://", "https://"}) {
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    text = text.substr(0, text.find_first_of("/?#"));
    scheme = prefix.substr(0, prefix.size() - 3);
  }
  const bool below = text.starts_with("*.");
  if (below) text.remove_prefix(2);
  std::string_view port;
  const size_t colon = text.starts_with('[') ? text.find("]:") : text.find(':');
  if (colon != std::string_view::npos) {
    const size_t at = text.find(':', text.starts_with('[') ? colon : 0);
    port = text.substr(at + 1);
    text = text.substr(0, at);
  }
  std::string words = (below ? "talks to any host below " : "talks to the host ") + shorten(text, 120);
  if (!port.empty())
    words += " on port " + std::string(port);
  else if (!scheme.empty())
    words += " over " + scheme;
  return words;
}

}  // namespace

Result<std::vector<EntryPart>> parse_entry(std::string_view entry) {
  std::vector<EntryPart> parts;
  const std::string hint = "write ${config.FIELD}, the only expression that a permission may hold";
  const auto bad = [&](std::string_view what) {
    return refuse("manifest.permission",
                  "expected plain text or ${config.FIELD}, found '" + shorten(what, 60) + "'", hint);
  };
  while (!entry.empty()) {
    const size_t open = entry.find("${");
    if (open != 0) {
      const std::string_view text = entry.substr(0, open);
      if (open != std::string_view::npos && text.back() == '$') return bad(entry.substr(open - 1));
      parts.push_back({false, std::string(text), {}});
      if (open == std::string_view::npos) break;
      entry.remove_prefix(open);
      continue;
    }
    const size_t close = entry.find('}');
    const std::string_view whole = entry.substr(0, close == std::string_view::npos ? close : close + 1);
    std::string_view inner = whole;
    constexpr std::string_view kStart = "${config";
    if (close == std::string_view::npos || !whole.starts_with(kStart)) return bad(whole);
    inner = whole.substr(kStart.size(), whole.size() - kStart.size() - 1);
    auto steps = parse_steps(inner);
    if (!steps || steps->empty()) return bad(whole);
    parts.push_back({true, std::string(inner.front() == '.' ? inner.substr(1) : inner), std::move(*steps)});
    entry.remove_prefix(whole.size());
  }
  return parts;
}

api::Grants make_grants(const Permissions& permissions, const Json& config,
                        const Surroundings& surroundings) {
  api::Grants grants;
  const std::string project = absolute(surroundings.project, ".");
  const std::string state = absolute(surroundings.state, ".");
  const auto paths = [&](const std::vector<std::string>& entries, std::vector<api::Grants::Entry>& to) {
    for (const auto& entry : entries) {
      for (const auto& text : expand(entry, config, surroundings.from_outputs)) {
        std::string path = absolute(surroundings.project, text.text);
        const bool good = text.from == nullptr || (is_below(path, project) && !is_below(path, state)) ||
                          std::any_of(text.from->folders.begin(), text.from->folders.end(),
                                      [&](const std::string& folder) { return is_below(path, folder); });
        if (good) to.push_back({std::move(path), text.from == nullptr});
      }
    }
  };
  paths(permissions.read, grants.read);
  paths(permissions.write, grants.write);
  const auto hosts = [&](const std::vector<std::string>& entries, std::vector<api::Grants::Entry>& to) {
    for (const auto& entry : entries) {
      for (auto& text : expand(entry, config, surroundings.from_outputs)) {
        if (text.from == nullptr) to.push_back({std::move(text.text), true});
      }
    }
  };
  hosts(permissions.http, grants.http);
  hosts(permissions.git, grants.git);
  // What another instance's outputs name is none of these.
  const auto names = [&](const std::string& entry) {
    std::vector<std::string> out;
    for (auto& text : expand(entry, config, surroundings.from_outputs)) {
      if (text.from == nullptr) out.push_back(std::move(text.text));
    }
    return out;
  };
  for (const auto& program : permissions.programs) {
    for (auto& name : names(program.name))
      grants.programs.push_back({std::move(name), program.network, program.confined});
  }
  for (const auto& entry : permissions.env) {
    for (auto& name : names(entry)) grants.env.push_back(std::move(name));
  }
  for (const auto& entry : permissions.secrets) {
    for (auto& name : names(entry)) grants.secrets.push_back(std::move(name));
  }
  grants.shm = permissions.shm;
  grants.pty = permissions.pty;
  return grants;
}

std::vector<std::string> plain_words(const Permissions& permissions, const Limits& limits) {
  std::vector<std::string> out;
  for (const auto& entry : permissions.http) out.push_back(http_words(entry));
  for (const auto& entry : permissions.read) {
    out.push_back("reads " + subject(entry, "the file or folder", "the file or folder"));
  }
  for (const auto& entry : permissions.write) {
    out.push_back("writes " + subject(entry, "the file or folder", "the file or folder"));
  }
  if (permissions.shm) out.emplace_back("lets its programs share memory with others in /dev/shm");
  if (permissions.pty) out.emplace_back("lets its programs make terminals");
  for (const auto& program : permissions.programs) {
    out.push_back("runs " + subject(program.name, "the program", "the program") +
                  (!program.confined ? ", unconfined: with all rights of the user"
                   : program.network ? ", with the network"
                                     : ", without the network"));
  }
  for (const auto& entry : permissions.env) {
    out.push_back("reads " + subject(entry, "the environment variable", "the environment variable"));
  }
  for (const auto& entry : permissions.git)
    out.push_back("uses git at " + subject(entry, "the host", "the host"));
  for (const auto& entry : permissions.secrets)
    out.push_back("uses " + subject(entry, "the secret", "the secret"));
  if (out.empty()) out.emplace_back("touches nothing but its own work folder");
  out.push_back("takes at most " + format_bytes(limits.memory) + " of memory and gives at most " +
                format_bytes(limits.output) + " of outputs");
  out.push_back("computes for at most " + format_duration(limits.cpu) + " in an attempt" +
                (limits.deadline.count() > 0
                     ? ", and takes at most " + format_duration(limits.deadline) + " over all attempts"
                     : ""));
  out.push_back("has at most " + std::to_string(limits.calls) +
                " host calls under way at once, and logs at most " + format_bytes(limits.log) +
                " in an attempt");
  return out;
}

}  // namespace pf::extension
