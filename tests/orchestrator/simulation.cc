#include "orchestrator/simulation.h"

#include <algorithm>
#include <map>
#include <queue>

#include "orchestrator/scheduler.h"

namespace pf::orchestrator::simulation {
namespace {

using Offer = Scheduler::Offer;
using Expansion = Scheduler::Expansion;

// An instance as the world sees it.
struct State {
  Key key = 0;
  Fact fact;
  bool over = false;
  R result = R::none;
  bool taken = false;    // by a worker, also when it only queues there
  bool queued = false;   // behind a running one
  bool pending = false;  // prepares or backs off
  bool prepared = false;
  bool expanded = false;
  uint32_t failed = 0;
  bool extra = false;  // the attempt that a hook may ask for was asked for
  uint32_t attempt = 0;
  int64_t first_begun = -1;
  uint32_t ticket = 0;  // of its latest timer; older ones do not count
  double path = 0;
};

struct Event {
  enum class Kind : uint8_t { ends, again, open, first, grace, second, deadline };
  int64_t at = 0;
  uint64_t number = 0;
  Kind kind = Kind::ends;
  uint32_t index = 0;
  uint32_t ticket = 0;
  bool operator<(const Event& other) const { return at != other.at ? at > other.at : number > other.number; }
};

class World final : private Scheduler::Actions {
 public:
  World(const Plan& plan, const Journal& before, bool interrupts)
      : plan_(plan),
        interrupts_(interrupts),
        dice_(plan.seed + before.size()),
        pipeline_(plan.build()),
        journal_(before),
        running_in_(plan.sections.size()),
        queued_in_(plan.sections.size()),
        taken_in_(plan.sections.size()),
        shut_(plan.sections.size()),
        taken_of_(plan.pools.size()) {
    for (const Record& record : before) take_up(record);
    for (uint32_t i = 0; i < plan.items.size(); ++i) add(i);
    find_paths();
  }

  Played play() {
    Scheduler::Options options{plan_.max_parallel, plan_.fail_fast, {}};
    for (uint32_t i = 0; i < states_.size(); ++i) options.known.push_back(known(i));
    Scheduler scheduler(*pipeline_, std::move(options), *this);
    scheduler_ = &scheduler;
    if (interrupts_) {
      if (plan_.first_signal_ms >= 0) at(plan_.first_signal_ms, Event::Kind::first);
      if (plan_.second_signal_ms >= 0) at(plan_.second_signal_ms, Event::Kind::second);
      if (plan_.deadline_ms >= 0) at(plan_.deadline_ms, Event::Kind::deadline);
    }
    for (const int64_t ms : plan_.closed_ms) {
      if (ms > 0) at(ms, Event::Kind::open);
    }
    call([&] { scheduler.start(); });
    while (!scheduler.finished() && !events_.empty() && problems_.size() < 5) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      handle(event);
    }
    check_end(scheduler);
    return {std::move(journal_), std::move(results_), std::move(problems_)};
  }

 private:
  // ---- what is there

  void take_up(const Record& record) {
    Fact& fact = earlier_[record.key];
    switch (record.kind) {
      case Record::Kind::began: break;
      case Record::Kind::failed:
        fact.failed = record.attempt;
        fact.again |= record.again;
        break;
      case Record::Kind::expanded: break;
      case Record::Kind::concluded:
        fact.done.reset();
        if (broke(record.result) && record.attempt > 0 && record.for_good) fact.failed = record.attempt;
        if (record.for_good && (good(record.result, false) || broke(record.result)) &&
            record.result != R::excluded)
          fact.done = Result{record.result, record.attempt};
        break;
    }
  }

  void add(Key key) {
    State state;
    state.key = key;
    if (const auto found = earlier_.find(key); found != earlier_.end()) state.fact = found->second;
    state.failed = state.fact.failed;
    state.extra = state.fact.again;
    states_.push_back(std::move(state));
  }

  Scheduler::Known known(uint32_t i) const {
    const State& state = states_[i];
    return {state.failed, state.extra, excluded(plan_, state.key),
            Milliseconds(expected_ms(plan_, state.key))};
  }

