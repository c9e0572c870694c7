// Secrets: no text keeps a value that the mask knows, whatever stands around it and in whichever of its
// forms; and a program's output is the same however it arrives. Input: a line with the secret, then the text.

#include <algorithm>

#include "api/output_capture.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mask.h"
#include "fuzz/fuzz.h"

namespace pf {
namespace {

using fuzz::check;

void capture(std::string_view text, size_t limit, const Mask& mask) {
  api::OutputCapture whole(limit);
  whole.add(text);
  api::OutputCapture cut(limit);
  for (const std::string_view piece : fuzz::pieces(text, 9)) cut.add(piece);
  check(whole.text() == cut.text() && whole.truncated() == cut.truncated(), "cuts change nothing",
        whole.text());
  check(whole.truncated() == (text.size() > limit), "what is left out is said");
  if (text.size() <= limit) check(whole.text() == text, "what fits is kept", text);
  for (const size_t bytes : {size_t{1}, size_t{20}, size_t{4000}}) {
    const std::string last = cut.last(bytes, mask);
    check(last.size() <= bytes && last == whole.last(bytes, mask), "the end is bounded", last);
  }
}

void one(std::string_view input) {
  const std::string_view secret = fuzz::take_line(input);
  Mask mask;
  check(mask.add(secret) == (secret.size() >= Mask::kShortest), "a secret of six bytes is one");
  for (const size_t limit : {size_t{0}, size_t{1}, size_t{7}, size_t{64}, size_t{1} << 16})
    capture(input, limit, mask);
  if (mask.empty()) {
    check(mask.apply(input) == input, "without secrets a text is itself");
    return;
  }
  const auto gone = [&](const std::string& text, std::string_view form) {
    // What is left of the text and `[secret]` may happen to spell the secret.
    const std::string shown = mask.apply(text);
    std::string joined(Mask::kInstead);
    joined += joined;
    if (!mask.finds(joined) && shown.size() >= Mask::kInstead.size() &&
        secret.find_first_of("[]") == std::string_view::npos)
      check(!mask.finds(shown), "a secret is gone", std::string(form) + ": " + shown);
    check(shown.find(Mask::kInstead) != std::string::npos, "something stands in its place",
          std::string(form) + ": " + shown);
  };
  const std::string value(secret);
  const std::string around(input);
  gone(around + value + around, "plain");
  gone(around + base64_encode(around + value + around) + around, "base64");
  gone(around + to_hex(value) + around, "hex");
  gone(Json(value).dump(-1, ' ', true, Json::error_handler_t::replace) + around, "json");
  check(mask.finds(around) == (mask.apply(around) != around) ||
            around.find(Mask::kInstead) != std::string::npos,
        "only what is found is replaced", around);
}

}  // namespace
}  // namespace pf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::one(pf::fuzz::view(data, size));
  return 0;
}
