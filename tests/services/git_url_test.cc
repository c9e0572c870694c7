#include "services/git_url.h"

#include <gtest/gtest.h>

namespace pf::services {
namespace {

/// `text() path`, and the same again of what text() gives.
std::string forms(std::string_view address) {
  const auto url = parse_git_url(address);
  if (!url) return url.error().code;
  const auto again = parse_git_url(url->text());
  EXPECT_TRUE(again && again->text() == url->text() && again->path == url->path) << url->text();
  return url->text() + " " + url->path;
}

TEST(GitUrl, KeepsThePathThatTheServerIsAskedFor) {
  EXPECT_EQ(forms("git@example.org:org/repo.git"), "git@example.org:org/repo.git org/repo.git");
  EXPECT_EQ(forms("git@example.org:/srv/repo.git"), "ssh://git@example.org/srv/repo.git /srv/repo.git");
  EXPECT_EQ(forms("git@example.org:~/repo.git"), "ssh://git@example.org/~/repo.git ~/repo.git");
  EXPECT_EQ(forms("git@example.org:/~x/repo.git"), "git@example.org:/~x/repo.git /~x/repo.git");
  EXPECT_EQ(forms("example.org:repo.git"), "example.org:repo.git repo.git");
  EXPECT_EQ(forms("git@[::1]:repo.git"), "git@[::1]:repo.git repo.git");
  EXPECT_EQ(forms("ssh://git@Example.org:2222/repo.git"), "ssh://git@example.org:2222/repo.git /repo.git");
  EXPECT_EQ(forms("ssh://example.org/~me/repo.git"), "ssh://example.org/~me/repo.git ~me/repo.git");
}

}  // namespace
}  // namespace pf::services
