#include "orchestrator/simulation_plan.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "pipeline/links.h"

namespace pf::orchestrator::simulation {

uint64_t Dice::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

namespace {

Dice dice_of(const Plan& plan, Key key, uint32_t what) {
  Dice dice(plan.seed * 1'000'003 + key);
  const uint64_t mixed = dice.next();
  return Dice(mixed + what);
}

// Pairs (upstream, downstream) with upstream < downstream.
std::vector<std::pair<uint32_t, uint32_t>> shape(Dice& dice, uint32_t n) {
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  switch (dice.below(5)) {
    case 0:  // a chain
      for (uint32_t i = 1; i < n; ++i) pairs.emplace_back(i - 1, i);
      break;
    case 1: {  // layers
      const uint32_t width = 1 + dice.below(4);
      for (uint32_t i = width; i < n; ++i) {
        const uint32_t from = (i / width - 1) * width;
        for (uint32_t u = from; u < from + width; ++u) {
          if (!dice.one_in(3)) pairs.emplace_back(u, i);
        }
      }
      break;
    }
    case 2:  // diamonds
      for (uint32_t i = 1; i < n; ++i) {
        if (i % 3 == 0) {
          pairs.emplace_back(i - 2, i);
          pairs.emplace_back(i - 1, i);
        } else {
          pairs.emplace_back((i / 3) * 3, i);
        }
      }
      break;
    case 3:  // wide
      for (uint32_t i = 1; i + 1 < n; ++i) {
        if (dice.one_in(2)) pairs.emplace_back(0, i);
        if (dice.one_in(2)) pairs.emplace_back(i, n - 1);
      }
      break;
    default:
      for (uint32_t i = 1; i < n; ++i) {
        for (uint32_t u = 0; u < i; ++u) {
          if (dice.one_in(4)) pairs.emplace_back(u, i);
        }
      }
  }
  return pairs;
}

pipeline::RetryPolicy retry_policy(Dice& dice) {
  pipeline::RetryPolicy policy;
  policy.delay = Milliseconds(dice.below(20));
  policy.max_delay = Milliseconds(5 + dice.below(40));
  policy.factor = 1 + dice.below(3);
  policy.full_jitter = dice.one_in(2);
  if (dice.one_in(4)) policy.retry_on = {"http.timeout"};
  if (dice.one_in(4)) policy.never_on = {"broken pipe"};
  return policy;
}

void give_settings(Dice& dice, const Plan& plan, Item& item) {
  auto& settings = item.settings;
  settings.max_attempts = 1 + (dice.one_in(2) ? dice.below(3) : 0);
  if (dice.one_in(3)) settings.retry = retry_policy(dice);
  if (dice.one_in(6)) settings.timeout = Milliseconds(5 + dice.below(30));
  if (dice.one_in(12)) settings.deadline = Milliseconds(10 + dice.below(60));
  if (dice.one_in(3)) settings.priority = static_cast<int32_t>(dice.below(3)) - 1;
  if (!plan.pools.empty() && dice.one_in(2))
    settings.pool = dice.below(static_cast<uint32_t>(plan.pools.size()));
  settings.allow_failure = dice.one_in(7);
  if (dice.one_in(9)) item.kind = static_cast<Kind>(1 + dice.below(3));
  item.excluded = dice.one_in(12);
  if (dice.one_in(8)) {
    item.group = true;
    item.children = dice.below(5);
    item.expand_fails = dice.one_in(8);
    if (item.kind == Kind::refuse || item.kind == Kind::cached) item.kind = Kind::runs;
  }
  if (dice.one_in(6)) item.prepare_ms = 1 + dice.below(20);
  if (dice.one_in(2)) item.expected_ms = 1 + dice.below(50);
}

}  // namespace

Plan Plan::make(uint64_t seed) {
  Plan plan;
  plan.seed = seed;
  Dice dice(seed);
  const uint32_t n = 1 + dice.below(dice.one_in(10) ? 24 : 12);
  const uint32_t sections = 1 + dice.below(3);
  for (uint32_t s = 0; s < sections; ++s) {
    pipeline::Section section;
    section.type = "s" + std::to_string(s);
    section.sequential = dice.one_in(6);
    if (dice.one_in(4)) section.max_parallel = 1 + dice.below(2);
    plan.sections.push_back(std::move(section));
    plan.workers.push_back(1 + dice.below(4));
    plan.closed_ms.push_back(dice.one_in(5) ? 1 + dice.below(30) : 0);
  }
  for (uint32_t p = dice.below(3); p > 0; --p)
    plan.pools.push_back({"p" + std::to_string(p), 1 + dice.below(2), {}});
  plan.queues = dice.one_in(3);
  plan.max_parallel = 1 + dice.below(4);
  plan.fail_fast = dice.one_in(8);
  if (dice.one_in(4)) {
    plan.first_signal_ms = dice.below(120);
    plan.grace_ms = dice.below(40);
    if (dice.one_in(2)) plan.second_signal_ms = plan.first_signal_ms + dice.below(60);
  }
  if (dice.one_in(10)) plan.deadline_ms = dice.below(120);
  plan.items.resize(n);
  for (uint32_t i = 0; i < n; ++i) {
    plan.items[i].section = i * sections / n;
    give_settings(dice, plan, plan.items[i]);
  }
  // Edges may lead backwards in the file where no order says otherwise.
  std::vector<uint32_t> place(n);
  std::iota(place.begin(), place.end(), 0U);
  const bool ordered = std::any_of(plan.sections.begin(), plan.sections.end(),
                                   [](const auto& section) { return section.sequential; });
  if (!ordered && dice.one_in(2)) {
    for (uint32_t i = n - 1; i > 0; --i) std::swap(place[i], place[dice.below(i + 1)]);
  }
  const bool cleans = dice.one_in(3);
  for (uint32_t i = 0; i < n; ++i) {
    // Only what comes last in the shape, so that nobody else waits for it.
    plan.items[place[i]].settings.finally = cleans && i + 1 + dice.below(3) >= n && dice.one_in(2);
  }
  for (const auto& [from, to] : shape(dice, n)) {
    static constexpr EdgeWhen kWhens[] = {EdgeWhen::failed, EdgeWhen::done};
    const EdgeWhen when = dice.one_in(4) ? kWhens[dice.below(2)] : EdgeWhen::succeeded;
    const Item& upstream = plan.items[place[from]];
    Item& item = plan.items[place[to]];
    if (upstream.settings.finally && !item.settings.finally) continue;
    item.edges.push_back({place[from], when});
  }
  uint32_t before = UINT32_MAX;
  for (uint32_t i = 0; i < n; ++i) {
    Item& item = plan.items[i];
    if (item.settings.finally) continue;
    if (plan.sections[item.section].sequential && before != UINT32_MAX &&
        plan.items[before].section == item.section)
      item.edges.push_back({before, EdgeWhen::order});
    before = i;
  }
  return plan;
}

bool Plan::timeless() const {
  return !fail_fast && std::none_of(items.begin(), items.end(),
                                    [](const Item& item) { return item.settings.deadline.count() > 0; });
}

std::string Plan::text() const {
  std::ostringstream out;
  out << "seed " << seed << ": max_parallel " << max_parallel << (fail_fast ? ", fail fast" : "")
      << (queues ? ", queues" : "") << ", signals " << first_signal_ms << " (grace " << grace_ms << "), "
      << second_signal_ms << ", deadline " << deadline_ms << "\n";
  for (size_t s = 0; s < sections.size(); ++s) {
    out << "  section " << s << ": max_parallel " << sections[s].max_parallel << ", workers " << workers[s]
        << ", closed for " << closed_ms[s] << (sections[s].sequential ? ", sequential" : "") << "\n";
  }
  for (size_t p = 0; p < pools.size(); ++p) out << "  pool " << p << ": " << pools[p].size << "\n";
  for (size_t i = 0; i < items.size(); ++i) {
    const Item& item = items[i];
    const auto& settings = item.settings;
    static constexpr const char* kKinds[] = {"", " when:false", " refused", " cached"};
    static constexpr const char* kWhens[] = {"", ":failed", ":done", ":order"};
    out << "  " << i << ": s" << item.section << kKinds[static_cast<int>(item.kind)]
        << (item.excluded ? " excluded" : "") << (settings.finally ? " finally" : "")
        << (settings.allow_failure ? " allow_failure" : "") << " attempts " << settings.max_attempts;
    if (item.group) out << " group of " << item.children << (item.expand_fails ? " (fails)" : "");
    if (settings.retry) {
      out << " retry " << settings.retry->delay.count() << ".." << settings.retry->max_delay.count();
      if (!settings.retry->retry_on.empty()) out << " retry_on";
      if (!settings.retry->never_on.empty()) out << " never_on";
    }
    if (settings.pool != pipeline::Settings::kNoPool) out << " pool " << settings.pool;
    if (settings.priority != 0) out << " priority " << settings.priority;
    if (settings.timeout.count() > 0) out << " timeout " << settings.timeout.count();
    if (settings.deadline.count() > 0) out << " deadline " << settings.deadline.count();
    if (item.prepare_ms > 0) out << " prepares " << item.prepare_ms;
    out << " expected " << item.expected_ms << " needs";
    for (const auto& edge : item.edges) out << " " << edge.upstream << kWhens[static_cast<int>(edge.when)];
    out << "\n";
  }
  return out.str();
}

std::unique_ptr<pipeline::Pipeline> Plan::build() const {
  auto made = std::make_unique<pipeline::Pipeline>();
  made->name = "simulated";
  made->sections = sections;
  made->pools = pools;
  made->max_parallel = max_parallel;
  auto& links = *made->links;
  std::vector<std::vector<uint32_t>> downstream(items.size());
  links.upstream_start.push_back(0);
  for (uint32_t i = 0; i < items.size(); ++i) {
    pipeline::Instance instance;
    instance.section = items[i].section;
    instance.settings = i;
    instance.group = items[i].group;
    made->instances.push_back(std::move(instance));
    made->settings.push_back(items[i].settings);
    for (const auto& edge : items[i].edges) {
      links.upstream.push_back(edge);
      downstream[edge.upstream].push_back(i);
    }
    links.upstream_start.push_back(static_cast<uint32_t>(links.upstream.size()));
  }
  links.downstream_start.push_back(0);
  for (const auto& list : downstream) {
    links.downstream.insert(links.downstream.end(), list.begin(), list.end());
    links.downstream_start.push_back(static_cast<uint32_t>(links.downstream.size()));
  }
  return made;
}

Outcome outcome(const Plan& plan, Key key, uint32_t attempt) {
  static constexpr const char* kCodes[] = {"extension.error", "http.timeout", "permission.http",
                                           "config.type",     "auth.refused", "extension.final"};
  Dice dice = dice_of(plan, key, 10 + attempt);
  Outcome out;
  out.ms = dice.one_in(5) ? 0 : dice.below(40);
  if (!dice.one_in(3)) return out;
  static constexpr R kResults[] = {R::failed, R::failed, R::crashed, R::timed_out};
  out.result = kResults[dice.below(4)];
  out.code = kCodes[dice.one_in(2) ? dice.below(2) : dice.below(6)];
  out.retryable = out.code != "extension.final";
  out.again = dice.one_in(5);
  return out;
}

Kind kind_of(const Plan& plan, Key key) {
  if (!is_child(key)) return plan.items[key].kind;
  Dice dice = dice_of(plan, key, 1);
  return dice.one_in(7) ? static_cast<Kind>(1 + dice.below(3)) : Kind::runs;
}

bool excluded(const Plan& plan, Key key) {
  if (!is_child(key)) return plan.items[key].excluded;
  return dice_of(plan, key, 2).one_in(10);
}

int64_t prepare_ms(const Plan& plan, Key key) { return plan.items[item_of(key)].prepare_ms; }

int64_t expected_ms(const Plan& plan, Key key) {
  if (!is_child(key)) return plan.items[key].expected_ms;
  return dice_of(plan, key, 3).one_in(2) ? 20 : 0;
}

uint32_t append_children(const Plan& plan, uint32_t group, pipeline::Pipeline& pipeline) {
  auto& links = *pipeline.links;
  for (uint32_t k = 0; k < plan.items[group].children; ++k) {
    pipeline::Instance instance = pipeline.instances[group];
    instance.group = false;
    pipeline.instances.push_back(std::move(instance));
    links.upstream_start.push_back(static_cast<uint32_t>(links.upstream.size()));
    links.downstream_start.push_back(static_cast<uint32_t>(links.downstream.size()));
  }
  return plan.items[group].children;
}

}  // namespace pf::orchestrator::simulation
