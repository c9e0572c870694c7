#include "support/archives.h"

#include <zlib.h>

#include <cstdio>
#include <cstring>

namespace pf::test {

std::string tar_entry(const std::string& name, char type, const std::string& content,
                      const std::string& target, unsigned mode, uint64_t mtime) {
  std::string head(512, '\0');
  const auto put = [&](size_t at, const std::string& text) { head.replace(at, text.size(), text); };
  const auto octal = [&](size_t at, unsigned width, uint64_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(width),
                  static_cast<unsigned long long>(value));
    put(at, text);
  };
  put(0, name.substr(0, 100));
  octal(100, 7, mode);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, content.size());
  octal(136, 11, mtime);
  put(148, "        ");
  head[156] = type;
  put(157, target.substr(0, 100));
  put(257, std::string("ustar\0"
                       "00",
                       8));
  unsigned sum = 0;
  for (char c : head) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  head[154] = '\0';
  return head + content + std::string((512 - content.size() % 512) % 512, '\0');
}

std::string tar_end() { return std::string(1024, '\0'); }

std::string zip_of(const std::string& name, const std::string& content, uint16_t flags) {
  const auto number = [](uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
    return out;
  };
  const auto crc =
      ::crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
  const std::string common = number(20, 2) + number(flags, 2) + number(0, 2) + number(0, 2) +
                             number(0x2821, 2) + number(crc, 4) + number(content.size(), 4) +
                             number(content.size(), 4) + number(name.size(), 2) + number(0, 2);
  const std::string local = "PK\3\4" + common + name + content;
  const std::string central = "PK\1\2" + number(0x0314, 2) + common + number(0, 2) + number(0, 2) +
                              number(0, 2) + number(0100644U << 16U, 4) + number(0, 4) + name;
  return local + central + "PK\5\6" + number(0, 2) + number(0, 2) + number(1, 2) + number(1, 2) +
         number(central.size(), 4) + number(local.size(), 4) + number(0, 2);
}

}  // namespace pf::test
