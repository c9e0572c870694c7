#include "report/values.h"

#include <algorithm>

#include "base/cbor.h"
#include "report/json_text.h"
#include "report/visible.h"

namespace pf::report {

std::vector<Output> outputs_of(std::string_view cbor) {
  std::vector<Output> outputs;
  if (!cbor::scan(cbor)) return outputs;
  cbor::Reader in(cbor);
  const cbor::Item map = in.next();
  if (map.type != cbor::Type::map) return outputs;
  for (uint64_t i = 0; i < map.number; ++i) {
    const std::string_view name = in.text();
    const std::string_view value = in.next_raw();
    if (!in.ok()) return {};
    outputs.push_back({name, value});
  }
  std::sort(outputs.begin(), outputs.end(), [](const Output& a, const Output& b) { return a.name < b.name; });
  return outputs;
}

std::string short_value(std::string_view cbor, size_t width, bool quoted) {
  cbor::Reader in(cbor);
  const cbor::Item item = in.next();
  // Four bytes are the longest character; the rest leaves room for what visible() takes out.
  const size_t limit = width < SIZE_MAX / 8 ? width * 4 + 256 : SIZE_MAX;
  if (item.type == cbor::Type::text) {
    const std::string text = visible(item.text.substr(0, limit));
    if (!quoted || (!text.empty() && text.find_first_of(" \"=") == std::string::npos))
      return fit(text, width);
  }
  std::string json;
  if (!append_json_value(json, cbor, limit)) return "?";
  return fit(visible(json), width);
}

std::string outputs_line(std::string_view cbor, size_t width) {
  // One long value must not hide the names that follow it.
  constexpr size_t kMostOfOne = 40;
  std::string line;
  for (const Output& output : outputs_of(cbor)) {
    if (!line.empty()) line += "  ";
    line += visible(output.name) + '=' + short_value(output.value, kMostOfOne, true);
    if (line.size() > width * 4 + 4) break;
  }
  return fit(line, width);
}

void append_outputs_block(std::string& out, std::string_view cbor, size_t indent, size_t width, size_t most) {
  const auto outputs = outputs_of(cbor);
  const size_t shown = outputs.size() > most ? most : outputs.size();
  size_t widest = 0;
  for (size_t i = 0; i < shown; ++i) widest = std::max(widest, cells(visible(outputs[i].name)));
  widest = std::min<size_t>(widest, 24);
  for (size_t i = 0; i < shown; ++i) {
    out.append(indent, ' ');
    const size_t from = out.size();
    out += visible(outputs[i].name);
    pad(out, from, widest);
    out += "  ";
    const size_t used = indent + cells(std::string_view(out).substr(from));
    const size_t room = width == SIZE_MAX ? SIZE_MAX : width > used + 8 ? width - used : 8;
    out += short_value(outputs[i].value, room, false) + '\n';
  }
  if (shown < outputs.size()) {
    out.append(indent, ' ');
    out += "… and " + std::to_string(outputs.size() - shown) + " more\n";
  }
}

}  // namespace pf::report
