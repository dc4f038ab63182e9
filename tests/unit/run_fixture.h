/* A run with every field filled in. */
#ifndef RG_TESTS_RUN_FIXTURE_H
#define RG_TESTS_RUN_FIXTURE_H

#include "result/result.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline void add_event(struct rg_trace *trace, double begin, double end, const char *name,
                             int kind, int strand, int peer, int unit)
{
    struct rg_trace_event event = {.begin_s = begin,
                                   .end_s = end,
                                   .bytes = 4096,
                                   .unit = unit,
                                   .peer = peer,
                                   .kind = (uint16_t)kind,
                                   .strand = (uint16_t)strand,
                                   .tag = 256};
    memcpy(event.name, name, strnlen(name, sizeof event.name));
    rg_trace_add(trace, &event);
}

static inline struct rg_trace *make_trace(void)
{
    struct rg_trace *trace = rg_trace_new(100);
    add_event(trace, 0, 0.25, "F", RG_TRACE_COMPUTE, 0, -1, 0);
    add_event(trace, 0.25, 1.0 / 3, "abcdefghijkl", RG_TRACE_COMPUTE, 1, -1, -1); /* 12: no zero */
    add_event(trace, 0.1, 0.3, "", RG_TRACE_SEND, 0, 1, -1);
    add_event(trace, 0.2, 0.4, "", RG_TRACE_SEND, 0, 1, -1); /* overlaps the one before */
    add_event(trace, 0.35, 0.5, "", RG_TRACE_SEND, 0, 2, -1);
    add_event(trace, 0.1, 0.3, "", RG_TRACE_RECV, 0, 1, -1);
    add_event(trace, 0.25, 0.5, "", RG_TRACE_WAIT, 0, -1, -1);
    add_event(trace, 0.5, 0.5, "", RG_TRACE_MARK, 0, -1, 7);
    trace->dropped = 3;
    return trace;
}

/* Four cats, one of them taken for the other class, of which there is no sample. */
static inline void fill_classes(struct rg_run_final *final)
{
    final->classes = calloc(2, sizeof *final->classes);
    final->class_count = 2;
    for (int c = 0; c < 2; c++) {
        final->classes[c].predicted = calloc(2, sizeof(int));
        final->classes[c].predicted_count = 2;
    }
    strcpy(final->classes[0].name, "cat");
    final->classes[0].samples = 4;
    final->classes[0].accuracy = 0.75;
    final->classes[0].predicted[0] = 3;
    final->classes[0].predicted[1] = 1;
    final->classes[1].accuracy = NAN;
}

static inline void fill_run(struct rg_run *run)
{
    rg_run_init(run);
    strcpy(run->label, "ring \"8\"\n\xc3\xa9");
    strcpy(run->kind, "ring_pipeline");
    rg_run_param(run, "schedule", "1f1b");
    rg_run_param(run, "depth", "16");
    rg_run_param(run, "partition", "4,4,3");
    rg_run_param(run, "odd", "007");
    run->nodes = 2;
    run->numerics = true;
    run->error_code = -7;
    run->iterations = 123456789012;
    run->samples = 9007199254740993; /* 2^53 + 1 */
    run->time_s = 0.1;
    run->iteration_s.mean = 1.0 / 3;
    run->iteration_s.p50 = 1e-300;
    run->iteration_s.p95 = 123456789.125;
    run->iteration_s.max = 5;
    run->formula.defined = run->formula.overlap = true;
    run->formula.T_A_s = 0.0021;
    run->formula.c_s = 0.0007;
    run->formula.bubble = 0.25;
    run->formula.predicted_iteration_s = 2.0 / 3;
    run->formula.observed_iteration_s = 0.7;
    run->formula.ratio = 1.05;
    run->energy_J.total = 12.5;
    strcpy(run->energy_source, "model");
    run->sample_J = 0.125;
    run->traffic.messages = 12;
    run->traffic.values = 34;
    run->traffic.payload_bytes = 1u << 31;
    run->traffic.wire_bytes = 1e10 + 0.5;
    run->traffic.max_node_bytes = 7;
    run->memory_bytes.max_node = 3000000;
    run->memory_bytes.total = 6000000;
    run->late_receives = 2;
    run->staleness = 15;
    run->late = (struct rg_run_late){true, 1000, 1250, 1.25};
    run->peak_units = 16;
    run->extrapolated_iterations = 123456789000;
    run->training = calloc(2, sizeof *run->training);
    run->point_count = 2;
    run->training[0] = (struct rg_run_point){10, 1.5, NAN, 2.25, 0.5};
    run->training[1] = (struct rg_run_point){20, 3.5, 7, 1.0 / 7, 0.9361};
    run->final.loss = 1.0 / 7;
    run->final.accuracy = 0.9361;
    fill_classes(&run->final);
    run->to_accuracy.wanted = true;
    run->to_accuracy.target = 0.9;
    run->to_accuracy.iterations = 20;
    run->to_accuracy.time_s = 3.5;
    memset(run->weights_sha256, 'a', 64);
    rg_run_setting(run, "nodes", "2");
    rg_run_setting(run, "ring \"8\".micro-batches", "007");
    run->predicted.defined = true;
    run->predicted.T_A_s = 0.0020;
    run->predicted.c_s = 1.0 / 7;
    run->predicted.iteration_s = NAN;
    run->predicted.messages = 6;
    run->predicted.values = 17;
    run->predicted.payload_bytes = 1u << 30;
    run->predicted.memory_bytes = 2999999;
    rg_run_make_nodes(run, 2);
    for (int i = 0; i < 2; i++) {
        struct rg_run_node *node = &run->per_node[i];
        snprintf(node->host, sizeof node->host, "pi-%d", i);
        node->busy_s = 0.3 + i;
        node->comm_s = 0.1;
        node->idle_s = 0;
        node->energy_J = NAN;
        node->bytes_sent = 100;
        node->bytes_received = 200;
        node->memory_bytes = 300;
    }
    run->meter = (struct rg_run_meter){.known = true,
                                       .source = "ina2xx",
                                       .nodes = 1,
                                       .interval_s = 0.05,
                                       .longest_s = 0.1,
                                       .samples = 123,
                                       .uncertainty_J = 1.0 / 7,
                                       .idle_W = 2.5,
                                       .above_idle_J = NAN,
                                       .error = "rank 1 has no meter"};
    run->per_node[1].meter = run->meter;
    run->per_node[1].clock = (struct rg_run_clock){.known = true,
                                                   .offset_s = -12344.99999993,
                                                   .wall_offset_s = NAN,
                                                   .uncertainty_s = 1.0 / 7e4,
                                                   .drift_ppm = -20,
                                                   .drift_uncertainty_ppm = 1.0 / 3};
    run->per_node[0].trace = make_trace();
    run->per_node[0].power = (struct rg_run_power){.known = true,
                                                   .rest_W = 0.25,
                                                   .idle_W = 2,
                                                   .epsilon_W = 3,
                                                   .full_W = 5,
                                                   .send_W = 1,
                                                   .receive_W = 0.5,
                                                   .compute_share = 0.5,
                                                   .core_share = 0.25,
                                                   .keyed = true,
                                                   .port_rate = 1e6,
                                                   .message_s = 1.0 / 3,
                                                   .byte_s = 1e-9};
}

#endif
