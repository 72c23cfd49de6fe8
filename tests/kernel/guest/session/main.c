// session [-o OPTION,...] [-u UID:GID:GROUP] DIR OTHER [CHECK...]: what a user's session does with
// a file system, as checks. DIR and OTHER are the same folder, mounted by two clients. With -u the
// checks run as that user. Prints the failed checks; exits 1 if there is one.
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "session.h"

enum { kFailed = 1, kLeftOut = 77, kSecondsPerCheck = 600, kBlock = 65536 };

static const char* check_name;
static const char* options = "";
static const char* user;        // whom the checks run as, if not as who started this
static const char* base;        // where the checks' folders are
static const char* other_base;  // the same by the other client

static void complain(int line, const char* what, const char* why) {
  printf("  %s: line %d: %s: %s\n", check_name, line, what, why);
  fflush(stdout);
  _exit(kFailed);
}
long must_at(int line, const char* what, long result) {
  if (result == -1) complain(line, what, strerror(errno));
  return result;
}
void that_at(int line, const char* what, bool holds) {
  if (!holds) complain(line, what, "not so");
}
void refused_at(int line, const char* what, long result, int error, const char* name) {
  char why[200];
  if (result == -1 && errno == error) return;
  snprintf(why, sizeof why, "%s expected, not %s", name,
           result == -1 ? strerror(errno) : "success");
  complain(line, what, why);
}
void left_out(const char* why) {
  printf("  %s left out: %s\n", check_name, why);
  fflush(stdout);
  _exit(kLeftOut);
}

bool mount_is(const char* option) {
  size_t length = strlen(option);
  for (const char* at = options; (at = strstr(at, option)) != NULL; at += length)
    if ((at == options || at[-1] == ',') && (at[length] == ',' || at[length] == '\0')) return true;
  return false;
}
bool privileged(void) { return geteuid() == 0; }

const char* other(const char* name) {
  static char paths[2][4096];
  static int turn;
  char* path = paths[turn ^= 1];
  snprintf(path, sizeof *paths, "%s/%s/%s", other_base, check_name, name);
  return path;
}
const char* shared(const char* name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/../%s", base, name);
  return path;
}

static unsigned char pattern_at(off_t offset) {
  uint64_t mixed = ((uint64_t)offset + 1) * 0x9e3779b97f4a7c15u;
  return (unsigned char)(mixed >> 56);
}
void write_pattern(int fd, off_t offset, size_t count) {
  static unsigned char block[kBlock];
  while (count > 0) {
    size_t part = count < kBlock ? count : kBlock;
    for (size_t i = 0; i < part; i++) block[i] = pattern_at(offset + (off_t)i);
    that(pwrite(fd, block, part, offset) == (ssize_t)part);
    offset += (off_t)part;
    count -= part;
  }
}
static bool holds(int fd, off_t offset, size_t count, bool zeros) {
  static unsigned char block[kBlock];
  while (count > 0) {
    ssize_t got = must(pread(fd, block, count < kBlock ? count : kBlock, offset));
    if (got == 0) return false;
    for (ssize_t i = 0; i < got; i++)
      if (block[i] != (zeros ? 0 : pattern_at(offset + i))) return false;
    offset += got;
    count -= (size_t)got;
  }
  return true;
}
bool has_pattern(int fd, off_t offset, size_t count) { return holds(fd, offset, count, false); }
bool has_zeros(int fd, off_t offset, size_t count) { return holds(fd, offset, count, true); }
int new_file(const char* name, size_t size) {
  int fd = (int)must(open(name, O_RDWR | O_CREAT | O_EXCL, 0644));
  write_pattern(fd, 0, size);
  if (size > 0) must(fsync(fd));  // with cache=loose it would stay in the client, even when closed
  return fd;
}
struct stat stat_of(const char* name) {
  struct stat st;
  must(lstat(name, &st));
  return st;
}

