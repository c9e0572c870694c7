// forge.process.*: programs that the manifest declares, run confined below a shim (worker/programs.h). The
// work folder is made and the executable looked for on the door's pool, everything else happens on the loop's
// thread. A program ends with its attempt, whatever it did.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>

#include "api/granted_path.h"
#include "api/output_capture.h"
#include "base/json.h"
#include "base/program_path.h"
#include "base/text.h"
#include "worker/programs.h"

namespace pf::api {
namespace {

using registry::Permission;

constexpr size_t kDefaultOutput = 1 << 20;
constexpr size_t kMostOutput = 7 << 20;        // of each stream: both go into one frame
constexpr size_t kLongestLine = 64 << 10;      // longer ones are told in parts
constexpr size_t kPending = 1 << 20;           // bytes of lines that nobody has read: then the program waits
constexpr size_t kMostLines = 1000;            // in one answer
constexpr double kLongestTimeout = 86400 * 7;  // seconds
constexpr size_t kExcerpt = 600;               // bytes of its last output that an error shows

/// What a call asked for, checked.
struct Asked {
  worker::Program program;
  std::string name;  // of the program, as declared
  size_t max_output = kDefaultOutput;
  bool check = false;
  std::optional<FilePlace> file;    // where argv[1] is a path
  std::optional<FilePlace> folder;  // cwd
};

// Masked before it is cut: half a secret would not be known any more.
std::string shown(const std::vector<std::string>& argv, const Mask& mask) {
  std::string out;
  for (const auto& word : argv) out += (out.empty() ? "" : " ") + word;
  return shorten(mask.apply(out), 120);
}

std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_binary()) return std::string(value.get_binary().begin(), value.get_binary().end());
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number_integer() || (value.is_number_float() && std::isfinite(value.get<double>())))
    return value.dump();
  return std::nullopt;
}

bool no_nul(const std::string& text) { return text.find('\0') == std::string::npos; }

Result<Asked> read_request(const Request& request) {
  const Arguments& in = request.arguments;
  const auto bad = [&](std::string_view message, std::string hint = {}) {
    return bad_argument(request.call, message, std::move(hint));
  };
  auto argv = from_cbor(in.raw(0));
  if (!argv || !argv->is_array() || argv->empty())
    return bad("`argv` must be a list that begins with the program's name", "write {\"git\", \"status\"}");
  Asked out;
  worker::ProgramSpec& spec = out.program.spec;
  for (const Json& word : *argv) {
    auto text = text_of(word);
    if (!text || !no_nul(*text)) return bad("`argv` must hold texts without NUL bytes, numbers and booleans");
    spec.arguments.push_back(std::move(*text));
  }
  const std::string& first = spec.arguments.front();
  const size_t slash = first.rfind('/');
  out.name = slash == std::string::npos ? first : first.substr(slash + 1);
  if (out.name.empty() || out.name == "." || out.name == "..")
    return bad("the first of `argv` must name a program", "write a plain name such as git");
  if (slash != std::string::npos) {
    auto granted = check_path(*request.attempt, request.call, first, Permission::read);
    if (!granted) return tl::unexpected(granted.error());
    out.file = std::move(granted->place);
  }

  Json options = Json::object();
  if (in.has(1)) {
    auto decoded = from_cbor(in.raw(1));
    if (!decoded) return bad("the table cannot be read: " + decoded.error().message);
    if (decoded->is_object()) options = std::move(*decoded);
  }
  const auto given = [&](const char* name) -> const Json* {
    const auto found = options.find(name);
    return found == options.end() || found->is_null() ? nullptr : &*found;
  };
  if (const Json* env = given("env"); env != nullptr && !(env->is_array() && env->empty())) {
    if (!env->is_object()) return bad("`env` must be a table of names and texts, numbers or booleans");
    for (const auto& [name, value] : env->items()) {
      auto text = text_of(value);
      if (!text || !no_nul(*text) || name.empty() || name.find('=') != std::string::npos || !no_nul(name))
        return bad("`env` must be a table of names and texts, numbers or booleans");
      spec.environment.push_back(name + "=" + *text);
    }
  }
  if (const Json* cwd = given("cwd")) {
    auto granted = check_path(*request.attempt, request.call, text_of(*cwd).value_or(""), Permission::read);
    if (!granted) return tl::unexpected(granted.error());
    out.folder = std::move(granted->place);
  }
  if (const Json* input = given("stdin")) out.program.input = text_of(*input).value_or("");
  if (const Json* timeout = given("timeout")) {
    const double seconds = timeout->get<double>();
    if (!(seconds >= 0.001 && seconds <= kLongestTimeout))
      return bad("`timeout` must be a number of seconds, from 0.001 to 604800");
    out.program.timeout = Milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
  }
  if (const Json* most = given("max_output")) {
    const double bytes = most->get<double>();
    if (!(bytes >= 0 && bytes <= static_cast<double>(kMostOutput)))
      return bad("`max_output` must be a number of bytes, from 0 to " + std::to_string(kMostOutput),
                 "send more to a file of the work folder");
    out.max_output = static_cast<size_t>(bytes);
  }
  if (const Json* check = given("check")) out.check = check->get<bool>();
  return out;
}

