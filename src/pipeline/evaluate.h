// Gives expressions their values. One evaluator serves one thread; what it reads is immutable.
#pragma once

#include <string>
#include <vector>

#include "pipeline/expression.h"
#include "pipeline/links.h"

namespace pf::pipeline {

/// Evaluates the texts of one instance (or of core). Without outputs, what depends on them stays unknown.
class Evaluator {
 public:
  enum class Outcome : uint8_t {
    value,    // the result is set
    unknown,  // depends on outputs that are not there yet
    missing,  // there is nothing: `??` gives another value, else it is an error
    failed,
  };

  /// `document` holds the texts and names their files; results are built in `scratch`, but may also point
  /// into what they come from. `each` and `outputs` may be null.
  Evaluator(const Pipeline::Links& links, const Document& document, Document& scratch, const Each* each,
            Outputs* outputs)
      : links_(links), document_(document), scratch_(scratch), each_(each), outputs_(outputs) {}

  /// A copy of a tree with every expression replaced by its value, but for those that are unknown, which stay
  /// as they are. `path` names the tree in messages. Errors are appended; what failed stays as it is.
  Node tree(const Node& node, const std::string& path, Errors& errors);

  /// Where set: tree() appends the paths, relative to its tree, of values that came from outputs.
  std::vector<Evaluated::FromOutputs>* from_outputs = nullptr;
  /// Nodes that results may have, counted as what a reader of the whole tree would see.
  size_t budget = 2'000'000;
  /// `each` is there, but not known yet: the tree is that of a for_each over outputs.
  bool each_unknown = false;
  /// Some text failed because a variable did, which was reported where that variable stands.
  bool spoilt = false;

 private:
  Node walk(const Node& node, std::string& path, int depth, Errors& errors);
  Node text(const Node& node, const std::string& path, int depth, Errors& errors);
  Outcome whole_text(const Template& form, Node& out);
  Outcome term(const Template& form, uint32_t index, Node& out);
  Outcome coalesce(const Template& form, const Term& term, Node& out);
  Outcome logic(const Template& form, const Term& term, Node& out);
  Outcome compare(const Template& form, const Term& term, Node& out);
  Outcome reference(const Template& form, const Reference& reference, Node& out);
  Outcome grouped(const Template& form, const Reference& reference, Node& out);
  Outcome outputs_of(const Template& form, const Reference& reference, uint32_t instance, Node& out);
  Outcome follow(const Template& form, const Reference& reference, const Node& from, Node& out);
  Outcome follow(const Template& form, const Reference& reference, const Json& from, Node& out);
  Outcome report(Outcome outcome, std::string code, std::string message, std::string hint, uint32_t offset);
  bool fits(const Node& node, int depth);

  const Pipeline::Links& links_;
  const Document& document_;
  Document& scratch_;
  const Each* each_;
  Outputs* outputs_;
  Node at_;            // the text being evaluated
  size_t prefix_ = 0;  // length of the path that was given to tree()
  ExpressionError error_;
  std::vector<uint32_t> producers_;  // of the text being evaluated
};

}  // namespace pf::pipeline
