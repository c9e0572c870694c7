#include "registry/calls.h"

#include <vector>

#include "registry/namespaces.h"

namespace pf::registry {
namespace {

const std::vector<Call>& all() {
  static const std::vector<Call> table = [] {
    std::vector<Call> out;
    for (const auto part :
         {log_calls(), fs_calls(), http_calls(), download_calls(), git_calls(), archive_calls(),
          process_calls(), env_calls(), time_calls(), text_calls(), prelude_calls()}) {
      out.insert(out.end(), part.begin(), part.end());
    }
    return out;
  }();
  return table;
}

}  // namespace

std::string_view describe(Type type) {
  switch (type) {
    case Type::nothing: return "nothing";
    case Type::any: return "any value";
    case Type::boolean: return "boolean";
    case Type::integer: return "integer";
    case Type::number: return "number";
    case Type::string: return "string";
    case Type::table: return "table";
    case Type::list: return "list";
    case Type::function: return "function";
  }
  return "";
}

std::string_view key(Permission permission) {
  switch (permission) {
    case Permission::none: return "";
    case Permission::read: return "read";
    case Permission::write: return "write";
    case Permission::http: return "http";
    case Permission::env: return "env";
    case Permission::programs: return "programs";
    case Permission::git: return "git";
    case Permission::secrets: return "secrets";
  }
  return "";
}

std::span<const Call> calls() { return all(); }

bool is_quick(const Call& call) {
  if (call.place != Place::core || !call.replies) return false;
  return call.name.starts_with("fs.") || call.name.starts_with("env.") || call.name.starts_with("secret.") ||
         call.name == "time.now";
}

int find(std::string_view name) {
  int index = 0;
  for (const Call& call : all()) {
    if (call.name == name) return index;
    ++index;
  }
  return -1;
}

}  // namespace pf::registry
