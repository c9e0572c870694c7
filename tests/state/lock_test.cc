#include <fcntl.h>
#include <gmock/gmock.h>

#include <sys/stat.h>

#include <csignal>

#include "base/json.h"
#include "state/helpers.h"

namespace pf::state {
namespace {

using testing::HasSubstr;

TEST(Lock, SaysWhoHoldsTheFolder) {
  TempFolder temp;
  auto held = Lock::acquire(temp / "s", "pangeo-forge run a.yaml");
  ASSERT_TRUE(held);
  auto content = parse_json(content_of(temp / "s" / "lock"));
  ASSERT_TRUE(content);
  EXPECT_EQ((*content)["pid"], ::getpid());
  EXPECT_EQ((*content)["command"], "pangeo-forge run a.yaml");
  EXPECT_TRUE((*content)["host"].is_string());
  EXPECT_TRUE((*content)["since"].is_string());

  auto second = Lock::acquire(temp / "s", "pangeo-forge run b.yaml");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "state.locked");
  EXPECT_EQ(second.error().message,
            "the state folder " + (temp / "s").string() + " is in use by pid " + std::to_string(::getpid()) +
                " on host " + (*content)["host"].get<std::string>() + " since " +
                (*content)["since"].get<std::string>() + " (pangeo-forge run a.yaml)");
  EXPECT_THAT(second.error().hint, HasSubstr("--state-dir"));
  // The refused one has changed nothing.
  EXPECT_EQ(*parse_json(content_of(temp / "s" / "lock")), *content);
}

TEST(Lock, NamesItsHolderToWhoeverOnlyLooks) {
  TempFolder temp;
  EXPECT_FALSE(Lock::held_by(temp / "s"));
  EXPECT_FALSE(std::filesystem::exists(temp / "s"));
  {
    auto held = Lock::acquire(temp / "s", "one");
    ASSERT_TRUE(held);
    auto holder = Lock::held_by(temp / "s");
    ASSERT_TRUE(holder);
    EXPECT_THAT(*holder, HasSubstr("pid " + std::to_string(::getpid()) + " on host "));
    EXPECT_THAT(*holder, HasSubstr("(one)"));
  }
  EXPECT_FALSE(Lock::held_by(temp / "s"));
}

TEST(Lock, IsFreeAfterItsHolderAndTheFileStays) {
  TempFolder temp;
  { ASSERT_TRUE(Lock::acquire(temp / "s", "one")); }
  EXPECT_EQ(content_of(temp / "s" / "lock"), "");
  auto held = Lock::acquire(temp / "s", "two");
  ASSERT_TRUE(held);
  Lock moved = std::move(*held);
  EXPECT_FALSE(Lock::acquire(temp / "s", "three"));
  auto other = Lock::acquire(temp / "t", "four");
  ASSERT_TRUE(other);
  moved = std::move(*other);
  EXPECT_TRUE(Lock::acquire(temp / "s", "three"));
  EXPECT_FALSE(Lock::acquire(temp / "t", "five"));
}

TEST(Lock, TellsWhoHoldsAFolderWithoutWriting) {
  TempFolder temp;
  EXPECT_FALSE(Lock::held_by(temp / "s"));
  EXPECT_FALSE(std::filesystem::exists(temp / "s"));
  {
    auto held = Lock::acquire(temp / "s", "pangeo-forge run a.yaml");
    ASSERT_TRUE(held);
    const auto by = Lock::held_by(temp / "s");
    ASSERT_TRUE(by);
    EXPECT_THAT(*by, HasSubstr("pid " + std::to_string(::getpid()) + " on host "));
  }
  EXPECT_FALSE(Lock::held_by(temp / "s"));
}

TEST(Lock, IsFreeAfterItsHolderWasKilled) {
  TempFolder temp;
  EXPECT_EQ(in_child(false,
                     [&] {
                       auto held = Lock::acquire(temp / "s", "doomed");
                       if (held) ::raise(SIGKILL);
                       return 1;
                     }),
            -SIGKILL);
  EXPECT_THAT(content_of(temp / "s" / "lock"), HasSubstr("doomed"));
  EXPECT_TRUE(Lock::acquire(temp / "s", "next"));
}

TEST(Lock, CallsAHolderWithUnreadableContentAnotherProcess) {
  for (const std::string text :
       {"", "garbage", "{}", "[1]", "{\"pid\":\"x\",\"host\":3}", "{\"pid\":1}", "\xff\xfe"}) {
    TempFolder temp;
    auto held = Lock::acquire(temp / "s", "one");
    ASSERT_TRUE(held);
    put(temp / "s" / "lock", text);
    auto second = Lock::acquire(temp / "s", "two");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message,
              "the state folder " + (temp / "s").string() + " is in use by another process");
  }
}

TEST(Lock, ShowsNoControlCharactersOfTheHolder) {
  TempFolder temp;
  auto held = Lock::acquire(temp / "s", "run \x1b[2J\n" + std::string(3000, 'x'));
  ASSERT_TRUE(held);
  auto second = Lock::acquire(temp / "s", "two");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message.find('\x1b'), std::string::npos);
  EXPECT_LT(second.error().message.size(), 600U);
}

TEST(Lock, IsNotInheritedByPrograms) {
  TempFolder temp;
  auto held = Lock::acquire(temp / "s", "one");
  ASSERT_TRUE(held);
  int checked = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code code;
    if (std::filesystem::read_symlink(entry.path(), code) != temp / "s" / "lock") continue;
    EXPECT_NE(::fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC, 0);
    ++checked;
  }
  EXPECT_EQ(checked, 1);
}

TEST(Lock, IsNoLinkAndNoPipe) {
  TempFolder temp;
  std::filesystem::create_symlink("/dev/null", temp / "lock");
  auto linked = Lock::acquire(temp.path(), "one");
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code, "os.eloop");
  std::filesystem::remove(temp / "lock");
  ASSERT_EQ(::mkfifo((temp / "lock").c_str(), 0600), 0);
  auto pipe = Lock::acquire(temp.path(), "one");
  ASSERT_FALSE(pipe);
  EXPECT_EQ(pipe.error().code, "file.not_regular");
}

TEST(Lock, SaysThatTheFolderIsReadOnly) {
  TempFolder temp;
  put(temp / "mine", "1");
  std::filesystem::permissions(temp.path(), std::filesystem::perms(0555));
  EXPECT_EQ(in_child(true,
                     [&] {
                       auto held = Lock::acquire(temp.path(), "one");
                       return held || held.error().code != "state.read_only" ||
                                      held.error().message.find((temp / "lock").string()) == std::string::npos
                                  ? 1
                                  : 0;
                     }),
            0);
}

}  // namespace
}  // namespace pf::state
