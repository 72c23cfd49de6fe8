// churn FILE COUNT [SEED]: COUNT random reads, writes and truncations of FILE, each compared with a
// copy in memory. Prints the seed; at the first difference, the operations that led to it.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kLargest = 300000, kHistory = 20 };

static unsigned char model[kLargest], buffer[kLargest];
static off_t size;
static const char* path;
static int fd;
static char history[kHistory][80];
static long done;

static uint64_t state;
static uint32_t below(uint32_t bound) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ z >> 31) % bound);
}

static void fail(const char* what) {
  printf("  operation %ld: %s (%s); the last ones:\n", done, what, strerror(errno));
  for (long i = done < kHistory ? 0 : done - kHistory + 1; i <= done; i++)
    printf("    %ld: %s\n", i, history[i % kHistory]);
  exit(1);
}
static void check(int holds, const char* what) {
  if (!holds) fail(what);
}

static void read_some(off_t at, size_t count) {
  ssize_t want = at >= size ? 0 : (off_t)count > size - at ? (ssize_t)(size - at) : (ssize_t)count;
  check(pread(fd, buffer, count, at) == want, "read count");
  for (ssize_t i = 0; i < want; i++)
    if (buffer[i] != model[at + i]) {
      snprintf(history[done % kHistory], 80, "read %zu at %ld: byte %ld is %d, not %d", count,
               (long)at, (long)(at + i), buffer[i], model[at + i]);
      fail("read data");
    }
}
static void write_some(off_t at, size_t count) {
  for (size_t i = 0; i < count; i++) model[at + (off_t)i] = (unsigned char)below(256);
  check(pwrite(fd, model + at, count, at) == (ssize_t)count, "write count");
  if (at + (off_t)count > size) size = at + (off_t)count;
}
static void set_size(off_t new_size) {
  check((below(2) ? ftruncate(fd, new_size) : truncate(path, new_size)) == 0, "truncate");
  if (new_size < size) memset(model + new_size, 0, (size_t)(size - new_size));
  size = new_size;
}
static void reopen(void) {
  check(close(fd) == 0, "close");
  fd = open(path, O_RDWR);
  check(fd >= 0, "open");
}
static void compare_size(void) {
  struct stat st;
  check((below(2) ? fstat(fd, &st) : stat(path, &st)) == 0, "stat");
  check(st.st_size == size, "size");
}

int main(int argc, char** argv) {
  if (argc < 3) return fprintf(stderr, "usage: churn FILE COUNT [SEED]\n"), 2;
  path = argv[1];
  long count = atol(argv[2]);
  state = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);
  printf("  churn %s %ld %lu\n", path, count, (unsigned long)state);
  fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  check(fd >= 0, "open");
  for (done = 0; done < count; done++) {
    off_t at = below(kLargest);
    size_t most = below(8) == 0 ? 100000 : 5000, length = 1 + below((uint32_t)most);
    if (at + (off_t)length > kLargest) length = (size_t)(kLargest - at);
    uint32_t kind = below(100);
    snprintf(history[done % kHistory], 80, "%s %zu at %ld, size %ld",
             kind < 45   ? "read"
             : kind < 85 ? "write"
             : kind < 92 ? "truncate"
                         : "look",
             length, (long)at, (long)size);
    if (kind < 45)
      read_some(at, length);
    else if (kind < 85)
      write_some(at, length);
    else if (kind < 92)
      set_size(at);
    else if (kind < 96)
      compare_size();
    else if (kind < 98)
      check(fsync(fd) == 0, "fsync");
    else
      reopen();
  }
  read_some(0, kLargest);
  return unlink(path) != 0;
}
