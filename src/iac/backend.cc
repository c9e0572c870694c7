#include "iac/backend.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <set>
#include <utility>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "iac/property.h"
#include "state/layout.h"

namespace pf::iac {
namespace {

namespace fs = std::filesystem;

// Frames bound a state to 16 MiB, which stands in the file thrice.
constexpr uint64_t kLargestFile = 256U << 20;
constexpr uint64_t kLargestLock = 64 << 10;
constexpr char kMeta[] = "version: 1\n";
// By which we know our own locks; the CLI passes over it.
constexpr char kMark[] = "pangeo_forge";

std::string random_bytes(size_t size) {
  std::string out(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::getrandom(out.data() + have, size - have, 0);
    if (n > 0) have += static_cast<size_t>(n);
  }
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

// Private folders; durable ones survive a crash of the machine.
Result<void> make_private_folders(const fs::path& folder, bool durable = true) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return tl::unexpected(disk_error("cannot make folder", folder, ENOTDIR));
  }
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  if (parent != folder) {
    if (auto made = make_private_folders(parent, durable); !made) return made;
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return tl::unexpected(disk_error("cannot make folder", folder, errno));
  }
  return durable ? sync_folder(parent) : Result<void>();
}

// A temporary file in `by`, fsync where it is durable, rename. The folder is the caller's to sync.
Result<void> replace_file(const fs::path& file, const fs::path& by, std::string_view content, bool durable) {
  const fs::path temporary = by / (file.filename().string() + "." + to_hex(random_bytes(8)) + ".tmp");
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return tl::unexpected(disk_error("cannot write", file, errno));
  int code = write_all(fd.get(), content) ? 0 : errno;
  if (code == 0 && durable && ::fsync(fd.get()) != 0) code = errno;
  fd.reset();
  if (code == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) code = errno;
  if (code == 0) return {};
  ::unlink(temporary.c_str());
  return tl::unexpected(disk_error("cannot write", file, code));
}
Result<void> replace_file(const fs::path& file, std::string_view content) {
  return replace_file(file, file.parent_path(), content, true);
}

Result<void> check_name(const char* what, const std::string& name) {
  bool legal = !name.empty() && name.size() <= 100 && name != "." && name != "..";
  for (const char c : name) {
    legal = legal && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.');
  }
  if (legal) return {};
  return refuse("stack.name", std::string(what) + " name '" + shorten(name, 120) + "' is not legal",
                "use 1 to 100 letters, digits, `_`, `-` and `.`");
}

tl::unexpected<Error> unsupported(const fs::path& file, const std::string& what) {
  return refuse(
      "stack.unsupported", file.string() + ": " + what,
      "go on with the pulumi CLI for this backend, or use another state folder with --state-dir DIR; "
      "nothing was changed",
      {file.string(), 0, 0, {}});
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

std::string user_name() {
  char buffer[4096];
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr)
    return entry.pw_name;
  return std::to_string(::getuid());
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? shorten(found->get_ref<const std::string&>(), 100)
                                                     : "?";
}

// By its number a process cannot be told from a dead one: in a container each is the first.
bool is_ours(const Json& lock) { return lock.contains(kMark) && text_of(lock, "hostname") == host_name(); }

int64_t nanoseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}
int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string print_update(const UpdateInfo& update) {
  std::string out = "{\"kind\":" + go_string(update.kind) +
                    ",\"startTime\":" + std::to_string(seconds(update.started)) +
                    ",\"message\":" + go_string(update.message) + ",\"environment\":";
  append_go_json(out, Json(update.environment));
  out += ",\"config\":";
  append_go_json(out, update.config.is_object() ? update.config : Json::object());
  out += std::string(",\"version\":0,\"result\":\"") + (update.succeeded ? "succeeded" : "failed") +
         "\",\"endTime\":" + std::to_string(seconds(update.ended));
  if (!update.changes.empty()) {
    out += ",\"resourceChanges\":";
    append_go_json(out, Json(update.changes));
  }
  return out + '}';
}

