#include "services/io_protocol.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/io_runner.h"
#include "support/program.h"

namespace pf::services::io {
namespace {

using test::run_io_helper;

TEST(IoProtocol, RequestsComeBackAsTheyWere) {
  ArchiveExtract extract;
  extract.archive = {"/a\xff", 3, UINT64_MAX};
  extract.folder = {"/b", 1, 2};
  extract.strip = 2;
  extract.include = {"*.txt", ""};
  extract.into = true;
  extract.limits = {7, 8, 1.5};
  ArchiveCreate create;
  create.name = "x.tar";
  create.sources = {{{"/s", 1, 1}, "s"}, {{"/t", 1, 3}, ""}};
  create.mtime = 12.5;
  GitRequest clone;
  clone.operation = GitOperation::clone;
  clone.url = "https://example.org/a.git";
  clone.access.hosts = {{"example.org", true, 8443, false}, {"::1", false, 0, true}};
  clone.access.token = "secret";
  GitRequest tag;
  tag.operation = GitOperation::tag;
  tag.time = 0;
  tag.force = true;
  tag.items = {"a"};
  for (const Request& request : {Request(ArchiveList{{"/x", 1, 1}, {}}), Request(extract), Request(create),
                                 Request(clone), Request(tag)}) {
    auto back = decode(encode(request));
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_TRUE(*back == request);
  }
}

TEST(IoProtocol, OtherRequestsAreRefused) {
  const std::string good = encode(ArchiveList{{"/x", 1, 1}, {}});
  EXPECT_TRUE(decode(good));
  EXPECT_EQ(decode(good + good).error().code, "io.request");
  EXPECT_EQ(decode(good.substr(0, good.size() - 1)).error().code, "io.request");
  EXPECT_EQ(decode(to_cbor(Json{{"op", "git.gc"}})).error().code, "io.request");
  EXPECT_EQ(decode(to_cbor(Json{{"op", "archive.list"}, {"archive", "x"}})).error().code, "io.request");
  EXPECT_EQ(decode("").error().code, "io.request");
}

/// What comes of an answer that is fed byte by byte, and at once.
std::string outcome(const std::string& bytes) {
  const auto read = [&](size_t step) {
    AnswerReader reader([](double, double, std::string_view) {});
    for (size_t at = 0; at < bytes.size(); at += step) {
      if (auto fed = reader.feed(std::string_view(bytes).substr(at, step)); !fed) return fed.error().code;
    }
    auto end = reader.finish();
    return end ? *end : end.error().code;
  };
  const std::string whole = read(bytes.size() + 1);
  EXPECT_EQ(read(1), whole);
  return whole;
}

std::string framed(const Json& value) {
  const std::string item = to_cbor(value);
  std::string out(4, '\0');
  out[0] = static_cast<char>(item.size());
  return out + item;
}

TEST(IoProtocol, Answers) {
  const std::string value = to_cbor(Json{1, "x"});
  EXPECT_EQ(outcome(ok_frame(value)), value);
  EXPECT_EQ(outcome(progress_frame(1, 2, "a") + progress_frame(2, 2, "b\xff") + ok_frame(value)), value);
  Error error;
  error.code = "archive.damaged";
  EXPECT_EQ(outcome(error_frame(error)), "archive.damaged");
}

TEST(IoProtocol, HostileAnswers) {
  const std::string value = to_cbor(Json(1));
  EXPECT_EQ(outcome(""), "io.crashed");
  EXPECT_EQ(outcome(progress_frame(1, 2, "a")), "io.crashed");
  EXPECT_EQ(outcome(ok_frame(value).substr(0, 5)), "io.crashed");
  EXPECT_EQ(outcome(ok_frame(value) + ok_frame(value)), "io.protocol");
  EXPECT_EQ(outcome(ok_frame(value) + "x"), "io.crashed");
  EXPECT_EQ(outcome(ok_frame(std::string(70, '\x81') + "\x01")), "io.protocol") << "nested too deep";
  EXPECT_EQ(outcome(std::string("\xff\xff\xff\x7f", 4)), "io.protocol") << "longer than any frame";
  EXPECT_EQ(outcome(ok_frame("\xff")), "io.protocol");
  EXPECT_EQ(outcome(framed(Json{{"ok", 1}, {"more", 2}})), "io.protocol");
  EXPECT_EQ(outcome(framed(Json{{"oh", 1}})), "io.protocol");
  EXPECT_EQ(outcome(framed(Json::array({1}))), "io.protocol");
  EXPECT_EQ(outcome(framed(Json{{"progress", {{"done", 1}}}})), "io.protocol");
  EXPECT_EQ(outcome(framed(Json{{"error", "x"}})), "io.protocol");
  for (const char* code : {"permission.read", "limit.calls", "archive.", "Archive.x", "archive.x\n", ""}) {
    Error error;
    error.code = code;
    EXPECT_EQ(outcome(error_frame(error)), "io.protocol") << code;
  }
}

TEST(IoProtocol, TheHelperRefusesWhatIsNoRequest) {
  const Milliseconds limit(60'000);
  EXPECT_EQ(run_io_helper("", limit).error().code, "io.request");
  EXPECT_EQ(run_io_helper("garbage", limit).error().code, "io.request");
  EXPECT_EQ(run_io_helper(std::string(kMaxRequest + 1, 'x'), limit).error().code, "io.request");
}

TEST(IoProtocol, WhatWasSwappedIsRefused) {
  test::Folder folder;
  folder.write("a.tar", "x");
  ArchiveList ask{test::place_of(folder.path() / "a.tar"), {}};
  ask.archive.inode += 1;
  EXPECT_EQ(run_io_helper(ask).error().code, "io.moved");
  std::filesystem::create_symlink("a.tar", folder.path() / "l.tar");
  ask.archive = test::place_of(folder.path() / "a.tar");
  ask.archive.path = folder.path() / "l.tar";
  EXPECT_EQ(run_io_helper(ask).error().code, "os.eloop");
}

}  // namespace
}  // namespace pf::services::io
