/* Profiles: seconds that were measured on nodes, in place of those that their datasheets give.
 *
 * Happy path: every file is read once and held against the network, and the boards of its nodes
 * point to it; a job then asks for no more samples at once than were measured.
 * Failure modes handled, each in one line: what the file itself has wrong (measured_file.h); ranks
 * that do not exist, or have two profiles; threads, clocks or an optimiser other than those
 * measured; batches outside of what was measured, halves of backward that were not. */
#include "study/job_parts.h"

#include "base/check.h"
#include "result/measured_file.h"
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static int no_memory(const struct rg_study *study, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", study->scenario.file);
}

static int check_threads(const struct rg_study *study, const struct rg_measured *m,
                         struct rg_error *e)
{
    const struct rg_training *t = &study->scenario.training;
    const char *optimizer = rg_optimizer_infos[t->optimizer.kind].name;
    if (m->threads != t->threads)
        return rg_fail_at(e, m->file, 0,
                          "measured with %d thread%s, the scenario trains with %d: threads=\"%d\", "
                          "or ringcal --threads %d",
                          m->threads, m->threads == 1 ? "" : "s", t->threads, m->threads,
                          t->threads);
    if (t->optimizer.kind != RG_LBFGS && strcmp(m->optimizer, optimizer) != 0)
        return rg_fail_at(e, m->file, 0,
                          "steps of %s were measured, the scenario trains with %s: "
                          "optimizer=\"%s\", or ringcal --optimizer %s",
                          m->optimizer, optimizer, m->optimizer, optimizer);
    return 0;
}

/* The profile in a file, which is read once. */
static int profile_of(struct rg_study *study, const char *file, const struct rg_measured **found,
                      struct rg_error *e)
{
    for (int i = 0; i < study->measured_count; i++)
        if (strcmp(study->measured[i]->file, file) == 0) {
            *found = study->measured[i];
            return 0;
        }
    struct rg_measured **more =
        realloc(study->measured, ((size_t)study->measured_count + 1) * sizeof *more);
    struct rg_measured *m = calloc(1, sizeof *m);
    if (more)
        study->measured = more;
    int err = more && m ? rg_measured_load(file, &study->network, m, e) : no_memory(study, e);
    if (err) {
        free(m);
        return err;
    }
    study->measured[study->measured_count++] = m;
    *found = m;
    return check_threads(study, m, e);
}

/* ---- boards ---- */

static int check_groups(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    for (int i = 0; i < s->profile_count; i++) {
        const struct rg_profile_group *group = &s->profiles[i];
        if (group->last >= study->platform.count)
            return rg_scenario_fail(s, group->line, e,
                                    "nodes of <profile>: rank %d of a platform of %d hosts; 0 to "
                                    "%d are allowed",
                                    group->last, study->platform.count, study->platform.count - 1);
        for (int k = 0; k < i; k++)
            if (s->profiles[k].first <= group->last && group->first <= s->profiles[k].last)
                return rg_scenario_fail(s, group->line, e,
                                        "nodes of <profile>: rank %d has one already, on line %d: "
                                        "one is allowed",
                                        RG_MAX(group->first, s->profiles[k].first),
                                        s->profiles[k].line);
    }
    return 0;
}

/* The scenario's profile of a host before the platform's. */
static int put_profile(void *arg, int host, struct rg_board *board, struct rg_error *e)
{
    struct rg_study *study = arg;
    const struct rg_scenario *s = &study->scenario;
    const char *file = board->profile;
    for (int i = 0; i < s->profile_count; i++)
        if (host >= s->profiles[i].first && host <= s->profiles[i].last)
            file = s->profiles[i].file;
    if (!file)
        return 0;
    if (board->clock != 0)
        return rg_fail_at(e, file, 0,
                          "measured at the highest clock of its board, host %d (%s) is to run at "
                          "%.6g Hz: no other clock is allowed with a profile",
                          host, board->name, board->clocks[board->clock].hz);
    board->profile = NULL;
    return profile_of(study, file, &board->measured, e);
}

int rg_study_load_profiles(struct rg_study *study, struct rg_error *e)
{
    int err = check_groups(study, e);
    bool any = study->scenario.profile_count > 0 || study->platform.measured_count > 0;
    return err || !any ? err : rg_platform_change(&study->platform, put_profile, study, e);
}

void rg_study_free_profiles(struct rg_study *study)
{
    for (int i = 0; i < study->measured_count; i++) {
        rg_measured_free(study->measured[i]);
        free(study->measured[i]);
    }
    free(study->measured);
    study->measured = NULL;
    study->measured_count = 0;
}

