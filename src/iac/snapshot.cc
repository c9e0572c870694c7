#include "iac/snapshot.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>
#include <variant>

#include "base/digest.h"
#include "iac/property.h"

namespace pf::iac {
namespace {

// The release whose format this is. Any text is accepted by the CLI as long as `magic` is its digest.
constexpr char kFormat[] = "v3.259.0";

using Strings = std::vector<std::string>;
using Lists = std::map<std::string, Urns>;

/// A key of a resource: in the order in which the CLI writes them, for reading and for writing.
struct Key {
  const char* name;
  std::variant<std::string Resource::*, bool Resource::*, Strings Resource::*, Lists Resource::*,
               Json Resource::*>
      member;
  enum { if_set, always, object } kind = if_set;  // `object`: JSON that has to be one
};
const Key kKeys[] = {{"urn", &Resource::urn, Key::always},
                     {"custom", &Resource::custom, Key::always},
                     {"delete", &Resource::condemned},
                     {"id", &Resource::id},
                     {"type", &Resource::type, Key::always},
                     {"inputs", &Resource::inputs, Key::object},
                     {"outputs", &Resource::outputs, Key::object},
                     {"parent", &Resource::parent},
                     {"protect", &Resource::protect},
                     {"external", &Resource::external},
                     {"dependencies", &Resource::dependencies},
                     {"initErrors", &Resource::init_errors},
                     {"provider", &Resource::provider},
                     {"propertyDependencies", &Resource::property_dependencies},
                     {"pendingReplacement", &Resource::pending_replacement},
                     {"additionalSecretOutputs", &Resource::additional_secret_outputs},
                     {"aliases", &Resource::aliases},
                     {"customTimeouts", &Resource::custom_timeouts, Key::object},
                     {"importID", &Resource::import_id},
                     {"retainOnDelete", &Resource::retain_on_delete},
                     {"deletedWith", &Resource::deleted_with},
                     {"created", &Resource::created},
                     {"modified", &Resource::modified},
                     {"sourcePosition", &Resource::source_position},
                     {"stackTrace", &Resource::stack_trace},
                     {"ignoreChanges", &Resource::ignore_changes},
                     {"hideDiff", &Resource::hide_diff},
                     {"replaceOnChanges", &Resource::replace_on_changes},
                     {"replacementTrigger", &Resource::replacement_trigger}};

constexpr std::pair<PendingOperation::Type, std::string_view> kPending[] = {
    {PendingOperation::Type::creating, "creating"},
    {PendingOperation::Type::updating, "updating"},
    {PendingOperation::Type::deleting, "deleting"},
    {PendingOperation::Type::reading, "reading"}};

/// Reads one file; every check names the key that it fails for.
class Parser {
 public:
  explicit Parser(const std::filesystem::path& file) : file_(file) {}

  Result<Snapshot> parse(std::string_view text) {
    if (text.starts_with("\x1f\x8b") || text.starts_with("\x28\xb5\x2f\xfd"))
      return unsupported("", "the file is compressed");
    auto root = parse_state_json(text);
    if (!root) return damaged("", "it is no JSON: " + root.error().message);
    if (auto known = object(*root, "", {"version", "checkpoint"}); !known)
      return tl::unexpected(known.error());
    Snapshot out;
    // `stack init` writes version 0 with a checkpoint that has nothing but the name.
    const auto version = root->find("version");
    const auto checkpoint = root->find("checkpoint");
    if (checkpoint == root->end()) {
      if (root->empty()) return out;  // a stack that was never updated
      return damaged("checkpoint", "it is missing");
    }
    if (auto known = object(*checkpoint, "checkpoint", {"stack", "latest"}); !known)
      return tl::unexpected(known.error());
    const auto latest = checkpoint->find("latest");
    if (latest == checkpoint->end() || latest->is_null()) return out;
    if (version == root->end() || !version->is_number_integer() || *version != 3) {
      return unsupported("version", "it is " + (version == root->end() ? "missing" : version->dump()) +
                                        ", this engine knows version 3");
    }
    if (auto done = parse_latest(*latest, "checkpoint.latest", out); !done)
      return tl::unexpected(done.error());
    return out;
  }

