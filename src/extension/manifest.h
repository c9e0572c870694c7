// extension.yaml: what a package says of itself, read and checked without running any of its code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "pipeline/node.h"
#include "pipeline/pipeline.h"

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

/// What an instance may use: of each attempt, but for the deadline. From the manifest, or in its place from
/// the instance's key `limits`. Going over one ends the attempt with an error of its own (docs/errors.md,
/// limit.*).
struct Limits {
  uint64_t memory = 256ULL << 20;  // bytes of its Lua heap
  Milliseconds cpu{60000};         // of its Lua code
  Milliseconds deadline{0};        // of the instance over all attempts, from the first one's start; 0 = none
  uint64_t output = 1ULL << 20;    // encoded bytes of outputs, and of state
  uint32_t calls = 64;             // host calls that wait for their replies at once
  uint64_t log = 16ULL << 20;      // bytes of log lines and progress, with 64 for each of them
};

/// A program whose version matters to what comes out: it is probed once in a run, before anything else, and
/// counts in what is unchanged.
struct Tool {
  std::string name;
  std::string range;               // of versions, as written; empty: any
  std::vector<std::string> probe;  // the command that tells the version; its first word stands in `programs`
  Where where;
};

struct Manifest {
  std::string name;
  std::string version;  // SemVer
  std::string summary;
  std::string license;
  std::string requires_core;  // range, as written; empty: any
  std::vector<Tool> tools;
  Permissions permissions;
  Limits limits;
  pipeline::CachePolicy cache;      // what holds where the pipeline file says nothing
  std::vector<std::string> inputs;  // patterns of files that its programs read, as written
  std::filesystem::path file;       // the extension.yaml
};

/// Reads and checks a manifest; every finding has file:line:column. Codes `manifest.*`, yaml.*.
tl::expected<Manifest, Errors> read_manifest(const std::filesystem::path& file);

/// What the operator makes of an extension's permissions for one instance: each list that `node` (the value
/// of the instance's key `permissions`) holds takes the place of the manifest's. Only there can a program be
/// unconfined. `path` names the node in messages. Errors as for the manifest.
tl::expected<Permissions, Errors> read_permissions(const pipeline::Document& document,
                                                   const pipeline::Node& node, const std::string& path,
                                                   const Permissions& manifest);

/// What the operator makes of an extension's limits for one instance: each key of `node` (the value of the
/// instance's key `limits`, expressions evaluated) takes the place of the manifest's. Errors as for the
/// manifest.
tl::expected<Limits, Errors> read_limits(const pipeline::Document& document, const pipeline::Node& node,
                                         const std::string& path, const Limits& manifest);

/// A SemVer range of comparators: `>=0.1 <2`, `1.2.3`, `^1.2`, `~1.2`, `*`, with `||`. Error
/// `manifest.range`.
Result<bool> version_matches(std::string_view version, std::string_view range);

}  // namespace pf::extension
