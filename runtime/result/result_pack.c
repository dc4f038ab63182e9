/* A run as bytes, by the table: between ringsim and its children, and from each rank to rank 0.
 * Every number takes 8 bytes, little-endian, whatever the machine; texts, lists and events have
 * their length before them. Nothing describes the format: both ends are of one version. Writing and
 * reading are one walk, so that they cannot differ.
 *
 * Failure modes handled: bytes that are cut off (a child died while writing) or that no run gives;
 * no memory. */
#include "result/result_fields.h"

#include "base/bytes.h"
#include "base/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* After a fault whatever is read is 0. */
struct codec {
    bool writes;             /* else it reads, */
    const unsigned char *at; /* what follows here */
    size_t left;
    unsigned char *out; /* what is written, grown; malloc'ed */
    size_t used, room;
    const char *field, *fault; /* the field that is worked at; the first that is wrong, */
    bool full;                 /* as there is no memory for it */
};

static void wrong(struct codec *c)
{
    if (!c->fault)
        c->fault = c->field;
    c->left = 0;
}

/* Memory that was asked for, as it is; NULL is a fault. */
static void *asked(struct codec *c, void *memory)
{
    c->full |= !memory && !c->fault;
    if (!memory)
        wrong(c);
    return memory;
}

static bool write_bytes(struct codec *c, const void *bytes, size_t size)
{
    if (c->fault)
        return false;
    if (c->used + size > c->room) {
        size_t room = 2 * c->room + size + 1024;
        unsigned char *more = asked(c, realloc(c->out, room));
        if (!more)
            return false;
        c->out = more;
        c->room = room;
    }
    memcpy(c->out + c->used, bytes, size);
    c->used += size;
    return true;
}

/* false: nothing was read, for there is a fault. */
static bool code(struct codec *c, void *bytes, uint64_t size)
{
    if (c->writes)
        return write_bytes(c, bytes, (size_t)size);
    if (size > c->left || c->fault) {
        wrong(c);
        return false;
    }
    memcpy(bytes, c->at, (size_t)size);
    c->at += size;
    c->left -= (size_t)size;
    return true;
}

/* The value as it was, or as it is read. */
static uint64_t number(struct codec *c, uint64_t value)
{
    unsigned char bytes[8];
    rg_put_u64(bytes, value);
    return code(c, bytes, sizeof bytes) ? rg_get_u64(bytes) : 0;
}

static void code_text(struct codec *c, char *text, size_t room)
{
    uint64_t length = number(c, strlen(text));
    if (length >= room) {
        wrong(c);
    } else if (code(c, text, length) && !c->writes) {
        text[length] = '\0';
        if (strlen(text) != length)
            wrong(c);
    }
}

/* A text of its own. */
static void code_string(struct codec *c, char **text)
{
    uint64_t length = number(c, *text ? strlen(*text) : 0);
    if (!c->writes && length > c->left)
        wrong(c);
    else if (!c->writes)
        *text = asked(c, calloc((size_t)length + 1, 1));
    if (*text && code(c, *text, length) && strlen(*text) != length)
        wrong(c);
}

static void code_trace(struct codec *c, struct rg_trace **at)
{
    struct rg_trace *trace = *at;
    uint64_t there = number(c, trace != NULL), limit = number(c, trace ? trace->limit : 0);
    uint64_t dropped = number(c, trace ? trace->dropped : 0);
    double window[] = {trace ? trace->from_s : 0, trace ? trace->to_s : 0};
    bool windowed = code(c, window, sizeof window);
    uint64_t count = number(c, trace ? trace->count : 0), size = count * sizeof *trace->events;
    if (!c->writes && there == 1 && windowed && count <= c->left / sizeof *trace->events) {
        *at = trace = asked(c, rg_trace_new(limit));
        if (trace && (trace->events = asked(c, malloc((size_t)size + 1))))
            trace->count = trace->capacity = count;
        if (trace) {
            trace->from_s = window[0];
            trace->to_s = window[1];
        }
    }
    if (trace && trace->count == count && (count == 0 || code(c, trace->events, size)))
        trace->dropped = dropped;
    else if (there)
        wrong(c);
    for (uint64_t i = 0; !c->writes && trace && !c->fault && i < count; i++)
        if (trace->events[i].kind > RG_TRACE_MARK)
            wrong(c);
}

