# What the scripts share: where things are, which packages are needed, how the project is built. Sourced, never run.
# Everything that is said goes to stderr, so that stdout is the program's own.
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian 12 or later, Ubuntu 24.04 or later. The one list: CONTRIBUTING.md and continuous integration refer to it.
build_packages=(
  g++ cmake ninja-build pkg-config ccache
  libluajit-5.1-dev libyaml-cpp-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libcurl4-openssl-dev libgtest-dev
  libgmock-dev libasio-dev libcli11-dev libre2-dev libexpected-dev libsqlite3-dev libssl-dev libseccomp-dev zlib1g-dev
  libgit2-dev libarchive-dev libssh-dev
)
test_packages=(graphviz nginx-light tinyproxy-bin git make procps python3-venv fcgiwrap openssh-server openssl)
check_packages=(clang-format-14 lua-check shellcheck git)
tidy_packages=(clang-tidy-14 git)
fuzz_packages=(clang-14 libclang-rt-14-dev)

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# need_packages NAME...: installs what is missing, or says how and ends.
need_packages() {
  if ! command -v dpkg-query >/dev/null; then
    [[ -e $root/build/release/build.ninja ]] && return
    say "This system has no Debian packages. Needed, under whatever names it gives them: g++ 12 or later, CMake 3.25," \
      "Ninja, pkg-config, and the libraries LuaJIT 2.1, yaml-cpp, nlohmann_json, spdlog, fmt, libcurl, GoogleTest," \
      "Asio (standalone), CLI11, RE2, tl::expected, SQLite, OpenSSL, libseccomp, zlib, libgit2," \
      "libarchive, libssh."
    return
  fi
  local missing
  missing=$(comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | awk '$1 == "ii" { print $2 }' | sort -u))
  [[ -n $missing ]] || return 0
  local names
  mapfile -t names <<<"$missing"
  if ((EUID != 0)); then
    say "Packages are missing. Install them with this line, then run this script again:"
    say "  sudo apt-get install --no-install-recommends ${names[*]}"
    exit 1
  fi
  say "Installing packages that are missing: ${names[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -y -q --no-install-recommends "${names[@]}" >&2 ||
    die "The packages could not be installed: Debian 12, Ubuntu 24.04, or a later one is needed."
}

# build PRESET TARGET [LAUNCHER...]: configures where that was not done yet, then builds.
build() {
  local preset=$1 target=$2 folder=$root/build/$1
  shift 2
  if [[ ! -e $folder/build.ninja ]]; then
    say "Configuring build/$preset, then building it: some minutes the first time."
    (cd "$root" && cmake --preset "$preset") >&2
  fi
  "$@" ninja -C "$folder" "$target" >&2
}
