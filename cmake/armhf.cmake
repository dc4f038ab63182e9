# 32-bit ARM with hardware floating point (ARMv7): Raspberry Pi OS (32-bit) on a Pi 2 and later and
# the Zero 2; not the ARMv6 of the first Pi and the Zero.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(RG_TRIPLET arm-linux-gnueabihf)
set(RG_DEB_ARCH armhf)
set(RG_QEMU qemu-arm)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
