#include "strategies/rounds.h"

#include "base/check.h"
#include "base/sizes.h"
#include <math.h>
#include <stdlib.h>

/* ---- a server ---- */

uint64_t rg_rounds_memory(size_t count, int rooms)
{
    return rg_size_times(sizeof(float) * (uint64_t)rooms, count);
}

int rg_rounds_open(struct rg_rounds *r, struct rg_world *w, int clients, size_t count, int rooms,
                   bool closing)
{
    RG_ASSERT(!closing || rooms == clients);
    *r = (struct rg_rounds){
        .w = w, .clients = clients, .count = count, .closing = closing, .room_count = rooms};
    r->client = calloc((size_t)clients, sizeof *r->client);
    r->list = calloc((size_t)clients + 1, sizeof *r->list);
    r->rooms = calloc((size_t)rooms, sizeof *r->rooms);
    if (!r->client || !r->list || !r->rooms)
        return RG_ERR_NOMEM;
    for (int i = 0; i < rooms; i++)
        if (!(r->rooms[i] = rg_mem_floats(w->mem, count)))
            return RG_ERR_NOMEM;
    return 0;
}

void rg_rounds_close(struct rg_rounds *r)
{
    for (int k = 0; k < r->clients && r->client; k++) {
        rg_cancel(r->w, &r->client[k].in);
        rg_cancel(r->w, &r->client[k].note);
    }
    rg_cancel(r->w, &r->out);
    free(r->client);
    free(r->list);
    free(r->rooms);
}

/* What has come since the last exchange is of no use any more. Is one of those that are to be asked
 * free? */
static int look(struct rg_rounds *r, bool *any)
{
    int result = 0;
    *any = false;
    for (int k = 0; k < r->clients && result == 0; k++) {
        struct rg_client *client = &r->client[k];
        if (client->owed && rg_done(r->w, &client->in)) {
            client->owed = false;
            result = client->in.status;
        }
        *any = *any || (client->asked && !client->owed);
    }
    return result;
}

/* An exchange with nobody would be over at once: where all that are to be asked are still at an
 * earlier one, the first to come back is waited for. */
static int wait_for_one(struct rg_rounds *r, double deadline)
{
    bool any;
    int which, result = look(r, &any);
    for (int k = 0; k < r->clients; k++)
        r->list[k] = r->client[k].asked ? &r->client[k].in : NULL;
    if (result || any)
        return result;
    result = rg_wait_any(r->w, r->list, r->clients, deadline, &which);
    return result && result != RG_ERR_TIMEOUT ? result : look(r, &any);
}

/* Who is asked, and where the answer goes. */
static int begin(struct rg_rounds *r)
{
    int room = 0, result = 0;
    for (int k = 0; k < r->clients && result == 0; k++) {
        struct rg_client *client = &r->client[k];
        client->asked = client->asked && !client->owed;
        client->sent = client->taken = false;
        if (!client->asked)
            continue;
        client->answer = r->rooms[r->closing ? k : room++];
        result = rg_recv_upto(r->w, k + 1, RG_TAG_ANSWER, client->answer, r->count * sizeof(float),
                              &client->in);
        client->owed = true;
    }
    return result;
}

/* All that are not asked hear it in an empty message. */
static int tell_others(struct rg_rounds *r)
{
    int result = 0;
    for (int k = 0; k < r->clients && result == 0; k++)
        if (!r->client[k].asked)
            result = rg_send(r->w, k + 1, RG_TAG_ROUND, NULL, 0, &r->client[k].note);
    return result;
}

/* The next client's numbers begin to leave; 1: nobody is left to be sent any. */
static int send_next(struct rg_rounds *r, const float *numbers)
{
    for (int k = 0; k < r->clients; k++) {
        struct rg_client *client = &r->client[k];
        if (!client->asked || client->sent)
            continue;
        client->sent = true;
        return rg_send_floats(r->w, k + 1, RG_TAG_ROUND, numbers, r->count, &r->out);
    }
    return 1;
}

