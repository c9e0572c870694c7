// A pipeline file, read, expanded and linked: sections of instances with settings, configuration, and the
// edges between them. Built once by load(), grown by expand() alone; readable from any thread in between.
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

/// `cache:` of an instance: whether an unchanged success is taken for a new one.
struct CachePolicy {
  enum class Kind : uint8_t {
    automatic,  // as extension.yaml has it; there: yes, unless something that it read has no version
    always,     // also where something that it read has no version
    never,
    max_age,  // `always`, while the success is no older than max_age
  };
  Kind kind = Kind::automatic;
  Milliseconds max_age{0};
};

struct Settings {
  static constexpr uint32_t kNoPool = UINT32_MAX;
  uint32_t max_attempts = 1;
  std::optional<RetryPolicy> retry;  // none: attempts follow each other at once
  Milliseconds timeout{0};           // of an attempt; 0 = none
  Milliseconds deadline{0};          // of the instance over all its attempts; 0 = none
  CachePolicy cache;
  int32_t priority = 0;     // higher goes first
  uint32_t pool = kNoPool;  // index into Pipeline::pools
  bool allow_failure = false;
  bool protect = false;         // destroy refuses it
  bool finally = false;         // cleans up: runs whatever became of what it waits for
  bool destroy_failed = false;  // on_failure: destroy, when it has failed for good
  std::vector<std::string> tags;
};

/// One of core.pools: instances of a pool share its places.
struct Pool {
  std::string name;
  uint32_t size = 1;
  Node at;
};

enum class HookStage : uint8_t {
  before_pipeline,
  after_plan,
  before_instance,
  on_retry,
  after_instance,
  on_error,
  after_pipeline,
};
std::string_view to_text(HookStage stage);

