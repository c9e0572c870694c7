#include "services/url.h"

#include <gtest/gtest.h>

#include "services/address.h"

namespace pf::services {
namespace {

std::string shown(const std::string& text) {
  auto url = parse_url(text);
  return url ? url->text() : url.error().code;
}

TEST(Url, IsPutIntoNormalForm) {
  EXPECT_EQ(shown("HTTP://Example.ORG"), "http://example.org/");
  EXPECT_EQ(shown("https://example.org.:443/a?b#c"), "https://example.org/a?b");
  EXPECT_EQ(shown("http://example.org:8080?x=1"), "http://example.org:8080/?x=1");
  EXPECT_EQ(shown("http://[0:0::1]:80/"), "http://[::1]/");
  EXPECT_EQ(shown("http://[::FFFF:127.0.0.1]:81/"), "http://[::ffff:127.0.0.1]:81/");
  EXPECT_EQ(shown("http://example.org/a b\"ä"), "http://example.org/a%20b%22%C3%A4");
  EXPECT_EQ(shown("http://127.0.0.1:1/"), "http://127.0.0.1:1/");
}

TEST(Url, UserInformationDoesNotHideTheHost) {
  auto url = parse_url("http://good.example:80@evil.example/p");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "evil.example");
  EXPECT_EQ(url->user, "good.example:80");
  EXPECT_EQ(url->text(), "http://evil.example/p");
  EXPECT_EQ(parse_url("http://a%40b:c@d@host/")->user, "a@b:c@d");
}

TEST(Url, RefusesWhatCouldBeReadInTwoWays) {
  for (const char* text : {"",
                           "example.org",
                           "http:/example.org",
                           "http:///x",
                           "ftp://example.org/",
                           "file:///etc/passwd",
                           "http://good.example\\@evil.example/",
                           "http://ex%61mple.org/",
                           "http://a b.org/",
                           "http://a..org/",
                           "http://127.1/",
                           "http://2130706433/",
                           "http://0x7f.1/",
                           "http://0177.0.0.1/",
                           "http://1.2.3.256/",
                           "http://[::1/",
                           "http://[fe80::1%25eth0]/",
                           "http://[::1]x/",
                           "http://h:0/",
                           "http://h:65536/",
                           "http://h:8a/",
                           "http://h\r\nX: y/",
                           "http://h/\n",
                           "http://\xff.org/",
                           "http://a,b/"}) {
    EXPECT_EQ(shown(text), "http.url") << text;
  }
}

TEST(Url, ReferencesAreResolvedAsInRfc3986) {
  const Url base = *parse_url("http://u:p@h:81/a/b/c?q");
  const auto at = [&](const char* reference) {
    auto url = resolve(base, reference);
    return url ? url->text() + (url->user.empty() ? "" : " with user") : url.error().code;
  };
  EXPECT_EQ(at("d"), "http://h:81/a/b/d");
  EXPECT_EQ(at("./d/"), "http://h:81/a/b/d/");
  EXPECT_EQ(at("../d?x=../y"), "http://h:81/a/d?x=../y");
  EXPECT_EQ(at("../../../../d"), "http://h:81/d");
  EXPECT_EQ(at(".."), "http://h:81/a/");
  EXPECT_EQ(at("/d"), "http://h:81/d");
  EXPECT_EQ(at("?x"), "http://h:81/a/b/c?x");
  EXPECT_EQ(at(""), "http://h:81/a/b/c?q");
  EXPECT_EQ(at("#f"), "http://h:81/a/b/c?q");
  EXPECT_EQ(at("//other/x"), "http://other/x");
  EXPECT_EQ(at(" https://me:pw@other/x "), "https://other/x");
  EXPECT_EQ(at("a:b"), "http.url");
  EXPECT_EQ(at("file:///etc/passwd"), "http.url");
}

bool allowed(const char* entry, const char* url) {
  auto pattern = parse_host_pattern(entry);
  auto parsed = parse_url(url);
  EXPECT_TRUE(pattern) << entry;
  EXPECT_TRUE(parsed) << url;
  return pattern && parsed && matches(*pattern, *parsed);
}

TEST(HostPattern, AnEntryWithoutPortMeansTheSchemesOwn) {
  EXPECT_TRUE(allowed("Example.org", "http://example.org/"));
  EXPECT_TRUE(allowed("example.org", "https://EXAMPLE.org./"));
  EXPECT_FALSE(allowed("example.org", "http://example.org:443/"));
  EXPECT_FALSE(allowed("example.org", "http://example.org:8080/"));
  EXPECT_FALSE(allowed("example.org", "http://www.example.org/"));
  EXPECT_FALSE(allowed("example.org", "http://badexample.org/"));
}

TEST(HostPattern, PortsUrlsAndWildcards) {
  EXPECT_TRUE(allowed("example.org:8080", "https://example.org:8080/"));
  EXPECT_FALSE(allowed("example.org:8080", "https://example.org/"));
  EXPECT_TRUE(allowed("https://example.org/v1?x", "https://example.org/v2"));
  EXPECT_FALSE(allowed("https://example.org/", "http://example.org/"));
  EXPECT_TRUE(allowed("*.example.org", "http://a.b.example.org/"));
  EXPECT_FALSE(allowed("*.example.org", "http://example.org/"));
  EXPECT_FALSE(allowed("*.example.org", "http://xexample.org/"));
  EXPECT_TRUE(allowed("*.example.org:8443", "https://a.example.org:8443/"));
  EXPECT_TRUE(allowed("*.host1", "http://a.host1/"));
  EXPECT_TRUE(allowed("[::1]:80", "http://[0::1]/"));
  EXPECT_TRUE(allowed("::1", "http://[::1]/"));
  EXPECT_FALSE(allowed("0.0.0.1", "http://[::1]/"));
  for (const char* entry : {"", "*", "*.", "a b", "*.1.2.3.4", "host:", "host:x", "ftp://h"}) {
    const auto pattern = parse_host_pattern(entry);
    if (std::string(entry) == "host:")
      EXPECT_TRUE(pattern);  // as in a URL: no port
    else
      EXPECT_FALSE(pattern) << entry;
  }
}

bool private_text(const char* text) {
  in6_addr v6{};
  in_addr v4{};
  if (inet_pton(AF_INET6, text, &v6) == 1) return is_private_v6(v6);
  EXPECT_EQ(inet_pton(AF_INET, text, &v4), 1) << text;
  return is_private_v4(ntohl(v4.s_addr));
}

TEST(Address, PrivateOnes) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.255.255.255",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.168.1.1",
                           "198.19.0.1",
                           "224.0.0.1",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::127.0.0.1",
                           "::ffff:10.0.0.1",
                           "::ffff:169.254.169.254",
                           "64:ff9b::7f00:1",
                           "64:ff9b:1::1",
                           "2002:7f00:1::",
                           "2001::1",
                           "fc00::1",
                           "fdff::1",
                           "fe80::1",
                           "fec0::1",
                           "ff02::1"}) {
    EXPECT_TRUE(private_text(text)) << text;
  }
}

TEST(Address, PublicOnes) {
  for (const char* text :
       {"1.1.1.1",         "9.255.255.255",    "11.0.0.0",        "100.63.255.255",  "100.128.0.0",
        "126.255.255.255", "128.0.0.0",        "169.253.255.255", "172.15.255.255",  "172.32.0.0",
        "192.0.1.0",       "192.167.0.1",      "198.17.255.255",  "198.20.0.0",      "223.255.255.255",
        "::ffff:8.8.8.8",  "64:ff9b::808:808", "2002:808:808::",  "2606:4700::1111", "2a00::1"}) {
    EXPECT_FALSE(private_text(text)) << text;
  }
  sockaddr_storage local{};
  local.ss_family = AF_UNIX;
  EXPECT_TRUE(is_private(reinterpret_cast<const sockaddr*>(&local)));
}

}  // namespace
}  // namespace pf::services
