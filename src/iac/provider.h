// What carries out the operations on resources of a type: the built-in Stash, or functions of an extension.
// One call for each operation, as Pulumi's provider protocol has them (pulumi/pulumi,
// proto/pulumi/provider.proto). Calls and answers on one thread; several calls may be under way at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "iac/snapshot.h"

namespace pf::iac {

/// One operation. Values in the encoding of property.h: secrets opened, unknowns only in previews.
struct ProviderCall {
  enum class Kind : uint8_t { check, diff, create, read, update, remove } kind = Kind::check;
  std::string type;
  Urn urn;
  std::string id;   // empty in check and create
  Json inputs;      // the new ones; in check as the program gave them, later as check answered
  Json old_inputs;  // of the last operation that succeeded; null: there was none
  Json old_outputs;
  bool preview = false;
  double timeout = 0;  // seconds; 0: none
};

/// An answer to one of them; each kind fills its own part.
struct ProviderAnswer {
  struct Failure {
    std::string property;  // empty: of the whole
    std::string reason;
  };
  Json inputs;                           // check, read: as they are to be kept
  std::vector<Failure> failures;         // check: why it refuses
  bool changed = false;                  // diff
  std::vector<std::string> replaces;     // diff: the properties for which it has to be replaced
  bool delete_before_replace = false;    // diff
  std::string id;                        // create, read; empty in read: it is gone
  Json outputs;                          // create, read, update
  std::vector<std::string> init_errors;  // create, update: made, and not well
};

class Providers {
 public:
  using Answer = std::function<void(Result<ProviderAnswer>)>;
  virtual ~Providers() = default;
  /// Whether there is one for a type.
  virtual bool has(const std::string& type) const = 0;
  /// `answer` is called once, possibly before this returns. An error whose code begins `worker.` says that
  /// nobody knows what became of the operation; any other that nothing was done.
  virtual void call(ProviderCall call, Answer answer) = 0;
};

}  // namespace pf::iac
