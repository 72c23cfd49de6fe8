// io FILE read|write sequential|random BLOCK SECONDS [direct]: reads or writes a file in blocks, in
// order or each once in a random order, as often through the whole file as takes at least SECONDS;
// prints MB/s. `direct`: by O_DIRECT. io FOLDER create|stat|unlink COUNT: so many files; prints how
// many per second.
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

static void transfer(char** args, int direct) {
  const int writes = strcmp(args[2], "write") == 0;
  const int fd = open(args[1], (writes ? O_WRONLY : O_RDONLY) | (direct ? O_DIRECT : 0));
  struct stat status;
  check(fd >= 0 && fstat(fd, &status) == 0, args[1]);
  const size_t block = strtoul(args[4], NULL, 10);
  const size_t count = (size_t)status.st_size / block;
  const double seconds = strtod(args[5], NULL);
  void* const data = memory(block);
  unsigned* const order = memory(count * sizeof *order);
  for (size_t i = 0; i < count; ++i) order[i] = (unsigned)i;
  if (strcmp(args[3], "random") == 0) shuffle(order, count);
  size_t passes = 0;
  const double began = now();
  do {
    for (size_t i = 0; i < count; ++i) {
      const off_t at = (off_t)((size_t)order[i] * block);
      const ssize_t size = writes ? pwrite(fd, data, block, at) : pread(fd, data, block, at);
      check(size == (ssize_t)block, args[2]);
    }
    ++passes;
  } while (now() - began < seconds);
  printf("%.3f\n", (double)(passes * count * block) / 1e6 / (now() - began));
}

static void files(const char* folder, const char* what, int count) {
  check(chdir(folder) == 0, folder);
  const double began = now();
  for (int i = 0; i < count; ++i) {
    char name[32];
    struct stat status;
    snprintf(name, sizeof name, "file-%d", i);
    if (strcmp(what, "create") == 0) {
      const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
      check(fd >= 0 && close(fd) == 0, "create");
    } else if (strcmp(what, "stat") == 0) {
      check(stat(name, &status) == 0, "stat");
    } else {
      check(unlink(name) == 0, "unlink");
    }
  }
  printf("%.0f\n", count / (now() - began));
}

int main(int argc, char** argv) {
  if (argc == 4) {
    files(argv[1], argv[2], atoi(argv[3]));
  } else if (argc == 6 || argc == 7) {
    transfer(argv, argc == 7);
  } else {
    fprintf(stderr, "see the head of io.c\n");
    return 2;
  }
  return 0;
}