static int wait_for(pid_t pid) {
  int status;
  must(waitpid(pid, &status, 0));
  that(WIFEXITED(status));
  return WEXITSTATUS(status);
}
int in_child(int (*body)(void*), void* argument) {
  pid_t pid = (pid_t)must(fork());
  if (pid == 0) _exit(body(argument));
  return wait_for(pid);
}
static int ready_pipe[2];
pid_t start_child(void (*body)(void*), void* argument) {
  char byte;
  must(pipe(ready_pipe));
  pid_t pid = (pid_t)must(fork());
  if (pid == 0) {
    body(argument);
    _exit(0);
  }
  close(ready_pipe[1]);
  that(read(ready_pipe[0], &byte, 1) == 1);
  close(ready_pipe[0]);
  return pid;
}
void ready(void) {
  must(write(ready_pipe[1], "", 1));
  close(ready_pipe[1]);
}
void kill_child(pid_t pid) {
  int status;
  must(kill(pid, SIGKILL));
  must(waitpid(pid, &status, 0));
  that(WIFSIGNALED(status));
}

void remove_inside(int folder) {
  DIR* stream = fdopendir(folder);
  that(stream != NULL);
  for (struct dirent* entry; (entry = readdir(stream)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (unlinkat(folder, entry->d_name, 0) == 0) continue;
    remove_inside((int)must(openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY)));
    must(unlinkat(folder, entry->d_name, AT_REMOVEDIR));
  }
  closedir(stream);
}

static void become_user(void) {
  unsigned uid, gid, group;
  if (user == NULL) return;
  that(sscanf(user, "%u:%u:%u", &uid, &gid, &group) == 3);
  gid_t groups[] = {gid, group};
  must(setgroups(2, groups));
  must(setresgid(gid, gid, gid));
  must(setresuid(uid, uid, uid));
}

// Runs one check; its exit status, or kFailed where it was killed (by its alarm, say).
static int run(const char* name, void (*check)(void)) {
  int status;
  check_name = name;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    alarm(kSecondsPerCheck);
    become_user();
    must(chdir(base));
    must(mkdir(name, 0755));
    must(chdir(name));
    check();
    // What a check leaves has to be removable.
    must(chdir(base));
    remove_inside((int)must(open(name, O_RDONLY | O_DIRECTORY)));
    must(rmdir(name));
    _exit(0);
  }
  if (pid == -1 || waitpid(pid, &status, 0) != pid) return kFailed;
  kill(-pid, SIGKILL);  // what a failed check left running
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  printf("  %s: ended by signal %d\n", name, WTERMSIG(status));
  return kFailed;
}

static const struct {
  const char* name;
  void (*check)(void);
} checks[] = {
#define ROW(name) {#name, name},
    CHECKS(ROW)
#undef ROW
};

// A folder of this process in `parent`, which belongs to the user of the checks.
static char* own_folder(const char* parent, bool make) {
  char* path = malloc(4096);
  snprintf(path, 4096, "%s/session.%d", parent, (int)getpid());
  if (!make) return path;
  must(mkdir(path, 0755));
  unsigned uid, gid;
  if (user != NULL && sscanf(user, "%u:%u", &uid, &gid) == 2) must(chown(path, uid, gid));
  return path;
}

int main(int argc, char** argv) {
  int passed = 0, failed = 0, skipped = 0;
  check_name = "start";
  for (int c; (c = getopt(argc, argv, "o:u:")) != -1;)
    if (c == 'o')
      options = optarg;
    else if (c == 'u')
      user = optarg;
    else
      return 2;
  if (argc - optind < 2)
    return fprintf(stderr, "usage: session [-o O,..] [-u U:G:G] DIR OTHER\n"), 2;
  umask(022);
  base = own_folder(argv[optind], true);
  other_base = own_folder(argv[optind + 1], false);
  struct stat st = stat_of(other_base);
  that(S_ISDIR(st.st_mode));
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    bool wanted = argc - optind == 2;
    for (int k = optind + 2; k < argc; k++) wanted |= strcmp(argv[k], checks[i].name) == 0;
    if (!wanted) continue;
    int status = run(checks[i].name, checks[i].check);
    *(status == 0 ? &passed : status == kLeftOut ? &skipped : &failed) += 1;
  }
  check_name = "end";
  remove_inside((int)must(open(base, O_RDONLY | O_DIRECTORY)));
  must(rmdir(base));
  printf("  %d checks passed, %d failed, %d left out\n", passed, failed, skipped);
  return failed > 0 || passed == 0;
}
