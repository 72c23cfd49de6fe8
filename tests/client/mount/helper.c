// helper WHAT FILE...: what the tests of a mount do to files that shells have no words for.
// Says what was wrong and exits 1; each WHAT is a function below.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_at(int line, const char* what, long result) {
  if (result >= 0) return;
  printf("line %d: %s: %s\n", line, what, strerror(errno));
  exit(1);
}
#define must(call) check_at(__LINE__, #call, (long)(call))
#define that(holds) (errno = 0, check_at(__LINE__, #holds, (holds) ? 0 : -1))

static int open_it(const char* name, int flags) {
  const int fd = open(name, flags, 0644);
  must(fd);
  return fd;
}
static void wait_for(int count) {
  for (int status; count > 0; --count) {
    must(wait(&status));
    that(status == 0);
  }
}

// Four processes write every fourth 1000 bytes of a file by a shared map; each sees all of it.
static void map(char** argument) {
  enum { kProcesses = 4, kPart = 1000, kParts = 2000 };
  const int fd = open_it(argument[0], O_RDWR | O_CREAT | O_TRUNC);
  must(ftruncate(fd, kPart * kParts));
  for (int i = 0; i < kProcesses; i++) {
    const pid_t pid = fork();
    must(pid);
    if (pid != 0) continue;
    const int own = open_it(argument[0], O_RDWR);
    unsigned char* at = mmap(NULL, kPart * kParts, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    that(at != MAP_FAILED);
    for (int part = i; part < kParts; part += kProcesses)
      memset(at + part * kPart, part % 251 + 1, kPart);
    must(msync(at, kPart * kParts, MS_SYNC));
    _exit(0);
  }
  wait_for(kProcesses);
  static unsigned char back[kPart];
  for (int part = 0; part < kParts; part++) {
    that(pread(fd, back, kPart, (off_t)part * kPart) == kPart);
    for (int i = 0; i < kPart; i++) that(back[i] == part % 251 + 1);
  }
}

// A file of 2,000,000 bytes that a map alone has written, and nothing has told to the system.
static void map_only(char** argument) {
  enum { kSize = 2000000 };
  const int fd = open_it(argument[0], O_RDWR | O_CREAT | O_TRUNC);
  must(ftruncate(fd, kSize));
  unsigned char* at = mmap(NULL, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  that(at != MAP_FAILED);
  memset(at, 7, kSize);
}

// Text N times, by N writes, to the file's end.
static void append(char** argument) {
  const int fd = open_it(argument[0], O_WRONLY | O_APPEND | O_CREAT);
  const size_t size = strlen(argument[1]);
  for (int i = atoi(argument[2]); i > 0; --i) that(write(fd, argument[1], size) == (ssize_t)size);
}
// The same by a descriptor that was told so later; then one that was told otherwise.
static void append_later(char** argument) {
  int fd = open_it(argument[0], O_RDWR | O_CREAT | O_TRUNC);
  that(write(fd, "0123456789", 10) == 10);
  must(fcntl(fd, F_SETFL, O_APPEND));
  const int theirs = open_it(argument[1], O_WRONLY | O_APPEND);
  that(write(theirs, "abc", 3) == 3);
  must(lseek(fd, 0, SEEK_SET));
  that(write(fd, "end", 3) == 3);
  must(fcntl(fd, F_SETFL, 0));
  that(pwrite(fd, "X", 1, 2) == 1);
  close(fd);
  fd = open_it(argument[0], O_RDWR | O_APPEND);
  that(write(fd, "!", 1) == 1);
  must(fcntl(fd, F_SETFL, 0));
  that(pwrite(fd, "Y", 1, 3) == 1);
  close(fd);
  char text[30] = "";
  fd = open_it(argument[1], O_RDONLY);
  that(read(fd, text, sizeof text) == 17);
  that(strcmp(text, "01XY456789abcend!") == 0);
}

static volatile sig_atomic_t signals;
static void count_signal(int number) {
  (void)number;
  signals = signals + 1;
}
static void handle(int number) {
  struct sigaction action = {.sa_handler = count_signal};  // no SA_RESTART
  must(sigaction(number, &action, NULL));
}
// Signals that are handled don't end what is done to files, as on a disk.
static void signals_handled(char** argument) {
  handle(SIGALRM);
  const struct itimerval often = {{0, 500}, {0, 500}};
  must(setitimer(ITIMER_REAL, &often, NULL));
  static char block[300000];
  for (int round = 0; round < 20 || signals < 200; round++) {
    struct stat is;
    const int fd = open_it(argument[0], O_RDWR | O_CREAT | (round == 0 ? O_TRUNC : 0));
    that(pwrite(fd, block, sizeof block, (off_t)round * (off_t)sizeof block) == sizeof block);
    must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    that(pread(fd, block, sizeof block, 0) == sizeof block);
    must(stat(argument[0], &is));
    must(close(fd));
  }
}

// Takes a lock, says so, and has it until standard input ends. KIND: fcntl, flock; MODE: try, wait.
static void lock(char** argument) {
  handle(SIGUSR1);
  const int fd = open_it(argument[0], O_RDWR | O_CREAT);
  const int waits = strcmp(argument[2], "wait") == 0;
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
  const int got = strcmp(argument[1], "flock") == 0 ? flock(fd, LOCK_EX | (waits ? 0 : LOCK_NB))
                                                    : fcntl(fd, waits ? F_SETLKW : F_SETLK, &range);
  puts(got == 0          ? "locked"
       : errno == EINTR  ? "interrupted"
       : errno == EAGAIN ? "busy"
                         : strerror(errno));
  fflush(stdout);
  char byte;
  while (got == 0 && read(0, &byte, 1) > 0) {
  }
}

// What one mount's process writes under a lock another's reads under one, whatever is kept of it.
static void exchange(char** argument) {
  const int fds[] = {open_it(argument[0], O_RDWR | O_CREAT), open_it(argument[1], O_RDWR)};
  must(pwrite(fds[0], "00000000", 8, 0));
  char wanted[9] = "00000000", got[9] = "";
  for (int round = 1; round < 20; round++) {
    for (int i = 0; i < 2; i++) {
      struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
      must(fcntl(fds[i], F_SETLKW, &range));
      that(pread(fds[i], got, 8, 0) == 8 && strcmp(got, wanted) == 0);
      if (i == 1) {
        snprintf(wanted, sizeof wanted, "%08d", round);
        that(pwrite(fds[i], wanted, 8, 0) == 8);
      }
      range.l_type = F_UNLCK;
      must(fcntl(fds[i], F_SETLK, &range));
    }
    usleep(20000);  // for the clock of the server's file system
  }
}

// Reads all of an open file of 64 KiB again and again, until FILE2 exists; it is the same each
// time.
static void reread(char** argument) {
  static unsigned char first[65536], again[65536];
  const int fd = open_it(argument[0], O_RDONLY);
  that(pread(fd, first, sizeof first, 0) == sizeof first);
  do {
    must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    that(pread(fd, again, sizeof again, 0) == sizeof again);
    that(memcmp(first, again, sizeof first) == 0);
  } while (access(argument[1], F_OK) != 0);
}

// A file that has no name any more; it is said when it is so, and used when standard input ends.
static void unlinked(char** argument) {
  const int fd = open_it(argument[0], O_RDWR | O_CREAT | O_TRUNC);
  struct stat is;
  char text[10] = "", byte;
  that(write(fd, "hello", 5) == 5);
  must(unlink(argument[0]));
  puts("unlinked");
  fflush(stdout);
  while (read(0, &byte, 1) > 0) {
  }
  that(pwrite(fd, "w", 1, 5) == 1);
  that(pread(fd, text, sizeof text, 0) == 6);
  that(strcmp(text, "hellow") == 0);
  must(fchmod(fd, 0600));
  must(ftruncate(fd, 2));
  must(fstat(fd, &is));
  that(is.st_size == 2 && is.st_nlink == 0);
}

// Makes N files in the folder.
static void fill(char** argument) {
  char name[64];
  const int folder = open_it(argument[0], O_RDONLY | O_DIRECTORY);
  for (int i = atoi(argument[1]); i > 0; --i) {
    snprintf(name, sizeof name, "n%06d", i);
    const int fd = openat(folder, name, O_WRONLY | O_CREAT, 0644);
    must(fd);
    close(fd);
  }
}

// Writes to a file at its server, and six at once open it and read: many times.
static void open_at_once(char** argument) {
  enum { kReaders = 6, kRounds = 60 };
  const int other = open_it(argument[1], O_RDWR);
  for (int round = 0; round < kRounds; round++) {
    char text[9], byte;
    int go[2];
    snprintf(text, sizeof text, "%08d", round);
    must(pipe(go));
    for (int i = 0; i < kReaders; i++) {
      const pid_t pid = fork();
      must(pid);
      if (pid != 0) continue;
      char got[9] = "";
      must(close(go[1]));
      that(read(go[0], &byte, 1) == 0);
      const int fd = open_it(argument[0], O_RDONLY);
      that(pread(fd, got, 8, 0) == 8);
      that(strcmp(got, text) == 0);
      fflush(stdout);
      _exit(0);
    }
    that(pwrite(other, text, 8, 0) == 8);
    usleep(20000);  // for the host's clock, whose ticks the server's versions have
    must(close(go[0]));
    must(close(go[1]));
    wait_for(kReaders);
  }
}

struct late {
  int fd;
  struct flock range;
};
static void* take_late(void* late) {
  const struct late* what = late;
  must(fcntl(what->fd, F_SETLKW, &what->range));
  return NULL;
}
// A thread waits for a lock, another one of its process closes the file: the lock comes all the
// same, and can be given up.
static void close_meanwhile(char** argument) {
  struct late late = {open_it(argument[0], O_RDWR | O_CREAT),
                      {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10}};
  int has_it[2], go[2];
  char byte = 0;
  must(pipe(has_it));
  must(pipe(go));
  const pid_t holder = fork();
  must(holder);
  if (holder == 0) {
    must(close(go[1]));
    must(fcntl(open_it(argument[0], O_RDWR), F_SETLK, &late.range));
    that(write(has_it[1], &byte, 1) == 1);
    that(read(go[0], &byte, 1) == 0);
    _exit(0);
  }
  that(read(has_it[0], &byte, 1) == 1);
  pthread_t waiting;
  that(pthread_create(&waiting, NULL, take_late, &late) == 0);
  usleep(300000);
  must(close(open_it(argument[0], O_RDWR)));
  must(close(go[1]));
  wait_for(1);
  that(pthread_join(waiting, NULL) == 0);
  struct flock none = late.range;
  none.l_type = F_UNLCK;
  must(fcntl(late.fd, F_SETLK, &none));
  const pid_t next = fork();
  must(next);
  if (next == 0) {
    must(fcntl(open_it(argument[0], O_RDWR), F_SETLK, &late.range));
    _exit(0);
  }
  wait_for(1);
}

// Makes a file, says so, and writes to it when it is told to.
static void write_late(char** argument) {
  const int fd = open_it(argument[0], O_WRONLY | O_CREAT | O_EXCL);
  puts("made");
  fflush(stdout);
  getchar();
  that(write(fd, "written", 7) == 7);
}

// Has a file open, says so, and writes to it until that is an error.
static void write_on(char** argument) {
  const int fd = open_it(argument[0], O_WRONLY | O_CREAT);
  static char block[100000];
  puts("open");
  fflush(stdout);
  for (off_t at = 0; pwrite(fd, block, sizeof block, at % 10000000) > 0; at += sizeof block) {
  }
  puts(strerror(errno));
  exit(errno == ENOTCONN || errno == ECONNABORTED || errno == EIO || errno == EINTR ? 0 : 1);
}

// Copies the fifth megabyte of a file to the ninth, by one call of each kind and by no cache; each
// when it is told to.
static void megabyte(char** argument) {
  enum { kSize = 1 << 20 };
  const int fd = open_it(argument[0], O_RDWR | O_DIRECT);
  void* block = aligned_alloc(4096, kSize);
  // What else the kernel asks before it reads and writes: its attributes and capabilities.
  struct stat is;
  that(pwrite(fd, block, 4096, 8 * kSize) == 4096);
  must(fstat(fd, &is));
  puts("open");
  fflush(stdout);
  getchar();
  that(pread(fd, block, kSize, 4 * kSize) == kSize);
  puts("read");
  fflush(stdout);
  getchar();
  that(pwrite(fd, block, kSize, 8 * kSize) == kSize);
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(char**);
    int arguments;
  } all[] = {{"map", map, 1},
             {"map_only", map_only, 1},
             {"append", append, 3},
             {"append_later", append_later, 2},
             {"signals_handled", signals_handled, 1},
             {"lock", lock, 3},
             {"exchange", exchange, 2},
             {"reread", reread, 2},
             {"unlinked", unlinked, 1},
             {"fill", fill, 2},
             {"write_on", write_on, 1},
             {"megabyte", megabyte, 1},
             {"open_at_once", open_at_once, 2},
             {"close_meanwhile", close_meanwhile, 1},
             {"write_late", write_late, 1}};
  for (size_t i = 0; argc > 1 && i < sizeof all / sizeof *all; i++)
    if (strcmp(argv[1], all[i].name) == 0 && argc == all[i].arguments + 2)
      return all[i].run(argv + 2), 0;
  fprintf(stderr, "usage: see %s\n", __FILE__);
  return 2;
}
