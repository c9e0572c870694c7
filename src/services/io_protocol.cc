#include "services/io_protocol.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/cbor.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::services::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "frame lengths are written as the machine has them");
constexpr size_t kHeader = 4;
constexpr size_t kMaxMessage = 4000;  // characters of an error's texts

constexpr std::array<std::string_view, 14> kOperations = {
    "git.clone",      "git.fetch",  "git.push",   "git.ls_remote", "git.checkout",
    "git.submodules", "git.open",   "git.log",    "git.status",    "git.diff_names",
    "git.add",        "git.commit", "git.branch", "git.tag"};

/// Each struct names its members once; Put and Take walk over them.
template <class F>
void members(F& f, Place& p) {
  f("path", p.path), f("device", p.device), f("inode", p.inode);
}
template <class F>
void members(F& f, ArchiveLimits& l) {
  f("max_size", l.max_size), f("max_files", l.max_files), f("max_ratio", l.max_ratio);
}
template <class F>
void members(F& f, ArchiveList& a) {
  f("archive", a.archive), f("limits", a.limits);
}
template <class F>
void members(F& f, ArchiveExtract& a) {
  f("archive", a.archive), f("folder", a.folder), f("strip", a.strip), f("include", a.include);
  f("into", a.into), f("limits", a.limits);
}
template <class F>
void members(F& f, ArchiveSource& s) {
  f("place", s.place), f("name", s.name);
}
template <class F>
void members(F& f, ArchiveCreate& a) {
  f("folder", a.folder), f("name", a.name), f("sources", a.sources), f("mtime", a.mtime);
}
template <class F>
void members(F& f, GitHost& h) {
  f("host", h.host), f("wildcard", h.wildcard), f("port", h.port), f("private", h.private_addresses);
}
template <class F>
void members(F& f, GitAccess& a) {
  f("hosts", a.hosts), f("repositories", a.repositories), f("user", a.user), f("password", a.password);
  f("token", a.token), f("ssh_key", a.ssh_key), f("passphrase", a.passphrase);
  f("known_hosts", a.known_hosts), f("accept_new", a.accept_new), f("ca_file", a.ca_file);
}
template <class F>
void members(F& f, GitRequest& g) {
  f("folder", g.folder), f("mirror", g.mirror), f("url", g.url), f("remote", g.remote), f("ref", g.ref);
  f("name", g.name), f("from", g.from), f("to", g.to), f("message", g.message), f("author", g.author);
  f("email", g.email), f("time", g.time), f("items", g.items), f("path", g.path), f("most", g.most);
  f("force", g.force), f("with_submodules", g.with_submodules), f("prune", g.prune);
  f("allow_empty", g.allow_empty), f("access", g.access);
}

/// Appends members to a writer; counted by a first walk.
class Put {
 public:
  explicit Put(cbor::Writer& writer) : w_(writer) {}
  template <class T>
  void operator()(std::string_view name, T& value) {
    w_.text(name);
    put(value);
  }
  template <class T>
  void whole(T& value, std::string_view op = {}) {
    size_t count = op.empty() ? 0 : 1;
    const auto counter = [&](std::string_view, auto&) { ++count; };
    members(counter, value);
    w_.map(count);
    if (!op.empty()) {
      w_.text("op");
      w_.text(op);
    }
    members(*this, value);
  }

 private:
  void put(std::string& value) { w_.text_or_bytes(value); }
  void put(uint64_t& value) { w_.unsigned_integer(value); }
  void put(double& value) { w_.number(value); }
  void put(bool& value) { w_.boolean(value); }
  template <class T>
  void put(std::optional<T>& value) {
    if (value)
      put(*value);
    else
      w_.null();
  }
  template <class T>
  void put(std::vector<T>& values) {
    w_.array(values.size());
    for (T& value : values) put(value);
  }
  template <class T>
  void put(T& value) {
    whole(value);
  }
  cbor::Writer& w_;
};

