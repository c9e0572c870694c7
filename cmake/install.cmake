# An installed tree works from any prefix: everything is found relative to the program (base/places.h).
foreach(program pangeo-forge pangeo-forge-worker)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()
if(TARGET pangeo-forge-net)
  install(TARGETS pangeo-forge-net LIBRARY DESTINATION lib)
endif()
install(DIRECTORY extensions DESTINATION share/pangeo-forge)
install(FILES LICENSE README.md DESTINATION share/doc/pangeo-forge)

# The build tree has the same layout, so that the program needs one rule only.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/pangeo-forge)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/extensions ${PROJECT_BINARY_DIR}/share/pangeo-forge/extensions SYMBOLIC)