/// The grant of the program, or the refusal.
Result<Grants::Program> granted(const Request& request, const Asked& asked) {
  Attempt& attempt = *request.attempt;
  for (const auto& program : attempt.caller.grants.programs) {
    if (program.name == asked.name) return program;
  }
  // Masked before the name is cut from its path, as everywhere.
  std::string name = attempt.hall.secrets.mask().apply(asked.program.spec.arguments.front());
  name = name.substr(name.rfind('/') + 1);
  return tl::unexpected(attempt.refuse(
      request.call, Permission::programs,
      "the program " + shorten(name, 100) + ", which no entry of `programs` names", name, name));
}

/// A grant for the program: links count where a person wrote the path and no extension can have put them
/// there.
void add_grant(std::vector<worker::ProgramPath>& to, const Grants::Entry& entry, const Caller& caller) {
  const auto place = find_place(entry.value, caller.work_folder, {entry}, caller.grants.write);
  if (!place) return;
  worker::ProgramPath path{place->text};
  if (place->work)
    path.trusted = place->root.size();
  else if (!place->literal)
    path.trusted = 0;
  else if (!place->guard.empty())
    path.trusted = place->guard.size();
  to.push_back(std::move(path));
}

/// Adds NAME=value unless the name is there already.
void add_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  const bool there = std::any_of(environment.begin(), environment.end(), [&](const std::string& entry) {
    return entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name);
  });
  if (!there) environment.push_back(name + "=" + value);
}

void fill_environment(std::vector<std::string>& environment, const Caller& caller) {
  const std::string work = caller.work_folder.string();
  add_variable(environment, "PATH", program_path());
  add_variable(environment, "HOME", work + "/home");
  add_variable(environment, "TMPDIR", work + "/tmp");
  add_variable(environment, "XDG_CACHE_HOME", work + "/home/.cache");
  add_variable(environment, "XDG_CONFIG_HOME", work + "/home/.config");
  add_variable(environment, "XDG_DATA_HOME", work + "/home/.local/share");
  add_variable(environment, "XDG_STATE_HOME", work + "/home/.local/state");
  add_variable(environment, "XDG_RUNTIME_DIR", work + "/tmp");
  add_variable(environment, "LANG", "C.UTF-8");
  add_variable(environment, "TERM", "dumb");
  for (const char* kept : {"TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    if (const char* value = std::getenv(kept); value != nullptr) add_variable(environment, kept, value);
  }
  for (const auto& name : caller.grants.env) {
    if (const char* value = std::getenv(name.c_str()); value != nullptr)
      add_variable(environment, name, value);
  }
}

/// What the program may read and the door does not see; see api/reads.h. On the pool, after prepare().
void note_program(Attempt& attempt, const Asked& asked) {
  const worker::ProgramSpec& spec = asked.program.spec;
  attempt.reads.add("program", spec.file, attempt.hall.program_version(spec.file));
  if (spec.network) attempt.reads.add("network", asked.name, std::nullopt);
  if (!asked.program.confined) attempt.reads.add("reach", "/", std::nullopt);
  const Grants& grants = attempt.caller.grants;
  const auto& inputs = attempt.caller.inputs;
  // The manifest says what its programs read, or the configuration names the path: its content counts.
  const bool declared =
      std::any_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.what == "inputs"; });
  const auto counted = [&](const std::string& path) {
    return declared || std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) {
             return input.name == path && input.version.has_value();
           });
  };
  for (const auto* list : {&grants.read, &grants.write}) {
    for (const auto& entry : *list) {
      if (attempt.reads.own(entry.value) || counted(entry.value)) continue;
      attempt.reads.add("reach", entry.value, std::nullopt);
    }
  }
  for (const auto& name : grants.env) attempt.reads.add("env", name, env_version(std::getenv(name.c_str())));
}