/// Takes members from a reader, in the same order.
class Take {
 public:
  explicit Take(cbor::Reader& reader) : r_(reader) {}
  template <class T>
  void operator()(std::string_view name, T& value) {
    if (r_.text() != name) r_.fail();
    take(value);
  }
  template <class T>
  void whole(T& value) {
    r_.map();
    members(*this, value);
  }

 private:
  void take(std::string& value) { value = r_.text(); }
  void take(uint64_t& value) { value = r_.unsigned_int(); }
  void take(double& value) {
    const cbor::Item item = r_.next();
    if (item.type == cbor::Type::unsigned_int)
      value = static_cast<double>(item.number);
    else if (item.type == cbor::Type::negative_int)
      value = -1.0 - static_cast<double>(item.number);
    else if (item.type == cbor::Type::number)
      value = item.real;
    else
      r_.fail();
  }
  void take(bool& value) { value = r_.boolean(); }
  template <class T>
  void take(std::optional<T>& value) {
    cbor::Reader ahead = r_;
    if (ahead.next().type == cbor::Type::null) {
      r_ = ahead;
      return;
    }
    take(value.emplace());
  }
  template <class T>
  void take(std::vector<T>& values) {
    for (uint64_t left = r_.array(); left > 0 && r_.ok(); --left) take(values.emplace_back());
  }
  template <class T>
  void take(T& value) {
    whole(value);
  }
  cbor::Reader& r_;
};

std::string_view name_of(const Request& request) {
  if (std::holds_alternative<ArchiveList>(request)) return "archive.list";
  if (std::holds_alternative<ArchiveExtract>(request)) return "archive.extract";
  if (std::holds_alternative<ArchiveCreate>(request)) return "archive.create";
  return kOperations[static_cast<size_t>(std::get<GitRequest>(request).operation)];
}

std::string frame(std::string_view name, std::string_view item) {
  std::string out(kHeader, '\0');
  cbor::Writer w(out);
  w.map(1);
  w.text(name);
  w.raw(item);
  const auto size = static_cast<uint32_t>(out.size() - kHeader);
  std::memcpy(out.data(), &size, kHeader);
  return out;
}

tl::unexpected<Error> broken(std::string_view what) {
  return fail("io.protocol", "the io helper's answer cannot be used: " + std::string(what),
              "report it: this is a fault of pangeo-forge, or of what it read");
}

// Codes of the helper's own: what it says must not pass for a refusal or a fault of somebody else.
bool plausible_code(std::string_view code) {
  if (code.size() > 64 || code.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") != code.npos)
    return false;
  for (std::string_view family : {"archive.", "git.", "io.", "os."}) {
    if (code.starts_with(family) && code.size() > family.size()) return true;
  }
  return false;
}

}  // namespace

std::string encode(const Request& request) {
  std::string out;
  cbor::Writer writer(out);
  Put put(writer);
  Request copy = request;
  std::visit([&](auto& value) { put.whole(value, name_of(request)); }, copy);
  return out;
}

Result<Request> decode(std::string_view bytes) {
  const auto wrong = [] { return refuse("io.request", "the request of the io helper cannot be read"); };
  if (!cbor::scan(bytes)) return wrong();
  cbor::Reader in(bytes);
  in.map();
  if (in.text() != "op") return wrong();
  const std::string_view op = in.text();
  Request out;
  if (op == "archive.list") {
    out = ArchiveList{};
  } else if (op == "archive.extract") {
    out = ArchiveExtract{};
  } else if (op == "archive.create") {
    out = ArchiveCreate{};
  } else {
    const auto at = std::find(kOperations.begin(), kOperations.end(), op);
    if (at == kOperations.end()) return wrong();
    GitRequest git;
    git.operation = static_cast<GitOperation>(at - kOperations.begin());
    out = std::move(git);
  }
  Take take(in);
  std::visit([&](auto& value) { members(take, value); }, out);
  if (!in.ok() || !in.at_end()) return wrong();
  return out;
}

