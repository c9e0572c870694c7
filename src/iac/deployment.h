// One operation on one stack: what a program registers is compared with what the stack's snapshot holds, and
// created, updated, replaced or left alone; what it does not register any more is deleted at the end. Order
// and rules as pulumi/pulumi's pkg/resource/deploy has them. Knows no files: what it is about to do and has
// done goes to a Journal. Calls and callbacks on one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "iac/provider.h"
#include "iac/snapshot.h"

namespace pf::iac {

/// A resource as a program wants it.
struct Registration {
  std::string type;
  std::string name;
  bool custom = true;  // else a component
  Json inputs;         // an object
  Urn parent;          // empty: the stack
  Urns dependencies;
  std::map<std::string, Urns> property_dependencies;  // by input
  bool protect = false;
  bool retain_on_delete = false;
  std::optional<bool> delete_before_replace;  // else as the provider says
  std::vector<std::string> ignore_changes;    // property paths
  std::vector<std::string> replace_on_changes;
  std::vector<std::string> additional_secret_outputs;
  Urns aliases;  // earlier URNs
  Urn deleted_with;
  Json custom_timeouts;  // {create, update, delete}: seconds
};

/// What became of it.
struct Registered {
  Urn urn;
  std::string id;  // empty: a component, or not known yet (previews)
  Json outputs;
};

/// What is done with a resource; the names are those of Pulumi's events and histories.
enum class Step : uint8_t { same, create, update, replace, remove, refresh };
std::string_view to_text(Step step);

/// Told of each mutation before it begins, and waited for.
class Journal {
 public:
  virtual ~Journal() = default;
  /// Calls `go` when the intent is durable; an error ends the step undone.
  virtual void begin(const PendingOperation& intent, std::function<void(Result<void>)> go) = 0;
  /// The operation of `intent` has ended: with the state that there is now, null where the resource is gone
  /// or never came to be. Not called for what nobody knows the end of. A deletion for which nothing had to be
  /// done ends without having begun.
  virtual void end(const PendingOperation& intent, const Resource* now) = 0;
  /// There is this one now, for which nothing had to be done: the stack itself, a provider, a component.
  virtual void note(const Resource& resource) = 0;
};

class Deployment {
 public:
  struct Options {
    bool preview = false;  // nothing is called but check and diff, nothing is journalled
    const Clock* clock = nullptr;
    std::function<std::string()> new_id;
  };
  using Done = std::function<void(Result<void>)>;

  /// All but `base` and `options` must outlive it.
  Deployment(StackId id, Snapshot base, Providers& providers, Journal& journal, Options options);
  ~Deployment();

  /// Errors `resource.duplicate`, `resource.type` (no provider for it), `resource.refused` (by check; with
  /// its failures), `resource.protected`, `resource.parent`, those of the provider.
  void register_resource(Registration registration, std::function<void(Result<Registered>)> done);
  /// The stack's own outputs.
  void register_outputs(Json outputs);
  /// All is registered: deletes what was not, and what was replaced. After a failure nothing more is deleted
  /// but what was replaced. The first error of all.
  void finish(Done done);
  /// Deletes all that there is, the last first; instead of registering anything.
  void destroy(Done done);

  /// As of now: what was done, then what was not touched, and what nobody knows the end of.
  Snapshot snapshot() const;
  const std::map<Step, uint32_t>& counts() const { return counts_; }

 private:
  class Work;
  class Removal;
  /// What has become of an entry of base_.
  enum class Fate : uint8_t { kept, superseded, gone };

  Urn stack_urn() const;
  void ensure_stack();
  std::string ensure_provider(const std::string& type);
  std::optional<size_t> find_base(const Urn& urn) const;
  std::optional<size_t> find_old(Urn urn, const Registration& registration, const std::string& parent_before);
  void rename(size_t base, const Urn& to);
  void remember(Resource resource, std::optional<size_t> base, Step step);
  void fail(const Error& error);
  void begin(PendingOperation intent, std::function<void(Result<void>)> go);
  void forget(const PendingOperation& intent);
  void remove_one(size_t base, bool replaced, Done done);
  void finish_if_idle();
  Result<void> choose_deletions(bool all, std::vector<size_t>& out) const;

  const StackId id_;
  Snapshot base_;
  std::vector<Fate> fates_;                  // of base_.resources
  std::unordered_map<Urn, size_t> base_at_;  // of what is not condemned
  std::vector<Resource> done_;               // in the order of their ends
  std::unordered_map<Urn, size_t> done_at_;
  std::unordered_set<Urn> seen_;          // registered, perhaps not done yet
  std::unordered_map<Urn, Urn> before_;   // by URN: what it was called in base_
  std::unordered_map<Urn, Urn> renamed_;  // the other way round
  std::vector<PendingOperation> pending_;
  Providers& providers_;
  Journal& journal_;
  Options options_;
  std::map<Step, uint32_t> counts_;
  std::optional<Error> first_error_;
  size_t working_ = 0;
  Done finish_;
};

}  // namespace pf::iac
