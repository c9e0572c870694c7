// Keys of core that instances refer to or that say what becomes of them: pools, limits of sections, moves,
// and where secrets come from.
#include <algorithm>

#include "base/text.h"
#include "pipeline/loader.h"

namespace pf::pipeline {
namespace {

constexpr int64_t kMostParallel = 10'000;
const std::vector<std::string> kMoveKeys = {"from", "to"};
const std::vector<std::string> kSecretsKeys = {"passphrase", "values"};
const std::vector<std::string> kSourceKeys = {"env", "file", "command"};
constexpr std::string_view kSourceForms = "one of {env: NAME}, {file: PATH} and {command: [PROGRAM, …]}";

bool is_environment_name(std::string_view name) {
  return is_identifier(name) && name.find('-') == std::string_view::npos;
}

/// `type.name` or `type.name["key"]`.
bool is_address(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || !is_identifier(text.substr(0, dot))) return false;
  const std::string_view name = text.substr(dot + 1);
  const size_t bracket = name.find('[');
  if (!is_stack_name(name.substr(0, bracket))) return false;
  return bracket == std::string_view::npos ||
         (name.size() >= bracket + 4 && name.substr(bracket).starts_with("[\"") && name.ends_with("\"]"));
}

}  // namespace

void Loader::read_pools(const Node& node) {
  if (node.kind != Kind::map) {
    if (!node.is_null())
      wrong_type(node, "core.pools", "a mapping of names to numbers", "write pools: {db: 2}");
    return;
  }
  for (const Entry& entry : node.map()) {
    const std::string name(entry.key.string());
    const std::string path = "core.pools." + name;
    if (!is_identifier(name)) {
      report("pipeline.name",
             "'" + shorten(name, 60) +
                 "' is no name of a pool, expected letters, digits, '_' and '-', beginning with a letter",
             "rename the pool", entry.key, path);
      continue;
    }
    // A pool whose size is wrong is there none the less: who uses it is not to blame.
    Pool pool{name, 1, entry.key};
    if (auto size = read_integer(entry.value, path, 1, kMostParallel, nullptr))
      pool.size = static_cast<uint32_t>(*size);
    pipeline_.pools.push_back(std::move(pool));
  }
}

void Loader::read_max_parallel(const Node& node, const std::string& path, const Node& body) {
  if (node.kind != Kind::map) {
    if (node.kind == Kind::list) {
      return wrong_type(node, path, "an integer, or a mapping of sections to integers",
                        "write max_parallel: {all: 16, terraform: 2}");
    }
    if (auto value = read_integer(node, path, 1, kMostParallel, nullptr))
      pipeline_.max_parallel = static_cast<uint32_t>(*value);
    return;
  }
  for (const Entry& entry : node.map()) {
    const std::string_view type = entry.key.string();
    const std::string here = path + '.' + std::string(type);
    if (type != "all" && (type == "core" || body.find(type) == nullptr)) {
      std::vector<std::string> types = {"all"};
      for (const Entry& section : body.map()) {
        if (section.key.string() != "core") types.emplace_back(section.key.string());
      }
      std::string hint = did_you_mean(type, types);
      report("pipeline.unknown_section", "the pipeline has no section '" + shorten(type, 60) + "'",
             hint.empty() ? "expected one of: " + shorten(join(types, ", "), 200) : hint, entry.key, here);
      continue;
    }
    auto value = read_integer(entry.value, here, 1, kMostParallel, nullptr);
    if (!value) continue;
    if (type == "all") {
      pipeline_.max_parallel = static_cast<uint32_t>(*value);
    } else {
      section_limits_[type] = static_cast<uint32_t>(*value);
    }
  }
}

void Loader::read_moved(const Node& node) {
  static const std::string kForm = "{from: TYPE.NAME, to: TYPE.NAME}";
  if (node.kind != Kind::list) {
    if (!node.is_null()) wrong_type(node, "core.moved", "a list", "write moved: [" + kForm + "]");
    return;
  }
  size_t index = 0;
  for (const Node& item : node.list()) {
    const std::string path = "core.moved[" + std::to_string(index++) + "]";
    if (item.kind != Kind::map) {
      wrong_type(item, path, kForm);
      continue;
    }
    Move move;
    move.at = item;
    bool good = true;
    for (const Entry& entry : item.map()) {
      const std::string here = path + '.' + std::string(entry.key.string());
      const bool from = entry.key.string() == "from";
      if (!from && entry.key.string() != "to") {
        unknown_key(entry.key, path, kMoveKeys);
        good = false;
        continue;
      }
      auto value = resolve(entry.value, here, nullptr);
      if (!value || value->kind != Kind::string || !is_address(value->string())) {
        if (value) wrong_type(*value, here, "an address, TYPE.NAME");
        good = false;
        continue;
      }
      (from ? move.from : move.to) = value->string();
    }
    if (good && (move.from.empty() || move.to.empty())) {
      report("pipeline.type",
             path + " has no " + std::string(move.from.empty() ? "from" : "to") + ", expected " + kForm, {},
             item, path);
      good = false;
    }
    if (good) pipeline_.moved.push_back(std::move(move));
  }
}