std::string progress_frame(double done, double total, std::string_view text) {
  std::string item;
  cbor::Writer w(item);
  w.map(3);
  w.text("done");
  w.number(done);
  w.text("total");
  w.number(total);
  w.text("text");
  w.text_or_bytes(text);
  return frame("progress", item);
}

std::string ok_frame(std::string_view value) { return frame("ok", value); }

std::string error_frame(const Error& error) {
  std::string item;
  cbor::Writer w(item);
  w.map(4);
  w.text("code");
  w.text_or_bytes(error.code);
  w.text("message");
  w.text_or_bytes(error.message);
  w.text("hint");
  w.text_or_bytes(error.hint);
  w.text("retryable");
  w.boolean(error.retryable);
  return frame("error", item);
}

Result<void> AnswerReader::feed(std::string_view bytes) {
  if (broken_) return broken("it was malformed");
  broken_ = true;
  buffer_.append(bytes);
  size_t at = 0;
  while (buffer_.size() - at >= kHeader) {
    uint32_t size = 0;
    std::memcpy(&size, buffer_.data() + at, kHeader);
    if (size > kMaxAnswer) return broken("a frame of " + std::to_string(size) + " bytes");
    if (buffer_.size() - at - kHeader < size) break;
    if (auto taken = take(std::string_view(buffer_).substr(at + kHeader, size)); !taken) return taken;
    at += kHeader + size;
  }
  buffer_.erase(0, at);
  broken_ = false;
  return {};
}

Result<void> AnswerReader::take(std::string_view payload) {
  if (answer_) return broken("something follows its end");
  if (auto scanned = cbor::scan(payload); !scanned) return broken(scanned.error().message);
  cbor::Reader in(payload);
  if (in.map() != 1) return broken("a frame is no map of one name");
  const std::string_view kind = in.text();
  if (kind == "ok") {
    answer_ = std::string(in.next_raw());
  } else if (kind == "progress") {
    if (in.map() != 3 || in.text() != "done") return broken("a progress frame");
    const auto real = [&] {
      const cbor::Item item = in.next();
      return item.type == cbor::Type::unsigned_int ? static_cast<double>(item.number)
             : item.type == cbor::Type::number     ? item.real
                                                   : NAN;
    };
    const double done = real();
    if (in.text() != "total") return broken("a progress frame");
    const double total = real();
    if (in.text() != "text") return broken("a progress frame");
    const std::string text = shorten(in.text(), 200);
    if (!in.ok() || !std::isfinite(done) || !std::isfinite(total)) return broken("a progress frame");
    if (++progresses_ > kMaxProgress) return broken("too many progress frames");
    if (progress_) progress_(done, total, cbor::is_utf8(text) ? text : std::string_view());
  } else if (kind == "error") {
    Error error;
    if (in.map() != 4 || in.text() != "code") return broken("an error frame");
    error.code = in.text();
    if (in.text() != "message") return broken("an error frame");
    error.message = shorten(in.text(), kMaxMessage);
    if (in.text() != "hint") return broken("an error frame");
    error.hint = shorten(in.text(), kMaxMessage);
    if (in.text() != "retryable") return broken("an error frame");
    error.retryable = in.boolean();
    if (!in.ok() || !plausible_code(error.code)) return broken("an error frame");
    answer_ = tl::unexpected(std::move(error));
  } else {
    return broken("a frame of an unknown kind");
  }
  return {};
}

Result<std::string> AnswerReader::finish() {
  if (broken_) return broken("it was malformed");
  if (!answer_ || !buffer_.empty()) {
    return fail("io.crashed", "the io helper ended without an answer",
                "what it read may be hostile or damaged; free memory may have run out");
  }
  return std::move(*answer_);
}

}  // namespace pf::services::io
