#include "iac/property_path.h"

#include <charconv>

namespace pf::iac {
namespace {

void restore_below(const PropertyPath& path, size_t at, const Json* before, Json& now) {
  const PathPart& part = path[at];
  const bool last = at + 1 == path.size();
  const auto one = [&](const Json* old, Json& value) { restore_below(path, at + 1, old, value); };
  if (const auto* index = std::get_if<size_t>(&part)) {
    const Json* old =
        before != nullptr && before->is_array() && *index < before->size() ? &(*before)[*index] : nullptr;
    if (!now.is_array() || *index >= now.size()) return;
    if (!last) return one(old, now[*index]);
    if (old != nullptr) now[*index] = *old;
    return;
  }
  if (const auto* key = std::get_if<std::string>(&part)) {
    if (!now.is_object()) return;
    const auto found = before != nullptr && before->is_object() ? before->find(*key) : Json::const_iterator();
    const Json* old = before != nullptr && before->is_object() && found != before->end() ? &*found : nullptr;
    if (last) {
      if (old != nullptr)
        now[*key] = *old;
      else
        now.erase(*key);
      return;
    }
    if (now.contains(*key)) one(old, now[*key]);
    return;
  }
  // Every element: those of both sides.
  if (now.is_array()) {
    for (size_t i = 0; i < now.size(); ++i) {
      const Json* old =
          before != nullptr && before->is_array() && i < before->size() ? &(*before)[i] : nullptr;
      if (!last)
        one(old, now[i]);
      else if (old != nullptr)
        now[i] = *old;
    }
  } else if (now.is_object()) {
    if (last) {
      now = before != nullptr && before->is_object() ? *before : Json::object();
      return;
    }
    for (auto& [key, value] : now.items()) {
      const Json* old =
          before != nullptr && before->is_object() && before->contains(key) ? &(*before)[key] : nullptr;
      one(old, value);
    }
  }
}

}  // namespace

Result<PropertyPath> parse_path(std::string_view text) {
  const std::string_view whole = text;
  const auto wrong = [&](const std::string& what) {
    return refuse("resource.path", "'" + std::string(whole) + "' is no property path: " + what,
                  "write it as a.b[0][\"c.d\"]; * stands for every element");
  };
  PropertyPath out;
  while (!text.empty()) {
    if (text.front() == '[') {
      if (text.size() > 1 && text[1] == '"') {
        std::string key;
        size_t at = 2;
        for (; at < text.size() && text[at] != '"'; ++at) {
          if (text[at] == '\\' && at + 1 < text.size()) ++at;
          key += text[at];
        }
        if (at + 1 >= text.size() || text[at + 1] != ']') return wrong("a [\" without \"]");
        out.emplace_back(std::move(key));
        text.remove_prefix(at + 2);
      } else {
        const size_t end = text.find(']');
        if (end == std::string_view::npos) return wrong("a [ without ]");
        const std::string_view inner = text.substr(1, end - 1);
        size_t index = 0;
        const auto [stop, code] = std::from_chars(inner.data(), inner.data() + inner.size(), index);
        if (inner == "*")
          out.emplace_back(std::monostate());
        else if (code != std::errc() || stop != inner.data() + inner.size())
          return wrong("'" + std::string(inner) + "' is no index");
        else
          out.emplace_back(index);
        text.remove_prefix(end + 1);
      }
      if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        if (text.empty()) return wrong("it ends with a dot");
      }
      continue;
    }
    const size_t end = std::min(text.find_first_of(".["), text.size());
    if (end == 0) return wrong("an empty name");
    const std::string_view name = text.substr(0, end);
    if (name == "*")
      out.emplace_back(std::monostate());
    else
      out.emplace_back(std::string(name));
    text.remove_prefix(end);
    if (!text.empty() && text.front() == '.') {
      text.remove_prefix(1);
      if (text.empty()) return wrong("it ends with a dot");
    }
  }
  if (out.empty()) return wrong("it is empty");
  return out;
}

Result<void> restore(std::string_view path, const Json& before, Json& now) {
  auto parsed = parse_path(path);
  if (!parsed) return tl::unexpected(std::move(parsed.error()));
  restore_below(*parsed, 0, &before, now);
  return {};
}

}  // namespace pf::iac
