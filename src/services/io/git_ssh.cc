// git over ssh through libssh: no program, no agent, no configuration of the user. The address is checked
// before the connection is made, and it is that one that is used.
#include <libssh/libssh.h>
#include <netdb.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "services/address.h"
#include "services/io/git_common.h"

namespace pf::services::io {
namespace {

constexpr int kConnectSeconds = 30;

struct Ssh;

struct Stream {
  git_smart_subtransport_stream base{};
  Ssh* ssh = nullptr;
};

/// One connection with one command.
struct Ssh {
  git_smart_subtransport base{};
  Peers* peers = nullptr;
  GitUrl url;
  git_smart_service_t action{};
  bool started = false;
  bool sent = false;  // something
  UniqueFd known_hosts;
  ssh_session session = nullptr;
  ssh_channel channel = nullptr;
  Stream* current = nullptr;
};

using Step = std::optional<Error>;

Step error_of(const Ssh& ssh, const char* code, const std::string& what, const std::string& hint,
              bool retryable) {
  Error error;
  error.code = code;
  error.message = ssh.url.text() + ": " + what;
  error.hint = hint;
  error.retryable = retryable;
  return error;
}

// A connected socket to the first address that answers.
Step connect_socket(Ssh& ssh, bool private_addresses, UniqueFd& out) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(ssh.url.host.c_str(), std::to_string(ssh.url.port).c_str(), &hints, &list);
  if (code != 0)
    return error_of(ssh, "git.resolve", ::gai_strerror(code), "check the host's name, and the name server",
                    true);
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  bool refused = false, tried = false;
  int reason = ECONNREFUSED;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    if (!private_addresses && is_private(at->ai_addr)) {
      refused = true;
      continue;
    }
    tried = true;
    UniqueFd fd(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
    if (!fd) continue;
    int failed = ::connect(fd.get(), at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    if (failed == EINPROGRESS) {
      pollfd polled{fd.get(), POLLOUT, 0};
      socklen_t size = sizeof failed;
      if (::poll(&polled, 1, kConnectSeconds * 1000) <= 0)
        failed = ETIMEDOUT;
      else if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
        failed = errno;
    }
    if (failed == 0) {
      out = std::move(fd);
      return std::nullopt;
    }
    reason = failed;
  }
  if (refused && !tried) return refuse("git.address", ssh.url.text(), ssh.url.place()).value();
  return error_of(ssh, "git.connect", std::strerror(reason),
                  "check that the server runs and can be reached from this machine", true);
}

// The keys that are known, as a file that only this process has.
Step keep_known_hosts(Ssh& ssh) {
  ssh.known_hosts.reset(::memfd_create("known_hosts", MFD_CLOEXEC));
  if (!ssh.known_hosts) return system_error("cannot keep the known hosts", errno);
  std::string text = ssh.peers->access().known_hosts;
  if (!text.empty() && text.back() != '\n') text += '\n';
  if (auto ok = write_all(ssh.known_hosts.get(), text); !ok) return ok.error();
  const std::string path = "/proc/self/fd/" + std::to_string(ssh.known_hosts.get());
  ssh_options_set(ssh.session, SSH_OPTIONS_KNOWNHOSTS, path.c_str());
  return std::nullopt;
}

std::string fingerprint(ssh_session session) {
  ssh_key key = nullptr;
  if (ssh_get_server_publickey(session, &key) != SSH_OK) return "unknown";
  unsigned char* hash = nullptr;
  size_t size = 0;
  std::string out = "unknown";
  if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) == 0) {
    char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
    if (text != nullptr) out = std::string(ssh_key_type_to_char(ssh_key_type(key))) + " " + text;
    ssh_string_free_char(text);
    ssh_clean_pubkey_hash(&hash);
  }
  ssh_key_free(key);
  return out;
}

Step check_host(Ssh& ssh) {
  switch (ssh_session_is_known_server(ssh.session)) {
    case SSH_KNOWN_HOSTS_OK: return std::nullopt;
    case SSH_KNOWN_HOSTS_CHANGED:
    case SSH_KNOWN_HOSTS_OTHER:
      return error_of(ssh, "git.host_key_changed",
                      "the host has another key than the known one: " + fingerprint(ssh.session),
                      "ask whoever runs the host; somebody may stand between", false);
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_UNKNOWN:
      if (ssh.peers->access().accept_new) return std::nullopt;
      return error_of(ssh, "git.host_key", "the host's key is not known: " + fingerprint(ssh.session),
                      "pass its line of `ssh-keyscan` as `known_hosts` once you have compared the key, or "
                      "`accept_new = true`",
                      false);
    case SSH_KNOWN_HOSTS_ERROR: break;
  }
  return error_of(ssh, "git.host_key", "the host's key cannot be checked", "look at `known_hosts`", false);
}

