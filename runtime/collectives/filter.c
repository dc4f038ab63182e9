#include "collectives/filter.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

/* ---- what they come to ---- */

void rg_filters_resolve(struct rg_filters *filters)
{
    int choosing = 0, varying = 0;
    filters->code.kind = RG_CODE_NONE;
    filters->kkt = filters->zeros = filters->keys = false;
    for (int i = 0; i < filters->count; i++) {
        enum rg_filter_kind kind = filters->kind[i];
        choosing += kind <= RG_FILTER_ZEROS;
        varying += kind <= RG_FILTER_KEYS && kind != RG_FILTER_TOP;
        filters->kkt |= kind == RG_FILTER_KKT;
        filters->zeros |= kind == RG_FILTER_ZEROS;
        filters->keys |= kind == RG_FILTER_KEYS;
        if (kind == RG_FILTER_FLOAT16)
            filters->code.kind = RG_CODE_FLOAT16;
        if (kind == RG_FILTER_INT8)
            filters->code.kind = RG_CODE_INT8;
    }
    filters->chooses = choosing > 0;
    filters->keys &= filters->chooses;
    filters->fixed = !filters->chooses || varying == 0;
}

static size_t largest(const struct rg_filters *filters, size_t count)
{
    return rg_coded_numbers((struct rg_codec){RG_CODE_TOP, filters->keep}, count);
}

size_t rg_filters_numbers(const struct rg_filters *filters, size_t count)
{
    size_t most = count;
    for (int i = 0; i < filters->count; i++)
        if (filters->kind[i] == RG_FILTER_TOP)
            most = RG_MIN(most, largest(filters, count));
    return most;
}

/* ---- places ---- */

/* Before the numbers of a message whose filters choose: how many they are, and how their places are
 * told: all there are; a bit each; their numbers; how many are not said, and then are, in turn; or
 * the CRC of those of the message before. */
enum form { ALL, BITS, NUMBERS, RUNS, AGAIN, FORMS };

struct head {
    uint32_t said, form;
};

struct run {
    uint32_t skipped, said;
};

static uint64_t bits_bytes(size_t count)
{
    return sizeof(uint32_t) * (((uint64_t)count + 31) / 32);
}

/* As ALL, BITS or NUMBERS. */
static uint64_t places_bytes(size_t said, size_t count, enum form *form)
{
    uint64_t numbers = sizeof(uint32_t) * (uint64_t)said, bits = bits_bytes(count);
    *form = said == count ? ALL : numbers <= bits ? NUMBERS : BITS;
    return *form == ALL ? 0 : RG_MIN(numbers, bits);
}

uint64_t rg_filters_bytes(const struct rg_filters *filters, size_t count)
{
    size_t most = rg_filters_numbers(filters, count);
    enum form unused;
    uint64_t bytes = rg_coded_bytes(filters->code, most);
    if (!filters->chooses)
        return bytes;
    uint64_t places = filters->fixed ? places_bytes(most, count, &unused)
                                     : RG_MIN(sizeof(uint32_t) * (uint64_t)most, bits_bytes(count));
    return sizeof(struct head) + places + bytes;
}

static size_t count_runs(const uint32_t *places, size_t said)
{
    size_t runs = said > 0;
    for (size_t i = 1; i < said; i++)
        runs += places[i] != places[i - 1] + 1;
    return runs;
}

static size_t put_runs(const uint32_t *places, size_t said, unsigned char *to)
{
    size_t written = 0;
    uint32_t next = 0;
    for (size_t i = 0; i < said;) {
        struct run run = {places[i] - next, 0};
        next = places[i];
        while (i < said && places[i] == next) {
            i++;
            next++;
            run.said++;
        }
        memcpy(to + written, &run, sizeof run);
        written += sizeof run;
    }
    return written;
}

static size_t put_bits(const uint32_t *places, size_t said, size_t count, unsigned char *to)
{
    size_t bytes = (size_t)bits_bytes(count);
    memset(to, 0, bytes);
    for (size_t i = 0; i < said; i++)
        to[places[i] / 8] |= (unsigned char)(1U << places[i] % 8);
    return bytes;
}

static bool is_as_before(const struct rg_filter_out *out, size_t said)
{
    return out->filters->keys && out->before_count == said &&
           memcmp(out->before, out->places, said * sizeof *out->places) == 0;
}