  const Item& item(uint32_t i) const { return plan_.items[item_of(states_[i].key)]; }
  bool child(uint32_t i) const { return is_child(states_[i].key); }
  bool halted(uint32_t i) const { return item(i).settings.finally ? facts_.abandoned : facts_.stopped; }

  // Plain recursion: its own length and the longest of those that wait for it.
  void find_paths() {
    double sum = 0;
    int count = 0;
    for (const Item& item : plan_.items) {
      sum += static_cast<double>(item.expected_ms);
      count += item.expected_ms > 0 ? 1 : 0;
    }
    usual_ = count > 0 ? sum / count : 1;
    std::map<uint32_t, std::vector<uint32_t>> behind;
    for (uint32_t i = 0; i < plan_.items.size(); ++i) {
      for (const auto& edge : plan_.items[i].edges) behind[edge.upstream].push_back(i);
    }
    std::vector<double> paths(plan_.items.size(), -1);
    const std::function<double(uint32_t)> path = [&](uint32_t i) {
      if (paths[i] >= 0) return paths[i];
      double longest = 0;
      for (const uint32_t d : behind[i]) longest = std::max(longest, path(d));
      const Item& own = plan_.items[i];
      const double length = own.excluded          ? 0
                            : own.expected_ms > 0 ? static_cast<double>(own.expected_ms)
                                                  : usual_;
      return paths[i] = length + longest;
    };
    for (uint32_t i = 0; i < paths.size(); ++i) states_[i].path = path(i);
  }

  // ---- what may be

  // Whether what `i` would have waited for is over, though it is excluded.
  bool passed(uint32_t i) const {
    const auto& edges = plan_.items[i].edges;
    return std::all_of(edges.begin(), edges.end(), [&](const auto& edge) { return over(edge); });
  }
  bool over(const pipeline::Edge& edge) const {
    const bool keeps_place = edge.when == EdgeWhen::order && plan_.items[edge.upstream].excluded;
    return states_[edge.upstream].over && (!keeps_place || passed(edge.upstream));
  }

  bool needs_are_over(uint32_t i) const {
    if (child(i)) {
      if (!plan_.sections[item(i).section].sequential) return true;
      for (uint32_t k = 0; k < i; ++k) {
        if (child(k) && item_of(states_[k].key) == item_of(states_[i].key) && !states_[k].over) return false;
      }
      return true;
    }
    if (item(i).settings.finally && item(i).edges.empty()) {
      return std::all_of(states_.begin(), states_.end(), [&](const State& state) {
        return state.over || plan_.items[item_of(state.key)].settings.finally;
      });
    }
    return passed(i);
  }

  bool could_start(uint32_t i) const {
    const State& state = states_[i];
    return !state.over && !state.taken && !state.pending && !state.expanded && !halted(i) &&
           needs_are_over(i) && (child(i) || verdict(plan_, state.key, plain_) == R::none);
  }

  bool limits_allow(uint32_t i) const {
    const uint32_t section = item(i).section;
    const uint32_t most = plan_.sections[section].max_parallel;
    const uint32_t pool = item(i).settings.pool;
    return (most == 0 || taken_in_[section] < most) &&
           (pool == pipeline::Settings::kNoPool || taken_of_[pool] < plan_.pools[pool].size);
  }

  bool better(uint32_t a, uint32_t b) const {
    const int32_t pa = item(a).settings.priority;
    const int32_t pb = item(b).settings.priority;
    if (pa != pb) return pa > pb;
    if (states_[a].path != states_[b].path) return states_[a].path > states_[b].path;
    return a < b;
  }

  void check_asked(uint32_t i, const char* what) {
    if (!could_start(i)) problem(i, std::string(what) + " although it may not start");
    if (!limits_allow(i)) problem(i, std::string(what) + " although its section or pool is full");
    for (uint32_t j = 0; j < states_.size(); ++j) {
      if (j != i && !shut_[item(j).section] && could_start(j) && limits_allow(j) && better(j, i))
        problem(i, std::string(what) + " although " + name(j) + " should come first");
    }
  }

  // ---- Scheduler::Actions

