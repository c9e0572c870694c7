// Addresses: what is compared with permissions is what is connected to. The normal form of a URL, of a host
// and of a git address is its own normal form, names the same host, and holds no credentials. Input: an
// address; with a second line it is a redirect from the first to the second.

#include <algorithm>

#include "fuzz/fuzz.h"
#include "services/git_url.h"
#include "services/url.h"

namespace pf::services {
namespace {

using fuzz::check;

void check_refused(const Error& error, std::string_view code) {
  check(error.code == code && !error.message.empty(), "why it is refused", error.text());
}

bool plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<uint8_t>(c) <= 0x20 || c == 0x7f; });
}

void check_url(const Url& url) {
  const std::string text = url.text();
  check(url.scheme == "http" || url.scheme == "https", "a scheme that we speak", text);
  check(!url.host.empty() && url.port != 0 && url.target.starts_with('/'), "a host, a port, a target", text);
  check(url.host.find_first_of("/?#@\\%") == std::string::npos && plain(text), "no other host can be meant",
        text);
  const auto again = parse_url(text);
  check(again.has_value(), "a normal form can be parsed", text);
  check(again->text() == text && again->host == url.host && again->port == url.port && again->v6 == url.v6 &&
            again->user.empty(),
        "a normal form is its own", text + " " + again->text());
  if (url.international()) return;
  const auto pattern = parse_host_pattern(url.place());
  check(pattern.has_value(), "a place can be granted", url.place());
  check(matches(*pattern, url), "a place grants its URL", url.place());
}

void one(std::string_view input) {
  const std::string_view first = fuzz::take_line(input);
  const auto url = parse_url(first);
  if (url) {
    check_url(*url);
    const auto next = resolve(*url, input);
    if (next) {
      check_url(*next);
      check(next->user.empty() || next->host == url->host, "a server does not choose our credentials", first);
    } else {
      check_refused(next.error(), "http.url");
    }
  } else {
    check_refused(url.error(), "http.url");
  }

  bool v6 = false;
  if (const auto host = normal_host(first, v6)) {
    // What is not ASCII has no normal form before it is punycode.
    bool again_v6 = false;
    const auto again = normal_host(v6 ? "[" + *host + "]" : *host, again_v6);
    if (std::all_of(host->begin(), host->end(), [](char c) { return (c & 0x80) == 0; }))
      check(again && *again == *host && again_v6 == v6, "a normal host is its own", *host);
  }
  if (const auto pattern = parse_host_pattern(first); !pattern) check_refused(pattern.error(), "http.url");
  if (const auto path = parse_file_url(first))
    check(path->starts_with('/') && path->find('\0') == std::string::npos, "a file's path is absolute",
          *path);

  const auto git = parse_git_url(first);
  if (!git) {
    check_refused(git.error(), "git.url");
    return;
  }
  const std::string text = git->text();
  const auto again = parse_git_url(text);
  check(again.has_value(), "a git address can be parsed again", text);
  check(again->text() == text && again->scheme == git->scheme && again->host == git->host &&
            again->port == git->port && again->path == git->path && again->password.empty(),
        "a git address is its own normal form", text + " " + again->text());
  if (git->network()) check(!git->host.empty(), "an address has a host", text);
  if (git->scheme == GitUrl::Scheme::ssh)
    check(git->host[0] != '-' && !git->user.starts_with('-') && git->path[0] != '-', "no part is an option",
          text);
}

}  // namespace
}  // namespace pf::services

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::services::one(pf::fuzz::view(data, size));
  return 0;
}
