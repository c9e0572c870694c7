#include "iac/deployment.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/text.h"
#include "iac/property.h"
#include "iac/property_path.h"

namespace pf::iac {
namespace {

constexpr char kStackType[] = "pulumi:pulumi:Stack";

tl::unexpected<Error> about(const char* code, const Urn& urn, const std::string& what,
                            const std::string& hint) {
  Where where;
  where.path = urn;
  return refuse(code, std::string(urn_name(urn)) + " (" + std::string(urn_qualified_type(urn)) + ") " + what,
                hint, std::move(where));
}

// Nobody knows what became of an operation whose provider died.
bool is_lost(const Error& error) { return error.code.starts_with("worker."); }

// The package of a type: `aws` of `aws:s3/bucket:Bucket`.
std::string package_of(const std::string& type) { return type.substr(0, type.find(':')); }
bool is_provider(const std::string& type) { return type.starts_with("pulumi:providers:"); }

double timeout_of(const Json& timeouts, const char* operation) {
  if (!timeouts.is_object()) return 0;
  const auto found = timeouts.find(operation);
  return found != timeouts.end() && found->is_number() ? found->get<double>() : 0;
}

// The properties in which two sets of inputs differ, at the top.
std::vector<std::string> differences(const Json& before, const Json& now) {
  std::vector<std::string> out;
  const Json none = Json::object();
  const Json& a = before.is_object() ? before : none;
  const Json& b = now.is_object() ? now : none;
  for (const auto& [key, value] : b.items()) {
    const auto found = a.find(key);
    if (found == a.end() || *found != value) out.push_back(key);
  }
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key)) out.push_back(key);
  }
  return out;
}

bool is_same(const Resource& a, const Resource& b) {
  std::string texts[2];
  append_resource(texts[0], a);
  append_resource(texts[1], b);
  return texts[0] == texts[1];
}

// What is a secret among the inputs stays one where the outputs repeat it.
void keep_secret(const Json& inputs, Json& outputs) {
  if (!inputs.is_object() || !outputs.is_object()) return;
  for (auto& [key, value] : outputs.items()) {
    const auto input = inputs.find(key);
    if (input == inputs.end()) continue;
    if (special_of(*input) == Special::secret && special_of(value) == Special::none)
      value = make_secret(value);
  }
}

void mark_secret(const std::vector<std::string>& keys, Json& outputs) {
  if (!outputs.is_object()) return;
  for (const std::string& key : keys) {
    const auto found = outputs.find(key);
    if (found != outputs.end() && special_of(*found) == Special::none) *found = make_secret(*found);
  }
}

}  // namespace

std::string_view to_text(Step step) {
  switch (step) {
    case Step::same: return "same";
    case Step::create: return "create";
    case Step::update: return "update";
    case Step::replace: return "replace";
    case Step::remove: return "delete";
    case Step::refresh: return "refresh";
  }
  return {};
}

/// The way of one registered resource: check, diff, then one of same, create, update and replace.
class Deployment::Work : public std::enable_shared_from_this<Work> {
 public:
  using Finish = std::function<void(Result<Registered>)>;
  Work(Deployment& deployment, Registration wanted, Resource made, std::optional<size_t> base, Finish done)
      : deployment_(deployment),
        wanted_(std::move(wanted)),
        made_(std::move(made)),
        base_(base),
        done_(std::move(done)) {
    if (base_) old_ = deployment_.base_.resources[*base_];
  }

  void start() {
    if (!wanted_.custom) return component();
    Json inputs = wanted_.inputs.is_object() ? wanted_.inputs : Json::object();
    if (base_) {
      for (const std::string& path : wanted_.ignore_changes) {
        if (auto kept = restore(path, old_.inputs, inputs); !kept) return fail(std::move(kept.error()));
      }
    }
    // One that was deleted to be replaced is not there any more.
    deleted_first_ = base_ && old_.pending_replacement;
    check(std::move(inputs), base_ && !deleted_first_);
  }

 private:
  using Kind = ProviderCall::Kind;