  Offer offer(uint32_t i, uint32_t attempt, bool may_start, Scheduler::Answer& answer) override {
    check_asked(i, "offered");
    State& state = states_[i];
    const Item& wanted = item(i);
    if (wanted.group && !child(i)) problem(i, "offered, and is a group");
    if (shut_[wanted.section]) problem(i, "offered although its section has no room");
    const uint64_t most = uint64_t{wanted.settings.max_attempts} + (state.extra ? 1 : 0);
    if (attempt != (state.failed < most ? state.failed + 1 : state.failed))
      problem(i, "offered as attempt " + std::to_string(attempt));
    if (state.fact.done) {
      state.fact.answered = true;
      answer.result = state.fact.done->result;
      answer.attempts = state.fact.done->attempts;
      if (broke(answer.result)) answer.error.code = "earlier";
      return Offer::reuse;
    }
    if (const int64_t ms = prepare_ms(plan_, state.key); ms > 0 && !state.prepared) {
      state.prepared = true;
      wait(i, ms);
      return Offer::wait;
    }
    const Kind kind = kind_of(plan_, state.key);
    if (kind != Kind::runs) {
      state.fact.answered = true;
      answer.error.code = kind == Kind::refuse ? "config.type" : "";
      return kind == Kind::skip ? Offer::skip : kind == Kind::refuse ? Offer::refused : Offer::reuse;
    }
    const int64_t deadline = wanted.settings.deadline.count();
    if (deadline > 0 && state.first_begun >= 0 && now_ - state.first_begun >= deadline) {
      state.fact.expired = true;
      answer.error.code = "deadline.instance";
      return Offer::expired;
    }
    const uint32_t section = wanted.section;
    const bool queue = !may_start && plan_.queues && running_in_[section] > 0 && queued_in_[section] == 0;
    const bool room =
        now_ >= plan_.closed_ms[section] &&
        (queue || (may_start && running_in_[section] + queued_in_[section] < plan_.workers[section]));
    if (!room) {
      shut_[section] = 1;
      return Offer::no_room;
    }
    state.attempt = state.fact.begun = attempt;
    state.taken = true;
    ++taken_in_[section];
    if (wanted.settings.pool != pipeline::Settings::kNoPool) ++taken_of_[wanted.settings.pool];
    if (state.fact.done && good(state.fact.done->result, false)) problem(i, "repeated after its success");
    if (queue) {
      state.queued = true;
      ++queued_in_[section];
    } else {
      begin(i);
    }
    return Offer::taken;
  }

  uint32_t running() const override { return running_; }
  double random() override { return dice_.below(1000) / 1000.0; }

  void conclude(uint32_t i, R result, uint32_t attempts, const Error* error, int64_t cause) override {
    State& state = states_[i];
    if (state.over || state.taken) problem(i, state.over ? "ended twice" : "ended while it runs");
    if (state.expanded) problem(i, "an expanded group is reported as an instance");
    if (broke(result) && error == nullptr && !(item(i).group && !child(i)))
      problem(i, "failed without an error");
    if (!child(i) && (result == R::blocked || cause >= 0)) {
      const auto& edges = item(i).edges;
      if (std::none_of(edges.begin(), edges.end(), [&](const auto& edge) { return edge.upstream == cause; }))
        problem(i, "its cause is none of its upstream");
    }
    if (attempts > item(i).settings.max_attempts + (state.extra ? 1 : 0)) problem(i, "too many attempts");
    const bool interrupted = state.fact.late && interrupted_;
    journal_.push_back({Record::Kind::concluded, state.key, attempts, false, result, !interrupted});
    interrupted_ = false;
    end(i, result, attempts);
    if (broke(result) && !item(i).settings.allow_failure) {
      if (first_failed_ < 0) first_failed_ = i;
      if (plan_.fail_fast) facts_.stopped = true;
    }
  }

  void retry(uint32_t i, uint32_t failed, const Error& error, Milliseconds delay) override {
    State& state = states_[i];
    const auto& settings = item(i).settings;
    if (halted(i)) problem(i, "retried although nothing more starts");
    if (failed != state.attempt) problem(i, "the wrong attempt failed");
    const bool normal =
        retried(settings, {0, R::failed, error.code, error.retryable, false}, failed, state.extra);
    if (!normal && (state.extra || !asked_ || error.code == "permission.http"))
      problem(i, "retried although it may not be");
    double most = 0;
    if (settings.retry) {
      most = static_cast<double>(settings.retry->delay.count());
      for (uint32_t k = 1; k < failed; ++k) most *= settings.retry->factor;
      most = std::min(most, static_cast<double>(settings.retry->max_delay.count()));
    }
    const auto ms = static_cast<double>(delay.count());
    const bool jitter = settings.retry && settings.retry->full_jitter;
    if (ms < 0 || ms > most || (!jitter && ms != most)) problem(i, "waits " + std::to_string(ms));
    state.failed = failed;
    state.extra |= !normal;
    journal_.push_back({Record::Kind::failed, state.key, failed, !normal, R::none, false});
    wait(i, delay.count());
  }

