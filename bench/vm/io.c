// io FILE read|write seq|rand BLOCK BYTES [direct]: reads or writes so many bytes in blocks, in
// order or each block once in a random order; prints MB/s. `direct`: by O_DIRECT. io FOLDER files
// COUNT: creates, looks at and removes so many files; prints each per second.
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

static void files(const char* folder, int count) {
  static const char* const kWhat[] = {"create", "stat", "unlink"};
  check(chdir(folder) == 0, folder);
  for (int what = 0; what < 3; ++what) {
    const double began = now();
    for (int i = 0; i < count; ++i) {
      char name[32];
      struct stat status;
      snprintf(name, sizeof name, "file-%d", i);
      if (what == 0) {
        const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        check(fd >= 0 && close(fd) == 0, "create");
      } else if (what == 1) {
        check(stat(name, &status) == 0, "stat");
      } else {
        check(unlink(name) == 0, "unlink");
      }
    }
    printf("%s %.0f\n", kWhat[what], count / (now() - began));
  }
}

static void transfer(char** args, int direct) {
  const int writes = strcmp(args[1], "write") == 0;
  const int random = strcmp(args[2], "rand") == 0;
  const size_t block = strtoul(args[3], NULL, 10);
  const size_t count = strtoul(args[4], NULL, 10) / block;
  const int fd = open(args[0], (writes ? O_WRONLY : O_RDONLY) | (direct ? O_DIRECT : 0));
  check(fd >= 0, args[0]);
  void* memory;
  check(posix_memalign(&memory, 4096, block) == 0, "memory");
  memset(memory, 'x', block);
  unsigned* order = malloc(count * sizeof *order);
  check(order != NULL, "memory");
  for (size_t i = 0; i < count; ++i) order[i] = (unsigned)i;
  srand(1);
  for (size_t i = count; random && i > 1; --i) {
    const size_t other = (size_t)rand() % i;
    const unsigned former = order[i - 1];
    order[i - 1] = order[other];
    order[other] = former;
  }
  const double began = now();
  for (size_t i = 0; i < count; ++i) {
    const off_t at = (off_t)((size_t)order[i] * block);
    const ssize_t size = writes ? pwrite(fd, memory, block, at) : pread(fd, memory, block, at);
    check(size == (ssize_t)block, args[1]);
  }
  printf("%.3f\n", (double)(count * block) / 1e6 / (now() - began));
}

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[2], "files") == 0) {
    files(argv[1], atoi(argv[3]));
  } else if (argc == 6 || argc == 7) {
    transfer(argv + 1, argc == 7);
  } else {
    fprintf(stderr, "see the head of io.c\n");
    return 2;
  }
  return 0;
}
