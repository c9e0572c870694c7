#include "orchestrator/simulation_model.h"

#include <algorithm>

namespace pf::orchestrator::simulation {

bool broke(R result) { return std::set<R>{R::failed, R::timed_out, R::crashed}.contains(result); }

bool good(R result, bool allow_failure) {
  return std::set<R>{R::succeeded, R::cached, R::excluded}.contains(result) ||
         (allow_failure && broke(result));
}

R verdict(const Plan& plan, uint32_t item, const std::map<Key, R>& results) {
  if (plan.items[item].settings.finally) return R::none;
  bool blocked = false;
  bool skipped = false;
  for (const auto& edge : plan.items[item].edges) {
    const R result = results.at(edge.upstream);
    const bool fine = good(result, plan.items[edge.upstream].settings.allow_failure);
    if (edge.when == EdgeWhen::succeeded) {
      blocked |= !fine && result != R::skipped;
      skipped |= result == R::skipped;
    }
    if (edge.when == EdgeWhen::failed) skipped |= !broke(result);
    if (edge.when == EdgeWhen::done) skipped |= !broke(result) && !fine;
  }
  return blocked ? R::blocked : skipped ? R::skipped : R::none;
}

R group_result(const std::vector<R>& children, bool allow_failure) {
  const auto any = [&](auto&& is) { return std::any_of(children.begin(), children.end(), is); };
  if (any([&](R r) { return broke(r) && !allow_failure; })) return R::failed;
  if (any([](R r) { return r == R::cancelled; })) return R::cancelled;
  if (any([](R r) { return r == R::skipped; })) return R::skipped;
  return R::succeeded;
}

bool retried(const pipeline::Settings& settings, const Outcome& end, uint32_t n, bool extra) {
  const bool mends = end.retryable && end.code != "permission.http" && end.code != "config.type" &&
                     end.code != "auth.refused";
  const bool wanted = !settings.retry || settings.retry->retry_on.empty() || end.code == "http.timeout";
  const bool refused = settings.retry && !settings.retry->never_on.empty() && end.code == "http.timeout";
  return mends && wanted && !refused && n < settings.max_attempts + (extra ? 1 : 0);
}

namespace {

Result of_attempts(const Plan& plan, Key key, const Fact& fact, bool halted) {
  const auto& settings = plan.items[item_of(key)].settings;
  bool extra = fact.again;
  uint32_t n = fact.failed + 1;
  if (fact.failed >= settings.max_attempts + (extra ? 1 : 0)) n = fact.failed;
  for (;; ++n) {
    if (n > fact.begun && fact.expired) return {R::timed_out, n - 1};
    if (n > fact.begun && halted) return {R::cancelled, n - 1};
    if (n == fact.begun && fact.killed) return {*fact.killed, n};
    Outcome end = outcome(plan, key, n);
    if (settings.timeout.count() > 0 && end.ms > settings.timeout.count()) {
      end.result = R::timed_out;
      end.code = "deadline.attempt";
      end.retryable = true;
      end.again = false;
    }
    if (fact.cut.contains(n)) {
      end.result = R::timed_out;
      end.code = "deadline.instance";
      end.retryable = end.again = false;
    }
    if (end.result == R::succeeded) return {R::succeeded, n};
    const bool asked = end.again && !extra && end.code != "permission.http";
    const bool normal = retried(settings, end, n, extra);
    if ((!normal && !asked) || (fact.late && n == fact.begun)) return {end.result, n};
    extra |= !normal;
  }
}

Result of_ready(const Plan& plan, Key key, const Fact& fact, bool halted) {
  if (excluded(plan, key)) return {R::excluded, 0};
  if (!fact.answered && fact.begun == 0 && halted) return {R::cancelled, fact.failed};
  if (fact.done) return *fact.done;
  switch (kind_of(plan, key)) {
    case Kind::skip: return {R::skipped, fact.failed};
    case Kind::refuse: return {R::failed, fact.failed};
    case Kind::cached: return {R::cached, 0};
    case Kind::runs: break;
  }
  return of_attempts(plan, key, fact, halted);
}

}  // namespace

Results expected(const Plan& plan, const Facts& facts) {
  Results results;
  std::map<Key, R> plain;
  const auto fact_of = [&](Key key) {
    const auto found = facts.of.find(key);
    return found == facts.of.end() ? Fact{} : found->second;
  };
  const auto one = [&](uint32_t i) {
    const Item& item = plan.items[i];
    const bool halted = item.settings.finally ? facts.abandoned : facts.stopped;
    Result& result = results[i];
    if (item.excluded) {
      result = {R::excluded, 0};
    } else if (const R said = verdict(plan, i, plain); said != R::none) {
      result = {said, fact_of(i).failed};
    } else if (!item.group) {
      result = of_ready(plan, i, fact_of(i), halted);
    } else if (!fact_of(i).answered && halted) {
      result = {R::cancelled, 0};
    } else if (item.kind == Kind::skip) {
      result = {R::skipped, 0};
    } else if (item.expand_fails) {
      result = {R::failed, 0};
    } else {
      std::vector<R> children;
      for (uint32_t k = 0; k < item.children; ++k) {
        const Key key = child_key(i, k);
        results[key] = of_ready(plan, key, fact_of(key), halted);
        children.push_back(results[key].result);
      }
      result = {group_result(children, item.settings.allow_failure), 0};
    }
    plain[i] = result.result;
  };
  // In any order in which upstream comes first.
  while (plain.size() < plan.items.size()) {
    for (uint32_t i = 0; i < plan.items.size(); ++i) {
      const auto& edges = plan.items[i].edges;
      const bool known = std::all_of(edges.begin(), edges.end(),
                                     [&](const auto& edge) { return plain.contains(edge.upstream); });
      if (known && !plain.contains(i)) one(i);
    }
  }
  return results;
}

}  // namespace pf::orchestrator::simulation
