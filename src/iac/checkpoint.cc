#include "iac/checkpoint.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/digest.h"
#include "base/json.h"
#include "iac/property.h"

namespace pf::iac {
namespace {

// The release whose format this is. Any text is accepted by the CLI as long as `magic` is its digest.
constexpr char kFormat[] = "v3.259.0";
constexpr char kStackType[] = "pulumi:pulumi:Stack";
constexpr char kProviderType[] = "pulumi:providers:pulumi";
constexpr char kStashType[] = "pulumi:index:Stash";

std::string urn(const StackId& id, const std::string& type, const std::string& name) {
  return "urn:pulumi:" + id.stack + "::" + id.project + "::" + type + "::" + name;
}
std::string stack_urn(const StackId& id) { return urn(id, kStackType, id.project + "-" + id.stack); }
std::string provider_urn(const StackId& id) { return urn(id, kProviderType, "default"); }
std::string stash_urn(const StackId& id) { return urn(id, kStashType, "state"); }

/// Reads one file; every check names the key that it fails for.
class Parser {
 public:
  Parser(const StackId& id, const std::filesystem::path& file) : id_(id), file_(file) {}

  Result<Checkpoint> parse(std::string_view text) {
    if (text.starts_with("\x1f\x8b") || text.starts_with("\x28\xb5\x2f\xfd")) {
      return unsupported("", "the file is compressed");
    }
    auto root = parse_state_json(text);
    if (!root) return damaged("", "it is no JSON: " + root.error().message);
    if (auto known = object(*root, "", {"version", "checkpoint"}); !known)
      return tl::unexpected(known.error());
    if (root->empty()) return out_;  // a stack that was never updated
    const auto version = root->find("version");
    if (version == root->end() || !version->is_number_integer() || *version != 3) {
      return unsupported("version", "it is " + (version == root->end() ? "missing" : version->dump()) +
                                        ", this engine knows version 3");
    }
    const auto checkpoint = root->find("checkpoint");
    if (checkpoint == root->end()) return damaged("checkpoint", "it is missing");
    if (auto known = object(*checkpoint, "checkpoint", {"stack", "latest"}); !known) {
      return tl::unexpected(known.error());
    }
    const auto latest = checkpoint->find("latest");
    if (latest == checkpoint->end() || latest->is_null()) return out_;
    if (auto done = parse_latest(*latest, "checkpoint.latest"); !done) return tl::unexpected(done.error());
    return out_;
  }

 private:
  Result<void> parse_latest(const Json& latest, const std::string& path) {
    auto known = object(latest, path,
                        {"manifest", "secrets_providers", "resources", "pending_operations", "metadata"});
    if (!known) return known;
    if (const auto manifest = latest.find("manifest"); manifest != latest.end()) {
      if (auto done = check_manifest(*manifest, path + ".manifest"); !done) return done;
    }
    if (const auto secrets = latest.find("secrets_providers");
        secrets != latest.end() && !secrets->is_null()) {
      const std::string here = path + ".secrets_providers";
      if (known = object(*secrets, here, {"type", "state"}); !known) return known;
      if (!secrets->contains("type") || !(*secrets)["type"].is_string())
        return damaged(here + ".type", "it is no text");
      out_.secrets_providers = "{\"type\":" + go_string((*secrets)["type"].get_ref<const std::string&>());
      if (secrets->contains("state")) {
        out_.secrets_providers += ",\"state\":";
        append_go_json(out_.secrets_providers, (*secrets)["state"]);
      }
      out_.secrets_providers += '}';
    }
    if (const auto pending = latest.find("pending_operations"); pending != latest.end()) {
      if (!pending->is_null() && !pending->empty()) {
        return unsupported(path + ".pending_operations", "an operation of another program was interrupted");
      }
    }
    if (const auto metadata = latest.find("metadata"); metadata != latest.end() && !metadata->is_null()) {
      if (known = object(*metadata, path + ".metadata", {}); !known) return known;
    }
    const auto resources = latest.find("resources");
    if (resources == latest.end() || resources->is_null()) return {};
    if (!resources->is_array()) return damaged(path + ".resources", "it is no list");
    for (size_t i = 0; i < resources->size(); ++i) {
      const std::string here = path + ".resources[" + std::to_string(i) + "]";
      if (auto done = parse_resource((*resources)[i], here); !done) return done;
    }
    if (has_provider_ && !out_.has_stash) {
      return unsupported(path + ".resources", "there is a provider without the Stash `state`");
    }
    return {};
  }

