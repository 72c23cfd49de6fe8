// wire pair SERVER... :: CLIENT...    the two ends of a socket pair, to SERVER and CLIENT
// wire pipes SERVER... :: CLIENT...   two pipes: each reads from 3 and writes to 4
// wire vsock CID PORT CLIENT...       a connection to a vsock listener
// wire listen PATH SERVER...          a UNIX socket that listens, to SERVER
// Runs the last of them with that as its descriptor 3 (mount -o trans=fd,rfdno=3,wfdno=3); exits as
// it does.
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char* what) {
  perror(what);
  exit(99);
}
static void run(char** command, int in, int out) {
  // Away from 3 and 4 first, which either may be.
  in = dup2(in, 20);
  out = dup2(out, 21);
  dup2(in, 3);
  dup2(out, 4);
  for (int fd = 5; fd < 30; fd++) close(fd);
  execvp(command[0], command);
  fail(command[0]);
}

int main(int argc, char** argv) {
  if (argc > 4 && strcmp(argv[1], "vsock") == 0) {
    struct sockaddr_vm to = {.svm_family = AF_VSOCK,
                             .svm_cid = (unsigned)atoi(argv[2]),
                             .svm_port = (unsigned)atoi(argv[3])};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) < 0) fail("vsock");
    run(argv + 4, fd, fd);
  }
  if (argc > 3 && strcmp(argv[1], "listen") == 0) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, argv[2], sizeof at.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr*)&at, sizeof at) < 0 || listen(fd, 1) < 0)
      fail("listen");
    run(argv + 3, fd, fd);
  }
  int middle = 2;
  while (middle < argc && strcmp(argv[middle], "::") != 0) middle++;
  if (middle + 1 >= argc) return fprintf(stderr, "wire: see the head of wire.c\n"), 2;
  argv[middle] = NULL;
  int there[2], back[2];
  if (strcmp(argv[1], "pair") == 0) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) fail("socketpair");
    there[0] = back[1] = ends[0];
    there[1] = back[0] = ends[1];
  } else if (pipe(there) < 0 || pipe(back) < 0) {
    fail("pipe");
  }
  if (fork() == 0) run(argv + 2, there[0], back[1]);
  run(argv + middle + 1, back[0], there[1]);
}
