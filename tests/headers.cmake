# Each header compiles alone, twice in a row: it includes what it uses, and guards itself.
set(folders proto transports server client)
set(sources)
foreach(folder ${folders})
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
       ${PROJECT_SOURCE_DIR}/${folder}/*.h)
  foreach(header ${headers})
    set(source ${CMAKE_CURRENT_BINARY_DIR}/headers/${header}.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
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
