// Checks of folders: what they list, large ones while they change, deep ones.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "session.h"

void read_folder(void) {
  enum { kFiles = 300 };
  char name[40];
  for (int i = 0; i < kFiles; i++) {
    snprintf(name, sizeof name, "file-%d", i);
    must(close(new_file(name, 0)));
  }
  must(mkdir("folder", 0755));
  must(symlink("x", "link"));
  must(mkfifo("fifo", 0600));
  DIR* stream = opendir(".");
  that(stream != NULL);
  struct dirent* entry;
  int files = 0, rest = 0;
  char seen[kFiles] = "";
  long place = -1;
  char after[256] = "";
  while ((entry = readdir(stream)) != NULL) {
    struct stat st = stat_of(entry->d_name);
    if (strcmp(entry->d_name, "..") != 0) that(entry->d_ino == st.st_ino);
    that(entry->d_type == IFTODT(st.st_mode));
    int number;
    if (sscanf(entry->d_name, "file-%d", &number) == 1) {
      that(!seen[number]++);
      files++;
    } else {
      rest++;
    }
    if (files == 100 && place == -1) {
      place = telldir(stream);
      that((entry = readdir(stream)) != NULL);
      strcpy(after, entry->d_name);
      seekdir(stream, place);
    }
  }
  that(files == kFiles);
  that(rest == 5);
  seekdir(stream, place);
  that((entry = readdir(stream)) != NULL && strcmp(entry->d_name, after) == 0);
  rewinddir(stream);
  for (files = 0; readdir(stream) != NULL;) files++;
  that(files == kFiles + 5);
  // Emptied while it is listed.
  rewinddir(stream);
  while ((entry = readdir(stream)) != NULL)
    if (strncmp(entry->d_name, "file-", 5) == 0) must(unlink(entry->d_name));
  rewinddir(stream);
  for (files = 0; readdir(stream) != NULL;) files++;
  that(files == 5);
  closedir(stream);
}

enum { kStable = 10000 };

// Creates and removes names that were never there before, for as long as it lives.
static void come_and_go(void* path) {
  char name[40];
  int folder = (int)must(open(path, O_RDONLY | O_DIRECTORY));
  for (int i = 0;; i++) {
    snprintf(name, sizeof name, "t%d-%d", (int)getpid(), i);
    must(close((int)must(openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0644))));
    snprintf(name, sizeof name, "t%d-%d", (int)getpid(), i - 40);
    if (i >= 40) must(unlinkat(folder, name, 0));
    if (i == 40) ready();
  }
}
static int compare(const void* a, const void* b) {
  return strcmp(*(char* const*)a, *(char* const*)b);
}
void big_folder(void) {
  // Made once for an export, and listed by every session on it.
  if (!privileged()) left_out("checked as root");
  char path[4096], theirs[4096], name[40];
  snprintf(path, sizeof path, "%s", shared("big"));
  if (mkdir(path, 0755) != 0) that(errno == EEXIST);
  int folder = (int)must(open(path, O_RDONLY | O_DIRECTORY));
  snprintf(name, sizeof name, "s%d", kStable - 1);
  if (faccessat(folder, name, F_OK, 0) != 0)
    for (int i = 0; i < kStable; i++) {
      snprintf(name, sizeof name, "s%d", i);
      must(close((int)must(openat(folder, name, O_WRONLY | O_CREAT, 0644))));
    }
  close(folder);
  snprintf(theirs, sizeof theirs, "%s", other("../../big"));
  pid_t pid = start_child(come_and_go, theirs);
  static char* names[8 * kStable];
  for (int round = 0; round < 2; round++) {
    DIR* stream = opendir(path);
    that(stream != NULL);
    size_t count = 0, stable = 0;
    for (struct dirent* entry; (entry = readdir(stream)) != NULL;) {
      that(count < 8 * kStable);
      names[count++] = strdup(entry->d_name);
    }
    closedir(stream);
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; i < count; i++) {
      that(i == 0 || strcmp(names[i - 1], names[i]) != 0);
      stable += names[i][0] == 's';
    }
    for (size_t i = 0; i < count; i++) free(names[i]);
    that(stable == kStable);
  }
  kill_child(pid);
  DIR* stream = opendir(path);
  for (struct dirent* entry; (entry = readdir(stream)) != NULL;)
    if (entry->d_name[0] == 't') must(unlinkat(dirfd(stream), entry->d_name, 0));
  closedir(stream);
}

void deep_folders(void) {
  // 25 levels of 200 bytes: longer than any path can be.
  enum { kLevels = 25 };
  char level[201], path[8192];
  memset(level, 'd', 200);
  level[200] = '\0';
  for (int i = 0; i < kLevels; i++) {
    must(mkdir(level, 0755));
    must(chdir(level));
  }
  int fd = new_file("file", 1000);
  that(stat_of("file").st_size == 1000);
  must(rename("file", "renamed"));
  must(link("renamed", "file"));
  that(has_pattern(fd, 0, 1000));
  refused(syscall(SYS_getcwd, path, 4096), ENAMETOOLONG);
  ino_t here = stat_of(".").st_ino;
  must(chdir(".."));
  that(stat_of(level).st_ino == here);
  for (int i = 1; i < kLevels; i++) must(chdir(".."));
  // As much of it as one path can name.
  path[0] = '\0';
  for (int i = 0; i < 20; i++) strcat(strcat(path, level), "/");
  struct stat st;
  must(stat(path, &st));
  that(S_ISDIR(st.st_mode));
}
