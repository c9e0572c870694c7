#include "extension/descriptions.h"

#include <algorithm>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/version.h"

namespace pf::extension {
namespace {

// Of the file; stdlib/schema.lua may say other things in another version of the program, hence `core`.
constexpr int kFormat = 1;
constexpr uint64_t kMaxFile = 16U << 20;

bool is_digest(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

std::optional<Json> Descriptions::find(const std::string& digest) const {
  if (!is_digest(digest)) return std::nullopt;
  const auto text = read_file(folder_ / (digest + ".json"), kMaxFile);
  if (!text) return std::nullopt;
  auto json = parse_json(*text);
  if (!json || !json->is_object()) return std::nullopt;
  const auto is = [&](const char* key, const Json& value) {
    return json->contains(key) && (*json)[key] == value;
  };
  if (!is("format", kFormat) || !is("core", kVersion) || !is("package", digest)) return std::nullopt;
  const auto description = json->find("description");
  if (description == json->end() || !is("sha256", sha256_hex(to_json_text(*description))))
    return std::nullopt;
  return std::move(*description);
}

Result<void> Descriptions::put(const std::string& digest, const Json& description) const {
  if (!is_digest(digest)) return refuse("extension.digest", "'" + digest + "' is no package digest");
  if (auto made = make_folders(folder_); !made) return made;
  const Json json = {{"format", kFormat},
                     {"core", kVersion},
                     {"package", digest},
                     {"sha256", sha256_hex(to_json_text(description))},
                     {"description", description}};
  return write_file(folder_ / (digest + ".json"), to_json_text(json));
}

}  // namespace pf::extension
