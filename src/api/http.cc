// forge.http.*: the tables are read (http_options.h), each hop's host is checked against the `http`
// permission (http_access.h), and the net module does the rest. Files are opened on the door's pool, before
// anything is sent, and read and written by the module's thread.
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

#include "api/http_options.h"
#include "base/text.h"
#include "services/http_bodies.h"

namespace pf::api {
namespace {

using services::HttpResponse;
using services::Url;

constexpr size_t kErrorExcerpt = 200;  // characters of an error's body that its message shows

std::string encode(const HttpResponse& response, const services::FileSink* file, const std::string& path) {
  std::string out;
  out.reserve(response.body.size() + 1024);
  cbor::Writer writer(out);
  const bool written = file != nullptr && file->done();
  writer.map(written ? 5 : 4);
  writer.text("status");
  writer.integer(response.status);
  writer.text("headers");
  writer.map(response.headers.size());
  for (const auto& [name, value] : response.headers) {
    writer.text_or_bytes(name);
    writer.text_or_bytes(value);
  }
  writer.text("url");
  writer.text_or_bytes(response.url.text());
  if (written) {
    writer.text("path");
    writer.text_or_bytes(path);
    writer.text("size");
    writer.unsigned_integer(file->size());
  } else {
    writer.text("body");
    writer.text_or_bytes(response.body);
  }
  return out;
}

Error status_error(const std::string& method, const HttpResponse& response) {
  Error error;
  error.code = "http.status";
  error.message =
      method + " " + response.url.text() + " was answered with status " + std::to_string(response.status);
  if (!response.body.empty() && cbor::is_utf8(response.body)) {
    error.message +=
        ": " + shorten(std::string_view(response.body).substr(0, 4 * kErrorExcerpt), kErrorExcerpt);
  }
  error.hint = "leave out `raise` to get the answer whatever its status";
  const int s = response.status;
  error.retryable = s >= 500 || s == 408 || s == 425 || s == 429;
  return error;
}

/// One call on its way.
struct Exchange {
  std::shared_ptr<Attempt> attempt;
  const registry::Call& call;
  Session::Answer answer;
  Asked asked;
  std::shared_ptr<services::FileSink> file;
  uint32_t number = 0;  // the caller's
  size_t culprit = 0;   // the file that was opened last; asked.files.size(): to_file
};

// Opens what is read and written. On the pool.
Result<void> open_files(Exchange& x) {
  if (x.attempt->stop) return fail("file.stopped", "the attempt has ended");
  std::vector<services::PiecesBody::File> files;
  for (x.culprit = 0; x.culprit < x.asked.files.size(); ++x.culprit) {
    const GrantedPath& path = x.asked.files[x.culprit];
    if (auto noted = note_content(*x.attempt, path); !noted) return noted;
    auto fd = open_granted(*x.attempt, path);
    if (!fd) return tl::unexpected(fd.error());
    auto file = services::PiecesBody::file(std::move(*fd), path.place.text);
    if (!file) return tl::unexpected(file.error());
    files.push_back(std::move(*file));
  }
  if (!x.asked.pieces.empty()) {
    std::vector<services::PiecesBody::Piece> pieces;
    for (AskedPiece& piece : x.asked.pieces) {
      if (auto* text = std::get_if<std::string>(&piece))
        pieces.emplace_back(std::move(*text));
      else
        pieces.emplace_back(std::move(files[std::get<size_t>(piece)]));
    }
    x.asked.request.source = std::make_shared<services::PiecesBody>(std::move(pieces), x.attempt->usage);
  }
  if (x.asked.to_file) {
    auto target = target_of(*x.attempt, *x.asked.to_file);
    if (!target) return tl::unexpected(target.error());
    x.file = std::make_shared<services::FileSink>(std::move(*target), x.attempt->usage);
    x.asked.request.sink = x.file;
    x.asked.request.bulk = true;
  }
  return {};
}

void send(const std::shared_ptr<Exchange>& x) {
  Attempt& attempt = *x->attempt;
  services::Http& http = attempt.hall.http();
  auto check = std::make_shared<HopCheck>(x->attempt, x->call,
                                          x->asked.to_file ? x->asked.to_file->place.text : std::string(),
                                          x->asked.request.proxy.has_value());
  auto cancel_id = std::make_shared<uint64_t>(0);
  const std::string method = x->asked.request.method;
  attempt.reads.add("http", method + " " + audited(x->asked.request.url), std::nullopt);
  x->asked.request.usage = attempt.usage;
  const uint64_t id = http.submit(
      std::move(x->asked.request), [check](const Url& url, int hop) { return (*check)(url, hop); },
      [x, check, cancel_id, method,
       guard = std::make_shared<asio::executor_work_guard<asio::io_context::executor_type>>(
           attempt.hall.loop.get_executor())](Result<HttpResponse> response) {
        x->attempt->forget(*cancel_id);
        if (!response && response.error().code == "http.address") {
          x->answer(tl::unexpected(check->private_address(response.error())));
        } else if (!response) {
          x->answer(tl::unexpected(std::move(response.error())));
        } else if (x->asked.raise && response->status >= 400) {
          x->answer(tl::unexpected(status_error(method, *response)));
        } else {
          if (x->file != nullptr && x->file->done()) note_written(*x->attempt, *x->asked.to_file);
          x->answer(encode(*response, x->file.get(), x->asked.to_path));
        }
      });
  *cancel_id = attempt.on_close([&http, id] { http.cancel(id); }, x->number);
}

void request(Request call) {
  auto asked = read_http(call.attempt, call.call, call.arguments);
  if (!asked) {
    call.answer(tl::unexpected(std::move(asked.error())));
    return;
  }
  auto x = std::make_shared<Exchange>(
      Exchange{call.attempt, call.call, std::move(call.answer), std::move(*asked), {}, call.number});
  if (x->asked.pieces.empty() && !x->asked.to_file) return send(x);
  Attempt& attempt = *call.attempt;
  for (const GrantedPath& path : x->asked.files) {
    if (!path.place.work) attempt.allow(call.call, path.place.text);
  }
  asio::post(attempt.hall.pool(), [x, guard = asio::make_work_guard(attempt.hall.loop)] {
    Result<void> opened = fail("os.enomem", "the files of a request cannot be opened");
    try {
      opened = open_files(*x);
    } catch (const std::exception& e) {
      opened = fail("os.enomem", std::string("the files of a request cannot be opened: ") + e.what(),
                    "free memory on this machine");
    }
    asio::post(x->attempt->hall.loop, [x, opened = std::move(opened)]() mutable {
      if (!x->attempt->open) return;
      if (opened) return send(x);
      const GrantedPath& path =
          x->culprit < x->asked.files.size() ? x->asked.files[x->culprit] : *x->asked.to_file;
      x->answer(tl::unexpected(recorded(*x->attempt, x->call, path, std::move(opened.error()))));
    });
  });
}

constexpr Handled kCalls[] = {
    {"http.request", request}, {"http.get", request},   {"http.head", request},   {"http.post", request},
    {"http.put", request},     {"http.patch", request}, {"http.delete", request},
};

}  // namespace

std::span<const Handled> http_calls() { return kCalls; }

}  // namespace pf::api
