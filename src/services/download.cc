#include "services/download.h"

#include <algorithm>
#include <deque>
#include <map>

#include "base/text.h"
#include "services/download_file.h"

namespace pf::services {
namespace {

using std::chrono::steady_clock;

/// Transfers of one source before the next one's turn, and of the last one. One that brought kProgress is not
/// counted.
constexpr int kTries = 2;
constexpr int kLastTries = 4;
constexpr uint64_t kProgress = 1U << 20;
constexpr Milliseconds kDelay{200};
constexpr Milliseconds kMaxDelay{10000};
constexpr Milliseconds kLongestRetryAfter{60000};
constexpr Milliseconds kStall{60000};
/// Files of a batch that are looked at ahead, at least.
constexpr size_t kAhead = 64;
constexpr size_t kKeptBody = 4096;  // of an answer that is no file
constexpr size_t kExcerpt = 200;    // characters of it in the message

bool retryable(const Error& error) {
  return error.retryable && (error.code.starts_with("http.") || error.code == "download.range");
}

/// A download on its way.
struct Job {
  DownloadRequest request;
  Downloads::Done done;
  std::shared_ptr<DownloadFile> file;
  size_t source = 0;
  int tries = 0;
  uint64_t size_before = 0;  // of the last transfer
  bool started_over = false;
  uint64_t transfer = 0;              // Http's number, 0: none
  std::function<void()> not_yet;      // takes the wait for another try back
  std::shared_ptr<Error> open_error;  // of a local file; written on the pool
  std::optional<HttpAccess>
      access;  // what the check said before the cache was asked; used up by the first hop
  steady_clock::time_point deadline;
  uint64_t batch = 0;   // that it belongs to
  bool active = false;  // it counts against the batch's bound
};

/// Many files of one call. Some more than are fetched at a time are looked at ahead, many in one go.
struct Batch {
  std::vector<DownloadRequest> requests;
  std::vector<Result<DownloadResult>> results;
  std::map<size_t, uint64_t> running;  // place -> number of a job
  std::deque<uint64_t> ready;          // looked at, waiting for their turn
  size_t parallel = 1;
  size_t active = 0;
  size_t next = 0;
  size_t left = 0;
  Downloads::DoneAll done;
};

class Service final : public Downloads {
 public:
  Service(Http& http, Http::Post post, Http::After after, std::filesystem::path cache)
      : http_(http),
        post_(std::move(post)),
        after_(std::move(after)),
        cache_(std::make_shared<const DownloadCache>(std::move(cache))) {}

  ~Service() override {
    *alive_ = nullptr;
    for (auto& [id, job] : jobs_) drop(job);
    if (pool_) pool_->close();
  }

  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  uint64_t submit(DownloadRequest request, Done done) override {
    const uint64_t id = next_++;
    Job& job = jobs_[id];
    job.request = std::move(request);
    job.done = std::move(done);
    job.deadline = steady_clock::now() + job.request.timeout;
    // Those that are submitted in one go are looked at in one go.
    fresh_.push_back(id);
    if (fresh_.size() == 1) later([this] { prepare(); });
    return id;
  }

  uint64_t submit_all(std::vector<DownloadRequest> requests, size_t parallel, DoneAll done) override {
    const uint64_t id = next_++;
    Batch& batch = batches_[id];
    batch.left = requests.size();
    batch.results.resize(requests.size());
    batch.requests = std::move(requests);
    batch.done = std::move(done);
    if (batch.left == 0) later([this, id] { end_batch(id); });
    batch.parallel = parallel;
    fill(id);
    return id;
  }

  void cancel(uint64_t id) override {
    if (auto batch = batches_.extract(id); !batch.empty()) {
      for (const auto& [place, job] : batch.mapped().running) cancel(job);
      return;
    }
    auto node = jobs_.extract(id);
    if (!node.empty()) drop(node.mapped());
  }

 private:
  void later(std::function<void()> f) {
    post_([alive = alive_, f = std::move(f)] {
      if (*alive != nullptr) f();
    });
  }

  // Does `work` on the pool, then `then` here, if the job is still wanted.
  void on_pool(uint64_t id, std::function<void()> work, std::function<void(uint64_t, Job&)> then) {
    pool().post([this, id, alive = alive_, post = post_, work = std::move(work), then = std::move(then)] {
      work();
      post([this, id, alive, then] {
        if (*alive == nullptr) return;
        if (auto found = jobs_.find(id); found != jobs_.end()) then(id, found->second);
      });
    });
  }

  DownloadPool& pool() {
    if (!pool_) pool_ = std::make_shared<DownloadPool>();
    return *pool_;
  }

  void drop(Job& job) {
    if (job.file) job.file->stop();
    if (job.not_yet) job.not_yet();
    if (job.transfer != 0) http_.cancel(job.transfer);
  }

