/* What duo.c (two ranks, their programs and pipes) needs of duo_oracle.c, which calls nothing of
 * it.
 */
#ifndef RG_TESTS_DUO_PARTS_H
#define RG_TESTS_DUO_PARTS_H

#include "tests/posix/duo.h"

/* A run begins: both ranks are open in a new oracle, unless they are already. */
void duo_open_oracle(struct duo *d);
/* Post there too; and take it back, if it is not complete. */
void duo_ask(struct duo *d, int rank, struct duo_post *post);
void duo_unask(struct duo *d, int rank, struct duo_post *post);
/* The sends that matching has started since are posted there. */
void duo_note_started(struct duo *d, int rank);
/* After anything has happened: tell the oracle what has arrived and who has left, and compare. */
void duo_settle(struct duo *d);
/* Nothing is under way: has the sender all credit and permissions, and could it not go on? */
void duo_check_quiet(struct duo *d, int rank);
void duo_free_post(struct duo_post *post);

#endif