  Result<Resource> resource(const Json& value, const std::string& path) {
    if (!value.is_object()) return damaged(path, "it is no object");
    Resource out;
    for (const auto& [name, item] : value.items()) {
      const auto key = std::find_if(std::begin(kKeys), std::end(kKeys),
                                    [&, &name = name](const Key& k) { return name == k.name; });
      const std::string here = path + "." + name;
      if (key == std::end(kKeys)) return unsupported(here, "this engine does not know the key");
      if (item.is_null()) continue;
      auto taken = std::visit([&, &item = item](auto member) { return take(item, here, *key, out.*member); },
                              key->member);
      if (!taken) return tl::unexpected(taken.error());
    }
    if (out.urn.empty()) return damaged(path + ".urn", "it is missing");
    if (urn_name(out.urn).empty()) return damaged(path + ".urn", go_string(out.urn) + " is no URN");
    if (out.type.empty()) return damaged(path + ".type", "it is missing");
    const std::string_view qualified = urn_qualified_type(out.urn);
    if (qualified != out.type && !qualified.ends_with("$" + out.type)) {
      return damaged(path + ".type",
                     "it is " + go_string(out.type) + ", its URN says " + go_string(qualified));
    }
    if (!out.custom && !out.id.empty()) return damaged(path + ".id", "a component has none");
    for (const auto& [values, name] : {std::pair{&out.inputs, "inputs"}, {&out.outputs, "outputs"}}) {
      if (auto known = check_values(*values, path + "." + name); !known) return tl::unexpected(known.error());
    }
    return out;
  }

 private:
  Result<void> parse_latest(const Json& latest, const std::string& path, Snapshot& out) {
    auto known = object(latest, path,
                        {"manifest", "secrets_providers", "resources", "pending_operations", "metadata"});
    if (!known) return known;
    if (const auto manifest = latest.find("manifest"); manifest != latest.end()) {
      if (auto done = take_manifest(*manifest, path + ".manifest", out); !done) return done;
    }
    if (const auto secrets = latest.find("secrets_providers");
        secrets != latest.end() && !secrets->is_null()) {
      const std::string here = path + ".secrets_providers";
      if (known = object(*secrets, here, {"type", "state"}); !known) return known;
      if (!secrets->contains("type") || !(*secrets)["type"].is_string())
        return damaged(here + ".type", "it is no text");
      out.secrets_providers = *secrets;
    }
    if (const auto metadata = latest.find("metadata"); metadata != latest.end() && !metadata->is_null()) {
      if (known = object(*metadata, path + ".metadata", {}); !known) return known;
    }
    if (auto done = each(latest, "resources", path,
                         [&](const Json& value, const std::string& here) -> Result<void> {
                           auto parsed = resource(value, here);
                           if (!parsed) return tl::unexpected(parsed.error());
                           out.resources.push_back(std::move(*parsed));
                           return {};
                         });
        !done) {
      return done;
    }
    return each(
        latest, "pending_operations", path, [&](const Json& value, const std::string& here) -> Result<void> {
          if (auto fine = object(value, here, {"resource", "type"}); !fine) return fine;
          const auto type = value.find("type");
          const auto named = std::find_if(std::begin(kPending), std::end(kPending), [&](const auto& one) {
            return type != value.end() && type->is_string() && *type == one.second;
          });
          if (named == std::end(kPending))
            return unsupported(here + ".type", "this engine does not know the operation");
          if (!value.contains("resource")) return damaged(here + ".resource", "it is missing");
          auto parsed = resource(value["resource"], here + ".resource");
          if (!parsed) return tl::unexpected(parsed.error());
          out.pending.push_back({named->first, std::move(*parsed)});
          return {};
        });
  }

  template <typename Take>
  Result<void> each(const Json& latest, const char* key, const std::string& path, const Take& take_one) {
    const auto found = latest.find(key);
    if (found == latest.end() || found->is_null()) return {};
    if (!found->is_array()) return damaged(path + "." + key, "it is no list");
    for (size_t i = 0; i < found->size(); ++i) {
      if (auto done = take_one((*found)[i], path + "." + key + "[" + std::to_string(i) + "]"); !done)
        return done;
    }
    return {};
  }

  Result<void> take_manifest(const Json& manifest, const std::string& path, Snapshot& out) {
    // `plugins` was written by older releases; the CLI leaves it out today.
    if (auto known = object(manifest, path, {"time", "magic", "version"}); !known) return known;
    std::string magic;
    std::string version;
    for (const auto& [key, target] :
         {std::pair{"time", &out.time}, {"magic", &magic}, {"version", &version}}) {
      const auto found = manifest.find(key);
      if (found == manifest.end()) continue;
      if (!found->is_string()) return damaged(path + "." + key, "it is no text");
      *target = found->get<std::string>();
    }
    if ((!magic.empty() || !version.empty()) && magic != sha256_hex(version)) {
      return damaged(path + ".magic",
                     "it is not the SHA-256 of manifest.version: the file was tampered with or corrupted");
    }
    return {};
  }

