// Plays inputs that were kept to the fuzz target that it is linked with: `replay_NAME FOLDER|FILE…`. A crash
// or a violated property ends it, with the file's name as the last line before; so does a folder without
// inputs.

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "fuzz/fuzz.h"

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    if (!std::filesystem::is_directory(argv[i], error)) {
      files.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  pf::fuzz::check(!files.empty(), "there are inputs to play");
  for (const auto& file : files) {
    std::fprintf(stderr, "%s\n", file.c_str());
    const auto input = pf::read_file(file);
    pf::fuzz::check(input.has_value(), "the input can be read");
    // A copy of its very size, so that the address sanitizer sees a read behind its end.
    const std::vector<uint8_t> bytes(input->begin(), input->end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::fprintf(stderr, "%zu inputs\n", files.size());
  return 0;
}
