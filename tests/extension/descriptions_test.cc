#include "extension/descriptions.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "base/json.h"

namespace pf::extension {
namespace {

class DescriptionCache : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pf-descriptions-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::filesystem::path file() const { return folder / "cache/models" / (digest + ".json"); }
  void change(const std::string& from, const std::string& to) {
    auto text = read_file(file());
    ASSERT_TRUE(text);
    const size_t at = text->find(from);
    ASSERT_NE(at, std::string::npos) << *text;
    ASSERT_TRUE(write_file(file(), text->replace(at, from.size(), to)));
  }

  std::filesystem::path folder;
  const std::string digest = std::string(64, 'a');
  const Json description = {{"Config", {{"type", "object"}}}};
};

TEST_F(DescriptionCache, KeepsAndFinds) {
  const Descriptions cache(folder);
  EXPECT_FALSE(cache.find(digest));
  EXPECT_FALSE(std::filesystem::exists(folder / "cache"));  // looking writes nothing
  ASSERT_TRUE(cache.put(digest, description));
  EXPECT_EQ(cache.find(digest), description);
  EXPECT_FALSE(cache.find(std::string(64, 'b')));
  ASSERT_TRUE(cache.put(digest, Json::object()));
  EXPECT_EQ(cache.find(digest), Json::object());
}

TEST_F(DescriptionCache, ADamagedFileIsAMiss) {
  const Descriptions cache(folder);
  for (const auto& [from, to] :
       std::initializer_list<std::pair<const char*, const char*>>{{"object", "string"},
                                                                  {"\"format\":1", "\"format\":2"},
                                                                  {"\"core\":\"", "\"core\":\"9"},
                                                                  {"{", "["},
                                                                  {"aaaa", "bbbb"}}) {
    ASSERT_TRUE(cache.put(digest, description));
    ASSERT_TRUE(cache.find(digest));
    change(from, to);
    EXPECT_FALSE(cache.find(digest)) << from;
  }
  for (const std::string& text :
       {std::string(), std::string("3"), std::string("{}"), std::string(100000, '[')}) {
    ASSERT_TRUE(write_file(file(), text));
    EXPECT_FALSE(cache.find(digest));
  }
}

TEST_F(DescriptionCache, OnlyDigestsAreFileNames) {
  const Descriptions cache(folder);
  EXPECT_FALSE(cache.find("../../etc/passwd"));
  auto put = cache.put("../x", description);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, "extension.digest");
}

TEST_F(DescriptionCache, AFolderThatCannotBeMadeIsAnError) {
  ASSERT_TRUE(write_file(folder / "cache", "a file"));
  auto put = Descriptions(folder).put(digest, description);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, "os.enotdir");
}

}  // namespace
}  // namespace pf::extension
