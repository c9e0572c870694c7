#include "report/messages.h"

#include "base/text.h"
#include "report/json_text.h"
#include "report/visible.h"

namespace pf::report {

void append_error(std::string& out, const Error& error, size_t indent, bool with_traceback) {
  out.append(indent, ' ');
  const std::string where = visible(error.where.text());
  if (!where.empty()) out += where + ": ";
  const auto lines = visible_lines(error.message);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i != 0) out.append(1, '\n').append(indent + 2, ' ');
    out += lines[i];
  }
  if (!error.code.empty()) out += " [" + visible(error.code) + "]";
  out += '\n';
  if (!error.hint.empty()) {
    const auto hint = visible_lines(error.hint);
    for (size_t i = 0; i < hint.size(); ++i) {
      out.append(indent + 2, ' ');
      out += (i == 0 ? "hint: " : "      ") + hint[i] + '\n';
    }
  }
  if (with_traceback && !error.traceback.empty()) {
    for (const auto& line : visible_lines(error.traceback))
      out.append(indent + 2, ' ').append(line).append(1, '\n');
  }
}

std::string effort(uint32_t attempts, Milliseconds duration) {
  std::string out;
  if (attempts > 1) out = "after " + count_of(attempts, "attempt") + ", ";
  return out + format_duration(duration);
}

std::string usage(uint64_t cpu_us, uint64_t peak_bytes, uint64_t read_bytes, uint64_t write_bytes) {
  std::string out;
  const auto add = [&](const char* what, const std::string& amount) {
    out.append(out.empty() ? "" : ", ").append(what).append(" ").append(amount);
  };
  const auto cpu_ms = static_cast<int64_t>((cpu_us + 500) / 1000);
  if (cpu_ms > 0) add("CPU", format_duration(Milliseconds(cpu_ms)));
  if (peak_bytes > 0) add("memory", format_bytes(peak_bytes));
  if (read_bytes > 0) add("read", format_bytes(read_bytes));
  if (write_bytes > 0) add("wrote", format_bytes(write_bytes));
  return out;
}

void append_failure(std::string& out, const Failure& failure, size_t indent) {
  out.append(indent, ' ');
  out += failure.address + ' ';
  out.append(word_for(failure.result))
      .append(" (")
      .append(effort(failure.attempts, failure.duration))
      .append(")\n");
  append_error(out, failure.error, indent + 2, true);
  if (!failure.work_folder.empty()) {
    out.append(indent + 2, ' ')
        .append("its files are in ")
        .append(visible(failure.work_folder))
        .append(1, '\n');
  }
}

void append_error_event(std::string& out, const Error& error, WallTime time) {
  out += R"({"event":"error","time":")" + rfc3339(time) + R"(","run":null,)";
  append_error_fields(out, error);
  out += "}\n";
}

}  // namespace pf::report
