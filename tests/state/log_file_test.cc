#include "state/log_file.h"

#include <gmock/gmock.h>

#include "state/helpers.h"

namespace pf::state {
namespace {

SteadyTime tick(int64_t ms) { return SteadyTime(std::chrono::milliseconds(1'000'000 + ms)); }

TEST(LogFile, IsMadeAtTheFirstLineAndWrittenAtTicks) {
  TempFolder temp;
  const auto path = temp / "runs" / "r" / "log.jsonl";
  LogFile file(path);
  file.tick(tick(0));
  EXPECT_FALSE(std::filesystem::exists(temp / "runs"));
  file.append(R"({"a":1})");
  EXPECT_FALSE(std::filesystem::exists(temp / "runs"));
  file.tick(tick(100));
  EXPECT_EQ(content_of(path), "{\"a\":1}\n");
  file.append(R"({"b":2})");
  file.tick(tick(199));
  EXPECT_EQ(content_of(path), "{\"a\":1}\n");
  file.tick(tick(200));
  EXPECT_EQ(content_of(path), "{\"a\":1}\n{\"b\":2}\n");
}

TEST(LogFile, WritesTheRestAtItsEndAndAppendsToWhatIsThere) {
  TempFolder temp;
  { LogFile(temp / "log").append("1"); }
  { LogFile(temp / "log").append("2"); }
  EXPECT_EQ(content_of(temp / "log"), "1\n2\n");
}

TEST(LogFile, DoesNotKeepALotInMemory) {
  TempFolder temp;
  LogFile file(temp / "log");
  for (int i = 0; i < 70; ++i) file.append(std::string(999, 'x'));
  EXPECT_GE(content_of(temp / "log").size(), 65000U);
}

TEST(LogFile, ReportsAnErrorOnce) {
  std::vector<std::string> errors;
  {
    LogFile file("/dev/full", [&](Error error) { errors.push_back(error.code + " " + error.message); });
    file.append("1");
    file.flush();
    file.append("2");
    file.flush();
  }
  EXPECT_THAT(errors, testing::ElementsAre("state.full cannot write /dev/full: No space left on device"));
}

}  // namespace
}  // namespace pf::state
