// What trials of forge.archive and forge.git share: the io helper, and what can become of it.
#pragma once

#include <sys/syscall.h>

#include <cerrno>
#include <string>

#include "calls/calls.h"
#include "support/faults.h"
#include "support/io_runner.h"

namespace pf::calls {

class IoScene : public Stage {
 protected:
  IoScene() {
    std::filesystem::create_directories(work());
    door_->set_io(runner_, folder_.path() / "cache");
  }

  /// A shell script in the helper's place.
  void helper(const std::string& script) {
    folder_.write("helper", "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(folder_.path() / "helper", std::filesystem::perms(0755));
    runner_.fault.program = folder_.path() / "helper";
  }
  /// What the helper was told to open is another file or folder by then.
  void swap_before_use() {
    runner_.before = [](const services::IoJob& job) {
      const auto& path = (job.write.empty() ? job.read : job.write).front().path;
      const bool folder = std::filesystem::is_directory(path);
      std::filesystem::rename(path, path.native() + ".old");
      if (folder)
        std::filesystem::copy(path.native() + ".old", path, std::filesystem::copy_options::recursive);
      else
        std::filesystem::copy_file(path.native() + ".old", path);
    };
  }
  void without_helper() {
    door_ = api::Door::make(loop_, sink_, {}, secrets_);
    open({});
  }

  test::PlainIoRunner runner_{loop_};
};

/// A helper that ends without an answer, that says what no helper says, that does not end.
inline constexpr const char* kCrashes = "exit 1";
inline constexpr const char* kBabbles = "echo this is no frame";
inline constexpr const char* kHangs = "exec sleep 1000";

}  // namespace pf::calls
