// A program and an extension that fill a disk.
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/attack.h"

namespace pf::test {
namespace {

/// A tmpfs of 1 MiB, while this lives.
class SmallDisk {
 public:
  explicit SmallDisk(std::filesystem::path at) : at_(std::move(at)) {
    std::filesystem::create_directories(at_);
    mounted_ =
        std::system(
            ("mount -t tmpfs -o size=1m,mode=777 tmpfs '" + at_.string() + "' 2>/dev/null").c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) {
      EXPECT_EQ(std::system(("umount '" + at_.string() + "'").c_str()), 0);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path at_;
  bool mounted_ = false;
};

TEST(FullDisk, OfAGrantedFolderIsTheInstancesOwnFailure) {
  Project project(unprivileged_user());
  const SmallDisk disk(project.path() / "out");
  if (!disk.mounted()) GTEST_SKIP() << "mounting is not possible here";
  const std::string out = (project.path() / "out").string();
  Attack attack;
  attack.manifest = "permissions: {programs: [head, sh], write: [out]}\n";
  attack.bodies["bad"] = "outputs.code = forge.process.run({'sh', '-c', 'head -c 100000000 /dev/zero > " +
                         out +
                         "/big'}).code\n"
                         "forge.fs.write('" +
                         out + "/more', ('x'):rep(2000000))";
  const auto run = run_attack(project, attack);
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "os.enospc") << run.error_message("attack.bad");
}

}  // namespace
}  // namespace pf::test
