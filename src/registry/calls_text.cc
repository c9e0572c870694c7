#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kText[] = {{"text", T::string, false, "any bytes"}};
constexpr Field kDecodeOptions[] = {
    {"positions", T::boolean, true, "also return a table from path (`recipes[1].id`) to {line, column}"}};
constexpr Argument kYamlText[] = {{"text", T::string, false, "any bytes"},
                                  {"options", T::table, true, "what else to return", kDecodeOptions}};
constexpr Argument kValue[] = {{"value", T::any, false, "nil, boolean, number, text, or a table of these"}};
constexpr std::string_view kJsonErrors[] = {"json.syntax", "json.depth"};
constexpr std::string_view kYamlErrors[] = {"yaml.*"};
constexpr std::string_view kBig[] = {"limit.frame"};
constexpr Returns kBytes = {T::string, "any bytes"};

constexpr Call kCalls[] = {
    {"json.encode",
     Place::worker,
     P::none,
     true,
     kValue,
     {T::string, "JSON, keys sorted"},
     kBig,
     "JSON text of a value."},
    {"json.decode",
     Place::worker,
     P::none,
     true,
     kText,
     {T::any, "the value"},
     kJsonErrors,
     "The value of JSON text."},
    {"yaml.encode",
     Place::worker,
     P::none,
     true,
     kValue,
     {T::string, "YAML, keys sorted"},
     kBig,
     "YAML text of a value."},
    {"yaml.decode",
     Place::worker,
     P::none,
     true,
     kYamlText,
     {T::any, "the value"},
     kYamlErrors,
     "The value of YAML text (one document)."},
    {"digest.sha256",
     Place::worker,
     P::none,
     true,
     kText,
     {T::string, "64 hexadecimal digits"},
     {},
     "The SHA-256 of a text."},
    {"base64.encode", Place::worker, P::none, true, kText, {T::string, "base64"}, {}, "Base64 of any bytes."},
    {"base64.decode", Place::worker, P::none, true, kText, kBytes, {}, "The bytes of a base64 text."},
};

}  // namespace

std::span<const Call> text_calls() { return kCalls; }

}  // namespace pf::registry
