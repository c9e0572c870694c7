// Values as Pulumi's state files hold them: JSON as Go's encoding/json writes it, with the object keys
// sorted. Thread-safe: no state.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::iac {

/// Parses the JSON of a state file. All numbers are doubles to Pulumi: integers beyond 2^53 become doubles,
/// and `-0` stays one. Errors `json.syntax`, `json.depth`.
Result<Json> parse_state_json(std::string_view text);

/// Appends compact JSON as Go writes it: `<>&` raw, U+2028 and U+2029 escaped, `1e+21`, `1e-7`, `-0`; doubles
/// as the shortest text that reads back the same.
void append_go_json(std::string& out, const Json& value);
std::string go_string(std::string_view text);
/// RFC 3339 in UTC with nanoseconds, trailing zeros cut, as Go prints times.
std::string go_time(WallTime time);

/// The value of a CBOR map as a state file can hold it; null for an empty one or none. `name` begins the
/// paths in messages. Errors: `cbor.*`, `stack.value` (no map), `stack.bytes`, `stack.number`,
/// `stack.reserved`.
Result<Json> to_state_value(std::string_view cbor, const std::string& name);

/// What an object with the key `kSignature` stands for (pulumi/pulumi, sdk/go/common/resource/plugin/rpc.go).
/// In a state file a secret is `{SIGNATURE: …, ciphertext}`; opened it is `{SIGNATURE: …, plaintext}`, the
/// JSON text of its value, which state files may hold, too.
enum class Special : uint8_t { none, secret, asset, archive, resource_reference, output_value, unrecognised };
inline constexpr std::string_view kSignature = "4dabf18193072939515e22adb298388d";
/// The text that stands for a value that nobody knows yet.
inline constexpr std::string_view kUnknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
Special special_of(const Json& value);

class PassphraseKey;
/// Replaces the ciphertext of each secret in `value` by its plaintext; `ciphertexts` learns by plaintext
/// which ones there were. Errors of PassphraseKey::decrypt; without a key `stack.passphrase`.
Result<void> open_secrets(Json& value, const PassphraseKey* key,
                          std::map<std::string, std::string>& ciphertexts);
/// The other way round; a secret whose value was there before keeps its ciphertext. Errors of
/// PassphraseKey::encrypt; without a key `stack.passphrase`.
Result<void> seal_secrets(Json& value, const PassphraseKey* key,
                          const std::map<std::string, std::string>& ciphertexts);
/// An opened secret of a value.
Json make_secret(const Json& value);
bool holds_secret(const Json& value);
bool holds_unknown(const Json& value);

/// The path below `path` to what only Pulumi gives a meaning: a secret, an asset, an unknown. Empty: there is
/// none.
std::string find_special(const Json& value, const std::string& path);

}  // namespace pf::iac