/// What moved is gone, and where it went is there; each once.
void Loader::check_moved() {
  if (pipeline_.moved.empty()) return;
  // An instance of a for_each over outputs is not known yet: its for_each is enough.
  const auto unknown_yet = [&](const std::string& address) {
    const int64_t group = pipeline_.find(address.substr(0, address.find('[')));
    return group >= 0 && pipeline_.instances[static_cast<size_t>(group)].group;
  };
  std::vector<std::string> addresses;
  for (uint32_t i = 0; i < std::min<size_t>(pipeline_.instances.size(), 2000); ++i)
    addresses.push_back(pipeline_.address(i));
  for (size_t i = 0; i < pipeline_.moved.size(); ++i) {
    const Move& move = pipeline_.moved[i];
    const std::string path = "core.moved[" + std::to_string(i) + "]";
    const Node* from = move.at.find("from");
    const Node* to = move.at.find("to");
    if (const int64_t still = pipeline_.find(move.from); still >= 0) {
      report("pipeline.moved",
             move.from + " is said to have moved, but it is still there, at " +
                 document().where(pipeline_.instances[static_cast<size_t>(still)].at).text(),
             "remove the instance, or this entry", *from, path + ".from");
    }
    if (pipeline_.find(move.to) < 0 && !unknown_yet(move.to)) {
      std::string hint = did_you_mean(move.to, addresses);
      report("pipeline.moved",
             "there is no instance '" + shorten(move.to, 120) + "' that " + move.from + " can have become",
             hint.empty() ? "write the address that the instance has now" : hint, *to, path + ".to");
    }
    for (size_t k = 0; k < i; ++k) {
      const Move& other = pipeline_.moved[k];
      if (other.from != move.from && other.to != move.to) continue;
      const bool same = other.from == move.from;
      report("pipeline.moved",
             (same ? move.from + " is said to have moved" : move.to + " is what another became") +
                 " already, at " + document().where(other.at).text(),
             "keep one of the two", same ? *from : *to, path);
      break;
    }
  }
}

/// Variables that hold secrets cannot be read as plain text: known before any expression is parsed.
void Loader::note_secret_variables(const Node& secrets) {
  const auto note = [&](const Node& source, std::string secret) {
    if (const Node* name = source.find("env"); name != nullptr && name->kind == Kind::string)
      secret_variables_.emplace(std::string(name->string()), std::move(secret));
  };
  if (const Node* values = secrets.find("values"); values != nullptr) {
    for (const Entry& entry : values->map()) note(entry.value, std::string(entry.key.string()));
  }
  if (const Node* passphrase = secrets.find("passphrase"); passphrase != nullptr) note(*passphrase, "");
}

void Loader::read_secrets(const Node& node) {
  if (node.kind != Kind::map) {
    if (!node.is_null()) wrong_type(node, "core.secrets", "a mapping with passphrase and values");
    return;
  }
  for (const Entry& entry : node.map()) {
    const std::string path = "core.secrets." + std::string(entry.key.string());
    if (entry.key.string() == "passphrase") {
      pipeline_.passphrase = read_secret_source(entry.value, path);
    } else if (entry.key.string() != "values") {
      unknown_key(entry.key, "core.secrets", kSecretsKeys);
    } else if (entry.value.kind != Kind::map) {
      if (!entry.value.is_null()) wrong_type(entry.value, path, "a mapping of secrets to their sources");
    } else {
      for (const Entry& secret : entry.value.map()) {
        const std::string name(secret.key.string());
        const std::string here = path + '.' + name;
        if (!is_identifier(name)) {
          report(
              "pipeline.name",
              "'" + shorten(name, 60) +
                  "' is no name of a secret, expected letters, digits, '_' and '-', beginning with a letter",
              "rename the secret", secret.key, here);
        } else if (auto source = read_secret_source(secret.value, here)) {
          pipeline_.secrets.emplace(name, std::move(*source));
        }
      }
    }
  }
}

std::optional<SecretSource> Loader::read_secret_source(const Node& node, const std::string& path) {
  SecretSource source;
  source.at = node;
  if (node.kind != Kind::map || node.size != 1) {
    if (node.kind == Kind::string) {
      // What is written may be the secret: it is not repeated.
      report("pipeline.type", path + " is text, expected " + std::string(kSourceForms),
             "a secret itself does not belong into the file", node, path);
    } else {
      wrong_type(node, path, kSourceForms);
    }
    return std::nullopt;
  }
  const Entry& entry = node.map()[0];
  const std::string_view key = entry.key.string();
  const std::string here = path + '.' + std::string(key);
  if (key == "command") {
    source.kind = SecretSource::Kind::command;
    auto argv = read_texts(entry.value, here, nullptr);
    if (!argv) return std::nullopt;
    if (argv->empty() || argv->front().empty()) {
      report("pipeline.type", here + " names no program, expected [PROGRAM, ARGUMENT, …]", {}, entry.value,
             here);
      return std::nullopt;
    }
    source.command = std::move(*argv);
    return source;
  }
  if (key != "env" && key != "file") {
    unknown_key(entry.key, path, kSourceKeys);
    return std::nullopt;
  }
  auto value = resolve(entry.value, here, nullptr);
  if (!value) return std::nullopt;
  if (key == "env") {
    if (!is_environment_name(value->string())) {
      wrong_type(*value, here, "the name of an environment variable");
      return std::nullopt;
    }
    source.kind = SecretSource::Kind::environment;
    source.name = value->string();
    return source;
  }
  if (value->kind != Kind::string || value->size == 0) {
    wrong_type(*value, here, "the path of a file");
    return std::nullopt;
  }
  source.kind = SecretSource::Kind::file;
  source.file = (document().folder(entry.value.file) / std::string(value->string())).lexically_normal();
  return source;
}

}  // namespace pf::pipeline
