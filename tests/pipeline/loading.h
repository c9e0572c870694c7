// A pipeline from literal text, for the tests of this floor.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/text.h"
#include "pipeline/pipeline.h"

namespace pf::pipeline {

/// A fresh folder with a file p.yaml in it; `${env.…}` sees only `environment`.
class Loading {
 public:
  explicit Loading(const std::string& text) {
    char name[] = "/tmp/pf_pipeline_XXXXXX";
    folder = mkdtemp(name);
    std::ofstream(folder / "p.yaml") << text;
    options.file = folder / "p.yaml";
    options.environment = [this](const std::string& key) {
      const auto found = environment.find(key);
      return found == environment.end() ? nullptr : found->second.c_str();
    };
  }
  ~Loading() { std::filesystem::remove_all(folder); }

  /// The pipeline, or null with the text of all errors in `errors`, one after another, p.yaml without its
  /// folder.
  std::unique_ptr<Pipeline> load() {
    errors.clear();
    auto loaded = pf::pipeline::load(options);
    if (loaded) return std::move(*loaded);
    for (const Error& error : loaded.error()) errors += error.text() + "\n";
    const std::string prefix = folder.string() + "/";
    for (size_t at; (at = errors.find(prefix)) != std::string::npos;) errors.erase(at, prefix.size());
    return nullptr;
  }

  std::filesystem::path folder;
  LoadOptions options;
  std::map<std::string, std::string> environment;
  std::string errors;
};

inline std::string errors_of(const std::string& text) {
  Loading loading(text);
  return loading.load() ? "no error" : loading.errors;
}

/// Outputs that tests write down as JSON, by address.
class FixedOutputs final : public Outputs {
 public:
  Result<std::string> secret(std::string_view name) override {
    if (name == "TOKEN") return std::string("the token");
    return refuse("secret.missing", "there is no secret " + std::string(name), "set it");
  }
  FixedOutputs(const Pipeline& pipeline, const std::map<std::string, std::string>& texts) {
    for (const auto& [address, text] : texts)
      values_[static_cast<uint32_t>(pipeline.find(address))] = Json::parse(text);
  }
  const Json* of(uint32_t instance) override {
    const auto found = values_.find(instance);
    return found == values_.end() ? nullptr : &found->second;
  }

 private:
  std::map<uint32_t, Json> values_;
};

/// `address <- upstream(when) …` for each instance, a line each.
inline std::string graph_of(const Pipeline& pipeline) {
  static const char* const kWhen[] = {"succeeded", "failed", "done", "order"};
  std::string out;
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) {
    out += pipeline.address(i) + " <-";
    for (const Edge& edge : pipeline.upstream(i)) {
      out += ' ' + pipeline.address(edge.upstream) + '(' + kWhen[static_cast<int>(edge.when)] + ')';
    }
    out += '\n';
  }
  return out;
}

}  // namespace pf::pipeline
