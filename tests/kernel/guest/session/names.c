// Checks of names: renaming, links, which names there can be, what wrong uses answer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

void rename_over(void) {
  must(close(new_file("old", 100)));
  must(close(new_file("target", 5)));
  ino_t inode = stat_of("old").st_ino;
  must(rename("old", "target"));
  refused(access("old", F_OK), ENOENT);
  struct stat st = stat_of("target");
  that(st.st_ino == inode);
  that(st.st_size == 100);
  that(stat_of(other("target")).st_size == 100);
  must(link("target", "same"));
  must(rename("target", "same"));  // two names of one file: nothing happens
  must(access("target", F_OK));
  must(symlink("target", "link"));
  must(rename("link", "moved"));
  that(S_ISLNK(stat_of("moved").st_mode));
}

void rename_folders(void) {
  must(mkdir("a", 0755));
  must(mkdir("a/deep", 0755));
  must(mkdir("empty", 0755));
  must(mkdir("full", 0755));
  must(close(new_file("full/file", 1)));
  must(close(new_file("file", 1)));
  int fd = new_file("a/deep/file", 1000);
  must(rename("a", "empty"));
  // An open file below the moved folder stays usable.
  write_pattern(fd, 1000, 1000);
  that(has_pattern(fd, 0, 2000));
  must(fsync(fd));
  that(stat_of("empty/deep/file").st_size == 2000);
  refused(rename("empty", "full"), ENOTEMPTY);
  refused(rename("empty", "file"), ENOTDIR);
  refused(rename("file", "empty"), EISDIR);
  refused(rename("empty", "empty/deep/inside"), EINVAL);
  // The folder a process works in, moved.
  must(mkdir("empty/deep/own", 0755));
  must(chdir("empty/deep/own"));
  must(rename("../../../empty/deep", "../../../full/deep"));
  must(close(new_file("here", 10)));
  must(chdir("../../.."));
  that(stat_of("full/deep/own/here").st_size == 10);
  refused(rmdir("full"), ENOTEMPTY);
  refused(rmdir("file"), ENOTDIR);
  refused(unlink("full"), EISDIR);
  must(rmdir("empty"));
}

void hard_links(void) {
  int fd = new_file("one", 100);
  must(mkdir("folder", 0755));
  must(link("one", "folder/two"));
  struct stat st = stat_of("folder/two");
  that(st.st_nlink == 2);
  that(st.st_ino == stat_of("one").st_ino);
  write_pattern(fd, 100, 100);
  must(fsync(fd));
  that(stat_of(other("folder/two")).st_size == 200);
  refused(link("one", "folder/two"), EEXIST);
  refused(link("folder", "again"), EPERM);
  refused(link("absent", "again"), ENOENT);
  must(unlink("one"));
  that(stat_of(other("folder/two")).st_nlink == 1);
  int back = (int)must(open("folder/two", O_RDONLY));
  that(has_pattern(back, 0, 200));
}

void symbolic_links(void) {
  static const int lengths[] = {1, 59, 60, 255, 1000, 4094, 4095};
  static char target[4200], back[4200], name[20];
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    for (int k = 0; k < lengths[i]; k++) target[k] = k % 100 == 99 ? '/' : (char)('a' + k % 26);
    target[lengths[i]] = '\0';
    snprintf(name, sizeof name, "link%d", lengths[i]);
    must(symlink(target, name));
    that(readlink(name, back, sizeof back) == lengths[i]);
    that(memcmp(target, back, (size_t)lengths[i]) == 0);
    that(stat_of(name).st_size == lengths[i]);
    that(readlink(other(name), back, sizeof back) == lengths[i]);
    that(memcmp(target, back, (size_t)lengths[i]) == 0);
  }
  must(mkdir("folder", 0755));
  must(close(new_file("folder/file", 10)));
  must(symlink("folder/../folder", "way"));
  struct stat st;
  must(stat("way/file", &st));
  that(st.st_size == 10);
  must(symlink("dangling", "none"));
  refused(stat("none", &st), ENOENT);
  must(symlink("round", "round"));
  refused(stat("round", &st), ELOOP);
  refused(open("way", O_RDONLY | O_NOFOLLOW), ELOOP);
  refused(readlink("folder", back, sizeof back), EINVAL);
  refused(symlink("x", "way"), EEXIST);
  refused(symlink("", "empty"), ENOENT);
}

void long_names(void) {
  char longest[257], longer[257];
  memset(longest, 'n', 255);
  longest[255] = '\0';
  memset(longer, 'm', 256);
  longer[256] = '\0';
  must(close(new_file(longest, 20)));
  that(stat_of(other(longest)).st_size == 20);
  longest[0] = 'd';
  must(mkdir(longest, 0755));
  must(rename(longest, "short"));
  must(rename("short", longest));
  refused(open(longer, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
  refused(mkdir(longer, 0755), ENAMETOOLONG);
  refused(access(longer, F_OK), ENAMETOOLONG);
}

void odd_names(void) {
  static const char* const names[] = {" ",     "-rf",  "...",   "a b\tc\nd",    "back\\slash",
                                      "*?[x]", "\xff", "\xc3(", "\u00e4\u20ac", "\1\2\177",
                                      "%s",    "~"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) must(close(new_file(names[i], i)));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    that(stat_of(other(names[i])).st_size == (off_t)i);
    must(unlink(names[i]));
  }
  char name[2] = "";
  for (int c = 1; c < 256; c++) {
    name[0] = (char)c;
    if (c != '/' && c != '.') must(close(new_file(name, 0)));
  }
}

void wrong_uses(void) {
  must(close(new_file("file", 1)));
  must(mkdir("folder", 0755));
  char byte;
  refused(open("absent", O_RDONLY), ENOENT);
  refused(open("absent/file", O_WRONLY | O_CREAT, 0644), ENOENT);
  refused(open("file/file", O_RDONLY), ENOTDIR);
  refused(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
  refused(open("folder", O_WRONLY), EISDIR);
  refused(mkdir("folder", 0755), EEXIST);
  refused(mkdir("file", 0755), EEXIST);
  refused(unlink("absent"), ENOENT);
  refused(rmdir("absent"), ENOENT);
  refused(rename("absent", "file"), ENOENT);
  int folder = (int)must(open("folder", O_RDONLY));
  refused(read(folder, &byte, 1), EISDIR);
  int reader = (int)must(open("file", O_RDONLY));
  refused(write(reader, "x", 1), EBADF);
}

void other_client_sees(void) {
  // Only an uncached client promises to see another's changes at once.
  if (!mount_is("cache=none")) left_out("a cached client may see another's changes late");
  int fd = new_file("file", 10);
  must(close(new_file(other("new"), 10)));
  that(stat_of("new").st_size == 10);
  must(rename(other("new"), other("newer")));
  refused(access("new", F_OK), ENOENT);
  must(access("newer", F_OK));
  must(mkdir(other("folder"), 0700));
  that((stat_of("folder").st_mode & 07777) == 0700);
  must(chmod(other("folder"), 0711));
  that((stat_of("folder").st_mode & 07777) == 0711);
  must(truncate(other("file"), 5));
  struct stat st;
  must(fstat(fd, &st));
  that(st.st_size == 5);
  int theirs = (int)must(open(other("file"), O_WRONLY));
  that(pwrite(theirs, "XYZ", 3, 4) == 3);
  char text[8] = "";
  that(pread(fd, text, 7, 4) == 3);
  that(strcmp(text, "XYZ") == 0);
  must(rmdir(other("folder")));
  refused(access("folder", F_OK), ENOENT);
}