static void code_record(struct codec *c, const struct rg_record *record, void *at);

static void code_items(struct codec *c, const struct rg_field *field, void *at)
{
    int count;
    char *items = rg_field_items(field, at, &count);
    uint64_t wanted = number(c, (uint64_t)count);
    if (!c->writes && wanted <= c->left / 8 && wanted < INT_MAX) { /* each takes 8 bytes or more */
        items = asked(c, rg_field_make_items(field, at, (int)wanted));
        count = items ? (int)wanted : 0;
    }
    if (wanted != (uint64_t)count)
        wrong(c);
    for (int i = 0; i < count && !c->fault; i++) {
        struct rg_run_setting *pair = (struct rg_run_setting *)items + i;
        if (field->kind == RG_FIELD_LIST) {
            code_record(c, field->record, items + (size_t)i * field->record->size);
        } else if (field->kind == RG_FIELD_PAIRS) {
            code_text(c, pair->name, sizeof pair->name);
            code_string(c, &pair->value);
        } else if (field->kind == RG_FIELD_TEXTS) {
            code_string(c, (char **)items + i);
        } else {
            ((int *)items)[i] = (int)number(c, (uint64_t)((int *)items)[i]);
        }
    }
}

static void code_whole(struct codec *c, const struct rg_field *field, void *at)
{
    int64_t value = (int64_t)number(c, (uint64_t)rg_field_whole(field, at));
    bool good = field->kind == RG_FIELD_WHOLE ? value >= rg_field_least(field)
                                              : value >= 0 && value < field->choice_count;
    if (!c->writes && !(good && rg_field_set_whole(field, at, value)))
        wrong(c);
}

static void code_field(struct codec *c, const struct rg_field *field, void *at)
{
    char *member = (char *)at + field->offset;
    uint64_t bits;
    c->field = field->name;
    switch (field->kind) {
    case RG_FIELD_REAL:
    case RG_FIELD_COUNT:
        memcpy(&bits, member, sizeof bits);
        bits = number(c, bits);
        memcpy(member, &bits, sizeof bits);
        break;
    case RG_FIELD_PRESENT:
    case RG_FIELD_FLAG:
        bits = number(c, *(bool *)member);
        *(bool *)member = bits == 1;
        if (bits > 1)
            wrong(c);
        break;
    case RG_FIELD_WHOLE:
    case RG_FIELD_CHOICE:
        code_whole(c, field, at);
        break;
    case RG_FIELD_TEXT:
        code_text(c, member, field->size);
        break;
    case RG_FIELD_PAIRS:
    case RG_FIELD_INTS:
    case RG_FIELD_TEXTS:
    case RG_FIELD_LIST:
        code_items(c, field, at);
        break;
    case RG_FIELD_OBJECT:
        code_record(c, field->record, member);
        break;
    case RG_FIELD_TRACE:
        code_trace(c, (struct rg_trace **)member);
        break;
    }
}

static void code_record(struct codec *c, const struct rg_record *record, void *at)
{
    for (int i = 0; i < record->field_count && !c->fault; i++)
        code_field(c, &record->fields[i], at);
}

int rg_run_encode(const struct rg_run *run, unsigned char **bytes, size_t *size)
{
    struct codec c = {.writes = true};
    struct rg_run *same = malloc(sizeof *same); /* written to, with what it holds */
    *bytes = NULL;
    if (!same)
        return RG_ERR_NOMEM;
    *same = *run;
    code_record(&c, &rg_run_record, same);
    free(same);
    RG_ASSERT(c.full == (c.fault != NULL)); /* it is of a run that is there */
    if (c.full) {
        free(c.out);
        return RG_ERR_NOMEM;
    }
    *bytes = c.out;
    *size = c.used;
    return 0;
}

int rg_run_decode(const void *bytes, size_t size, struct rg_run *run, struct rg_error *e)
{
    struct codec c = {.at = bytes, .left = size};
    rg_run_init(run);
    code_record(&c, &rg_run_record, run);
    if (!c.fault && c.left == 0)
        return 0;
    rg_run_free(run);
    rg_run_init(run);
    if (c.full)
        return rg_fail(e, RG_ERR_NOMEM, "no memory for a run's account");
    return rg_fail(e, RG_ERR_PROTOCOL, "a run's account is cut off or wrong at \"%s\"",
                   c.fault ? c.fault : "its end");
}