/* Answers that are there, up to the first that is not; at the end all that are. */
static int take_answers(struct rg_rounds *r, bool end, rg_take_fn take, void *arg)
{
    int result = 0;
    for (int k = 0; k < r->clients && result == 0; k++) {
        struct rg_client *client = &r->client[k];
        if (!client->asked || client->taken)
            continue;
        if (client->owed && !end)
            break;
        client->taken = !client->owed;
        if (client->taken)
            result = take(arg, k, client->answer);
    }
    return result;
}

/* Of the requests that are waited for; false: there are none. */
static bool make_list(struct rg_rounds *r, bool sending)
{
    bool any = sending;
    for (int k = 0; k < r->clients; k++) {
        bool waits = r->client[k].asked && r->client[k].owed;
        r->list[k] = waits ? &r->client[k].in : NULL;
        any = any || waits;
    }
    r->list[r->clients] = sending ? &r->out : NULL;
    return any;
}

static int heard(struct rg_rounds *r, int k)
{
    struct rg_client *client = &r->client[k];
    client->owed = false;
    if (client->in.status == 0 && client->in.bytes != r->count * sizeof(float))
        return RG_ERR_PROTOCOL;
    return client->in.status;
}

/* The date has come: whoever has not been sent the numbers will not be. */
static int give_up(struct rg_rounds *r)
{
    int result = 0;
    for (int k = 0; k < r->clients && result == 0; k++) {
        struct rg_client *client = &r->client[k];
        if (!client->asked || client->sent)
            continue;
        rg_cancel(r->w, &client->in);
        client->asked = client->owed = false;
        result = rg_send(r->w, k + 1, RG_TAG_ROUND, NULL, 0, &client->note);
    }
    return result;
}

/* Messages there and back, until all have answered (0) or it is time (RG_ERR_TIMEOUT). */
static int go_through(struct rg_rounds *r, const float *numbers, double deadline, rg_take_fn take,
                      void *arg)
{
    bool sending = false, told = false;
    int result = 0;
    while (result == 0) {
        int which = -1;
        if (!sending && !told) {
            result = send_next(r, numbers);
            sending = result == 0;
            told = result == 1;
            result = told ? tell_others(r) : result;
        }
        if (result || !make_list(r, sending))
            break;
        result = rg_wait_any(r->w, r->list, r->clients + 1, deadline, &which);
        if (result)
            break;
        if (which == r->clients) {
            sending = false;
            result = r->out.status;
            continue;
        }
        result = heard(r, which);
        if (result == 0)
            result = take_answers(r, false, take, arg);
    }
    int left = sending && (result == 0 || result == RG_ERR_TIMEOUT) ? rg_wait(r->w, &r->out) : 0;
    if (result == RG_ERR_TIMEOUT && left == 0 && !told)
        left = tell_others(r);
    return left ? left : result;
}

/* Who has been asked hears whether its answer was taken. */
static int tell_closed(struct rg_rounds *r)
{
    int result = 0;
    for (int k = 0; k < r->clients && result == 0 && r->closing; k++) {
        struct rg_client *client = &r->client[k];
        client->told = client->taken;
        if (client->asked)
            result = rg_send(r->w, k + 1, RG_TAG_CLOSED, &client->told, sizeof client->told,
                             &client->note);
    }
    for (int k = 0; k < r->clients && result == 0; k++)
        result = rg_wait(r->w, &r->client[k].note);
    return result;
}

int rg_rounds_exchange(struct rg_rounds *r, const float *numbers, double deadline, rg_take_fn take,
                       void *arg)
{
    int result = wait_for_one(r, deadline);
    if (result == 0)
        result = begin(r);
    if (result == 0)
        result = go_through(r, numbers, deadline, take, arg);
    if (result == RG_ERR_TIMEOUT)
        result = give_up(r);
    if (result == 0)
        result = take_answers(r, true, take, arg);
    return result ? result : tell_closed(r);
}

int rg_rounds_settle(struct rg_rounds *r)
{
    int result = 0;
    for (int k = 0; k < r->clients && result == 0; k++) {
        if (!r->client[k].owed)
            continue;
        result = rg_wait(r->w, &r->client[k].in);
        r->client[k].owed = false;
    }
    return result;
}

/* ---- a client ---- */

