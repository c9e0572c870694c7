#include "iac/journal.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <future>

#include "base/digest.h"
#include "iac/helpers.h"
#include "iac/property.h"

namespace pf::iac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Resource resource(const std::string& name, const std::string& id = "") {
  Resource out;
  out.urn = "urn:pulumi:dev::demo::x:y:Z::" + name;
  out.type = "x:y:Z";
  out.custom = true;
  out.id = id;
  return out;
}

class JournalTest : public testing::Test {
 protected:
  std::unique_ptr<FileJournal> make(std::shared_ptr<const PassphraseKey> key = nullptr) {
    auto made = FileJournal::make(file_, {"abc", "lock.json", "update", "2026-01-02T03:04:05Z"},
                                  std::move(key), syncer_);
    EXPECT_TRUE(made) << made.error().text();
    return std::move(*made);
  }
  // Waits for the disk.
  Result<void> begin(FileJournal& journal, PendingOperation::Type type, const Resource& of) {
    std::promise<Result<void>> durable;
    journal.begin({type, of}, [&](Result<void> result) { durable.set_value(std::move(result)); });
    return durable.get_future().get();
  }

  TempFolder temp_;
  std::filesystem::path file_ = temp_ / "journal/demo/dev.jsonl";
  Syncer syncer_{[](std::function<void()> callback) { callback(); }};
};

TEST_F(JournalTest, IsReadAsItWasWritten) {
  EXPECT_FALSE(read_journal(file_)->has_value());
  {
    auto journal = make();
    journal->note(resource("n", "1"));
    ASSERT_TRUE(begin(*journal, PendingOperation::Type::creating, resource("a")));
    const Resource made = resource("a", "a-1");
    journal->end({PendingOperation::Type::creating, resource("a")}, &made);
    ASSERT_TRUE(begin(*journal, PendingOperation::Type::deleting, made));
    journal->end({PendingOperation::Type::deleting, made}, nullptr);
    ASSERT_TRUE(begin(*journal, PendingOperation::Type::updating, resource("b", "b-1")));
  }
  const auto kept = read_journal(file_);
  ASSERT_TRUE(kept) << kept.error().text();
  EXPECT_EQ((*kept)->header.base, "abc");
  EXPECT_EQ((*kept)->header.lock, "lock.json");
  ASSERT_EQ((*kept)->entries.size(), 6U);
  EXPECT_EQ((*kept)->entries[2].resource->id, "a-1");
  EXPECT_FALSE((*kept)->entries[4].resource);
  const Snapshot now = replay({}, **kept);
  ASSERT_EQ(now.resources.size(), 1U);
  EXPECT_EQ(now.resources[0].id, "1");
  ASSERT_EQ(now.pending.size(), 1U);
  EXPECT_EQ(now.pending[0].type, PendingOperation::Type::updating);
}

TEST_F(JournalTest, HoldsNoSecretInPlainText) {
  const auto key = PassphraseKey::make("p");
  ASSERT_TRUE(key);
  Resource made = resource("a");
  made.inputs = {{"token", make_secret("open sesame")}};
  {
    auto journal = make(*key);
    ASSERT_TRUE(begin(*journal, PendingOperation::Type::creating, made));
  }
  EXPECT_THAT(content_of(file_), testing::Not(HasSubstr("sesame")));
  auto kept = read_journal(file_);
  ASSERT_TRUE(kept) << kept.error().text();
  std::map<std::string, std::string> ciphertexts;
  Json inputs = (*kept)->entries[0].resource->inputs;
  ASSERT_TRUE(open_secrets(inputs, key->get(), ciphertexts));
  EXPECT_EQ(inputs, made.inputs);
  // Without a key the step does not begin.
  std::filesystem::remove(file_);
  auto without = make();
  const auto refused = begin(*without, PendingOperation::Type::creating, made);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "stack.passphrase");
}

TEST_F(JournalTest, ACutLineIsPassedOverAndAnOddOneIsRefused) {
  {
    auto journal = make();
    ASSERT_TRUE(begin(*journal, PendingOperation::Type::creating, resource("a")));
  }
  const std::string whole = content_of(file_);
  for (size_t cut = whole.find('\n') + 1; cut < whole.size(); ++cut) {
    put(file_, whole.substr(0, cut));
    const auto kept = read_journal(file_);
    ASSERT_TRUE(kept) << cut;
    EXPECT_TRUE((*kept)->entries.empty()) << cut;
  }
  for (const std::string& odd :
       {std::string("{\"journal\":2}\n"), std::string("x\n"), whole + "{}\n",
        whole + "{\"begin\":\"dancing\",\"resource\":{}}\n", whole + "{\"begin\":\"creating\"}\n",
        whole + "{\"note\":{\"urn\":\"u\"}}\n", std::string("{\"jour")}) {
    put(file_, odd);
    const auto kept = read_journal(file_);
    ASSERT_FALSE(kept) << odd;
    EXPECT_EQ(kept.error().code, "stack.journal") << odd;
  }
}

TEST_F(JournalTest, AFullDiskEndsTheStepUndone) {
  auto full = std::make_shared<UniqueFd>(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  std::promise<Result<void>> told;
  syncer_.append(full, "x\n", [&](Result<void> result) { told.set_value(std::move(result)); });
  const auto result = told.get_future().get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "state.full");
}

}  // namespace
}  // namespace pf::iac
