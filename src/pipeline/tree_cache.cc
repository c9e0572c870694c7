#include "pipeline/tree_cache.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <vector>

#include "base/cbor.h"
#include "base/digest.h"
#include "base/file.h"
#include "pipeline/reader.h"

namespace pf::pipeline {
namespace {

namespace fs = std::filesystem;

/// Goes up whenever nodes, the format or what the reader makes of a text change.
constexpr std::string_view kFormat = "pangeo-forge tree 1\n";
constexpr size_t kMostKept = 32;
constexpr size_t kMostBytes = 512U << 20;
constexpr uint64_t kMostValues = 4'000'000;  // keys included, aliases counted as what they stand for
constexpr uint8_t kMostDepth = 64;

struct Header {
  char format[24];
  uint64_t checksum;  // of everything behind it
  uint64_t nodes;     // the last one is the root
  uint64_t text;      // bytes
  uint64_t merge_tags;
};
static_assert(sizeof(Header) == 56 && kFormat.size() < sizeof(Header::format));
constexpr size_t kChecked = offsetof(Header, nodes);

__extension__ using Wide = unsigned __int128;

/// Finds damage, not intent: 64-bit multiply and fold, eight bytes at a time.
uint64_t checksum(std::string_view bytes) {
  uint64_t sum = 0x9E3779B97F4A7C15ULL ^ bytes.size();
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  const auto mix = [&](uint64_t word) {
    const Wide product = static_cast<Wide>(sum ^ word) * 0xD6E8FEB86659FD93ULL;
    sum = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ word;
  };
  for (; end - at >= 8; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, at, static_cast<size_t>(end - at));
  mix(rest);
  return sum;
}

/// Lays out a tree: what several nodes share is written once.
class Encoder {
 public:
  bool node(const Node& node, Node& out) {
    out = Node{};
    std::memset(static_cast<void*>(&out), 0, sizeof out);
    out.kind = node.kind;
    out.quoted = node.quoted;
    out.computed = node.computed;
    out.escaped = node.escaped;
    out.verbatim = node.verbatim;
    out.merge = node.merge;
    out.line = node.line;
    out.column = node.column;
    out.size = node.size;
    switch (node.kind) {
      case Kind::null: out.size = 0; return true;
      case Kind::boolean: out.bits = node.boolean ? 1 : 0; return true;
      case Kind::integer: out.integer = node.integer; return true;
      case Kind::number: out.number = node.number; return true;
      case Kind::string: out.bits = place(node.string()); return true;
      case Kind::list:
      case Kind::map: break;
    }
    if (node.size == 0) return true;
    const Node* const first = node.kind == Kind::list ? node.items : &node.entries->key;
    const size_t count = node.kind == Kind::list ? node.size : size_t{2} * node.size;
    if (const auto known = arrays_.find(first); known != arrays_.end()) {
      out.bits = known->second;
      return true;
    }
    if (nodes.size() > kMostValues) return false;
    std::vector<Node> children(count);
    for (size_t i = 0; i < count; ++i) {
      if (!this->node(first[i], children[i])) return false;
    }
    out.bits = nodes.size();
    arrays_.emplace(first, out.bits);
    nodes.insert(nodes.end(), children.begin(), children.end());
    return true;
  }

  std::vector<Node> nodes;
  std::string text;

 private:
  uint64_t place(std::string_view value) {
    if (value.empty()) return 0;
    // Keys are stored once by the reader, so that the same few addresses come again and again.
    const auto [known, fresh] = texts_.emplace(value.data(), text.size());
    if (!fresh && text.compare(known->second, value.size(), value) == 0) return known->second;
    known->second = text.size();
    text.append(value);
    return known->second;
  }
  std::unordered_map<const Node*, uint64_t> arrays_;
  std::unordered_map<const char*, uint64_t> texts_;
};

/// Checks nodes in order and turns offsets into addresses.
class Decoder {
 public:
  Decoder(Node* nodes, size_t count, const char* text, size_t bytes)
      : nodes_(nodes), count_(count), text_(text), bytes_(bytes), values_(count), depths_(count) {}

  bool run(bool merge_tags) {
    for (size_t i = 0; i < count_; ++i) {
      if (!check(i)) return false;
    }
    return tagged_ == merge_tags;
  }

 private:
  bool check(size_t i) {
    unsigned char raw[8];
    std::memcpy(raw, static_cast<const void*>(&nodes_[i]), sizeof raw);
    // kind, quoted, computed, escaped, file (2), verbatim, merge: see Node.
    if (raw[0] > static_cast<unsigned char>(Kind::map) || raw[1] > 1 || raw[2] > 1 || raw[3] > 1 ||
        raw[4] != 0 || raw[5] != 0 || raw[6] > 1 || raw[7] > static_cast<unsigned char>(Merge::replace)) {
      return false;
    }
    Node& node = nodes_[i];
    tagged_ = tagged_ || node.merge != Merge::plain;
    values_[i] = 1;
    switch (node.kind) {
      case Kind::null: return node.size == 0 && node.bits == 0;
      case Kind::boolean: return node.bits <= 1;
      case Kind::integer:
      case Kind::number: return true;
      case Kind::string: return text(node);
      case Kind::list: return children(i, node, node.size);
      case Kind::map: return children(i, node, uint64_t{2} * node.size);
    }
    return false;
  }