  // Has the next files of a batch looked at, once few of those are left that were.
  void fill(uint64_t batch_id) {
    auto found = batches_.find(batch_id);
    if (found == batches_.end()) return;
    Batch& batch = found->second;
    const size_t ahead = std::max(kAhead, 2 * batch.parallel);
    if (batch.running.size() >= batch.active + ahead / 2) return;
    while (batch.next < batch.requests.size() && batch.running.size() < batch.active + ahead) {
      const size_t place = batch.next++;
      const uint64_t id =
          submit(std::move(batch.requests[place]), [this, batch_id, place](Result<DownloadResult> result) {
            one_done(batch_id, place, std::move(result));
          });
      jobs_.at(id).batch = batch_id;
      batch.running.emplace(place, id);
    }
  }

  // A job of a batch that was looked at: now, or when it is its turn.
  bool may_start(uint64_t id, Job& job) {
    auto found = batches_.find(job.batch);
    if (found == batches_.end()) return true;
    Batch& batch = found->second;
    if (batch.active == batch.parallel) {
      batch.ready.push_back(id);
      return false;
    }
    ++batch.active;
    job.active = true;
    return true;
  }

  void one_done(uint64_t batch_id, size_t place, Result<DownloadResult> result) {
    auto found = batches_.find(batch_id);
    if (found == batches_.end()) return;
    Batch& batch = found->second;
    batch.results[place] = std::move(result);
    batch.running.erase(place);
    if (--batch.left == 0) return end_batch(batch_id);
    while (!batch.ready.empty() && batch.active < batch.parallel) {
      const uint64_t id = batch.ready.front();
      batch.ready.pop_front();
      Job& job = jobs_.at(id);
      ++batch.active;
      job.active = true;
      start(id, job);
      if (batches_.find(batch_id) == batches_.end()) return;
    }
    fill(batch_id);
  }

  void end_batch(uint64_t id) {
    auto batch = batches_.extract(id);
    if (!batch.empty()) batch.mapped().done(std::move(batch.mapped().results));
  }

  /// What the pool found out about one file.
  struct Prepared {
    uint64_t id = 0;
    std::function<Result<FileTarget>()> target;
    DownloadFile::Options options;
    Result<std::shared_ptr<DownloadFile>> file;
    bool cached = false;
  };

  void prepare() {
    std::vector<uint64_t> ids;
    ids.swap(fresh_);
    auto all = std::make_shared<std::vector<Prepared>>();
    for (uint64_t id : ids) {
      auto found = jobs_.find(id);
      if (found == jobs_.end()) continue;
      Job& job = found->second;
      Prepared one;
      one.id = id;
      one.options.sha256 = job.request.sha256;
      one.options.md5 = job.request.md5;
      one.options.max_size = job.request.max_size;
      if (job.request.cache && !job.request.sha256.empty() && cache_->enabled()) {
        if (auto access = check_first(job.request); !access) {
          end(id, tl::unexpected(access.error()));
          continue;
        } else {
          job.access = *access;
        }
        one.options.cache = cache_;
      }
      pool();
      one.options.pool = pool_;
      one.options.usage = job.request.usage;
      if (job.request.progress) {
        one.options.progress = [this, id, alive = alive_, post = post_](uint64_t so_far,
                                                                        std::optional<uint64_t> total) {
          post([this, id, alive, so_far, total] {
            if (*alive == nullptr) return;
            auto at = jobs_.find(id);
            if (at != jobs_.end()) at->second.request.progress(so_far, total);
          });
        };
      }
      one.target = std::move(job.request.target);
      all->push_back(std::move(one));
    }
    if (all->empty()) return;
    pool().post([this, all, alive = alive_, post = post_] {
      for (Prepared& one : *all) look(one);
      post([this, all, alive] {
        if (*alive == nullptr) return;
        for (Prepared& one : *all) {
          if (*alive == nullptr) return;  // a Done may have ended it all
          begin(one);
        }
      });
    });
  }

  // On the pool.
  static void look(Prepared& one) {
    try {
      auto target = one.target();
      if (!target) {
        one.file = tl::unexpected(target.error());
        return;
      }
      one.options.target = std::move(*target);
      auto file = std::make_shared<DownloadFile>(std::move(one.options));
      auto cached = file->take_cached();
      if (!cached) {
        one.file = tl::unexpected(cached.error());
        return;
      }
      one.cached = *cached;
      if (!one.cached) file->look();
      one.file = std::move(file);
    } catch (const std::exception& e) {
      one.file = fail("os.enomem", std::string("a download cannot be prepared: ") + e.what(),
                      "free memory on this machine");
    }
  }

