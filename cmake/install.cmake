# What `cmake --install` installs: the programs, the libraries proto and client with their headers, and
# what finds those: find_package(ninep), pkg-config ninep-client. The server is a program only: its
# headers, and those of transports/ that it needs, are nobody's contract yet.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS 9p 9pdump 9pserve)

# Headers say #include "client/client.h", as in the tree. Other packages have a client/ too, so these
# are below a directory of their own, which is the one to search.
set(ninep_includedir ${CMAKE_INSTALL_INCLUDEDIR}/ninep)
file(GLOB proto_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/proto/*.h)
set(transports_headers address.h ends.h)
set(client_headers attachment.h attributes.h blocking.h cancelled.h client.h error.h gate.h names.h operations.h
                   replies.h session.h stream.h together.h window.h)
list(TRANSFORM transports_headers PREPEND ${PROJECT_SOURCE_DIR}/transports/)
list(TRANSFORM client_headers PREPEND ${PROJECT_SOURCE_DIR}/client/)
foreach(library proto transports client)
  install(FILES ${${library}_headers} DESTINATION ${ninep_includedir}/${library})
  set_target_properties(ninep_${library} PROPERTIES EXPORT_NAME ${library})
  add_library(ninep::${library} ALIAS ninep_${library})
endforeach()
target_include_directories(ninep_proto INTERFACE $<INSTALL_INTERFACE:${ninep_includedir}>)
target_compile_features(ninep_proto INTERFACE cxx_std_23)
install(TARGETS ninep_proto ninep_transports ninep_client EXPORT ninep)

set(ninep_cmakedir ${CMAKE_INSTALL_LIBDIR}/cmake/ninep)
install(EXPORT ninep NAMESPACE ninep:: FILE ninepTargets.cmake DESTINATION ${ninep_cmakedir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ninepConfig.cmake.in
                              ${CMAKE_CURRENT_BINARY_DIR}/ninepConfig.cmake
                              INSTALL_DESTINATION ${ninep_cmakedir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/ninepConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ninepConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/ninepConfigVersion.cmake
        DESTINATION ${ninep_cmakedir})

# The libraries are static: whoever links them needs what they need, with or without --static.
get_target_property(linked ninep_transports LINK_LIBRARIES)
list(FILTER linked INCLUDE REGEX ^absl::)
list(REMOVE_DUPLICATES linked)
string(REPLACE ";" " " ninep_absl "${linked}")
string(REPLACE :: _ ninep_absl "${ninep_absl}")
# Of what is said to one compiler the other makes no fuss.
get_target_property(definitions ninep_client INTERFACE_COMPILE_DEFINITIONS)
get_target_property(options ninep_client INTERFACE_COMPILE_OPTIONS)
list(TRANSFORM definitions REPLACE "^[$]<.*:(.*)>$" "\\1")
list(TRANSFORM options REPLACE "^[$]<.*:(.*)>$" "\\1")
list(TRANSFORM definitions PREPEND -D)
list(JOIN definitions " " definitions)
list(JOIN options " " options)
set(ninep_cflags "${definitions} ${options}")
set(pkgconfigdir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
string(REGEX REPLACE "[^/]+" ".." ninep_prefix ${pkgconfigdir})  # wherever it is installed to
foreach(package proto client)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/ninep-${package}.pc.in
                 ${CMAKE_CURRENT_BINARY_DIR}/ninep-${package}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ninep-${package}.pc DESTINATION ${pkgconfigdir})
endforeach()

install(FILES ${PROJECT_BINARY_DIR}/man/9p.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
set(completions ${PROJECT_BINARY_DIR}/completions)
install(FILES ${completions}/9p.bash RENAME 9p OPTIONAL
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${completions}/_9p DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions OPTIONAL)
install(FILES ${completions}/9p.fish OPTIONAL
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
