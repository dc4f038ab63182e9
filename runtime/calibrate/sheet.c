/* The datasheet of what was measured, as a SimGrid platform. */
#include "calibrate/calibrate.h"

#include "base/check.h"
#include "result/json.h"
#include <math.h>
#include <string.h>

/* Clock of a board whose system tells none: a number is wanted, and no other is simulated. */
#define CLOCK_UNKNOWN 1e9

/* Watts as the model has them: idle, then a straight line in the busy cores. More cores do not draw
 * less: where a meter says so, that is its noise. */
static void set_watts(const struct rg_cal_power *p, struct rg_board *b)
{
    struct rg_clock *c = &b->clocks[0];
    if (!isfinite(p->idle_W))
        return;
    c->idle_watts = p->idle_W;
    c->full_watts = fmax(p->idle_W, fmax(p->one_W, p->all_W));
    double one = fmax(p->idle_W, p->one_W), cores = b->cores;
    c->epsilon_watts =
        cores > 1 ? (one - c->full_watts / cores) * cores / (cores - 1) : c->idle_watts;
    c->epsilon_watts = fmax(0, fmin(c->epsilon_watts, c->full_watts));
}

int rg_cal_board(const struct rg_calibration *cal, const struct rg_cal_fit *fit,
                 const struct rg_cal_extra *extra, struct rg_board *board, struct rg_error *e)
{
    const struct rg_board *network = fit->has_network ? &fit->board : extra->network;
    *board = fit->board;
    if (!network)
        return rg_fail(e, RG_ERR_INVALID,
                       "a datasheet needs what messages cost: measure with a peer (--local, or "
                       "--rank and --hosts), or take it from another platform (--network FILE)");
    snprintf(board->name, sizeof board->name, "%s", cal->machine.name);
    board->memory_bytes = cal->machine.memory_bytes;
    board->message_s = network->message_s;
    board->byte_s = network->byte_s;
    board->port_rate = network->port_rate;
    board->latency_s = network->latency_s;
    board->frame_payload = network->frame_payload;
    board->frame_bytes = network->frame_bytes;
    board->shared_medium = network->shared_medium;
    board->port_tx_watts = extra->tx_W;
    board->port_rx_watts = extra->rx_W;
    board->switch_watts = extra->switch_W;
    board->clock_count = 1;
    board->clocks[0].hz = cal->machine.hz > 0 ? cal->machine.hz : CLOCK_UNKNOWN;
    set_watts(&cal->power, board);
    return rg_board_check(board, e);
}

/* ---- XML ---- */

/* Comments may not hold two hyphens, attributes no quotes. */
static void print_escaped(FILE *f, const char *text, bool comment)
{
    for (const char *p = text; *p; p++) {
        if (comment && p[0] == '-' && p > text && p[-1] == '-')
            fputs(" -", f);
        else if (*p == '&')
            fputs("&amp;", f);
        else if (*p == '<')
            fputs("&lt;", f);
        else if (*p == '"')
            fputs("&quot;", f);
        else
            fputc(*p, f);
    }
    if (comment && text[0] && text[strlen(text) - 1] == '-')
        fputc(' ', f);
}

static void prop(FILE *f, const char *id, double value, const char *why)
{
    char text[40];
    rg_json_format(value, text);
    fprintf(f, "    <prop id=\"%s\" value=\"%s\"/> <!-- %s -->\n", id, text, why);
}

/* "fitted, 95 %: 9.7 to 9.9 GFLOP/s". */
static void fitted(FILE *f, const struct rg_cal_fit *fit, const char *id, double value)
{
    char why[120] = "no measurement determines it";
    for (int i = 0; i < fit->value_count; i++) {
        const struct rg_cal_value *v = &fit->values[i];
        if (strcmp(v->property, id) == 0 && v->determined)
            snprintf(why, sizeof why, "fitted, 95 %%: %.4g to %.4g %s", v->low, v->high, v->unit);
    }
    prop(f, id, value, why);
}

static void curve(FILE *f, const char *id, const char *of, int points, const double *sizes,
                  const double *shares)
{
    fprintf(f, "    <!-- fitted: share of the full rate at %s -->\n    <prop id=\"%s\" value=\"",
            of, id);
    for (int i = 0; i < points; i++)
        fprintf(f, "%s%.0f:%.6g", i ? " " : "", sizes[i], shares[i]);
    fputs("\"/>\n", f);
}

static void compute_props(FILE *f, const struct rg_calibration *cal, const struct rg_cal_fit *fit,
                          const struct rg_board *b)
{
    const char *all_why = "one core";
    fputs("    <prop id=\"rg_board\" value=\"", f);
    print_escaped(f, b->name, false);
    fputs("\"/>\n", f);
    prop(f, "rg_cores", b->cores,
         cal->machine.shared ? "this end's share of the machine" : "that processes may use");
    fitted(f, fit, "rg_gemm_rate", b->gemm_rate);
    if (b->cores > 1) {
        fitted(f, fit, "rg_gemm_rate_all", b->gemm_rate_all);
    } else {
        prop(f, "rg_gemm_rate_all", b->gemm_rate_all, all_why);
    }
    curve(f, "rg_gemm_curve", "cbrt(m n k) of a product", b->curve_points, b->curve_size,
          b->curve_share);
    fitted(f, fit, "rg_vector_rate", b->vector_rate);
    if (b->function_s > 0)
        fitted(f, fit, "rg_function_s", b->function_s);
    fitted(f, fit, "rg_memory_rate", b->memory_rate);
    if (b->cores > 1)
        fitted(f, fit, "rg_memory_rate_all", b->memory_rate_all);
    else
        prop(f, "rg_memory_rate_all", b->memory_rate_all, all_why);
    curve(f, "rg_memory_curve", "bytes that a call moves", b->memory_points, b->memory_size,
          b->memory_share);
    fitted(f, fit, "rg_call_s", b->call_s);
    prop(f, "rg_memory_bytes", (double)b->memory_bytes, "available when it was measured");
}

