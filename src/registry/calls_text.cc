#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kText[] = {{"text", T::string, false, "any bytes"}};
constexpr Argument kKeyText[] = {{"key", T::string, false, "any bytes"},
                                 {"text", T::string, false, "any bytes"}};
constexpr Field kPositions[] = {
    {"positions", T::boolean, true,
     "also return a table from path (`recipes[1].id`) to {line, column}; default false"}};
constexpr Argument kDecode[] = {{"text", T::string, false, "UTF-8"},
                                {"options", T::table, true, "what else to return", kPositions}};
constexpr Argument kValue[] = {{"value", T::any, false, "nil, boolean, number, text, or a table of these"}};
constexpr Field kLayout[] = {
    {"pretty", T::boolean, true, "one line for each item, two spaces for each level; default false"}};
constexpr Argument kJsonEncode[] = {
    {"value", T::any, false, "nil, boolean, number, text, or a table of these"},
    {"options", T::table, true, "how it looks", kLayout}};
constexpr Field kAlphabet[] = {
    {"url", T::boolean, true,
     "the alphabet for URLs and file names, `-` and `_`, written without padding; default false"}};
constexpr Argument kBase64[] = {{"text", T::string, false, "any bytes"},
                                {"options", T::table, true, "which alphabet", kAlphabet}};
constexpr std::string_view kJsonErrors[] = {"json.syntax", "json.depth", "json.not_utf8"};
constexpr std::string_view kYamlErrors[] = {
    "yaml.alias", "yaml.alias_bomb", "yaml.depth", "yaml.duplicate_key", "yaml.key",    "yaml.many_documents",
    "yaml.merge", "yaml.syntax",     "yaml.tab",   "yaml.tag",           "yaml.too_big"};
constexpr std::string_view kHexErrors[] = {"hex.invalid"};
constexpr std::string_view kBase64Errors[] = {"base64.invalid"};
constexpr std::string_view kOs[] = {"os.*"};
constexpr std::string_view kBig[] = {"limit.frame"};
constexpr Returns kBytes = {T::string, "any bytes"};

constexpr Call kCalls[] = {
    {"json.encode",
     Place::worker,
     P::none,
     true,
     kJsonEncode,
     {T::string, "JSON, keys sorted; compact, unless `pretty`"},
     kBig,
     "JSON text of a value. The same value always gives the same text."},
    {"json.decode",
     Place::worker,
     P::none,
     true,
     kDecode,
     {T::any, "the value; with `positions` a second result"},
     kJsonErrors,
     "The value of JSON text (RFC 8259), nested at most 64 levels deep. Of a key that is given twice, the "
     "last counts."},
    {"yaml.encode",
     Place::worker,
     P::none,
     true,
     kValue,
     {T::string, "YAML in block style, keys sorted"},
     kBig,
     "YAML text of a value."},
    {"yaml.decode",
     Place::worker,
     P::none,
     true,
     kDecode,
     {T::any, "the value; with `positions` a second result"},
     kYamlErrors,
     "The value of YAML text (one document)."},
    {"digest.md5",
     Place::worker,
     P::none,
     true,
     kText,
     {T::string, "32 hexadecimal digits, lower case"},
     {},
     "The MD5 of a text: to compare with what others give, not to protect anything."},
    {"digest.sha1",
     Place::worker,
     P::none,
     true,
     kText,
     {T::string, "40 hexadecimal digits, lower case"},
     {},
     "The SHA-1 of a text: to compare with what others give, not to protect anything."},
    {"digest.sha256",
     Place::worker,
     P::none,
     true,
     kText,
     {T::string, "64 hexadecimal digits, lower case"},
     {},
     "The SHA-256 of a text."},
    {"digest.sha512",
     Place::worker,
     P::none,
     true,
     kText,
     {T::string, "128 hexadecimal digits, lower case"},
     {},
     "The SHA-512 of a text."},
    {"digest.hmac_sha256",
     Place::worker,
     P::none,
     true,
     kKeyText,
     {T::string, "64 hexadecimal digits, lower case"},
     {},
     "The HMAC of a text with SHA-256 (RFC 2104)."},
    {"hex.encode",
     Place::worker,
     P::none,
     true,
     kText,
     {T::string, "two digits for each byte, lower case"},
     {},
     "Hexadecimal digits of any bytes."},
    {"hex.decode", Place::worker, P::none, true, kText, kBytes, kHexErrors,
     "The bytes of hexadecimal digits of either case."},
    {"base64.encode",
     Place::worker,
     P::none,
     true,
     kBase64,
     {T::string, "base64"},
     {},
     "Base64 of any bytes (RFC 4648)."},
    {"base64.decode", Place::worker, P::none, true, kBase64, kBytes, kBase64Errors,
     "The bytes of a base64 text, with or without padding."},
    {"uuid",
     Place::worker,
     P::none,
     true,
     {},
     {T::string, "36 characters, lower case"},
     kOs,
     "A random UUID (version 4)."},
};

}  // namespace

std::span<const Call> text_calls() { return kCalls; }

}  // namespace pf::registry
