// Expressions: any text is parsed or refused with its place; one that is parsed has operands that come before
// their operators, and evaluates in a fixed scope to a value or to an error with a place. Input: a text with
// `${…}`; it stands in a configuration, and in `when:`.

#include <map>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "pipeline/expression.h"
#include "pipeline/pipeline.h"

namespace pf::pipeline {
namespace {

using fuzz::check;

class FixedOutputs final : public Outputs {
 public:
  Result<std::string> secret(std::string_view name) override {
    if (name == "TOKEN") return std::string("the token");
    return refuse("secret.missing", "there is no secret " + std::string(name), "set it");
  }
  const Json* of(uint32_t instance) override {
    return instance == 0 ? &up_ : instance <= 2 ? &many_ : nullptr;
  }

 private:
  Json up_ =
      Json::parse(R"({"n": 3, "f": 1.5, "s": "txt", "l": [1, {"k": "v"}], "m": {"a b": 1, "z": null}})");
  Json many_ = Json::parse(R"({"v": [true, -1, 18446744073709551615, 1e300]})");
};

void parse(std::string_view text) {
  Document keep;
  const auto form = parse_template(text, keep);
  if (!form) {
    const ExpressionError& error = form.error();
    check(!error.code.empty() && !error.message.empty(), "an error has a code and a message", text);
    check(cbor::is_utf8(error.message) || !cbor::is_utf8(text), "an error's words are UTF-8", error.message);
    check(error.offset <= text.size(), "an error's place is in the text", error.message);
    return;
  }
  for (uint32_t i = 0; i < form->terms.size(); ++i) {
    const Term& term = form->terms[i];
    check(term.offset <= text.size(), "a term is in the text", text);
    for (const uint32_t operand : term.operands) check(operand < i, "operands come first", text);
    if (term.op == Op::reference)
      check(term.reference < form->references.size(), "a reference is in the table", text);
  }
  for (const Template::Part& part : form->parts) {
    check(part.expression < static_cast<int64_t>(form->terms.size()), "a part is in the table", text);
  }
  for (const Reference& reference : form->references) {
    check(reference.offset < reference.end && reference.end <= text.size(), "a reference is in the text",
          text);
    for (const Step& step : reference.path)
      check(step.end > reference.offset && step.end <= text.size(), "a step is in the text", text);
  }
  if (text.find("${") == std::string_view::npos)
    check(form->terms.empty() && unescape(text) == text, "a text without expressions is itself", text);
}

void in_pipeline(std::string_view key, std::string_view text) {
  static const fuzz::MemoryFile file;
  const std::string written =
      "p:\n"
      "  core:\n"
      "    variables: {region: us, count: 2, rate: 1.0, flag: true, off: false, nothing: null, list: [1, "
      "two], "
      "map: {a: {b: deep}}}\n"
      "  t:\n"
      "    - {name: up}\n"
      "    - {name: many, for_each: [a, 'b c']}\n"
      "    - name: x\n"
      "      " +
      std::string(key) + ": " + Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace) +
      "\n";
  file.fill(written);
  static const std::map<std::string, std::string> kEnvironment = {{"HOME", "/home/me"}, {"EMPTY", ""}};
  LoadOptions options;
  options.file = file.path;
  options.environment = [](const std::string& name) {
    const auto found = kEnvironment.find(name);
    return found == kEnvironment.end() ? nullptr : found->second.c_str();
  };
  const auto pipeline = load(options);
  if (!pipeline) {
    check(!pipeline.error().empty(), "what is refused has an error", written);
    for (const Error& error : pipeline.error()) fuzz::check_error(error, written, true);
    return;
  }
  const int64_t x = (*pipeline)->find("t.x");
  check(x >= 0, "the instance is there", written);
  Document scratch;
  Errors errors;
  evaluate_static(**pipeline, static_cast<uint32_t>(x), scratch, errors);
  check(errors.empty(), "load() has found every error", errors.empty() ? "" : errors[0].text());
  FixedOutputs outputs;
  Document more;
  const auto value = evaluate(**pipeline, static_cast<uint32_t>(x), outputs, more);
  if (!value)
    fuzz::check_error(value.error(), written, true);
  else
    to_json(value->config).dump(-1, ' ', false, Json::error_handler_t::strict);
  const auto when = evaluate_when(**pipeline, static_cast<uint32_t>(x), outputs);
  if (!when) fuzz::check_error(when.error(), written, true);
}

}  // namespace
}  // namespace pf::pipeline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = pf::fuzz::view(data, size);
  pf::pipeline::parse(text);
  pf::pipeline::in_pipeline("x", text);
  pf::pipeline::in_pipeline("when", text);
  return 0;
}