  ProviderCall call(Kind kind) const {
    ProviderCall out;
    out.kind = kind;
    out.type = made_.type;
    out.urn = made_.urn;
    out.preview = deployment_.options_.preview;
    out.inputs = made_.inputs;
    return out;
  }
  ProviderCall call_on_old(Kind kind) const {
    ProviderCall out = call(kind);
    out.id = old_.id;
    out.old_inputs = old_.inputs;
    out.old_outputs = old_.outputs;
    return out;
  }
  void ask(ProviderCall asked, std::function<void(Result<ProviderAnswer>)> then) {
    deployment_.providers_.call(
        std::move(asked), [self = shared_from_this(), then = std::move(then)](Result<ProviderAnswer> answer) {
          then(std::move(answer));
        });
  }

  // A component is what it was said to be; it has no provider.
  void component() {
    made_.outputs = old_.outputs;
    made_.created = base_ ? old_.created : now();
    made_.modified = base_ ? old_.modified : made_.created;
    if (wanted_.inputs.is_object()) made_.inputs = wanted_.inputs;
    deployment_.remember(made_, base_, base_ ? Step::same : Step::create);
    succeed();
  }

  void check(Json inputs, bool with_old) {
    ProviderCall asked = call(Kind::check);
    asked.inputs = std::move(inputs);
    if (with_old) asked.old_inputs = old_.inputs;
    ask(std::move(asked), [this, with_old](Result<ProviderAnswer> answer) {
      if (!answer) return fail(std::move(answer.error()));
      if (!answer->failures.empty()) {
        std::string list;
        for (const auto& failure : answer->failures) {
          list += list.empty() ? "" : "; ";
          list += failure.property.empty() ? failure.reason : failure.property + ": " + failure.reason;
        }
        return fail(about("resource.refused", made_.urn, "is refused: " + list, "mend its inputs").value());
      }
      made_.inputs = std::move(answer->inputs);
      if (with_old)
        diff();
      else
        create();
    });
  }

  void diff() {
    if (old_.provider != made_.provider) return replace(false);
    ask(call_on_old(Kind::diff), [this](Result<ProviderAnswer> answer) {
      if (!answer) return fail(std::move(answer.error()));
      const auto changed = differences(old_.inputs, made_.inputs);
      const bool asked_for = std::any_of(
          wanted_.replace_on_changes.begin(), wanted_.replace_on_changes.end(), [&](const std::string& path) {
            if (path == "*") return !changed.empty();
            return std::find(changed.begin(), changed.end(), path.substr(0, path.find_first_of(".["))) !=
                   changed.end();
          });
      if (asked_for || !answer->replaces.empty()) return replace(answer->delete_before_replace);
      if (answer->changed || !old_.init_errors.empty()) return update();
      same();
    });
  }

  void same() {
    // Inputs may differ in what the provider takes for the same.
    made_.id = old_.id;
    made_.outputs = old_.outputs;
    made_.created = old_.created;
    made_.modified = old_.modified;
    mark_secret(made_.additional_secret_outputs, made_.outputs);
    deployment_.remember(made_, base_, Step::same);
    succeed();
  }

  void update() {
    made_.id = old_.id;
    if (deployment_.options_.preview) return mutated(Step::update, old_.outputs, {});
    begin(PendingOperation::Type::updating, [this] {
      ProviderCall asked = call_on_old(Kind::update);
      asked.timeout = timeout_of(made_.custom_timeouts, "update");
      ask(std::move(asked),
          [this](Result<ProviderAnswer> answer) { ended(Step::update, std::move(answer)); });
    });
  }

  void create() {
    const Step step = base_ ? Step::replace : Step::create;
    if (deployment_.options_.preview) return mutated(step, Json(kUnknown), {});
    begin(PendingOperation::Type::creating, [this, step] {
      ProviderCall asked = call(Kind::create);
      asked.timeout = timeout_of(made_.custom_timeouts, "create");
      ask(std::move(asked), [this, step](Result<ProviderAnswer> answer) {
        if (answer && answer->id.empty()) {
          answer = about("resource.id", made_.urn, "was created without an id",
                         "its provider's create has to return one");
        }
        ended(step, std::move(answer));
      });
    });
  }

  // Creates the new one first and deletes the old one at the end, or the other way round.
  void replace(bool delete_first) {
    if (old_.protect) {
      return fail(about("resource.protected", made_.urn, "would be replaced, and is protected",
                        "take `protect` away in a run of its own, then change it")
                      .value());
    }
    if (!wanted_.delete_before_replace.value_or(delete_first) || deployment_.options_.preview)
      return check(std::move(made_.inputs), false);
    deployment_.remove_one(*base_, true, [self = shared_from_this()](Result<void> removed) {
      if (!removed) return self->fail(std::move(removed.error()));
      self->deleted_first_ = true;
      self->check(std::move(self->made_.inputs), false);
    });
  }

