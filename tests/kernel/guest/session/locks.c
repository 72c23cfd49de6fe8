// Checks of locks between two clients.
#include <sys/file.h>

#include "session.h"

// A request for a lock, made by another process on the other client; its errno, or 0 if granted.
struct request {
  const char* name;
  int kind;  // F_RDLCK, F_WRLCK; LOCK_SH, LOCK_EX
  off_t start, length;
};
static int range_lock(int fd, int kind, off_t start, off_t length) {
  struct flock lock = {
      .l_type = (short)kind, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, F_SETLK, &lock);
}
static int ask_range(void* argument) {
  struct request* request = argument;
  int fd = open(request->name, O_RDWR);
  return fd >= 0 && range_lock(fd, request->kind, request->start, request->length) == 0 ? 0 : errno;
}
static int range(int kind, off_t start, off_t length) {
  struct request request = {other("file"), kind, start, length};
  return in_child(ask_range, &request);
}
void range_locks(void) {
  int fd = new_file("file", 1000);
  must(range_lock(fd, F_WRLCK, 0, 100));
  that(range(F_WRLCK, 50, 100) == EAGAIN);
  that(range(F_RDLCK, 99, 1) == EAGAIN);
  that(range(F_WRLCK, 0, 0) == EAGAIN);
  that(range(F_WRLCK, 100, 100) == 0);
  must(range_lock(fd, F_UNLCK, 40, 20));  // a hole in the middle
  that(range(F_WRLCK, 40, 20) == 0);
  that(range(F_WRLCK, 39, 1) == EAGAIN);
  that(range(F_WRLCK, 60, 1) == EAGAIN);
  must(range_lock(fd, F_RDLCK, 0, 40));
  that(range(F_RDLCK, 0, 40) == 0);
  that(range(F_WRLCK, 0, 40) == EAGAIN);
  must(range_lock(fd, F_WRLCK, 500, 0));  // to the end, however far
  that(range(F_WRLCK, 1LL << 40, 1) == EAGAIN);
  that(range(F_WRLCK, 499, 1) == 0);
  must(range_lock(fd, F_UNLCK, 0, 0));
  that(range(F_WRLCK, 0, 0) == 0);
}

static int ask_whole(void* argument) {
  struct request* request = argument;
  int fd = open(request->name, O_RDWR);
  return fd >= 0 && flock(fd, request->kind | LOCK_NB) == 0 ? 0 : errno;
}
static int whole(int kind) {
  struct request request = {other("file"), kind, 0, 0};
  return in_child(ask_whole, &request);
}

void whole_file_locks(void) {
  int fd = new_file("file", 10);
  that(whole(LOCK_EX) == 0);
  must(flock(fd, LOCK_EX | LOCK_NB));
  that(whole(LOCK_EX) == EWOULDBLOCK);
  that(whole(LOCK_SH) == EWOULDBLOCK);
  must(flock(fd, LOCK_UN));
  that(whole(LOCK_EX) == 0);
  must(flock(fd, LOCK_SH | LOCK_NB));
  that(whole(LOCK_SH) == 0);
  that(whole(LOCK_EX) == EWOULDBLOCK);
  must(close(fd));
  that(whole(LOCK_EX) == 0);
}

static int ask_who(void* argument) {
  struct request* request = argument;
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 90, .l_len = 50};
  int fd = (int)must(open(request->name, O_RDWR));
  must(fcntl(fd, F_GETLK, &lock));
  that(lock.l_type == F_WRLCK && lock.l_start == 0 && lock.l_len == 100);
  lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 50};
  must(fcntl(fd, F_GETLK, &lock));
  that(lock.l_type == F_UNLCK);
  return 0;
}
void lock_query(void) {
  int fd = new_file("file", 1000);
  must(range_lock(fd, F_WRLCK, 0, 100));
  struct request request = {other("file"), 0, 0, 0};
  that(in_child(ask_who, &request) == 0);
}

static void hold_range(void* name) {
  int fd = (int)must(open(name, O_RDWR));
  must(range_lock(fd, F_WRLCK, 0, 10));
  ready();
  pause();
}
static void hold_whole(void* name) {
  int fd = (int)must(open(name, O_RDWR));
  must(flock(fd, LOCK_EX));
  ready();
  pause();
}
void lock_release(void) {
  int fd = new_file("file", 10);
  must(range_lock(fd, F_WRLCK, 0, 10));
  that(range(F_WRLCK, 0, 10) == EAGAIN);
  // POSIX: closing any descriptor of the file gives up the process's locks.
  must(close((int)must(open("file", O_RDONLY))));
  that(range(F_WRLCK, 0, 10) == 0);
  must(range_lock(fd, F_WRLCK, 0, 10));
  must(close(fd));
  that(range(F_WRLCK, 0, 10) == 0);
  pid_t pid = start_child(hold_range, "file");
  that(range(F_WRLCK, 5, 1) == EAGAIN);
  kill_child(pid);
  that(range(F_WRLCK, 5, 1) == 0);
  pid = start_child(hold_whole, "file");
  that(whole(LOCK_SH) == EWOULDBLOCK);
  kill_child(pid);
  that(whole(LOCK_SH) == 0);
}
