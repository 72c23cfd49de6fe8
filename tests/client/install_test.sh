#!/bin/bash
# install_test.sh CMAKE TREE BUILD CXX SANITIZERS COMPILER: what `cmake --install` installs of BUILD, as
# those get it who use it: in another place than it was installed to, with COMPILER. CXX built it, with
# SANITIZERS, and links what another compiler compiles.
set -u
cmake=$1 tree=$2 build=$3 cxx=$4 sanitizers=$5 compiler=$6
if ! command -v "$compiler" >/dev/null; then
    echo "skipped: there is no $compiler"
    exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}
# run WHAT COMMAND...: it has to work; what it says is of interest if it doesn't.
run() {
    local what=$1
    shift
    "$@" >"$dir/said" 2>&1 && return
    fail "$what: $*"
    tail -n 100 "$dir/said"
    return 1
}

run install "$cmake" --install "$build" --prefix "$dir/installed" || exit 1
mv "$dir/installed" "$dir/moved"
prefix=$dir/moved

# ---------------------------------------------------------------- what is there
for program in 9p 9pdump 9pserve; do
    run "$program" "$prefix/bin/$program" --help
done
folders=$(cd "$prefix/include" && find . -type d | sort | tr '\n' ' ')
[ "$folders" = '. ./ninep ./ninep/client ./ninep/proto ./ninep/transports ' ] ||
    fail "headers are in $folders"
while read -r made installed; do
    run "$installed" cmp "$build/$made" "$prefix/share/$installed"
done <<'END'
man/9p.1 man/man1/9p.1
completions/9p.bash bash-completion/completions/9p
completions/_9p zsh/site-functions/_9p
completions/9p.fish fish/vendor_completions.d/9p.fish
END
# Neither the flags that it was built with are for others, nor where it was built.
pc=$(find "$prefix" -name ninep-client.pc)
for folder in "$(dirname "$pc")" "$(dirname "$(find "$prefix" -name ninepConfig.cmake)")"; do
    if grep -rF -e "$tree" -e "$build" -e "$dir/installed" -e -Werror -e -Wall -e -fsanitize "$folder"; then
        fail "$folder has what is of the build alone"
    fi
done

# ---------------------------------------------------------------- programs that use it
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
sanitize=${sanitizers:+-fsanitize=$sanitizers}
work=$dir/work
mkdir "$work"
cp "$tree"/client/examples/{cat,upload,usage}.cc "$work"
cat >"$work/proto.cc" <<'END'
#include <cstdio>
#include <vector>

#include "proto/codec.h"
#include "proto/print.h"

int main() {
  const ninep::Tversion version{8192, "9P2000.L"};
  std::vector<std::byte> frame(ninep::frame_size(version, ninep::kDotL));
  const auto size = ninep::encode_frame(ninep::kNoTag, version, ninep::kDotL, frame);
  std::puts(ninep::print_frame(frame, ninep::kDotL).c_str());
  return size == frame.size() ? 0 : 1;
}
END
# use FOLDER: the programs that were built there.
use() {
    run "$1: proto" "$1/proto"
    grep -q 'Tversion.*8192' "$dir/said" || fail "$1: proto says $(cat "$dir/said")"
    run "$1" "$tree/tests/client/examples_test.sh" "$prefix/bin/9pserve" "$1"/{cat,upload,usage}
}

# Each header by itself is tests/headers.cmake's; here whether all that they include is installed.
(cd "$prefix/include/ninep" && find . -name '*.h' | sort | sed 's/.*/#include "&"/') >"$work/headers.cc"
# shellcheck disable=SC2046
run headers "$compiler" -std=c++23 -Wall -Wextra -Werror -fsyntax-only "$work/headers.cc" \
    $(pkg-config --cflags ninep-client)

mkdir "$work/pkg-config"
for example in cat upload usage proto; do
    package=ninep-client
    [ $example != proto ] || package=ninep-proto
    # shellcheck disable=SC2046,SC2086
    if [ "$compiler" = "$cxx" ]; then
        run "pkg-config: $example" "$compiler" -std=c++23 $sanitize "$work/$example.cc" \
            -o "$work/pkg-config/$example" $(pkg-config --cflags --libs $package)
    else
        run "pkg-config: $example" "$compiler" -std=c++23 -c "$work/$example.cc" \
            -o "$work/$example.o" $(pkg-config --cflags $package) &&
            run "pkg-config: $example" "$cxx" $sanitize "$work/$example.o" \
                -o "$work/pkg-config/$example" $(pkg-config --libs $package)
    fi
done
use "$work/pkg-config"

if [ "$compiler" = "$cxx" ]; then
    cat >"$work/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(ninep 0.1 REQUIRED COMPONENTS proto client)
add_executable(proto proto.cc)
target_link_libraries(proto PRIVATE ninep::proto)
foreach(example cat upload usage)
  add_executable(${example} ${example}.cc)
  target_link_libraries(${example} PRIVATE ninep::client)
endforeach()
END
    run 'CMake: configure' "$cmake" -G Ninja -S "$work" -B "$work/cmake" "-DCMAKE_PREFIX_PATH=$prefix" \
        "-DCMAKE_CXX_COMPILER=$compiler" "-DCMAKE_CXX_FLAGS=$sanitize" &&
        run 'CMake: build' "$cmake" --build "$work/cmake" --parallel 2
    use "$work/cmake"
else
    echo "SKIP CMake (what find_package gives is linked by the compiler that built the library)"
fi

[ $failed = 0 ] && echo 'all passed'
exit $failed
