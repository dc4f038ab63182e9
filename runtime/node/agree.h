/* Ranks that read one scenario each for themselves, brought to one plan. */
#ifndef RG_NODE_AGREE_H
#define RG_NODE_AGREE_H

#include "study/job.h"

#define RG_AGREED_WHY 480

/* What all ranks know of a job: 0, or why none of them runs it (RG_ERR_NO_FIT: it does not fit). */
struct rg_agreed {
    int32_t code;
    char why[RG_AGREED_WHY];
};

/* Something of a job that its result is to tell. */
typedef void (*rg_note_fn)(void *arg, int job, const char *text);

/* Collective over all ranks of w, in a world where each has a study of its own: what `check` has
 * decided is rank 0's decision afterwards. agreed: [study->job_count]. note: on rank 0, for ranks
 * that would have decided otherwise. Returns an error of the world, or 0. */
int rg_node_agree(struct rg_world *w, struct rg_study *study, struct rg_agreed *agreed,
                  rg_note_fn note, void *arg);

#endif
