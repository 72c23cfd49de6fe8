// What is made from the description of the messages and kept in files is what is made today.
// After a change: NINEP_UPDATE=1 generated_test
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "client/dump/layout.h"

namespace ninep {
namespace {

const std::string kSource = NINEP_SOURCE_DIR;
const std::string kBegin = "<!-- 9pdump --layouts -->\n";
const std::string kEnd = "<!-- end of 9pdump --layouts -->\n";

std::string read(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

/// `text` with what stands between the two marks replaced; "" if it has no such marks.
std::string with_layouts(const std::string& text) {
  const auto begin = text.find(kBegin);
  const auto end = text.find(kEnd);
  if (begin == text.npos || end == text.npos || end < begin) return "";
  return text.substr(0, begin + kBegin.size()) + layouts() + text.substr(end);
}

void expect_file(const std::string& path, const std::string& wanted) {
  if (std::getenv("NINEP_UPDATE")) std::ofstream(path) << wanted;
  EXPECT_EQ(read(path), wanted) << path << " is out of date; NINEP_UPDATE=1 makes it anew";
}

TEST(Generated, LayoutsOfTheProtocolDocument) {
  const std::string path = kSource + "/docs/protocol.md";
  const std::string wanted = with_layouts(read(path));
  ASSERT_NE(wanted, "") << "the marks are missing";
  expect_file(path, wanted);
}

TEST(Generated, FuzzDictionary) { expect_file(kSource + "/fuzz/9p.dict", dictionary()); }

TEST(Generated, LayoutsSayWhatTheProtocolSays) {
  const std::string table = layouts();
  for (const char* row : {
           "| 104 | 2 | `size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s]` |\n",
           "| 104 | u | `size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s] n_uname[4]?` |\n",
           "| 104 | L | `size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s] n_uname[4]` |\n",
           "| 110 | 2uL | `size[4] Twalk tag[2] fid[4] newfid[4] nwname[2] nwname*(wname[s])` |\n",
           "| 111 | 2uL | `size[4] Rwalk tag[2] nwqid[2] nwqid*(wqid[13])` |\n",
           "| 117 | 2uL | `size[4] Rread tag[2] count[4] data[count]` |\n",
           "| 125 | 2u | `size[4] Rstat tag[2] nstat[2] stat[nstat]` |\n",
           "| 50 | L | `size[4] Tfsync tag[2] fid[4] datasync[4]?` |\n",
           "| dirent | L | `qid[13] offset[8] type[1] name[s]` |\n",
           "| qid | 2uL | `type[1] version[4] path[8]` |\n",
       })
    EXPECT_NE(table.find(row), table.npos) << row;
}

TEST(Generated, MarksThatAreMissingAreFound) {
  EXPECT_EQ(with_layouts("no marks"), "");
  EXPECT_EQ(with_layouts(kEnd + kBegin), "");
  EXPECT_EQ(with_layouts("a" + kBegin + "old" + kEnd + "b"), "a" + kBegin + layouts() + kEnd + "b");
}

}  // namespace
}  // namespace ninep
