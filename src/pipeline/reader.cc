#include "pipeline/reader.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <istream>
#include <numeric>
#include <streambuf>

#include "base/cbor.h"
#include "base/file.h"
#include "base/text.h"
#include "pipeline/builder.h"
#include "pipeline/scan.h"

namespace pf::pipeline {
namespace {

/// yaml-cpp recurses for each level and gives up at 500; no limit of ours may reach that.
constexpr int kMaxDepth = 256;
/// Brackets that yaml-cpp may buffer before the first of them becomes an event: what is deeper is cut off
/// first.
constexpr size_t kMaxOpen = 1024;

/// A stream over text that is not copied.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // only read: nothing is ever put back but what was there
    setg(begin, begin, begin + text.size());
  }
};

struct Wording {
  std::string_view theirs;
  std::string_view ours;
  std::string_view hint;
};

constexpr std::string_view kQuoteHint = "put the text in quotes if the character belongs to it";
constexpr std::string_view kIndentHint = "check the indentation of this line and of the one before it";
const std::array<Wording, 26> kWordings{{
    {YAML::ErrorMsg::END_OF_MAP, "expected a key of the mapping, or its end", kIndentHint},
    {YAML::ErrorMsg::END_OF_MAP_FLOW, "expected ',' or '}' in a mapping in braces", "close the brace"},
    {YAML::ErrorMsg::END_OF_SEQ, "expected an item of the list ('- '), or its end", kIndentHint},
    {YAML::ErrorMsg::END_OF_SEQ_FLOW, "expected ',' or ']' in a list in brackets", "close the bracket"},
    {YAML::ErrorMsg::MAP_VALUE, "found ':' where no key can stand",
     "check the indentation, and put the text in quotes if the colon belongs to it"},
    {YAML::ErrorMsg::MAP_KEY, "found '? ' where no key can stand", kQuoteHint},
    {YAML::ErrorMsg::BLOCK_ENTRY, "found '- ' where no list item can stand", kIndentHint},
    {YAML::ErrorMsg::FLOW_END, "found a closing bracket that does not match an opening one", kQuoteHint},
    {YAML::ErrorMsg::DOC_IN_SCALAR, "found a document marker inside quoted text",
     "close the quote before it"},
    {YAML::ErrorMsg::UNKNOWN_TOKEN, "found a character that no value can begin with", kQuoteHint},
    {YAML::ErrorMsg::CHAR_IN_BLOCK, "found text behind '|' or '>', expected the end of the line",
     "begin the text on the next line, indented"},
    {YAML::ErrorMsg::ZERO_INDENT_IN_BLOCK, "an indentation of 0 is not possible behind '|' or '>'",
     "give 1 to 9, or none"},
    {YAML::ErrorMsg::CHAR_IN_ANCHOR, "found an illegal character in the name of an anchor",
     "use letters, digits, '-' and '_'"},
    {YAML::ErrorMsg::CHAR_IN_ALIAS, "found an illegal character in the name of an alias",
     "use letters, digits, '-' and '_'"},
    {YAML::ErrorMsg::ANCHOR_NOT_FOUND, "expected the name of an anchor behind '&'", kQuoteHint},
    {YAML::ErrorMsg::ALIAS_NOT_FOUND, "expected the name of an anchor behind '*'", kQuoteHint},
    {YAML::ErrorMsg::MULTIPLE_TAGS, "found a second tag of one value", "keep one of them"},
    {YAML::ErrorMsg::MULTIPLE_ANCHORS, "found a second anchor of one value", "keep one of them"},
    {YAML::ErrorMsg::ALIAS_CONTENT, "found content behind an alias", "an alias stands alone"},
    {YAML::ErrorMsg::INVALID_HEX, "found an escape with characters that are no hexadecimal digits",
     "use single quotes, in which nothing is escaped"},
    {YAML::ErrorMsg::END_OF_VERBATIM_TAG, "a tag that begins with '!<' does not end", "close it with '>'"},
    {YAML::ErrorMsg::CHAR_IN_TAG_HANDLE, "found an illegal character in a tag", kQuoteHint},
    {YAML::ErrorMsg::TAG_WITH_NO_SUFFIX, "found a tag without a name", kQuoteHint},
    {YAML::ErrorMsg::YAML_MAJOR_VERSION, "the document wants a version of YAML above 1",
     "remove the %YAML line"},
    {YAML::ErrorMsg::YAML_DIRECTIVE_ARGS, "expected one version behind %YAML", "remove the %YAML line"},
    {YAML::ErrorMsg::TAG_DIRECTIVE_ARGS, "expected a handle and a prefix behind %TAG",
     "remove the %TAG line"},
}};

/// Reads one text; a member for each thing that errors need.
class Reading {
 public:
  Reading(std::string_view text, const std::string& name, const ReadLimits& limits)
      : text_(text), name_(name), limits_(limits) {}

