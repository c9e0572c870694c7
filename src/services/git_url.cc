#include "services/git_url.h"

#include <algorithm>

#include "base/text.h"
#include "services/url.h"

namespace pf::services {
namespace {

uint16_t own_port(GitUrl::Scheme scheme) {
  switch (scheme) {
    case GitUrl::Scheme::https: return 443;
    case GitUrl::Scheme::http: return 80;
    case GitUrl::Scheme::ssh: return 22;
    case GitUrl::Scheme::path: return 0;
  }
  return 0;
}

tl::unexpected<Error> bad(std::string_view text, std::string_view why) {
  // What stands before an @ may be a password.
  const size_t at = text.rfind('@');
  const size_t scheme = text.find("://");
  std::string shown(text);
  if (at != text.npos && scheme != text.npos && at > scheme)
    shown = std::string(text.substr(0, scheme + 3)) + "…" + std::string(text.substr(at));
  return refuse("git.url", "'" + shorten(shown, 200) + "' is no address of a repository: " + std::string(why),
                "write https://host/path, ssh://user@host/path, user@host:path, file:///path or a path");
}

// The part before the path of ssh: [user[:password]@]host[:port].
Result<GitUrl> ssh(std::string_view whole, std::string_view authority, std::string_view path, bool ports) {
  GitUrl out;
  out.scheme = GitUrl::Scheme::ssh;
  out.port = 22;
  if (const size_t at = authority.rfind('@'); at != authority.npos) {
    std::string_view user = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    if (const size_t colon = user.find(':'); colon != user.npos) {
      out.password = user.substr(colon + 1);
      user = user.substr(0, colon);
    }
    out.user = user;
    if (user.empty() || user.front() == '-') return bad(whole, "its user name");
  }
  if (ports) {
    const size_t colon = authority.rfind(':');
    if (colon != authority.npos && authority.find(']', colon) == authority.npos) {
      const std::string_view digits = authority.substr(colon + 1);
      if (digits.empty() || digits.size() > 5 || digits.find_first_not_of("0123456789") != digits.npos)
        return bad(whole, "its port");
      const unsigned long port = std::stoul(std::string(digits));
      if (port == 0 || port > 65535) return bad(whole, "its port");
      out.port = static_cast<uint16_t>(port);
      authority = authority.substr(0, colon);
    }
  }
  auto host = normal_host(authority, out.v6);
  if (!host || host->empty() || host->front() == '-') return bad(whole, "its host name");
  out.host = std::move(*host);
  if (path.empty() || path == "/" || path.front() == '-') return bad(whole, "its path");
  out.path = path;
  return out;
}

}  // namespace

std::string GitUrl::place() const {
  const std::string name = v6 ? "[" + host + "]" : host;
  return port == own_port(scheme) ? name : name + ":" + std::to_string(port);
}

std::string GitUrl::text() const {
  switch (scheme) {
    case Scheme::https: return "https://" + place() + path;
    case Scheme::http: return "http://" + place() + path;
    case Scheme::ssh: {
      const std::string who = user.empty() ? "" : user + "@";
      // `ssh://host/x` is /x of the server and `ssh://host/~x` a home folder there: only the short form can
      // say a path relative to the user's own, and /~x.
      if ((path.front() != '/' && path.front() != '~') || path.starts_with("/~"))
        return who + place() + ":" + path;
      return "ssh://" + who + place() + (path.front() == '/' ? path : "/" + path);
    }
    case Scheme::path: return path;
  }
  return path;
}

Result<GitUrl> parse_git_url(std::string_view text) {
  if (text.empty() || text.size() > 8192) return bad(text, "it is empty or too long");
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return bad("…", "it holds control characters");
  }
  const size_t scheme_end = text.find("://");
  if (scheme_end != text.npos && text.find('/') == scheme_end + 1) {
    std::string scheme(text.substr(0, scheme_end));
    for (char& c : scheme) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const std::string_view rest = text.substr(scheme_end + 3);
    if (scheme == "http" || scheme == "https") {
      auto url = parse_url(text);
      if (!url) return bad(text, "it is no well-formed URL");
      if (url->international()) return bad(text, "its host is not ASCII: write it as xn--…");
      GitUrl out;
      out.scheme = scheme == "http" ? GitUrl::Scheme::http : GitUrl::Scheme::https;
      out.host = url->host;
      out.v6 = url->v6;
      out.port = url->port;
      const size_t colon = std::min(url->user.find(':'), url->user.size());
      out.user = url->user.substr(0, colon);
      out.password = url->user.substr(std::min(colon + 1, url->user.size()));
      out.path = url->target;
      if (out.path.find('?') != std::string::npos) return bad(text, "it has a query");
      while (out.path.size() > 1 && out.path.back() == '/') out.path.pop_back();
      return out;
    }
    if (scheme == "ssh" || scheme == "git+ssh" || scheme == "ssh+git") {
      const size_t slash = std::min(rest.find('/'), rest.size());
      std::string_view path = rest.substr(slash);
      if (path.starts_with("/~")) path.remove_prefix(1);
      return ssh(text, rest.substr(0, slash), path, true);
    }
    if (scheme == "file") {
      GitUrl out;
      out.path = rest.starts_with("localhost/") ? rest.substr(9) : rest;
      if (out.path.empty() || out.path.front() != '/') return bad(text, "a file URL has an absolute path");
      return out;
    }
    return bad(text, "there is no transport '" + shorten(scheme, 20) + "'");
  }
  const size_t colon = text.find(':');
  const size_t slash = std::min(text.find('/'), text.size());
  if (colon < slash) {
    // An IPv6 address in brackets holds colons of its own.
    const size_t bracket = text.find("]:");
    const size_t end = text.find('[') < colon && bracket != text.npos ? bracket + 1 : colon;
    if (text.substr(end).starts_with("::"))
      return bad(text, "transports that are programs do not exist here");
    return ssh(text, text.substr(0, end), text.substr(end + 1), false);
  }
  GitUrl out;
  out.path = text;
  return out;
}

const io::GitHost* allowed_host(const std::vector<io::GitHost>& hosts, const GitUrl& url) {
  const io::GitHost* best = nullptr;
  for (const io::GitHost& entry : hosts) {
    if (entry.port != 0 ? entry.port != url.port : url.port != own_port(url.scheme)) continue;
    const bool same = entry.wildcard ? url.host.size() > entry.host.size() + 1 &&
                                           url.host.ends_with("." + entry.host) && !url.v6
                                     : url.host == entry.host;
    if (same && (best == nullptr || entry.private_addresses)) best = &entry;
  }
  return best;
}

}  // namespace pf::services
