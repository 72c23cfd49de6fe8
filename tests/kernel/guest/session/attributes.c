// Checks of attributes: mode, owner, times, groups, extended attributes, special files.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "session.h"

static mode_t mode_of(const char* name) { return stat_of(name).st_mode & 07777; }

void change_mode(void) {
  static const mode_t modes[] = {0, 0400, 0644, 0777, 01777, 04755, 06711};
  int fd = new_file("file", 1);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    must(chmod("file", modes[i]));
    that(mode_of("file") == modes[i]);
    that(mode_of(other("file")) == modes[i]);
  }
  must(fchmod(fd, 0640));
  that(mode_of("file") == 0640);
  umask(077);
  must(mkdir("folder", 0777));
  that(mode_of("folder") == 0700);
  must(close(new_file("private", 0)));
  that(mode_of("private") == 0600);
  umask(0);
  must(close((int)must(open("open", O_CREAT | O_WRONLY, 0666))));
  that(mode_of("open") == 0666);
}

void change_owner(void) {
  if (!privileged()) left_out("needs root");
  int fd = new_file("file", 1);
  must(chown("file", 1000, 2000));
  struct stat st = stat_of(other("file"));
  that(st.st_uid == 1000 && st.st_gid == 2000);
  must(chown("file", (uid_t)-1, 3000));
  st = stat_of("file");
  that(st.st_uid == 1000 && st.st_gid == 3000);
  must(fchown(fd, 4000000000u, (gid_t)-1));
  st = stat_of("file");
  that(st.st_uid == 4000000000u && st.st_gid == 3000);
  must(symlink("file", "link"));
  must(lchown("link", 7, 8));
  st = stat_of("link");
  that(st.st_uid == 7 && st.st_gid == 8);
  that(stat_of("file").st_uid == 4000000000u);
  must(chmod("file", 06755));
  must(chown("file", 1000, 1000));
  that(mode_of(other("file")) == 0755);
}

void set_times(void) {
  must(close(new_file("file", 1)));
  // Client limit: Linux's 9p keeps whole seconds of a time that is set (its s_time_gran).
  struct timespec times[2] = {{1000000000, 500000000}, {1234567890, 999999999}};
  must(utimensat(AT_FDCWD, "file", times, 0));
  struct stat st = stat_of("file");
  that(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == 1234567890);
  st = stat_of(other("file"));
  that(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == 1234567890);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = 42;
  must(utimensat(AT_FDCWD, "file", times, 0));
  st = stat_of(other("file"));
  that(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == 42);
  times[1].tv_nsec = UTIME_NOW;
  must(utimensat(AT_FDCWD, "file", times, 0));
  st = stat_of(other("file"));
  time_t now = time(NULL);
  // Guest and server have clocks of their own.
  that(st.st_mtim.tv_sec > now - 300 && st.st_mtim.tv_sec < now + 300);
  struct timespec old[2] = {{100, 0}, {200, 0}};
  must(symlink("file", "link"));
  must(utimensat(AT_FDCWD, "link", old, AT_SYMLINK_NOFOLLOW));
  that(stat_of(other("link")).st_mtim.tv_sec == 200);
  that(stat_of(other("file")).st_mtim.tv_sec != 200);
  must(mkdir("folder", 0755));
  must(utimensat(AT_FDCWD, "folder", old, 0));
  that(stat_of(other("folder")).st_mtim.tv_sec == 200);
  must(close(new_file("folder/file", 0)));
  that(stat_of(other("folder")).st_mtim.tv_sec > 200);
}

void set_gid_folder(void) {
  if (!privileged()) left_out("needs root");
  must(mkdir("folder", 0755));
  must(chown("folder", 0, 2000));
  must(chmod("folder", 02775));
  must(close(new_file("folder/file", 0)));
  must(mkdir("folder/inner", 0755));
  that(stat_of("folder/file").st_gid == 2000);
  struct stat st = stat_of(other("folder/inner"));
  that(st.st_gid == 2000);
  that((st.st_mode & 02000) != 0);
}

