#include "pipeline/node.h"

#include <cstring>
#include <limits>

#include "base/json.h"

namespace pf::pipeline {
namespace {

void take_flags(Node& node, const Node& item) {
  node.computed |= item.computed;
  node.escaped |= item.escaped;
}

Node placed(Kind kind, const Node& at) {
  Node node;
  node.kind = kind;
  node.file = at.file;
  node.line = at.line;
  node.column = at.column;
  return node;
}

}  // namespace

std::string_view describe(Kind kind) {
  switch (kind) {
    case Kind::null: return "nothing";
    case Kind::boolean: return "a boolean";
    case Kind::integer: return "an integer";
    case Kind::number: return "a number";
    case Kind::string: return "text";
    case Kind::list: return "a list";
    case Kind::map: return "a mapping";
  }
  return "nothing";
}

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : map()) {
    if (entry.key.string() == key) return &entry.value;
  }
  return nullptr;
}

uint16_t Document::add_file(std::string name, std::filesystem::path folder) {
  files_.push_back({std::move(name), std::move(folder)});
  return static_cast<uint16_t>(files_.size() - 1);
}

Where Document::where(const Node& node, std::string path) const {
  Where where;
  if (node.file < files_.size()) {
    where.file = files_[node.file].name;
    where.line = node.line;
    where.column = node.column;
  }
  where.path = std::move(path);
  return where;
}

std::string_view Document::intern(std::string_view text) {
  if (text.empty()) return "";
  char* copy = static_cast<char*>(arena_.allocate(text.size(), 1));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

Node Document::make_string(std::string_view text, const Node& at) {
  Node node = placed(Kind::string, at);
  text = intern(text);
  node.text = text.data();
  node.size = static_cast<uint32_t>(text.size());
  return node;
}

Node Document::make_list(std::span<const Node> items, const Node& at) {
  Node node = placed(Kind::list, at);
  node.size = static_cast<uint32_t>(items.size());
  if (items.empty()) return node;
  Node* copy = static_cast<Node*>(arena_.allocate(items.size_bytes(), alignof(Node)));
  std::memcpy(static_cast<void*>(copy), items.data(), items.size_bytes());
  node.items = copy;
  for (const Node& item : items) take_flags(node, item);
  return node;
}

Node Document::make_map(std::span<const Entry> entries, const Node& at) {
  Node node = placed(Kind::map, at);
  node.size = static_cast<uint32_t>(entries.size());
  if (entries.empty()) return node;
  Entry* copy = static_cast<Entry*>(arena_.allocate(entries.size_bytes(), alignof(Entry)));
  std::memcpy(static_cast<void*>(copy), entries.data(), entries.size_bytes());
  node.entries = copy;
  for (const Entry& entry : entries) {
    take_flags(node, entry.key);
    take_flags(node, entry.value);
  }
  return node;
}

Node Document::make_json(const Json& value, const Node& at) {
  switch (value.type()) {
    case Json::value_t::boolean: {
      Node node = placed(Kind::boolean, at);
      node.boolean = value.get<bool>();
      return node;
    }
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: {
      if (value.is_number_unsigned() &&
          value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        Node node = placed(Kind::number, at);
        node.number = value.get<double>();
        return node;
      }
      Node node = placed(Kind::integer, at);
      node.integer = value.get<int64_t>();
      return node;
    }
    case Json::value_t::number_float: {
      Node node = placed(Kind::number, at);
      node.number = value.get<double>();
      return node;
    }
    case Json::value_t::string: return make_string(value.get_ref<const std::string&>(), at);
    case Json::value_t::binary: {
      const auto& bytes = value.get_binary();
      return make_string({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, at);
    }
    case Json::value_t::array: {
      std::vector<Node> items;
      items.reserve(value.size());
      for (const Json& item : value) items.push_back(make_json(item, at));
      return make_list(items, at);
    }
    case Json::value_t::object: {
      std::vector<Entry> entries;
      entries.reserve(value.size());
      for (const auto& [key, item] : value.items())
        entries.push_back({make_string(key, at), make_json(item, at)});
      return make_map(entries, at);
    }
    case Json::value_t::null:
    case Json::value_t::discarded: break;
  }
  return placed(Kind::null, at);
}

Json to_json(const Node& node) {
  switch (node.kind) {
    case Kind::null: return nullptr;
    case Kind::boolean: return node.boolean;
    case Kind::integer: return node.integer;
    case Kind::number: return node.number;
    case Kind::string: return std::string(node.string());
    case Kind::list: {
      Json out = Json::array();
      for (const Node& item : node.list()) out.push_back(to_json(item));
      return out;
    }
    case Kind::map: {
      Json out = Json::object();
      for (const Entry& entry : node.map())
        out.emplace(std::string(entry.key.string()), to_json(entry.value));
      return out;
    }
  }
  return nullptr;
}

std::string scalar_text(const Node& node) {
  switch (node.kind) {
    case Kind::null: return "null";
    case Kind::boolean: return node.boolean ? "true" : "false";
    case Kind::integer: return std::to_string(node.integer);
    case Kind::number: return Json(node.number).dump();
    case Kind::string: return std::string(node.string());
    case Kind::list:
    case Kind::map: break;
  }
  return {};
}

}  // namespace pf::pipeline
