// The boundary to the net module (`pangeo-forge-net.so`): one table of functions, plain C types only, no
// exceptions. Included by the module and by services/http.cc. All functions of one handle may be called from
// any thread, but destroy() only once and not from a callback.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

/// Grows with every change of this file; a module of another version is not used.
enum { PF_NET_VERSION = 3 };

/// What came of a request; anything but PF_NET_OK has a message.
enum pf_net_outcome {
  PF_NET_OK = 0,  // an answer came, whatever its status
  PF_NET_TIMEOUT = 1,
  PF_NET_RESOLVE = 2,           // no address for the host name
  PF_NET_CONNECT = 3,           // refused, unreachable, or the connection broke before an answer
  PF_NET_ADDRESS = 4,           // every address of the host is private, and the request may not go there
  PF_NET_TLS = 5,               // no TLS connection could be made
  PF_NET_VERIFY = 6,            // the server's certificate is not trusted, or is another host's
  PF_NET_TOO_BIG = 7,           // the body is larger than max_body, or the headers than max_headers
  PF_NET_PROTOCOL = 8,          // what came is no HTTP, or cannot be decompressed
  PF_NET_INTERNAL = 9,          // the module's own failure, such as no memory
  PF_NET_STOPPED = 10,          // a function of the stream said so, which knows why
  PF_NET_BROKEN = 11,           // the connection broke amid the answer
  PF_NET_CONNECT_TIMEOUT = 12,  // no connection in time: the request was not sent
  PF_NET_PROXY = 13             // the proxy refuses the tunnel, or the credentials for it
};

/// Where the body of the answer goes, as `begin` says.
enum pf_net_body { PF_NET_STOP = -1, PF_NET_KEEP = 0, PF_NET_TAKE = 1 };

/// Bodies that are not in memory. Called on a thread of the module, one after the other for one request; they
/// may write files, but must not wait for anything else, and not throw. Members may be null, but `release`.
struct pf_net_stream {
  /// Before the first byte of an answer's body, and once where there is none. PF_NET_KEEP: into memory.
  enum pf_net_body (*begin)(void* context, int status, const char* headers, size_t headers_size);
  /// A piece of a taken body: 0, or -1 to end the request.
  int (*write)(void* context, const char* data, size_t size);
  /// The next piece of the request's body: its size, 0 at the end, -1 to end the request.
  ptrdiff_t (*read)(void* context, char* buffer, size_t size);
  /// Back to the first byte: 0, or -1 where that cannot be.
  int (*rewind)(void* context);
  /// Once, when nothing of the request is under way any more; also where submit() fails. On any thread.
  void (*release)(void* context);
};

/// One request; submit() copies all of it. Redirects are not followed: they are answers.
struct pf_net_request {
  uint64_t id;  // the caller's own; unique among unfinished requests
  const char* method;
  const char* url;             // http or https, host in ASCII, without user information
  const char* const* headers;  // name, value, name, value, …
  size_t header_count;         // pairs
  const char* body;            // null where the stream reads it
  uint64_t body_size;
  int has_body;
  uint32_t timeout_ms;          // of the whole request; 0: none
  uint32_t connect_timeout_ms;  // of name resolution, TCP and TLS; above 0
  uint32_t stall_ms;            // longest time without a byte; 0: no bound
  uint64_t max_body;            // bytes, after decompression; of what is taken and of what is kept
  uint64_t max_kept;            // bytes of a kept body
  int cut_kept;                 // a kept body that is larger is cut off, and the request well
  uint64_t max_headers;         // bytes
  int allow_private;            // whether addresses that services/address.h calls private may be connected to
  int raw;                      // no compression is asked for
  int bulk;                     // large or many bodies: on threads of their own, with large buffers
  const char* user_agent;
  const char* ca_file;                 // PEM bundle; null: the system's own
  const char* proxy;                   // http://host:port; null: none, whatever the environment says
  const char* proxy_user;              // user:password; null: none
  const struct pf_net_stream* stream;  // null: all bodies are in memory
  void* stream_context;
};

/// What the completion callback gets; everything is valid during the callback only.
struct pf_net_response {
  uint64_t id;
  int outcome;          // enum pf_net_outcome
  const char* message;  // where the outcome is not PF_NET_OK
  int status;
  const char* headers;  // `Name: value` lines of the final answer, each ended by \r\n
  size_t headers_size;
  const char* body;  // what was kept
  size_t body_size;
  void* stream_context;
  int more;  // another answer follows at once: who passes answers on may pass several on together
};

/// Called on a thread of the module, once for each request that was not cancelled. It must not block or
/// throw.
typedef void (*pf_net_done)(void* context, const struct pf_net_response* response);

struct pf_net_table {
  uint32_t version;  // PF_NET_VERSION
  /// A handle, or null with a text in `message`.
  void* (*create)(pf_net_done done, void* context, char* message, size_t message_size);
  /// Drops all requests and waits for the module's threads: no callback comes afterwards.
  void (*destroy)(void* handle);
  /// 0, or -1 when there is no memory or thread for it: then no callback but `release` comes.
  int (*submit)(void* handle, const struct pf_net_request* request);
  /// Drops a request; a callback that is on its way may still come.
  void (*cancel)(void* handle, uint64_t id);
  /// The ASCII (punycode) form of an internationalised host name: 0, or -1 where there is none.
  int (*host_to_ascii)(const char* host, char* out, size_t out_size);
};

/// The module's one exported symbol.
__attribute__((visibility("default"))) const struct pf_net_table* pf_net_module(void);
}
