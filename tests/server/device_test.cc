// 9pserve as the device of a VM: where it listens or connects to, what it prints, which folder each
// device shows, and that devices and networks share one server's files and locks.
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/server/program.h"
#include "tests/server/unix_sockets.h"
#include "tests/transports/temp_dir.h"
#include "tests/transports/vfio_user/client.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {
namespace {

/// A VM with a driver, at one end of a socket; what a Client says at the other goes through the
/// ring, one frame after the other.
template <class Front>
class Guest {
 public:
  explicit Guest(int fd) : front_(fd), driver_(ram_) {
    front_.start(ram_, driver_);
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_) == 0);
    thread_ = std::thread([this] { pass_on(); });
  }
  ~Guest() {
    thread_.join();
    ::close(pair_[0]);
  }
  /// Once. The guest ends when it has gone.
  Client client() { return Client(pair_[1]); }

 private:
  void pass_on() {
    const U64 in = ram_.take(kMsize);
    const U64 out = ram_.take(kMsize);
    while (true) {
      U32 size;
      if (::recv(pair_[0], &size, sizeof size, MSG_WAITALL) != sizeof size) return;
      std::memcpy(ram_.at(out), &size, sizeof size);
      if (::recv(pair_[0], ram_.at(out + 4), size - 4, MSG_WAITALL) < 0) return;
      driver_.chain({{out, size}, {in, 11, kWrite}, {in + 11, kMsize - 11, kWrite}});
      front_.kick();
      const auto used = front_.wait_used(driver_);
      NINEP_CHECK(used);
      NINEP_CHECK(::send(pair_[0], ram_.at(in), used->length, 0) == used->length);
    }
  }

  GuestRam ram_;
  Front front_;
  Driver driver_;
  int pair_[2];
  std::thread thread_;
};

class DeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"one", "two"}) {
      std::filesystem::create_directory(path(name));
      std::ofstream(path(name) + "/f") << name;
    }
    std::ofstream(path("secret")) << "secret";
  }
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  /// Of "f", by an attach with this aname.
  static std::string content(Client c, const char* aname = "") {
    c.version();
    if (const auto got = c.call(Tattach{Fid{0}, kNoFid, "", aname, 0}); got.error() != 0)
      return "error " + std::to_string(got.error());
    return c.content(0, "f");
  }
  TempDir folder;
  std::string said;
};

TEST_F(DeviceTest, PrintsWhatToPaste) {
  Program program({"--listen", "vhost-user:" + path("a.sock") + ",tag=a", "--listen",
                   "vfio-user:" + path("b.sock") + ",tag=b", "--connect",
                   "vhost-user:" + path("c.sock") + ",tag=c", "--listen",
                   "vhost-user:" + path("d \"e.sock") + ",tag=my share", "--listen",
                   "vfio-user:" + path("d \"f.sock") + ",tag=1st", "--listen",
                   "vfio-user:" + path("\xff.sock") + ",tag=z", path("one")});
  ASSERT_TRUE(program.says("msize=512000 c /mnt\n"));
  ASSERT_TRUE(program.says("msize=512000 1st /mnt\n"));
  ASSERT_TRUE(program.says("msize=512000 z /mnt\n"));  // a name that JSON can't say
  for (const std::string& part :
       {"-chardev socket,id=a,path=" + path("a.sock") +
            " -device vhost-user-test-device-pci,"
            "chardev=a,virtio-id=9,num_vqs=1,vq_size=128,config_size=256\n",
        "'{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"" +
            path("b.sock") + "\"}}'\n",
        "path=" + path("c.sock") + ",server=on,wait=on -device",
        " -chardev socket,id=my-share,path='" + path("d \"e.sock") +
            "' -device vhost-user-test-device-pci,chardev=my-share,",
        std::string("mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 'my share' /mnt\n"),
        "\"path\":\"" + path("d \\\"f.sock") + "\"}}'\n",
        std::string("mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 b /mnt\n")})
    EXPECT_NE(program.said.find(part), program.said.npos) << part << "\n" << program.said;
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
}