  void begin(PendingOperation::Type type, std::function<void()> go) {
    intent_ = {type, made_};
    deployment_.begin(intent_, [self = shared_from_this(), go = std::move(go)](Result<void> durable) {
      if (durable) return go();
      self->fail(std::move(durable.error()));
    });
  }

  void ended(Step step, Result<ProviderAnswer> answer) {
    if (answer) {
      deployment_.forget(intent_);
      if (!answer->id.empty()) made_.id = std::move(answer->id);
      return mutated(step, std::move(answer->outputs), std::move(answer->init_errors));
    }
    // What nobody knows the end of stays pending.
    if (!is_lost(answer.error())) {
      deployment_.forget(intent_);
      deployment_.journal_.end(intent_, intent_.type == PendingOperation::Type::updating ? &old_ : nullptr);
    }
    fail(std::move(answer.error()));
  }

  void mutated(Step step, Json outputs, std::vector<std::string> init_errors) {
    made_.outputs = std::move(outputs);
    keep_secret(made_.inputs, made_.outputs);
    mark_secret(made_.additional_secret_outputs, made_.outputs);
    made_.modified = now();
    made_.created = step == Step::update ? old_.created : made_.modified;
    made_.init_errors = std::move(init_errors);
    const bool condemns = step == Step::replace && !deleted_first_;
    // The old one keeps its place and waits for its deletion.
    if (condemns) deployment_.base_.resources[*base_].condemned = true;
    deployment_.remember(made_, condemns ? std::nullopt : base_, step);
    if (!deployment_.options_.preview) deployment_.journal_.end(intent_, &made_);
    if (!made_.init_errors.empty()) {
      return fail(about("resource.partial", made_.urn,
                        "was made, and is not well: " + made_.init_errors.front(),
                        "mend it; the next run updates it")
                      .value());
    }
    succeed();
  }

  std::string now() const { return go_time(deployment_.options_.clock->wall()); }

  void succeed() { end(Registered{made_.urn, made_.id, made_.outputs}); }
  void fail(Error error) {
    deployment_.fail(error);
    end(tl::unexpected(std::move(error)));
  }
  void end(Result<Registered> result) {
    Deployment& deployment = deployment_;
    --deployment.working_;
    std::exchange(done_, nullptr)(std::move(result));
    deployment.finish_if_idle();
  }

  Deployment& deployment_;
  const Registration wanted_;
  Resource made_;
  const std::optional<size_t> base_;
  Resource old_;  // where there is one
  PendingOperation intent_;
  bool deleted_first_ = false;
  Finish done_;
};

/// Deletes a set of resources, each when nothing of the set needs it any more.
class Deployment::Removal : public std::enable_shared_from_this<Removal> {
 public:
  Removal(Deployment& deployment, std::vector<size_t> all, Done done)
      : deployment_(deployment), left_(all.size()), done_(std::move(done)) {
    std::unordered_map<Urn, std::vector<size_t>> by_urn;
    for (const size_t base : all) by_urn[resource(base).urn].push_back(base);
    for (const size_t base : all) {
      waits_.emplace(base, 0);
      std::unordered_set<size_t> needs;
      each_needed(resource(base), [&](const Urn& urn) {
        const auto found = by_urn.find(urn);
        if (found == by_urn.end()) return;
        for (const size_t other : found->second) {
          // Never itself, and of two of one URN only what stood before it.
          if (other < base) needs.insert(other);
        }
      });
      for (const size_t other : needs) {
        ++waits_[other];
        frees_[base].push_back(other);
      }
    }
    for (auto base = all.rbegin(); base != all.rend(); ++base) {
      if (waits_.at(*base) == 0) ready_.push_back(*base);
    }
  }

  void start() {
    const auto self = shared_from_this();
    if (left_ == 0) return std::exchange(done_, nullptr)({});
    begun_ = ready_.size();  // before any of them has ended
    for (const size_t base : std::exchange(ready_, {})) remove(base);
  }

