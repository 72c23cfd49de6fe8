// range FILE read|write START LENGTH COMMAND...: COMMAND's status, run with a lock on these bytes;
// 3: somebody else has one.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  struct flock lock = {.l_type = strcmp(argv[2], "write") == 0 ? F_WRLCK : F_RDLCK,
                       .l_whence = SEEK_SET,
                       .l_start = atol(argv[3]),
                       .l_len = atol(argv[4])};
  if (fd < 0) return perror(argv[1]), 1;
  if (fcntl(fd, F_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return 3;
    return perror("lock"), 1;
  }
  const pid_t child = fork();
  if (child == 0) {
    execvp(argv[5], argv + 5);
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