/* ---- jobs ---- */

/* "1, 2, 4 and 8" */
static void list_batches(const struct rg_measured *m, char *to, size_t size)
{
    to[0] = '\0';
    for (int b = 0; b < m->batch_count; b++) {
        size_t used = strlen(to);
        snprintf(to + used, size - used, "%s%d",
                 b == 0                    ? ""
                 : b == m->batch_count - 1 ? " and "
                                           : ", ",
                 m->batches[b].samples);
    }
}

static int check_rank(const struct rg_job *job, int rank, struct rg_error *e)
{
    const struct rg_measured *m = job->boards[rank]->measured;
    struct rg_passes passes = rg_job_passes(job, rank);
    char batches[120];
    if (!m || passes.most == 0)
        return 0;
    int missed = rg_measured_has(m, passes.most) ? passes.least : passes.most;
    if (!rg_measured_has(m, missed)) {
        list_batches(m, batches, sizeof batches);
        return rg_fail(e, RG_ERR_INVALID,
                       "rank %d takes %d sample%s at once, and %.150s has batch%s %s: no others "
                       "than those and what is between them",
                       rank, missed, missed == 1 ? "" : "s", m->file,
                       m->batch_count > 1 ? "es" : "", batches);
    }
    if (passes.halves && !rg_measured_has_halves(m))
        return rg_fail(e, RG_ERR_INVALID,
                       "its backward passes are in halves, which %.150s does not have of every "
                       "layer (backward_input_s, backward_weights_s): ringcal measures them",
                       m->file);
    return 0;
}

int rg_job_check_profiles(const struct rg_job *job, struct rg_error *e)
{
    int err = 0;
    for (int rank = 0; rank < job->nodes && err == 0; rank++)
        err = check_rank(job, rank, e);
    return err;
}

/* ---- telling ---- */

/* The profile of that number, in the order of the ranks that have one first. */
static const struct rg_measured *profile_at(const struct rg_job *job, int number)
{
    for (int rank = 0; rank < job->nodes; rank++) {
        const struct rg_measured *m = job->boards[rank]->measured;
        bool first = m && (rank == 0 || job->boards[rank] != job->boards[rank - 1]);
        for (int before = 0; before < rank && first; before++)
            first = job->boards[before]->measured != m;
        if (first && number-- == 0)
            return m;
    }
    return NULL;
}

/* "0-3,8": the ranks with this profile, or (NULL) without any; as many as there is room for. */
static int list_ranks(const struct rg_job *job, const struct rg_measured *m, char *to, size_t size)
{
    int count = 0;
    size_t used = 0;
    to[0] = '\0';
    for (int rank = 0, end; rank < job->nodes; rank = end + 1) {
        end = rank;
        if (job->boards[rank]->measured != m)
            continue;
        while (end + 1 < job->nodes && job->boards[end + 1]->measured == m)
            end++;
        count += end - rank + 1;
        if (used + 24 < size)
            used += (size_t)snprintf(to + used, size - used, end > rank ? "%s%d-%d" : "%s%d",
                                     used ? "," : "", rank, end);
        else if (used + 4 < size)
            used += (size_t)snprintf(to + used, size - used, "...");
    }
    return count;
}

char *rg_job_profile_line(const struct rg_job *job, int number)
{
    const struct rg_measured *m = profile_at(job, number);
    char ranks[80], *line = NULL;
    int count = m ? list_ranks(job, m, ranks, sizeof ranks) : 0;
    if (!m || asprintf(&line, "node%s %s: %s (%s, %s)", count > 1 ? "s" : "", ranks, m->file,
                       m->board, m->program) < 0)
        return NULL;
    return line;
}

void rg_job_tell_profiles(const struct rg_job *job, struct rg_run *run)
{
    struct rg_run_costs *costs = &run->costs;
    char *line, ranks[80];
    for (int i = 0; (line = rg_job_profile_line(job, i)); i++) {
        rg_run_profile(run, line);
        free(line);
    }
    costs->known = costs->profile_count > 0;
    if (!costs->known)
        return;
    snprintf(costs->measured, sizeof costs->measured,
             "loading, forward and backward of every layer, loss, the step of %s",
             rg_optimizer_infos[job->optimizer.kind].name);
    int others = list_ranks(job, NULL, ranks, sizeof ranks);
    snprintf(costs->modelled, sizeof costs->modelled,
             "messages, all other computations (sums, copies, clipping)%s%s",
             others ? "; everything on ranks " : "", others ? ranks : "");
}