Result<UpdateInfo> parse_update(const std::string& text, const fs::path& file) {
  const auto damaged = [&](const std::string& what) {
    return refuse("stack.damaged", file.string() + ": " + what,
                  "take the file away; what it tells of is in the stack's own file",
                  {file.string(), 0, 0, {}});
  };
  auto json = parse_state_json(text);
  if (!json) return damaged("it is no JSON: " + json.error().message);
  try {
    UpdateInfo out;
    out.kind = json->at("kind").get<std::string>();
    out.message = json->value("message", "");
    out.started = WallTime(std::chrono::seconds(json->at("startTime").get<int64_t>()));
    out.ended = WallTime(std::chrono::seconds(json->value("endTime", int64_t{0})));
    out.succeeded = json->value("result", "") == "succeeded";
    if (const auto found = json->find("environment"); found != json->end() && !found->is_null())
      out.environment = found->get<std::map<std::string, std::string>>();
    out.config = json->value("config", Json::object());
    if (const auto found = json->find("resourceChanges"); found != json->end() && !found->is_null())
      out.changes = found->get<std::map<std::string, uint32_t>>();
    return out;
  } catch (const Json::exception& error) {
    return damaged(error.what());
  }
}

}  // namespace

/// The locks that this process holds.
struct HeldLocks {
  std::mutex mutex;
  std::set<fs::path> files;
  bool contains(const fs::path& file) {
    const std::lock_guard guard(mutex);
    return files.contains(file);
  }
};

std::string random_uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string out = to_hex(bytes);
  for (const size_t at : {8U, 13U, 18U, 23U}) out.insert(at, "-");
  return out;
}

Backend::Backend(const fs::path& folder, const Clock& clock)
    : root_(folder / ".pulumi"), clock_(clock), held_(std::make_shared<HeldLocks>()) {}

fs::path Backend::file_of(const StackId& id) const {
  return root_ / "stacks" / id.project / (id.stack + ".json");
}
fs::path Backend::locks_of(const StackId& id) const {
  return root_ / "locks" / "organization" / id.project / id.stack;
}
fs::path Backend::history_of(const StackId& id) const { return root_ / "history" / id.project / id.stack; }

// ---- stacks

Result<std::optional<StackFile>> Backend::read(const StackId& id) const {
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
  if (auto whole = check_integrity(*snapshot, file); !whole) return tl::unexpected(whole.error());
  return StackFile{std::move(*text), std::move(*snapshot)};
}

Result<void> Backend::write(const StackId& id, const std::string* before, std::string_view after) const {
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

Result<void> Backend::remove(const StackId& id) const {
  const fs::path file = file_of(id);
  const std::string kept = file.string() + ".bak";
  if (::rename(file.c_str(), kept.c_str()) != 0)
    return tl::unexpected(disk_error("cannot remove", file, errno));
  if (auto synced = sync_folder(file.parent_path()); !synced) return synced;
  std::error_code code;
  fs::remove_all(history_of(id), code);
  if (code) return tl::unexpected(disk_error("cannot remove", history_of(id), code.value()));
  return {};
}

Result<std::vector<StackId>> Backend::list(const std::string& project) const {
  if (auto legal = check_name("project", project); !legal) return tl::unexpected(legal.error());
  std::vector<StackId> out;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(root_ / "stacks" / project, code)) {
    if (entry.path().extension() == ".json") out.push_back({project, entry.path().stem().string()});
  }
  if (code && code != std::errc::no_such_file_or_directory)
    return tl::unexpected(disk_error("cannot read", root_ / "stacks" / project, code.value()));
  std::sort(out.begin(), out.end(), [](const StackId& a, const StackId& b) { return a.stack < b.stack; });
  return out;
}

// The layout's version. `make` writes the file where there is none.
Result<void> Backend::check_meta(bool make) const {
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
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.pop_back();
  if (line == "version: 1") return {};
  return unsupported(file, "this engine knows the layout `version: 1`, not " + go_string(shorten(line, 80)));
}

// ---- locks

Backend::Lock::~Lock() {
  if (!held_) return;
  ::unlink(file_.c_str());
  const std::lock_guard guard(held_->mutex);
  held_->files.erase(file_);
}

