#include "orchestrator/preparation.h"

#include "base/cbor.h"
#include "base/json.h"
#include "extension/grants.h"

namespace pf::orchestrator {
namespace {

// Texts that hold a secret, each in place of its digest.
void conceal_texts(Json& value, const Mask& mask,
                   const std::function<std::string(std::string_view)>& conceal) {
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    if (mask.finds(text)) text = conceal(text);
  } else if (value.is_structured()) {
    // Depth is bounded: it was decoded from CBOR of bounded nesting.
    for (auto& item : value) conceal_texts(item, mask, conceal);
  }
}

}  // namespace

Preparation::Preparation(const Project& project, api::Secrets& secrets, pipeline::Outputs& outputs)
    : project_(project), pipeline_(*project.pipeline), secrets_(secrets), outputs_(outputs) {
  for (const auto& section : pipeline_.sections) {
    const Loaded& loaded = project.extensions.at(section.type);
    loaded_.push_back(&loaded);
    contexts_.push_back(R"({"package":"sha256:)" + loaded.package.digest + R"(")");
  }
}

std::string Preparation::conceal(std::string_view value) {
  // Without a key two secrets look alike to the store, and count as different for ever.
  const auto version = secrets_.version(value);
  return std::string(kConcealed) + version.value_or("unknown " + rfc3339(Clock::system().wall()));
}

Result<void> Preparation::encode(uint32_t instance, const pipeline::Document& document, Making& making) {
  const pipeline::Schema& schema = *loaded(instance).schema;
  pipeline::Encoding plainly;
  plainly.inputs = &making.inputs;
  schema.encode(document, making.written, making.config, plainly);
  const bool known = secrets_.mask().finds(making.config);
  if (!known && !schema.has_secrets()) return {};
  pipeline::Encoding concealed;
  concealed.conceal = [this](std::string_view cbor) {
    std::string out;
    cbor::Writer(out).text_or_bytes(conceal(cbor));
    return out;
  };
  schema.encode(document, making.written, making.kept, concealed);
  if (!secrets_.mask().finds(making.kept)) return {};
  auto value = from_cbor(making.kept);
  if (!value) return tl::unexpected(value.error());
  conceal_texts(*value, secrets_.mask(), [this](std::string_view text) { return conceal(text); });
  making.kept = to_cbor(*value);
  return {};
}

Result<Making> Preparation::make(uint32_t instance) {
  const auto& written = pipeline_.instances[instance];
  Making out;
  if (!written.config.computed && !written.config.escaped) {
    out.written = written.config;
    if (auto done = encode(instance, *pipeline_.document, out); !done) return tl::unexpected(done.error());
    return out;
  }
  out.scratch = std::make_shared<pipeline::Document>();
  auto evaluated = pipeline::evaluate(pipeline_, instance, outputs_, *out.scratch);
  if (!evaluated) return tl::unexpected(evaluated.error());
  out.written = evaluated->config;
  out.complete = !out.written.computed;
  Errors errors;
  loaded(instance).schema->check(*out.scratch, out.written, pipeline_.address(instance), !out.complete,
                                 errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors.front()));
  out.from_outputs = std::move(evaluated->from_outputs);
  if (auto done = encode(instance, *out.scratch, out); !done) return tl::unexpected(done.error());
  return out;
}

Result<void> Preparation::patch(uint32_t instance, const Json& changes, Making& making) {
  auto config = from_cbor(making.config);
  if (!config) return tl::unexpected(config.error());
  config->merge_patch(changes);
  auto document = std::make_shared<pipeline::Document>();
  const auto& from = *pipeline_.document;
  for (size_t i = 0; i < from.file_count(); ++i) {
    document->add_file(from.file(static_cast<uint16_t>(i)), from.folder(static_cast<uint16_t>(i)));
  }
  Making patched;
  patched.written = document->make_json(*config, pipeline_.instances[instance].at);
  patched.from_outputs = making.from_outputs;
  Errors errors;
  loaded(instance).schema->check(*document, patched.written, pipeline_.address(instance), false, errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors.front()));
  if (auto done = encode(instance, *document, patched); !done) return done;
  patched.scratch = std::move(document);
  making = std::move(patched);
  return {};
}

std::string Preparation::context(uint32_t instance, const std::string& hooks) const {
  const auto& written = pipeline_.instances[instance];
  std::string out = contexts_[written.section];
  if (!hooks.empty()) out += R"(,"hooks":"sha256:)" + hooks + '"';
  // A success with other permissions says nothing of these.
  if (!written.permissions.is_null())
    out += R"(,"permissions":)" + to_json_text(pipeline::to_json(written.permissions));
  // Names of stacks hold nothing that JSON would have to escape.
  out += R"(,"stack":")" + (written.at.find("stack") != nullptr ? written.stack : pipeline_.stack + "-*");
  return out += "\"}";
}

pipeline::CachePolicy Preparation::cache(uint32_t instance) const {
  const auto& own = pipeline_.settings[pipeline_.instances[instance].settings].cache;
  if (own.kind != pipeline::CachePolicy::Kind::automatic) return own;
  return loaded(instance).package.manifest.cache;
}

std::vector<std::string> Preparation::declared_inputs(uint32_t instance, const Making& making) const {
  const auto& declared = loaded(instance).package.manifest.inputs;
  if (declared.empty()) return {};
  const auto config = from_cbor(making.config);
  if (!config) return {};
  extension::Permissions patterns;
  patterns.read = declared;
  const extension::Surroundings around{pipeline_.folder, project_.state_folder, {}};
  std::vector<std::string> out;
  for (auto& entry : extension::make_grants(patterns, *config, around).read)
    out.push_back(std::move(entry.value));
  return out;
}

}  // namespace pf::orchestrator
