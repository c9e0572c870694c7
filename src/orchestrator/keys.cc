#include "orchestrator/keys.h"

#include <cstdlib>

#include "base/file.h"
#include "services/capture.h"

namespace pf::orchestrator {
namespace {

constexpr uint64_t kLongestSecret = 1 << 20;  // bytes of a file
constexpr Milliseconds kPatience{30'000};     // for a command

void cut_line_break(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
}

}  // namespace

Result<std::string> read_source(const pipeline::Pipeline& pipeline, const pipeline::SecretSource& source) {
  using Kind = pipeline::SecretSource::Kind;
  const auto placed = [&](Error error) {
    error.where = pipeline.document->where(source.at, error.where.path);
    return tl::unexpected(std::move(error));
  };
  Result<std::string> value;
  switch (source.kind) {
    case Kind::environment: {
      const char* set = std::getenv(source.name.c_str());
      if (set == nullptr) {
        return refuse("secret.missing", "the environment variable " + source.name + " is not set",
                      "set it, or name another source in core.secrets", pipeline.document->where(source.at));
      }
      value = std::string(set);
      break;
    }
    case Kind::file: value = read_file(source.file, kLongestSecret); break;
    case Kind::command: value = services::capture(source.command, kPatience); break;
  }
  if (!value) return placed(std::move(value.error()));
  if (source.kind != Kind::environment) cut_line_break(*value);
  return value;
}

void set_sources(const pipeline::Pipeline& pipeline, api::Secrets& secrets) {
  for (const auto& [name, source] : pipeline.secrets) {
    secrets.set_source(name, [&pipeline, &source] { return read_source(pipeline, source); });
  }
}

Result<std::string> Keeper::passphrase(const pipeline::Pipeline& pipeline) {
  if (pipeline.passphrase) return read_source(pipeline, *pipeline.passphrase);
  return state::passphrase_of_environment();
}

Result<void> Keeper::open() {
  if (vault_) return {};
  auto vault = state::Vault::open(folder_, passphrase_);
  if (!vault) return tl::unexpected(std::move(vault.error()));
  vault_.emplace(std::move(*vault));
  return {};
}

Result<std::string> Keeper::seal(std::string_view address, std::string_view plain) {
  if (auto opened = open(); !opened) return tl::unexpected(std::move(opened.error()));
  return vault_->seal(address, plain);
}

Result<std::string> Keeper::unseal(std::string_view address, std::string_view sealed) {
  if (auto opened = open(); !opened) return tl::unexpected(std::move(opened.error()));
  return vault_->unseal(address, sealed);
}

}  // namespace pf::orchestrator
