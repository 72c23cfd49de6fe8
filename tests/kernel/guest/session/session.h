// What the checks of the session program share. A check is a function without arguments; each runs
// in a process of its own, in an empty folder of its own, and ends at its first failure.
#ifndef SESSION_H
#define SESSION_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

// The value of a call that has to succeed (-1 is failure), a condition, an exact error.
#define must(call) must_at(__LINE__, #call, (call))
#define that(condition) that_at(__LINE__, #condition, (condition))
#define refused(call, error) (errno = 0, refused_at(__LINE__, #call, (call), error, #error))
long must_at(int line, const char* what, long result);
void that_at(int line, const char* what, bool holds);
void refused_at(int line, const char* what, long result, int error, const char* name);

// Ends the check: it makes no sense on this mount, for a reason that lies outside the server.
_Noreturn void left_out(const char* why);

// Whether `-o` named this, as in "cache=loose".
bool mount_is(const char* option);
bool privileged(void);

// The path of a name in this check's folder as the other client sees it; valid until the call after
// the next.
const char* other(const char* name);
// The folder that all sessions on one export share.
const char* shared(const char* name);

// A pattern that differs from place to place, written to and expected in a file.
void write_pattern(int fd, off_t offset, size_t count);
bool has_pattern(int fd, off_t offset, size_t count);
bool has_zeros(int fd, off_t offset, size_t count);
// A new file of `size` pattern bytes, synced so that the other client sees them.
int new_file(const char* name, size_t size);
struct stat stat_of(const char* name);

// Runs `body` in a process of its own and returns its exit status: 0, or an errno.
int in_child(int (*body)(void*), void* argument);
// Starts `body`, which calls ready() and then does what it likes until it is killed.
pid_t start_child(void (*body)(void*), void* argument);
void ready(void);
void kill_child(pid_t pid);

// Removes what is inside an open folder, however deep; closes it.
void remove_inside(int folder);

// memory_map comes after the files without a name. Client limit: with cache=mmap,access=any, 6.1
// makes an attach of its own for a map, and from then on looks for an unlinked open file by its
// path.
// clang-format off
#define CHECKS(X)                                                                                 \
  X(create_read_back) X(append) X(append_by_two_clients) X(truncate_and_extend) X(open_truncate)  \
  X(open_exclusive) X(open_direct) X(sparse) X(synchronize) X(send_file) X(many_writers)          \
  X(many_open) X(unlinked_open) X(replaced_open) X(removed_by_another) X(memory_map)              \
  X(rename_over) X(rename_folders) X(hard_links) X(symbolic_links) X(long_names) X(odd_names)     \
  X(wrong_uses) X(change_mode) X(change_owner) X(set_times) X(set_gid_folder) X(groups)           \
  X(file_system) X(user_xattrs) X(privileged_xattrs) X(acls) X(devices) X(fifo) X(unix_socket)    \
  X(whole_file_locks) X(range_locks) X(lock_query) X(lock_release) X(read_folder) X(big_folder)   \
  X(deep_folders) X(other_client_sees)
// clang-format on
#define DECLARE(name) void name(void);
CHECKS(DECLARE)
#undef DECLARE

#endif
