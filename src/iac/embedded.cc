#include "iac/embedded.h"

#include <algorithm>
#include <utility>

#include "iac/backend.h"
#include "iac/property.h"

namespace pf::iac {
namespace {

namespace fs = std::filesystem;

/// Stacks in the files of Pulumi's DIY backend. Holds no state of its own.
class EmbeddedEngine final : public Engine {
 public:
  EmbeddedEngine(fs::path backend, EmbeddedOptions options)
      : clock_(options.clock == nullptr ? Clock::system() : *options.clock),
        new_id_(options.new_id ? std::move(options.new_id) : random_uuid),
        backend_(backend, clock_) {}

  std::string_view name() const override { return "embedded"; }

  Result<std::optional<StackContent>> read(const StackId& id) override {
    auto found = load(id);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return std::nullopt;
    StackContent content;
    const Snapshot& snapshot = (*found)->snapshot;
    if (const Resource* stash = find(snapshot, stash_urn(id)))
      append_content(content.state, input_of(*stash));
    if (const Resource* stack = find(snapshot, stack_urn(id)))
      append_content(content.outputs, stack->outputs);
    return content;
  }

  Result<void> export_content(const StackId& id, const StackContent& content) override {
    auto state = to_state_value(content.state, "state");
    if (!state) return tl::unexpected(state.error());
    auto outputs = to_state_value(content.outputs, "outputs");
    if (!outputs) return tl::unexpected(outputs.error());
    const auto lock = backend_.lock(id);
    if (!lock) return tl::unexpected(lock.error());
    auto found = load(id);  // whoever had the lock may have changed it
    if (!found) return tl::unexpected(found.error());
    if (*found && holds((*found)->snapshot, id, *state, *outputs)) return {};
    Snapshot next = *found ? (*found)->snapshot : Snapshot{};
    const WallTime now = clock_.wall();
    set_outputs(next, id, std::move(*outputs), now);
    set_state(next, id, std::move(*state), now);
    return backend_.write(id, *found ? &(*found)->text : nullptr, print_snapshot(next, id, now));
  }

  Result<bool> remove(const StackId& id) override {
    auto found = load(id);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return false;
    const auto lock = backend_.lock(id);
    if (!lock) return tl::unexpected(lock.error());
    if (auto removed = backend_.remove(id); !removed) return tl::unexpected(removed.error());
    return true;
  }

 private:
  static Urn stack_urn(const StackId& id) {
    return make_urn(id, {}, "pulumi:pulumi:Stack", id.project + "-" + id.stack);
  }
  static Urn provider_urn(const StackId& id) {
    return make_urn(id, {}, "pulumi:providers:pulumi", "default");
  }
  static Urn stash_urn(const StackId& id) { return make_urn(id, {}, "pulumi:index:Stash", "state"); }

  static const Resource* find(const Snapshot& snapshot, const Urn& urn) {
    const auto found = std::find_if(snapshot.resources.begin(), snapshot.resources.end(),
                                    [&](const Resource& resource) { return resource.urn == urn; });
    return found == snapshot.resources.end() ? nullptr : &*found;
  }
  static Resource* find(Snapshot& snapshot, const Urn& urn) {
    return const_cast<Resource*>(find(std::as_const(snapshot), urn));
  }

  // What a Stash keeps; null where there is nothing.
  static Json input_of(const Resource& stash) {
    return stash.inputs.is_object() ? stash.inputs.value("input", Json()) : Json();
  }
  static void append_content(std::string& cbor, const Json& value) {
    if (!value.is_null() && !value.empty()) append_cbor(cbor, value);
  }

  static bool holds(const Snapshot& snapshot, const StackId& id, const Json& state, const Json& outputs) {
    const Resource* stack = find(snapshot, stack_urn(id));
    const Resource* stash = find(snapshot, stash_urn(id));
    return stack != nullptr && stack->outputs == outputs &&
           (stash == nullptr ? Json() : input_of(*stash)) == state;
  }

  // As the CLI does: the Stack resource has no inputs, and so is never modified by its outputs.
  static void set_outputs(Snapshot& snapshot, const StackId& id, Json outputs, WallTime now) {
    Resource* stack = find(snapshot, stack_urn(id));
    if (stack == nullptr) {
      Resource made;
      made.urn = stack_urn(id);
      made.type = "pulumi:pulumi:Stack";
      made.created = made.modified = go_time(now);
      stack = &*snapshot.resources.insert(snapshot.resources.begin(), std::move(made));
    }
    stack->outputs = std::move(outputs);
  }