  // The permission for what the cache may have.
  Result<std::optional<HttpAccess>> check_first(DownloadRequest& request) {
    DownloadSource& source = request.sources.front();
    if (source.open) return std::optional<HttpAccess>();
    if (source.url.international()) {
      auto ascii = http_.to_ascii(source.url.host);
      if (!ascii) return tl::unexpected(ascii.error());
      source.url.host = std::move(*ascii);
    }
    auto access = request.check(source.url, 0);
    if (!access) return tl::unexpected(access.error());
    return std::optional<HttpAccess>(*access);
  }

  void begin(Prepared& one) {
    auto found = jobs_.find(one.id);
    if (found == jobs_.end()) return;
    if (!one.file) return end(one.id, tl::unexpected(one.file.error()));
    Job& job = found->second;
    job.file = std::move(*one.file);
    if (one.cached) return succeed(one.id, job, true);
    if (may_start(one.id, job)) start(one.id, job);
  }

  void start(uint64_t id, Job& job) {
    DownloadSource& source = job.request.sources[job.source];
    if (source.open) {
      return on_pool(
          id,
          [file = job.file, open = source.open, failed = job.open_error = std::make_shared<Error>()] {
            auto opened = open();
            if (opened)
              file->copy(std::move(*opened));
            else
              *failed = opened.error();
          },
          [this](uint64_t at, Job& j) { copied(at, j); });
    }
    HttpRequest request;
    request.url = source.url;
    request.headers = job.request.headers;
    if (!same_place(job.request.sources.front().url, source.url)) {
      drop_headers(request.headers, {"authorization", "cookie"});
    }
    for (auto& header : job.file->ask(source.text)) request.headers.push_back(std::move(header));
    if (job.file->state() == DownloadFile::State::failed) return next_source(id, job, job.file->failure());
    if (job.request.timeout.count() > 0) {
      request.timeout = std::chrono::duration_cast<Milliseconds>(job.deadline - steady_clock::now());
      if (request.timeout.count() <= 0) return out_of_time(id, job);
    } else {
      request.timeout = Milliseconds(0);
    }
    request.connect_timeout = job.request.connect_timeout;
    request.stall = kStall;
    request.max_body = UINT64_MAX;
    request.max_kept = kKeptBody;
    request.cut_kept = true;
    request.raw = true;
    request.bulk = true;
    request.sink = job.file;
    request.usage = job.request.usage;
    ++job.tries;
    job.size_before = job.file->size();
    job.transfer = http_.submit(
        std::move(request),
        [this, id](const Url& url, int hop) -> Result<HttpAccess> {
          Job& j = jobs_.at(id);
          if (hop == 0 && j.source == 0 && j.access) {
            const HttpAccess access = *j.access;
            j.access.reset();
            return access;
          }
          return j.request.check(url, hop);
        },
        [this, id](Result<HttpResponse> response) { answered(id, std::move(response)); });
  }

  void copied(uint64_t id, Job& job) {
    if (!job.open_error->code.empty()) return next_source(id, job, *job.open_error);
    settle(id, job);
  }

  void answered(uint64_t id, Result<HttpResponse> response) {
    auto found = jobs_.find(id);
    if (found == jobs_.end()) return;
    Job& job = found->second;
    job.transfer = 0;
    using State = DownloadFile::State;
    if (!response) {
      if (retryable(response.error())) return again(id, job, std::move(response.error()), std::nullopt);
      return next_source(id, job, std::move(response.error()));
    }
    if (job.file->state() != State::open) return settle(id, job);
    if (response->status == 416 && job.file->ranged()) {  // it has become shorter
      job.file->restart();
      return start_over(id, job, status_error(job, *response));
    }
    Error error = status_error(job, *response);
    if (!retryable_status(response->status)) return next_source(id, job, std::move(error));
    std::optional<Milliseconds> wait;
    if (const std::string* text = find_header(response->headers, "retry-after"); text != nullptr) {
      const auto now = Clock::system().wall().time_since_epoch();
      wait = parse_retry_after(*text, std::chrono::duration_cast<std::chrono::seconds>(now).count());
    }
    if (wait && *wait > kLongestRetryAfter) return next_source(id, job, std::move(error));
    again(id, job, std::move(error), wait);
  }

  // All bytes have come, or the file could not take them.
  void settle(uint64_t id, Job& job) {
    using State = DownloadFile::State;
    switch (job.file->state()) {
      case State::whole:
        return on_pool(
            id, [file = job.file] { file->finish(); }, [this](uint64_t at, Job& j) { settle(at, j); });
      case State::done: return succeed(id, job, false);
      case State::mismatch: {
        // Parts that do not fit together: once more, as a whole.
        Error error = job.file->failure();
        error.message += ", from " + job.request.sources[job.source].text;
        const bool resumed = job.file->resumed();
        job.file->restart();
        if (resumed) return start_over(id, job, std::move(error));
        return next_source(id, job, std::move(error));
      }
      case State::failed: {
        Error error = job.file->failure();
        if (error.code == "download.too_big") return next_source(id, job, std::move(error));
        return end(id, tl::unexpected(std::move(error)));
      }
      case State::open: break;
    }
    end(id, fail("http.internal",
                 job.request.sources[job.source].text + ": the transfer ended without a file", "try again"));
  }

