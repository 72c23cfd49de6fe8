// ^C: a run ends early, and what it made on the server is removed all the same.
#pragma once

namespace ninep::bench {

/// From now on the first SIGINT or SIGTERM is for give_up_if_interrupted(); the second one kills.
void watch_signals();

/// Ends the run if there was one. Any thread; to be called often.
void give_up_if_interrupted();

}  // namespace ninep::bench