/* Head and places; returns their bytes. */
static size_t put_places(const struct rg_filter_out *out, size_t said, unsigned char *to)
{
    enum form form;
    uint64_t bytes = places_bytes(said, out->count, &form);
    uint32_t crc = 0;
    if (out->filters->zeros && count_runs(out->places, said) * sizeof(struct run) < bytes) {
        bytes = count_runs(out->places, said) * sizeof(struct run);
        form = RUNS;
    }
    if (bytes > sizeof crc && is_as_before(out, said))
        form = AGAIN;
    const struct head head = {(uint32_t)said, form};
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    if (form == RUNS)
        return sizeof head + put_runs(out->places, said, to);
    if (form == BITS)
        return sizeof head + put_bits(out->places, said, out->count, to);
    if (form == NUMBERS)
        memcpy(to, out->places, said * sizeof *out->places);
    if (form == AGAIN) {
        crc = rg_crc32c(out->places, said * sizeof *out->places);
        memcpy(to, &crc, sizeof crc);
        bytes = sizeof crc;
    }
    return sizeof head + (size_t)bytes;
}

static bool take_runs(struct rg_filter_in *in, size_t said, const unsigned char **from,
                      const unsigned char *end)
{
    size_t next = 0, taken = 0;
    while (taken < said) {
        struct run run;
        if ((size_t)(end - *from) < sizeof run)
            return false;
        memcpy(&run, *from, sizeof run);
        *from += sizeof run;
        next += run.skipped;
        if (run.said == 0 || run.said > said - taken || next > in->count - run.said)
            return false;
        for (uint32_t i = 0; i < run.said; i++)
            in->places[taken++] = (uint32_t)next++;
    }
    return true;
}

static bool take_bits(struct rg_filter_in *in, size_t said, const unsigned char *from)
{
    size_t taken = 0;
    for (size_t i = 0; i < in->count; i++)
        if (from[i / 8] >> i % 8 & 1) {
            if (taken == said)
                return false;
            in->places[taken++] = (uint32_t)i;
        }
    return taken == said;
}

static bool take_numbers(struct rg_filter_in *in, size_t said, const unsigned char *from)
{
    memcpy(in->places, from, said * sizeof *in->places);
    for (size_t i = 0; i < said; i++)
        if (in->places[i] >= in->count || (i > 0 && in->places[i] <= in->places[i - 1]))
            return false;
    return true;
}

/* Those of the message before are still there. */
static bool same_again(const struct rg_filter_in *in, size_t said, const unsigned char *from)
{
    uint32_t crc;
    memcpy(&crc, from, sizeof crc);
    return in->filters->keys && said == in->place_count &&
           crc == rg_crc32c(in->places, said * sizeof *in->places);
}

/* *from goes on behind the places. */
static bool take_places(struct rg_filter_in *in, const unsigned char **from,
                        const unsigned char *end, size_t *said)
{
    struct head head;
    if ((size_t)(end - *from) < sizeof head)
        return false;
    memcpy(&head, *from, sizeof head);
    *from += sizeof head;
    *said = head.said;
    if (head.form >= FORMS || *said > in->count || (head.form == ALL && *said != in->count))
        return false;
    if (head.form == RUNS)
        return take_runs(in, *said, from, end);
    const uint64_t bytes[] = {[ALL] = 0,
                              [BITS] = bits_bytes(in->count),
                              [NUMBERS] = sizeof(uint32_t) * (uint64_t)*said,
                              [AGAIN] = sizeof(uint32_t)};
    const unsigned char *at = *from;
    if ((uint64_t)(end - at) < bytes[head.form])
        return false;
    *from += bytes[head.form];
    if (head.form == BITS)
        return take_bits(in, *said, at);
    if (head.form == NUMBERS)
        return take_numbers(in, *said, at);
    if (head.form == AGAIN)
        return same_again(in, *said, at);
    for (size_t i = 0; i < in->count; i++)
        in->places[i] = (uint32_t)i;
    return true;
}

/* ---- choosing ---- */

/* Places that stay of those there are, in their order. */
static size_t significant(const struct rg_filter_out *out, const float *parameters, size_t said)
{
    const double least = 1e-3; /* of a parameter: at 0 all would be significant, or none */
    size_t n = 0;
    for (size_t i = 0; i < said; i++) {
        uint32_t place = out->places[i];
        double size = fmax(fabs((double)parameters[place]), least);
        if (!(fabs((double)out->kept[place]) < out->filters->threshold * size))
            out->places[n++] = place;
    }
    return n;
}

static size_t by_chance(const struct rg_filter_out *out, uint64_t dice, size_t said)
{
    size_t n = 0;
    for (size_t i = 0; i < said; i++) {
        uint32_t place = out->places[i];
        uint64_t drawn = rg_mix64(dice + out->first + place) >> 11;
        if ((double)drawn * 0x1p-53 >= out->filters->skip)
            out->places[n++] = place;
    }
    return n;
}

