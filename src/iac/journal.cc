#include "iac/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "iac/property.h"
#include "state/layout.h"

namespace pf::iac {

namespace fs = std::filesystem;

// ---- Syncer

Syncer::Syncer(std::function<void(std::function<void()>)> post)
    : post_(std::move(post)), thread_([this] { work(); }) {}

Syncer::~Syncer() {
  {
    const std::lock_guard guard(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Syncer::append(std::shared_ptr<UniqueFd> file, std::string text, Callback durable) {
  {
    const std::lock_guard guard(mutex_);
    items_.push_back({std::move(file), std::move(text), std::move(durable)});
  }
  wake_.notify_one();
}

void Syncer::work() {
  std::unique_lock guard(mutex_);
  while (true) {
    wake_.wait(guard, [&] { return ending_ || !items_.empty(); });
    if (items_.empty()) return;
    auto items = std::exchange(items_, {});
    guard.unlock();
    // What is written to one file follows each other; each file is synced once, if somebody waits for it.
    std::unordered_map<int, std::pair<std::string, bool>> by_file;
    for (const Item& item : items) {
      auto& [text, waits] = by_file[item.file->get()];
      text += item.text;
      waits = waits || item.durable;
    }
    std::unordered_map<int, int> errors;
    for (const auto& [fd, what] : by_file) {
      int code = write_all(fd, what.first) ? 0 : errno;
      if (code == 0 && what.second && ::fdatasync(fd) != 0) code = errno;
      errors[fd] = code;
    }
    for (Item& item : items) {
      if (!item.durable) continue;
      const int code = errors[item.file->get()];
      Result<void> result;
      if (code != 0)
        result = tl::unexpected(state::folder_error("cannot write the journal of a stack", {}, code));
      post_([durable = std::move(item.durable), result = std::move(result)] { durable(result); });
    }
    items.clear();
    guard.lock();
  }
}

// ---- writing

Result<std::unique_ptr<FileJournal>> FileJournal::make(const fs::path& file, const JournalHeader& header,
                                                       std::shared_ptr<const PassphraseKey> key,
                                                       Syncer& syncer) {
  const auto wrong = [&](int code) {
    return tl::unexpected(state::folder_error("cannot write", file, code));
  };
  std::error_code code;
  fs::create_directories(file.parent_path(), code);
  if (code) return wrong(code.value());
  auto fd = std::make_shared<UniqueFd>(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (!*fd) return wrong(errno);
  const std::string line = "{\"journal\":1,\"base\":" + go_string(header.base) +
                           ",\"lock\":" + go_string(header.lock) + ",\"kind\":" + go_string(header.kind) +
                           ",\"started\":" + go_string(header.started) + "}\n";
  UniqueFd folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!write_all(fd->get(), line) || ::fsync(fd->get()) != 0 || !folder || ::fsync(folder.get()) != 0) {
    const int why = errno;
    ::unlink(file.c_str());
    return wrong(why);
  }
  return std::unique_ptr<FileJournal>(new FileJournal(std::move(fd), std::move(key), syncer));
}

Result<std::string> FileJournal::printed(const Resource& resource) {
  Resource sealed = resource;
  for (Json* values : {&sealed.inputs, &sealed.outputs}) {
    if (auto done = seal_secrets(*values, key_.get(), ciphertexts_); !done)
      return tl::unexpected(done.error());
  }
  std::string out;
  append_resource(out, sealed);
  return out;
}

void FileJournal::begin(const PendingOperation& intent, std::function<void(Result<void>)> go) {
  auto text = printed(intent.resource);
  if (!text) return go(tl::unexpected(std::move(text.error())));
  syncer_.append(file_, "{\"begin\":" + go_string(to_text(intent.type)) + ",\"resource\":" + *text + "}\n",
                 std::move(go));
}

void FileJournal::end(const PendingOperation& intent, const Resource* now) {
  std::string line = "{\"end\":" + go_string(to_text(intent.type)) +
                     ",\"urn\":" + go_string(intent.resource.urn) +
                     ",\"id\":" + go_string(intent.resource.id) + ",\"resource\":";
  if (now == nullptr) {
    line += "null";
  } else {
    // begin() has printed its secrets, so that there is a key; outputs have none that it could refuse.
    auto text = printed(*now);
    if (!text) return;  // it stays pending
    line += *text;
  }
  syncer_.append(file_, line + "}\n", {});
}

void FileJournal::note(const Resource& resource) {
  if (auto text = printed(resource)) syncer_.append(file_, "{\"note\":" + *text + "}\n", {});
}

// ---- reading

Result<std::optional<KeptJournal>> read_journal(const fs::path& file) {
  auto text = read_file(file);
  if (!text) {
    if (text.error().code == "os.enoent") return std::nullopt;
    return tl::unexpected(std::move(text.error()));
  }
  KeptJournal out;
  size_t number = 0;
  const auto wrong = [&](const std::string& what) {
    return refuse(
        "stack.journal",
        file.string() + ":" + std::to_string(number) + ": " + what + ", which no journal of ours says",
        "compare the stack's file with what there is, then remove the journal",
        {file.string(), static_cast<uint32_t>(number), 1, {}});
  };
  std::string_view rest = *text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;  // cut off
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    ++number;
    const auto json = parse_state_json(line);
    if (!json || !json->is_object()) return wrong("no JSON object");
    const auto word = [&](const char* key) {
      const auto found = json->find(key);
      return found != json->end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    if (number == 1) {
      if (json->value("journal", Json()) != 1) return wrong("another version");
      out.header = {word("base"), word("lock"), word("kind"), word("started")};
      continue;
    }
    KeptJournal::Entry entry;
    using Kind = KeptJournal::Entry::Kind;
    const char* key = "resource";
    if (json->contains("begin") || json->contains("end")) {
      entry.kind = json->contains("begin") ? Kind::begin : Kind::end;
      const std::string operation = word(entry.kind == Kind::begin ? "begin" : "end");
      bool known = false;
      for (const auto type : {PendingOperation::Type::creating, PendingOperation::Type::updating,
                              PendingOperation::Type::deleting, PendingOperation::Type::reading}) {
        if (to_text(type) != operation) continue;
        entry.type = type;
        known = true;
      }
      if (!known) return wrong("an operation '" + operation + "'");
      entry.urn = word("urn");
      entry.id = word("id");
    } else if (json->contains("note")) {
      entry.kind = Kind::note;
      key = "note";
    } else {
      return wrong("neither begin, end nor note");
    }
    if (const auto found = json->find(key); found != json->end() && !found->is_null()) {
      auto resource = parse_resource(*found, key, file);
      if (!resource) return wrong(resource.error().message);
      if (entry.kind != Kind::end) {
        entry.urn = resource->urn;
        entry.id = resource->id;
      }
      entry.resource = std::move(*resource);
    } else if (entry.kind != Kind::end) {
      return wrong("no resource");
    }
    out.entries.push_back(std::move(entry));
  }
  if (number == 0) return wrong("no header");
  return out;
}

Snapshot replay(Snapshot base, const KeptJournal& journal) {
  using Kind = KeptJournal::Entry::Kind;
  using Type = PendingOperation::Type;
  std::vector<Resource> done;
  std::vector<PendingOperation> open;
  auto& old = base.resources;
  const auto live = [](std::vector<Resource>& list, const Urn& urn) {
    return std::find_if(list.begin(), list.end(),
                        [&](const Resource& one) { return one.urn == urn && !one.condemned; });
  };
  const auto settle = [&](Resource now) {
    if (const auto found = live(done, now.urn); found != done.end())
      *found = std::move(now);
    else
      done.push_back(std::move(now));
  };
  for (const auto& entry : journal.entries) {
    if (entry.kind == Kind::begin) {
      open.push_back({entry.type, *entry.resource});
      continue;
    }
    if (entry.kind == Kind::note) {
      if (const auto found = live(old, entry.urn); found != old.end()) old.erase(found);
      settle(*entry.resource);
      continue;
    }
    const auto operation = std::find_if(open.begin(), open.end(), [&](const PendingOperation& one) {
      return one.type == entry.type && one.resource.urn == entry.urn && one.resource.id == entry.id;
    });
    if (operation != open.end()) open.erase(operation);
    if (entry.type == Type::deleting) {
      for (auto* list : {&old, &done}) {
        const auto found = std::find_if(list->begin(), list->end(), [&](const Resource& one) {
          return one.urn == entry.urn && one.id == entry.id;
        });
        if (found == list->end()) continue;
        if (entry.resource)
          *found = *entry.resource;
        else
          list->erase(found);
        break;
      }
      continue;
    }
    if (!entry.resource) continue;  // it never came to be
    const auto found = live(old, entry.urn);
    if (found != old.end()) {
      // A new one took its place: what was not deleted before waits for that.
      if (entry.type == Type::creating && !found->pending_replacement)
        found->condemned = true;
      else
        old.erase(found);
    }
    settle(*entry.resource);
  }
  done.insert(done.end(), std::make_move_iterator(old.begin()), std::make_move_iterator(old.end()));
  base.resources = std::move(done);
  base.pending.insert(base.pending.end(), std::make_move_iterator(open.begin()),
                      std::make_move_iterator(open.end()));
  return base;
}

}  // namespace pf::iac