  Result<void> check_manifest(const Json& manifest, const std::string& path) {
    if (auto known = object(manifest, path, {"time", "magic", "version"}); !known) return known;
    auto magic = text(manifest, "magic", path);
    if (!magic) return tl::unexpected(magic.error());
    auto version = text(manifest, "version", path);
    if (!version) return tl::unexpected(version.error());
    if (magic->empty() && version->empty()) return {};
    if (*magic != sha256_hex(*version)) {
      return damaged(path + ".magic",
                     "it is not the SHA-256 of manifest.version: the file was tampered with or corrupted");
    }
    return {};
  }

  Result<void> parse_resource(const Json& resource, const std::string& path) {
    if (!resource.is_object()) return damaged(path, "it is no object");
    auto name = text(resource, "urn", path);
    if (!name) return tl::unexpected(name.error());
    if (*name == stack_urn(id_)) return parse_stack(resource, path);
    if (*name == provider_urn(id_)) return parse_provider(resource, path);
    if (*name == stash_urn(id_)) return parse_stash(resource, path);
    if (name->empty()) return damaged(path + ".urn", "it is missing");
    return unsupported(path + ".urn", "the resource " + go_string(*name) + " is not of this engine's making");
  }

  Result<void> parse_stack(const Json& resource, const std::string& path) {
    if (out_.has_stack) return damaged(path, "the Stack resource is there twice");
    if (auto known = object(resource, path, {"urn", "custom", "type", "outputs", "created", "modified"});
        !known) {
      return known;
    }
    if (auto done = check_head(resource, path, kStackType, false, out_.stack); !done) return done;
    auto outputs = values(resource, "outputs", path);
    if (!outputs) return tl::unexpected(outputs.error());
    if (!outputs->empty()) append_go_json(out_.outputs, *outputs);
    out_.has_stack = true;
    return {};
  }

  Result<void> parse_provider(const Json& resource, const std::string& path) {
    if (has_provider_) return damaged(path, "the provider is there twice");
    if (auto known = object(resource, path, {"urn", "custom", "id", "type", "created", "modified"}); !known)
      return known;
    if (auto done = check_head(resource, path, kProviderType, true, out_.provider); !done) return done;
    has_provider_ = true;
    return {};
  }

  Result<void> parse_stash(const Json& resource, const std::string& path) {
    if (out_.has_stash) return damaged(path, "the Stash is there twice");
    auto known = object(resource, path,
                        {"urn", "custom", "id", "type", "inputs", "outputs", "parent", "provider",
                         "propertyDependencies", "created", "modified"});
    if (!known) return known;
    if (auto done = check_head(resource, path, kStashType, true, out_.stash); !done) return done;
    auto parent = text(resource, "parent", path);
    if (!parent) return tl::unexpected(parent.error());
    // The CLI demands that both stand earlier in the list, and so do we.
    if (!out_.has_stack || *parent != stack_urn(id_)) {
      return damaged(path + ".parent", "it does not name the Stack resource, or that comes after it");
    }
    auto provider = text(resource, "provider", path);
    if (!provider) return tl::unexpected(provider.error());
    if (!has_provider_ || *provider != provider_urn(id_) + "::" + out_.provider.id) {
      return damaged(path + ".provider", "it does not name the default provider, or that comes after it");
    }
    if (const auto found = resource.find("propertyDependencies"); found != resource.end()) {
      const std::string here = path + ".propertyDependencies";
      if (known = object(*found, here, {"input"}); !known) return known;
      for (const auto& [key, list] : found->items()) {
        if (!list.empty()) return unsupported(here + "." + key, "the state depends on other resources");
      }
    }
    auto inputs = values(resource, "inputs", path);
    if (!inputs) return tl::unexpected(inputs.error());
    if (known = object(*inputs, path + ".inputs", {"input"}); !known) return known;
    auto outputs = values(resource, "outputs", path);
    if (!outputs) return tl::unexpected(outputs.error());
    if (known = object(*outputs, path + ".outputs", {"input", "output"}); !known) return known;
    const auto input = inputs->find("input");
    if (input != inputs->end() && !input->is_object()) {
      return unsupported(path + ".inputs.input", "the state is no map");
    }
    if (input != inputs->end() && !input->empty()) append_go_json(out_.state, *input);
    out_.has_stash = true;
    return {};
  }

  Result<void> check_head(const Json& resource, const std::string& path, const char* type, bool custom,
                          Identity& identity) {
    auto found = text(resource, "type", path);
    if (!found) return tl::unexpected(found.error());
    if (*found != type)
      return damaged(path + ".type", "it is " + go_string(*found) + ", its URN says " + type);
    const auto flag = resource.find("custom");
    if (flag == resource.end() || !flag->is_boolean() || flag->get<bool>() != custom) {
      return damaged(path + ".custom", std::string("it has to be ") + (custom ? "true" : "false"));
    }
    for (const auto& [key, target] :
         {std::pair{"id", &identity.id}, {"created", &identity.created}, {"modified", &identity.modified}}) {
      auto value = text(resource, key, path);
      if (!value) return tl::unexpected(value.error());
      *target = std::move(*value);
    }
    if (custom && identity.id.empty()) return damaged(path + ".id", "it is missing");
    return {};
  }