  Expansion expand(uint32_t i, Scheduler::Children& children) override {
    check_asked(i, "expanded");
    State& state = states_[i];
    if (!item(i).group || child(i) || state.expanded) problem(i, "expanded");
    if (item(i).prepare_ms > 0 && !state.prepared) {
      state.prepared = true;
      wait(i, item(i).prepare_ms);
      return Expansion::wait;
    }
    state.fact.answered = true;
    if (item(i).kind == Kind::skip) return Expansion::skip;
    if (item(i).expand_fails) {
      children.error.code = "expression.type";
      return Expansion::failed;
    }
    journal_.push_back({Record::Kind::expanded, state.key, 0, false, R::none, false});
    state.expanded = true;
    const Key group = state.key;
    const double path = state.path;
    children.first = static_cast<uint32_t>(states_.size());
    children.count = append_children(plan_, i, *pipeline_);
    for (uint32_t k = 0; k < children.count; ++k) {
      add(child_key(group, k));
      const auto ms = static_cast<double>(expected_ms(plan_, child_key(group, k)));
      states_.back().path = path + (ms > 0 ? ms - usual_ : 0);
      children.known.push_back(known(children.first + k));
    }
    return Expansion::done;
  }

  void group_ended(uint32_t i, R result, int64_t cause) override {
    if (states_[i].over || !states_[i].expanded) problem(i, "its group ended twice or never began");
    std::vector<R> children;
    for (uint32_t c = 0; c < states_.size(); ++c) {
      if (!child(c) || item_of(states_[c].key) != states_[i].key) continue;
      if (!states_[c].over) problem(i, "its group ended before " + name(c));
      children.push_back(states_[c].result);
    }
    if (result != group_result(children, item(i).settings.allow_failure))
      problem(i, "its group ended otherwise");
    if ((cause >= 0) != (result != R::succeeded)) problem(i, "its group has no cause, or one too many");
    end(i, result, 0);
  }

  // ---- workers, timers, signals

  void wait(uint32_t i, int64_t ms) {
    states_[i].pending = true;
    at(now_ + ms, Event::Kind::again, i);
  }

  void at(int64_t when, Event::Kind kind, uint32_t i = UINT32_MAX) {
    const uint32_t ticket = i == UINT32_MAX ? 0 : ++states_[i].ticket;
    events_.push({when, ++number_, kind, i, ticket});
  }

  void begin(uint32_t i) {
    State& state = states_[i];
    const auto& settings = item(i).settings;
    if (++running_ > plan_.max_parallel) problem(i, "runs beyond max_parallel");
    ++running_in_[item(i).section];
    journal_.push_back({Record::Kind::began, state.key, state.attempt, false, R::none, false});
    if (state.first_begun < 0) state.first_begun = now_;
    int64_t ms = outcome(plan_, state.key, state.attempt).ms;
    if (settings.timeout.count() > 0) ms = std::min(ms, settings.timeout.count());
    if (settings.deadline.count() > 0) {
      const int64_t left = settings.deadline.count() - (now_ - state.first_begun);
      if (left < ms) {
        ms = std::max<int64_t>(left, 0);
        state.fact.cut.insert(state.attempt);
      }
    }
    at(now_ + ms, Event::Kind::ends, i);
  }

  void leave(uint32_t i) {
    State& state = states_[i];
    const uint32_t section = item(i).section;
    state.taken = false;
    ++state.ticket;
    --taken_in_[section];
    if (item(i).settings.pool != pipeline::Settings::kNoPool) --taken_of_[item(i).settings.pool];
    if (state.queued) {
      state.queued = false;
      --queued_in_[section];
      return;
    }
    --running_;
    --running_in_[section];
    for (uint32_t j = 0; j < states_.size() && queued_in_[section] > 0; ++j) {
      if (!states_[j].queued || item(j).section != section) continue;
      states_[j].queued = false;
      --queued_in_[section];
      begin(j);
    }
  }

