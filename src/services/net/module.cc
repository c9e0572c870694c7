// The net module: libcurl's multi interface behind the table of net_module.h. Four loops, each a thread with
// a multi handle of its own: one for requests that may reach public addresses only, one for those that may
// reach private ones, and both once more for bulk, so that writing much to a slow disk holds up no request.
// They share no connections, so that a request of the first kind can never ride on one of the second.
#include <curl/curl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "services/net/transfer.h"
#include "services/net_module.h"

namespace {

using pf::net::Transfer;

/// Handles that a loop keeps for the next transfers.
constexpr size_t kIdleHandles = 32;

/// A thread with a multi handle.
class Loop {
 public:
  Loop(pf_net_done done, void* context) : done_(done), context_(context) {}

  ~Loop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    if (multi_ != nullptr) curl_multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
    for (auto& [id, transfer] : running_) {
      curl_multi_remove_handle(multi_, transfer->easy);
      curl_easy_cleanup(transfer->easy);
    }
    running_.clear();
    for (CURL* easy : idle_) curl_easy_cleanup(easy);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool submit(std::unique_ptr<Transfer> transfer) {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable() && !start()) return false;
    added_.push_back(std::move(transfer));
    wake();
    return true;
  }

  void cancel(uint64_t id) {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable()) return;
    cancelled_.push_back(id);
    wake();
  }

 private:
  // Under the mutex. A thread that will look anyway is not woken once more.
  void wake() {
    if (!woken_) curl_multi_wakeup(multi_);
    woken_ = true;
  }

  bool start() {
    multi_ = curl_multi_init();
    if (multi_ == nullptr) return false;
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, 128L);
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, 32L);
    // The program's signals are for its own thread; resolver threads inherit the mask.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (...) {
      started = false;
      curl_multi_cleanup(multi_);
      multi_ = nullptr;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  void run() {
    std::vector<std::unique_ptr<Transfer>> added;
    std::vector<uint64_t> cancelled;
    while (true) {
      {
        std::lock_guard lock(mutex_);
        if (stop_) return;
        woken_ = false;
        added.swap(added_);
        cancelled.swap(cancelled_);
      }
      for (auto& transfer : added) begin(std::move(transfer));
      for (uint64_t id : cancelled) {
        if (auto found = running_.find(id); found != running_.end()) {
          retire(*found->second);
          running_.erase(found);
        }
      }
      added.clear();
      cancelled.clear();
      int active = 0;
      curl_multi_perform(multi_, &active);
      int left = 0;
      while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        void* pointer = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &pointer);
        const CURLcode code = message->data.result;  // the message dies with the handle's removal
        auto* transfer = static_cast<Transfer*>(pointer);
        finish(*transfer, code, left > 0);
        retire(*transfer);
        running_.erase(transfer->id);
      }
      curl_multi_poll(multi_, nullptr, 0, 60000, nullptr);
    }
  }

  void begin(std::unique_ptr<Transfer> transfer) {
    const uint64_t id = transfer->id;
    void* stream = transfer->options.stream_context;
    try {
      const auto [at, fresh] = running_.try_emplace(id, std::move(transfer));
      if (fresh) {
        Transfer& t = *at->second;
        CURL* easy = nullptr;
        bool ready = false;
        if (!idle_.empty()) {
          easy = idle_.back();
          idle_.pop_back();
          // One that was of an HTTP/2 connection may still have its buffer, and then takes no size for it.
          ready = t.set_up(easy);
          if (!ready) curl_easy_cleanup(easy);
        }
        if (!ready) {
          easy = curl_easy_init();
          ready = easy != nullptr && t.set_up(easy);
        }
        if (ready && curl_multi_add_handle(multi_, easy) == CURLM_OK) return;
        answer(id, stream, PF_NET_INTERNAL, "the request could not be set up");
        curl_easy_cleanup(easy);
        running_.erase(at);
        return;
      }
    } catch (...) {  // no memory for the table's entry: nothing was entered
    }
    answer(id, nullptr, PF_NET_INTERNAL, "the request could not be set up");
  }

  // The handle of a transfer that is over: kept for the next one, without anything of this one.
  void retire(Transfer& t) {
    curl_multi_remove_handle(multi_, t.easy);
    if (idle_.size() < kIdleHandles) {
      curl_easy_reset(t.easy);
      idle_.push_back(t.easy);
    } else {
      curl_easy_cleanup(t.easy);
    }
    t.easy = nullptr;
  }

  void answer(uint64_t id, void* stream, pf_net_outcome outcome, const char* message, bool more = false) {
    pf_net_response response{};
    response.id = id;
    response.outcome = outcome;
    response.message = message;
    response.stream_context = stream;
    response.more = more ? 1 : 0;
    done_(context_, &response);
  }

  void finish(Transfer& t, CURLcode code, bool more) {
    const char* message = "";
    const pf_net_outcome outcome = t.finish(code, message);
    if (outcome != PF_NET_OK) return answer(t.id, t.options.stream_context, outcome, message, more);
    long status = 0;
    curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &status);
    pf_net_response response{};
    response.id = t.id;
    response.outcome = PF_NET_OK;
    response.message = "";
    response.status = static_cast<int>(status);
    response.headers = t.answer_headers.data();
    response.headers_size = t.answer_headers.size();
    response.body = t.answer_body.data();
    response.body_size = t.answer_body.size();
    response.stream_context = t.options.stream_context;
    response.more = more ? 1 : 0;
    done_(context_, &response);
  }

  pf_net_done done_;
  void* context_;
  CURLM* multi_ = nullptr;
  std::thread thread_;
  std::mutex mutex_;  // guards the next four
  bool stop_ = false;
  bool woken_ = false;
  std::vector<std::unique_ptr<Transfer>> added_;
  std::vector<uint64_t> cancelled_;
  std::unordered_map<uint64_t, std::unique_ptr<Transfer>> running_;  // the thread's own
  std::vector<CURL*> idle_;                                          // the thread's own
};