  Result<std::unique_ptr<Document>> run(const std::filesystem::path& folder) {
    limits_.depth = std::min(limits_.depth, kMaxDepth);
    if (text_.size() > limits_.bytes) {
      return refuse("yaml.too_big",
                    "the file has " + std::to_string(text_.size()) + " bytes, expected at most " +
                        std::to_string(limits_.bytes),
                    "split it, or keep data in files of their own", Where{name_, 1, 1, {}});
    }
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") text_.remove_prefix(3);
    auto ascii = check_bytes(text_, name_);
    if (!ascii) return tl::unexpected(ascii.error());

    auto document = std::make_unique<Document>();
    document->add_file(name_, folder);
    std::string cut;  // yaml-cpp tells of no bracket before it has seen how the outermost one ends
    std::string_view part = text_;
    const FlowScan flow = look_at_brackets();
    if (flow.commas > limits_.nodes) return tl::unexpected(too_many(Where{name_, 1, 1, {}}));
    if (flow.too_deep != FlowScan::kNone) {
      cut.append(text_.substr(0, flow.too_deep + 1)).append(flow.closing);
      part = cut;
    }
    Builder builder(*document, part, *ascii, limits_);
    auto error = parse(part, builder);
    if (flow.too_deep != FlowScan::kNone && (!error || error->code != "yaml.depth")) {
      error = Builder::too_deep(limits_.depth, at_offset(flow.too_deep));
    }
    if (error && error->code == "yaml.key") error = explain_key(std::move(*error));
    if (!error && builder.last_quote() != Builder::kNone && is_open(builder.last_quote())) {
      error = open_quote(builder.last_quote());
    }
    if (error) return tl::unexpected(std::move(*error));
    document->set_root(builder.root());
    return document;
  }

 private:
  Where at_offset(size_t offset) const {
    const Place place = place_of(text_, offset);
    return Where{name_, place.line, place.column, {}};
  }

  Error too_many(Where where) const {
    return refuse("yaml.alias_bomb",
                  "the document holds more than " + std::to_string(limits_.nodes) + " values",
                  "keep data in files of their own", std::move(where))
        .value();
  }

  /// COMPAT: yaml-cpp 0.7 takes a bracket that is open at the end of the file for a key.
  Error explain_key(Error error) const {
    const FlowScan flow = scan_flow(text_, text_.size());
    if (flow.open == FlowScan::kNone) return error;
    Document document;
    document.add_file(name_, {});
    const std::string closed = std::string(text_) + "\n" + flow.closing;
    Builder builder(document, closed, false, limits_);
    auto next = parse(closed, builder);
    if (next && next->code == "yaml.depth") return *next;
    return refuse("yaml.syntax",
                  std::string("the bracket '") + text_[flow.open] + "' that opens here does not end",
                  "close it with '" + std::string(1, flow.closing.back()) + "'", at_offset(flow.open))
        .value();
  }

  /// COMPAT: yaml-cpp 0.7 takes a quoted text as closed by the end of the file where a line break comes
  /// before it.
  bool is_open(size_t quote) const {
    const char mark = text_[quote];
    for (size_t at = quote + 1; at < text_.size(); ++at) {
      if (mark == '"' && text_[at] == '\\') {
        ++at;
      } else if (text_[at] == mark) {
        if (mark == '"' || at + 1 >= text_.size() || text_[at + 1] != mark) return false;
        ++at;
      }
    }
    return true;
  }

  Error open_quote(size_t offset) const {
    return refuse("yaml.syntax", "the quoted text that begins here does not end", "close the quote",
                  at_offset(offset))
        .value();
  }

  /// Most files have too few brackets to be worth a look.
  FlowScan look_at_brackets() const {
    const auto count = [&](char c) { return static_cast<size_t>(std::count(text_.begin(), text_.end(), c)); };
    if (count('[') + count('{') <= kMaxOpen && text_.size() < limits_.nodes) return {};
    return scan_flow(text_, kMaxOpen);
  }

  std::optional<Error> parse(std::string_view part, Builder& builder) const {
    try {
      ViewBuffer buffer(part);
      std::istream stream(&buffer);
      YAML::Parser parser(stream);
      if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
      return std::nullopt;
    } catch (const Builder::Stop& stop) {
      return stop.error;
    } catch (const YAML::DeepRecursion& deep) {
      return Builder::too_deep(limits_.depth, where(deep.mark));
    } catch (const YAML::Exception& problem) {
      return translate(problem);
    } catch (const std::exception& problem) {
      return refuse("yaml.syntax", std::string("the YAML cannot be read: ") + problem.what(), {},
                    Where{name_, 1, 1, {}})
          .value();
    }
  }

  Where where(const YAML::Mark& mark) const {
    if (mark.is_null() || mark.pos < 0) return Where{name_, 1, 1, {}};
    return at_offset(static_cast<size_t>(mark.pos));
  }