  void ends(uint32_t i) {
    State& state = states_[i];
    leave(i);
    const auto& settings = item(i).settings;
    Outcome outcome = simulation::outcome(plan_, state.key, state.attempt);
    if (settings.timeout.count() > 0 && outcome.ms > settings.timeout.count())
      outcome = {0, R::timed_out, "deadline.attempt", true, false};
    if (state.fact.cut.contains(state.attempt))
      outcome = {0, R::timed_out, "deadline.instance", false, false};
    AttemptEnd end;
    end.result = outcome.result;
    end.error.code = outcome.code;
    end.error.message = outcome.code == "http.timeout" ? "a broken pipe" : "it went wrong";
    end.error.retryable = outcome.retryable;
    end.again = asked_ = outcome.again;
    state.fact.late = halted(i);
    const bool normal = retried(settings, outcome, state.attempt, state.extra);
    const bool asks = outcome.again && !state.extra && outcome.code != "permission.http";
    interrupted_ = state.fact.late && broke(outcome.result) && (normal || asks);
    if (interrupted_)  // what the runner keeps of an attempt that another run may follow
      journal_.push_back({Record::Kind::failed, state.key, state.attempt, !normal, R::none, false});
    call([&] { scheduler_->attempt_ended(i, std::move(end)); });
  }

  void kill(uint32_t i, R result) {
    if (!states_[i].taken) return;
    leave(i);
    AttemptEnd end;
    end.result = result;
    end.error.code = "job.cancelled";
    end.error.retryable = result == R::timed_out;
    states_[i].fact.killed = result;
    states_[i].fact.late = true;
    interrupted_ = true;
    call([&] { scheduler_->attempt_ended(i, std::move(end)); });
  }

  void kill_all(bool also_finally, R result) {
    for (uint32_t i = 0; i < states_.size(); ++i) {
      if (also_finally || !item(i).settings.finally) kill(i, result);
    }
  }

  void handle(const Event& event) {
    if (event.index != UINT32_MAX && states_[event.index].ticket != event.ticket) return;
    switch (event.kind) {
      case Event::Kind::ends: return ends(event.index);
      case Event::Kind::again:
        if (states_[event.index].over) return scheduler_->ready_again(event.index);  // which does nothing
        states_[event.index].pending = false;
        return call([&] { scheduler_->ready_again(event.index); });
      case Event::Kind::open: return call([&] { scheduler_->pump(); });
      case Event::Kind::first:
        facts_.stopped = true;
        at(now_ + plan_.grace_ms, Event::Kind::grace);
        return call([&] { scheduler_->stop(Scheduler::Stop::cancelled); });
      case Event::Kind::grace: return kill_all(false, R::cancelled);
      case Event::Kind::second:
        facts_.stopped = facts_.abandoned = true;
        call([&] { scheduler_->abandon(); });
        return kill_all(true, R::cancelled);
      case Event::Kind::deadline:
        facts_.stopped = true;
        call([&] { scheduler_->stop(Scheduler::Stop::deadline); });
        return kill_all(false, plan_.seed % 2 == 0 ? R::timed_out : R::cancelled);
    }
  }

  // A call into the scheduler, after which nothing that could start may be left lying.
  template <class Call>
  void call(Call&& what) {
    std::fill(shut_.begin(), shut_.end(), uint8_t{0});
    what();
    for (uint32_t i = 0; i < states_.size(); ++i) {
      if (!shut_[item(i).section] && could_start(i) && limits_allow(i)) problem(i, "left lying");
    }
  }

  void end(uint32_t i, R result, uint32_t attempts) {
    State& state = states_[i];
    state.over = true;
    state.pending = false;
    state.result = result;
    results_[state.key] = {result, attempts};
    if (!child(i)) plain_[state.key] = result;
  }