  void start_over(uint64_t id, Job& job, Error error) {
    if (job.started_over) return next_source(id, job, std::move(error));
    job.started_over = true;
    job.tries = 0;
    start(id, job);
  }

  void again(uint64_t id, Job& job, Error error, std::optional<Milliseconds> wait) {
    if (job.file->size() >= job.size_before + kProgress) job.tries = 1;
    const bool last = job.source + 1 == job.request.sources.size();
    if (job.tries >= (last ? kLastTries : kTries) || !after_) return next_source(id, job, std::move(error));
    if (error.code == "download.range")
      job.file->restart();
    else
      job.file->clear();
    Milliseconds pause = backoff(kDelay, kMaxDelay, job.tries + 1);
    if (wait) pause = std::max(pause, *wait);
    if (job.request.timeout.count() > 0 && steady_clock::now() + pause >= job.deadline) {
      return end(id, tl::unexpected(std::move(error)));
    }
    job.not_yet = after_(pause, [this, alive = alive_, id] {
      if (*alive == nullptr) return;
      auto found = jobs_.find(id);
      if (found == jobs_.end()) return;
      found->second.not_yet = nullptr;
      start(id, found->second);
    });
  }

  void next_source(uint64_t id, Job& job, Error error) {
    // What this machine or the operator says is not mended by another server.
    const bool other =
        error.code.starts_with("http.") || error.code.starts_with("download.") || !job_is_remote(job);
    if (!other || job.source + 1 == job.request.sources.size())
      return end(id, tl::unexpected(std::move(error)));
    ++job.source;
    job.tries = 0;
    if (job.file->state() == DownloadFile::State::failed ||
        job.file->state() == DownloadFile::State::mismatch) {
      job.file->restart();
    }
    start(id, job);
  }

  static bool job_is_remote(const Job& job) { return !job.request.sources[job.source].open; }

  void out_of_time(uint64_t id, Job& job) {
    end(id, fail("http.timeout", job.request.sources[job.source].text + ": no time is left for another try",
                 "give a longer `timeout` (seconds), or try again later"));
  }

  static Error status_error(const Job& job, const HttpResponse& response) {
    Error error;
    error.code = "download.status";
    error.message =
        job.request.sources[job.source].text + " was answered with status " + std::to_string(response.status);
    if (!response.body.empty() && printable(response.body)) {
      error.message += ": " + shorten(response.body, kExcerpt);
    }
    error.hint = response.status == 401 || response.status == 403
                     ? "give credentials: `token`, or `user` and `password`"
                     : "check the address";
    error.retryable = retryable_status(response.status);
    return error;
  }

  // Text that a message may show.
  static bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte == '\n' || byte == '\r' || byte == '\t' || (byte >= 0x20 && byte < 0x7f);
    });
  }

  void succeed(uint64_t id, Job& job, bool from_cache) {
    DownloadResult result;
    result.size = job.file->size();
    result.sha256 = job.file->sha256();
    result.md5 = job.file->md5();
    result.from_cache = from_cache;
    result.url = job.request.sources[job.source].text;
    end(id, std::move(result));
  }

  void end(uint64_t id, Result<DownloadResult> result) {
    auto node = jobs_.extract(id);
    if (node.empty()) return;
    // The part is closed, or goes, before anybody hears of the end.
    if (node.mapped().file) node.mapped().file->close();
    if (auto batch = batches_.find(node.mapped().batch); batch != batches_.end() && node.mapped().active) {
      --batch->second.active;
    }
    node.mapped().done(std::move(result));
  }

  Http& http_;
  Http::Post post_;
  Http::After after_;
  std::shared_ptr<const DownloadCache> cache_;
  std::shared_ptr<DownloadPool> pool_;
  uint64_t next_ = 1;
  std::map<uint64_t, Job> jobs_;
  std::map<uint64_t, Batch> batches_;
  std::vector<uint64_t> fresh_;
  std::shared_ptr<Service*> alive_ = std::make_shared<Service*>(this);
};

}  // namespace

std::unique_ptr<Downloads> Downloads::make(Http& http, Http::Post post, Http::After after,
                                           std::filesystem::path cache) {
  return std::make_unique<Service>(http, std::move(post), std::move(after), std::move(cache));
}

}  // namespace pf::services
