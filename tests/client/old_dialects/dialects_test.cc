// Which dialect is agreed on, and every message in each.
#include <filesystem>

#include "client/client.h"
#include "proto/print.h"
#include "tests/bytes.h"
#include "tests/client/old_dialects/fixture.h"
#include "tests/client/scripted.h"

namespace ninep::test {
namespace {

using client::Client;
using client::Session;

struct Refuses {
  OldServer::Refusal how;
  const char* name;
};

class Negotiation : public OnLoop {
 protected:
  /// The dialect that is agreed with a server of `dialect`, or the error.
  std::string agreed(Dialects dialect, OldServer::Refusal refusal, client::Options options = {}) {
    TempDir folder;
    OldServer server(folder / "s", {.dialect = dialect, .refusal = refusal});
    options.user.uname = "me";
    auto client = run(context, Client::connect("unix:" + (folder / "s"), options));
    versions = server.versions();
    if (!client) return client.error().text();
    EXPECT_EQ(get(client->root().stat()).attr.mode, S_IFDIR | 0777u);
    EXPECT_EQ(server.complaints(), std::vector<std::string>());
    return std::string(dialect_name(client->dialect()));
  }
  /// What becomes of a session whose Tversion is answered so.
  template <Message R>
  std::string answered(const R& r, Dialects dialect, Session::Options options = {}) {
    Scripted server([&](Bytes) { return frame_of(kNoTag, r, dialect); });
    const auto session = run(context, Session::open(stream_to(server.client), options));
    return session ? std::string(dialect_name((*session)->dialect())) + " " +
                         std::to_string((*session)->msize())
                   : session.error().text();
  }
  std::vector<std::string> versions;
};

TEST_F(Negotiation, EachWayToRefuse) {
  using enum OldServer::Refusal;
  using Asked = std::vector<std::string>;
  const Asked l{"9P2000.L"}, lu{"9P2000.L", "9P2000.u"}, lu2{"9P2000.L", "9P2000.u", "9P2000"};
  for (const auto refusal : {kSaysUnknown, kSendsAnError, kCloses}) {
    SCOPED_TRACE(static_cast<int>(refusal));
    EXPECT_EQ(agreed(kDotU, refusal), "9P2000.u");
    EXPECT_EQ(versions, lu);
    EXPECT_EQ(agreed(k9P2000, refusal), "9P2000");
    EXPECT_EQ(versions, lu2);
  }
  EXPECT_EQ(agreed(kDotU, kSaysItsOwn), "9P2000.u");
  EXPECT_EQ(versions, l);
  EXPECT_EQ(agreed(k9P2000, kSaysItsOwn), "9P2000");
  EXPECT_EQ(versions, l);
}

// Where there is none in common, the error has what the server said.
TEST_F(Negotiation, None) {
  using enum OldServer::Refusal;
  client::Options options;
  options.session.dialects = kDotL;
  EXPECT_EQ(agreed(k9P2000, kSaysUnknown, options),
            "agree on a dialect: Protocol not supported (to 9P2000.L the server said: unknown)");
  EXPECT_EQ(agreed(k9P2000, kSaysItsOwn, options),
            "agree on a dialect: Protocol not supported (to 9P2000.L the server said: 9P2000)");
  EXPECT_EQ(agreed(k9P2000, kSendsAnError, options),
            "agree on a dialect: Protocol not supported (to 9P2000.L the server said: unknown "
            "protocol version)");
  EXPECT_NE(agreed(k9P2000, kCloses, options).find("Connection reset by peer"), std::string::npos);
  options.session.dialects = kUnix;
  EXPECT_NE(agreed(k9P2000, kCloses, options).find("Connection reset by peer"), std::string::npos);
  EXPECT_EQ(versions.size(), 2u);
  EXPECT_EQ(
      answered(Rlerror{ENOMEM}, kDotL),
      "agree on a dialect: Protocol not supported (to 9P2000 the server said: Cannot allocate "
      "memory)");
  EXPECT_EQ(answered(Rerror{"go away", EPERM}, kDotU),
            "agree on a dialect: Protocol not supported (to 9P2000 the server said: go away)");
}

TEST_F(Negotiation, WhatIsNoAnswer) {
  EXPECT_EQ(answered(Rversion{8192, "9P2000.L"}, kDotL), "9P2000.L 8192");
  EXPECT_EQ(answered(Rversion{1 << 20, "9P2000.u"}, kDotL), "9P2000.u 1048576");
  EXPECT_EQ(answered(Rversion{8193, "9P2000.L"}, kDotL, {.msize = 8192}),
            "Tversion: Protocol error (the server wants messages of 8193 bytes, where 8192 were "
            "offered)");
  EXPECT_EQ(
      answered(Rversion{255, "9P2000"}, kDotL),
      "Tversion: Protocol error (the server takes messages of 255 bytes at most, which is too "
      "little)");
  // A newer one than was asked for, and one that only begins so.
  EXPECT_NE(answered(Rversion{8192, "9P2000.L"}, kDotL, {.dialects = kOld}).find("not supported"),
            std::string::npos);
  EXPECT_NE(answered(Rversion{8192, "9P2000.Lx"}, kDotL).find("not supported"), std::string::npos);
  EXPECT_NE(answered(Rversion{8192, ""}, kDotL).find("not supported"), std::string::npos);
  EXPECT_EQ(answered(Rclunk{}, kDotL),
            "Tversion: Protocol error (the server sent another reply than was asked for)");
}

// A connection that is made again speaks what the first one did.
TEST_F(Negotiation, StaysWithItsDialect) {
  TempDir folder;
  std::optional<OldServer> server;
  const std::string address = folder / "s";
  server.emplace(address, OldServer::Options{.dialect = kDotU});
  client::Options options;
  options.user.uname = "me";
  Client client = get(Client::connect("unix:" + address, options));
  server.reset();
  std::filesystem::remove(address);
  server.emplace(address, OldServer::Options{.dialect = k9P2000});
  EXPECT_NE(error(client.root().stat()).find("to 9P2000.u the server said: unknown"),
            std::string::npos);
  EXPECT_EQ(server->versions(), std::vector<std::string>{"9P2000.u"});
}

// Before .L a user is a name; .u has numbers as well, and they decide. attach(5)
TEST_F(Negotiation, Users) {
  for (const Dialects dialect : {k9P2000, kDotU}) {
    TempDir folder;
    OldServer server(folder / "s", {.dialect = dialect});
    const std::string number = dialect == kDotU ? " 7" : " -";
    client::Options options;
    options.user.uid = 7;
    options.user.uname = "somebody";
    get(Client::connect("unix:" + (folder / "s"), options));
    options.user.uname = "";
    options.user.uid = 0;
    get(Client::connect("unix:" + (folder / "s"), options));
    // Where only a name counts, it is that of the number.
    const std::vector<std::string> expected{
        "somebody" + number, dialect == kDotU ? std::string(" 0") : std::string("root -")};
    EXPECT_EQ(server.users(), expected);
  }
}

// ------------------------------------------------------------------ every message

/// A message with something else in each field.
struct Fill {
  U8& seed;
  template <Integer T>
  void operator()(T& value) const {
    value = static_cast<T>(++seed);
  }
  void operator()(Str& value) const {
    static constexpr Str kTexts = "abcdefghijklmnopqrstuvwxyz";
    value = kTexts.substr(++seed % 20, 5);
  }
  void operator()(Payload& value) const { value = as_bytes(Str("data")); }
  template <Described M>
  void operator()(M& record) const {
    each_field<M>([&](const auto& field) { (*this)(record.*field.at); });
  }
  template <bool must_agree>
  void operator()(Counted<must_agree>& counted) const {
    (*this)(counted.stat);
  }
  template <Dialects set, class T, Dialects lax>
  void operator()(Only<set, T, lax>& only) const {
    (*this)(only.value);
  }
  template <class T, U16 N>
  void operator()(List<T, N>& list) const {
    for (int i = 0; i < 3; ++i) {
      T item{};
      (*this)(item);
      list.push_back(item);
    }
  }
};
template <Message M>
M filled() {
  M m{};
  U8 seed = Describe<M>::code;
  Fill{seed}(m);
  return m;
}

class EveryMessage : public OnLoop, public testing::WithParamInterface<Dialects> {};

TEST_P(EveryMessage, IsCalled) {
  const Dialects d = GetParam();
  std::string came;
  Scripted server([&](Bytes request) -> std::optional<Frame> {
    const Header asked = read_header(request);
    if (asked.type == Describe<Tversion>::code && asked.tag == kNoTag)
      return frame_of(kNoTag, Rversion{65536, dialect_name(d)}, d);
    came = print_frame(request, d);
    Frame reply;
    each_message([&]<class R>() {
      if (Describe<R>::code == asked.type + 1) reply = frame_of(asked.tag, filled<R>(), d);
    });
    return reply;
  });
  const auto session = must(run(context, Session::open(stream_to(server.client), {.dialects = d})));
  int called = 0;
  each_message([&]<class T>() {
    if constexpr (is_request(Describe<T>::code)) {
      SCOPED_TRACE(Describe<T>::name);
      using R = ReplyTo<T>;
      came.clear();
      const T request = filled<T>();
      const auto replied = run(context, session->call(request));
      if (!has(Describe<T>::dialects, d)) {
        ASSERT_FALSE(replied);
        EXPECT_EQ(replied.error().text(),
                  std::string(Describe<T>::name) + ": Operation not supported (" +
                      std::string(dialect_name(d)) + " has no such message)");
        EXPECT_EQ(came, "");
        return;
      }
      ASSERT_TRUE(replied) << replied.error().text();
      const std::string sent = print_frame(frame_of(Tag{0}, request, d), d);
      EXPECT_EQ(came, sent);
      EXPECT_NE(sent.find(Describe<T>::name), std::string::npos);
      EXPECT_EQ(to_hex(frame_of(Tag{0}, **replied, d)), to_hex(frame_of(Tag{0}, filled<R>(), d)));
      ++called;
    }
  });
  // version(5), auth, attach, flush, walk, read, write, clunk, remove; and each dialect's own.
  EXPECT_EQ(called, d == kDotL ? 28 : d == kDotU ? 13 : 14);
  EXPECT_FALSE(session->lost());
}

INSTANTIATE_TEST_SUITE_P(Each, EveryMessage, testing::ValuesIn(kDialects), dialect_text);

}  // namespace
}  // namespace ninep::test
