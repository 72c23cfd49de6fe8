// Frames: size[4] type[1] tag[2] body[size - 7].
#pragma once

#include "proto/codec.h"

namespace ninep {

struct Header {
  U32 size;  // of the whole frame, itself included
  U8 type;
  Tag tag;
};
NINEP_RECORD(Header, size, type, tag);

/// `bytes` holds at least kHeaderSize.
inline Header read_header(Bytes bytes) {
  Header h{};
  BasicReader<false> r(bytes.first(kHeaderSize), kAny);
  get_fields(r, h);
  return h;
}

/// Into a frame that is there: its sender may know the tag last. Holds at least kHeaderSize.
inline void set_tag(Room frame, Tag tag) {
  const Header h = read_header(frame);
  Writer w(frame.data(), kAny);
  put_fields(w, Header{h.size, h.type, tag});
}

inline Bytes frame_body(Bytes frame) { return frame.subspan(kHeaderSize); }

/// The front of what a stream brought.
enum class Front {
  kIncomplete,  // `size` bytes are needed to go on: a header, or the whole frame
  kFrame,       // a frame of `size` bytes
  kBroken,      // a size below 7 or above msize: the stream cannot be followed any more
};
struct Split {
  Front front;
  std::size_t size;
};
inline Split split_frame(Bytes received, U32 msize) {
  if (received.size() < sizeof(U32)) return {Front::kIncomplete, kHeaderSize};
  U32 size;
  std::memcpy(&size, received.data(), sizeof size);
  if (size < kHeaderSize || size > msize) return {Front::kBroken, size};
  return {received.size() < size ? Front::kIncomplete : Front::kFrame, size};
}

/// The size of m's frame.
template <Message M>
constexpr std::size_t frame_size(const M& m, Dialects d) {
  return kHeaderSize + encoded_size(m, d);
}

/// Writes a frame to the front of `room`. Returns its size; 0, and nothing written, if it doesn't
/// fit.
template <Message M>
[[nodiscard]] std::size_t encode_frame(Tag tag, const M& m, Dialects d, Room room) {
  const std::size_t size = frame_size(m, d);
  if (size > room.size()) return 0;
  Writer w(room.data(), d);
  put_fields(w, Header{static_cast<U32>(size), Describe<M>::code, tag});
  put_fields(w, m);
  return size;
}

/// Reads the fields that stand before a Twrite's data, which are elsewhere: `count` bytes. `front`
/// is the frame up to them.
struct WriteFront {
  Fid fid;
  U64 offset;
  U32 count;
};
NINEP_RECORD(WriteFront, fid, offset, count);
inline constexpr std::size_t kWriteFrontSize = kHeaderSize + 16;
inline WriteFront read_write_front(Bytes front) {
  WriteFront w{};
  BasicReader<false> r(front.subspan(kHeaderSize), kAny);
  get_fields(r, w);
  return w;
}

/// Writes what stands before a Twrite's `count` bytes of data, which are elsewhere.
inline void encode_write_front(Tag tag, const WriteFront& front, Room room) {
  Writer w(room.data(), kAny);
  put_fields(w,
             Header{static_cast<U32>(kWriteFrontSize) + front.count, Describe<Twrite>::code, tag});
  put_fields(w, front);
}

/// Writes the header and count[4] that stand before the data of an Rread or Rreaddir, where the
/// data are in place already.
template <Message M>
  requires std::same_as<M, Rread> || std::same_as<M, Rreaddir>
void encode_payload_head(Tag tag, U32 count, Room room) {
  Writer w(room.data(), kAny);
  put_fields(w, Header{kReadHeaderSize + count, Describe<M>::code, tag});
  w.number(count);
}

}  // namespace ninep
