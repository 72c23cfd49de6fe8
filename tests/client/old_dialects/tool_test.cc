// The tool, with servers of the older dialects.
#include <fstream>

#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/bytes.h"
#include "tests/client/old_dialects/fixture.h"

namespace ninep::test {
namespace {

class OldServersTool : public OldDialect {
 protected:
  OldServersTool() { disconnect(); }
  /// Runs `9p` with these arguments, "@" for the server's address: its status.
  int run_tool(std::vector<std::string> arguments) {
    const char* const given = std::getenv("NINEP_9P");
    arguments.insert(arguments.begin(), {given ? given : NINEP_9P, "--user", "me", "-q"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
      if (argument.starts_with('@')) argument.replace(0, 1, "unix:" + (folder / "s") + ":/");
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    int pipe[2];
    NINEP_CHECK(::pipe2(pipe, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    NINEP_CHECK(child >= 0);
    if (child == 0) {
      ::dup2(pipe[1], 1);
      ::dup2(pipe[1], 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(pipe[1]);
    said.clear();
    char bytes[4096];
    for (ssize_t size; (size = ::read(pipe[0], bytes, sizeof bytes)) > 0;)
      said.append(bytes, static_cast<std::size_t>(size));
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  /// It has to work, and what it says.
  std::string tool(std::vector<std::string> arguments) {
    const std::string command = testing::PrintToString(arguments);
    EXPECT_EQ(run_tool(std::move(arguments)), 0) << command << "\n" << said;
    return said;
  }
  /// It must not, and what it says.
  std::string refused(std::vector<std::string> arguments) {
    const std::string command = testing::PrintToString(arguments);
    EXPECT_EQ(run_tool(std::move(arguments)), 1) << command << "\n" << said;
    return said;
  }
  std::string said;
};
INSTANTIATE_TEST_SUITE_P(Each, OldServersTool, testing::Values(k9P2000, kDotU), dialect_text);

TEST_P(OldServersTool, Listings) {
  server->put("d", 0x80000000 | 0755, "");
  server->put("d/e", 0x80000000 | 0700, "");
  server->put("d/f", 0644, "hello\n");
  if (is_dot_u()) server->put("d/l", 0x02000000 | 0777, "", "f");
  EXPECT_EQ(tool({"ls", "@d"}), is_dot_u() ? "e\nf\nl\n" : "e\nf\n");
  const std::string listed = tool({"ls", "-l", "@d"});
  const std::string owner = is_dot_u() ? "1000 100" : "glenda sys";
  EXPECT_NE(listed.find("-rw-r--r--   1 " + owner + "            6 "), std::string::npos) << listed;
  EXPECT_NE(listed.find("drwx------   1 " + owner + "            0 "), std::string::npos) << listed;
  EXPECT_EQ(listed.find("l -> f") != std::string::npos, is_dot_u()) << listed;
  EXPECT_NE(
      tool({"tree", "@"}).find(is_dot_u() ? "2 directories, 2 files" : "2 directories, 1 files"),
      std::string::npos)
      << said;
  EXPECT_EQ(tool({"cat", "@d/f"}), "hello\n");
  if (is_dot_u()) {
    EXPECT_EQ(tool({"cat", "@d/l"}), "hello\n");
  }
  EXPECT_NE(tool({"stat", "@d/f"}).find("owner " + owner), std::string::npos) << said;
  EXPECT_NE(tool({"--json", "ls", "@d/f"}).find("\"size\":6"), std::string::npos) << said;
  EXPECT_NE(tool({"ping", "-c", "1", "@"}).find(std::string(dialect_name(GetParam())) + ", msize"),
            std::string::npos)
      << said;
  EXPECT_EQ(refused({"cat", "@none"}),
            "9p: find none: No such file or directory (file does not exist)\n");
}

TEST_P(OldServersTool, Copies) {
  namespace fs = std::filesystem;
  serve({.msize_max = 1024});
  disconnect();
  const std::string all = pattern(100'000);
  const fs::path tree = folder / "tree";
  fs::create_directories(tree / "d/empty");
  const auto write = [](const fs::path& path, Str content) { std::ofstream(path) << content; };
  write(tree / "big", all);
  write(tree / "d/none", "");
  for (int i = 0; i < 60; ++i) write(tree / "d" / ("n" + std::to_string(i)), std::to_string(i));
  const auto set_time = [](const fs::path& path, time_t time) {
    const timespec times[] = {{time, 0}, {time, 123'456'789}};
    NINEP_CHECK(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  };
  set_time(tree / "big", 1'000'000'000);
  fs::permissions(tree / "big", fs::perms(0640));
  if (is_dot_u()) fs::create_symlink("big", tree / "link");
  const auto same = [&](const fs::path& a, const fs::path& b) {
    const std::string command =
        "diff -r --no-dereference '" + a.string() + "' '" + b.string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
  };

  tool({"put", "-r", tree, "@"});
  EXPECT_TRUE(facts("tree/big").content == all);
  EXPECT_EQ(facts("tree/big").mode, 0640u);
  EXPECT_EQ(facts("tree/big").mtime, 1'000'000'000u);
  EXPECT_EQ(facts("tree/d/n59").content, "59");
  EXPECT_EQ(facts("tree/d/empty").mode & 0x80000000u, 0x80000000u);
  if (is_dot_u()) {
    EXPECT_EQ(facts("tree/link").extension, "big");
  }
  tool({"get", "-r", "@tree", folder / "got"});
  same(tree, folder / "got");
  struct stat status{};
  NINEP_CHECK(::stat((folder / "got/big").c_str(), &status) == 0);
  EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(status.st_mode & 07777, 0640u);

  // Once more: over what is there, which is the same.
  write(tree / "d/n0", "changed");
  EXPECT_NE(tool({"--json", "sync", tree, "@tree"}).find("\"unchanged\":61"), std::string::npos)
      << said;
  EXPECT_EQ(facts("tree/d/n0").content, "changed");
  tool({"put", "-r", tree, "@"});
  tool({"cp", "-r", "@tree", "@copy"});
  tool({"get", "-r", "@copy", folder / "again"});
  same(tree, folder / "again");
  tool({"get", "@tree/big", folder / "one"});
  same(tree / "big", folder / "one");
}

TEST_P(OldServersTool, Changes) {
  tool({"mkdir", "-p", "@x/y/z"});
  EXPECT_TRUE(server->facts("x/y/z"));
  server->put("x/f", 0644, "f's");
  server->put("x/g", 0644, "g's");
  tool({"mv", "@x/f", "@x/h"});
  EXPECT_EQ(facts("x/h").content, "f's");
  tool({"mv", "@x/h", "@x/g"});
  EXPECT_EQ(facts("x/g").content, "f's");
  EXPECT_EQ(refused({"mv", "@x/g", "@x/y"}),
            "9p: rename x/g: Operation not supported (a file can't leave its directory before "
            "9P2000.L)\n");
  tool({"chmod", "u+x,go-rwx", "@x/g"});
  EXPECT_EQ(facts("x/g").mode, 0700u);
  tool({"touch", "-t", "1000000000.25", "@x/g"});
  EXPECT_EQ(facts("x/g").mtime, 1'000'000'000u);
  tool({"touch", "@x/new"});
  EXPECT_EQ(facts("x/new").content, "");
  if (is_dot_u()) {
    tool({"ln", "-s", "any where", "@x/l"});
    EXPECT_EQ(facts("x/l").extension, "any where");
    tool({"ln", "@x/g", "@x/hard"});
    EXPECT_EQ(facts("x/hard").path, facts("x/g").path);
  } else {
    EXPECT_EQ(
        refused({"ln", "-s", "any where", "@x/l"}),
        "9p: symlink x/l: Operation not supported (9P2000 has files and directories alone)\n");
    EXPECT_EQ(
        refused({"ln", "@x/g", "@x/hard"}),
        "9p: link x/hard: Operation not supported (9P2000 has files and directories alone)\n");
  }
  EXPECT_NE(refused({"rm", "@x"}).find("say -r"), std::string::npos) << said;
  tool({"rm", "@x/new"});
  EXPECT_FALSE(server->facts("x/new"));
  for (int i = 0; i < 100; ++i) server->put("x/y/n" + std::to_string(i), 0600, "");
  tool({"rm", "-r", "@x"});
  EXPECT_FALSE(server->facts("x"));
  tool({"rm", "-f", "@x"});
}

TEST_P(OldServersTool, WhatOnlyDotLHas) {
  server->put("f", 0644, "");
  const std::string none = ": Operation not supported (the server speaks no 9P2000.L";
  EXPECT_NE(refused({"xattr", "@f"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"xattr", "@f", "user.a", "x"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"lock", "@f", "--", "true"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"lock", "@f"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"df", "@"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"mount", "-f", "@", folder.path()}).find(none), std::string::npos) << said;
}

TEST_P(OldServersTool, Bench) {
  server->put("below", 0x80000000 | 0755, "");
  const std::vector<std::string> workloads = {"getattr", "stat",      "flush",    "mkdir",
                                              "connect", "smallread", "randread", "randwrite",
                                              "seqread", "seqwrite",  "create",   "readdir"};
  std::vector<std::string> arguments = {"--json", "bench",       "@below", "--seconds",
                                        "0.05",   "--depth",     "3",      "--connections",
                                        "2",      "--file-size", "1"};
  arguments.insert(arguments.end(), workloads.begin(), workloads.end());
  const std::string figures = tool(arguments);
  EXPECT_EQ(std::ranges::count(figures, '\n'), std::ssize(workloads)) << figures;
  const std::string dialect = "\"dialect\":\"" + std::string(dialect_name(GetParam())) + "\"";
  EXPECT_NE(figures.find(dialect), std::string::npos) << figures;
  EXPECT_EQ(tool({"ls", "@below"}), "") << "something is left";

  const std::string lacks =
      "the server speaks " + std::string(dialect_name(GetParam())) + ", which has no messages for ";
  for (const std::string workload : {"statfs", "xattr"})
    EXPECT_NE(refused({"bench", "@below", "getattr", workload}).find(lacks + workload),
              std::string::npos)
        << said;
  EXPECT_EQ(tool({"ls", "@below"}), "") << "something is left";
}

}  // namespace
}  // namespace ninep::test
