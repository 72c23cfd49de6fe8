# Each header compiles alone: it includes what it uses. One that has a source file beside it of the
# same name is compiled there, as its first line (includes_test looks that it is); this is the others.
set(folders proto transports server client)
set(sources)
foreach(folder ${folders})
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
       ${PROJECT_SOURCE_DIR}/${folder}/*.h)
  foreach(header ${headers})
    string(REGEX REPLACE "\\.h$" ".cc" of_same_name ${PROJECT_SOURCE_DIR}/${header})
    if(EXISTS ${of_same_name})
      continue()
    endif()
    set(source ${CMAKE_CURRENT_BINARY_DIR}/headers/${header}.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
endforeach()
add_library(ninep_headers OBJECT ${sources})
target_compile_options(ninep_headers PRIVATE -g0 -O0 -fno-sanitize=all)  # only whether it compiles
# Nothing is linked: these say where the headers of others are.
target_link_libraries(ninep_headers PRIVATE ninep_options)
foreach(library ninep_proto ninep_dump ninep_transports ninep_server ninep_tool)
  if(TARGET ${library})
    target_link_libraries(ninep_headers PRIVATE ${library})
  endif()
endforeach()
