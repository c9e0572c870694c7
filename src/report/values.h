// Outputs as people see them: short, on one line, or one below the other. Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pf::report {

/// One output: its name, and its value as an encoded item that points into what was given.
struct Output {
  std::string_view name;
  std::string_view value;
};

/// The entries of an encoded map, sorted by name; empty where it is no map.
std::vector<Output> outputs_of(std::string_view cbor);
/// A value on one line of at most `width` cells: text as it is, everything else as JSON. `quoted`: text that
/// would read as two words is put in quotes.
std::string short_value(std::string_view cbor, size_t width, bool quoted);
/// `words=7  title="two words"`, at most `width` cells.
std::string outputs_line(std::string_view cbor, size_t width);
/// One output a line, names aligned, each line `indent` spaces in and at most `width` cells; after `most` of
/// them `… and N more`. With `most` and `width` at SIZE_MAX nothing is cut.
void append_outputs_block(std::string& out, std::string_view cbor, size_t indent, size_t width, size_t most);

}  // namespace pf::report