/// On the pool: makes the folders, finds the executable.
Result<void> prepare(Attempt& attempt, Asked& asked) {
  if (attempt.stop) return fail("file.stopped", "the attempt has ended");
  auto work = attempt.work();
  if (!work) return tl::unexpected(work.error());
  if (auto home = (*work)->mkdir("home"); !home) return home;
  worker::ProgramSpec& spec = asked.program.spec;
  spec.folder = asked.folder ? asked.folder->text : attempt.caller.work_folder.string();
  if (asked.file) {
    spec.file = asked.file->text;
    spec.grant_file = false;
    if (!is_executable(spec.file)) {
      return refuse("process.not_found", spec.file + " is no executable file",
                    "chmod +x it, or name another program");
    }
    return {};
  }
  auto found = find_program(asked.name);
  if (!found) {
    return refuse("process.not_found", "there is no program " + shorten(asked.name, 100) + " on PATH",
                  "install it, or add its folder to PATH before you start pangeo-forge");
  }
  spec.file = std::move(*found);
  return {};
}

std::string encode(const worker::ProgramEnd& end, const OutputCapture& out, const OutputCapture& err) {
  std::string bytes;
  cbor::Writer w(bytes);
  // Lua takes null for true: what there is not is left out.
  const bool exited = WIFEXITED(end.status);
  w.map(exited ? 6 : 7);
  w.text("code");
  w.integer(exited ? WEXITSTATUS(end.status) : -1);
  if (!exited) {
    const char* name = sigabbrev_np(WTERMSIG(end.status));
    w.text("signal");
    w.text("SIG" + std::string(name != nullptr ? name : std::to_string(WTERMSIG(end.status))));
  }
  w.text("stdout");
  w.text_or_bytes(out.text());
  w.text("stderr");
  w.text_or_bytes(err.text());
  w.text("truncated");
  w.boolean(out.truncated() || err.truncated());
  w.text("cpu_ms");
  w.unsigned_integer(end.cpu_us / 1000);
  w.text("max_rss");
  w.unsigned_integer(end.max_rss);
  return bytes;
}

/// A program, from the call that starts it to the answer that tells of its end.
class Running : public std::enable_shared_from_this<Running> {
 public:
  Running(std::shared_ptr<Attempt> attempt, Asked asked)
      : attempt_(std::move(attempt)),
        argv_(asked.program.spec.arguments),
        timeout_(asked.program.timeout),
        check_(asked.check),
        out_(asked.max_output),
        err_(asked.max_output),
        asked_(std::move(asked)),
        guard_(attempt_->hall.loop.get_executor()) {}

  void start() {
    const auto self = shared_from_this();
    program_ = attempt_->hall.programs->start(
        std::move(asked_.program),
        [self](int stream, std::string_view bytes) { self->output(stream, bytes); },
        [self](worker::ProgramEnd end) { self->ended(std::move(end)); });
    close_ = attempt_->on_close([self] { self->close(); }, number_,
                                [self](int signal) { self->interrupt(signal); });
  }
  /// The answer that waits for the end; or lines are kept for read().
  void answer_at_end(Session::Answer answer, uint32_t number) {
    answer_ = std::move(answer);
    number_ = number;
  }
  void keep_lines() { streaming_ = true; }
  bool being_read() const { return answer_ != nullptr; }
  void read(Session::Answer answer) {
    answer_ = std::move(answer);
    tell();
  }
  void kill() { attempt_->hall.programs->kill(program_); }
  /// Its end was told, there is nothing to read any more.
  bool told() const { return told_; }

 private:
  struct Line {
    int stream;
    std::string text;
  };

  void close() {
    answer_ = nullptr;
    attempt_->hall.programs->drop(program_);
    guard_.reset();
  }

  void interrupt(int signal) {
    bool& had = signal == SIGINT ? interrupted_ : terminated_;
    if (!std::exchange(had, true)) attempt_->hall.programs->signal(program_, signal);
  }