 private:
  const Resource& resource(size_t base) const { return deployment_.base_.resources[base]; }

  template <typename Use>
  static void each_needed(const Resource& resource, const Use& use) {
    if (!resource.parent.empty()) use(resource.parent);
    if (!resource.provider.empty()) use(resource.provider.substr(0, resource.provider.rfind("::")));
    for (const Urn& urn : resource.dependencies) use(urn);
    for (const auto& [property, urns] : resource.property_dependencies) {
      for (const Urn& urn : urns) use(urn);
    }
    if (!resource.deleted_with.empty()) use(resource.deleted_with);
  }

  void remove(size_t base) {
    deployment_.remove_one(base, false, [self = shared_from_this(), base](Result<void> removed) {
      --self->left_;
      if (removed) {
        for (const size_t other : self->frees_[base]) {
          if (--self->waits_.at(other) > 0) continue;
          ++self->begun_;
          self->remove(other);
        }
      } else if (self->error_.code.empty()) {
        self->error_ = std::move(removed.error());
      }
      ++self->ended_;
      self->end_if_stuck();
    });
  }

  // What a failure keeps is not deleted, and so ends nothing.
  void end_if_stuck() {
    if (ended_ < begun_ || !done_ || (left_ > 0 && error_.code.empty())) return;
    auto done = std::exchange(done_, nullptr);
    if (error_.code.empty()) return done({});
    done(tl::unexpected(std::move(error_)));
  }

  Deployment& deployment_;
  std::unordered_map<size_t, size_t> waits_;               // how many of the set need it
  std::unordered_map<size_t, std::vector<size_t>> frees_;  // what it needs
  std::vector<size_t> ready_;
  size_t left_;
  size_t begun_ = 0, ended_ = 0;
  Error error_;
  Done done_;
};

Deployment::Deployment(StackId id, Snapshot base, Providers& providers, Journal& journal, Options options)
    : id_(std::move(id)),
      base_(std::move(base)),
      fates_(base_.resources.size(), Fate::kept),
      pending_(std::move(base_.pending)),
      providers_(providers),
      journal_(journal),
      options_(std::move(options)) {
  for (size_t i = 0; i < base_.resources.size(); ++i) {
    if (!base_.resources[i].condemned) base_at_.emplace(base_.resources[i].urn, i);
  }
}

Deployment::~Deployment() = default;

Urn Deployment::stack_urn() const { return make_urn(id_, {}, kStackType, id_.project + "-" + id_.stack); }

void Deployment::ensure_stack() {
  const Urn urn = stack_urn();
  if (!seen_.insert(urn).second) return;
  const auto base = find_base(urn);
  Resource stack;
  if (base) {
    stack = base_.resources[*base];
  } else {
    stack.urn = urn;
    stack.type = kStackType;
    stack.created = stack.modified = go_time(options_.clock->wall());
  }
  remember(std::move(stack), base, base ? Step::same : Step::create);
}

// The default provider of a type's package: `URN::ID`.
std::string Deployment::ensure_provider(const std::string& type) {
  const std::string provider_type = "pulumi:providers:" + package_of(type);
  const Urn urn = make_urn(id_, {}, provider_type, "default");
  if (seen_.insert(urn).second) {
    const auto base = find_base(urn);
    Resource provider;
    if (base) {
      provider = base_.resources[*base];
    } else {
      provider.urn = urn;
      provider.custom = true;
      provider.id = options_.new_id();
      provider.type = provider_type;
      provider.created = provider.modified = go_time(options_.clock->wall());
    }
    remember(std::move(provider), base, base ? Step::same : Step::create);
  }
  return urn + "::" + done_[done_at_.at(urn)].id;
}

std::optional<size_t> Deployment::find_base(const Urn& urn) const {
  const auto found = base_at_.find(urn);
  if (found == base_at_.end() || fates_[found->second] != Fate::kept) return std::nullopt;
  return found->second;
}

// By its URN, what its parent's former name makes of it, or an alias.
std::optional<size_t> Deployment::find_old(Urn urn, const Registration& registration,
                                           const std::string& parent_before) {
  if (const auto base = find_base(urn)) return base;
  Urns names = registration.aliases;
  if (!parent_before.empty())
    names.push_back(make_urn(id_, parent_before, registration.type, registration.name));
  for (const Urn& name : names) {
    const auto base = find_base(name);
    if (!base || seen_.contains(name)) continue;
    rename(*base, urn);
    return base;
  }
  return std::nullopt;
}

