// How load() builds a Pipeline: one object that lives for the length of a load and collects every error.
// Internal to this floor; one thread.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "pipeline/evaluate.h"
#include "pipeline/links.h"

namespace pf::pipeline {

/// Reads core, expands sections, links instances; its parts are spread over load_*.cc in that order.
class Loader {
 public:
  Loader(const LoadOptions& options, Pipeline& pipeline)
      : options_(options), pipeline_(pipeline), links_(*pipeline.links) {}
  /// False where errors were found.
  bool run(std::unique_ptr<Document> document);
  /// The first part of run(): the pipeline that is meant, with its profile merged over it.
  std::optional<Node> merge(std::unique_ptr<Document> document);
  /// merge(), and what `--var` gives put into core.variables.
  std::optional<Node> merge_with_variables(std::unique_ptr<Document> document);
  /// expand() and, where `outputs` is null, expand_again() of pipeline.h.
  Result<uint32_t> expand(uint32_t group, Outputs* outputs, const Json* expansion);
  Errors take_errors();

 private:
  /// A written item of a section, and the instances that it became.
  struct Item {
    uint32_t section = 0;
    uint32_t first = 0;
    uint32_t count = 0;
    bool group = false;     // named `name["key"]`
    std::string_view name;  // as the document holds it, without a key
    const Node* node = nullptr;
    const Node* depends_on = nullptr;
    const Node* when = nullptr;
    const Node* for_each = nullptr;  // over outputs: the item is one instance, a group
  };
  /// An item's keys that are the orchestrator's own; null where it has none.
  struct Keys {
    const Node* name = nullptr;
    const Node* stack = nullptr;
    const Node* depends_on = nullptr;
    const Node* when = nullptr;
    const Node* for_each = nullptr;
    const Node* tags = nullptr;
    const Node* max_attempts = nullptr;
    const Node* retry = nullptr;
    const Node* timeout = nullptr;
    const Node* allow_failure = nullptr;
    const Node* deadline = nullptr;
    const Node* cache = nullptr;
    const Node* priority = nullptr;
    const Node* pool = nullptr;
    const Node* protect = nullptr;
    const Node* finally = nullptr;
    const Node* on_failure = nullptr;
    const Node* permissions = nullptr;
    const Node* limits = nullptr;
    const Node* hooks = nullptr;
    bool has_settings = false;   // some key of Settings
    bool settings_vary = false;  // with expressions in it
  };
  struct Target {
    uint32_t first = 0;
    uint32_t count = 0;
    bool found = false;
  };
  struct Wait {
    uint32_t upstream = 0;
    EdgeWhen when = EdgeWhen::order;
    bool written = false;  // depends_on with `when:`
    bool reference = false;
    uint32_t line = 0;
    uint32_t column = 0;
  };

  // load_core.cc
  const Node* pick(const Node& root);
  void read_core(const Node& core, const Node& body);
  void read_execution_defaults(const Node& node, const Node& body);
  void read_extension_defaults(const Node& node, const Node& body);
  void read_order(const Node& node, const Node& body);
  void read_variables(const Node* declared);
  std::optional<Node> read_given(const std::string& name, const std::string& text);
  void add_variable(std::string name, const Node& written, bool given);
  void resolve_variables();
  void refuse_unused_variables();

  // profiles.cc
  std::optional<Node> with_profile(const Node& body);
  bool read_profile_file(Node& body, const std::filesystem::path& file);
  void unknown_profile(const Node& body, const Node* profiles);
  bool holds_no_profiles(const Node& overlay);

  // load_core_keys.cc
  void read_pools(const Node& node);
  void read_max_parallel(const Node& node, const std::string& path, const Node& body);
  void read_moved(const Node& node);
  void check_moved();
  void read_secrets(const Node& node);
  std::optional<SecretSource> read_secret_source(const Node& node, const std::string& path);
  void note_secret_variables(const Node& secrets);

  // load_hooks.cc
  void read_hooks(const Node& node, const std::string& path, bool core, const Each* each,
                  std::vector<Hook>& hooks);
  void read_hook(HookStage stage, const Node& node, const std::string& path, const Each* each,
                 std::vector<Hook>& hooks);
  bool read_script(const Node& node, const std::string& path, const Each* each, Hook& hook);
  uint32_t read_item_hooks(const Node& node, const std::string& path, const Each* each);

