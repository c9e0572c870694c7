// One request in the net module and what libcurl is told about it. A Transfer is made by whoever submits it,
// and belongs to its loop's thread from then on.
#pragma once

#include <curl/curl.h>

#include <string>
#include <vector>

#include "services/net_module.h"

namespace pf::net {

/// One request on its way.
struct Transfer {
  /// Takes the stream over: its `release` is called when the transfer goes, also where this throws.
  explicit Transfer(const pf_net_request& request);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Configures `handle`, which is fresh or reset. False where libcurl has no memory or refuses an option.
  bool set_up(CURL* handle);
  /// What came of it, `code` being what libcurl says; the message is in `message` unless that is PF_NET_OK.
  pf_net_outcome finish(CURLcode code, const char*& message);

  // Callbacks, on the loop's thread.
  size_t body(const char* data, size_t bytes);
  size_t header(const char* data, size_t bytes);
  size_t read(char* buffer, size_t bytes);
  curl_socket_t open_socket(const curl_sockaddr* address);

  uint64_t id = 0;
  std::string method, url, request_body, user_agent, ca_file, proxy, proxy_user;
  std::vector<std::string> lines;  // request headers as libcurl wants them
  pf_net_request options;          // its numbers only
  bool streams_out = false;        // the request's body comes from the stream
  bool streams_in = false;         // the answer's body may go to the stream
  pf_net_stream stream{};

  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  char error[CURL_ERROR_SIZE] = {};
  std::string answer_headers;
  std::string answer_body;
  std::string refused_address;

 private:
  bool begin();
  pf_net_outcome outcome_of(CURLcode code) const;

  bool begun_ = false;
  pf_net_body where_ = PF_NET_KEEP;
  uint64_t taken_ = 0;
  bool too_big_ = false;
  bool cut_ = false;
  bool stopped_ = false;
};

}  // namespace pf::net
