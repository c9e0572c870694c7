#include "worker/link.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "registry/frames.h"
#include "worker/hub.h"

namespace pf::worker {
namespace {
constexpr size_t kRead = 64 << 10;
constexpr size_t kKeep = 1 << 20;  // a buffer beyond this is given back when it is empty
constexpr size_t kTurn = 4 << 20;  // bytes that one worker may bring in a turn before others have theirs
}  // namespace

Link::Link(Hub& hub, UniqueFd socket, Events& events)
    : hub_(&hub), socket_(hub.loop(), socket.release()), events_(&events) {}

void Link::start() { wait_to_read(); }

void Link::wait_to_read() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](std::error_code code) {
                       if (code || self->events_ == nullptr) return;
                       Hub::Turn turn(*self->hub_);
                       if (self->pump(kTurn, false)) self->wait_to_read();
                     });
}

void Link::make_room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == 0 && in_.size() > kKeep) in_ = std::string();
  size_t want = kRead;
  if (end_ - begin_ >= frames::kHeader) {
    uint32_t size = 0;
    std::memcpy(&size, in_.data() + begin_, frames::kHeader);  // at most kMaxFrame, or split() had refused it
    want = std::max<size_t>(want, frames::kHeader + size_t{size});
  }
  if (in_.size() - begin_ >= want && end_ < in_.size()) return;
  std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (in_.size() < want || end_ == in_.size()) in_.resize(std::max(want, end_ + kRead));
}

bool Link::pump(size_t limit, bool until_empty) {
  size_t total = 0;
  while (total < limit) {
    make_room();
    const size_t space = in_.size() - end_;
    const ssize_t n = recv(socket_.native_handle(), in_.data() + end_, space, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) {
      Events* events = events_;
      close();
      events->ended();
      return false;
    }
    end_ += static_cast<size_t>(n);
    total += static_cast<size_t>(n);
    if (!tell_frames()) return false;
    if (!until_empty && static_cast<size_t>(n) < space) return true;  // that was all
  }
  return true;
}

bool Link::tell_frames() {
  while (true) {
    const auto split = frames::split({in_.data() + begin_, end_ - begin_});
    if (split.status == frames::Split::Status::incomplete) return true;
    if (split.status == frames::Split::Status::oversized) {
      uint32_t size = 0;
      std::memcpy(&size, in_.data() + begin_, frames::kHeader);
      events_->oversized(size);
      return false;
    }
    begin_ += split.consumed;
    events_->frame(split.payload);
    if (events_ == nullptr) return false;
  }
}

void Link::drain() {
  const auto self = shared_from_this();
  if (events_ != nullptr) pump(SIZE_MAX, true);
}

void Link::touched() {
  if (dirty_ || writing_ || hub_ == nullptr) return;
  dirty_ = true;
  hub_->flush_later(shared_from_this());
}

void Link::flush() {
  dirty_ = false;
  if (events_ == nullptr || writing_) return;
  size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t n =
        send(socket_.native_handle(), out_.data() + sent, out_.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      sent += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      sent = out_.size();  // the worker is gone: the reader hears of it
    }
  }
  if (sent == out_.size()) {
    out_.clear();
    if (out_.capacity() > kKeep) out_.shrink_to_fit();
    return;
  }
  out_.erase(0, sent);
  writing_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this()](std::error_code code) {
                       self->writing_ = false;
                       if (!code) self->flush();
                     });
}

void Link::close() {
  events_ = nullptr;
  hub_ = nullptr;
  if (socket_.is_open()) socket_.close();
}

}  // namespace pf::worker
