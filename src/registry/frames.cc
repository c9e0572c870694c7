#include "registry/frames.h"

#include <bit>
#include <cstring>

namespace pf::frames {

static_assert(std::endian::native == std::endian::little,
              "frame lengths are written as the machine has them");

size_t begin(std::string& out) {
  const size_t start = out.size();
  out.append(kHeader, '\0');
  return start;
}

void finish(std::string& out, size_t start) {
  const auto size = static_cast<uint32_t>(out.size() - start - kHeader);
  std::memcpy(out.data() + start, &size, kHeader);
}

void write_error(cbor::Writer& w, const Error& error) {
  w.array(5);
  w.text_or_bytes(error.code);
  w.text_or_bytes(error.message);
  w.text_or_bytes(error.hint);
  w.boolean(error.retryable);
  w.text_or_bytes(error.traceback);
}

Error read_error(cbor::Reader& in) {
  Error error;
  if (in.array() != 5) {
    in.fail();
    return error;
  }
  error.code = in.text();
  error.message = in.text();
  error.hint = in.text();
  error.retryable = in.boolean();
  error.traceback = in.text();
  return error;
}

Split split(std::string_view buffer) {
  Split out;
  if (buffer.size() < kHeader) return out;
  uint32_t size = 0;
  std::memcpy(&size, buffer.data(), kHeader);
  if (size > kMaxFrame) {
    out.status = Split::Status::oversized;
    return out;
  }
  if (buffer.size() - kHeader < size) return out;
  out.status = Split::Status::complete;
  out.payload = buffer.substr(kHeader, size);
  out.consumed = kHeader + size;
  return out;
}

}  // namespace pf::frames