static void network_props(FILE *f, const struct rg_cal_fit *fit, const struct rg_board *b)
{
    static const char *const ids[] = {"rg_port_rate", "rg_latency_s", "rg_message_s", "rg_byte_s"};
    const double values[] = {b->port_rate, b->latency_s, b->message_s, b->byte_s};
    for (size_t i = 0; i < RG_COUNT(ids); i++) {
        if (fit->has_network)
            fitted(f, fit, ids[i], values[i]);
        else
            prop(f, ids[i], values[i], "not measured: taken from another platform, see above");
    }
    prop(f, "rg_frame_payload", b->frame_payload,
         b->frame_payload == b->frame_bytes ? "between processes of one machine: no frames"
                                            : "1500 less IP 20 and TCP 32");
    prop(f, "rg_frame_bytes", b->frame_bytes,
         b->frame_payload == b->frame_bytes ? "likewise"
                                            : "1500, header 14, FCS 4, preamble 8, gap 12");
}

static void power_props(FILE *f, const struct rg_calibration *cal, const struct rg_cal_extra *extra,
                        const struct rg_board *b)
{
    const char *given = "given by option; 0: left out";
    char states[120], source[100];
    prop(f, "rg_port_tx_watts", extra->tx_W, given);
    prop(f, "rg_port_rx_watts", extra->rx_W, given);
    prop(f, "rg_switch_watts", extra->switch_W, given);
    prop(f, "rg_clocks", b->clocks[0].hz,
         cal->machine.hz <= 0                      ? "the system does not say: any number"
         : cal->machine.hz < cal->machine.limit_hz ? "held down: the processor can do more"
                                                   : "as the system says");
    snprintf(states, sizeof states, "%.6g:%.6g:%.6g", b->clocks[0].idle_watts,
             b->clocks[0].epsilon_watts, b->clocks[0].full_watts);
    snprintf(source, sizeof source, "%.60s: idle, one core, all cores",
             isfinite(cal->power.idle_W) ? cal->power.source : "no meter, left out: energy is 0");
    fprintf(f, "    <!-- ");
    print_escaped(f, source, true);
    fprintf(f, " -->\n    <prop id=\"wattage_per_state\" value=\"%s\"/>\n", states);
}

static void preamble(FILE *f, const struct rg_calibration *cal, const struct rg_cal_fit *fit,
                     const struct rg_cal_extra *extra, int nodes)
{
    const struct rg_cal_machine *m = &cal->machine;
    fputs("<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM "
          "\"https://simgrid.org/simgrid.dtd\">\n<!-- Measured by ringcal " RG_VERSION ", ",
          f);
    print_escaped(f, m->date, true);
    fprintf(f, ": %d node%s like\n  ", nodes, nodes == 1 ? "" : "s");
    print_escaped(f, m->processor, true);
    fprintf(f, ", %d core%s%s, OpenBLAS ", m->cores, m->cores == 1 ? "" : "s",
            m->shared ? " (its share of a machine that both ends ran on)" : "");
    print_escaped(f, m->blas, true);
    fprintf(f, ", load %.2f.\n", m->load);
    if (m->doubts[0]) {
        fputs("  Beware: ", f);
        print_escaped(f, m->doubts, true);
        fputs(".\n", f);
    }
    if (!fit->has_network) {
        fputs("  What messages cost was not measured but taken from ", f);
        print_escaped(f, extra->network_name ? extra->network_name : "another platform", true);
        fputs(".\n", f);
    }
    fputs("  Residuals of the fit, mean and worst, per cent:\n", f);
    for (int i = 0; i < fit->group_count; i++)
        fprintf(f, "    %-24s %5.1f %6.1f\n", fit->groups[i].name, 100 * fit->groups[i].mean,
                100 * fit->groups[i].worst);
    fputs("  A split-duplex cluster pays a link's latency twice, up and down: lat is half of "
          "rg_latency_s. -->\n",
          f);
}

void rg_cal_write(const struct rg_calibration *cal, const struct rg_cal_fit *fit,
                  const struct rg_cal_extra *extra, const struct rg_board *board, int nodes,
                  FILE *f)
{
    preamble(f, cal, fit, extra, nodes);
    fprintf(f,
            "<platform version=\"4.1\">\n  <cluster id=\"calibrated\" prefix=\"node-\" "
            "radical=\"0-%d\" suffix=\"\" speed=\"%.9gf\"\n           core=\"%d\" bw=\"%.9gBps\" "
            "lat=\"%.9gs\" sharing_policy=\"SPLITDUPLEX\">\n",
            nodes - 1, board->gemm_rate, board->cores, board->port_rate, board->latency_s / 2);
    compute_props(f, cal, fit, board);
    network_props(f, fit, board);
    power_props(f, cal, extra, board);
    fputs("  </cluster>\n</platform>\n", f);
}
