// Small pure functions over text. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace pf {

/// The candidate most like `word` (Damerau-Levenshtein at most a third of its length), or empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
/// `did you mean 'x'?` for the nearest candidate, else empty.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);
/// `100ms`, `2s`, `5m`, `1h30m`, `2d`; nullopt for anything else, also for a number with no unit.
std::optional<Milliseconds> parse_duration(std::string_view text);
/// The shortest of these forms, two units at most: `850ms`, `1.4s`, `2m05s`, `1h30m`.
std::string format_duration(Milliseconds duration);
/// `256MiB`, `1GiB`, `64KiB`, `10MB`, `512` (bytes); nullopt for anything else.
std::optional<uint64_t> parse_bytes(std::string_view text);
std::string format_bytes(uint64_t bytes);
/// Shell-like match of a whole text: `*` any run, `?` one character, `[abc]`; no special case for `/`. Linear
/// time.
bool glob_match(std::string_view pattern, std::string_view text);
/// Cuts to at most `width` code points, ending in `…` where something was cut; control characters become
/// spaces.
std::string shorten(std::string_view text, size_t width);
/// At most the first `most` bytes, cut between characters, with a note of how many were left out. What may
/// hold secrets is masked before: half a secret would not be known any more.
std::string cut_text(std::string_view text, size_t most);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace pf