Step authenticate(Ssh& ssh) {
  const GitAccess& access = ssh.peers->access();
  int result = ssh_userauth_none(ssh.session, nullptr);
  if (result == SSH_AUTH_SUCCESS) return std::nullopt;
  if (!access.ssh_key.empty()) {
    ssh_key key = nullptr;
    const char* phrase = access.passphrase.empty() ? nullptr : access.passphrase.c_str();
    // Without this libssh would ask a terminal.
    const auto nobody = [](const char*, char*, size_t, int, int, void*) { return -1; };
    if (ssh_pki_import_privkey_base64(access.ssh_key.c_str(), phrase, nobody, nullptr, &key) != SSH_OK) {
      return refuse("git.credentials", "the ssh key cannot be read: it is none, or needs another passphrase",
                    "pass the private key's text as `ssh_key`, and its `passphrase`")
          .value();
    }
    result = ssh_userauth_publickey(ssh.session, nullptr, key);
    ssh_key_free(key);
  } else {
    const std::string& password = access.password.empty() ? ssh.url.password : access.password;
    if (!password.empty()) result = ssh_userauth_password(ssh.session, nullptr, password.c_str());
  }
  if (result == SSH_AUTH_SUCCESS) return std::nullopt;
  return error_of(ssh, "git.auth", "the server refuses access",
                  "pass credentials: {ssh_key, passphrase}, or {password}, from a secret, and the right user",
                  false);
}

// In single quotes for the server's shell.
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' || c == '!' ? std::string("'\\") + c + "'" : std::string(1, c);
  return out + "'";
}

