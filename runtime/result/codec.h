/* Inside this box: one run, written the same way in a result and on a pipe. */
#ifndef RG_RESULT_CODEC_H
#define RG_RESULT_CODEC_H

#include "result/json.h"
#include "result/result.h"

/* pipe: with what a result does not show, the error code and the traces. */
void rg_run_write(struct rg_json *json, const struct rg_run *run, bool pipe);

/* The events of a trace as one text, RG_EVENT_TEXT characters each: there may be millions, and a
 * JSON value for every field would take ten times the memory. */
enum { RG_EVENT_TEXT = 72 };
void rg_events_write(const struct rg_trace *trace, FILE *stream);

#endif
