#include "study/saving.h"

#include "base/sizes.h"
#include <math.h>

double rg_saving_copy_s(const struct rg_board *board, uint64_t bytes)
{
    return 2 * (double)bytes / board->memory_rate; /* read and written */
}

double rg_saving_fetch_s(const struct rg_board *from, const struct rg_board *to, uint64_t bytes)
{
    double asked_s =
        rg_board_hop_to_s(from, to, RG_OFFER_BYTES) + rg_board_hop_to_s(to, from, RG_ANSWER_BYTES);
    return bytes > 0 ? asked_s + rg_board_hop_to_s(from, to, bytes) : asked_s;
}

double rg_saving_write_s(const struct rg_board *board, uint64_t bytes)
{
    return board->disk_rate > 0 ? (double)bytes / board->disk_rate : NAN;
}

/* What rank 0 has not comes from the others in equal parts, each as many arrays as an optimizer
 * has, and its parameters. */
struct rg_saving rg_saving_predict(const struct rg_job *job)
{
    const struct rg_board *root = job->boards[0];
    const struct rg_strategy *strategy = job->strategy;
    uint64_t floats = rg_state_floats(job);
    uint64_t own = strategy->root_floats ? strategy->root_floats(job) : floats;
    uint64_t arrays = rg_optimizer_state(&job->optimizer, 1) + 1;
    uint64_t others = (uint64_t)job->nodes - 1;
    struct rg_saving saving = {.bytes = rg_size_times(floats, sizeof(float))};
    saving.pause_s = rg_saving_copy_s(root, own * sizeof(float));
    for (int rank = 1; rank < job->nodes; rank++) {
        uint64_t piece = (floats - own) / others / arrays;
        saving.pause_s +=
            (double)arrays * rg_saving_fetch_s(job->boards[rank], root, piece * sizeof(float)) +
            rg_board_hop_to_s(job->boards[rank], root, RG_OFFER_BYTES);
    }
    saving.writing_s = rg_saving_write_s(root, saving.bytes);
    return saving;
}

double rg_interval_young_s(double pause_s, double mtbf_s)
{
    return sqrt(2 * pause_s * mtbf_s);
}

double rg_interval_daly_s(double pause_s, double mtbf_s)
{
    double share = pause_s / (2 * mtbf_s);
    if (share >= 1)
        return mtbf_s;
    return rg_interval_young_s(pause_s, mtbf_s) * (1 + sqrt(share) / 3 + share / 9) - pause_s;
}

double rg_interval_of(const struct rg_job *job, double node_s)
{
    struct rg_saving saving = rg_saving_predict(job);
    double least_s = isnan(saving.writing_s) ? 0 : saving.writing_s;
    return fmax(rg_interval_daly_s(saving.pause_s, node_s / job->nodes), least_s);
}
