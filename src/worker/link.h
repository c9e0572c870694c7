// The core's end of one worker's socket: whole frames in, from one large buffer; frames out, sent at once at
// the end of the loop's turn, or when the socket takes them. On the loop's thread; shared, since handlers of
// the loop hold it.
#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"

namespace pf::worker {

class Hub;

/// A worker's socket.
class Link : public std::enable_shared_from_this<Link> {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    /// One frame; valid during the call.
    virtual void frame(std::string_view payload) = 0;
    /// The worker announced a frame of `size` bytes, more than allowed.
    virtual void oversized(uint32_t size) = 0;
    /// The other end is closed. Nothing comes after it.
    virtual void ended() = 0;
  };

  Link(Hub& hub, UniqueFd socket, Events& events);
  void start();
  /// A frame is begun with frames::begin(out()) and ended with frames::finish(); then call touched().
  std::string& out() { return out_; }
  void touched();
  /// Sends what there is.
  void flush();
  /// Reads what has come already, without waiting, whatever it is.
  void drain();
  /// Nothing is read, sent or told any more.
  void close();

 private:
  void wait_to_read();
  /// Reads and tells; false when the end has come.
  bool pump(size_t limit, bool until_empty);
  bool tell_frames();
  void make_room();

  Hub* hub_;
  asio::posix::stream_descriptor socket_;
  Events* events_;
  std::string in_;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::string out_;
  bool dirty_ = false;
  bool writing_ = false;
};

}  // namespace pf::worker
