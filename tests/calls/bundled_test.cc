// No bundled extension has a utility of its own where the API has one: none may run the programs that its
// calls are in place of.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "pipeline/reader.h"

namespace pf::calls {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> kReplaced = {
    "7z",      "aria2c",  "awk",       "base64",    "bash",    "bsdtar", "bunzip2", "bzip2", "cat",
    "cp",      "curl",    "date",      "env",       "find",    "git",    "gunzip",  "gzip",  "jq",
    "ls",      "md5sum",  "mkdir",     "mv",        "openssl", "rm",     "rsync",   "scp",   "sed",
    "sh",      "sha1sum", "sha256sum", "sha512sum", "sleep",   "ssh",    "tar",     "unxz",  "unzip",
    "uuidgen", "wget",    "xxd",       "xz",        "yq",      "zip",    "zstd"};

TEST(BundledExtensions, RunNoProgramThatACallIsInPlaceOf) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(PF_SOURCE_DIR) / "extensions")) {
    const fs::path file = entry.path() / "extension.yaml";
    const auto text = read_file(file);
    ASSERT_TRUE(text) << text.error().text();
    auto manifest = pipeline::read_yaml(*text, file.native(), entry.path());
    ASSERT_TRUE(manifest) << manifest.error().text();
    ++seen;
    const pipeline::Node* permissions = (*manifest)->root().find("permissions");
    const pipeline::Node* programs = permissions == nullptr ? nullptr : permissions->find("programs");
    if (programs == nullptr) continue;
    for (const pipeline::Node& program : programs->list()) {
      const pipeline::Node* name = program.find("name");
      const std::string called((name == nullptr ? program : *name).string());
      EXPECT_FALSE(kReplaced.contains(called)) << file << ": use the calls of forge in place of " << called;
    }
  }
  EXPECT_GE(seen, 2);
}

}  // namespace
}  // namespace pf::calls