  // A text that may be missing.
  Result<std::string> text(const Json& object, const char* key, const std::string& path) {
    const auto found = object.find(key);
    if (found == object.end()) return std::string();
    if (!found->is_string()) return damaged(path + "." + key, "it is no text");
    return found->get<std::string>();
  }

  // A map of values that may be missing.
  Result<Json> values(const Json& resource, const char* key, const std::string& path) {
    const auto found = resource.find(key);
    if (found == resource.end() || found->is_null()) return Json::object();
    if (!found->is_object()) return damaged(path + "." + key, "it is no object");
    if (auto special = find_special(*found, path + "." + key); !special.empty()) {
      return unsupported(special, "it is a secret, an asset or an unknown value");
    }
    return *found;
  }

  Result<void> object(const Json& value, const std::string& path,
                      std::initializer_list<std::string_view> known) {
    if (!value.is_object()) return damaged(path, "it is no object");
    for (const auto& [key, item] : value.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      return unsupported(path.empty() ? key : path + "." + key, "this engine does not know the key");
    }
    return {};
  }

  tl::unexpected<Error> unsupported(const std::string& path, const std::string& what) {
    return refuse(
        "stack.unsupported", file_.string() + (path.empty() ? "" : " at " + path) + ": " + what,
        "go on with the pulumi CLI for this stack, or give the instance another stack name (its key "
        "`stack`); the file was left as it is",
        {file_.string(), 0, 0, path});
  }
  tl::unexpected<Error> damaged(const std::string& path, const std::string& what) {
    return refuse("stack.damaged", file_.string() + (path.empty() ? "" : " at " + path) + ": " + what,
                  "restore it from " + file_.filename().string() +
                      ".bak beside it or from a backup; the file was left "
                      "as it is",
                  {file_.string(), 0, 0, path});
  }

  const StackId& id_;
  const std::filesystem::path& file_;
  Checkpoint out_;
  bool has_provider_ = false;
};

void append_times(std::string& out, const Identity& identity) {
  if (!identity.created.empty()) out += ",\"created\":" + go_string(identity.created);
  if (!identity.modified.empty()) out += ",\"modified\":" + go_string(identity.modified);
  out += '}';
}

}  // namespace

Result<Checkpoint> parse_checkpoint(std::string_view text, const StackId& id,
                                    const std::filesystem::path& file) {
  return Parser(id, file).parse(text);
}

std::string print_checkpoint(const Checkpoint& checkpoint, const StackId& id, WallTime now) {
  std::string out =
      "{\"version\":3,\"checkpoint\":{\"stack\":" + go_string("organization/" + id.project + "/" + id.stack) +
      ",\"latest\":{\"manifest\":{\"time\":" + go_string(go_time(now)) +
      ",\"magic\":" + go_string(sha256_hex(kFormat)) + ",\"version\":" + go_string(kFormat) + "}";
  if (!checkpoint.secrets_providers.empty()) out += ",\"secrets_providers\":" + checkpoint.secrets_providers;
  if (checkpoint.has_stack) {
    out += ",\"resources\":[{\"urn\":" + go_string(stack_urn(id)) +
           ",\"custom\":false,\"type\":" + go_string(kStackType);
    if (!checkpoint.outputs.empty()) out += ",\"outputs\":" + checkpoint.outputs;
    append_times(out, checkpoint.stack);
    if (checkpoint.has_stash) {
      out += ",{\"urn\":" + go_string(provider_urn(id)) +
             ",\"custom\":true,\"id\":" + go_string(checkpoint.provider.id) +
             ",\"type\":" + go_string(kProviderType);
      append_times(out, checkpoint.provider);
      const std::string state = checkpoint.state.empty() ? "{}" : checkpoint.state;
      out += ",{\"urn\":" + go_string(stash_urn(id)) +
             ",\"custom\":true,\"id\":" + go_string(checkpoint.stash.id) +
             ",\"type\":" + go_string(kStashType) + ",\"inputs\":{\"input\":" + state +
             "},\"outputs\":{\"input\":" + state + ",\"output\":" + state +
             "},\"parent\":" + go_string(stack_urn(id)) +
             ",\"provider\":" + go_string(provider_urn(id) + "::" + checkpoint.provider.id) +
             ",\"propertyDependencies\":{\"input\":[]}";
      append_times(out, checkpoint.stash);
    }
    out += ']';
  }
  return out + ",\"metadata\":{}}}}";
}

}  // namespace pf::iac
