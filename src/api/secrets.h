// The secrets of a run: where their values come from, and the mask that keeps them out of everything that
// people and files get to see. Belongs to the loop's thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/mask.h"

namespace pf::api {

class Secrets {
 public:
  /// Where a secret comes from, if not from the environment. Asked once.
  void set_source(std::string name, std::function<Result<std::string>()> source) {
    sources_[std::move(name)] = std::move(source);
  }
  /// The value of a secret, which the mask knows from then on: its source's, else that of the environment
  /// variable PANGEO_FORGE_SECRET_NAME. Errors: `secret.missing`, `secret.short`, those of the source.
  Result<std::string> get(std::string_view name);
  /// From now on the value is masked. Error `secret.short`.
  Result<void> mark(std::string_view value);
  /// Where the key of version() is kept; the file is made when it is first needed, if it may be.
  void set_key_file(std::filesystem::path file, bool may_make = true) {
    key_file_ = std::move(file);
    may_make_key_ = may_make;
  }
  /// `hmac:…` of a value, so that a change shows and the value does not: by a random key of the state folder.
  /// Nothing where there is no key file, or it can be neither read nor made.
  std::optional<std::string> version(std::string_view value);
  const Mask& mask() const { return mask_; }

 private:
  Mask mask_;
  std::map<std::string, std::function<Result<std::string>()>, std::less<>> sources_;
  std::map<std::string, std::string, std::less<>> values_;  // that sources gave
  std::filesystem::path key_file_;
  bool may_make_key_ = true;
  std::string key_;
};

}  // namespace pf::api
