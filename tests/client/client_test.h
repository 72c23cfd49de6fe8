// What tests of the client begin with: one that is connected to 9pserve, through a proxy.
#pragma once

#include <list>

#include "tests/client/on_loop.h"
#include "tests/client/served.h"

namespace ninep::test {

class ClientTest : public OnLoop, protected Served {
 protected:
  ClientTest() { connect(); }
  client::Client& connect(client::Options options = {}) {
    return clients.emplace_back(get(client::Client::connect(address(), options)));
  }
  client::Node& at_root() { return clients.front().root(); }

  std::list<client::Client> clients;
};

}  // namespace ninep::test
