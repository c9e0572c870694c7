#include "worker/io_programs.h"

#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "services/io_protocol.h"

namespace pf::worker {
namespace {

constexpr size_t kErrorText = 2000;  // bytes of its stderr that are kept: it writes there only when it breaks

ProgramPath exactly(const services::IoGrant& grant) {
  // The path was without links when it was opened, and the helper refuses what is another file by now.
  return {grant.path.native(), 0};
}

}  // namespace

/// One operation.
struct IoPrograms::Job {
  Job(Progress progress, Done on_done) : reader(std::move(progress)), done(std::move(on_done)) {}
  services::io::AnswerReader reader;
  Done done;
  std::shared_ptr<services::Usage> usage;
  uint64_t program = 0;
  bool broken = false;  // what it says is none of our helper's
  bool stopped = false;
  Error error;
  std::string said;  // on stderr
};

IoPrograms::~IoPrograms() {
  for (const auto& [id, job] : jobs_) programs_.drop(job->program);
}

uint64_t IoPrograms::run(services::IoJob job, Progress progress, Done done) {
  const uint64_t id = ++last_;
  auto running = std::make_shared<Job>(std::move(progress), std::move(done));
  running->usage = std::move(job.usage);
  jobs_.emplace(id, running);
  Program program;
  program.spec.file = helper_.native();
  program.spec.arguments = {"pangeo-forge-io"};
  for (const char* name :
       {"LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name); value != nullptr)
      program.spec.environment.push_back(std::string(name) + "=" + value);
  }
  program.spec.folder = "/";
  program.spec.network = job.network;
  for (const auto& grant : job.read) program.spec.read.push_back(exactly(grant));
  for (const auto& grant : job.write) program.spec.write.push_back(exactly(grant));
  program.input = std::move(job.request);
  program.timeout = job.timeout;
  program.grace = Milliseconds(0);  // it has nothing to put in order: what it made is thrown away
  running->program = programs_.start(
      std::move(program),
      [this, running](int stream, std::string_view bytes) {
        if (stream == 2) {
          running->said += bytes.substr(0, kErrorText - std::min(kErrorText, running->said.size()));
          return;
        }
        if (running->broken) return;
        if (auto fed = running->reader.feed(bytes); !fed) {
          running->broken = true;
          running->error = std::move(fed.error());
          programs_.kill(running->program);
        }
      },
      [this, id](ProgramEnd end) { ended(id, std::move(end)); });
  return id;
}

void IoPrograms::cancel(uint64_t id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  found->second->stopped = true;
  programs_.kill(found->second->program);
}

void IoPrograms::ended(uint64_t id, ProgramEnd end) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const auto job = std::move(found->second);
  jobs_.erase(found);
  if (job->usage) end.count(*job->usage);
  const auto outcome = [&]() -> Result<std::string> {
    if (job->stopped) return fail("io.stopped", "the operation was stopped");
    if (job->broken) return tl::unexpected(std::move(job->error));
    if (end.timed_out) return fail("io.timeout", "the operation was not done in time");
    if (end.error) {
      // Nobody who asked for git or an archive has started a program.
      end.error->code = end.error->code == "process.lost" ? "io.crashed" : "io.unavailable";
      return tl::unexpected(std::move(*end.error));
    }
    auto answer = job->reader.finish();
    if (answer || answer.error().code != "io.crashed") return answer;
    if (WIFSIGNALED(end.status)) {
      const char* name = sigabbrev_np(WTERMSIG(end.status));
      answer.error().message += "; it was killed by SIG" + std::string(name != nullptr ? name : "?");
    }
    if (!job->said.empty()) answer.error().message += "; it said: " + shorten(job->said, 500);
    return answer;
  };
  job->done(outcome());
}

}  // namespace pf::worker