Result<Backend::Lock> Backend::lock(const StackId& id) const {
  if (auto legal = check_name("project", id.project); !legal) return tl::unexpected(legal.error());
  if (auto legal = check_name("stack", id.stack); !legal) return tl::unexpected(legal.error());
  if (auto free = check_locks(id, {}); !free) return tl::unexpected(free.error());
  const fs::path folder = locks_of(id);
  if (auto made = make_private_folders(root_); !made) return tl::unexpected(made.error());
  if (auto made = make_private_folders(folder, false); !made) return tl::unexpected(made.error());
  Lock lock(folder / (random_uuid() + ".json"), held_);
  {
    const std::lock_guard guard(held_->mutex);
    held_->files.insert(lock.file());
  }
  const std::string content =
      "{\"pid\":" + std::to_string(::getpid()) + ",\"username\":" + go_string(user_name()) +
      ",\"hostname\":" + go_string(host_name()) + ",\"timestamp\":" + go_string(go_time(clock_.wall())) +
      ",\"" + kMark + "\":true}";
  // Any file in the folder is a lock to the CLI, so that the temporary one lies elsewhere. A lock need not
  // outlive the machine.
  if (auto written = replace_file(lock.file(), root_, content, false); !written) {
    return tl::unexpected(written.error());
  }
  if (auto alone = check_locks(id, lock.file()); !alone) return tl::unexpected(alone.error());
  return lock;
}

// The CLI takes any file of this folder for a lock, but for its attribute files and folders. Temporary ones
// are of whoever is about to lock: the CLI looks again after it has, and backs off.
Result<void> Backend::check_locks(const StackId& id, const fs::path& own) const {
  const fs::path folder = locks_of(id);
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const auto extension = entry.path().extension();
    if (extension == ".attrs" || extension == ".tmp" || entry.is_directory(code) || entry.path() == own)
      continue;
    std::string who = "another process";
    auto text = read_file(entry.path(), kLargestLock);
    if (!text && text.error().code == "os.enoent") continue;
    const auto value = text ? parse_json(*text) : Result<Json>(Json());
    if (value && value->is_object()) {
      if (is_ours(*value) && !held_->contains(entry.path())) {
        ::unlink(entry.path().c_str());
        continue;
      }
      const auto pid = value->find("pid");
      if (pid != value->end() && pid->is_number_integer()) {
        who = text_of(*value, "username") + "@" + text_of(*value, "hostname") + " (pid " + pid->dump() +
              ") since " + text_of(*value, "timestamp");
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

// ---- history

Result<void> Backend::record(const StackId& id, const UpdateInfo& update, std::string_view text) const {
  const fs::path folder = history_of(id);
  const fs::path backups = root_ / "backups" / id.project / id.stack;
  for (const fs::path& one : {folder, backups}) {
    if (auto made = make_private_folders(one); !made) return made;
  }
  const std::string number = std::to_string(nanoseconds(clock_.wall()));
  const std::string name = id.stack + "-" + number;
  if (auto kept = replace_file(folder / (name + ".history.json"), print_update(update)); !kept) return kept;
  if (auto kept = replace_file(folder / (name + ".checkpoint.json"), text); !kept) return kept;
  return replace_file(backups / (id.stack + "." + number + ".json"), text);
}

Result<std::vector<UpdateInfo>> Backend::history(const StackId& id) const {
  std::vector<std::pair<uint64_t, fs::path>> files;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(history_of(id), code)) {
    std::string name = entry.path().filename().string();
    if (!name.ends_with(".history.json") || !name.starts_with(id.stack + "-")) continue;
    name = name.substr(id.stack.size() + 1);
    uint64_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    files.emplace_back(number, entry.path());
  }
  if (code && code != std::errc::no_such_file_or_directory)
    return tl::unexpected(disk_error("cannot read", history_of(id), code.value()));
  std::sort(files.rbegin(), files.rend());
  std::vector<UpdateInfo> out;
  for (const auto& [number, file] : files) {
    auto text = read_file(file, kLargestFile);
    if (!text) return tl::unexpected(text.error());
    auto update = parse_update(*text, file);
    if (!update) return tl::unexpected(update.error());
    out.push_back(std::move(*update));
  }
  return out;
}

}  // namespace pf::iac
