# What the toolchain files share: a compiler of Debian's, libraries from cmake/sysroot, an emulator.
# They set RG_TRIPLET, RG_DEB_ARCH (Debian's name), CMAKE_SYSTEM_PROCESSOR and RG_QEMU first.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${RG_TRIPLET}-gcc)
set(CMAKE_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/${RG_DEB_ARCH})
get_filename_component(CMAKE_SYSROOT ${CMAKE_SYSROOT} ABSOLUTE)
set(CMAKE_LIBRARY_ARCHITECTURE ${RG_TRIPLET})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Debian's alternatives would link OpenBLAS's openblas.pc and library to the common places.
set(rg_lib ${CMAKE_SYSROOT}/usr/lib/${RG_TRIPLET})
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
  ${rg_lib}/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig:${rg_lib}/openblas-pthread/pkgconfig)

# The compiler links its own C library, whose release may be older than that of the libraries: theirs is
# on the board.
set(CMAKE_EXE_LINKER_FLAGS_INIT -Wl,--allow-shlib-undefined)

find_program(RG_QEMU_USER NAMES ${RG_QEMU}-static ${RG_QEMU})
if(RG_QEMU_USER)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${RG_QEMU_USER} -L ${CMAKE_SYSROOT}
    -E LD_LIBRARY_PATH=${rg_lib}/openblas-pthread)
endif()