/// One entry of `hooks:`, in core or in an instance.
struct Hook {
  HookStage stage = HookStage::before_pipeline;
  std::filesystem::path script;  // absolute; it exists
  Node at;                       // the script's text, for positions
  Node permissions;              // as written; Kind::null where there are none
  Milliseconds timeout{60'000};
  bool allow_failure = false;
};

/// One entry of core.moved: what was `from` is now `to`; both are addresses.
struct Move {
  std::string from, to;
  Node at;
};

/// Where a secret, or the passphrase that keeps secret outputs, comes from.
struct SecretSource {
  enum class Kind : uint8_t { environment, file, command };
  Kind kind = Kind::environment;
  std::string name;                  // of the variable
  std::filesystem::path file;        // absolute
  std::vector<std::string> command;  // argv
  Node at;
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
  uint32_t hooks = 0;          // index into Pipeline::hooks (shared by many); 0 holds none
  bool group = false;  // a for_each over outputs: it stands for what expand() will make of it, and never runs
};

struct Each {
  std::string key;
  Node value;
};

struct Section {
  std::string type;
  Node at;  // the key
  bool sequential = false;
  uint32_t max_parallel = 0;  // of this section; 0: no limit of its own
};

struct LoadOptions {
  std::filesystem::path file;  // as the user typed it
  std::string pipeline;        // `--pipeline`; may be empty when the file holds one
  std::string profile;         // `--profile`; may be empty
  std::vector<std::pair<std::string, std::string>> variables;  // `--var k=v`, v is YAML
  std::function<const char*(const std::string&)> environment;  // getenv by default; read while loading only
  std::filesystem::path tree_cache;  // a folder with parsed files, which is only read; empty: none
};

class Pipeline {
 public:
  std::string name;
  std::string stack;  // core.stack
  std::filesystem::path file;
  std::filesystem::path folder;  // of the file, absolute: the project
  uint32_t max_parallel = 16;
  std::string profile;            // the one that is in force; may be empty
  Milliseconds deadline{0};       // core.deadline; 0 = none
  bool degraded_sandbox = false;  // core.sandbox: degraded
  std::vector<Pool> pools;
  std::vector<Move> moved;
  std::map<std::string, SecretSource> secrets;  // core.secrets.values, by the secret's name
  std::optional<SecretSource> passphrase;       // core.secrets.passphrase
  std::vector<Hook> core_hooks;                 // core.hooks, in written order
  std::vector<std::vector<Hook>> hooks{1};      // of instances; the first is empty
  std::vector<Section> sections;                // in written order
  std::vector<Instance> instances;              // in written order, section by section
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
/// is executed, and only the file, those that it includes and its profile's are read (and folders listed, for
/// for_each over folders). Error codes: yaml.*, `pipeline.*`, `expression.*`, `graph.*` (docs/errors.md).
tl::expected<std::unique_ptr<Pipeline>, Errors> load(const LoadOptions& options);

/// Writes the files that load() had to parse to its LoadOptions::tree_cache. Errors `os.*`; nothing depends
/// on it.
Result<void> keep_trees(const Pipeline& pipeline);

/// A pipeline as it is written, with what its file includes, its profile and `--var` merged, but not looked
/// at otherwise: expressions stay as they are.
struct Merged {
  std::string name;
  std::string profile;  // empty: none
  Node body;            // without core.profiles
  std::unique_ptr<Document> document;
};
/// Errors as those of load() that tell of files, profiles and the choice of a pipeline.
tl::expected<Merged, Errors> merge(const LoadOptions& options);

/// Gives what is known only when an instance is about to run: outputs of finished ones, and secrets.
class Outputs {
 public:
  virtual ~Outputs() = default;
  /// The outputs of a succeeded instance (a JSON object); null when it has none. Valid until the next call.
  virtual const Json* of(uint32_t instance) = 0;
  /// False: nobody knows them yet. What depends on them stays as it is written, `computed` (previews).
  virtual bool known(uint32_t /*instance*/) { return true; }
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
/// Makes the instances of a group (Instance::group), whose upstream has concluded: they are appended to
/// `pipeline.instances` (and what they need to `each`, `settings` and `hooks`, so that references into these
/// end), wait for nothing, and nothing waits for them but, by way of the group, who waits for it. Returns how
/// many; none where the list is empty or null. Nobody else may look at the pipeline meanwhile. Errors
/// `expression.*`, `pipeline.*`: nothing was appended.
Result<uint32_t> expand(Pipeline& pipeline, uint32_t group, Outputs& outputs);
/// The same with keys and values that were expanded before: a JSON list of [key, value], as expansion() has
/// it. Error `pipeline.expansion` where it is no such list.
Result<uint32_t> expand_again(Pipeline& pipeline, uint32_t group, const Json& expansion);
/// What expand() made of a group: its instances are [first, first + count).
Json expansion(const Pipeline& pipeline, uint32_t first, uint32_t count);

/// The pipeline the other way round, for a scheduler: who waited is waited for. It has the same indexes,
/// settings without `finally` and `allow_failure`, and no document: nothing in it can be evaluated. Groups
/// are parted from their instances, which take their place in the graph.
std::unique_ptr<Pipeline> reversed(const Pipeline& pipeline);
/// The stack of an instance: `pattern` itself, or, where that ends in `-*`, made from the instance's name.
std::string stack_of(const std::string& pattern, const std::string& name);
/// Adds an instance that is not written anywhere, with a configuration as it was kept (a JSON object);
/// nothing waits for it, nor it for anything. `stack` is its stack's name, or ends in `-*` where it is made
/// from the instance's. Returns its index.
uint32_t adopt(Pipeline& pipeline, const std::string& type, const std::string& name, const std::string& stack,
               const Json& config);

/// The value of `when:`; true where there is none, and for a group whose `when` reads `each`: its instances
/// have it, too. Nothing where it depends on outputs that are not known.
Result<std::optional<bool>> evaluate_when(const Pipeline& pipeline, uint32_t instance, Outputs& outputs);

}  // namespace pf::pipeline
