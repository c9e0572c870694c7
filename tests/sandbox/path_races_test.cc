// A program that exchanges a folder for a link to one outside, without end, while the host's calls use it.
#include <gtest/gtest.h>

#include <set>

#include "support/attack.h"
#include "support/git_peers.h"
#include "support/http_peers.h"

namespace pf::test {
namespace {

// `swap` is by turns a folder and a link to the folder outside.
constexpr const char* kSwapper = R"(
import os, sys
os.mkdir('swap')
os.symlink(sys.argv[1], 'link')
open('ready', 'w')
while True:
  os.rename('swap', 'folder')
  os.rename('link', 'swap')
  os.rename('swap', 'link')
  os.rename('folder', 'swap')
)";

class PathRaces : public testing::Test {
 protected:
  PathRaces() : project(unprivileged_user()) {
    project.write("outside/key", "PRIVATE");
    project.write("outside/folder/inner", "PRIVATE");
  }
  std::string outside() const { return (project.path() / "outside").string(); }
  RunResult race(const std::string& body,
                 const std::string& manifest = "permissions: {programs: [python3]}\n") {
    return run_attack(project,
                      "local p = forge.process.start({'python3', '-c', [==[" + std::string(kSwapper) +
                          "]==], '" + outside() +
                          "'})\nwhile not forge.fs.exists('ready') do forge.time.sleep(0.01) end\n"
                          "local done, failed = 0, 0\n"
                          "local function try(f, ...)\n"
                          "  local value, e = forge.try(f, ...)\n"
                          "  if e then failed = failed + 1 else done = done + 1 end\n"
                          "  return value\nend\n" +
                          body +
                          "\nforge.process.kill(p)\n"
                          "forge.try(function() while not forge.process.read(p).result do end end)\n"
                          "outputs.raced = done > 0 and failed > 0\n",
                      manifest, ", timeout: 100s");
  }
  void expect_untouched() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(project.path() / "outside")) {
      names.insert(entry.path().lexically_relative(project.path() / "outside"));
    }
    EXPECT_EQ(names, (std::set<std::string>{"folder", "folder/inner", "key"}));
    EXPECT_EQ(project.read("outside/key"), "PRIVATE");
    EXPECT_EQ(project.read("outside/folder/inner"), "PRIVATE");
  }
  Project project;
};

TEST_F(PathRaces, FilesAreReadAndChangedInsideOnly) {
  const auto run = race(R"(
    local leaked
    for i = 1, 200 do
      if try(forge.fs.read, 'swap/key') == 'PRIVATE' then leaked = 'read' end
      for _, name in ipairs(try(forge.fs.list, 'swap') or {}) do if name == 'key' then leaked = 'list' end end
      if #(try(forge.fs.glob, 'swap/fold*') or {}) > 0 then leaked = 'glob' end
      try(forge.fs.write, 'swap/new', 'x')
      try(forge.fs.append, 'swap/key2', 'x')
      try(forge.fs.mkdir, 'swap/made/deep')
      if try(forge.fs.copy, 'swap/key', 'copy') and forge.fs.read('copy') == 'PRIVATE' then leaked = 'copy' end
      try(forge.fs.copy, 'ready', 'swap/copied')
      try(forge.fs.move, 'swap/folder', 'moved')
      if forge.fs.exists('moved/inner') then leaked = 'move' end
      try(forge.fs.remove, 'swap/new')
      try(forge.fs.remove, 'swap/folder')
      try(forge.fs.remove, 'swap/key')
    end
    outputs.leaked = leaked or ''
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"leaked", ""}, {"raced", true}}))
      << run.output.out.substr(0, 3000);
  expect_untouched();
}

TEST_F(PathRaces, ArchivesAreMadeAndExtractedInsideOnly) {
  const auto run = race(R"(
    forge.fs.mkdir('source')
    forge.fs.write('source/key', 'other')
    forge.archive.create('a.tar', 'source')
    local leaked
    for i = 1, 100 do
      if i > 12 and done > 0 and failed > 0 then break end
      try(forge.archive.extract, 'a.tar', 'swap/x')
      try(forge.archive.extract, 'a.tar', 'swap', {into = true})
      if try(forge.archive.create, 'b.tar', 'swap') then
        for _, entry in ipairs(forge.archive.list('b.tar')) do
          if entry.path:match('inner') then leaked = 'create' end
        end
      end
    end
    outputs.leaked = leaked or ''
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"leaked", ""}, {"raced", true}}))
      << run.output.out.substr(0, 3000);
  expect_untouched();
}

TEST_F(PathRaces, ClonesAndDownloadsAppearInsideOnly) {
  make_repository(project.path() / "repository");
  RawServer server([](const std::string&) {
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                            RawServer::Reply::Then::close, ""};
  });
  const auto run =
      race("for i = 1, 20 do\n  try(forge.git.clone, '" + (project.path() / "repository").string() +
               "', 'swap/r' .. i)\n  try(forge.download.file, '" + server.url("/f") +
               "', 'swap/d' .. i)\n  try(forge.http.get, '" + server.url("/f") +
               "', {to_file = 'swap/h' .. i})\n  try(forge.http.post, '" + server.url("/f") +
               "', {body_file = 'swap/key'})\nend\n",
           "permissions: {programs: [python3], read: [repository], http: ['127.0.0.1:" +
               std::to_string(server.port()) + "']}\n");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"raced", true}})) << run.output.out.substr(0, 3000);
  for (const auto& request : server.requests()) EXPECT_EQ(request.find("PRIVATE"), std::string::npos);
  expect_untouched();
}

}  // namespace
}  // namespace pf::test
