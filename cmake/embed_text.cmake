# cmake -DOUT=FILE.cc -DHEADER=… -DNAMESPACE=… -DFILES=function=path;… -P embed_text.cmake: text files as functions that
# return them. A literal may not be longer than 64 KiB.
set(text "#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n\n")
foreach(pair IN LISTS FILES)
  string(REGEX MATCH "^([^=]+)=(.+)$" match "${pair}")
  set(function "${CMAKE_MATCH_1}")
  file(READ "${CMAKE_MATCH_2}" content)
  string(APPEND text "std::string_view ${function}() {\n  return R\"pf_text(${content})pf_text\";\n}\n\n")
endforeach()
string(APPEND text "}  // namespace ${NAMESPACE}\n")
file(WRITE "${OUT}" "${text}")
