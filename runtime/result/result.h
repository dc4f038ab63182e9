/* What a run gives: plain structs, and their forms as JSON, table and timeline. The only JSON user.
 * A double that is NAN is null in JSON and "-" in the table. */
#ifndef RG_RESULT_RESULT_H
#define RG_RESULT_RESULT_H

#include "base/error.h"
#include "world/trace.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* IMPOSSIBLE: at this point of a sweep the strategy cannot run; DIVERGED: it ended early, and well,
 * since its loss had no bound; LOST: a node was lost. `error` says why. */
enum rg_status {
    RG_RUN_OK,
    RG_RUN_NO_FIT,
    RG_RUN_FAILED,
    RG_RUN_INTERRUPTED,
    RG_RUN_IMPOSSIBLE,
    RG_RUN_DIVERGED,
    RG_RUN_LOST
};

struct rg_run_setting { /* a parameter of a strategy, or a key at the point of a sweep */
    char name[100];
    char *value; /* malloc'ed, owned by the run */
};

/* struct rg_result with its runs, nodes and whatever else they consist of: a member for each row of
 * the table, result_fields.def, which says what it means. Lists and texts are owned by the struct
 * they are in. */
#define BEGIN struct RECORD {
#define END                                                                                        \
    }                                                                                              \
    ;
#define PRESENT(member)           bool member;
#define REAL(member, ...)         double member;
#define REAL_AS(member, ...)      double member;
#define COUNT(member, ...)        uint64_t member;
#define WHOLE(type, member, ...)  type member;
#define FLAG(member, ...)         bool member;
#define TEXT(member, size, ...)   char member[size];
#define CHOICE(type, member, ...) type member;
#define PAIRS(member, count, ...)                                                                  \
    struct rg_run_setting *member;                                                                 \
    int count;
#define INTS(member, count, ...)                                                                   \
    int *member;                                                                                   \
    int count;
#define TEXTS(member, count, ...)                                                                  \
    char **member;                                                                                 \
    int count;
#define OBJECT(record, member, ...) struct record member;
#define LIST(record, member, count, ...)                                                           \
    struct record *member;                                                                         \
    int count;
#define TRACE(member) struct rg_trace *member; /* NULL: none */
#include "result/result_fields.def"

/* ---- a run ---- */

void rg_run_init(struct rg_run *run); /* nothing has run: unknown, empty or 0 */
void rg_run_free(struct rg_run *run); /* and zeroes it */
/* Append a parameter, or a key of the sweep's point; 0 or RG_ERR_NOMEM. */
int rg_run_param(struct rg_run *run, const char *name, const char *value);
int rg_run_setting(struct rg_run *run, const char *name, const char *value);
/* Append a note; 0 or RG_ERR_NOMEM. */
int rg_run_note(struct rg_run *run, const char *text);
/* Append a line of costs.profiles; 0 or RG_ERR_NOMEM. */
int rg_run_profile(struct rg_run *run, const char *text);
/* Append the order of another server; 0 or RG_ERR_NOMEM. */
int rg_run_order(struct rg_run *run, const char *text);
/* Nodes, none of which has reported, in place of none; 0 or RG_ERR_NOMEM. */
int rg_run_make_nodes(struct rg_run *run, int count);
const char *rg_status_name(enum rg_status status);

/* Adds joules of another node, in the order of ranks. The total is the sum of the parts, where they
 * are known, so that they add up as printed. */
void rg_run_add_energy(struct rg_run_energy *sum, const struct rg_run_energy *more);
/* Adds what one node says of itself to the run of those before it, field by field as the table has
 * it. per_node is left alone. */
void rg_run_add_node(struct rg_run *run, const struct rg_run *node);
/* Iterations of the checkpoint that it went on from; 0: it began with none. */
int64_t rg_run_begun(const struct rg_run *run);
/* Once iterations, time_s, samples and per_node are known: what follows from them. */
void rg_run_derive(struct rg_run *run);

/* Puts quantiles over the nodes (run->spreads) in place of all nodes but those that have the least
 * or most of something, for runs of so many nodes that nobody reads them one by one. 0 or
 * RG_ERR_NOMEM. */
enum { RG_RUN_MANY_NODES = 1000 };
int rg_run_summarize_nodes(struct rg_run *run);

/* Of `count` intervals between updates, those at each end that are no steady state: filling and
 * draining, as many as there are updates in flight. Where fewer than that would remain between them
 * the run has no steady state (*steady), and none is left out. */
int64_t rg_run_edge(const struct rg_run *run, int64_t count, bool *steady);
/* What the closed form has beside it: the mean iteration, where there is a steady state. */
void rg_run_observe(struct rg_run *run, bool steady);

/* One run, timelines included, as bytes that another process or node of the same version reads.
 * *bytes is malloc'ed. Errors: RG_ERR_NOMEM; reading: RG_ERR_PROTOCOL with one line, *run is empty
 * then, but initialised. */
int rg_run_encode(const struct rg_run *run, unsigned char **bytes, size_t *size);
int rg_run_decode(const void *bytes, size_t size, struct rg_run *run, struct rg_error *e);

/* ---- a result ---- */

#define RG_RESULT_SCHEMA "ringtmp-result-1"
enum { RG_RESULT_RUNS = 1 << 24 }; /* most that one may have */
enum { RG_RESULT_CLASSES = 100 };  /* of a run with more, accuracy is not kept class by class */

/* A result of this version without runs; texts are cut to what there is room for. */
struct rg_result rg_result_of(const char *tool, const char *world, const char *scenario,
                              const char *scenario_sha256, uint64_t seed);
void rg_result_free(struct rg_result *result); /* the runs too */

/* Digests of its runs, which say later whether they are as they were written (struct rg_run.sealed);
 * and away with them. 0 or RG_ERR_NOMEM. */
int rg_result_seal(struct rg_result *result);
void rg_result_unseal(struct rg_result *result);

int rg_result_write(const struct rg_result *result, FILE *stream);  /* result JSON */
void rg_result_table(const struct rg_result *result, FILE *stream); /* for people, with units */
/* Accuracy by class and the confusion matrix of each run that has them. */
void rg_result_classes(const struct rg_result *result, FILE *stream);
/* A line a failed run, for where there is no table: "PROGRAM: LABEL: failed: WHY". */
void rg_result_failures(const struct rg_result *result, const char *program, FILE *stream);
/* What the closed forms say, a row a run, without a title. */
void rg_result_predictions(const struct rg_result *result, FILE *stream);
/* Chrome trace format: a process a strategy, a thread a node (and strand), a counter of its watts.
 */
int rg_result_trace(const struct rg_result *result, FILE *stream);

/* Read back what rg_result_write wrote, this version or an earlier one; part.of_runs and
 * part.places are filled in whether or not the file names them. Written again, all but `host` is
 * the same, byte by byte. Errors are one line, "FILE: ..."; *result is empty then. */
int rg_result_read(const char *path, struct rg_result *result, struct rg_error *e);
/* Join parts of one scenario's runs: *whole takes the runs away from the parts. Refused, naming the
 * files: parts of different scenarios or programs, runs that are there twice or missing. */
int rg_result_merge(struct rg_result *parts, const char *const *paths, int count,
                    struct rg_result *whole, struct rg_error *e);

/* The JSON schema (draft 07) of results; a table of all fields in Markdown. docs/ holds both. */
void rg_result_schema(FILE *stream);
void rg_result_reference(FILE *stream);

#endif
