// What the io helper answers, read by a core that trusts none of it: the same whether it comes at once or in
// pieces, and a value that is one item of bounded depth. And its requests: what decode() takes, encode()
// gives back. Input: the bytes of an answer, or of a request.

#include <cmath>

#include "fuzz/fuzz.h"
#include "services/io_protocol.h"

namespace pf::services::io {
namespace {

using fuzz::check;

std::string answer(const std::vector<std::string_view>& pieces) {
  std::string out;
  AnswerReader reader([&](double done, double total, std::string_view text) {
    check(std::isfinite(done) && std::isfinite(total) && cbor::is_utf8(text), "progress can be shown", text);
    out += "progress " + std::to_string(done) + " " + std::to_string(total) + " " + std::string(text) + "\n";
  });
  for (const std::string_view piece : pieces) {
    if (auto fed = reader.feed(piece); !fed) {
      check(fed.error().code == "io.protocol", "why it is refused", fed.error().text());
      break;
    }
  }
  auto value = reader.finish();
  if (!value) return out + "error " + value.error().code + " " + value.error().message;
  check(cbor::scan(*value).has_value(), "an answer is one item");
  return out + "ok " + *value;
}

void one(std::string_view input) {
  const std::string whole = answer({input});
  const std::string cut = answer(fuzz::pieces(input, 16));
  // A malformed answer is told of in other words when its end is asked for than where it was found.
  check(whole == cut, "cuts change nothing", whole + "\n--\n" + cut);

  const auto request = decode(input);
  if (!request) {
    check(request.error().code == "io.request", "why it is refused", request.error().text());
    return;
  }
  const std::string once = encode(*request);
  const auto again = decode(once);
  check(again.has_value(), "an encoded request can be decoded");
  check(encode(*again) == once, "decode, encode, decode gives the same");
}

}  // namespace
}  // namespace pf::services::io

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::services::io::one(pf::fuzz::view(data, size));
  return 0;
}
