// What fuzz targets share: the check of a property, which ends the process as a crash does, so that fuzzer
// and replay both see it; cuts of an input that follow from its bytes alone; and a file that holds an input.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/cbor.h"
#include "base/error.h"

namespace pf::fuzz {

/// Ends the process where a property does not hold; `detail` says more.
inline void check(bool holds, std::string_view what, std::string_view detail = {}) {
  if (holds) return;
  std::fprintf(stderr, "property violated: %.*s\n%.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(detail.size()), detail.data());
  std::abort();
}

inline std::string_view view(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes a line off the front of an input, without its line feed.
inline std::string_view take_line(std::string_view& input) {
  const size_t end = std::min(input.find('\n'), input.size());
  const std::string_view line = input.substr(0, end);
  input.remove_prefix(std::min(end + 1, input.size()));
  return line;
}

/// The input in pieces of 1 to `longest` bytes; the same ones for the same input.
inline std::vector<std::string_view> pieces(std::string_view input, size_t longest) {
  uint64_t state = 0xcbf29ce484222325ULL;
  for (const char c : input) state = (state ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  std::vector<std::string_view> out;
  while (!input.empty()) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const size_t length = std::min<size_t>(1 + (state >> 33) % longest, input.size());
    out.push_back(input.substr(0, length));
    input.remove_prefix(length);
  }
  return out;
}

/// A file in memory; `path` names it for this process.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)), path("/proc/self/fd/" + std::to_string(fd_)) {
    check(fd_ >= 0, "a file in memory can be made");
  }
  void fill(std::string_view text) const {
    check(ftruncate(fd_, 0) == 0 &&
              pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
          "a file in memory can be written");
  }

 private:
  int fd_;

 public:
  const std::string path;
};

/// An error that a person can use: a code, words that can be shown, and, where there is a line, a place that
/// the text has.
inline void check_error(const Error& error, std::string_view text, bool needs_place) {
  const std::string shown = error.text();
  check(!error.code.empty() && error.code.find('.') != std::string::npos, "an error has a dotted code",
        shown);
  check(!error.message.empty(), "an error has a message", shown);
  check(cbor::is_utf8(error.message) && cbor::is_utf8(error.hint), "an error's words are UTF-8", shown);
  if (needs_place) check(error.where.line > 0 && error.where.column > 0, "an error has a place", shown);
  if (error.where.line == 0) return;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  size_t start = 0;
  for (uint32_t line = 1; line < error.where.line; ++line) {
    start = text.find('\n', start);
    check(start != std::string_view::npos, "an error's line is one of the text", shown);
    ++start;
  }
  uint32_t columns = 1;  // one behind the last character is a place, too
  for (size_t at = start; at < text.size() && text[at] != '\n'; ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xc0) != 0x80) ++columns;
  }
  check(error.where.column <= columns, "an error's column is one of its line", shown);
}

}  // namespace pf::fuzz

/// What libFuzzer calls with each input, and the replay with each file of the corpus.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