  /// The offset of a tab that stands where the line before `offset` is indented, or npos.
  size_t indenting_tab(size_t offset) const {
    const size_t line = offset == 0 ? 0 : text_.rfind('\n', offset - 1) + 1;
    const size_t text = std::min(text_.find_first_not_of(" \t-?", line), text_.size());
    const size_t tab = text_.find('\t', line);
    return tab < text ? tab : std::string_view::npos;
  }

  Error tab(size_t offset) const {
    return refuse("yaml.tab", "found a tab as indentation, expected spaces",
                  "indent with spaces: YAML allows no tabs there", at_offset(offset))
        .value();
  }

  Error translate(const YAML::Exception& problem) const {
    const size_t offset =
        problem.mark.is_null() || problem.mark.pos < 0 ? 0 : std::min<size_t>(problem.mark.pos, text_.size());
    if (size_t found = indenting_tab(offset); found != std::string_view::npos) return tab(found);
    if (problem.msg == YAML::ErrorMsg::TAB_IN_INDENTATION) return tab(offset);
    if (problem.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR) {
      const size_t end = std::min(text_.find_first_of(" \t\r\n,[]{}", offset), text_.size());
      return refuse("yaml.alias",
                    "found the alias " + shorten(text_.substr(offset, end - offset), 60) +
                        ", but no anchor of that name before it",
                    "define the anchor with '&' before it is used, or put the text in quotes",
                    at_offset(offset))
          .value();
    }
    std::string message;
    std::string hint;
    for (const Wording& wording : kWordings) {
      if (problem.msg != wording.theirs) continue;
      message = wording.ours;
      hint = wording.hint;
    }
    if (problem.msg == YAML::ErrorMsg::EOF_IN_SCALAR) {
      // The mark is the end of the file; where the text began helps more.
      const FlowScan flow = scan_flow(text_, text_.size());
      return open_quote(flow.open_quote != FlowScan::kNone ? flow.open_quote : offset);
    } else if (problem.msg == YAML::ErrorMsg::UNKNOWN_TOKEN && offset < text_.size()) {
      message = "found '" + std::string(1, text_[offset]) + "', which no value can begin with";
    } else if (offset > 0 && offset < text_.size() && text_[offset] == '{' && text_[offset - 1] == '$') {
      hint = "inside brackets and braces an expression must stand in quotes: \"${…}\"";
    }
    if (problem.msg.starts_with(YAML::ErrorMsg::INVALID_ESCAPE)) {
      // yaml-cpp names one byte, which of a longer character is no text.
      const std::string escaped = problem.msg.substr(std::string_view(YAML::ErrorMsg::INVALID_ESCAPE).size());
      const bool ascii = escaped.size() == 1 && escaped[0] > 0x20 && escaped[0] < 0x7f;
      message = ascii ? "found an unknown escape in double-quoted text: \\" + escaped
                      : "found a backslash in double-quoted text before a character that has no escape";
      hint = "use single quotes, in which nothing is escaped, or write \\\\";
    } else if (problem.msg.starts_with(YAML::ErrorMsg::INVALID_UNICODE)) {
      message = "found an escape that is no Unicode character";
      hint = "use single quotes, in which nothing is escaped";
    } else if (message.empty()) {
      message = "the YAML cannot be read: " + problem.msg;
    }
    return refuse("yaml.syntax", std::move(message), std::move(hint), at_offset(offset)).value();
  }

  std::string_view text_;
  const std::string& name_;
  ReadLimits limits_;
};

}  // namespace

Result<std::unique_ptr<Document>> read_yaml(std::string_view text, const std::string& name,
                                            const std::filesystem::path& folder, const ReadLimits& limits) {
  return Reading(text, name, limits).run(folder);
}

Result<std::string> read_text_file(const std::filesystem::path& path, const std::string& name,
                                   const ReadLimits& limits) {
  const Where where{name, 1, 1, {}};
  auto text = read_file(path, limits.bytes);
  if (!text) {
    const std::string& code = text.error().code;
    if (code == "os.enoent" || code == "os.enotdir") {
      return refuse("yaml.missing_file", "there is no such file",
                    "check the path: it is relative to the current folder", where);
    }
    if (code == "file.too_big") {
      return refuse("yaml.too_big", "the file has more than " + std::to_string(limits.bytes) + " bytes",
                    "split it, or keep data in files of their own", where);
    }
    return refuse("yaml.unreadable", text.error().message, "expected a text file that can be read", where);
  }
  return std::move(*text);
}

Result<std::unique_ptr<Document>> read_yaml_file(const std::filesystem::path& path, const std::string& name,
                                                 const ReadLimits& limits) {
  auto text = read_text_file(path, name, limits);
  if (!text) return tl::unexpected(std::move(text.error()));
  std::error_code ignored;
  auto folder = std::filesystem::absolute(path, ignored).lexically_normal().parent_path();
  return read_yaml(*text, name, folder, limits);
}

}  // namespace pf::pipeline