  void output(int stream, std::string_view bytes) {
    (stream == 1 ? out_ : err_).add(bytes);
    if (!streaming_) return;
    std::string& part = parts_[stream - 1];
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const size_t take =
          std::min(end == std::string_view::npos ? bytes.size() : end, kLongestLine - part.size());
      part.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      const bool whole = take == end;
      if (whole) bytes.remove_prefix(1);
      if (whole || part.size() == kLongestLine) add_line(stream);
    }
    if (pending_ > kPending) attempt_->hall.programs->pause(program_, true);
    tell();
  }

  void add_line(int stream) {
    std::string& part = parts_[stream - 1];
    if (!part.empty() && part.back() == '\r') part.pop_back();
    pending_ += part.size() + 1;
    lines_.push_back({stream, std::move(part)});
    part.clear();
  }

  void ended(worker::ProgramEnd end) {
    end.count(*attempt_->usage);
    if ((interrupted_ || terminated_) && (end.error || end.status != 0)) attempt_->interrupted.broke = true;
    attempt_->forget(close_);
    guard_.reset();
    for (int stream : {1, 2}) {
      if (!parts_[stream - 1].empty()) add_line(stream);
    }
    result_ = outcome(std::move(end));
    tell();
  }

  Result<std::string> outcome(worker::ProgramEnd end) const {
    if (end.error) return tl::unexpected(std::move(*end.error));
    const Mask& mask = attempt_->hall.secrets.mask();
    const std::string last = err_.last(kExcerpt, mask);
    const std::string said = last.empty() ? out_.last(kExcerpt, mask) : last;
    const auto because = [&](std::string what) {
      return "'" + shown(argv_, mask) + "' " + what +
             (said.empty() || !cbor::is_utf8(said) ? "" : ": " + said);
    };
    if (end.timed_out) {
      return fail("process.timeout", because("was ended after " + format_duration(timeout_)),
                  "raise `timeout`, or find out what it waits for");
    }
    if (check_ && end.status != 0) {
      const bool exited = WIFEXITED(end.status);
      const char* name = exited ? nullptr : sigabbrev_np(WTERMSIG(end.status));
      return fail("process.failed",
                  because(exited ? "ended with exit status " + std::to_string(WEXITSTATUS(end.status))
                                 : "was ended by SIG" + std::string(name != nullptr ? name : "?")),
                  "leave out `check` to get its result whatever its status");
    }
    return encode(end, out_, err_);
  }

  /// Answers, if somebody waits and there is something.
  void tell() {
    if (!answer_ || (lines_.empty() && !result_)) return;
    if (!streaming_) {
      told_ = true;
      return std::exchange(answer_, nullptr)(std::move(*result_));
    }
    const size_t count = std::min(lines_.size(), kMostLines);
    const bool last = count == lines_.size() && result_;
    if (last && !*result_ && count == 0) {
      told_ = true;
      return std::exchange(answer_, nullptr)(std::move(*result_));
    }
    const bool with_result = last && *result_;
    std::string bytes;
    cbor::Writer w(bytes);
    w.map(with_result ? 2 : 1);
    w.text("lines");
    w.array(count);
    for (size_t i = 0; i < count; ++i) {
      w.map(2);
      w.text("text");
      w.text_or_bytes(lines_[i].text);
      w.text("stream");
      w.text(lines_[i].stream == 1 ? "stdout" : "stderr");
      pending_ -= lines_[i].text.size() + 1;
    }
    if (with_result) {
      w.text("result");
      w.raw(**result_);
    }
    lines_.erase(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(count));
    if (with_result) told_ = true;
    if (!result_ && pending_ < kPending / 2) attempt_->hall.programs->pause(program_, false);
    std::exchange(answer_, nullptr)(std::move(bytes));
  }

  std::shared_ptr<Attempt> attempt_;
  const std::vector<std::string> argv_;
  const Milliseconds timeout_;
  const bool check_;
  OutputCapture out_, err_;
  Asked asked_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  uint64_t program_ = 0;
  uint64_t close_ = 0;
  uint32_t number_ = 0;                            // the caller's, of a call that waits for the end
  bool interrupted_ = false, terminated_ = false;  // it was sent SIGINT, SIGTERM
  bool streaming_ = false;
  bool told_ = false;
  std::string parts_[2];  // lines that have no end yet
  std::vector<Line> lines_;
  size_t pending_ = 0;
  Session::Answer answer_;
  std::optional<Result<std::string>> result_;
};

}  // namespace

/// An attempt's programs of process.start.
class Streams {
 public:
  std::map<uint32_t, std::shared_ptr<Running>> all;
  uint32_t last = 0;
};

