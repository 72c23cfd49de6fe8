// Bytes to messages and back: one get(), put() and size per *field type*, none per message.
//
// decode() never allocates and never reads outside `body`; what it makes points into `body`.
// encode() writes exactly encoded_size() bytes or nothing.
#pragma once

#include <bit>
#include <concepts>
#include <cstring>
#include <limits>

#include "proto/messages.h"

namespace ninep {

static_assert(std::endian::native == std::endian::little, "the codec copies integers as they are");

template <class T>
concept Integer = std::unsigned_integral<T> || (std::is_enum_v<T> && sizeof(T) <= 4);

// ------------------------------------------------------------------ sizes

/// What cannot be encoded (a string of over 64 KiB) counts as larger than any room.
inline constexpr std::size_t kUnencodable = std::size_t{1} << 48;
inline constexpr std::size_t kStatMax = 0xFFFF;   // what size[2], which stands before it, can say
inline constexpr std::size_t kNstatMax = 0xFFFF;  // nstat[2] counts size[2] too

template <Described M>
constexpr std::size_t encoded_size(const M& m, Dialects d);

template <Integer T>
constexpr std::size_t field_size(const T&, Dialects) {
  return sizeof(T);
}
inline constexpr std::size_t field_size(const Str& s, Dialects) {
  return s.size() > kStringMax ? kUnencodable : 2 + s.size();
}
inline constexpr std::size_t field_size(const Payload& p, Dialects) {
  return p.size() > std::numeric_limits<U32>::max() ? kUnencodable : 4 + p.size();
}
inline constexpr std::size_t field_size(const Qid&, Dialects) { return kQidSize; }
inline constexpr std::size_t field_size(const Attr& a, Dialects d) { return encoded_size(a, d); }
inline constexpr std::size_t field_size(const Stat& s, Dialects d) {
  const std::size_t size = encoded_size(s, d);
  return size > kStatMax ? kUnencodable : 2 + size;
}
template <bool must_agree>
constexpr std::size_t field_size(const Counted<must_agree>& c, Dialects d) {
  const std::size_t nstat = field_size(c.stat, d);
  return nstat > kNstatMax ? kUnencodable : 2 + nstat;
}
template <Dialects set, class T, Dialects lax>
constexpr std::size_t field_size(const Only<set, T, lax>& o, Dialects d) {
  return has(set, d) ? field_size(o.value, d) : 0;
}
template <class T, U16 N>
constexpr std::size_t field_size(const List<T, N>& list, Dialects d) {
  std::size_t size = 2;
  for (const T& item : list) size += field_size(item, d);
  return size;
}

/// The size of m's body on the wire.
template <Described M>
constexpr std::size_t encoded_size(const M& m, Dialects d) {
  std::size_t size = 0;
  each_field<M>([&](const auto& field) { size += field_size(m.*field.at, d); });
  return size;
}

namespace detail {
template <class T>
inline constexpr bool kFixed = Integer<T>;
template <>
inline constexpr bool kFixed<Qid> = true;
template <>
inline constexpr bool kFixed<Attr> = true;
template <Dialects set, class T>
inline constexpr bool kFixed<Only<set, T, kNone>> = kFixed<T>;

template <class M>
consteval bool fixed() {
  bool all = true;
  each_field<M>([&](const auto& field) {
    all = all && kFixed<typename std::decay_t<decltype(field)>::Type>;
  });
  return all;
}
}  // namespace detail

/// Whether M's size depends on the dialect alone.
template <Described M>
inline constexpr bool kFixedSize = detail::fixed<M>();

// ------------------------------------------------------------------ reading

/// A cursor over a body. Reading past the end sets a flag and gives zeros; nothing is thrown.
/// With Checked false the caller has compared the sizes before.
template <bool Checked>
class BasicReader {
 public:
  BasicReader(Bytes body, Dialects d)
      : dialect(d), at_(body.data()), end_(body.data() + body.size()) {}

  template <Integer T>
  T number() {
    T value{};
    if (!Checked || sizeof(T) <= left()) {
      std::memcpy(&value, at_, sizeof(T));
      at_ += sizeof(T);
    } else {
      fail();
    }
    return value;
  }
  Bytes take(std::size_t size) {
    if (Checked && size > left()) {
      fail();
      return {};
    }
    const Bytes bytes{at_, size};
    at_ += size;
    return bytes;
  }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  void fail() {
    ok_ = false;
    at_ = end_;
  }
  bool ok() const { return ok_; }
  /// Everything was read and nothing was missing.
  bool complete() const { return ok_ && at_ == end_; }

  const Dialects dialect;