int rg_round_hear(struct rg_world *w, float *numbers, size_t count, bool *asked)
{
    struct rg_request request;
    int result = rg_recv_upto(w, 0, RG_TAG_ROUND, numbers, count * sizeof *numbers, &request);
    if (result == 0)
        result = rg_wait(w, &request);
    *asked = result == 0 && request.bytes > 0;
    return result == 0 && *asked && request.bytes != count * sizeof *numbers ? RG_ERR_PROTOCOL
                                                                             : result;
}

int rg_round_answer(struct rg_world *w, const float *numbers, size_t count)
{
    struct rg_request request;
    int result = numbers ? rg_send_floats(w, 0, RG_TAG_ANSWER, numbers, count, &request)
                         : rg_send(w, 0, RG_TAG_ANSWER, NULL, 0, &request);
    return result ? result : rg_wait(w, &request);
}

/* ---- means ---- */

static struct rg_cost pass_cost(size_t count, double flops, int vectors)
{
    return (struct rg_cost){.flops = flops * (double)count,
                            .bytes = sizeof(float) * vectors * (double)count,
                            .calls = 1};
}

static struct rg_cost adding_cost(size_t count)
{
    return pass_cost(count, 2, 3);
}

static struct rg_cost dividing_cost(size_t count)
{
    return pass_cost(count, 1, 2);
}

struct meaning {
    struct rg_mean *m;
    const float *answer;
    float by, *to;
};

static void add(void *arg)
{
    const struct meaning *a = arg;
    float *sum = a->m->sum;
    for (size_t i = 0; i < a->m->count; i++)
        sum[i] = (a->m->begun ? sum[i] : 0) + a->by * a->answer[i];
}

int rg_mean_add(struct rg_mean *m, struct rg_world *w, float weight, const float *answer, int unit)
{
    struct meaning a = {.m = m, .answer = answer, .by = weight};
    struct rg_cost cost = adding_cost(m->count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    int result = rg_compute(w, &work, "add", unit, add, &a);
    m->begun = true;
    return result;
}

static void divide(void *arg)
{
    const struct meaning *a = arg;
    for (size_t i = 0; i < a->m->count; i++)
        a->to[i] = a->m->sum[i] / a->by;
}

int rg_mean_divide(struct rg_mean *m, struct rg_world *w, float by, float *to, int unit)
{
    struct meaning a = {.m = m, .by = by, .to = to};
    struct rg_cost cost = dividing_cost(m->count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    m->begun = false;
    return rg_compute(w, &work, "mean", unit, divide, &a);
}

static double pass_s(const struct rg_job *job, struct rg_cost cost)
{
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(job->boards[0], &work, job->threads);
}

double rg_mean_add_s(const struct rg_job *job, size_t count)
{
    return pass_s(job, adding_cost(count));
}

double rg_mean_divide_s(const struct rg_job *job, size_t count)
{
    return pass_s(job, dividing_cost(count));
}

/* ---- closed form ---- */

/* Answers come into the server's port in the order in which clients have them, and are taken in the
 * order of clients. */
double rg_rounds_seconds(const struct rg_job *job, const bool *asked, size_t count,
                         const double *work_s, double take_s, double *room)
{
    const struct rg_board *server = job->boards[0];
    int clients = job->nodes - 1;
    uint64_t bytes = sizeof(float) * (uint64_t)count;
    double *ready = room, *there = room + clients, date = 0, port = 0;
    for (int k = 0; k < clients; k++) {
        date += asked[k] ? rg_board_hop_to_s(server, job->boards[k + 1], bytes) : 0;
        ready[k] = asked[k] ? date + work_s[k] : INFINITY;
    }
    for (int i = 0; i < clients; i++) {
        int first = 0;
        for (int k = 1; k < clients; k++)
            first = ready[k] < ready[first] ? k : first;
        if (isinf(ready[first]))
            break;
        const struct rg_board *from = job->boards[first + 1];
        port = fmax(ready[first] + rg_board_hop_to_s(from, server, bytes),
                    port + rg_board_send_s(from, server, bytes));
        there[first] = port;
        ready[first] = INFINITY;
    }
    date = 0;
    for (int k = 0; k < clients; k++)
        date = asked[k] ? fmax(date, there[k]) + take_s : date;
    return date;
}