  Result<void> take(const Json& value, const std::string& path, const Key&, std::string& out) {
    if (!value.is_string()) return damaged(path, "it is no text");
    out = value.get<std::string>();
    return {};
  }
  Result<void> take(const Json& value, const std::string& path, const Key&, bool& out) {
    if (!value.is_boolean()) return damaged(path, "it is neither true nor false");
    out = value.get<bool>();
    return {};
  }
  Result<void> take(const Json& value, const std::string& path, const Key&, Strings& out) {
    if (!value.is_array()) return damaged(path, "it is no list");
    for (const Json& one : value) {
      if (!one.is_string()) return damaged(path, "it is no list of texts");
      out.push_back(one.get<std::string>());
    }
    return {};
  }
  Result<void> take(const Json& value, const std::string& path, const Key& key, Lists& out) {
    if (!value.is_object()) return damaged(path, "it is no object");
    for (const auto& [name, list] : value.items()) {
      Urns& urns = out[name];
      if (list.is_null()) continue;
      if (auto taken = take(list, path + "." + name, key, urns); !taken) return taken;
    }
    return {};
  }
  Result<void> take(const Json& value, const std::string& path, const Key& key, Json& out) {
    if (key.kind == Key::object && !value.is_object()) return damaged(path, "it is no object");
    if (!value.empty()) out = value;
    return {};
  }

  // Special values have to be ones that this engine knows.
  Result<void> check_values(const Json& value, const std::string& path) {
    if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) {
        if (auto fine = check_values(value[i], path + "[" + std::to_string(i) + "]"); !fine) return fine;
      }
    }
    if (!value.is_object()) return {};
    const Special special = special_of(value);
    if (special == Special::unrecognised)
      return damaged(path, "it is a special value that this engine does not know");
    if (special == Special::secret && !value.contains("ciphertext") && !value.contains("plaintext")) {
      return damaged(path, "it is a secret with neither `ciphertext` nor `plaintext`");
    }
    for (const auto& [key, item] : value.items()) {
      if (auto fine = check_values(item, path + "." + key); !fine) return fine;
    }
    return {};
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
                      ".bak beside it or from a backup; the file was left as it is",
                  {file_.string(), 0, 0, path});
  }

  const std::filesystem::path& file_;
};

/// Prints the value of one key; false: it is left out.
class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  void resource(const Resource& resource) {
    out_ += '{';
    bool first = true;
    for (const Key& key : kKeys) {
      std::visit(
          [&](auto member) {
            const auto& value = resource.*member;
            if (key.kind != Key::always && is_empty(value)) return;
            if (!std::exchange(first, false)) out_ += ',';
            out_ += '"';
            out_ += key.name;
            out_ += "\":";
            print(value);
          },
          key.member);
    }
    out_ += '}';
  }

 private:
  static bool is_empty(const std::string& value) { return value.empty(); }
  static bool is_empty(bool value) { return !value; }
  static bool is_empty(const Strings& value) { return value.empty(); }
  static bool is_empty(const Lists& value) { return value.empty(); }
  static bool is_empty(const Json& value) {
    return value.is_null() || (value.is_structured() && value.empty());
  }

  void print(const std::string& value) { out_ += go_string(value); }
  void print(bool value) { out_ += value ? "true" : "false"; }
  void print(const Strings& value) {
    out_ += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i != 0) out_ += ',';
      out_ += go_string(value[i]);
    }
    out_ += ']';
  }
  void print(const Lists& value) {
    out_ += '{';
    bool first = true;
    for (const auto& [name, list] : value) {
      if (!std::exchange(first, false)) out_ += ',';
      out_ += go_string(name) + ':';
      print(list);
    }
    out_ += '}';
  }
  void print(const Json& value) { append_go_json(out_, value); }

  std::string& out_;
};

}  // namespace

std::string_view to_text(PendingOperation::Type type) {
  for (const auto& [one, text] : kPending) {
    if (one == type) return text;
  }
  return {};
}

Result<Snapshot> parse_snapshot(std::string_view text, const std::filesystem::path& file) {
  return Parser(file).parse(text);
}

Result<Resource> parse_resource(const Json& value, const std::string& path,
                                const std::filesystem::path& file) {
  return Parser(file).resource(value, path);
}

void append_resource(std::string& out, const Resource& resource) { Printer(out).resource(resource); }

