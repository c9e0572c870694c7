// A pipeline file, read, expanded and linked: sections of instances with settings, configuration, and the
// edges between them. Built once by load(); immutable afterwards and then readable from any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_fwd.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// What an edge asks of its upstream. `order` only orders (sequential sections): any result will do.
enum class EdgeWhen : uint8_t { succeeded, failed, done, order };

struct Edge {
  uint32_t upstream = 0;
  EdgeWhen when = EdgeWhen::succeeded;
};

/// `retry:` of interface.md. Delays double (factor) from `delay` up to `max_delay`, with full jitter.
struct RetryPolicy {
  Milliseconds delay{1000};
  Milliseconds max_delay{30000};
  double factor = 2;
  bool full_jitter = true;
  std::vector<std::string> retry_on;  // texts or codes; empty: everything retryable
  std::vector<std::string> never_on;
};

struct Settings {
  uint32_t max_attempts = 1;
  std::optional<RetryPolicy> retry;  // none: attempts follow each other at once
  Milliseconds timeout{0};           // of an attempt; 0 = none
  bool allow_failure = false;
  std::vector<std::string> tags;
};

/// One instance after for_each was expanded.
struct Instance {
  uint32_t section = 0;        // index into Pipeline::sections
  std::string name;            // `first`, or `word["a"]`
  std::string stack;           // `<core.stack>-<name>`, legal and unique
  Node at;                     // the written item, for positions
  Node config;                 // a map: extension_defaults and the item's own keys, expressions unevaluated
  Node when;                   // Kind::null where there is none
  Node permissions;            // as written; Kind::null where there are none
  Node limits;                 // expressions evaluated; Kind::null where there are none
  uint32_t each = UINT32_MAX;  // index into Pipeline::each, or none
  uint32_t settings = 0;       // index into Pipeline::settings (shared by many)
};

struct Each {
  std::string key;
  Node value;
};

struct Section {
  std::string type;
  Node at;  // the key
  bool sequential = false;
};

struct LoadOptions {
  std::filesystem::path file;  // as the user typed it
  std::string pipeline;        // `--pipeline`; may be empty when the file holds one
  std::vector<std::pair<std::string, std::string>> variables;  // `--var k=v`, v is YAML
  std::function<const char*(const std::string&)> environment;  // getenv by default; read while loading only
};

class Pipeline {
 public:
  std::string name;
  std::string stack;  // core.stack
  std::filesystem::path file;
  std::filesystem::path folder;  // of the file, absolute: the project
  uint32_t max_parallel = 16;
  bool degraded_sandbox = false;    // core.sandbox: degraded
  std::vector<Section> sections;    // in written order
  std::vector<Instance> instances;  // in written order, section by section
  std::vector<Settings> settings;
  std::vector<Each> each;
  std::unique_ptr<Document> document;

  /// Edges in CSR form: what instance i waits for, and who waits for it.
  std::span<const Edge> upstream(uint32_t i) const;
  std::span<const uint32_t> downstream(uint32_t i) const;
  std::string address(uint32_t i) const {
    return sections[instances[i].section].type + "." + instances[i].name;
  }
  /// The instance of an address, or -1.
  int64_t find(std::string_view address) const;

  // Filled by load(); CSR storage, variables and the like are in the implementation.
  struct Links;
  std::unique_ptr<Links> links;
  Pipeline();
  ~Pipeline();
};

/// Reads and links a pipeline file; reports every error that it can find at once, sorted by position. Nothing
/// is executed and no file but the pipeline's is read (and folders listed, for for_each over folders). Error
/// codes: yaml.*, `pipeline.*`, `expression.*`, `graph.*` (docs/errors.md).
tl::expected<std::unique_ptr<Pipeline>, Errors> load(const LoadOptions& options);

/// Gives what is known only when an instance is about to run: outputs of finished ones, and secrets.
class Outputs {
 public:
  virtual ~Outputs() = default;
  /// The outputs of a succeeded instance (a JSON object); null when it has none. Valid until the next call.
  virtual const Json* of(uint32_t instance) = 0;
  /// The value of a secret. Errors `secret.missing`, `secret.short`.
  virtual Result<std::string> secret(std::string_view name) = 0;
};

/// An instance's configuration with every expression evaluated that is known before anything runs. What
/// refers to other instances stays as it is written, with `computed` set. Built in `scratch`, which, like the
/// pipeline, must outlive it and is given the pipeline's files here where it has none. load() has found every
/// error there is; should one come up none the less, it is appended and its text stays as it is.
Node evaluate_static(const Pipeline& pipeline, uint32_t instance, Document& scratch, Errors& errors);

/// An instance's configuration with every expression evaluated. Built in `scratch` as evaluate_static does.
/// Marks stay those of the written nodes. Errors `expression.*`: the first one.
struct Evaluated {
  Node config;
  /// Values that came from outputs of other instances.
  struct FromOutputs {
    std::string path;                 // in the configuration
    std::vector<uint32_t> instances;  // whose outputs
  };
  std::vector<FromOutputs> from_outputs;
};
Result<Evaluated> evaluate(const Pipeline& pipeline, uint32_t instance, Outputs& outputs, Document& scratch);
/// The value of `when:`; true where there is none.
Result<bool> evaluate_when(const Pipeline& pipeline, uint32_t instance, Outputs& outputs);

}  // namespace pf::pipeline