static size_t not_zero(const struct rg_filter_out *out, size_t said)
{
    size_t n = 0;
    for (size_t i = 0; i < said; i++)
        if (out->kept[out->places[i]] != 0)
            out->places[n++] = out->places[i];
    return n;
}

/* Is a parameter at rest at 0? What is no number moves it. */
static bool is_at_rest(const struct rg_filter_out *out, float number, float parameter)
{
    return parameter == 0 && fabs((double)number) * out->to_all <= out->filters->rest;
}

/* Numbers of parameters at rest become 0, which leaves them there. */
static void drop_those_at_rest(const struct rg_filter_out *out, float *numbers,
                               const float *parameters)
{
    for (size_t i = 0; i < out->count; i++)
        if (is_at_rest(out, numbers[i], parameters[i]))
            numbers[i] = 0;
}

static size_t not_at_rest(const struct rg_filter_out *out, const float *numbers,
                          const float *parameters, size_t said)
{
    size_t n = 0;
    for (size_t i = 0; i < said; i++) {
        uint32_t place = out->places[i];
        if (!is_at_rest(out, numbers[place], parameters[place]))
            out->places[n++] = place;
    }
    return n;
}

static size_t in_magnitude(const struct rg_filter_out *out, size_t said)
{
    size_t wanted = largest(out->filters, out->count), n = 0, more;
    if (said <= wanted)
        return said;
    for (size_t i = 0; i < said; i++)
        out->values[i] = out->kept[out->places[i]];
    uint32_t least = rg_magnitude_among(said, out->values, wanted, &more);
    for (size_t i = 0; i < said; i++) {
        uint32_t bits = rg_bits_of(out->values[i]) & 0x7fffffffU;
        if (bits < least || (bits == least && more == 0))
            continue;
        more -= bits == least;
        out->places[n++] = out->places[i];
    }
    RG_ASSERT(n == wanted);
    return n;
}

static size_t choose(const struct rg_filter_out *out, const float *numbers, const float *parameters,
                     uint64_t dice)
{
    size_t said = out->count;
    for (size_t i = 0; i < out->count; i++)
        out->places[i] = (uint32_t)i;
    for (int i = 0; i < out->filters->count; i++) {
        enum rg_filter_kind kind = out->filters->kind[i];
        if (kind == RG_FILTER_SIGNIFICANT)
            said = significant(out, parameters, said);
        else if (kind == RG_FILTER_SKIP)
            said = by_chance(out, dice, said);
        else if (kind == RG_FILTER_KKT)
            said = not_at_rest(out, numbers, parameters, said);
        else if (kind == RG_FILTER_TOP)
            said = in_magnitude(out, said);
        else if (kind == RG_FILTER_ZEROS)
            said = not_zero(out, said);
    }
    return said;
}

/* ---- saying it ---- */

/* The numbers at the places: coded to `to`; what is said of them becomes numbers, the rest is kept.
 */
static void put_numbers(const struct rg_filter_out *out, float *numbers, size_t said, uint64_t dice,
                        void *to)
{
    for (size_t i = 0; i < said; i++)
        out->values[i] = out->kept[out->places[i]];
    if (out->filters->code.kind == RG_CODE_NONE) {
        memcpy(to, out->values, said * sizeof *out->values);
        for (size_t i = 0; i < said; i++)
            out->kept[out->places[i]] = 0;
    } else {
        rg_encode(out->filters->code, said, NULL, out->values, dice, to);
        for (size_t i = 0; i < said; i++)
            out->kept[out->places[i]] = out->values[i];
        bool good = rg_decode(out->filters->code, said, to, out->values, false);
        RG_ASSERT(good);
    }
    memset(numbers, 0, out->count * sizeof *numbers);
    for (size_t i = 0; i < said; i++)
        numbers[out->places[i]] = out->values[i];
}

/* What was to be said is what is said and what is kept back. A sum of double precision is off by
 * what single numbers were rounded by: half of 2^-23 of what was added up, and of what is left of
 * it; `size` is the sum of the magnitudes of what came in. */
static void assert_nothing_is_lost(const struct rg_filter_out *out, const float *numbers,
                                   double all, double size)
{
    double accounted = 0;
    for (size_t i = 0; i < out->count; i++) {
        accounted += (double)numbers[i] + out->kept[i];
        size += fabs((double)numbers[i]) + fabs((double)out->kept[i]);
    }
    RG_ASSERT(!isfinite(size) || fabs(accounted - all) <= 0x1p-23 * size);
}

