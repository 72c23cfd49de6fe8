// io FILE FOLDER BYTES SECONDS COUNT [direct]: what one device of a VM does, by a file of BYTES on
// it and an empty folder. Prints `WHAT ORDER BLOCK MB/s` for reads and writes, in order and each
// block once in a random order, in blocks of 4 KiB, 64 KiB and 1 MiB: as often through the whole
// file as takes at least SECONDS. Then `create|stat|unlink - - files/s`, of COUNT files; none if
// COUNT is 0. `direct`: by O_DIRECT.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "io: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void* memory(size_t size) {
  void* at = NULL;
  check(posix_memalign(&at, 4096, size) == 0, "memory");
  memset(at, 'x', size);
  return at;
}

static void shuffle(unsigned* order, size_t count) {
  srand(1);
  for (size_t i = count; i > 1; --i) {
    const size_t other = (size_t)rand() % i;
    const unsigned former = order[i - 1];
    order[i - 1] = order[other];
    order[other] = former;
  }
}

static void transfer(int fd, int writes, int random, size_t block, size_t bytes, double seconds) {
  const size_t count = bytes / block;
  void* const data = memory(block);
  unsigned* const order = memory(count * sizeof *order);
  for (size_t i = 0; i < count; ++i) order[i] = (unsigned)i;
  if (random) shuffle(order, count);
  size_t passes = 0;
  const double began = now();
  do {
    for (size_t i = 0; i < count; ++i) {
      const off_t at = (off_t)((size_t)order[i] * block);
      const ssize_t size = writes ? pwrite(fd, data, block, at) : pread(fd, data, block, at);
      check(size == (ssize_t)block, writes ? "write" : "read");
    }
    ++passes;
  } while (now() - began < seconds);
  printf("%s %s %zu %.3f\n", writes ? "write" : "read", random ? "random" : "sequential", block,
         (double)(passes * count * block) / 1e6 / (now() - began));
  free(data);
  free(order);
}

static void files(int folder, int count) {
  static const char* const kWhat[] = {"create", "stat", "unlink"};
  for (int what = 0; what < 3; ++what) {
    const double began = now();
    for (int i = 0; i < count; ++i) {
      char name[32];
      struct stat status;
      snprintf(name, sizeof name, "file-%d", i);
      if (what == 0) {
        const int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        check(fd >= 0 && close(fd) == 0, "create");
      } else if (what == 1) {
        check(fstatat(folder, name, &status, 0) == 0, "stat");
      } else {
        check(unlinkat(folder, name, 0) == 0, "unlink");
      }
    }
    printf("%s - - %.0f\n", kWhat[what], count / (now() - began));
  }
}

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) {
    fprintf(stderr, "see the head of io.c\n");
    return 2;
  }
  const size_t bytes = strtoul(argv[3], NULL, 10);
  const double seconds = strtod(argv[4], NULL);
  const int count = atoi(argv[5]);
  const int fd = open(argv[1], O_RDWR | (argc == 7 ? O_DIRECT : 0));
  check(fd >= 0, argv[1]);
  const int folder = open(argv[2], O_DIRECTORY | O_RDONLY);
  check(folder >= 0, argv[2]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t block = 4096; block <= 1 << 20; block *= 16)
    for (int way = 0; way < 4; ++way) transfer(fd, way & 1, way & 2, block, bytes, seconds);
  if (count > 0) files(folder, count);
  return 0;
}
