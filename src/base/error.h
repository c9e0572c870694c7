// Errors as values: every fallible function returns Result<T>; no exception crosses a floor.
// An Error owns its text, is freely copied and moved, and may be used from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace pf {

/// A place that a person can go to: a position in a file, a path in a configuration, or both.
struct Where {
  std::string file;     // as the user wrote it; empty when there is none
  uint32_t line = 0;    // 1-based; 0 when there is none
  uint32_t column = 0;  // 1-based, in code points; 0 when there is none
  std::string path;     // configuration path such as `example.first.retries`; empty when there is none

  /// `FILE:LINE:COLUMN`, as much of it as is known; the path when there is no file; empty when nothing is
  /// known.
  std::string text() const;
};

/// What went wrong, for people and for programs. `code` is stable and listed in docs/errors.md.
struct Error {
  std::string code;     // dotted, lower case: `yaml.syntax`, `permission.http`
  std::string message;  // what was found and what was expected; one sentence, no final period
  std::string hint;     // what to do; may be empty
  Where where;
  bool retryable = true;  // false: trying the same again cannot help (validation, permission, auth)
  std::string traceback;  // of the extension's Lua code, where there was one

  /// `WHERE: message [code]`, then the hint on a line of its own.
  std::string text() const;
};

template <class T>
using Result = tl::expected<T, Error>;
using Errors = std::vector<Error>;

/// Returns an Error in the form that a function returning Result<T> may return directly.
tl::unexpected<Error> fail(std::string code, std::string message, std::string hint = {}, Where where = {});
/// Same, for what another attempt cannot mend.
tl::unexpected<Error> refuse(std::string code, std::string message, std::string hint = {}, Where where = {});
/// An Error for a failed system call: `what: strerror(errno_value)`, code `os.<ERRNO NAME in lower case>`.
Error system_error(std::string_view what, int errno_value);

}  // namespace pf