size_t rg_filter_say(struct rg_filter_out *out, float *numbers, const float *parameters,
                     uint64_t dice, void *to, size_t *said)
{
    double all = 0, size = 0;
    if (out->filters->kkt)
        drop_those_at_rest(out, numbers, parameters);
    for (size_t i = 0; i < out->count; i++) {
        all += (double)out->kept[i] + numbers[i];
        size += fabs((double)out->kept[i]) + fabs((double)numbers[i]);
        out->kept[i] += numbers[i];
    }
    *said = choose(out, numbers, parameters, dice);
    size_t places = out->filters->chooses ? put_places(out, *said, to) : 0;
    put_numbers(out, numbers, *said, rg_mix64(dice + out->first), (char *)to + places);
    assert_nothing_is_lost(out, numbers, all, size);
    if (out->filters->keys) {
        uint32_t *now = out->places;
        out->places = out->before;
        out->before = now;
        out->before_count = *said;
    }
    size_t bytes = places + (size_t)rg_coded_bytes(out->filters->code, *said);
    RG_ASSERT(bytes <= rg_filters_bytes(out->filters, out->count));
    return bytes;
}

/* ---- hearing it ---- */

bool rg_filter_hear(struct rg_filter_in *in, const void *from, size_t bytes, float *to, bool add)
{
    const struct rg_codec code = in->filters->code;
    const unsigned char *at = from, *end = at + bytes;
    if (!in->filters->chooses)
        return bytes == rg_coded_bytes(code, in->count) && rg_decode(code, in->count, at, to, add);
    size_t said = 0;
    bool good = take_places(in, &at, end, &said);
    in->place_count = said;
    if (!good || (uint64_t)(end - at) != rg_coded_bytes(code, said))
        return false;
    if (code.kind == RG_CODE_NONE)
        memcpy(in->values, at, said * sizeof *in->values);
    else if (!rg_decode(code, said, at, in->values, false))
        return false;
    if (!add)
        memset(to, 0, in->count * sizeof *to);
    for (size_t i = 0; i < said; i++)
        to[in->places[i]] += in->values[i];
    return true;
}

/* ---- costs ---- */

/* Operations and passes an element by the source: what is common to all, then each filter's own. */
struct rg_cost rg_filter_say_cost(const struct rg_filters *filters, size_t count)
{
    static const double flops[RG_FILTER_KINDS] = {
        [RG_FILTER_SIGNIFICANT] = 4, [RG_FILTER_SKIP] = 10, [RG_FILTER_KKT] = 6,
        [RG_FILTER_TOP] = 16,        [RG_FILTER_ZEROS] = 2, [RG_FILTER_KEYS] = 1};
    static const double passes[RG_FILTER_KINDS] = {
        [RG_FILTER_SIGNIFICANT] = 4, [RG_FILTER_SKIP] = 2,  [RG_FILTER_KKT] = 6,
        [RG_FILTER_TOP] = 8,         [RG_FILTER_ZEROS] = 3, [RG_FILTER_KEYS] = 2};
    double n = (double)count;
    struct rg_cost cost = {.flops = 8 * n, .bytes = 9 * sizeof(float) * n, .calls = 1};
    for (int i = 0; i < filters->count; i++) {
        cost.flops += flops[filters->kind[i]] * n;
        cost.bytes += passes[filters->kind[i]] * sizeof(float) * n;
    }
    if (filters->code.kind != RG_CODE_NONE) {
        size_t most = rg_filters_numbers(filters, count);
        struct rg_cost there = rg_encode_cost(filters->code, most);
        struct rg_cost back = rg_decode_cost(filters->code, most, false);
        cost.flops += there.flops + back.flops;
        cost.bytes += there.bytes + back.bytes;
    }
    cost.bytes += (double)rg_filters_bytes(filters, count);
    return cost;
}

struct rg_cost rg_filter_hear_cost(const struct rg_filters *filters, size_t count, bool add)
{
    size_t most = rg_filters_numbers(filters, count);
    double n = (double)most, bytes = (double)rg_filters_bytes(filters, count);
    if (!filters->chooses)
        return rg_decode_cost(filters->code, count, add);
    struct rg_cost cost = {.flops = 2 * n, .bytes = 4 * sizeof(float) * n + bytes, .calls = 1};
    if (filters->code.kind != RG_CODE_NONE)
        cost.flops += rg_decode_cost(filters->code, most, false).flops;
    if (!add)
        cost.bytes += sizeof(float) * (double)count;
    return cost;
}
