# pf_in_worker(TARGET): its code runs in confined workers too. The undefined behaviour sanitizer looks at an object's
# type through a pipe that it opens; seccomp refuses that, and the sanitizer then takes every object for a broken one.
function(pf_in_worker target)
  if(PF_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
  endif()
endfunction()

# pf_floor(NAME LINKS ...): one floor of src/ as a static library of all its *.cc, with src/ as include root.
function(pf_floor name)
  cmake_parse_arguments(ARG "" "" "LINKS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  foreach(file IN LISTS ARG_EXCLUDE)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  if(sources)
    add_library(pf_${name} STATIC ${sources})
    target_include_directories(pf_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(pf_${name} PUBLIC ${ARG_LINKS})
  else()
    add_library(pf_${name} INTERFACE)
    target_include_directories(pf_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(pf_${name} INTERFACE ${ARG_LINKS})
  endif()
endfunction()

# pf_quick_build(TARGET): without optimisation. Tests are compiled more often than they run, and a third of the time
# (measured: 58 s of CPU for the largest under the address sanitizer at -O1, 20 s at -O0).
function(pf_quick_build target)
  target_compile_options(${target} PRIVATE -O0 -U_FORTIFY_SOURCE)
endfunction()

# pf_test(NAME LINKS ...): one GoogleTest program of all *_test.cc in this folder, registered test by test.
function(pf_test name)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  pf_quick_build(test_${name})
  target_compile_definitions(test_${name} PRIVATE PF_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(test_${name} PRIVATE ${ARG_LINKS} pf_test_support GTest::gmock GTest::gtest GTest::gtest_main)
  gtest_discover_tests(test_${name} TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
endfunction()
