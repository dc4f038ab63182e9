# 64-bit ARM: Raspberry Pi OS (64-bit) on a Pi 3 and later, any Debian arm64.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(RG_TRIPLET aarch64-linux-gnu)
set(RG_DEB_ARCH arm64)
set(RG_QEMU qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
