// The file of one stack in the format of Pulumi's DIY backend (version 3; field names and order as in
// pulumi/pulumi, sdk/go/common/apitype/core.go), whoever wrote it. What this program does not know is refused
// by its key, never dropped. Thread-safe: no state.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "iac/engine.h"

namespace pf::iac {

using Urn = std::string;
using Urns = std::vector<Urn>;

/// One resource as a state file has it. Empty and false are what is left out of the file.
struct Resource {
  Urn urn;
  bool custom = false;     // a component otherwise, which has no id
  bool condemned = false;  // `delete`: replaced, and still to be deleted
  std::string id;
  std::string type;
  Json inputs;  // objects in the encoding of property.h; null where there is none
  Json outputs;
  Urn parent;
  bool protect = false;
  bool external = false;  // read, not made
  Urns dependencies;
  std::vector<std::string> init_errors;
  std::string provider;  // `URN::ID`
  std::map<std::string, Urns> property_dependencies;
  bool pending_replacement = false;
  std::vector<std::string> additional_secret_outputs;
  Urns aliases;
  Json custom_timeouts;  // {create, update, delete, read}: seconds
  std::string import_id;
  bool retain_on_delete = false;
  Urn deleted_with;
  std::string created;  // RFC 3339, as go_time() prints it
  std::string modified;
  std::string source_position;
  Json stack_trace;
  std::vector<std::string> ignore_changes;
  Json hide_diff;
  std::vector<std::string> replace_on_changes;
  Json replacement_trigger;
};

/// An operation of which nobody knows whether it took place.
struct PendingOperation {
  enum class Type : uint8_t { creating, updating, deleting, reading } type = Type::creating;
  Resource resource;
};
std::string_view to_text(PendingOperation::Type type);

/// Dependencies stand before what needs them (check_integrity).
struct Snapshot {
  std::string time;        // of the last write, RFC 3339; empty for a stack that was never updated
  Json secrets_providers;  // {type, state: {salt}}; null where there are none
  std::vector<Resource> resources;
  std::vector<PendingOperation> pending;
};

/// Reads a file's text; plain JSON only. Errors `stack.damaged` for what no program would write,
/// `stack.unsupported` for what this one does not know; both name the file and the key.
Result<Snapshot> parse_snapshot(std::string_view text, const std::filesystem::path& file);

/// The file's text as the CLI would write it, with `now` as its time.
std::string print_snapshot(const Snapshot& snapshot, const StackId& id, WallTime now);
/// One resource alone, as in the file.
void append_resource(std::string& out, const Resource& resource);
Result<Resource> parse_resource(const Json& value, const std::string& path,
                                const std::filesystem::path& file);

/// What the CLI demands of a snapshot before it uses it (pkg/resource/stack/snapshot/integrity.go): parents,
/// providers and dependencies are there and stand before what names them; no URN twice but for what is to be
/// deleted; only custom resources have an id. Error `stack.damaged`.
Result<void> check_integrity(const Snapshot& snapshot, const std::filesystem::path& file);

/// `urn:pulumi:STACK::PROJECT::[PARENT$]TYPE::NAME`; `parent` empty: there is none, or it is the stack
/// itself.
Urn make_urn(const StackId& id, const Urn& parent, std::string_view type, std::string_view name);
/// The parts of a URN; empty where it is none.
std::string_view urn_name(std::string_view urn);
std::string_view urn_qualified_type(std::string_view urn);

}  // namespace pf::iac
