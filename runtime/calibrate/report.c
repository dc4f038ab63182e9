/* Tables of a fit. */
#include "calibrate/calibrate.h"

#include <math.h>

static void values(const struct rg_cal_fit *fit, FILE *stream)
{
    fprintf(stream, "%-24s %12s  %-8s %s\n", "parameter", "fitted", "", "95 % confidence");
    for (int i = 0; i < fit->value_count; i++) {
        const struct rg_cal_value *v = &fit->values[i];
        fprintf(stream, "%-24s %12.4g  %-8s ", v->property, v->value, v->unit);
        if (v->determined)
            fprintf(stream, "%.4g to %.4g\n", v->low, v->high);
        else
            fprintf(stream, "not determined: nothing measured depends on it\n");
    }
}

static void groups(const struct rg_cal_fit *fit, FILE *stream)
{
    fprintf(stream, "\n%-24s %5s %9s %9s %9s %9s  %s\n", "residuals", "rows", "mean", "bias",
            "worst", "samples", "");
    for (int i = 0; i < fit->group_count; i++) {
        const struct rg_cal_group *g = &fit->groups[i];
        fprintf(stream, "%-24s %5d %7.1f %% %+7.1f %% %7.1f %% %7.1f %%  %s\n", g->name, g->rows,
                100 * g->mean, 100 * g->bias, 100 * g->worst, 100 * g->spread, g->worst_name);
    }
}

static void row(FILE *stream, const char *group, const char *name, int threads, double measured,
                double predicted, double spread)
{
    fprintf(stream, "%-16s %-40s %3d %11.2f %11.2f %+7.1f %% %7.1f %%\n", group, name, threads,
            1e6 * measured, 1e6 * predicted, 100 * (predicted / measured - 1), 100 * spread);
}

static void rows_of(const struct rg_calibration *cal, const struct rg_cal_fit *fit, FILE *stream)
{
    fprintf(stream, "\n%-16s %-40s %3s %11s %11s %9s %9s\n", "", "", "on", "measured us",
            "model us", "residual", "samples");
    for (int i = 0; i < cal->kernel_count; i++) {
        const struct rg_cal_kernel *k = &cal->kernels[i];
        row(stream, k->group, k->name, k->threads, k->seconds, fit->kernel_s[i], k->spread);
    }
    for (int i = 0; i < cal->message_count; i++) {
        const struct rg_cal_message *m = &cal->messages[i];
        char name[40];
        snprintf(name, sizeof name, "%llu bytes", (unsigned long long)m->bytes);
        row(stream, rg_cal_message_kind(m->kind), name, 1, m->seconds, fit->message_s[i],
            m->spread);
    }
}

void rg_cal_report(const struct rg_calibration *cal, const struct rg_cal_fit *fit, bool rows,
                   FILE *stream)
{
    const struct rg_cal_machine *m = &cal->machine;
    fprintf(stream, "%s: %s, %d core%s%s, OpenBLAS %s, load %.2f, %s\n\n", m->name, m->processor,
            m->cores, m->cores == 1 ? "" : "s",
            m->shared ? " of a machine shared with the peer" : "", m->blas, m->load, m->date);
    values(fit, stream);
    groups(fit, stream);
    if (rows)
        rows_of(cal, fit, stream);
    if (!fit->has_network)
        fputs(
            "\nNo peer: messages, port and latency are left out (--local, --hosts or --network).\n",
            stream);
    if (isfinite(cal->power.idle_W))
        fprintf(stream, "\nwatts idle %.4g, one core %.4g, all cores %.4g (%s)\n",
                cal->power.idle_W, cal->power.one_W, cal->power.all_W, cal->power.source);
    else
        fputs("\nNo meter: watts are left out, and energy will be 0 (--meter or --watts).\n",
              stream);
}
