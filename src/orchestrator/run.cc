#include "orchestrator/run.h"

#include <unistd.h>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include <csignal>
#include <cstdlib>
#include <functional>

#include "base/json.h"
#include "base/places.h"
#include "orchestrator/runner.h"

namespace pf::orchestrator {
namespace {

// How long running attempts may take to end by themselves after the first SIGINT or SIGTERM.
constexpr Milliseconds kCancelGrace{2000};
constexpr Milliseconds kTick{100};

std::string details_json(const RunOptions& options, const worker::Supervisor& supervisor, uint32_t refused) {
  return to_json_text(
      {{"command", options.command}, {"sandbox", supervisor.sandbox()}, {"refused_calls", refused}});
}

state::RunResult result_of(const Runner& runner, bool store_failed) {
  if (store_failed) return state::RunResult::failed;
  if (runner.cancelled()) return state::RunResult::cancelled;
  return runner.failed() ? state::RunResult::failed : state::RunResult::succeeded;
}

// A message about the sandbox where running would not be safe.
Result<void> check_sandbox(const pipeline::Pipeline& pipeline, const Json& sandbox) {
  if (sandbox.value("landlock_abi", 0) > 0 || pipeline.degraded_sandbox) return {};
  return refuse("sandbox.degraded",
                "this kernel offers no Landlock: workers would be confined by seccomp alone",
                "use a kernel of 5.13 or later, or accept it with `core: {sandbox: degraded}`",
                {pipeline.file.string(), 1, 1, {}});
}

// Repeats itself as long as the loop runs.
void tick_forever(asio::steady_timer& timer, Runner& runner) {
  timer.expires_after(kTick);
  timer.async_wait([&](std::error_code code) {
    if (code) return;
    runner.tick();
    tick_forever(timer, runner);
  });
}

// The first signal cancels, the second kills, the third leaves at once.
void watch_signals(asio::signal_set& signals, Runner& runner, int& first) {
  signals.async_wait([&](std::error_code code, int number) {
    if (code) return;
    if (first == 0) {
      first = number;
      runner.cancel(kCancelGrace);
    } else if (first > 0) {
      first = -first;
      runner.cancel(Milliseconds(0));
    } else {
      ::_exit(128 + number);
    }
    watch_signals(signals, runner, first);
  });
}

}  // namespace

tl::expected<int, Errors> run(const RunOptions& options, Observer& observer) {
  const auto stop = [](Error error) { return tl::unexpected(Errors{std::move(error)}); };
  // Nothing is written, not even the lock, before the input is known to be good.
  auto project = open_project(options.project);
  if (!project) return tl::unexpected(std::move(project.error()));
  const auto& pipeline = *(*project)->pipeline;

  auto lock = state::Lock::acquire((*project)->state_folder, options.command);
  if (!lock) return stop(lock.error());
  keep_descriptions(**project);

  asio::io_context loop(1);
  worker::Options workers;
  workers.program = places::worker_program();
  workers.max_workers =
      static_cast<int>(options.max_parallel != 0 ? options.max_parallel : pipeline.max_parallel);
  workers.degraded = pipeline.degraded_sandbox;
  auto supervisor = worker::Supervisor::start(loop, workers);
  if (!supervisor) return stop(supervisor.error());
  if (auto safe = check_sandbox(pipeline, (*supervisor)->sandbox()); !safe) return stop(safe.error());

  ToolVersions tools;
  Errors unfit;
  for (auto& finding : probe_tools(loop, (*supervisor)->programs(), **project, tools)) {
    if (finding.error) unfit.push_back(std::move(*finding.error));
  }
  if (!unfit.empty()) return tl::unexpected(std::move(unfit));

  Error store_error;
  bool store_failed = false;
  std::function<void()> on_store_failure;
  auto writer =
      state::Writer::open((*project)->state_folder,
                          [&](state::Writer::Callback callback) { asio::post(loop, std::move(callback)); },
                          [&](Error error) {
                            store_failed = true;
                            store_error = std::move(error);
                            if (on_store_failure) on_store_failure();
                          });
  if (!writer) return stop(writer.error());

  state::RunRecord record;
  record.started = Clock::system().wall();
  record.id = state::new_run_id(record.started);
  record.pipeline = pipeline.name;
  record.file = (pipeline.folder / pipeline.file.filename()).string();
  record.instances = static_cast<uint32_t>(pipeline.instances.size());
  record.details = details_json(options, **supervisor, 0);
  const SteadyTime begun = Clock::system().steady();

  const state::Layout layout((*project)->state_folder);
  const auto engine = iac::make_embedded_engine(layout.backend());
  RunnerParts parts{loop,
                    **project,
                    **supervisor,
                    **writer,
                    *engine,
                    observer,
                    record.id,
                    static_cast<uint32_t>(workers.max_workers),
                    options.fail_fast,
                    &tools};
  Runner runner(std::move(parts));
  on_store_failure = [&] {
    const RunFailure failure{Clock::system().wall(), &store_error};
    observer.on(failure);
    runner.abort();
  };

  int first_signal = 0;
  asio::signal_set signals(loop, SIGINT, SIGTERM);
  watch_signals(signals, runner, first_signal);
  asio::steady_timer timer(loop);
  tick_forever(timer, runner);
  auto work = asio::make_work_guard(loop);

  (*writer)->begin_run(record, [&] { runner.start(); });
  worker::run_awake(loop, **supervisor);
  loop.restart();

  RunFinished finished;
  finished.result = result_of(runner, store_failed);
  finished.time = Clock::system().wall();
  finished.duration = std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - begun);
  finished.instances = &runner.records();
  finished.refused_calls = runner.refused();
  if (!store_failed) {
    (*writer)->finish_run(record.id, finished.result, finished.time,
                          details_json(options, **supervisor, runner.refused()), [&] { loop.stop(); });
    loop.run();
  }
  if (store_failed) finished.result = state::RunResult::failed;
  if (finished.result != state::RunResult::succeeded) finished.command = options.command;
  observer.on(finished);

  if (first_signal != 0) return 128 + std::abs(first_signal);
  return finished.result == state::RunResult::succeeded ? kOk : kInstanceFailed;
}

}  // namespace pf::orchestrator