TEST_F(DeviceTest, UsageErrors) {
  for (const auto& [option, address, part] :
       std::initializer_list<std::tuple<const char*, std::string, const char*>>{
           {"--connect", "tcp:127.0.0.1:1", "vhost-user:PATH,tag=NAME"},
           {"--connect", "vhost-user:fd=0,tag=a", "no UNIX stream socket"},
           {"--connect", "vfio-user:" + path("s") + ",tag=a", "vhost-user:PATH,tag=NAME"},
           {"--connect", "vhost-user:" + path("s"), "tag=NAME"},
           {"--connect", "vhost-user:" + path("s") + ",tag=a,mode=0600", "mode="},
           {"--listen", "vhost-user:" + path("s") + ",tag=a,dir=" + path("none"), "none"},
           {"--listen", "vhost-user:" + path("s") + ",tag=a,msix=off", "msix=off"},
           {"--listen", "vhost-user:fd=77,tag=a", "77"},
           {"--listen", "vhost-user:fd=0,tag=a", "no UNIX stream socket"},
           {"--listen", "vhost-user:fd=x,tag=a", "fd=3"},
           {"--listen", "vhost-user:fd=3,tag=a,mode=0600", "mode=0600"},
           {"--listen", "vhost-user:" + path("s") + ",tag=a,tag=b", "tag is there twice"},
           {"--listen", "vhost-user:" + path("s") + ",tag=-a", "option"}}) {
    EXPECT_EQ(run({option, address, path("one")}, said), 1) << address;
    EXPECT_NE(said.find(part), said.npos) << said;
  }
}

// Each device shows its listener's folder, whatever aname the guest sends.
TEST_F(DeviceTest, ATagIsAFolder) {
  const std::string vhost = path("a.sock");
  const std::string vfio = path("b.sock");
  Program program({"--listen", "vhost-user:" + vhost + ",tag=a", "--listen",
                   "vfio-user:" + vfio + ",tag=b,dir=" + path("two") + ",ro", path("one")});
  ASSERT_TRUE(program.says("b /mnt\n"));
  EXPECT_EQ(content(Guest<FrontEnd>(connected_to(vhost)).client()), "one");
  EXPECT_EQ(content(Guest<VfioClient>(connected_to(vfio)).client()), "two");
  for (const auto& [own, other] : {std::pair{"one", "two"}, std::pair{"two", "one"}}) {
    const std::string outside = path(other);
    const std::string beside = std::string("../") + other;
    for (const std::string& aname : {std::string(".."), beside, "/" + beside, outside,
                                     std::string("f"), std::string("none")}) {
      const bool first = own == std::string("one");
      const std::string got =
          first ? content(Guest<FrontEnd>(connected_to(vhost)).client(), aname.c_str())
                : content(Guest<VfioClient>(connected_to(vfio)).client(), aname.c_str());
      EXPECT_TRUE(got.starts_with("error ") || got == own) << aname << ": " << got;
    }
  }
  Guest<VfioClient> guest(connected_to(vfio));
  Client c = guest.client();
  c.version();
  c.attach(0);
  EXPECT_EQ(c.call(Tmkdir{Fid{0}, "d", 0755, 0}).error(), EROFS);
}

// No directory but the addresses' own.
TEST_F(DeviceTest, FoldersOfTheirOwn) {
  const std::string socket = path("a.sock");
  Program program({"--listen", "vhost-user:" + socket + ",tag=a,dir=" + path("two")});
  ASSERT_TRUE(program.says("a /mnt\n"));
  EXPECT_EQ(content(Guest<FrontEnd>(connected_to(socket)).client()), "two");
  EXPECT_EQ(run({"--listen", "vhost-user:" + path("b.sock") + ",tag=b"}, said), 2);
  EXPECT_NE(said.find("DIR is missing"), said.npos) << said;
}

// A socket that cannot be a VMM's is no reason to end without a word.
TEST_F(DeviceTest, DescriptorsOfTheWrongKind) {
  int datagrams[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, datagrams), 0);
  const int alone = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  for (const auto& [fd, part] : {std::pair{datagrams[0], "no UNIX stream socket"},
                                 std::pair{alone, "neither listens nor"}}) {
    Program program({"--listen", "vhost-user:fd=0,tag=a", path("one")}, {.in = fd});
    EXPECT_EQ(program.wait(), 1);
    EXPECT_NE(program.said.find(part), program.said.npos) << program.said;
  }
  for (const int fd : {datagrams[0], datagrams[1], alone}) ::close(fd);
}

