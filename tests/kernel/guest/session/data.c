// Checks of what is in files: reading, writing, sizes, open modes, files without a name.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "session.h"

void create_read_back(void) {
  // More than the largest message, by pieces that fit no boundary.
  enum { kSize = 1500001 };
  static const size_t pieces[] = {1, 4095, 4096, 4097, 65535, 200000, 7};
  int fd = new_file("file", 0);
  size_t at = 0;
  for (size_t i = 0; at < kSize; i++) {
    size_t piece = pieces[i % (sizeof pieces / sizeof *pieces)];
    if (piece > kSize - at) piece = kSize - at;
    write_pattern(fd, (off_t)at, piece);
    at += piece;
  }
  that(has_pattern(fd, 0, kSize));
  that(has_pattern(fd, 8191, 8193));
  char byte;
  that(pread(fd, &byte, 1, kSize) == 0);
  that(pread(fd, &byte, 1, kSize + 100000) == 0);
  must(fsync(fd));
  that(stat_of("file").st_size == kSize);
  int seen = (int)must(open(other("file"), O_RDONLY));
  that(has_pattern(seen, 0, kSize));
  that(stat_of(other("file")).st_size == kSize);
}

void append(void) {
  // Client limit: docs/mount.md. What it appends is the page, from the file's start.
  if (mount_is("kernel=7") && mount_is("cache=mmap"))
    left_out("7.2 writes pages back through the descriptor that appends");
  must(close(new_file("file", 10)));
  int fd = (int)must(open("file", O_RDWR | O_APPEND));
  that(write(fd, "one", 3) == 3);
  must(lseek(fd, 0, SEEK_SET));
  that(write(fd, "two", 3) == 3);
  char tail[7] = "";
  that(pread(fd, tail, 6, 10) == 6);
  that(strcmp(tail, "onetwo") == 0);
  that(stat_of("file").st_size == 16);
}

void append_by_two_clients(void) {
  // A client that caches writes believes in its own idea of the file's end.
  if (!mount_is("cache=none")) left_out("appending clients have to be uncached");
  must(close(new_file("file", 0)));
  int mine = (int)must(open("file", O_WRONLY | O_APPEND));
  int theirs = (int)must(open(other("file"), O_WRONLY | O_APPEND));
  for (int i = 0; i < 50; i++) {
    that(write(mine, "aaaa", 4) == 4);
    that(write(theirs, "bbbbbb", 6) == 6);
  }
  static char text[600];
  int fd = (int)must(open(other("file"), O_RDONLY));
  that(read(fd, text, sizeof text) == 500);
  for (int i = 0; i < 50; i++) that(memcmp(text + 10 * i, "aaaabbbbbb", 10) == 0);
}

void truncate_and_extend(void) {
  int fd = new_file("file", 100000);
  must(ftruncate(fd, 12345));
  that(stat_of("file").st_size == 12345);
  must(truncate("file", 50000));
  that(stat_of("file").st_size == 50000);
  that(has_pattern(fd, 0, 12345));
  that(has_zeros(fd, 12345, 50000 - 12345));
  must(ftruncate(fd, 0));
  that(stat_of("file").st_size == 0);
  write_pattern(fd, 0, 5);
  must(fsync(fd));
  that(stat_of(other("file")).st_size == 5);
  refused(ftruncate(fd, -1), EINVAL);
  refused(truncate(".", 0), EISDIR);
}

void open_truncate(void) {
  must(close(new_file("file", 70000)));
  int fd = (int)must(open("file", O_RDWR | O_TRUNC));
  that(stat_of("file").st_size == 0);
  that(stat_of(other("file")).st_size == 0);
  write_pattern(fd, 0, 100);
  must(close(fd));
  must(close((int)must(open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600))));
  struct stat st = stat_of("file");
  that(st.st_size == 0);
  that((st.st_mode & 07777) == 0644);
}