void Deployment::rename(size_t base, const Urn& to) {
  const Urn from = base_.resources[base].urn;
  before_[to] = from;
  renamed_[from] = to;
  base_at_.erase(from);
  base_at_[to] = base;
  base_.resources[base].urn = to;
}

void Deployment::remember(Resource resource, std::optional<size_t> base, Step step) {
  if (base) fates_[*base] = Fate::superseded;
  if (!is_provider(resource.type)) ++counts_[step];
  // Of what is done with a provider the journal hears otherwise.
  const bool quiet = step == Step::create && (!resource.custom || is_provider(resource.type));
  const bool changed = step == Step::same && base && !is_same(base_.resources[*base], resource);
  if ((quiet || changed) && !options_.preview) journal_.note(resource);
  done_at_[resource.urn] = done_.size();
  done_.push_back(std::move(resource));
}

void Deployment::fail(const Error& error) {
  if (!first_error_) first_error_ = error;
}

void Deployment::begin(PendingOperation intent, std::function<void(Result<void>)> go) {
  pending_.push_back(intent);
  journal_.begin(intent, [this, intent, go = std::move(go)](Result<void> durable) {
    if (!durable) forget(intent);
    go(std::move(durable));
  });
}

// The last one: one that an earlier run left is carried on.
void Deployment::forget(const PendingOperation& intent) {
  const auto found = std::find_if(pending_.rbegin(), pending_.rend(), [&](const PendingOperation& one) {
    return one.type == intent.type && one.resource.urn == intent.resource.urn &&
           one.resource.id == intent.resource.id;
  });
  if (found != pending_.rend()) pending_.erase(std::next(found).base());
}

void Deployment::register_resource(Registration registration, std::function<void(Result<Registered>)> done) {
  ensure_stack();
  const auto stop = [&](tl::unexpected<Error> error) {
    fail(error.value());
    done(tl::unexpected(std::move(error.value())));
  };
  const Urn parent = registration.parent.empty() ? stack_urn() : registration.parent;
  const Urn urn = make_urn(id_, parent, registration.type, registration.name);
  if (!done_at_.contains(parent)) {
    return stop(about("resource.parent", urn, "has a parent that was not registered: " + parent,
                      "register the parent first"));
  }
  if (registration.custom && !providers_.has(registration.type)) {
    return stop(about("resource.type", urn, "has a type that no provider knows",
                      "declare the type with forge.provider, or use another engine"));
  }
  if (!seen_.insert(urn).second) {
    return stop(
        about("resource.duplicate", urn, "is registered twice", "give each resource of a type its own name"));
  }
  const auto parent_before = before_.find(parent);
  const auto base =
      find_old(urn, registration, parent_before == before_.end() ? Urn() : parent_before->second);
  Resource made;
  made.urn = urn;
  made.type = registration.type;
  made.custom = registration.custom;
  made.parent = parent;
  made.protect = registration.protect;
  made.dependencies = registration.dependencies;
  made.property_dependencies = registration.property_dependencies;
  made.retain_on_delete = registration.retain_on_delete;
  made.additional_secret_outputs = registration.additional_secret_outputs;
  made.ignore_changes = registration.ignore_changes;
  made.replace_on_changes = registration.replace_on_changes;
  made.deleted_with = registration.deleted_with;
  made.custom_timeouts = registration.custom_timeouts;
  if (registration.custom) made.provider = ensure_provider(registration.type);
  if (registration.inputs.is_object()) {
    for (const auto& [key, value] : registration.inputs.items()) made.property_dependencies[key];
  }
  ++working_;
  std::make_shared<Work>(*this, std::move(registration), std::move(made), base, std::move(done))->start();
}

void Deployment::register_outputs(Json outputs) {
  ensure_stack();
  done_[done_at_.at(stack_urn())].outputs = std::move(outputs);
}

// ---- deletion

