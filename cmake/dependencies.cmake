# The libraries of design.md, all from the distribution's own packages. Each becomes one target pf::NAME.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)  # its headers only
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tl-expected REQUIRED)

pkg_check_modules(LUAJIT REQUIRED IMPORTED_TARGET luajit)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
# Of the io helper alone. libssh, because the distribution's libgit2 speaks ssh through a libssh2 that knows neither
# ed25519 nor SHA-2 signatures.
pkg_check_modules(GIT2 REQUIRED IMPORTED_TARGET libgit2)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(SSH REQUIRED IMPORTED_TARGET libssh)
find_path(ASIO_INCLUDE_DIR asio.hpp REQUIRED)

# What start-up would otherwise pay the dynamic linker for is linked statically where the distribution has an archive.
function(pf_static_or target archive fallback)
  find_library(PF_ARCHIVE_${target} NAMES ${archive})
  add_library(pf_dep_${target} INTERFACE)
  add_library(pf::${target} ALIAS pf_dep_${target})
  if(PF_ARCHIVE_${target})
    target_link_libraries(pf_dep_${target} INTERFACE ${PF_ARCHIVE_${target}})
  else()
    target_link_libraries(pf_dep_${target} INTERFACE ${fallback})
  endif()
endfunction()

pf_static_or(sqlite libsqlite3.a PkgConfig::SQLITE)
target_link_libraries(pf_dep_sqlite INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
pf_static_or(re2 libre2.a PkgConfig::RE2)
target_link_libraries(pf_dep_re2 INTERFACE Threads::Threads)
pf_static_or(yaml libyaml-cpp.a yaml-cpp)
pf_static_or(luajit libluajit-5.1.a PkgConfig::LUAJIT)
target_include_directories(pf_dep_luajit SYSTEM INTERFACE ${LUAJIT_INCLUDE_DIRS})
target_link_libraries(pf_dep_luajit INTERFACE ${CMAKE_DL_LIBS} m)
pf_static_or(seccomp libseccomp.a PkgConfig::SECCOMP)
pf_static_or(crypto libcrypto.a crypto)
target_link_libraries(pf_dep_crypto INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

add_library(pf_dep_asio INTERFACE)
add_library(pf::asio ALIAS pf_dep_asio)
target_include_directories(pf_dep_asio SYSTEM INTERFACE ${ASIO_INCLUDE_DIR})
# Asio finds out about aligned_alloc only where a standard header came first: files that differ in that would free with
# one allocator what they got from another.
target_compile_definitions(pf_dep_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED ASIO_HAS_STD_ALIGNED_ALLOC=1)
target_link_libraries(pf_dep_asio INTERFACE Threads::Threads)

add_library(pf_dep_json INTERFACE)
add_library(pf::json ALIAS pf_dep_json)
target_link_libraries(pf_dep_json INTERFACE nlohmann_json::nlohmann_json)

# Header only, with header-only fmt: the shared libraries of both would cost every start-up.
find_package(fmt REQUIRED)
add_library(pf_dep_spdlog INTERFACE)
add_library(pf::spdlog ALIAS pf_dep_spdlog)
target_compile_definitions(pf_dep_spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(pf_dep_spdlog INTERFACE fmt::fmt-header-only)
