// Nanoseconds per message for decode and encode. From a release build, on a quiet processor:
//   taskset -c 1 bench/codec_bench --benchmark_repetitions=9 --benchmark_report_aggregates_only
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "proto/frame.h"

namespace ninep {
namespace {

// ------------------------------------------------------------------ the messages

Tread tread() { return {Fid{1}, 4096, 65536}; }

Twrite twrite() {
  static const std::vector<std::byte> data(4096, std::byte{0x5a});
  return {Fid{1}, 4096, Bytes(data)};
}

Rgetattr rgetattr() {
  Rgetattr m{};
  m.valid = getattr::kBasic;
  m.attr.qid = {kQtFile, 7, 123456};
  m.attr.mode = 0100644;
  m.attr.size = 4096;
  return m;
}

Twalk twalk() {
  Twalk m{Fid{1}, Fid{2}, {}};
  for (U32 i = 0; i < kWalkNamesMax; ++i) m.wname.push_back("directory");
  return m;
}

constexpr int kEntries = 100;

Rreaddir rreaddir() {
  static const std::vector<std::byte> data = [] {
    std::vector<std::byte> bytes(kEntries * 64);
    Room room = bytes;
    for (U64 i = 0; i < kEntries; ++i)
      if (!encode_front(Dirent{{kQtFile, 0, i}, i + 1, 8, "some-file-name.txt"}, kDotL, room))
        std::abort();
    bytes.resize(bytes.size() - room.size());
    return bytes;
  }();
  return {Bytes(data)};
}

// ------------------------------------------------------------------ decode and encode

template <class M>
void decode_message(benchmark::State& state, M (*make)()) {
  const M m = make();
  std::vector<std::byte> body(encoded_size(m, kDotL));
  if (!encode(m, kDotL, body)) std::abort();
  for (auto _ : state) {
    Bytes input = body;
    benchmark::DoNotOptimize(input);
    M decoded{};
    if (!decode(input, kDotL, decoded)) std::abort();
    benchmark::DoNotOptimize(decoded);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

template <class M>
void encode_message(benchmark::State& state, M (*make)()) {
  M m = make();
  std::vector<std::byte> frame(frame_size(m, kDotL));
  for (auto _ : state) {
    benchmark::DoNotOptimize(m);
    if (encode_frame(Tag{1}, m, kDotL, frame) == 0) std::abort();
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(frame.size()));
}

#define BENCH_MESSAGE(make)                      \
  BENCHMARK_CAPTURE(decode_message, make, make); \
  BENCHMARK_CAPTURE(encode_message, make, make)

BENCH_MESSAGE(tread);
BENCH_MESSAGE(twrite);
BENCH_MESSAGE(rgetattr);
BENCH_MESSAGE(twalk);

// A directory is read and written entry by entry.
void decode_rreaddir(benchmark::State& state) {
  const Rreaddir m = rreaddir();
  std::vector<std::byte> body(encoded_size(m, kDotL));
  if (!encode(m, kDotL, body)) std::abort();
  for (auto _ : state) {
    Bytes input = body;
    benchmark::DoNotOptimize(input);
    Rreaddir decoded{};
    if (!decode(input, kDotL, decoded)) std::abort();
    int count = 0;
    for (Bytes rest = decoded.data.bytes; !rest.empty(); ++count) {
      Dirent entry{};
      if (!decode_front(rest, kDotL, entry)) std::abort();
      benchmark::DoNotOptimize(entry);
    }
    if (count != kEntries) std::abort();
  }
}
BENCHMARK(decode_rreaddir);

void encode_rreaddir(benchmark::State& state) {
  std::vector<std::byte> frame(kReadHeaderSize + kEntries * 64);
  Dirent entry{{kQtFile, 0, 0}, 0, 8, "some-file-name.txt"};
  for (auto _ : state) {
    Room room = Room(frame).subspan(kReadHeaderSize);
    const std::size_t before = room.size();
    for (int i = 0; i < kEntries; ++i) {
      benchmark::DoNotOptimize(entry);
      if (!encode_front(entry, kDotL, room)) std::abort();
    }
    encode_payload_head<Rreaddir>(Tag{1}, static_cast<U32>(before - room.size()), frame);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(encode_rreaddir);

// ------------------------------------------------------------------ by hand, to compare with

/// Rgetattr as one would write it without a description: one check, then loads.
bool decode_rgetattr_by_hand(Bytes body, Rgetattr& m) {
  if (body.size() != 153) return false;
  const std::byte* at = body.data();
  const auto load = [&](auto& value) {
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
  };
  load(m.valid);
  load(m.attr.qid.type);
  load(m.attr.qid.version);
  load(m.attr.qid.path);
  load(m.attr.mode);
  load(m.attr.uid);
  load(m.attr.gid);
  load(m.attr.nlink);
  load(m.attr.rdev);
  load(m.attr.size);
  load(m.attr.blksize);
  load(m.attr.blocks);
  load(m.attr.atime_sec);
  load(m.attr.atime_nsec);
  load(m.attr.mtime_sec);
  load(m.attr.mtime_nsec);
  load(m.attr.ctime_sec);
  load(m.attr.ctime_nsec);
  load(m.attr.btime_sec);
  load(m.attr.btime_nsec);
  load(m.attr.gen);
  load(m.attr.data_version);
  return true;
}

/// Twalk with a check before each read.
bool decode_twalk_by_hand(Bytes body, Twalk& m) {
  const std::byte* at = body.data();
  const std::byte* const end = at + body.size();
  if (end - at < 10) return false;
  U16 count;
  std::memcpy(&m.fid, at, 4);
  std::memcpy(&m.newfid, at + 4, 4);
  std::memcpy(&count, at + 8, 2);
  at += 10;
  if (count > kWalkNamesMax) return false;
  for (U16 i = 0; i < count; ++i) {
    U16 size;
    if (end - at < 2) return false;
    std::memcpy(&size, at, 2);
    at += 2;
    if (end - at < size) return false;
    m.wname.push_back({reinterpret_cast<const char*>(at), size});
    at += size;
  }
  return at == end;
}

template <class M>
void by_hand(benchmark::State& state, M (*make)(), bool (*decode_it)(Bytes, M&)) {
  const M m = make();
  std::vector<std::byte> body(encoded_size(m, kDotL));
  if (!encode(m, kDotL, body)) std::abort();
  M check{};
  if (!decode_it(body, check) || !(check == m)) std::abort();
  for (auto _ : state) {
    Bytes input = body;
    benchmark::DoNotOptimize(input);
    M decoded{};
    if (!decode_it(input, decoded)) std::abort();
    benchmark::DoNotOptimize(decoded);
  }
}
BENCHMARK_CAPTURE(by_hand, rgetattr, rgetattr, decode_rgetattr_by_hand);
BENCHMARK_CAPTURE(by_hand, twalk, twalk, decode_twalk_by_hand);

}  // namespace
}  // namespace ninep

BENCHMARK_MAIN();