// One of base_: asks its provider, where it has one, and forgets it. `replaced`: a new one is about to take
// its place, and it stays until that is there.
void Deployment::remove_one(size_t base, bool replaced, Done done) {
  const Resource& resource = base_.resources[base];
  const PendingOperation intent{PendingOperation::Type::deleting, resource};
  // One that was deleted to be replaced is not there any more.
  const bool asks = resource.custom && !is_provider(resource.type) && !resource.retain_on_delete &&
                    !resource.external && !resource.pending_replacement;
  const auto gone = [this, base, replaced, done](const PendingOperation* journalled) {
    Resource& old = base_.resources[base];
    if (replaced)
      old.pending_replacement = true;
    else
      fates_[base] = Fate::gone;
    if (journalled != nullptr) journal_.end(*journalled, replaced ? &old : nullptr);
    if (!replaced && !is_provider(old.type)) ++counts_[Step::remove];
    done({});
  };
  if (!asks || options_.preview) return gone(options_.preview ? nullptr : &intent);
  begin(intent, [this, base, intent, gone, done](Result<void> durable) {
    if (!durable) return done(std::move(durable));
    const Resource& old = intent.resource;
    ProviderCall call;
    call.kind = ProviderCall::Kind::remove;
    call.type = old.type;
    call.urn = old.urn;
    call.id = old.id;
    call.old_inputs = old.inputs;
    call.old_outputs = old.outputs;
    call.timeout = timeout_of(old.custom_timeouts, "delete");
    providers_.call(std::move(call), [this, base, intent, gone, done](Result<ProviderAnswer> answer) {
      if (answer || !is_lost(answer.error())) forget(intent);
      if (answer) return gone(&intent);
      if (!is_lost(answer.error())) journal_.end(intent, &base_.resources[base]);
      fail(answer.error());
      done(tl::unexpected(std::move(answer.error())));
    });
  });
}

Result<void> Deployment::choose_deletions(bool all, std::vector<size_t>& out) const {
  std::unordered_set<std::string> providers;
  for (size_t i = 0; i < base_.resources.size(); ++i) {
    const Resource& resource = base_.resources[i];
    if (fates_[i] != Fate::kept) continue;
    if (!all && !resource.condemned && (first_error_ || seen_.contains(resource.urn))) continue;
    if (resource.protect && !resource.condemned) {
      return about("resource.protected", resource.urn, "would be deleted, and is protected",
                   "take `protect` away in a run of its own first");
    }
    if (resource.custom && !is_provider(resource.type) && !resource.retain_on_delete && !resource.external &&
        !providers_.has(resource.type)) {
      return about("resource.type", resource.urn, "would be deleted, and no provider knows its type",
                   "install the version of the extension that made it");
    }
    out.push_back(i);
  }
  return {};
}

void Deployment::finish(Done done) {
  ensure_stack();
  finish_ = std::move(done);
  finish_if_idle();
}

void Deployment::destroy(Done done) {
  std::vector<size_t> all;
  if (auto chosen = choose_deletions(true, all); !chosen) return done(std::move(chosen));
  std::make_shared<Removal>(*this, std::move(all), std::move(done))->start();
}

void Deployment::finish_if_idle() {
  if (!finish_ || working_ > 0) return;
  auto done = std::exchange(finish_, nullptr);
  std::vector<size_t> all;
  if (auto chosen = choose_deletions(false, all); !chosen) {
    fail(chosen.error());
    all.clear();
  }
  std::make_shared<Removal>(*this, std::move(all), [this, done = std::move(done)](Result<void> removed) {
    if (!removed) fail(removed.error());
    if (first_error_) return done(tl::unexpected(*first_error_));
    done({});
  })->start();
}

Snapshot Deployment::snapshot() const {
  Snapshot out;
  out.time = base_.time;
  out.secrets_providers = base_.secrets_providers;
  out.resources = done_;
  for (size_t i = 0; i < base_.resources.size(); ++i) {
    if (fates_[i] == Fate::kept) out.resources.push_back(base_.resources[i]);
  }
  out.pending = pending_;
  if (renamed_.empty()) return out;
  const auto follow = [&](Urn& urn) {
    if (const auto found = renamed_.find(urn); found != renamed_.end()) urn = found->second;
  };
  for (Resource& resource : out.resources) {
    follow(resource.parent);
    follow(resource.deleted_with);
    for (Urn& urn : resource.dependencies) follow(urn);
    for (auto& [property, urns] : resource.property_dependencies) {
      for (Urn& urn : urns) follow(urn);
    }
  }
  return out;
}

}  // namespace pf::iac