struct Net {
  Net(pf_net_done done, void* context)
      : open(done, context), guarded(done, context), open_bulk(done, context), guarded_bulk(done, context) {}
  Loop& loop(const pf_net_request& request) {
    if (request.bulk != 0) return request.allow_private != 0 ? open_bulk : guarded_bulk;
    return request.allow_private != 0 ? open : guarded;
  }

  Loop open;     // allow_private
  Loop guarded;  // public addresses only
  Loop open_bulk;
  Loop guarded_bulk;
};

void* net_create(pf_net_done done, void* context, char* message, size_t message_size) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) {
    std::snprintf(message, message_size, "libcurl does not start: %s", curl_easy_strerror(ready));
    return nullptr;
  }
  try {
    return new Net(done, context);
  } catch (...) {
    std::snprintf(message, message_size, "no memory");
    return nullptr;
  }
}

void net_destroy(void* handle) { delete static_cast<Net*>(handle); }

int net_submit(void* handle, const pf_net_request* request) {
  std::unique_ptr<Transfer> transfer;
  try {
    void* memory = ::operator new(sizeof(Transfer));
    try {
      transfer.reset(new (memory) Transfer(*request));
    } catch (...) {
      ::operator delete(memory);
      return -1;
    }
  } catch (...) {
    if (request->stream != nullptr) request->stream->release(request->stream_context);
    return -1;
  }
  try {
    return static_cast<Net*>(handle)->loop(*request).submit(std::move(transfer)) ? 0 : -1;
  } catch (...) {
    return -1;
  }
}

void net_cancel(void* handle, uint64_t id) {
  try {
    auto& net = *static_cast<Net*>(handle);
    for (Loop* loop : {&net.open, &net.guarded, &net.open_bulk, &net.guarded_bulk}) loop->cancel(id);
  } catch (...) {  // no memory to note it: the request ends by its timeout, and its answer is dropped
  }
}

int net_host_to_ascii(const char* host, char* out, size_t out_size) {
#ifdef CURLU_PUNYCODE
  // libcurl takes the name in the locale's encoding, whatever that is: here it is UTF-8, for this thread and
  // moment.
  const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (utf8 == nullptr) return -1;
  const locale_t before = uselocale(utf8);
  CURLU* url = curl_url();
  int result = -1;
  char* ascii = nullptr;
  if (url != nullptr && curl_url_set(url, CURLUPART_SCHEME, "http", 0) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_HOST, host, 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_HOST, &ascii, CURLU_PUNYCODE) == CURLUE_OK) {
    const int written = std::snprintf(out, out_size, "%s", ascii);
    if (written > 0 && static_cast<size_t>(written) < out_size) result = 0;
  }
  curl_free(ascii);
  curl_url_cleanup(url);
  uselocale(before);
  freelocale(utf8);
  return result;
#else
  // COMPAT: libcurl before 7.88 (Ubuntu 22.04) does not give it out.
  (void)host;
  (void)out;
  (void)out_size;
  return -1;
#endif
}

constexpr pf_net_table kTable = {PF_NET_VERSION, net_create, net_destroy,
                                 net_submit,     net_cancel, net_host_to_ascii};

}  // namespace

extern "C" const pf_net_table* pf_net_module(void) { return &kTable; }
