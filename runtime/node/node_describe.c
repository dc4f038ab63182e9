/* What the result says of a run as a whole: its iterations, and the closed form beside them. */
#include "node/node_parts.h"

#include "base/check.h"
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

bool rg_node_describe_iterations(struct rg_run *run, double *marks, int64_t count)
{
    bool steady;
    if (count < 1)
        return false;
    for (int64_t i = count - 1; i > 0; i--)
        marks[i] -= marks[i - 1];
    int64_t edge = rg_run_edge(run, count, &steady);
    size_t used = (size_t)(count - 2 * edge);
    marks += edge;
    run->iteration_s.mean = gsl_stats_mean(marks, 1, used);
    gsl_sort(marks, 1, used);
    run->iteration_s.p50 = gsl_stats_quantile_from_sorted_data(marks, 1, used, 0.5);
    run->iteration_s.p95 = gsl_stats_quantile_from_sorted_data(marks, 1, used, 0.95);
    run->iteration_s.max = marks[used - 1];
    return steady;
}

static void describe_formula(struct node *n, bool steady)
{
    struct rg_run *run = n->run;
    struct rg_prediction p;
    rg_job_predict(n->job, &p);
    run->formula.defined = true;
    run->formula.overlap = p.overlap;
    run->formula.predicted_iteration_s = p.iteration_s;
    run->formula.bubble = p.iteration_s > 0 ? 1 - fmax(p.c_s, p.T_A_s) / p.iteration_s : NAN;
    rg_run_observe(run, steady);
}

void rg_node_describe(struct node *n)
{
    struct rg_run *run = n->run;
    run->iterations = n->done;
    run->samples = (uint64_t)(n->done - rg_run_begun(run)) * (uint64_t)n->job->batch;
    if (run->rounds.known) { /* they are of no fixed size */
        run->samples = 0;
        for (int i = 0; i < run->node_count; i++)
            run->samples += run->per_node[i].own.known ? run->per_node[i].own.trained : 0;
    }
    run->time_s = n->time_s;
    rg_run_derive(run);
    describe_formula(n, rg_node_describe_iterations(run, n->w->marks, n->w->marks_count));
}
