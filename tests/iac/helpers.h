// What the tests of this floor share: a fresh folder, values as literal JSON, a clock that stands, counted
// ids.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "base/cbor.h"
#include "base/json.h"
#include "iac/embedded.h"
#include "iac/property.h"

namespace pf::iac {

/// A folder below the temporary one, removed at the end.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pf-iac-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code code;
    std::filesystem::remove_all(path_, code);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void put(const std::filesystem::path& file, const std::string& content) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

/// Every file below a folder with its content.
inline std::map<std::string, std::string> snapshot(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      out[entry.path().lexically_relative(folder).string()] = content_of(entry.path());
  }
  return out;
}

/// Runs `body` in a child, as uid 65534 where we are root; returns what it returned.
inline int in_unprivileged_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(254);
    ::_exit(body());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline std::string cbor(const std::string& json) {
  auto value = parse_state_json(json);
  EXPECT_TRUE(value) << json;
  return value ? to_cbor(*value) : std::string();
}

/// The JSON of a CBOR item; `none` for empty bytes.
inline std::string json(const std::string& cbor) {
  if (cbor.empty()) return "none";
  auto value = from_cbor(cbor);
  if (!value) return value.error().text();
  std::string out;
  append_go_json(out, *value);
  return out;
}

class StandingClock final : public Clock {
 public:
  SteadyTime steady() const override { return {}; }
  WallTime wall() const override { return now; }
  WallTime now{std::chrono::milliseconds(1767323045600)};  // 2026-01-02T03:04:05.6Z
};

}  // namespace pf::iac
