#include "orchestrator/selection.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pf::orchestrator {
namespace {

constexpr size_t kCandidates = 2000;  // for "did you mean"

// Addresses hold brackets, which are no classes here.
std::string as_glob(std::string_view pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c == '[')
      out += "[[]";
    else
      out += c;
  }
  return out;
}

class Selecting {
 public:
  Selecting(const pipeline::Pipeline& pipeline, Errors& errors) : pipeline_(pipeline), errors_(errors) {
    addresses_.reserve(pipeline.instances.size());
    for (uint32_t i = 0; i < pipeline.instances.size(); ++i) addresses_.push_back(pipeline.address(i));
  }

  std::vector<bool> match(const std::vector<std::string>& patterns, const std::string& option) {
    std::vector<bool> out(addresses_.size());
    for (const std::string& pattern : patterns) {
      const std::string glob = as_glob(pattern);
      bool found = false;
      for (size_t i = 0; i < addresses_.size(); ++i) {
        // All that one for_each made goes by its plain name, too.
        const auto bare = std::string_view(addresses_[i]).substr(0, addresses_[i].find('['));
        if (!glob_match(glob, addresses_[i]) && !glob_match(glob, bare)) continue;
        out[i] = found = true;
      }
      if (!found) unknown(pattern, option);
    }
    return out;
  }

 private:
  void unknown(const std::string& pattern, const std::string& option) {
    std::vector<std::string> candidates(
        addresses_.begin(),
        addresses_.begin() + static_cast<int64_t>(std::min(addresses_.size(), kCandidates)));
    std::string hint = did_you_mean(pattern, candidates);
    if (hint.empty()) hint = "patterns match whole addresses TYPE.NAME, such as " + addresses_.front();
    errors_.push_back(refuse("selection.unknown", option + " " + pattern + " matches no instance",
                             std::move(hint), {pipeline_.file.string(), 0, 0, {}})
                          .value());
  }

  const pipeline::Pipeline& pipeline_;
  Errors& errors_;
  std::vector<std::string> addresses_;
};

}  // namespace

void close_over(const pipeline::Pipeline& pipeline, bool down, std::vector<bool>& marked) {
  std::vector<uint32_t> todo;
  for (uint32_t i = 0; i < marked.size(); ++i) {
    if (marked[i]) todo.push_back(i);
  }
  // `order: sequential` only orders: nobody needs what merely came before.
  const auto needs = [&](uint32_t instance, uint32_t upstream) {
    const auto edges = pipeline.upstream(instance);
    return std::any_of(edges.begin(), edges.end(), [&](const pipeline::Edge& edge) {
      return edge.upstream == upstream && edge.when != pipeline::EdgeWhen::order;
    });
  };
  const auto visit = [&](uint32_t instance) {
    if (marked[instance]) return;
    marked[instance] = true;
    todo.push_back(instance);
  };
  while (!todo.empty()) {
    const uint32_t instance = todo.back();
    todo.pop_back();
    if (down) {
      for (const uint32_t next : pipeline.downstream(instance)) {
        if (needs(next, instance)) visit(next);
      }
    } else {
      for (const auto& edge : pipeline.upstream(instance)) {
        if (edge.when != pipeline::EdgeWhen::order) visit(edge.upstream);
      }
    }
  }
}

Json selection_to_json(const Selection& selection) {
  if (selection.all() && selection.affected.empty()) return {};
  return {{"only", selection.only},
          {"skip", selection.skip},
          {"from", selection.from},
          {"until", selection.until},
          {"affected", selection.affected}};
}

Selection selection_from_json(const Json& kept) {
  Selection out;
  if (!kept.is_object()) return out;
  const auto texts = [&](const char* key) {
    std::vector<std::string> list;
    const auto found = kept.find(key);
    if (found == kept.end() || !found->is_array()) return list;
    for (const Json& one : *found) {
      if (one.is_string()) list.push_back(one.get<std::string>());
    }
    return list;
  };
  out.only = texts("only");
  out.skip = texts("skip");
  out.from = texts("from");
  out.until = texts("until");
  const auto affected = kept.find("affected");
  if (affected != kept.end() && affected->is_string()) out.affected = affected->get<std::string>();
  return out;
}

tl::expected<std::vector<bool>, Errors> select(const pipeline::Pipeline& pipeline,
                                               const Selection& selection) {
  std::vector<bool> out(pipeline.instances.size(), true);
  if (selection.all() || pipeline.instances.empty()) return out;
  Errors errors;
  Selecting selecting(pipeline, errors);
  const auto keep = [&](const std::vector<bool>& marked) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = out[i] && marked[i];
  };
  if (!selection.marked.empty()) keep(selection.marked);
  if (!selection.only.empty()) keep(selecting.match(selection.only, "--only"));
  if (!selection.from.empty()) {
    auto marked = selecting.match(selection.from, "--from");
    close_over(pipeline, true, marked);
    keep(marked);
  }
  if (!selection.until.empty()) {
    auto marked = selecting.match(selection.until, "--until");
    close_over(pipeline, false, marked);
    keep(marked);
  }
  if (!selection.skip.empty()) {
    auto marked = selecting.match(selection.skip, "--skip");
    marked.flip();
    keep(marked);
  }
  if (errors.empty() && std::none_of(out.begin(), out.end(), [](bool one) { return one; })) {
    errors.push_back(refuse("selection.empty", "the selection leaves no instance to run",
                            "the options narrow each other down: an instance must fit all of them",
                            {pipeline.file.string(), 0, 0, {}})
                         .value());
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return out;
}

}  // namespace pf::orchestrator
