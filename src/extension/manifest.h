// extension.yaml: what a package says of itself, read and checked without running any of its code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "pipeline/node.h"

namespace pf::extension {

/// Permission entries as written; `${config.x}` is not replaced here.
struct Permissions {
  struct Program {
    std::string name;
    bool network = false;
    bool confined = true;  // false: with the rights of the user; only the operator can say that
    bool operator==(const Program&) const = default;
  };
  std::vector<std::string> http, env, read, write, git, secrets;
  std::vector<Program> programs;
  bool shm = false, pty = false;  // words of `write`: /dev/shm and terminals, for programs
};

struct Limits {
  uint64_t memory = 256ULL << 20;  // bytes
  Milliseconds cpu{60000};         // per attempt
  uint64_t output = 1ULL << 20;    // encoded bytes
};

struct Manifest {
  std::string name;
  std::string version;  // SemVer
  std::string summary;
  std::string license;
  std::string requires_core;  // range, as written; empty: any
  Permissions permissions;
  Limits limits;
  std::filesystem::path file;  // the extension.yaml
};

/// Reads and checks a manifest; every finding has file:line:column. Codes `manifest.*`, yaml.*.
tl::expected<Manifest, Errors> read_manifest(const std::filesystem::path& file);

/// What the operator makes of an extension's permissions for one instance: each list that `node` (the value
/// of the instance's key `permissions`) holds takes the place of the manifest's. Only there can a program be
/// unconfined. `path` names the node in messages. Errors as for the manifest.
tl::expected<Permissions, Errors> read_permissions(const pipeline::Document& document,
                                                   const pipeline::Node& node, const std::string& path,
                                                   const Permissions& manifest);

/// A SemVer range of comparators: `>=0.1 <2`, `1.2.3`, `^1.2`, `~1.2`, `*`, with `||`. Error
/// `manifest.range`.
Result<bool> version_matches(std::string_view version, std::string_view range);

}  // namespace pf::extension