static int create_exclusively(void* name) {
  int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
  return fd >= 0 ? 0 : errno;
}
void open_exclusive(void) {
  must(close(new_file("file", 3)));
  refused(open("file", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
  that(in_child(create_exclusively, (void*)other("file")) == EEXIST);
  must(symlink("nowhere", "link"));
  refused(open("link", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
  // Two clients at once: each name is made by exactly one of them.
  enum { kNames = 40 };
  pid_t pids[2];
  int results[2];
  must(pipe(results));
  for (int client = 0; client < 2; client++) {
    pids[client] = (pid_t)must(fork());
    if (pids[client] != 0) continue;
    for (int i = 0; i < kNames; i++) {
      char name[30];
      snprintf(name, sizeof name, "race%d", i);
      int error = create_exclusively((void*)(client == 0 ? name : other(name)));
      if (error != 0 && error != EEXIST) _exit(1);
      if (error == 0) must(write(results[1], "", 1));
    }
    _exit(0);
  }
  for (int client = 0; client < 2; client++) {
    int status;
    must(waitpid(pids[client], &status, 0));
    that(status == 0);
  }
  char made[2 * kNames];
  that(read(results[0], made, sizeof made) == kNames);
  // 7.2 with cache=loose lists names that it remembers not to be there, and can't remove those.
  for (int i = 0; i < kNames; i++) {
    char name[30];
    snprintf(name, sizeof name, "race%d", i);
    must(unlink(other(name)));
  }
}

void open_direct(void) {
  enum { kSize = 256 * 1024 };
  int fd = (int)must(open("file", O_RDWR | O_CREAT | O_DIRECT, 0644));
  unsigned char* block = aligned_alloc(4096, kSize);
  for (int i = 0; i < kSize; i++) block[i] = (unsigned char)(i * 7 + i / 4096);
  that(pwrite(fd, block, kSize, 0) == kSize);
  that(pwrite(fd, block, 4096, kSize) == 4096);
  unsigned char* back = aligned_alloc(4096, kSize);
  that(pread(fd, back, kSize, 0) == kSize);
  that(memcmp(block, back, kSize) == 0);
  that(stat_of("file").st_size == kSize + 4096);
  int seen = (int)must(open(other("file"), O_RDONLY));
  that(read(seen, back, kSize) == kSize);
  that(memcmp(block, back, kSize) == 0);
}

void sparse(void) {
  // Past 4 GiB, so that an offset of 32 bits would show.
  const off_t far = 5LL << 30;
  int fd = new_file("file", 0);
  write_pattern(fd, far, 5000);
  must(fsync(fd));
  struct stat st = stat_of("file");
  that(st.st_size == far + 5000);
  // Client limit: with cache=loose Linux makes up its st_blocks, so the other client is asked.
  that(stat_of(other("file")).st_blocks < 1000);
  that(has_pattern(fd, far, 5000));
  that(has_zeros(fd, far - 5000, 5000));
  that(has_zeros(fd, 1000000, 5000));
  that(stat_of(other("file")).st_size == far + 5000);
}

void synchronize(void) {
  int fd = new_file("file", 5000);
  must(fsync(fd));
  must(fdatasync(fd));
  int folder = (int)must(open(".", O_RDONLY | O_DIRECTORY));
  must(fsync(folder));
  int reader = (int)must(open("file", O_RDONLY));
  must(fsync(reader));
  int immediate = (int)must(open("file", O_WRONLY | O_SYNC));
  write_pattern(immediate, 5000, 5000);
  int seen = (int)must(open(other("file"), O_RDONLY));
  that(has_pattern(seen, 0, 10000));
}

void memory_map(void) {
  int fd = new_file("file", 20000);
  unsigned char* map = mmap(NULL, 20000, PROT_READ, MAP_PRIVATE, fd, 0);
  that(map != MAP_FAILED);
  int seen = (int)must(open(other("file"), O_RDONLY));
  unsigned char byte;
  must(fsync(fd));
  that(pread(seen, &byte, 1, 19999) == 1);
  that(map[19999] == byte);
  // Client limit: without a write-back cache Linux refuses shared writable maps.
  if (mount_is("cache=none")) return;
  map = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  that(map != MAP_FAILED);
  map[5000] = (unsigned char)~map[5000];
  must(msync(map, 20000, MS_SYNC));
  that(pread(seen, &byte, 1, 5000) == 1);
  that(map[5000] == byte);
}

void send_file(void) {
  int from = new_file("from", 300000), to = new_file("to", 0);
  off_t at = 0;
  while (at < 300000) that(sendfile(to, from, &at, 300000) > 0);
  that(has_pattern(to, 0, 300000));
}

void many_writers(void) {
  // Requests of several processes are in flight at once, by both clients.
  enum { kProcesses = 6, kSize = 150000 };
  pid_t pids[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    pids[i] = (pid_t)must(fork());
    if (pids[i] != 0) continue;
    char name[20];
    for (int round = 0; round < 3; round++) {
      snprintf(name, sizeof name, "file%d-%d", i, round);
      int fd = new_file(i % 2 == 0 ? name : other(name), kSize);
      that(has_pattern(fd, 0, kSize));
      must(close(fd));
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; i++) {
    int status;
    must(waitpid(pids[i], &status, 0));
    that(status == 0);
  }
  for (int i = 0; i < kProcesses; i++) {
    char name[20];
    snprintf(name, sizeof name, "file%d-2", i);
    int fd = (int)must(open(other(name), O_RDONLY));
    that(has_pattern(fd, 0, kSize));
  }
}

void many_open(void) {
  enum { kFiles = 500 };
  static int fds[kFiles];
  char name[20];
  for (int i = 0; i < kFiles; i++) {
    snprintf(name, sizeof name, "file%d", i);
    fds[i] = new_file(name, 1);
  }
  for (int i = 0; i < kFiles; i++) {
    that(has_pattern(fds[i], 0, 1));
    must(close(fds[i]));
  }
}

// What has to work on a file that has no name any more.
static void use_nameless(int fd) {
  struct stat st;
  must(fstat(fd, &st));
  that(st.st_size == 10000);
  that(has_pattern(fd, 0, 10000));
  must(ftruncate(fd, 4000));
  must(fstat(fd, &st));
  that(st.st_size == 4000);
  write_pattern(fd, 4000, 20000);
  that(has_pattern(fd, 0, 24000));
  must(fsync(fd));
  must(fstat(fd, &st));
  that(st.st_size == 24000);
}
void unlinked_open(void) {
  int fd = new_file("file", 10000);
  must(unlink("file"));
  refused(access("file", F_OK), ENOENT);
  use_nameless(fd);
  struct stat st;
  must(fstat(fd, &st));
  that(st.st_nlink == 0);
}
void replaced_open(void) {
  int fd = new_file("file", 10000);
  must(close(new_file("new", 77)));
  must(rename("new", "file"));
  use_nameless(fd);
  that(stat_of("file").st_size == 77);
}
void removed_by_another(void) {
  int fd = new_file("file", 10000);
  must(fsync(fd));
  must(unlink(other("file")));
  use_nameless(fd);
}
