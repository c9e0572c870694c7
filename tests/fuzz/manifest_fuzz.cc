// extension.yaml: any text gives either findings with codes and places, or a manifest whose parts the rest of
// the program can use: name, version and range are what they say, every permission can be taken apart, and
// becomes grants and words. The `permissions` of the text are read as an operator's, too. Input: the text.

#include <algorithm>

#include "base/json.h"
#include "extension/grants.h"
#include "extension/manifest.h"
#include "extension/semver.h"
#include "fuzz/fuzz.h"
#include "pipeline/reader.h"

namespace pf::extension {
namespace {

using fuzz::check;

void check_findings(const Errors& errors, std::string_view text) {
  check(!errors.empty(), "what is refused has a finding");
  for (const Error& error : errors) {
    fuzz::check_error(error, text, true);
    check(error.code.starts_with("manifest.") || error.code.starts_with("yaml."), "a finding's code",
          error.text());
  }
}

void use(const Permissions& permissions, const Limits& limits) {
  static const Json kConfig = Json::parse(
      R"({"url": "https://data.example.org/x", "file": "/srv/data/in.csv", "list": ["a", "/b", 3, null],
          "deep": {"a b": ["/tmp/../etc"]}, "host": "example.org:8080"})");
  Surroundings around;
  around.project = "/srv/project";
  around.state = "/srv/project/.pangeo-forge";
  around.from_outputs.push_back({"file", {"/srv/project/.pangeo-forge/work/t/up"}});
  for (const auto* list : {&permissions.http, &permissions.env, &permissions.read, &permissions.write,
                           &permissions.git, &permissions.secrets}) {
    for (const std::string& entry : *list)
      check(parse_entry(entry).has_value(), "an accepted entry can be taken apart", entry);
  }
  const api::Grants grants = make_grants(permissions, kConfig, around);
  for (const auto* list : {&grants.read, &grants.write}) {
    for (const auto& entry : *list)
      check(entry.value.starts_with('/') && entry.value.find('\0') == std::string::npos,
            "a granted path is absolute", entry.value);
  }
  for (const std::string& words : plain_words(permissions, limits)) {
    check(!words.empty() && std::none_of(words.begin(), words.end(),
                                         [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }),
          "words for people hold no control characters", words);
  }
}

void one(std::string_view text) {
  static const fuzz::MemoryFile file;
  file.fill(text);
  const auto manifest = read_manifest(file.path);
  if (!manifest) {
    check_findings(manifest.error(), text);
  } else {
    check(!manifest->name.empty() && SemVer::parse(manifest->version).has_value(), "a name and a version",
          manifest->version);
    check(
        version_matches("1.0.0", manifest->requires_core.empty() ? "*" : manifest->requires_core).has_value(),
        "a range can be used", manifest->requires_core);
    check(manifest->limits.memory > 0 && manifest->limits.cpu.count() > 0 && manifest->limits.output > 0,
          "limits are above zero");
    for (const auto& program : manifest->permissions.programs)
      check(program.confined, "only an operator can lift the confinement", program.name);
    use(manifest->permissions, manifest->limits);
  }
  const auto document = pipeline::read_yaml(text, "p.yaml", "/");
  if (!document) return;
  const pipeline::Node* node = (*document)->root().find("permissions");
  if (node == nullptr) return;
  const auto narrowed = read_permissions(**document, *node, "t.x.permissions", Permissions{});
  if (!narrowed) {
    check(!narrowed.error().empty(), "what is refused has a finding");
    for (const Error& error : narrowed.error()) fuzz::check_error(error, text, true);
  } else {
    use(*narrowed, Limits{});
  }
}

}  // namespace
}  // namespace pf::extension

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::extension::one(pf::fuzz::view(data, size));
  return 0;
}