  bool text(Node& node) {
    if (node.size == 0) {
      node.text = "";
      return true;
    }
    if (node.bits > bytes_ || node.size > bytes_ - node.bits) return false;
    // The whole text is UTF-8: so is a part that begins and ends between characters.
    const auto inside = [&](uint64_t at) { return at < bytes_ && (text_[at] & 0xC0) == 0x80; };
    if (inside(node.bits) || inside(node.bits + node.size)) return false;
    node.text = text_ + node.bits;
    return true;
  }

  bool children(size_t i, Node& node, uint64_t count) {
    if (count == 0) {
      node.items = nullptr;
      return true;
    }
    const uint64_t first = node.bits;
    if (first > i || count > i - first) return false;  // they come before it: nothing is in itself
    uint64_t values = 1;
    uint8_t depth = 0;
    for (uint64_t k = first; k < first + count; ++k) {
      values += values_[k];
      depth = std::max(depth, depths_[k]);
      if (values > kMostValues) return false;
      if (node.kind == Kind::map && (k - first) % 2 == 0 && nodes_[k].kind != Kind::string) return false;
    }
    if (depth >= kMostDepth || (seen_ += count) > 2 * kMostValues) return false;
    values_[i] = static_cast<uint32_t>(values);
    depths_[i] = static_cast<uint8_t>(depth + 1);
    if (node.kind == Kind::list) {
      node.items = nodes_ + first;
    } else {
      node.entries = reinterpret_cast<const Entry*>(nodes_ + first);
    }
    return true;
  }

  Node* nodes_;
  size_t count_;
  const char* text_;
  size_t bytes_;
  std::vector<uint32_t> values_;  // of each: nodes in it, aliases counted as what they stand for
  std::vector<uint8_t> depths_;
  uint64_t seen_ = 0;
  bool tagged_ = false;
};

void remove_oldest(const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> trees;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    std::error_code ignored;
    if (at->path().extension() == ".tree") trees.emplace_back(at->last_write_time(ignored), at->path());
  }
  if (trees.size() <= kMostKept) return;
  std::sort(trees.begin(), trees.end());
  for (size_t i = 0; i + kMostKept < trees.size(); ++i) fs::remove(trees[i].second, code);
}

}  // namespace

fs::path tree_path(const fs::path& folder, std::string_view text) {
  Sha256 digest;
  digest.update(kFormat);
  digest.update(text);
  const auto bytes = digest.finish();
  return folder / (to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) + ".tree");
}

std::string encode_tree(const Node& root, bool merge_tags) {
  Encoder encoder;
  Node last;
  if (!encoder.node(root, last)) return {};
  encoder.nodes.push_back(last);
  Header header{};
  std::memcpy(header.format, kFormat.data(), kFormat.size());
  header.nodes = encoder.nodes.size();
  header.text = encoder.text.size();
  header.merge_tags = merge_tags ? 1 : 0;
  std::string out(sizeof header, '\0');
  out.append(reinterpret_cast<const char*>(encoder.nodes.data()), encoder.nodes.size() * sizeof(Node));
  out += encoder.text;
  std::memcpy(out.data(), &header, sizeof header);
  header.checksum = checksum(std::string_view(out).substr(kChecked));
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

std::unique_ptr<Document> decode_tree(std::string_view bytes) {
  Header header;
  if (bytes.size() < sizeof header || bytes.size() > kMostBytes) return nullptr;
  std::memcpy(&header, bytes.data(), sizeof header);
  char format[sizeof header.format] = {};
  std::memcpy(format, kFormat.data(), kFormat.size());
  if (std::memcmp(format, header.format, sizeof format) != 0) return nullptr;
  const size_t content = bytes.size() - sizeof header;
  if (header.merge_tags > 1 || header.nodes == 0 || header.nodes > content / sizeof(Node) ||
      header.text != content - header.nodes * sizeof(Node) ||
      header.checksum != checksum(bytes.substr(kChecked))) {
    return nullptr;
  }
  auto document = std::make_unique<Document>();
  auto* nodes = static_cast<Node*>(document->reserve(content));
  std::memcpy(static_cast<void*>(nodes), bytes.data() + sizeof header, content);
  const char* text = reinterpret_cast<const char*>(nodes + header.nodes);
  if (!cbor::is_utf8({text, header.text})) return nullptr;
  if (!Decoder(nodes, header.nodes, text, header.text).run(header.merge_tags == 1)) return nullptr;
  document->set_root(nodes[header.nodes - 1]);
  if (header.merge_tags == 1) document->note_merge_tag();
  return document;
}

std::unique_ptr<Document> read_tree(const fs::path& path) {
  const auto bytes = read_file(path, kMostBytes);
  return bytes ? decode_tree(*bytes) : nullptr;
}

Result<void> write_tree(const fs::path& path, const Node& root, bool merge_tags) {
  const std::string bytes = encode_tree(root, merge_tags);
  if (bytes.empty()) return {};
  if (auto made = make_folders(path.parent_path()); !made) return made;
  if (auto written = write_file(path, bytes); !written) return written;
  remove_oldest(path.parent_path());
  return {};
}

}  // namespace pf::pipeline