namespace {

/// Checks and prepares; then calls `then` on the loop with the program, started.
void launch(Request request, std::function<void(std::shared_ptr<Running>, Session::Answer)> then) {
  auto asked = read_request(request);
  if (!asked) return request.answer(tl::unexpected(std::move(asked.error())));
  auto grant = granted(request, *asked);
  if (!grant) return request.answer(tl::unexpected(std::move(grant.error())));
  Attempt& attempt = *request.attempt;
  const Caller& caller = attempt.caller;
  if (attempt.hall.programs == nullptr) {
    return request.answer(refuse("process.start", "programs cannot be run here"));
  }
  attempt.allow(request.call, shown(asked->program.spec.arguments, attempt.hall.secrets.mask()));
  worker::ProgramSpec& spec = asked->program.spec;
  asked->program.confined = grant->confined;
  spec.network = grant->network;
  spec.shm = caller.grants.shm;
  spec.pty = caller.grants.pty;
  for (const auto& entry : caller.grants.read) add_grant(spec.read, entry, caller);
  spec.write.push_back({caller.work_folder.string()});
  for (const auto& entry : caller.grants.write) add_grant(spec.write, entry, caller);
  fill_environment(spec.environment, caller);
  // A program that was run before needs no look at files: its folders are made, its file is found.
  if (const auto known = attempt.programs.find(asked->name);
      known != attempt.programs.end() && !asked->file && !asked->folder) {
    spec.folder = caller.work_folder.string();
    spec.file = known->second;
    return then(std::make_shared<Running>(request.attempt, std::move(*asked)), std::move(request.answer));
  }
  asio::post(attempt.hall.pool(), [held = request.attempt, asked = std::move(*asked), then = std::move(then),
                                   answer = std::move(request.answer),
                                   guard = asio::make_work_guard(attempt.hall.loop)]() mutable {
    auto prepared = prepare(*held, asked);
    if (prepared) note_program(*held, asked);
    asio::io_context& loop = held->hall.loop;
    asio::post(loop, [held = std::move(held), asked = std::move(asked), then = std::move(then),
                      answer = std::move(answer), prepared = std::move(prepared)]() mutable {
      if (!held->open) return;
      if (!prepared) return answer(tl::unexpected(std::move(prepared.error())));
      if (!asked.file) held->programs.emplace(asked.name, asked.program.spec.file);
      then(std::make_shared<Running>(held, std::move(asked)), std::move(answer));
    });
  });
}

void run(Request request) {
  launch(std::move(request),
         [number = request.number](std::shared_ptr<Running> running, Session::Answer answer) {
           running->answer_at_end(std::move(answer), number);
           running->start();
         });
}

Streams& streams(Attempt& attempt) {
  if (!attempt.streams) attempt.streams = std::make_shared<Streams>();
  return *attempt.streams;
}

void start(Request request) {
  if (const uint32_t most = request.attempt->caller.calls; streams(*request.attempt).all.size() >= most) {
    return request.answer(refuse("limit.calls",
                                 "more than " + std::to_string(most) +
                                     " programs of process.start at once, the most "
                                     "that limits.calls allows",
                                 "read them to their ends, or use forge.async.map with a limit"));
  }
  auto attempt = request.attempt;
  launch(std::move(request), [attempt](std::shared_ptr<Running> running, Session::Answer answer) {
    Streams& all = streams(*attempt);
    const uint32_t number = ++all.last;
    all.all.emplace(number, running);
    running->keep_lines();
    running->start();
    std::string out;
    cbor::Writer(out).unsigned_integer(number);
    answer(std::move(out));
  });
}

/// The program of a call's first argument, or its error.
Result<std::shared_ptr<Running>> find_stream(const Request& request, uint32_t& number) {
  const double handle = request.arguments.number(0);
  Streams& all = streams(*request.attempt);
  number = handle >= 1 && handle <= all.last ? static_cast<uint32_t>(handle) : 0;
  const auto found = all.all.find(number);
  if (found != all.all.end()) return found->second;
  return refuse("process.handle", "there is no program of number " + to_json_text(Json(handle)),
                "take the number from forge.process.start; after its result a program is gone");
}

void read(Request request) {
  uint32_t number = 0;
  auto running = find_stream(request, number);
  if (!running) return request.answer(tl::unexpected(std::move(running.error())));
  if ((*running)->being_read()) {
    return request.answer(refuse("process.handle",
                                 "program " + std::to_string(number) + " is being read already",
                                 "let one task read it"));
  }
  (*running)->read([attempt = request.attempt, number, running = std::weak_ptr<Running>(*running),
                    answer = std::move(request.answer)](Result<std::string> value) {
    if (const auto at = running.lock(); at && at->told()) attempt->streams->all.erase(number);
    answer(std::move(value));
  });
}

void kill(Request request) {
  uint32_t number = 0;
  auto running = find_stream(request, number);
  if (!running) return request.answer(tl::unexpected(std::move(running.error())));
  (*running)->kill();
  request.answer(nothing());
}

constexpr Handled kCalls[] = {
    {"process.run", run}, {"process.start", start}, {"process.read", read}, {"process.kill", kill}};

}  // namespace

std::span<const Handled> process_calls() { return kCalls; }

}  // namespace pf::api
