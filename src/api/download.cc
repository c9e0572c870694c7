// forge.download.*: the tables are read here, each file's place is opened on the pool of the downloads, each
// hop of each source is checked against the `http` permission, and services/download.h does the rest.
#include "services/download.h"

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <chrono>
#include <map>
#include <mutex>

#include "api/http_options.h"
#include "base/text.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::DownloadRequest;
using services::DownloadResult;
using services::DownloadSource;
using services::Url;
using std::chrono::steady_clock;

constexpr double kLongestTimeout = 7 * 86400;  // seconds
constexpr uint64_t kMostParallel = 64;
constexpr size_t kParallel = 16;
constexpr size_t kMostFiles = 100'000;
constexpr size_t kMostMirrors = 20;
constexpr auto kTellEvery = std::chrono::milliseconds(250);

/// One file of a call.
struct Wanted {
  DownloadRequest request;
  GrantedPath path;
  std::string path_text;           // as it was given
  std::string sha256, md5;         // demanded
  std::vector<GrantedPath> local;  // of file:// sources
  std::shared_ptr<HopCheck> check;
  std::shared_ptr<size_t> outside;  // which path an error of a pool's thread is about; 0: the target
};

/// Folders that a call has opened: many files lie in few. Used on threads of a pool.
class Opened {
 public:
  Result<services::FileTarget> target(Attempt& attempt, const GrantedPath& path) {
    const std::string& rest = path.place.rest;
    if (rest == ".") return target_of(attempt, path);
    const size_t slash = rest.rfind('/');
    const std::string key =
        path.place.root + '\0' + (slash == std::string::npos ? std::string() : rest.substr(0, slash));
    {
      std::lock_guard lock(mutex_);
      if (auto found = folders_.find(key); found != folders_.end()) {
        return services::FileTarget{found->second, rest.substr(slash == std::string::npos ? 0 : slash + 1),
                                    path.place.work ? rest : path.place.text};
      }
    }
    auto target = target_of(attempt, path);
    if (target) {
      std::lock_guard lock(mutex_);
      folders_.emplace(key, target->folder);
    }
    return target;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const UniqueFd>> folders_;
};

/// A call on its way.
struct Fetch {
  std::shared_ptr<Attempt> attempt;
  const registry::Call& call;
  Session::Answer answer;
  std::vector<Wanted> files;
  uint32_t number = 0;  // the caller's
  bool many = false;
  steady_clock::time_point told{};
};

std::optional<std::string> digest_of(const std::string& text, size_t digits) {
  std::string out = text;
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (out.size() != digits || out.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  return out;
}

/// Reads what is asked of one file.
class FileReader {
 public:
  FileReader(const std::shared_ptr<Attempt>& attempt, const registry::Call& call, const Json& options,
             std::shared_ptr<Opened> opened, const std::string& where = {})
      : attempt_(attempt), call_(call), opened_(std::move(opened)), read_(call, options, where) {}

  Result<Wanted> build(const std::string& url, const std::string& path) {
    auto granted = check_path(*attempt_, call_, path, Permission::write);
    if (!granted) return tl::unexpected(granted.error());
    out_.path = std::move(*granted);
    out_.path_text = path;
    out_.outside = std::make_shared<size_t>(0);
    out_.check = std::make_shared<HopCheck>(attempt_, call_, out_.path.place.text);
    if (auto ok = sources(url); !ok) return tl::unexpected(ok.error());
    if (auto ok = digests(); !ok) return tl::unexpected(ok.error());
    if (auto ok = rest(); !ok) return tl::unexpected(ok.error());
    DownloadRequest& r = out_.request;
    out_.sha256 = r.sha256;
    out_.md5 = r.md5;
    r.target = [attempt = attempt_, place = out_.path, opened = opened_] {
      return opened->target(*attempt, place);
    };
    r.check = [check = out_.check](const Url& hop_url, int hop) { return (*check)(hop_url, hop); };
    return std::move(out_);
  }

 private:
  Result<void> sources(const std::string& url) {
    if (auto ok = source(url); !ok) return ok;
    const Json* mirrors = read_.given("mirrors");
    if (mirrors == nullptr) return {};
    if (!mirrors->is_array() || mirrors->size() > kMostMirrors)
      return read_.bad("`mirrors` must be a list of at most " + std::to_string(kMostMirrors) + " URLs");
    for (const Json& item : *mirrors) {
      auto text = text_of(item);
      if (!text) return read_.bad("`mirrors` must be a list of URLs");
      if (auto ok = source(*text); !ok) return ok;
    }
    return {};
  }

  Result<void> source(const std::string& text) {
    const std::string scheme = text.substr(0, text.find(':'));
    if (scheme == "file" || scheme == "FILE") {
      auto path = services::parse_file_url(text);
      if (!path) return tl::unexpected(path.error());
      auto granted = check_path(*attempt_, call_, *path, Permission::read);
      if (!granted) return tl::unexpected(granted.error());
      if (!granted->place.work) attempt_->allow(call_, granted->place.text, out_.path.place.text);
      out_.local.push_back(*granted);
      out_.request.sources.push_back(
          {text,
           {},
           [attempt = attempt_, place = *granted, outside = out_.outside, number = out_.local.size()] {
             auto fd = open_granted(*attempt, place);
             if (!fd) *outside = number;
             return fd;
           }});
      return {};
    }
    if (scheme == "ftp" || scheme == "ftps" || scheme == "sftp" || scheme == "scp") {
      return refuse("download.scheme",
                    "'" + shorten(text, 200) + "' cannot be fetched safely: " +
                        (scheme.starts_with("ftp")
                             ? "an FTP server names the port of each file's connection itself, so "
                               "that what is connected to is not what was granted"
                             : "there is no key that the server could be known by"),
                    "use an https address of the same file; most archives have one");
    }
    auto url = services::parse_url(text);
    if (!url) return tl::unexpected(url.error());
    Url bare = *url;
    bare.user.clear();
    out_.request.sources.push_back({bare.text(), std::move(*url), {}});
    return {};
  }

  Result<void> digests() {
    for (auto [name, digits, field] : {std::tuple{"sha256", size_t{64}, &DownloadRequest::sha256},
                                       std::tuple{"md5", size_t{32}, &DownloadRequest::md5}}) {
      auto text = read_.text(name);
      if (!text) return tl::unexpected(text.error());
      if (!*text) continue;
      auto digest = digest_of(**text, digits);
      if (!digest) {
        return read_.bad("`" + std::string(name) + "` must be " + std::to_string(digits) +
                         " hexadecimal digits");
      }
      out_.request.*field = std::move(*digest);
    }
    return {};
  }

  Result<void> rest() {
    DownloadRequest& r = out_.request;
    auto headers = read_.headers();
    if (!headers) return tl::unexpected(headers.error());
    for (const auto& [name, text] : *headers) {
      for (std::string_view own : {"range", "if-range", "if-match", "if-none-match", "if-modified-since",
                                   "if-unmodified-since", "accept-encoding"}) {
        if (has_header({{name, ""}}, own))
          return read_.bad("the header " + name + " is set by the program", "leave it out");
      }
    }
    r.headers = std::move(*headers);
    const Url& first = r.sources.front().url;
    if (auto ok = read_.credentials(first, r.headers); !ok) return ok;
    const bool personal =
        has_header(r.headers, "authorization") || has_header(r.headers, "cookie") || !first.user.empty();
    auto timeout = read_.seconds("timeout", 0.001, kLongestTimeout);
    if (!timeout) return tl::unexpected(timeout.error());
    if (*timeout) r.timeout = **timeout;
    auto most = read_.whole("max_size", 1, 1ULL << 53);
    if (!most) return tl::unexpected(most.error());
    if (*most) r.max_size = **most;
    auto cache = read_.flag("cache");
    if (!cache) return tl::unexpected(cache.error());
    if (cache->value_or(false) && r.sha256.empty()) {
      return read_.bad("`cache = true` needs `sha256`", "the cache knows files by their SHA-256");
    }
    // Who has the digest but not the credentials must not get what they open.
    r.cache = cache->value_or(!personal) && !r.sha256.empty();
    return {};
  }

  std::shared_ptr<Attempt> attempt_;
  const registry::Call& call_;
  std::shared_ptr<Opened> opened_;
  OptionReader read_;
  Wanted out_;
};

void encode(cbor::Writer& writer, const Wanted& wanted, const DownloadResult& result) {
  writer.map(result.md5.empty() ? 5 : 6);
  writer.text("path");
  writer.text_or_bytes(wanted.path_text);
  writer.text("size");
  writer.unsigned_integer(result.size);
  writer.text("sha256");
  writer.text(result.sha256);
  if (!result.md5.empty()) {
    writer.text("md5");
    writer.text(result.md5);
  }
  writer.text("from_cache");
  writer.boolean(result.from_cache);
  writer.text("url");
  writer.text_or_bytes(result.url);
}

// As the extension gets to see it. On the loop's thread.
Error seen(Fetch& fetch, const Wanted& wanted, Error error) {
  if (error.code == "http.address") return wanted.check->private_address(error);
  const GrantedPath& path = *wanted.outside == 0 ? wanted.path : wanted.local[*wanted.outside - 1];
  error = recorded(*fetch.attempt, fetch.call, path, std::move(error));
  if (error.code == "os.enoent" && *wanted.outside == 0)
    error.hint = "make the folder first, with forge.fs.mkdir";
  return error;
}

// At most a few times a second for all files of a call together, and once more for the end of one that was
// told of.
void tell(Fetch& fetch, const std::string& path, uint64_t done, std::optional<uint64_t> total) {
  const auto now = steady_clock::now();
  if (!fetch.attempt->open || now - fetch.told < kTellEvery) return;
  fetch.told = now;
  fetch.attempt->hall.sink.progress(fetch.attempt->caller.index, static_cast<double>(done),
                                    static_cast<double>(total.value_or(0)), path.substr(path.rfind('/') + 1));
}

// A digest that the call demanded is the version of what came; otherwise there is none.
void note(Attempt& attempt, const Wanted& wanted, const DownloadResult& result) {
  const bool local = result.url.starts_with("file:");
  for (const GrantedPath& path : wanted.local) {
    if (local && !path.place.work && !attempt.reads.own(path.place.text))
      attempt.reads.add("file", path.place.text, "sha256:" + result.sha256);
  }
  if (!local) {
    std::optional<std::string> version;
    if (!wanted.md5.empty()) version = "md5:" + wanted.md5;
    if (!wanted.sha256.empty()) version = "sha256:" + wanted.sha256;
    attempt.reads.add("download", result.url.substr(0, result.url.find('?')), std::move(version),
                      "sha256:" + result.sha256);
  }
  note_written(attempt, wanted.path);
}

void answer(Fetch& fetch, std::vector<Result<DownloadResult>> results) {
  size_t failed = 0;
  size_t first = results.size();
  for (size_t i = results.size(); i-- > 0;) {
    if (results[i]) continue;
    ++failed;
    first = i;
  }
  if (failed > 0) {
    Error error = seen(fetch, fetch.files[first], std::move(results[first].error()));
    if (fetch.many) {
      error.message =
          "files[" + std::to_string(first + 1) + "], " + fetch.files[first].path_text + ": " + error.message;
      if (failed > 1) {
        error.message += " (" + std::to_string(failed - 1) + (failed == 2 ? " other file" : " other files") +
                         " of " + std::to_string(results.size()) + " failed too)";
      }
    }
    fetch.answer(tl::unexpected(std::move(error)));
    return;
  }
  for (size_t i = 0; i < results.size(); ++i) note(*fetch.attempt, fetch.files[i], *results[i]);
  std::string out;
  cbor::Writer writer(out);
  if (fetch.many) writer.array(results.size());
  for (size_t i = 0; i < results.size(); ++i) encode(writer, fetch.files[i], *results[i]);
  fetch.answer(std::move(out));
}

void start(std::shared_ptr<Fetch> fetch, size_t parallel) {
  services::Downloads& downloads = fetch->attempt->hall.downloads();
  std::vector<DownloadRequest> requests;
  requests.reserve(fetch->files.size());
  for (Wanted& wanted : fetch->files) {
    wanted.request.progress = [fetch = std::weak_ptr(fetch), path = wanted.path_text](
                                  uint64_t done, std::optional<uint64_t> total) {
      if (auto live = fetch.lock()) tell(*live, path, done, total);
    };
    wanted.request.usage = fetch->attempt->usage;
    requests.push_back(std::move(wanted.request));
  }
  auto cancel_id = std::make_shared<uint64_t>(0);
  const uint64_t id = downloads.submit_all(
      std::move(requests), parallel,
      [fetch, cancel_id,
       guard = std::make_shared<asio::executor_work_guard<asio::io_context::executor_type>>(
           fetch->attempt->hall.loop.get_executor())](std::vector<Result<DownloadResult>> results) {
        fetch->attempt->forget(*cancel_id);
        answer(*fetch, std::move(results));
      });
  *cancel_id = fetch->attempt->on_close([&downloads, id] { downloads.cancel(id); }, fetch->number);
}

Result<Json> table_of(const Request& request, size_t place) {
  if (!request.arguments.has(place)) return Json::object();
  auto decoded = from_cbor(request.arguments.raw(place));
  if (!decoded) return bad_argument(request.call, "the table cannot be read: " + decoded.error().message);
  return decoded;
}

void file(Request request) {
  auto options = table_of(request, 2);
  if (!options) return request.answer(tl::unexpected(options.error()));
  auto wanted = FileReader(request.attempt, request.call, *options, std::make_shared<Opened>())
                    .build(std::string(request.arguments.text(0)), std::string(request.arguments.text(1)));
  if (!wanted) return request.answer(tl::unexpected(wanted.error()));
  auto fetch = std::make_shared<Fetch>(
      Fetch{request.attempt, request.call, std::move(request.answer), {}, request.number});
  fetch->files.push_back(std::move(*wanted));
  start(std::move(fetch), 1);
}

Result<std::vector<Wanted>> read_all(const Request& request, const Json& list) {
  if (list.size() > kMostFiles)
    return bad_argument(request.call, "a call fetches at most " + std::to_string(kMostFiles) + " files");
  const auto fields =
      registry::calls()[static_cast<size_t>(registry::find("download.file"))].arguments[2].fields;
  std::vector<std::string> names = {"url", "path"};
  for (const registry::Field& field : fields) names.emplace_back(field.name);
  std::vector<Wanted> out;
  std::map<std::string, size_t> places;
  const auto opened = std::make_shared<Opened>();
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = "files[" + std::to_string(i + 1) + "]: ";
    const Json& item = list[i];
    const OptionReader read(request.call, item, where);
    if (!item.is_object()) return read.bad("it must be a table such as {url = …, path = …}");
    for (const auto& [name, value] : item.items()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string guess = did_you_mean(name, names);
      return read.bad("there is no option '" + shorten(name, 60) + "'",
                      guess.empty() ? "options are " + join(names, ", ") : guess);
    }
    auto url = read.text("url");
    if (!url) return tl::unexpected(url.error());
    auto path = read.text("path");
    if (!path) return tl::unexpected(path.error());
    if (!*url || !*path) return read.bad(std::string(*url ? "`path`" : "`url`") + " is missing");
    auto wanted = FileReader(request.attempt, request.call, item, opened, where).build(**url, **path);
    if (!wanted) return tl::unexpected(wanted.error());
    const auto [other, fresh] = places.try_emplace(wanted->path.place.text, i);
    if (!fresh) {
      return read.bad("it has the path of files[" + std::to_string(other->second + 1) + "], " + **path,
                      "give each file a path of its own");
    }
    out.push_back(std::move(*wanted));
  }
  return out;
}

void all(Request request) {
  auto list = table_of(request, 0);
  if (!list) return request.answer(tl::unexpected(list.error()));
  if (list->is_object()) *list = Json::array();  // an empty table may come as a map
  auto options = table_of(request, 1);
  if (!options) return request.answer(tl::unexpected(options.error()));
  auto parallel = OptionReader(request.call, *options).whole("parallel", 1, kMostParallel);
  if (!parallel) return request.answer(tl::unexpected(parallel.error()));
  auto files = read_all(request, *list);
  if (!files) return request.answer(tl::unexpected(files.error()));
  auto fetch = std::make_shared<Fetch>(
      Fetch{request.attempt, request.call, std::move(request.answer), {}, request.number});
  fetch->files = std::move(*files);
  fetch->many = true;
  start(std::move(fetch), static_cast<size_t>(parallel->value_or(kParallel)));
}

constexpr Handled kCalls[] = {{"download.file", file}, {"download.all", all}};

}  // namespace

std::span<const Handled> download_calls() { return kCalls; }

}  // namespace pf::api