  void check_end(const Scheduler& scheduler) {
    if (!scheduler.finished()) problem(0, "stuck");
    if (scheduler.first_failed() != first_failed_) problem(0, "another is the first that failed");
    if (scheduler.failed() != (first_failed_ >= 0)) problem(0, "failed() is wrong");
    if (scheduler.stopped().has_value() != facts_.stopped) problem(0, "stopped() is wrong");
    for (uint32_t i = 0; i < states_.size(); ++i) {
      if (!states_[i].over) problem(i, "never ended");
      if (scheduler.result(i) != states_[i].result) problem(i, "result() is wrong");
      facts_.of[states_[i].key] = states_[i].fact;
    }
    if (!problems_.empty()) return;
    const Results wanted = expected(plan_, facts_);
    for (uint32_t i = 0; i < states_.size(); ++i) {
      const auto found = wanted.find(states_[i].key);
      const Result& got = results_[states_[i].key];
      if (found == wanted.end() || !(found->second == got)) {
        problem(i, "ended " + show(got) + ", but the model says " +
                       (found == wanted.end() ? "nothing" : show(found->second)));
      }
    }
    if (wanted.size() != results_.size()) problem(0, "the model has others");
  }

  static std::string show(const Result& result) {
    return std::string(state::to_text(result.result)) + "/" + std::to_string(result.attempts);
  }

  std::string name(uint32_t i) const { return std::to_string(states_[i].key); }
  void problem(uint32_t i, const std::string& text) {
    problems_.push_back("at " + std::to_string(now_) + " ms: " + name(i) + ": " + text);
  }

  const Plan& plan_;
  const bool interrupts_;
  Dice dice_;
  std::unique_ptr<pipeline::Pipeline> pipeline_;
  Scheduler* scheduler_ = nullptr;
  Journal journal_;
  std::map<Key, Fact> earlier_;
  std::vector<State> states_;  // by index
  std::map<Key, R> plain_;     // of items
  Results results_;
  Facts facts_;
  std::priority_queue<Event> events_;
  uint64_t number_ = 0;
  int64_t now_ = 0;
  uint32_t running_ = 0;
  std::vector<uint32_t> running_in_, queued_in_, taken_in_;  // by section
  std::vector<uint8_t> shut_;                                // by section: since the last call
  std::vector<uint32_t> taken_of_;                           // by pool
  double usual_ = 1;
  bool asked_ = false;        // a hook, in the attempt that has just ended
  bool interrupted_ = false;  // what is concluded next would have gone on
  int64_t first_failed_ = -1;
  std::vector<std::string> problems_;
};

std::string tell(const Plan& plan, const Played& played, const std::string& what) {
  std::string out = what + " of " + plan.text();
  for (const std::string& problem : played.problems) out += "  -> " + problem + "\n";
  return out;
}

}  // namespace

Played play(const Plan& plan, const Journal& before, bool interrupts) {
  return World(plan, before, interrupts).play();
}

std::string check(uint64_t seed) {
  const Plan plan = Plan::make(seed);
  Played whole = play(plan, {}, true);
  if (!whole.problems.empty()) return tell(plan, whole, "the run");
  const Results wanted = expected(plan, Facts{});
  // The same end, whatever came between.
  const auto same = [&](Played& resumed) {
    if (resumed.problems.empty() && plan.timeless() && resumed.results != wanted)
      resumed.problems.push_back("it ends otherwise than an undisturbed run");
    return resumed.problems.empty();
  };
  Dice dice(seed + 77);
  for (size_t k = 0; k <= whole.journal.size(); ++k) {
    const std::string after = "what resumes after write " + std::to_string(k);
    const auto cut = [](const Journal& journal, size_t at) {
      return Journal(journal.begin(), journal.begin() + static_cast<ptrdiff_t>(at));
    };
    const Journal before = cut(whole.journal, k);
    Played resumed = play(plan, before, false);
    if (!same(resumed)) return tell(plan, resumed, after);
    if (!dice.one_in(4)) continue;
    // Once more: in a part that signals end, too.
    Played second = play(plan, before, true);
    if (!second.problems.empty()) return tell(plan, second, after + ", with signals,");
    const size_t again = k + dice.below(static_cast<uint32_t>(second.journal.size() - k + 1));
    Played third = play(plan, cut(second.journal, again), false);
    if (!same(third)) return tell(plan, third, after + " and write " + std::to_string(again));
  }
  return {};
}

}  // namespace pf::orchestrator::simulation
