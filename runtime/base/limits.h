/* What the system lets a process have, held against what it is about to need: told in one line
 * before anything runs, rather than by whatever fails first. */
#ifndef RG_BASE_LIMITS_H
#define RG_BASE_LIMITS_H

#include "base/error.h"
#include <stdint.h>

/* So many more descriptors than are open now, for what `who` says ("4 ranks"); a soft limit below
 * that is raised where the hard one allows it. RG_ERR_NOMEM. */
int rg_limits_descriptors(int more, const char *who, struct rg_error *e);

/* So many more bytes of address space (ulimit -v). RG_ERR_NOMEM. */
int rg_limits_address_space(uint64_t more, const char *who, struct rg_error *e);

/* So many bytes of memory: what the control groups of this process (a container, a systemd unit)
 * or the machine have in all, swap included, is not less. root: where /proc and /sys are, "/" but
 * in tests. RG_ERR_NOMEM. */
int rg_limits_memory(const char *root, uint64_t bytes, const char *who, struct rg_error *e);

/* The least limit on memory of those control groups; INFINITY: there is none. */
double rg_limits_group_bytes(const char *root);

/* What limits there are, for a complaint of too little memory: "; 300000 kB of address space are
 * allowed (ulimit -v; ...)", or nothing. */
void rg_limits_name(const char *root, char *text, size_t size);

#endif
