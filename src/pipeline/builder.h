// Turns yaml-cpp's events into nodes of a Document. Internal to the reader; one use, one thread.
#pragma once

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/node.h"
#include "pipeline/reader.h"

namespace pf::pipeline {

/// Builds the tree bottom-up on one stack: a collection's children lie side by side on it until its end event
/// copies them into the arena. Thrown Stops end the parser early; they never leave the reader.
class Builder final : public YAML::EventHandler {
 public:
  struct Stop {
    Error error;
  };

  /// `text` is what the parser reads, without a byte order mark.
  Builder(Document& document, std::string_view text, bool ascii, const ReadLimits& limits)
      : document_(document), text_(text), ascii_(ascii), limits_(limits) {}
  Node root() const;
  static constexpr size_t kNone = static_cast<size_t>(-1);
  /// The offset of the quote that the last quoted text began with, or kNone.
  size_t last_quote() const { return last_quote_; }
  static Error too_deep(int limit, Where where);

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { end(); }

 private:
  struct Frame {
    Node node;     // the collection, still without children
    size_t start;  // where its children begin on the stack
    YAML::anchor_t anchor;
    size_t expanded;  // nodes in it, aliases counted as what they stand for
    int height;       // levels below it
    bool block;       // not in brackets
    bool merge;       // a map with a key `<<`
  };
  struct Anchored {
    Node node;
    size_t expanded = 0;
    int height = 0;
    bool complete = false;
  };

  Node place(const YAML::Mark& mark);
  [[noreturn]] void stop(std::string code, std::string message, std::string hint, const Node& at) const;
  bool expects_key() const {
    return !frames_.empty() && frames_.back().node.kind == Kind::map &&
           (stack_.size() - frames_.back().start) % 2 == 0;
  }
  void begin(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YAML::EmitterStyle::value style);
  void end();
  void add(const Node& node, YAML::anchor_t anchor, size_t expanded, int height);
  void add_key(Node key, std::string_view text);
  void set_text(Node& node, std::string_view text);
  void mark_expressions(Node& node, std::string_view text, size_t offset) const;
  void refuse_duplicates(std::span<const Entry> entries) const;
  Node merged(const Frame& frame, std::span<const Entry> entries);

  Document& document_;
  std::string_view text_;
  bool ascii_;
  const ReadLimits& limits_;
  bool started_ = false;
  size_t nodes_ = 0;
  size_t last_quote_ = kNone;
  std::vector<Node> stack_;
  std::vector<Frame> frames_;
  std::vector<Anchored> anchors_;
  std::array<std::string_view, 64> keys_;  // recent keys, so that the same few are stored once
  // The last converted column: where a line is not ASCII, counting goes on from there.
  uint32_t column_line_ = 0;
  size_t column_offset_ = 0;
  uint32_t column_ = 0;
};

/// The value of a plain scalar by the core schema of YAML 1.2 (chapter 10.3.2), nulls excepted: sets kind and
/// value and returns true, or returns false where it is text.
bool resolve_plain(std::string_view text, Node& node);

}  // namespace pf::pipeline
