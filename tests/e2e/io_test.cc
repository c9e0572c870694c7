// Archives and git through the real program: the helper is confined, and dies with its attempt.
#include <gmock/gmock.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

TEST(Io, ArchivesAreMadeAndUnpacked) {
  Project project;
  project.extension("t", execute(R"(
forge.fs.mkdir('in/sub')
forge.fs.write('in/a.txt', 'alpha')
forge.fs.write('in/sub/b.txt', 'beta')
forge.archive.create('all.tar.gz', 'in')
local got = forge.archive.extract('all.tar.gz', 'out')
outputs.files = got.files
outputs.b = forge.fs.read('out/sub/b.txt')
outputs.names = {}
for _, entry in ipairs(forge.archive.list('all.tar.gz')) do outputs.names[#outputs.names + 1] = entry.path end
)"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, timeout: 30s}]\n");
  EXPECT_EQ(run.result("t.a"), "succeeded") << run.output.out;
  EXPECT_EQ(run.outputs("t.a")["b"], "beta");
}

TEST(Io, ARepositoryIsMadeOfAPath) {
  Project project;
  const std::string script = "cd '" + project.path().string() +
                             "' && git init -q -b main repo && cd repo && echo one > file && git add file && "
                             "git -c user.name=Test -c user.email=test@example.org commit -q -m first";
  ASSERT_EQ(std::system(script.c_str()), 0);
  project.extension(
      "t",
      execute("local repo = forge.git.clone(config.url, 'clone')\n"
              "outputs.file = forge.fs.read('clone/file')\n"
              "outputs.subject = repo:log{max = 1}[1].message"),
      "permissions: {read: ['${config.url}']}\n",
      "local s = require 'schema'\nreturn {Config = s.object {url = s.path {kind = 'folder'}}}");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, url: repo, timeout: 30s}]\n");
  EXPECT_EQ(run.outputs("t.a")["file"], "one\n") << run.output.out;
  EXPECT_THAT(run.outputs("t.a")["subject"].get<std::string>(), HasSubstr("first"));
}

TEST(Io, AHostThatIsNotGrantedIsRefused) {
  Project project;
  project.extension("t", execute("forge.git.clone('https://example.org/x.git', 'clone')"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, timeout: 30s}]\n");
  EXPECT_EQ(run.error_code("t.a"), "permission.git") << run.output.out;
  EXPECT_THAT(run.finished.dump(), HasSubstr("git: [example.org]"));
}

}  // namespace
}  // namespace pf::test
