#include "tests/conversation/vanish.h"

#include <cstdlib>

namespace ninep::test {

std::vector<std::byte> bit_of_everything(U32 number) {
  std::vector<std::byte> all;
  const auto say = [&](U16 tag, const auto& m) {
    const auto frame = frame_of(Tag{tag}, m, kDotL);
    all.insert(all.end(), frame.begin(), frame.end());
  };
  const std::string name = "n" + std::to_string(number % 7);
  say(0xFFFF, Tversion{kMsize, "9P2000.L"});
  say(0, Tattach{Fid{0}, kNoFid, "", "", 0});
  say(1, Twalk{Fid{0}, Fid{1}, {}});
  say(2, Tlcreate{Fid{1}, name, lopen::kReadWrite, 0644, 0});
  say(3, Twrite{Fid{1}, 0, as_bytes("some data")});
  say(4, Tlock{Fid{1}, lock::kWrite, 0, 0, 0, 1, "host"});
  say(5, Tread{Fid{1}, 0, 4096});
  say(6, Twalk{Fid{0}, Fid{2}, {name}});
  say(7, Txattrcreate{Fid{2}, "user.a", 100, 0});
  say(8, Twrite{Fid{2}, 0, as_bytes("half of it")});
  say(9, Tflush{Tag{5}});
  say(10, Twalk{Fid{0}, Fid{3}, {}});
  say(11, Tlopen{Fid{3}, 0});
  say(12, Treaddir{Fid{3}, 0, 4096});
  say(13, Tfsync{Fid{1}, 0});
  return all;
}

void leave(Client client, Bytes bytes, End end, bool reads) {
  client.send_raw(bytes);
  Received first;
  if (reads && bytes.size() > 40) client.receive(first);
  if (end == End::kReset) client.reset_on_close();
  if (end == End::kHalf) {
    client.half_close();
    while (client.receive(first)) continue;  // what was asked for in full may still come
  }
}

void vanish(Client client, U32 number) {
  const auto all = bit_of_everything(number);
  const std::size_t size = (number * 7919u) % (all.size() + 1);
  leave(std::move(client), Bytes(all).first(size), static_cast<End>(number % 3), number % 2 == 0);
}

unsigned count_of_vanishing(unsigned usual) {
  const char* given = std::getenv("NINEP_COUNT");
  return given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : usual;
}

}  // namespace ninep::test