// As Kata starts virtiofsd with --fd=3: a socket that listens, or one that is connected.
TEST_F(DeviceTest, DescriptorsThatAreThere) {
  {
    const int listening = listening_on(path("s"));
    Program program({"--listen", "vhost-user:fd=0,tag=a", path("one")}, {.in = listening});
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(content(Guest<FrontEnd>(connected_to(path("s"))).client()), "one");
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
    ::close(listening);
  }
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  Program program({"--listen", "vfio-user:fd=0,tag=a", path("one")}, {.in = pair[0]});
  ::close(pair[0]);
  EXPECT_EQ(content(Guest<VfioClient>(pair[1]).client()), "one");
  EXPECT_EQ(program.wait(), 0);  // there was no other way to reach it
  EXPECT_NE(program.said.find("msize=512000 a /mnt\n"), program.said.npos) << program.said;
}

// A VMM that listens, before the server comes or after; the next one; and none.
TEST_F(DeviceTest, Connects) {
  Program program({"--connect", "vhost-user:" + path("vmm") + ",tag=a", path("one")});
  ASSERT_TRUE(program.says("waits for a VMM"));
  for (int i = 0; i < 3; ++i) {
    const int listening = listening_on(path("vmm"));
    const int fd = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_EQ(content(Guest<FrontEnd>(fd).client()), "one");
    ::close(listening);
    std::filesystem::remove(path("vmm"));
  }
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
}

// A front end that asks and asks and takes no answer is no reason to stay for ever.
TEST_F(DeviceTest, SigtermWithAFrontEndThatDoesNotRead) {
  for (const char* kind : {"vhost-user:", "vfio-user:"}) {
    Program program({"--listen", kind + path("a") + ",tag=a", path("one")});
    ASSERT_TRUE(program.says("a /mnt\n"));
    MessagePeer peer(connected_to(path("a")));
    std::vector<std::byte> ask;
    if (kind[1] == 'h') {
      ask = vhost_user::bytes_of(vhost_user::Header{1, 1, 0});  // GET_FEATURES
    } else {
      VfioClient client(::dup(peer.fd()));
      ASSERT_EQ(client.version(), 0);
      ask = vhost_user::bytes_of(vfio_user::Header{9, 4, 32, 0, 0});  // DEVICE_GET_INFO
      ask.resize(32, std::byte{0});
    }
    for (int full = 0; full < 50;) {
      if (::send(peer.fd(), ask.data(), ask.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        ++full;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      } else {
        full = 0;
      }
    }
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
  }
}

// Two VMs, by one protocol each, and a network client: one tree, one table of locks.
TEST_F(DeviceTest, SharesFilesAndLocks) {
  Program program({"--listen", "vhost-user:" + path("a") + ",tag=a", "--listen",
                   "vfio-user:" + path("b") + ",tag=b", "--listen", "unix:" + path("c"),
                   "--threads", "3", path("one")});
  ASSERT_TRUE(program.says("listening on unix:"));
  Guest<FrontEnd> vhost(connected_to(path("a")));
  Guest<VfioClient> vfio(connected_to(path("b")));
  std::vector<Client> clients;
  clients.push_back(vhost.client());
  clients.push_back(vfio.client());
  clients.push_back(connect_to(path("c")));
  for (Client& c : clients) {
    c.version();
    c.attach(0);
    EXPECT_EQ(c.call(Twalk{Fid{0}, Fid{1}, {"f"}}).error(), 0);
    EXPECT_EQ(c.call(Tlopen{Fid{1}, lopen::kReadWrite}).error(), 0);
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::string text = "by " + std::to_string(i);
    EXPECT_EQ(clients[i].call(Twrite{Fid{1}, 0, as_bytes(text)}).error(), 0);
    const auto lock = [&](std::size_t who, auto type) {
      return clients[who].call(Tlock{Fid{1}, type, 0, 0, 0, 1, "host"}).template as<Rlock>().status;
    };
    EXPECT_EQ(lock(i, lock::kWrite), lock::kSuccess);
    for (std::size_t other = 0; other < clients.size(); ++other) {
      EXPECT_EQ(as_str(clients[other].call(Tread{Fid{1}, 0, 64}).as<Rread>().data.bytes), text);
      if (other == i) continue;
      EXPECT_EQ(lock(other, lock::kWrite), lock::kBlocked);
    }
    EXPECT_EQ(lock(i, lock::kUnlock), lock::kSuccess);
  }
}

}  // namespace
}  // namespace ninep::test