  // load_settings.cc: each reads one key into `settings`, reporting what is wrong with it
  void read_attempts(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_timeout(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_retry(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_deadline(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_cache(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_priority(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_pool(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_on_failure(const Node& node, const std::string& path, const Each* each, Settings& settings);
  void read_flag(const Node& node, const std::string& path, const Each* each, bool& flag);
  std::optional<std::vector<std::string>> read_texts(const Node& node, const std::string& path,
                                                     const Each* each);
  std::optional<Milliseconds> read_duration(const Node& node, const std::string& path, const Each* each);
  std::optional<int64_t> read_integer(const Node& node, const std::string& path, int64_t least, int64_t most,
                                      const Each* each);
  uint32_t read_item_settings(const Keys& keys, const std::string& path, const Each* each);

  // load_instances.cc
  void read_sections(const Node& body);
  void read_section(const Entry& section);
  void read_item(uint32_t section, const Node& node, size_t index);
  Keys split(const Node& node, const std::string& path, std::vector<Entry>& config);
  Node merge(std::span<const Entry> own, const Node* defaults, const Node& at);
  std::optional<std::vector<Each>> read_for_each(const Node& node, const std::string& path);
  std::optional<std::vector<Each>> items_of(const Node& value, const std::string& path,
                                            std::string_view expected);
  void add_group(Item& item, const Node& node, const std::string& path);
  bool add_instance(Item& item, const Keys& keys, const Node& config, const std::string& path, uint32_t each,
                    uint32_t settings);
  std::optional<std::string> read_name(const Node& name, const std::string& path, const Each* each);
  std::optional<std::string> read_stack(const Keys& keys, const std::string& path, const Each* each,
                                        const std::string& name);
  void check_stacks();

  // expand.cc: for_each over outputs
  bool uses(const Node& node, const std::string& path, std::initializer_list<Root> roots);
  bool uses_each(const Node* node, const std::string& path);
  bool add_over_outputs(Item& item, const Keys& keys, const Node& config, const std::string& path);
  std::optional<std::vector<Each>> evaluate_items(const Node& node, const std::string& path,
                                                  Outputs& outputs);
  std::optional<std::vector<Each>> known_items(const Node& node, const std::string& path,
                                               const Json& expansion);
  bool add_children(const Instance& group, const Keys& keys, std::vector<Each> items,
                    const std::string& path);
  bool add_stacks(uint32_t first);

  // load_graph.cc
  void link();
  void gather_references(const Node& node, const std::string& path, std::vector<Wait>& waits);
  void gather_depends_on(const Item& item, const std::string& path, const Each* each,
                         std::vector<Wait>& waits);
  void read_dependency(const Node& node, const std::string& path, std::vector<Wait>& waits);
  Target find_target(std::string_view type, std::string_view name, const std::string* key, bool all,
                     bool needs_key, Where where);
  void settle(uint32_t instance, std::vector<Wait>& waits);
  void check_values(const Item& item);
  void reverse_edges();
  void check_finally();
  void find_cycle();

  // loader.cc
  void report(std::string code, std::string message, std::string hint, const Node& at,
              const std::string& path);
  void report(std::string code, std::string message, std::string hint, Where where);
  void wrong_type(const Node& node, const std::string& path, std::string_view expected,
                  std::string hint = {});
  void not_supported(const Node& key, const std::string& path);
  void unknown_key(const Node& key, const std::string& path, const std::vector<std::string>& known);
  /// The parsed form of a text with expressions; null where it is wrong, which is reported once.
  Template* parse(const Node& text, const std::string& path);
  /// Parses every text of a tree that must be known before anything runs; false where something is wrong.
  bool prepare(const Node& node, const std::string& path, std::vector<std::string_view>* variables = nullptr);
  /// The value of what must be known before anything runs; nothing where there were errors.
  std::optional<Node> resolve(const Node& node, const std::string& path, const Each* each);
  const Each* each_of(uint32_t instance) const;
  Document& document() { return *pipeline_.document; }

  const LoadOptions& options_;
  Pipeline& pipeline_;
  Pipeline::Links& links_;
  Errors errors_;
  std::unordered_set<const char*> unparsed_;                    // texts whose syntax error was reported
  std::unordered_set<std::string_view> used_;                   // variables that expressions name
  std::unordered_set<const Template*> linked_;                  // templates whose references were looked up
  size_t variable_budget_ = 4'000'000;                          // nodes of all variables together
  std::unordered_map<std::string_view, const Node*> defaults_;  // extension_defaults by type
  std::vector<std::string> other_sections_;                     // of the file's other pipelines
  bool sequential_ = false;                                     // order: sequential
  std::unordered_map<std::string_view, bool> section_order_;    // order: {type: …}, true is sequential
  std::unordered_map<std::string_view, uint32_t> section_limits_;  // max_parallel: {type: …}
  std::unordered_map<std::string, std::string> secret_variables_;  // environment variable -> secret
  std::unordered_map<const Entry*, uint32_t> hooks_;               // written hooks -> Pipeline::hooks
  std::unordered_set<std::string> scripts_;                        // of hooks; they exist
  bool finally_ = false;                                           // some instance has it
  uint32_t ordered_ = UINT32_MAX;                                  // the last one that `order` counts
  std::vector<Item> items_;
  std::vector<bool> incomplete_;  // sections with a broken item: names may be missing
  IndexTable groups_;             // of items, by section and name
  std::unordered_map<std::string_view, uint32_t> sections_;
  std::vector<std::pair<uint32_t, uint32_t>> edge_places_;  // line and column of each edge, for cycles
};

/// `name["key"]`.
std::string keyed_name(std::string_view name, std::string_view key);
bool is_stack_name(std::string_view name);
/// What a stack name may not have becomes '-', one for each character.
std::string as_stack_name(std::string_view name);
/// The first character of a name that a name may not have, as text; empty where there is none.
std::string illegal_character(std::string_view name);
/// A letter or '_', then letters, digits, '_' and '-'.
bool is_identifier(std::string_view name);

}  // namespace pf::pipeline