std::string print_snapshot(const Snapshot& snapshot, const StackId& id, WallTime now) {
  std::string out =
      "{\"version\":3,\"checkpoint\":{\"stack\":" + go_string("organization/" + id.project + "/" + id.stack) +
      ",\"latest\":{\"manifest\":{\"time\":" + go_string(go_time(now)) +
      ",\"magic\":" + go_string(sha256_hex(kFormat)) + ",\"version\":" + go_string(kFormat) + "}";
  if (!snapshot.secrets_providers.is_null()) {
    // The CLI's order: the type first, where an object's keys are sorted elsewhere.
    out += ",\"secrets_providers\":{\"type\":" +
           go_string(snapshot.secrets_providers["type"].get_ref<const std::string&>());
    if (const auto state = snapshot.secrets_providers.find("state");
        state != snapshot.secrets_providers.end()) {
      out += ",\"state\":";
      append_go_json(out, *state);
    }
    out += '}';
  }
  const auto list = [&](const char* key, const auto& items, const auto& print) {
    if (items.empty()) return;
    out += std::string(",\"") + key + "\":[";
    for (size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out += ',';
      print(items[i]);
    }
    out += ']';
  };
  list("resources", snapshot.resources, [&](const Resource& resource) { append_resource(out, resource); });
  list("pending_operations", snapshot.pending, [&](const PendingOperation& pending) {
    out += "{\"resource\":";
    append_resource(out, pending.resource);
    out += ",\"type\":" + go_string(to_text(pending.type)) + '}';
  });
  return out + ",\"metadata\":{}}}}";
}

Result<void> check_integrity(const Snapshot& snapshot, const std::filesystem::path& file) {
  std::set<std::string_view> all;
  for (const Resource& resource : snapshot.resources) all.insert(resource.urn);
  std::set<std::string_view> before;
  std::set<std::string> providers;
  std::set<std::string_view> lasting;
  for (size_t i = 0; i < snapshot.resources.size(); ++i) {
    const Resource& resource = snapshot.resources[i];
    const std::string path = "checkpoint.latest.resources[" + std::to_string(i) + "]";
    const auto damaged = [&](const std::string& what) {
      return refuse(
          "stack.damaged", file.string() + " at " + path + ": " + what,
          "restore it from " + file.filename().string() +
              ".bak beside it or from a backup, or mend it with `pulumi state repair`; the file was left as "
              "it is",
          {file.string(), 0, 0, path});
    };
    const auto stands = [&](const Urn& urn, const std::string& what) -> Result<void> {
      if (before.contains(urn)) return {};
      return damaged(what + " " + urn + (all.contains(urn) ? " comes after it" : " is missing"));
    };
    if (!resource.parent.empty()) {
      if (auto fine = stands(resource.parent, "its parent"); !fine) return fine;
    }
    if (!resource.provider.empty() && !providers.contains(resource.provider)) {
      return damaged("its provider " + resource.provider + " is missing, or comes after it");
    }
    for (const Urn& urn : resource.dependencies) {
      if (auto fine = stands(urn, "its dependency"); !fine) return fine;
    }
    for (const auto& [property, urns] : resource.property_dependencies) {
      for (const Urn& urn : urns) {
        if (auto fine = stands(urn, "the dependency of its input " + property); !fine) return fine;
      }
    }
    if (!resource.deleted_with.empty()) {
      if (auto fine = stands(resource.deleted_with, "what it is deleted with,"); !fine) return fine;
    }
    if (resource.custom && resource.id.empty()) return damaged("it has no id");
    if (!resource.condemned && !lasting.insert(resource.urn).second) return damaged("it is there twice");
    if (resource.type.starts_with("pulumi:providers:")) providers.insert(resource.urn + "::" + resource.id);
    before.insert(resource.urn);
  }
  return {};
}

Urn make_urn(const StackId& id, const Urn& parent, std::string_view type, std::string_view name) {
  std::string qualified(type);
  const std::string_view above = urn_qualified_type(parent);
  if (!above.empty() && above != "pulumi:pulumi:Stack") qualified = std::string(above) + "$" + qualified;
  return "urn:pulumi:" + id.stack + "::" + id.project + "::" + qualified + "::" + std::string(name);
}

namespace {

// The part of a URN after so many `::`; a name may hold more of them.
std::string_view urn_part(std::string_view urn, int number) {
  if (!urn.starts_with("urn:pulumi:")) return {};
  for (int i = 0; i < number; ++i) {
    const size_t at = urn.find("::");
    if (at == std::string_view::npos) return {};
    urn.remove_prefix(at + 2);
  }
  return urn;
}

}  // namespace

std::string_view urn_name(std::string_view urn) { return urn_part(urn, 3); }

std::string_view urn_qualified_type(std::string_view urn) {
  const std::string_view rest = urn_part(urn, 2);
  return rest.substr(0, std::min(rest.find("::"), rest.size()));
}

}  // namespace pf::iac
