#include "iac/embedded.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "iac/property.h"
#include "iac/snapshot.h"
#include "state/layout.h"

namespace pf::iac {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestFile = 256U
                                  << 20;  // frames bound a state to 16 MiB, which stands in the file thrice
constexpr char kMeta[] = "version: 1\n";

std::string random_bytes(size_t size) {
  std::string out(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::getrandom(out.data() + have, size - have, 0);
    if (n > 0) have += static_cast<size_t>(n);
  }
  return out;
}

// RFC 9562, version 4.
std::string random_uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string out = to_hex(bytes);
  for (const size_t at : {8U, 13U, 18U, 23U}) out.insert(at, "-");
  return out;
}

Error disk_error(const std::string& what, const fs::path& path, int errno_value) {
  Error error = state::folder_error(what, path, errno_value);
  error.hint += "; the stack is as it was";
  error.where.file = path.string();
  return error;
}

Result<void> sync_folder(const fs::path& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return tl::unexpected(disk_error("cannot write", folder, errno));
  return {};
}

// Private folders, each of which survives a crash of the machine.
Result<void> make_private_folders(const fs::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return tl::unexpected(disk_error("cannot make folder", folder, ENOTDIR));
  }
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  if (parent != folder) {
    if (auto made = make_private_folders(parent); !made) return made;
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return tl::unexpected(disk_error("cannot make folder", folder, errno));
  }
  return sync_folder(parent);
}

// Temporary file as the CLI names its own, fsync, rename. The folder is the caller's to sync.
Result<void> replace_file(const fs::path& file, std::string_view content) {
  fs::path temporary = file;
  temporary += "." + to_hex(random_bytes(8)) + ".tmp";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return tl::unexpected(disk_error("cannot write", file, errno));
  int code = write_all(fd.get(), content) ? 0 : errno;
  if (code == 0 && ::fsync(fd.get()) != 0) code = errno;
  fd.reset();
  if (code == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) code = errno;
  if (code == 0) return {};
  ::unlink(temporary.c_str());
  return tl::unexpected(disk_error("cannot write", file, code));
}

