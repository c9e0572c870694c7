// The one interface to infrastructure state: a stack for each instance. Nothing above it knows Pulumi or any
// file format. Methods may be called from any thread, for different stacks at once.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"

namespace pf::iac {

/// Names a stack: the project is the pipeline's name, the stack `<core.stack>-<instance name>`.
struct StackId {
  std::string project;
  std::string stack;
};

/// What a stack holds besides resources. Values are encoded CBOR.
struct StackContent {
  std::string state;    // self.state: a map; empty when there is none
  std::string outputs;  // self.outputs: a map; empty when there are none
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  /// What the stack holds; nullopt when there is no such stack. Errors `stack.damaged`, `stack.unsupported`,
  /// `os.*`.
  virtual Result<std::optional<StackContent>> read(const StackId& id) = 0;
  /// Makes the stack hold exactly this state and these outputs, durably (fsync) before it returns. Makes the
  /// stack when there is none. Error `stack.secret`, `os.*`: then the stack is as it was.
  virtual Result<void> export_content(const StackId& id, const StackContent& content) = 0;
  /// Forgets the stack, durably. False: there was none. A backup of its file stays, as `pulumi stack rm`
  /// leaves one. Errors `stack.locked`, `stack.damaged`, `stack.unsupported`, `os.*`: then it is as it was.
  virtual Result<bool> remove(const StackId& id) = 0;
};

/// Keeps stacks below `backend` in the layout and format of Pulumi's DIY file backend (see docs/engines.md).
std::unique_ptr<Engine> make_embedded_engine(std::filesystem::path backend);

}  // namespace pf::iac
