// 9pserve: options to a Server, signals to its stop, and the line to paste.
#include <csignal>
#include <filesystem>
#include <set>
#include <system_error>

#include <absl/strings/ascii.h>
#include <absl/strings/str_replace.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/fs/local.h"
#include "server/options.h"

namespace {

using ninep::server::Server;

Server* running = nullptr;

void on_signal(int) { running->stop(); }

int fail(const std::string& what, int status = 1) {
  std::fprintf(stderr, "9pserve: %s\n", what.c_str());
  return status;
}
constexpr int kUsage = 2;  // the exit status

ninep::io::Choice choice(const std::string& name) {
  using ninep::io::Choice;
  return name == "io_uring"   ? Choice::kUring
         : name == "portable" ? Choice::kPortable
                              : Choice::kAuto;
}

/// Descriptors are what fids are made of: a Linux client keeps one for each file name that it
/// remembers. Root may have as many as the system's fs.nr_open allows.
void raise_descriptor_limit() {
  for (rlim_t wanted : {rlim_t{1} << 20, rlim_t{1} << 19, rlim_t{1} << 18}) {
    const rlimit limit{wanted, wanted};
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  }
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const auto from_root = std::filesystem::absolute(path, error);
  return error ? path : from_root.string();
}

/// As a shell takes it for one word.
std::string quoted(const std::string& text) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

/// As QEMU takes a value among others: a comma would end it, two are one.
std::string qemu_value(const std::string& text) { return absl::StrReplaceAll(text, {{",", ",,"}}); }

/// A name that QEMU takes for an id: a letter, then letters, digits and -._
std::string id_of(const std::string& tag) {
  std::string id = absl::ascii_isalpha(static_cast<unsigned char>(tag[0])) ? tag : "tag-" + tag;
  for (char& c : id)
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return id;
}

/// How QEMU gets a device.
std::string qemu_line(const Server::Place& device, const std::string& id) {
  const auto& [kind, tag, msix] = device.protocol;
  const std::string where = device.name.substr(device.name.find(':') + 1);
  const std::string path = where.starts_with("fd=") ? "PATH" : absolute(where);
  const std::string arguments =
      kind == ninep::transport::Protocol::Kind::kVfioUser
          ? "-device " +
                quoted(nlohmann::ordered_json{{"driver", "vfio-user-pci"},
                                              {"socket", {{"type", "unix"}, {"path", path}}}}
                           .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
          : "-chardev socket,id=" + id + ",path=" + quoted(qemu_value(path)) +
                (device.how == Server::Place::How::kConnects ? ",server=on,wait=on" : "") +
                " -device vhost-user-test-device-pci,chardev=" + id +
                ",virtio-id=9,num_vqs=1,vq_size=128,config_size=256";
  return "qemu-system-x86_64 ... -object memory-backend-memfd,id=mem,size=SIZE,share=on "
         "-machine memory-backend=mem " +
         arguments;
}

/// How QEMU gets a device, unless a VMM has it already, and how its guest mounts it.
void print_device(const Server::Place& device, const std::string& id) {
  if (device.how != Server::Place::How::kIsConnected)
    std::fprintf(stderr, "%s\n", qemu_line(device, id).c_str());
  std::fprintf(stderr,
               "in the guest: mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 %s /mnt\n",
               quoted(device.protocol.tag).c_str());
}

/// How a Linux client mounts `address`; empty if its kernel can't by itself.
std::string mount_line(const std::string& address, const ninep::server::Options& options) {
  std::string source;
  std::string trans;
  if (address.starts_with("tcp:")) {
    const auto colon = address.rfind(':');
    source = address.substr(4, colon - 4);
    if (source.starts_with('[')) source = source.substr(1, source.size() - 2);
    if (source == "0.0.0.0" || source == "::") source = "HOST";
    trans = "trans=tcp,port=" + address.substr(colon + 1);
  } else if (address.starts_with("unix:")) {
    source = quoted(absolute(address.substr(5)));
    trans = "trans=unix";
  } else {
    return "";
  }
  // cache=none is the default and always right; access=user acts as whoever makes the call.
  return "mount -t 9p -o " + trans + ",version=9p2000.L,msize=" + std::to_string(options.msize) +
         ",access=user,cache=none " + source + " /mnt";
}

/// Where the operations of each kind were made.
void log_counters(const Server& server) {
  const auto counters = server.counters();
  for (std::size_t i = 0; i < counters.size(); ++i) {
    const auto& [in_place, ring, pool] = counters[i];
    if (in_place + ring + pool == 0) continue;
    spdlog::debug("operations: {} in place {} ring {} pool {}",
                  ninep::io::kind_name(static_cast<ninep::io::Kind>(i)), in_place, ring, pool);
  }
}

int serve(const ninep::server::Options& options) {
  // First of all: later, a descriptor that nobody gave us would be one of our own, and ours would
  // take what is printed.
  struct Wanted {
    ninep::transport::Address address;
    bool connects;
  };
  std::vector<Wanted> wanted;
  for (const bool connects : {false, true})
    for (const std::string& text : connects ? options.connect : options.listen) {
      const auto address = ninep::transport::Address::parse(text);
      if (!address.ok()) return fail(std::string(address.status().message()));
      if (const auto given = ninep::transport::check_given(*address); !given.ok())
        return fail(std::string(given.message()));
      for (const Wanted& other : wanted)
        if (address->collides_with(other.address))
          return fail("address '" + text + "': that place is given twice");
      if (address->directory.empty() && options.directory.empty())
        return fail("DIR is missing, the directory that " + text + " shows; see 9pserve --help",
                    kUsage);
      wanted.push_back({*address, connects});
    }
  int unused = 0;
  while (unused >= 0 && unused <= STDERR_FILENO) unused = ::open("/dev/null", O_RDWR);
  ::close(unused);
  std::shared_ptr<ninep::fs::Tree> tree;  // none: each address has its own
  if (!options.directory.empty()) {
    auto made = ninep::fs::make_local_tree(options.directory);
    if (!made.ok()) return fail(std::string(made.status().message()));
    tree = *made;
  }
  if (options.io == "io_uring") {
    const auto loop = ninep::io::make_uring_loop();
    if (!loop)
      return fail("io_uring is not available here (" +
                  std::string(ninep::errno_text(loop.error())) + "); --io=portable serves without");
  }
  Server server({.exported = {tree, options.read_only},
                 .msize_max = options.msize,
                 .threads = options.threads,
                 .io = choice(options.io),
                 .trace = options.trace});
  for (const auto& [address, connects] : wanted) {
    std::optional<ninep::server::Export> exported;
    if (!address.directory.empty()) {
      auto other = ninep::fs::make_local_tree(address.directory);
      if (!other.ok()) return fail(std::string(other.status().message()));
      exported = {*other, options.read_only};
    }
    if (const auto status =
            connects ? server.connect(address, exported) : server.listen(address, exported);
        !status.ok())
      return fail(std::string(status.message()));
  }

  running = &server;
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  spdlog::info("serving {}{} with {}", tree ? options.directory : "the addresses' folders",
               options.read_only ? " (read-only)" : "", server.io_name());
  if (!server.users().acts_as_others())
    spdlog::info("not root: every client acts as the user that runs this server");
  std::set<std::string> ids;
  for (const Server::Place& place : server.places()) {
    if (place.how == Server::Place::How::kListens) spdlog::info("listening on {}", place.name);
    if (place.protocol.kind != ninep::transport::Protocol::Kind::kFrames) {
      std::string id = id_of(place.protocol.tag);
      while (!ids.insert(id).second) id += "-2";
      print_device(place, id);
      continue;
    }
    const std::string line = mount_line(place.name, options);
    if (!line.empty()) std::fprintf(stderr, "%s\n", line.c_str());
  }
  server.run();
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  log_counters(server);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("9pserve"));
  ninep::server::Options options;
  int exit_status = 0;
  if (!ninep::server::parse_options(argc, argv, options, exit_status)) return exit_status;
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // EFBIG is enough
  raise_descriptor_limit();
  try {
    return serve(options);
  } catch (const std::system_error& error) {
    return fail(error.what());
  }
}
