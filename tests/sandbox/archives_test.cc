// Archives made to write elsewhere, to fill the disk, or to mean two things at once.
#include <gmock/gmock.h>
#include <zlib.h>

#include "support/archives.h"
#include "support/attack.h"

namespace pf::test {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class Archives : public testing::Test {
 protected:
  Archives() : project(unprivileged_user()) { project.write("outside/key", "PRIVATE"); }
  std::string outside() const { return (project.path() / "outside").string(); }
  /// Extracts each in an instance; the codes, by the archive's name.
  std::map<std::string, std::string> codes(const std::map<std::string, std::string>& archives,
                                           const std::string& options = "{}") {
    std::string body =
        "local function code(f, ...) local _, e = forge.try(f, ...) return e and e.code or 'done' end\n";
    for (const auto& [name, bytes] : archives) {
      project.write("in/" + name, bytes);
      body += "outputs['" + name + "'] = code(forge.archive.extract, '" +
              (project.path() / "in" / name).string() + "', '" + name + ".out', " + options +
              ")\noutputs.appeared = outputs.appeared or forge.fs.exists('" + name + ".out')\n";
    }
    const auto run = run_attack(project, body, "permissions: {read: [in]}\n", ", timeout: 200s");
    Json outputs = run.outputs("attack.bad");
    EXPECT_TRUE(outputs.is_object()) << run.output.out;
    EXPECT_FALSE(outputs.value("appeared", true)) << outputs;
    EXPECT_EQ(project.read("outside/key"), "PRIVATE");
    EXPECT_EQ(
        std::distance(std::filesystem::directory_iterator(outside()), std::filesystem::directory_iterator()),
        1);
    std::map<std::string, std::string> out;
    for (const auto& [name, bytes] : archives) out[name] = outputs.value(name, "");
    return out;
  }
  Project project;
};

TEST_F(Archives, NamesThatLeadOut) {
  const std::string end = tar_end();
  EXPECT_EQ(codes({{"absolute.tar", tar_entry(outside() + "/new", '0', "x") + end},
                   {"up.tar", tar_entry("../../../../outside/new", '0', "x") + end},
                   {"middle.tar", tar_entry("a/../../b", '0', "x") + end},
                   {"folder.tar", tar_entry("..", '5') + end},
                   {"zip.zip", zip_of("../new", "x")},
                   {"zip-absolute.zip", zip_of("/tmp/new", "x")}}),
            (std::map<std::string, std::string>{{"absolute.tar", "archive.traversal"},
                                                {"up.tar", "archive.traversal"},
                                                {"middle.tar", "archive.traversal"},
                                                {"folder.tar", "archive.traversal"},
                                                {"zip.zip", "archive.traversal"},
                                                {"zip-absolute.zip", "archive.traversal"}}));
}

TEST_F(Archives, LinksThatLeadOut) {
  const std::string end = tar_end();
  const std::string link = tar_entry("way", '2', "", outside());
  EXPECT_EQ(codes({{"absolute.tar", link + end},
                   {"up.tar", tar_entry("way", '2', "", "../../x") + end},
                   {"through.tar", tar_entry("inner", '5') + tar_entry("way", '2', "", "inner") +
                                       tar_entry("way/new", '0', "x") + end},
                   {"out-through.tar", link + tar_entry("way/new", '0', "x") + end},
                   {"hard.tar", tar_entry("hard", '1', "", outside() + "/key") + end},
                   {"hard-up.tar", tar_entry("hard", '1', "", "../../outside/key") + end},
                   {"hard-through.tar", link + tar_entry("hard", '1', "", "way/key") + end},
                   {"chain.tar", tar_entry("a", '5') + tar_entry("a/b", '2', "", "..") +
                                     tar_entry("c", '2', "", "a/b/../..") + end}}),
            (std::map<std::string, std::string>{{"absolute.tar", "archive.link"},
                                                {"up.tar", "archive.link"},
                                                {"through.tar", "archive.link"},
                                                {"out-through.tar", "archive.link"},
                                                {"hard.tar", "archive.traversal"},
                                                {"hard-up.tar", "archive.traversal"},
                                                {"hard-through.tar", "archive.link"},
                                                {"chain.tar", "archive.link"}}));
}

TEST_F(Archives, DevicesAndPipes) {
  const std::string end = tar_end();
  EXPECT_EQ(codes({{"character.tar", tar_entry("null", '3') + end},
                   {"block.tar", tar_entry("disk", '4') + end},
                   {"pipe.tar", tar_entry("pipe", '6') + end}}),
            (std::map<std::string, std::string>{{"character.tar", "archive.device"},
                                                {"block.tar", "archive.device"},
                                                {"pipe.tar", "archive.device"}}));
}

TEST_F(Archives, Bombs) {
  const std::string end = tar_end();
  std::string many;
  for (int i = 0; i < 300; ++i) many += tar_entry("f" + std::to_string(i), '0');
  const std::string zeros(80 << 20, '\0');
  EXPECT_EQ(codes({{"ratio.tar.gz", gzip(tar_entry("zeros", '0', zeros) + end)}}),
            (std::map<std::string, std::string>{{"ratio.tar.gz", "archive.bomb"}}));
  EXPECT_EQ(
      codes({{"total.tar", tar_entry("big", '0', std::string(200000, 'x')) + end}, {"count.tar", many + end}},
            "{max_files = 100, max_size = 100000}"),
      (std::map<std::string, std::string>{{"total.tar", "archive.bomb"}, {"count.tar", "archive.bomb"}}));
  EXPECT_EQ(codes({{"twice.gz", gzip(gzip(tar_entry("f", '0', "x") + end))}}),
            (std::map<std::string, std::string>{{"twice.gz", "archive.format"}}));
}

TEST_F(Archives, NamesThatComeTwiceAndArchivesThatBreakOff) {
  const std::string end = tar_end();
  const std::string good = tar_entry("f", '0', std::string(3000, 'x'));
  EXPECT_EQ(codes({{"twice.tar", tar_entry("f", '0', "a") + tar_entry("f", '0', "b") + end},
                   {"dotted.tar", tar_entry("f", '0', "a") + tar_entry("./f", '0', "b") + end},
                   {"file-folder.tar", tar_entry("f", '0', "a") + tar_entry("f/g", '0', "b") + end},
                   {"cut.tar", good.substr(0, 1500)},
                   {"cut.tar.gz", gzip(good + end).substr(0, 40)},
                   {"garbage.tar", std::string(2000, '\xa5')}}),
            (std::map<std::string, std::string>{{"twice.tar", "archive.duplicate"},
                                                {"dotted.tar", "archive.duplicate"},
                                                {"file-folder.tar", "archive.link"},
                                                {"cut.tar", "archive.damaged"},
                                                {"cut.tar.gz", "archive.format"},
                                                {"garbage.tar", "archive.format"}}));
}

}  // namespace
}  // namespace pf::test