// As uid 1000 with the group 2000: what the groups open, and what they don't. guest/session.sh
// makes these files before.
void groups(void) {
  if (privileged()) left_out("checked as an ordinary user");
  int fd = (int)must(open(shared("team-file"), O_RDWR));
  write_pattern(fd, 0, 100);
  must(fsync(fd));
  that(has_pattern(fd, 0, 100));
  must(close(fd));
  refused(open(shared("others-file"), O_RDONLY), EACCES);
  refused(open(shared("others-folder/file"), O_WRONLY | O_CREAT, 0644), EACCES);
  char name[4096];
  snprintf(name, sizeof name, "%s.%d", shared("team-folder/file"), (int)getpid());
  must(close(new_file(name, 10)));
  struct stat st = stat_of(name);
  that(st.st_gid == 2000);
  must(unlink(name));
  // The remaining rules hold where the server acts with this user's ids.
  if (mount_is("access=any")) return;
  that(st.st_uid == 1000);
  must(close(new_file("file", 10)));
  that(stat_of("file").st_uid == 1000 && stat_of("file").st_gid == 1000);
  must(chown("file", (uid_t)-1, 2000));
  that(stat_of("file").st_gid == 2000);
  refused(chown("file", (uid_t)-1, 3000), EPERM);
  refused(chown("file", 0, (gid_t)-1), EPERM);
  refused(mknod("device", S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

void file_system(void) {
  struct statvfs vfs;
  must(statvfs(".", &vfs));
  that(vfs.f_bsize >= 512 && vfs.f_frsize >= 512);
  that(vfs.f_blocks > 0 && vfs.f_bfree <= vfs.f_blocks && vfs.f_bavail <= vfs.f_bfree);
  that(vfs.f_files > 0 && vfs.f_ffree <= vfs.f_files);
  that(vfs.f_namemax == 255);
}

// Sets, replaces, lists and removes NAME1 and NAME2 on `path`.
static void use_xattrs(const char* path, const char* name1, const char* name2) {
  char value[2000], big[1500];
  memset(big, 'v', sizeof big);
  refused(getxattr(path, name1, value, sizeof value), ENODATA);
  must(setxattr(path, name1, "first", 5, XATTR_CREATE));
  refused(setxattr(path, name1, "again", 5, XATTR_CREATE), EEXIST);
  refused(setxattr(path, name2, "none", 4, XATTR_REPLACE), ENODATA);
  must(setxattr(path, name2, big, sizeof big, 0));
  that(getxattr(path, name2, NULL, 0) == sizeof big);
  that(getxattr(path, name2, value, sizeof value) == sizeof big);
  that(memcmp(value, big, sizeof big) == 0);
  refused(getxattr(path, name2, value, 10), ERANGE);
  must(setxattr(path, name1, "second value", 12, XATTR_REPLACE));
  that(getxattr(path, name1, value, sizeof value) == 12);
  that(memcmp(value, "second value", 12) == 0);
  ssize_t size = must(listxattr(path, NULL, 0));
  that(size >= (ssize_t)(strlen(name1) + strlen(name2) + 2) && size <= (ssize_t)sizeof value);
  that(listxattr(path, value, sizeof value) == size);
  int found = 0;
  for (char* at = value; at < value + size; at += strlen(at) + 1)
    found += strcmp(at, name1) == 0 || strcmp(at, name2) == 0;
  that(found == 2);
  must(removexattr(path, name1));
  refused(getxattr(path, name1, value, sizeof value), ENODATA);
  refused(removexattr(path, name1), ENODATA);
  that(getxattr(path, name2, value, sizeof value) == sizeof big);
  // Client limit: an empty value with XATTR_REPLACE looks like a removal, so it isn't asked for.
  must(setxattr(path, name1, "", 0, 0));
  that(getxattr(path, name1, value, sizeof value) == 0);
  must(removexattr(path, name1));
}

void user_xattrs(void) {
  int fd = new_file("file", 10);
  use_xattrs("file", "user.one", "user.two");
  char value[4];
  must(fsetxattr(fd, "user.fd", "abc", 3, 0));
  that(fgetxattr(fd, "user.fd", value, sizeof value) == 3);
  that(getxattr(other("file"), "user.fd", value, sizeof value) == 3);
  that(memcmp(value, "abc", 3) == 0);
  must(mkdir("folder", 0755));
  use_xattrs("folder", "user.one", "user.two");
  that(has_pattern(fd, 0, 10));
}

void privileged_xattrs(void) {
  if (!privileged()) left_out("needs root");
  must(close(new_file("file", 10)));
  use_xattrs("file", "trusted.one", "trusted.two");
  use_xattrs("file", "security.ninep-one", "security.ninep-two");
}

// An access control list as the kernel takes it: a version, then entries.
struct acl_entry {
  uint16_t tag, permissions;
  uint32_t id;
};
struct acl {
  uint32_t version;
  struct acl_entry entries[5];
};
void acls(void) {
  // user::rw- user:1000:rw- group::r-- mask::rw- other::---
  struct acl acl = {2, {{1, 6, ~0u}, {2, 6, 1000}, {4, 4, ~0u}, {16, 6, ~0u}, {32, 0, ~0u}}};
  struct acl back;
  must(close(new_file("file", 10)));
  // Client limit: since 6.2 Linux has them with access=client,posixacl alone.
  if (setxattr("file", "system.posix_acl_access", &acl, sizeof acl, 0) == -1 &&
      errno == EOPNOTSUPP && !mount_is("posixacl"))
    left_out("no posixacl");
  must(setxattr("file", "system.posix_acl_access", &acl, sizeof acl, 0));
  that(getxattr("file", "system.posix_acl_access", &back, sizeof back) == sizeof acl);
  that(memcmp(&acl, &back, sizeof acl) == 0);
  that(mode_of(other("file")) == 0660);
  must(mkdir("folder", 0755));
  must(setxattr("folder", "system.posix_acl_default", &acl, sizeof acl, 0));
  must(close(new_file("folder/file", 10)));
  that(getxattr("folder/file", "system.posix_acl_access", &back, sizeof back) == sizeof acl);
  that(back.entries[1].tag == 2 && back.entries[1].id == 1000);
  // Client limit: 6.1 follows a null pointer here (v9fs_vfs_mkdir_dotl, v9fs_set_create_acl).
  if (mount_is("kernel=6.1") && mount_is("cache=loose") && mount_is("posixacl")) return;
  must(mkdir("folder/inner", 0755));
  that(getxattr("folder/inner", "system.posix_acl_default", &back, sizeof back) == sizeof acl);
  that(memcmp(&acl, &back, sizeof acl) == 0);
  must(removexattr("folder", "system.posix_acl_default"));
  refused(getxattr("folder", "system.posix_acl_default", &back, sizeof back), ENODATA);
}

void devices(void) {
  if (!privileged()) left_out("needs root");
  must(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
  must(mknod("disk", S_IFBLK | 0600, makedev(259, 70000)));
  must(mknod("plain", S_IFREG | 0600, 0));
  struct stat st = stat_of("null");
  that(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
  st = stat_of(other("disk"));
  that(S_ISBLK(st.st_mode) && st.st_rdev == makedev(259, 70000));
  st = stat_of("plain");
  that(S_ISREG(st.st_mode) && st.st_size == 0);
  // A device of the client, not of the server.
  int fd = (int)must(open("null", O_RDWR));
  that(write(fd, "gone", 4) == 4);
  char byte;
  that(read(fd, &byte, 1) == 0);
  must(rename("null", "zero"));
  refused(mknod("zero", S_IFCHR | 0666, makedev(1, 3)), EEXIST);
}

static void write_to_fifo(void* unused) {
  (void)unused;
  ready();
  int fd = (int)must(open("fifo", O_WRONLY));
  that(write(fd, "through the fifo", 16) == 16);
}
void fifo(void) {
  must(mkfifo("fifo", 0600));
  that(S_ISFIFO(stat_of(other("fifo")).st_mode));
  pid_t pid = start_child(write_to_fifo, NULL);
  int fd = (int)must(open("fifo", O_RDONLY));
  char text[17] = "";
  that(read(fd, text, 16) == 16);
  that(strcmp(text, "through the fifo") == 0);
  int status;
  must(waitpid(pid, &status, 0));
  that(status == 0);
  must(unlink("fifo"));
}

static const struct sockaddr_un address = {AF_UNIX, "socket"};
static int connect_and_write(void* unused) {
  (void)unused;
  int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
  must(connect(fd, (const struct sockaddr*)&address, sizeof address));
  that(write(fd, "hello", 5) == 5);
  return 0;
}
void unix_socket(void) {
  int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
  must(bind(fd, (const struct sockaddr*)&address, sizeof address));
  that(S_ISSOCK(stat_of(other("socket")).st_mode));
  must(listen(fd, 1));
  that(in_child(connect_and_write, NULL) == 0);
  int connection = (int)must(accept(fd, NULL, NULL));
  char text[6] = "";
  that(read(connection, text, 5) == 5);
  that(strcmp(text, "hello") == 0);
  refused(bind((int)must(socket(AF_UNIX, SOCK_STREAM, 0)), (const struct sockaddr*)&address,
               sizeof address),
          EADDRINUSE);
}
