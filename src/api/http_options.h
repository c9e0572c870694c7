// The tables of forge.http and forge.download, read and checked. Belongs to the loop's thread, and touches
// nothing outside of memory but to record refusals of paths.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/http_access.h"
#include "base/json.h"

namespace pf::api {

/// A piece of a request's body: text, or the place of a file in Asked::files.
using AskedPiece = std::variant<std::string, size_t>;

/// What the tables of a call of forge.http asked for.
struct Asked {
  services::HttpRequest request;  // without source and sink
  bool raise = false;
  std::vector<GrantedPath> files;  // to be read
  std::vector<AskedPiece> pieces;  // of the body, where it is not in request.body
  std::optional<GrantedPath> to_file;
  std::string to_path;  // as it was given
};

/// Reads the arguments of a call of forge.http. Error `call.argument`, `http.url`, `permission.*`.
Result<Asked> read_http(const std::shared_ptr<Attempt>& attempt, const registry::Call& call,
                        const Arguments& arguments);

/// Options that both namespaces have, read out of one table. Null is as good as left out.
class OptionReader {
 public:
  /// `where` stands before what a message says, as `files[3]: `.
  OptionReader(const registry::Call& call, const Json& options, std::string where = {})
      : call_(call), options_(options), where_(std::move(where)) {}

  tl::unexpected<Error> bad(std::string_view message, std::string hint = {}) const {
    return bad_argument(call_, where_ + std::string(message), std::move(hint));
  }
  const Json* given(const char* name) const;
  /// The option `json`, where null is a value.
  const Json* json() const;
  Result<std::optional<std::string>> text(const char* name) const;
  Result<std::optional<bool>> flag(const char* name) const;
  /// A whole number from `least` to `most`.
  Result<std::optional<uint64_t>> whole(const char* name, uint64_t least, uint64_t most) const;
  Result<std::optional<Milliseconds>> seconds(const char* name, double least, double most) const;
  Result<services::Headers> headers() const;
  /// Adds what `token`, or `user` and `password`, come to; `url` may hold credentials of its own.
  Result<void> credentials(const services::Url& url, services::Headers& headers) const;

 private:
  const registry::Call& call_;
  const Json& options_;
  std::string where_;
};

/// A string, also one that is no UTF-8.
std::optional<std::string> text_of(const Json& value);
bool has_header(const services::Headers& headers, std::string_view name);  // name in lower case

}  // namespace pf::api