 private:
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};
using Reader = BasicReader<true>;

template <bool C, Described M>
void get_fields(BasicReader<C>& r, M& m) {
  each_field<M>([&](const auto& field) { get(r, m.*field.at); });
}

template <bool C, Integer T>
void get(BasicReader<C>& r, T& value) {
  value = r.template number<T>();
}
template <bool C>
void get(BasicReader<C>& r, Qid& qid) {
  get_fields(r, qid);
}
template <bool C>
void get(BasicReader<C>& r, Attr& attr) {
  get_fields(r, attr);
}
inline void get(Reader& r, Str& s) { s = as_str(r.take(r.number<U16>())); }
inline void get(Reader& r, Payload& p) { p.bytes = r.take(r.number<U32>()); }
inline void get(Reader& r, Stat& stat) {
  Reader inner(r.take(r.number<U16>()), r.dialect);
  get_fields(inner, stat);  // what is left of `inner` is padding
  if (!inner.ok()) r.fail();
}
template <bool must_agree>
void get(Reader& r, Counted<must_agree>& c) {
  const U16 nstat = r.number<U16>();
  if ((must_agree && nstat != r.left()) || r.left() > kNstatMax) return r.fail();
  get(r, c.stat);
}
template <bool C, Dialects set, class T, Dialects lax>
void get(BasicReader<C>& r, Only<set, T, lax>& only) {
  const bool left_out = has(lax, r.dialect) && r.left() == 0;
  if (has(set, r.dialect) && !left_out) get(r, only.value);
}
template <class T, U16 N>
void get(Reader& r, List<T, N>& list) {
  const U16 count = r.number<U16>();
  if (count > N) return r.fail();
  for (U16 i = 0; i < count && r.ok(); ++i) {
    T item;
    get(r, item);
    list.push_back(item);
  }
}

/// Reads a whole body. False if a field reaches past the end or bytes are left over; m is then
/// incomplete. m must be fresh (M{}): fields that the dialect lacks are left alone.
template <Described M>
[[nodiscard]] bool decode(Bytes body, Dialects d, M& m) {
  if constexpr (kFixedSize<M>) {
    if (body.size() != encoded_size(m, d)) return false;
    BasicReader<false> r(body, d);
    get_fields(r, m);
    return true;
  } else {
    Reader r(body, d);
    get_fields(r, m);
    return r.complete();
  }
}

/// Reads the record at the front of `bytes` (a Dirent, a directory's Stat) and takes it off.
template <Described M>
[[nodiscard]] bool decode_front(Bytes& bytes, Dialects d, M& m) {
  Reader r(bytes, d);
  if constexpr (std::same_as<M, Stat>) {
    get(r, m);
  } else {
    get_fields(r, m);
  }
  if (r.ok()) bytes = bytes.last(r.left());
  return r.ok();
}

// ------------------------------------------------------------------ writing

/// A cursor over room that is known to suffice.
class Writer {
 public:
  Writer(std::byte* at, Dialects d) : dialect(d), at_(at) {}

  template <Integer T>
  void number(T value) {
    std::memcpy(at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  void bytes(Bytes b) {
    if (!b.empty()) std::memcpy(at_, b.data(), b.size());
    at_ += b.size();
  }

  const Dialects dialect;

 private:
  std::byte* at_;
};

template <Described M>
void put_fields(Writer& w, const M& m) {
  each_field<M>([&](const auto& field) { put(w, m.*field.at); });
}

template <Integer T>
void put(Writer& w, const T& value) {
  w.number(value);
}
inline void put(Writer& w, const Qid& qid) { put_fields(w, qid); }
inline void put(Writer& w, const Attr& attr) { put_fields(w, attr); }
inline void put(Writer& w, const Str& s) {
  w.number(static_cast<U16>(s.size()));
  w.bytes(as_bytes(s));
}
inline void put(Writer& w, const Payload& p) {
  w.number(static_cast<U32>(p.size()));
  w.bytes(p.bytes);
}
template <Dialects set, class T, Dialects lax>
void put(Writer& w, const Only<set, T, lax>& only);
inline void put(Writer& w, const Stat& stat) {
  w.number(static_cast<U16>(encoded_size(stat, w.dialect)));
  put_fields(w, stat);
}
template <bool must_agree>
void put(Writer& w, const Counted<must_agree>& c) {
  w.number(static_cast<U16>(field_size(c.stat, w.dialect)));
  put(w, c.stat);
}
template <Dialects set, class T, Dialects lax>
void put(Writer& w, const Only<set, T, lax>& only) {
  if (has(set, w.dialect)) put(w, only.value);
}
template <class T, U16 N>
void put(Writer& w, const List<T, N>& list) {
  w.number(list.count);
  for (const T& item : list) put(w, item);
}

/// Writes the encoded_size(m, d) bytes of m to the front of `room`. False, and nothing written, if
/// they don't fit.
template <Described M>
[[nodiscard]] bool encode(const M& m, Dialects d, Room room) {
  if (encoded_size(m, d) > room.size()) return false;
  Writer w(room.data(), d);
  put_fields(w, m);
  return true;
}

/// Writes a record of a directory (a Dirent, a Stat) to the front of `room` and takes that off.
/// False, and nothing written, if it doesn't fit.
template <Described M>
[[nodiscard]] bool encode_front(const M& m, Dialects d, Room& room) {
  std::size_t size = 0;
  if constexpr (std::same_as<M, Stat>) {
    size = field_size(m, d);
  } else {
    size = encoded_size(m, d);
  }
  if (size > room.size()) return false;
  Writer w(room.data(), d);
  if constexpr (std::same_as<M, Stat>) {
    put(w, m);
  } else {
    put_fields(w, m);
  }
  room = room.subspan(size);
  return true;
}

}  // namespace ninep
