# Programs and what lies beside them. An installed tree works from any prefix, also after it was moved: everything is
# found relative to the program (base/places.h). The build tree has the same layout, so that one rule is enough.
# What `scripts/run` builds: all that an installation holds, without the tests.
add_custom_target(programs)
foreach(program pangeo-forge pangeo-forge-worker pangeo-forge-io)
  if(TARGET ${program})
    add_dependencies(programs ${program})
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()
if(TARGET pangeo-forge-net)
  add_dependencies(programs pangeo-forge-net)
  install(TARGETS pangeo-forge-net LIBRARY DESTINATION lib)
endif()

install(DIRECTORY extensions DESTINATION share/pangeo-forge)
install(DIRECTORY lua/meta stdlib DESTINATION share/pangeo-forge/lua) # for editors
install(DIRECTORY examples docs DESTINATION share/doc/pangeo-forge PATTERN ".pangeo-forge" EXCLUDE)
install(FILES LICENSE README.md SECURITY.md DESTINATION share/doc/pangeo-forge)

file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/pangeo-forge)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/extensions ${PROJECT_BINARY_DIR}/share/pangeo-forge/extensions SYMBOLIC)