  void set_state(Snapshot& snapshot, const StackId& id, Json state, WallTime now) const {
    Resource* stash = find(snapshot, stash_urn(id));
    if (state.is_null()) {
      // Its provider is there for nothing else.
      std::erase_if(snapshot.resources, [&](const Resource& resource) {
        return resource.urn == stash_urn(id) || resource.urn == provider_urn(id);
      });
      return;
    }
    if (stash != nullptr && input_of(*stash) == state) return;
    if (stash == nullptr) {
      Resource provider;
      provider.urn = provider_urn(id);
      provider.custom = true;
      provider.id = new_id_();
      provider.type = "pulumi:providers:pulumi";
      provider.created = provider.modified = go_time(now);
      Resource made;
      made.urn = stash_urn(id);
      made.custom = true;
      made.id = new_id_();
      made.type = "pulumi:index:Stash";
      made.parent = stack_urn(id);
      made.provider = provider.urn + "::" + provider.id;
      made.property_dependencies["input"] = {};
      made.created = go_time(now);
      // The CLI's Stash puts out what it was made with, whatever its input becomes.
      made.outputs = {{"output", state}};
      snapshot.resources.push_back(std::move(provider));
      stash = &snapshot.resources.emplace_back(std::move(made));
    }
    stash->outputs["input"] = state;
    stash->inputs = {{"input", std::move(state)}};
    stash->modified = go_time(now);
  }

  // Until resources are registered, all that a stack of ours holds are these three, without secrets.
  static Result<void> check_ours(const Snapshot& snapshot, const StackId& id, const fs::path& file) {
    const auto no = [&](const std::string& path, const std::string& what) {
      return refuse(
          "stack.unsupported", file.string() + " at checkpoint.latest." + path + ": " + what,
          "go on with the pulumi CLI for this stack, or give the instance another stack name (its key "
          "`stack`); the file was left as it is",
          {file.string(), 0, 0, "checkpoint.latest." + path});
    };
    if (!snapshot.pending.empty())
      return no("pending_operations", "an operation of another program was interrupted");
    for (size_t i = 0; i < snapshot.resources.size(); ++i) {
      const Resource& resource = snapshot.resources[i];
      const std::string path = "resources[" + std::to_string(i) + "]";
      if (resource.urn != stack_urn(id) && resource.urn != provider_urn(id) && resource.urn != stash_urn(id))
        return no(path + ".urn",
                  "the resource " + go_string(resource.urn) + " is not of this engine's making");
      for (const auto& [values, name] :
           {std::pair{&resource.inputs, ".inputs"}, {&resource.outputs, ".outputs"}}) {
        if (const auto special = find_special(*values, path + name); !special.empty())
          return no(special, "it is a secret, an asset or an unknown value");
      }
    }
    const Resource* stash = find(snapshot, stash_urn(id));
    if (stash == nullptr && find(snapshot, provider_urn(id)) != nullptr)
      return no("resources", "there is a provider without the Stash `state`");
    if (stash != nullptr && !input_of(*stash).is_null() && !input_of(*stash).is_object()) {
      return no("resources[" + std::to_string(stash - snapshot.resources.data()) + "].inputs.input",
                "the state is no map");
    }
    return {};
  }

  Result<std::optional<StackFile>> load(const StackId& id) const {
    auto found = backend_.read(id);
    if (!found || !*found) return found;
    if (auto ours = check_ours((*found)->snapshot, id, backend_.file_of(id)); !ours)
      return tl::unexpected(ours.error());
    return found;
  }

  const Clock& clock_;
  const std::function<std::string()> new_id_;
  const Backend backend_;
};

}  // namespace

std::unique_ptr<Engine> make_embedded_engine(fs::path backend, EmbeddedOptions options) {
  return std::make_unique<EmbeddedEngine>(std::move(backend), std::move(options));
}

std::unique_ptr<Engine> make_embedded_engine(fs::path backend) {
  return make_embedded_engine(std::move(backend), EmbeddedOptions{});
}

}  // namespace pf::iac
