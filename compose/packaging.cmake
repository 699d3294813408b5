# What `cmake --install` puts where, and the packages that `cpack` makes: .deb and .tar.gz.
include(GNUInstallDirs)
foreach(program jobmill jobmill-producer jobmill-worker jobmill-broker)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
# systemd finds programs that are named without a directory in /usr/local/bin and /usr/bin.
install(FILES compose/systemd/jobmill-producer.service compose/systemd/jobmill-worker@.service
  DESTINATION lib/systemd/system)
install(FILES compose/systemd/jobmill.sysusers DESTINATION lib/sysusers.d RENAME jobmill.conf)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs OPTIONAL PATTERN man EXCLUDE)
install(DIRECTORY schema/ DESTINATION ${CMAKE_INSTALL_DATADIR}/jobmill/schema
  FILES_MATCHING PATTERN "*.json" PATTERN "*.yaml" PATTERN "roles.sql"
  PATTERN migrations EXCLUDE PATTERN queries EXCLUDE)
install(FILES compose/jobmill.conf.sample DESTINATION ${CMAKE_INSTALL_DATADIR}/jobmill)
install(FILES worker/sdk/jobmill.py worker/sdk/jobmill.mjs DESTINATION ${CMAKE_INSTALL_DATADIR}/jobmill/sdk)
install(DIRECTORY compose/demo/jobs.d compose/demo/handlers DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
  USE_SOURCE_PERMISSIONS)
# The samples name their handlers by where these are in the end: for a package that is not where they are put now.
install(CODE "
  set(doc \"${CMAKE_INSTALL_DOCDIR}/examples\")
  if(NOT IS_ABSOLUTE \"\${doc}\")
    set(doc \"\${CMAKE_INSTALL_PREFIX}/\${doc}\")
  endif()
  string(REGEX REPLACE \"^.*/_CPack_Packages/.*/share/\" \"/usr/share/\" final \"\${doc}\")
  file(GLOB samples \"\$ENV{DESTDIR}\${doc}/jobs.d/*.json\")
  foreach(sample IN LISTS samples)
    file(READ \"\${sample}\" text)
    string(REPLACE \"@HANDLERS@\" \"\${final}/handlers\" text \"\${text}\")
    file(WRITE \"\${sample}\" \"\${text}\")
  endforeach()")

# Man pages and completion, from the program's own tables; in a directory of their own, which is made anew each time.
file(GLOB man_sources CONFIGURE_DEPENDS docs/man/*.scd)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/manpages.stamp
  COMMAND ${CMAKE_SOURCE_DIR}/compose/manpages.sh $<TARGET_FILE:jobmill> ${CMAKE_BINARY_DIR}/manpages
  COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/manpages.stamp
  DEPENDS jobmill compose/manpages.sh ${man_sources} VERBATIM)
add_custom_target(manpages ALL DEPENDS ${CMAKE_BINARY_DIR}/manpages.stamp)
install(DIRECTORY ${CMAKE_BINARY_DIR}/manpages/ DESTINATION ${CMAKE_INSTALL_DATADIR})

set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME jobmill)
set(CPACK_PACKAGE_VENDOR jobmill)
set(CPACK_PACKAGE_CONTACT "jobmill developers <jobmill@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION "jobmill runs jobs from Kafka topics, from schedules and from SQL on any number of
 workers, and records each job with its steps and log lines in PostgreSQL.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "postgresql, postgresql-client, kcat")
find_program(JM_SHLIBDEPS dpkg-shlibdeps)
set(CPACK_DEBIAN_PACKAGE_DEPENDS tzdata)
if(JM_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "tzdata, libc6, librdkafka1 (>= 2.0.2), libpq5 (>= 15), libjansson4, libsmartcols1, libinih1, libsystemd0, libssl3, libcurl4, libmicrohttpd12, libical3, zlib1g")
endif()
foreach(script postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/compose/debian/${script})
endforeach()
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