Step start(Ssh& ssh) {
  auto granted = ssh.peers->contact(ssh.url);
  if (!granted) return granted.error();
  UniqueFd fd;
  if (auto error = connect_socket(ssh, (*granted)->private_addresses, fd)) return error;
  ssh.session = ssh_new();
  if (ssh.session == nullptr) return fail("os.enomem", "libssh cannot be used").value();
  const GitAccess& access = ssh.peers->access();
  const std::string user = !access.user.empty() ? access.user : !ssh.url.user.empty() ? ssh.url.user : "git";
  const int port = ssh.url.port, no = 0;
  const long timeout = kConnectSeconds;
  ssh_options_set(ssh.session, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(ssh.session, SSH_OPTIONS_HOST, ssh.url.host.c_str());
  ssh_options_set(ssh.session, SSH_OPTIONS_PORT, &port);
  ssh_options_set(ssh.session, SSH_OPTIONS_USER, user.c_str());
  ssh_options_set(ssh.session, SSH_OPTIONS_TIMEOUT, &timeout);
  ssh_options_set(ssh.session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/etc/ssh/ssh_known_hosts");
  if (auto error = keep_known_hosts(ssh)) return error;
  const socket_t raw = fd.release();  // libssh closes it
  ssh_options_set(ssh.session, SSH_OPTIONS_FD, &raw);
  if (ssh_connect(ssh.session) != SSH_OK)
    return error_of(ssh, "git.connect", ssh_get_error(ssh.session),
                    "check that an ssh server answers on that port", true);
  if (auto error = check_host(ssh)) return error;
  if (auto error = authenticate(ssh)) return error;
  ssh.channel = ssh_channel_new(ssh.session);
  const std::string command = std::string(service_name(ssh.action)) + " " + shell_quoted(ssh.url.path);
  if (ssh.channel == nullptr || ssh_channel_open_session(ssh.channel) != SSH_OK ||
      ssh_channel_request_exec(ssh.channel, command.c_str()) != SSH_OK) {
    return error_of(ssh, "git.protocol", ssh_get_error(ssh.session),
                    "check that the server serves repositories", true);
  }
  return std::nullopt;
}

// The end came where more was due: what the server says on stderr is why.
Error ended(Ssh& ssh) {
  char text[2000];
  const int n = ssh_channel_read_timeout(ssh.channel, text, sizeof text, 1, 2000);
  const std::string said = n > 0 ? shorten(std::string_view(text, static_cast<size_t>(n)), 300) : "";
  std::string lower = said;
  for (char& c : lower) c = static_cast<char>(::tolower(static_cast<unsigned char>(c)));
  const bool missing = lower.find("not appear to be a git repository") != std::string::npos ||
                       lower.find("not found") != std::string::npos ||
                       lower.find("no such") != std::string::npos;
  if (missing) {
    return *error_of(ssh, "git.not_found", said.empty() ? "there is no such repository" : said,
                     "check the address, and the rights", false);
  }
  return *error_of(ssh, "git.protocol", said.empty() ? "the server ended the connection" : said,
                   "try again later", true);
}

int ready(Ssh& ssh) {
  if (ssh.started) return ssh.channel == nullptr ? GIT_EUSER : 0;
  ssh.started = true;
  if (auto error = start(ssh)) return ssh.peers->failed(std::move(*error));
  return 0;
}

int read_stream(git_smart_subtransport_stream* base, char* buffer, size_t size, size_t* got) {
  Ssh& ssh = *reinterpret_cast<Stream*>(base)->ssh;
  *got = 0;
  try {
    if (const int code = ready(ssh); code != 0) return code;
    const int n =
        ssh_channel_read(ssh.channel, buffer, static_cast<uint32_t>(std::min<size_t>(size, 1U << 30)), 0);
    // After a push the server's report is followed by its end; before a fetch has what it needs, that is too
    // early.
    const bool pushing = service_name(ssh.action) == "git-receive-pack";
    if (n < 0 || (n == 0 && !(pushing && ssh.sent))) return ssh.peers->failed(ended(ssh));
    *got = static_cast<size_t>(n);
    return 0;
  } catch (const std::exception& e) {
    return ssh.peers->failed(fail("os.enomem", e.what()).value());
  }
}

int write_stream(git_smart_subtransport_stream* base, const char* buffer, size_t size) {
  Ssh& ssh = *reinterpret_cast<Stream*>(base)->ssh;
  try {
    if (const int code = ready(ssh); code != 0) return code;
    while (size > 0) {
      const int n =
          ssh_channel_write(ssh.channel, buffer, static_cast<uint32_t>(std::min<size_t>(size, 1U << 20)));
      if (n <= 0) return ssh.peers->failed(ended(ssh));
      buffer += n;
      size -= static_cast<size_t>(n);
    }
    return 0;
  } catch (const std::exception& e) {
    return ssh.peers->failed(fail("os.enomem", e.what()).value());
  }
}

void free_stream(git_smart_subtransport_stream* base) {
  auto* stream = reinterpret_cast<Stream*>(base);
  if (stream->ssh->current == stream) stream->ssh->current = nullptr;
  delete stream;
}

int act(git_smart_subtransport_stream** out, git_smart_subtransport* base, const char* url,
        git_smart_service_t action) {
  Ssh& ssh = *reinterpret_cast<Ssh*>(base);
  try {
    // The refs and what follows them come over one command.
    if (ssh.current != nullptr) {
      *out = &ssh.current->base;
      return 0;
    }
    auto parsed = parse_git_url(url);
    if (!parsed) return ssh.peers->failed(std::move(parsed.error()));
    ssh.url = std::move(*parsed);
    ssh.action = action;
    auto* stream = new Stream;
    stream->base.subtransport = base;
    stream->base.read = read_stream;
    stream->base.write = write_stream;
    stream->base.free = free_stream;
    stream->ssh = &ssh;
    ssh.current = stream;
    *out = &stream->base;
    return 0;
  } catch (const std::exception& e) {
    return ssh.peers->failed(fail("os.enomem", e.what()).value());
  }
}

int close_ssh(git_smart_subtransport* base) {
  Ssh& ssh = *reinterpret_cast<Ssh*>(base);
  if (ssh.channel != nullptr) ssh_channel_free(ssh.channel);
  if (ssh.session != nullptr) {
    ssh_disconnect(ssh.session);
    ssh_free(ssh.session);
  }
  ssh.channel = nullptr;
  ssh.session = nullptr;
  ssh.started = false;
  return 0;
}

void free_ssh(git_smart_subtransport* base) {
  close_ssh(base);
  delete reinterpret_cast<Ssh*>(base);
}

}  // namespace

int ssh_subtransport(git_smart_subtransport** out, git_transport*, void* peers) {
  auto* ssh = new Ssh;
  ssh->peers = static_cast<Peers*>(peers);
  ssh->base.action = act;
  ssh->base.close = close_ssh;
  ssh->base.free = free_ssh;
  *out = &ssh->base;
  return 0;
}

}  // namespace pf::services::io
