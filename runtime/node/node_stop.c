/* What <stop> names, held against the last evaluation. */
#include "node/node_parts.h"

#include <inttypes.h>

static void note_goal(struct node *n, struct rg_run_goal *goal, const struct rg_run_point *at,
                      bool reached)
{
    if (n->verdict == DIVERGED || !goal->wanted || goal->iterations >= 0 || !reached)
        return;
    n->verdict = ENOUGH;
    goal->iterations = at->iteration;
    goal->time_s = at->time_s;
    goal->energy_J = at->energy_J;
}

static int lose_patience(struct node *n)
{
    struct rg_run *run = n->run;
    int patience = n->options->stop.patience;
    char text[120];
    if (patience == 0 || n->in_vain < patience || n->verdict != GO_ON)
        return 0;
    n->verdict = ENOUGH;
    snprintf(text, sizeof text,
             "stopped: no less loss than after iteration %" PRId64 " in %d epochs",
             run->best.iteration, n->in_vain);
    return rg_run_note(run, text);
}

int rg_node_judge_point(struct node *n)
{
    struct rg_run *run = n->run;
    const struct rg_run_point *last = &run->training[run->point_count - 1];
    int result = lose_patience(n);
    note_goal(n, &run->to_accuracy, last, last->accuracy >= run->to_accuracy.target);
    note_goal(n, &run->to_loss, last, last->loss <= run->to_loss.target);
    return result;
}
