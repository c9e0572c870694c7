// References, depends_on and order become edges; values that can be known are checked; cycles are found.
#include <algorithm>

#include "base/text.h"
#include "pipeline/loader.h"

namespace pf::pipeline {
namespace {

constexpr size_t kMaxEdges = 5'000'000;
constexpr size_t kSuggestions = 2'000;  // names that a suggestion is chosen from
constexpr uint32_t kScratchLife =
    256;  // instances that are checked before their scratch memory is given back

bool is_long(size_t cycle) { return cycle > 13; }

}  // namespace

void Loader::link() {
  const auto count = static_cast<uint32_t>(pipeline_.instances.size());
  links_.upstream_start.reserve(count + 1);
  links_.upstream_start.push_back(0);
  std::vector<Wait> shared;
  std::vector<Wait> waits;
  for (const Item& item : items_) {
    const std::string& type = pipeline_.sections[item.section].type;
    shared.clear();
    const Node& name = *item.node->find("name");
    const std::string path = type + '.' + (name.kind == Kind::string ? std::string(name.string()) : "?");
    const Node& config = item.count > 0 ? pipeline_.instances[item.first].config : *item.node;
    if (item.count > 0) gather_references(config, path, shared);
    if (item.for_each != nullptr) gather_references(*item.for_each, path + ".for_each", shared);
    if (item.when != nullptr) {
      gather_references(*item.when, path + ".when", shared);
      const Template* form = item.when->computed ? links_.template_of(*item.when) : nullptr;
      if (form != nullptr && !form->is_whole()) {
        report("pipeline.type", path + ".when is a text with expressions in it, expected one expression",
               "write it as when: \"${var.region == 'us'}\"", *item.when, path + ".when");
      }
    }
    const bool varies = item.depends_on != nullptr && item.depends_on->computed;
    if (item.depends_on != nullptr && !varies) gather_depends_on(item, path, nullptr, shared);
    for (uint32_t i = item.first; i < item.first + item.count; ++i) {
      waits = shared;
      const size_t before = errors_.size();
      if (varies) gather_depends_on(item, path, each_of(i), waits);
      settle(i, waits);
      if (errors_.size() > before) {  // the others of this for_each would say the same
        for (++i; i < item.first + item.count; ++i)
          links_.upstream_start.push_back(static_cast<uint32_t>(links_.upstream.size()));
        break;
      }
    }
    check_values(item);
  }
  if (errors_.empty()) {
    reverse_edges();
    find_cycle();
    if (finally_) check_finally();
  }
  edge_places_ = {};
}

void Loader::gather_references(const Node& node, const std::string& path, std::vector<Wait>& waits) {
  if (!node.computed) return;
  for (const Node& item : node.list()) gather_references(item, path, waits);
  for (const Entry& entry : node.map()) {
    if (entry.value.computed)
      gather_references(entry.value, path + '.' + std::string(entry.key.string()), waits);
  }
  if (node.kind != Kind::string) return;
  Template* form = parse(node, path);
  if (form == nullptr || !form->uses_outputs()) return;
  const bool first_time = linked_.insert(form).second;
  for (Reference& reference : form->references) {
    if (reference.root != Root::instance) continue;
    const Where where = place_in_text(document(), node, reference.offset, path);
    if (first_time) {
      const std::string key(reference.key);
      const Target target = find_target(reference.type, reference.name, reference.has_key ? &key : nullptr,
                                        reference.all, true, where);
      reference.first = target.first;
      reference.count = target.count;
      reference.group = target.count == 1 && pipeline_.instances[target.first].group;
    }
    for (uint32_t i = 0; i < reference.count; ++i) {
      Wait wait;
      wait.upstream = reference.first + i;
      wait.when = EdgeWhen::succeeded;
      wait.reference = true;
      wait.line = where.line;
      wait.column = where.column;
      waits.push_back(wait);
    }
  }
}

Loader::Target Loader::find_target(std::string_view type, std::string_view name, const std::string* key,
                                   bool all, bool needs_key, Where where) {
  const auto section = sections_.find(type);
  if (section == sections_.end()) {
    std::vector<std::string> types;
    for (const Section& known : pipeline_.sections) types.push_back(known.type);
    std::string hint = did_you_mean(type, types);
    report("graph.unknown_instance", "there is no section '" + shorten(type, 60) + "'",
           hint.empty() ? "the sections are: " + shorten(join(types, ", "), 200) : hint, std::move(where));
    return {};
  }
  const uint32_t index = section->second;
  const auto& instances = pipeline_.instances;
  const auto instance_named = [&](std::string_view wanted) {
    return links_.addresses.find(hash_of(wanted, index), [&](uint32_t i) {
      return instances[i].section == index && instances[i].name == wanted;
    });
  };
  const std::string address = std::string(type) + '.' + std::string(name);
  const uint32_t group = groups_.find(
      hash_of(name, index), [&](uint32_t i) { return items_[i].section == index && items_[i].name == name; });
  if (group != IndexTable::kNone) {
    const Item& item = items_[group];
    if (key != nullptr) {
      std::vector<std::string> keys;
      for (uint32_t i = item.first; i < item.first + item.count; ++i) {
        const std::string& known = pipeline_.each[instances[i].each].key;
        if (known == *key) return {i, 1, true};
        if (keys.size() < kSuggestions) keys.push_back(known);
      }
      std::string hint = did_you_mean(*key, keys);
      report("graph.unknown_instance", address + " has no instance with the key '" + shorten(*key, 60) + "'",
             !hint.empty()  ? hint
             : keys.empty() ? "its for_each is empty"
                            : "its keys are: " + shorten(join(keys, ", "), 200),
             std::move(where));
      return {};
    }
    if (needs_key && !all) {
      std::string hint = "write " + address + "[*] for all of them";
      if (item.count > 0) hint += ", or one as " + shorten(pipeline_.address(item.first), 80);
      report("graph.needs_key",
             address + " is a for_each of " + std::to_string(item.count) + " instances, expected one of them",
             std::move(hint), std::move(where));
      return {};
    }
    return {item.first, item.count, true};
  }
  const uint32_t found = instance_named(name);
  if (found != IndexTable::kNone && instances[found].group) {
    // Which keys there are, time will tell: who waits for one of them waits for all.
    if (key != nullptr || all || !needs_key) return {found, 1, true};
    report("graph.needs_key", address + " is a for_each, expected one of its instances",
           "write " + address + "[*] for all of them, or one as " + address + "[\"KEY\"]", std::move(where));
    return {};
  }
  if (found != IndexTable::kNone && key == nullptr && !all) return {found, 1, true};
  if (incomplete_[index]) return {};  // its name may be one of those that were refused
  if (found != IndexTable::kNone) {
    report("graph.unknown_instance", address + " has no for_each, so it has no instances with keys",
           "write " + address, std::move(where));
    return {};
  }
  std::vector<std::string> names;
  for (const Instance& known : instances) {
    if (known.section == index && names.size() < kSuggestions) names.push_back(known.name);
  }
  std::string hint = did_you_mean(name, names);
  if (hint.empty()) {
    hint = names.empty()
               ? "the section " + std::string(type) + " has no instances"
               : "the instances of " + std::string(type) + " are: " + shorten(join(names, ", "), 200);
  }
  report("graph.unknown_instance", "there is no instance '" + shorten(address, 120) + "'", std::move(hint),
         std::move(where));
  return {};
}

void Loader::gather_depends_on(const Item& item, const std::string& path, const Each* each,
                               std::vector<Wait>& waits) {
  const std::string here = path + ".depends_on";
  auto value = resolve(*item.depends_on, here, each);
  if (!value) return;
  if (value->kind == Kind::list) {
    for (const Node& dependency : value->list()) read_dependency(dependency, here, waits);
  } else {
    read_dependency(*value, here, waits);
  }
}

void Loader::read_dependency(const Node& node, const std::string& path, std::vector<Wait>& waits) {
  static const std::string kForms = "TYPE.NAME, or {name: TYPE.NAME, when: succeeded|failed|done}";
  static const std::vector<std::string> kKeys = {"name", "when"};
  const Node* name = &node;
  Wait wait;
  wait.when = EdgeWhen::succeeded;
  if (node.kind == Kind::map) {
    name = node.find("name");
    for (const Entry& entry : node.map()) {
      if (entry.key.string() != "name" && entry.key.string() != "when")
        return unknown_key(entry.key, path, kKeys);
    }
    if (name == nullptr)
      return report("pipeline.type", path + " has an item without a name, expected " + kForms, {}, node,
                    path);
    if (const Node* when = node.find("when"); when != nullptr) {
      const std::string_view word = when->string();
      if (word != "succeeded" && word != "failed" && word != "done")
        return wrong_type(*when, path + ".when", "succeeded, failed or done");
      wait.when = word == "failed" ? EdgeWhen::failed : word == "done" ? EdgeWhen::done : EdgeWhen::succeeded;
      wait.written = true;
    }
  }
  if (name->kind != Kind::string) return wrong_type(*name, path, kForms);
  const std::string_view text = name->string();
  const size_t dot = text.find('.');
  const size_t bracket = std::min(text.find('['), text.size());
  if (dot == std::string_view::npos || dot == 0 || dot > bracket || dot + 1 >= bracket) {
    return report("pipeline.type", path + " has the text '" + shorten(text, 60) + "', expected " + kForms, {},
                  *name, path);
  }
  wait.line = name->line;
  wait.column = name->column;
  if (bracket == text.size()) {  // the usual one, without what only messages need
    const auto section = sections_.find(text.substr(0, dot));
    const std::string_view wanted = text.substr(dot + 1);
    const uint32_t index = section == sections_.end() ? IndexTable::kNone : section->second;
    wait.upstream = links_.addresses.find(hash_of(wanted, index), [&](uint32_t i) {
      return pipeline_.instances[i].section == index && pipeline_.instances[i].name == wanted;
    });
    if (wait.upstream != IndexTable::kNone) {
      waits.push_back(wait);
      return;
    }
  }
  std::string key;
  bool has_key = false;
  const std::string_view rest = text.substr(bracket);
  const bool all = rest == "[*]";
  if (!rest.empty() && !all) {
    if (rest.size() < 4 || !rest.starts_with("[\"") || !rest.ends_with("\"]")) {
      return report(
          "pipeline.type",
          path + " has the text '" + shorten(text, 60) + "', expected TYPE.NAME[\"key\"] or TYPE.NAME[*]", {},
          *name, path);
    }
    for (size_t i = 2; i + 2 < rest.size(); ++i) {
      if (rest[i] == '\\' && i + 3 < rest.size()) ++i;
      key += rest[i];
    }
    has_key = true;
  }
  const Target target = find_target(text.substr(0, dot), text.substr(dot + 1, bracket - dot - 1),
                                    has_key ? &key : nullptr, all, false, document().where(*name, path));
  for (uint32_t i = 0; i < target.count; ++i) {
    wait.upstream = target.first + i;
    waits.push_back(wait);
  }
}

/// Makes the edges of one instance: one for each upstream, of what all its waits for it amount to.
void Loader::settle(uint32_t instance, std::vector<Wait>& waits) {
  const auto where = [&](const Wait& wait) {
    Where place = document().where(pipeline_.instances[instance].at, pipeline_.address(instance));
    place.line = wait.line;
    place.column = wait.column;
    return place;
  };
  // `order` does not count what is finally: that waits for all the others, so nobody can wait for it.
  if (!finally_ || !pipeline_.settings[pipeline_.instances[instance].settings].finally) {
    const uint32_t section = pipeline_.instances[instance].section;
    if (ordered_ != UINT32_MAX) {
      const bool same = pipeline_.instances[ordered_].section == section;
      if (same ? pipeline_.sections[section].sequential : sequential_) {
        Wait wait;
        wait.upstream = ordered_;
        wait.line = pipeline_.instances[instance].at.line;
        wait.column = pipeline_.instances[instance].at.column;
        waits.push_back(wait);
      }
    }
    ordered_ = instance;
  }
  if (waits.size() > 1) {
    std::stable_sort(waits.begin(), waits.end(),
                     [](const Wait& a, const Wait& b) { return a.upstream < b.upstream; });
  }
  auto& edges = links_.upstream;
  if (edges.size() + waits.size() > kMaxEdges) {
    report("graph.too_many", "there are more than " + std::to_string(kMaxEdges) + " dependencies",
           "let an instance in between wait for the many", pipeline_.instances[instance].at,
           pipeline_.address(instance));
    waits.clear();
  }
  for (size_t i = 0; i < waits.size();) {
    const Wait& first = waits[i];
    const Wait* written = nullptr;
    const Wait* reference = nullptr;
    const Wait* plain = nullptr;
    for (; i < waits.size() && waits[i].upstream == first.upstream; ++i) {
      const Wait& wait = waits[i];
      if (wait.reference) {
        if (reference == nullptr) reference = &wait;
      } else if (!wait.written) {
        if (wait.when != EdgeWhen::order) plain = &wait;
      } else if (written == nullptr) {
        written = &wait;
      } else if (written->when != wait.when) {
        report("graph.conflict",
               pipeline_.address(instance) + " waits for two different results of " +
                   pipeline_.address(first.upstream),
               "keep one of them", where(wait));
      }
    }
    const Wait& chosen = reference != nullptr ? *reference
                         : written != nullptr ? *written
                         : plain != nullptr   ? *plain
                                              : first;
    if (first.upstream == instance) {
      report("graph.self", pipeline_.address(instance) + " waits for itself", "remove the dependency",
             where(chosen));
      continue;
    }
    if (reference != nullptr && written != nullptr && written->when == EdgeWhen::failed) {
      report("graph.conflict",
             pipeline_.address(instance) + " waits for " + pipeline_.address(first.upstream) +
                 " to fail, and uses its outputs, which then are not there",
             "remove one of the two", where(*written));
    }
    edges.push_back({first.upstream, chosen.when});
    edge_places_.emplace_back(chosen.line, chosen.column);
  }
  links_.upstream_start.push_back(static_cast<uint32_t>(edges.size()));
}

/// Evaluates what is known before anything runs, for its errors.
void Loader::check_values(const Item& item) {
  if (item.count == 0) return;
  const Node& config = pipeline_.instances[item.first].config;
  const Node* when = item.when != nullptr && item.when->computed ? item.when : nullptr;
  if (when != nullptr) {
    const Template* form = links_.template_of(*when);
    if (form == nullptr || !form->is_whole()) when = nullptr;  // reported already
  }
  if (item.for_each != nullptr) {
    Document scratch;
    Evaluator evaluator(links_, document(), scratch, nullptr, nullptr);
    evaluator.tree(*item.for_each, pipeline_.address(item.first) + ".for_each", errors_);
  }
  if (!config.computed && when == nullptr) return;
  std::optional<Document> scratch;
  for (uint32_t i = 0; i < item.count; ++i) {
    const uint32_t instance = item.first + i;
    if (i % kScratchLife == 0) scratch.emplace();
    const size_t before = errors_.size();
    Evaluator evaluator(links_, document(), *scratch, each_of(instance), nullptr);
    evaluator.each_unknown = item.for_each != nullptr;
    const std::string path = pipeline_.address(instance);
    evaluator.tree(config, path, errors_);
    if (when != nullptr) {
      const Node value = evaluator.tree(*when, path + ".when", errors_);
      if (!value.computed && value.kind != Kind::boolean)
        wrong_type(value, path + ".when", "a boolean", "compare the value, for example with == 'text'");
    }
    if (errors_.size() > before || evaluator.spoilt) return;
  }
}

void Loader::reverse_edges() {
  const size_t count = pipeline_.instances.size();
  links_.upstream.shrink_to_fit();
  links_.downstream_start.assign(count + 1, 0);
  for (const Edge& edge : links_.upstream) ++links_.downstream_start[edge.upstream + 1];
  for (size_t i = 0; i < count; ++i) links_.downstream_start[i + 1] += links_.downstream_start[i];
  links_.downstream.resize(links_.upstream.size());
  std::vector<uint32_t> next(links_.downstream_start.begin(), links_.downstream_start.end() - 1);
  for (uint32_t i = 0; i < count; ++i) {
    for (const Edge& edge : pipeline_.upstream(i)) links_.downstream[next[edge.upstream]++] = i;
  }
}

/// What cleans up runs when the others are over, so that these cannot wait for it.
void Loader::check_finally() {
  const auto is_finally = [&](uint32_t i) {
    return pipeline_.settings[pipeline_.instances[i].settings].finally;
  };
  for (uint32_t i = 0; i < pipeline_.instances.size(); ++i) {
    if (is_finally(i)) continue;
    for (uint32_t at = links_.upstream_start[i]; at < links_.upstream_start[i + 1]; ++at) {
      const uint32_t upstream = links_.upstream[at].upstream;
      if (!is_finally(upstream)) continue;
      Where where = document().where(pipeline_.instances[i].at, pipeline_.address(i));
      std::tie(where.line, where.column) = edge_places_[at];
      report("graph.finally",
             pipeline_.address(i) + " waits for " + pipeline_.address(upstream) +
                 ", which is finally: it runs when all that is not is over",
             "remove the dependency, or write finally: true here as well", std::move(where));
    }
  }
}

/// Depth first on a stack of its own; the first way back is the cycle that is reported.
void Loader::find_cycle() {
  enum : uint8_t { kNew, kOpen, kDone };
  const auto count = static_cast<uint32_t>(pipeline_.instances.size());
  std::vector<uint8_t> state(count, kNew);
  struct Frame {
    uint32_t instance;
    uint32_t edge;
  };
  std::vector<Frame> stack;
  for (uint32_t start = 0; start < count; ++start) {
    if (state[start] != kNew) continue;
    stack.push_back({start, links_.upstream_start[start]});
    state[start] = kOpen;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.edge == links_.upstream_start[frame.instance + 1]) {
        state[frame.instance] = kDone;
        stack.pop_back();
        continue;
      }
      const uint32_t next = links_.upstream[frame.edge++].upstream;
      if (state[next] == kNew) {
        state[next] = kOpen;
        stack.push_back({next, links_.upstream_start[next]});
      } else if (state[next] == kOpen) {
        // The frames from `next` on are the cycle; each frame's edge is one behind the one that it follows.
        auto from =
            std::find_if(stack.begin(), stack.end(), [&](const Frame& f) { return f.instance == next; });
        std::vector<Frame> cycle(from, stack.end());
        std::rotate(cycle.begin(),
                    std::min_element(cycle.begin(), cycle.end(),
                                     [](const Frame& a, const Frame& b) { return a.instance < b.instance; }),
                    cycle.end());
        std::vector<std::string> path;
        bool ordered = false;
        for (size_t i = 0; i < cycle.size(); ++i) {
          ordered = ordered || links_.upstream[cycle[i].edge - 1].when == EdgeWhen::order;
          if (is_long(cycle.size()) && i >= 6 && i + 6 < cycle.size()) {
            if (i == 6) path.push_back("(" + std::to_string(cycle.size() - 12) + " more)");
            continue;
          }
          path.push_back(pipeline_.address(cycle[i].instance));
        }
        path.push_back(path.front());
        Where where =
            document().where(pipeline_.instances[cycle[0].instance].at, pipeline_.address(cycle[0].instance));
        std::tie(where.line, where.column) = edge_places_[cycle[0].edge - 1];
        report("graph.cycle", "instances wait for each other: " + join(path, " -> "),
               ordered ? "remove one of these dependencies; some come from order: sequential"
                       : "remove one of these dependencies",
               std::move(where));
        return;
      }
    }
  }
}

}  // namespace pf::pipeline
