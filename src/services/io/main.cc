// pangeo-forge-io: one operation of git or archives for the core, which starts it confined and kills it at
// its timeout. Reads one request from stdin, writes frames to stdout (services/io_protocol.h), and ends with
// status 0 whenever it could say how the operation ended. It runs no other program.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <exception>

#include "services/io/helper.h"

namespace {

using namespace pf;
using namespace pf::services;

Result<std::string> read_request() {
  std::string out;
  char buffer[65536];
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(system_error("cannot read the request", errno));
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > io::kMaxRequest) return refuse("io.request", "the request is too large");
  }
}

Result<std::string> perform() {
  auto bytes = read_request();
  if (!bytes) return bytes;
  auto request = io::decode(*bytes);
  if (!request) return tl::unexpected(request.error());
  io::Reporter reporter(STDOUT_FILENO);
  try {
    if (const auto* r = std::get_if<io::ArchiveList>(&*request)) return archive_list(*r, reporter);
    if (const auto* r = std::get_if<io::ArchiveExtract>(&*request)) return archive_extract(*r, reporter);
    if (const auto* r = std::get_if<io::ArchiveCreate>(&*request)) return archive_create(*r, reporter);
    return git(std::get<io::GitRequest>(*request), reporter);
  } catch (const std::exception& e) {
    return fail("os.enomem", std::string("the operation failed: ") + e.what(), "free memory on this machine");
  }
}

}  // namespace

int main() {
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(022);
  // Names in archives are UTF-8, whatever the operator's own language is.
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
  auto answer = perform();
  if (answer && answer->size() > io::kMaxAnswer - 64) {
    answer = refuse("io.too_big", "the answer has more than 16 MiB", "ask for less");
  }
  const std::string frame = answer ? io::ok_frame(*answer) : io::error_frame(answer.error());
  // Without the destructors of the libraries: what is left is the kernel's to free.
  ::_exit(write_all(STDOUT_FILENO, frame) ? 0 : 1);
}
