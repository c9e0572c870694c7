#include "worker/program_protocol.h"

#include "base/cbor.h"

namespace pf::worker {
namespace {

void write_list(cbor::Writer& w, const std::vector<std::string>& list) {
  w.array(list.size());
  for (const auto& text : list) w.bytes(text);
}

std::vector<std::string> read_list(cbor::Reader& in) {
  std::vector<std::string> out;
  for (uint64_t left = in.array(); left > 0 && in.ok(); --left) out.emplace_back(in.text());
  return out;
}

void write_paths(cbor::Writer& w, const std::vector<ProgramPath>& list) {
  w.array(list.size() * 2);
  for (const auto& path : list) {
    w.bytes(path.path);
    w.unsigned_integer(path.trusted);
  }
}

std::vector<ProgramPath> read_paths(cbor::Reader& in) {
  std::vector<ProgramPath> out;
  for (uint64_t left = in.array() / 2; left > 0 && in.ok(); --left) {
    ProgramPath path;
    path.path = in.text();
    path.trusted = in.unsigned_int();
    out.push_back(std::move(path));
  }
  return out;
}

}  // namespace

std::string encode(const ProgramSpec& spec) {
  std::string out;
  cbor::Writer w(out);
  w.array(11);
  w.bytes(spec.file);
  write_list(w, spec.arguments);
  write_list(w, spec.environment);
  w.bytes(spec.folder);
  w.boolean(spec.network);
  w.boolean(spec.shm);
  w.boolean(spec.pty);
  write_paths(w, spec.read);
  write_paths(w, spec.write);
  w.unsigned_integer(spec.file_size);
  w.boolean(spec.grant_file);
  return out;
}

bool decode(std::string_view text, ProgramSpec& out) {
  cbor::Reader in(text);
  const uint64_t items = in.array();
  out.file = in.text();
  out.arguments = read_list(in);
  out.environment = read_list(in);
  out.folder = in.text();
  out.network = in.boolean();
  out.shm = in.boolean();
  out.pty = in.boolean();
  out.read = read_paths(in);
  out.write = read_paths(in);
  out.file_size = in.unsigned_int();
  out.grant_file = in.boolean();
  return items == 11 && in.ok() && in.at_end();
}

}  // namespace pf::worker