/// Stacks in the files of Pulumi's DIY backend. Holds no state of its own.
class EmbeddedEngine final : public Engine {
 public:
  EmbeddedEngine(fs::path backend, EmbeddedOptions options)
      : root_(std::move(backend) / ".pulumi"), options_(std::move(options)) {
    if (options_.clock == nullptr) options_.clock = &Clock::system();
    if (!options_.new_id) options_.new_id = random_uuid;
  }

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
    auto found = load(id);
    if (!found) return tl::unexpected(found.error());
    if (auto free = check_locks(id); !free) return free;
    const WallTime now = options_.clock->wall();
    Snapshot next = *found ? (*found)->snapshot : Snapshot{};
    bool changed = !*found;
    changed = set_outputs(next, id, std::move(*outputs), now) || changed;
    changed = set_state(next, id, std::move(*state), now) || changed;
    if (!changed) return {};
    return write(id, *found ? &(*found)->text : nullptr, print_snapshot(next, id, now));
  }

  Result<bool> remove(const StackId& id) override {
    auto found = load(id);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return false;
    if (auto free = check_locks(id); !free) return tl::unexpected(free.error());
    const fs::path file = file_of(id);
    const std::string kept = file.string() + ".bak";
    if (::rename(file.c_str(), kept.c_str()) != 0) {
      return tl::unexpected(disk_error("cannot remove", file, errno));
    }
    if (auto synced = sync_folder(file.parent_path()); !synced) return tl::unexpected(synced.error());
    return true;
  }

 private:
  /// A stack's file as it was found.
  struct Loaded {
    std::string text;
    Snapshot snapshot;
  };

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

  // As the CLI does: the Stack resource has no inputs, and so is never modified by its outputs.
  static bool set_outputs(Snapshot& snapshot, const StackId& id, Json outputs, WallTime now) {
    Resource* stack = find(snapshot, stack_urn(id));
    if (stack != nullptr && stack->outputs == outputs) return false;
    if (stack == nullptr) {
      Resource made;
      made.urn = stack_urn(id);
      made.type = "pulumi:pulumi:Stack";
      made.created = made.modified = go_time(now);
      stack = &*snapshot.resources.insert(snapshot.resources.begin(), std::move(made));
    }
    stack->outputs = std::move(outputs);
    return true;
  }

  bool set_state(Snapshot& snapshot, const StackId& id, Json state, WallTime now) const {
    Resource* stash = find(snapshot, stash_urn(id));
    if (state.is_null()) {
      // Its provider is there for nothing else.
      return std::erase_if(snapshot.resources, [&](const Resource& resource) {
               return resource.urn == stash_urn(id) || resource.urn == provider_urn(id);
             }) > 0;
    }
    if (stash != nullptr && input_of(*stash) == state) return false;
    if (stash == nullptr) {
      Resource provider;
      provider.urn = provider_urn(id);
      provider.custom = true;
      provider.id = options_.new_id();
      provider.type = "pulumi:providers:pulumi";
      provider.created = provider.modified = go_time(now);
      Resource made;
      made.urn = stash_urn(id);
      made.custom = true;
      made.id = options_.new_id();
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
    return true;
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

  fs::path file_of(const StackId& id) const { return root_ / "stacks" / id.project / (id.stack + ".json"); }

  static Result<void> check_name(const char* what, const std::string& name) {
    bool legal = !name.empty() && name.size() <= 100 && name != "." && name != "..";
    for (const char c : name) {
      legal = legal && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        c == '_' || c == '-' || c == '.');
    }
    if (legal) return {};
    return refuse("stack.name", std::string(what) + " name '" + shorten(name, 120) + "' is not legal",
                  "use 1 to 100 letters, digits, `_`, `-` and `.`");
  }

  Result<std::optional<Loaded>> load(const StackId& id) const {
    if (auto legal = check_name("project", id.project); !legal) return tl::unexpected(legal.error());
    if (auto legal = check_name("stack", id.stack); !legal) return tl::unexpected(legal.error());
    const fs::path file = file_of(id);
    for (const char* suffix : {".gz", ".zst"}) {
      const fs::path compressed = file.string() + suffix;
      if (::access(compressed.c_str(), F_OK) != 0) continue;
      return unsupported(compressed, "the stack is kept compressed");
    }
    auto text = read_file(file, kLargestFile);
    if (!text) {
      if (text.error().code == "os.enoent") return std::nullopt;
      text.error().where.file = file.string();
      return tl::unexpected(text.error());
    }
    if (auto known = check_meta(false); !known) return tl::unexpected(known.error());
    auto snapshot = parse_snapshot(*text, file);
    if (!snapshot) return tl::unexpected(snapshot.error());
    if (auto ours = check_ours(*snapshot, id, file); !ours) return tl::unexpected(ours.error());
    if (auto whole = check_integrity(*snapshot, file); !whole) return tl::unexpected(whole.error());
    return Loaded{std::move(*text), std::move(*snapshot)};
  }

  static tl::unexpected<Error> unsupported(const fs::path& file, const std::string& what) {
    return refuse(
        "stack.unsupported", file.string() + ": " + what,
        "go on with the pulumi CLI for this backend, or use another state folder with --state-dir DIR; "
        "nothing was changed",
        {file.string(), 0, 0, {}});
  }

  // The layout's version. `make` writes the file where there is none.
  Result<void> check_meta(bool make) const {
    const fs::path file = root_ / "meta.yaml";
    auto text = read_file(file, 4096);
    if (!text && text.error().code == "os.enoent") {
      std::error_code code;
      for (const auto& entry : fs::directory_iterator(root_ / "stacks", code)) {
        if (entry.path().extension() == ".json") {
          return unsupported(entry.path(), "the backend has the layout of before projects");
        }
      }
      if (!make) return {};
      return replace_file(file, kMeta);
    }
    if (!text) return tl::unexpected(text.error());
    std::string line = *text;
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' '))
      line.pop_back();
    if (line == "version: 1") return {};
    return unsupported(file,
                       "this engine knows the layout `version: 1`, not " + go_string(shorten(line, 80)));
  }

  // The CLI takes any file of this folder for a lock, but for its attribute files and folders. Temporary ones
  // are of whoever is about to lock: the CLI looks again after it has, and backs off.
  Result<void> check_locks(const StackId& id) const {
    const fs::path folder = root_ / "locks" / "organization" / id.project / id.stack;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(folder, code)) {
      const auto extension = entry.path().extension();
      if (extension == ".attrs" || extension == ".tmp" || entry.is_directory(code)) continue;
      std::string who = "another process";
      auto text = read_file(entry.path(), 64 * 1024);
      if (!text && text.error().code == "os.enoent") continue;
      auto value = text ? parse_json(*text) : Result<Json>(Json());
      if (value && value->is_object()) {
        const auto field = [&](const char* key) {
          const auto found = value->find(key);
          return found != value->end() && found->is_string()
                     ? shorten(found->get_ref<const std::string&>(), 100)
                     : std::string("?");
        };
        const auto pid = value->find("pid");
        if (pid != value->end() && pid->is_number_integer()) {
          who = field("username") + "@" + field("hostname") + " (pid " + pid->dump() + ") since " +
                field("timestamp");
        }
      }
      return fail(
          "stack.locked",
          "the stack " + id.project + "/" + id.stack + " is locked by " + who + ": " + entry.path().string(),
          "wait until that process ends; when it is dead, remove the file (`pulumi cancel` does it, too)",
          {entry.path().string(), 0, 0, {}});
    }
    if (code && code != std::errc::no_such_file_or_directory) {
      return tl::unexpected(disk_error("cannot read the locks in", folder, code.value()));
    }
    return {};
  }

  Result<void> write(const StackId& id, const std::string* before, const std::string& after) const {
    const fs::path file = file_of(id);
    if (auto made = make_private_folders(file.parent_path()); !made) return made;
    if (auto meta = check_meta(true); !meta) return meta;
    if (before != nullptr) {
      if (auto kept = replace_file(file.string() + ".bak", *before); !kept) return kept;
    } else if (auto synced = sync_folder(root_); !synced) {  // for meta.yaml
      return synced;
    }
    if (auto written = replace_file(file, after); !written) return written;
    return sync_folder(file.parent_path());
  }

  const fs::path root_;
  EmbeddedOptions options_;
};

}  // namespace

std::unique_ptr<Engine> make_embedded_engine(fs::path backend, EmbeddedOptions options) {
  return std::make_unique<EmbeddedEngine>(std::move(backend), std::move(options));
}

std::unique_ptr<Engine> make_embedded_engine(fs::path backend) {
  return make_embedded_engine(std::move(backend), EmbeddedOptions{});
}

}  // namespace pf::iac
