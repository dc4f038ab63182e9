/* The account of every node, gathered on rank 0.
 *
 * Failure modes handled: errors of the world end the gathering with that error; no memory. */
#include "node/node_parts.h"

#include "base/check.h"
#include "models/bits.h"
#include "strategies/order.h"
#include "strategies/samples.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes: some thousand are usual, and an order. */
enum { ACCOUNT_MOST = (1 << 20) + RG_ORDER_MOST };

bool rg_node_traces(const struct node *n, int rank)
{
    return n->any_trace && rg_trace_part_has(&n->part, rank);
}

/* The watts of this node for the timeline; by a model, they follow from what it does. */
static struct rg_run_power power(const struct node *n)
{
    const struct rg_board *b = n->job->boards[n->w->rank];
    const struct rg_clock *clock = &b->clocks[b->clock];
    if (!n->trace || strcmp(n->energy.source, "model") != 0)
        return (struct rg_run_power){.known = false};
    return (struct rg_run_power){.known = true,
                                 .rest_W = b->switch_watts,
                                 .idle_W = clock->idle_watts,
                                 .epsilon_W = clock->epsilon_watts,
                                 .full_W = clock->full_watts,
                                 .send_W = b->port_tx_watts,
                                 .receive_W = b->port_rx_watts,
                                 .compute_share =
                                     (double)RG_MIN(n->job->threads, b->cores) / b->cores,
                                 .core_share = 1.0 / b->cores,
                                 .keyed = b->keyed,
                                 .port_rate = b->port_rate * b->frame_payload / b->frame_bytes,
                                 .message_s = b->message_s,
                                 .byte_s = b->byte_s};
}

static void account_machine(const char *machine, struct rg_run_node *node)
{
    struct rg_bits bits;
    rg_bits_own(&bits);
    rg_copy_text(node->machine, sizeof node->machine, machine);
    rg_copy_text(node->kernels, sizeof node->kernels, bits.kernels);
    snprintf(node->libm, sizeof node->libm, "glibc %s", bits.libc);
}

static void account_own(const struct node *n, const struct rg_observation *seen,
                        struct rg_run_own *own)
{
    int first, keeper = rg_job_keeper(n->job, n->w->rank);
    if (keeper < 0)
        return;
    int64_t trained = seen->trained;
    if (!seen->in_rounds)
        trained = n->done * rg_job_share(n->job, rg_job_keepers(n->job, &first), keeper);
    *own = (struct rg_run_own){.known = true,
                               .samples = (uint64_t)rg_deal_count(n->job->rows, keeper),
                               .trained = (uint64_t)trained,
                               .left_out = (uint64_t)seen->own_left_out,
                               .accuracy = NAN};
}

/* What this node knows of itself, as of a run of its own; per_node[0] is its row. */
static int account(const struct node *n, struct rg_run *own)
{
    const struct rg_counters *c = &n->w->count;
    const struct rg_board *board = n->job->boards[n->w->rank];
    const struct rg_load sent = {c->messages, c->bytes_sent, c->tls_sent};
    const struct rg_load received = {c->messages_received, c->bytes_received, c->tls_received};
    const struct rg_load crossing = {c->medium_messages, c->medium_bytes, c->medium_tls};
    struct rg_run_node *node = &own->per_node[0];
    struct rg_observation seen = {0};
    n->job->strategy->observe(n->state, &seen);
    node->rank = n->w->rank;
    rg_copy_text(node->host, sizeof node->host, n->options->host ? n->options->host : "");
    if (n->options->machine)
        account_machine(n->options->machine, node);
    node->busy_s = fmin(c->busy_s, n->time_s); /* two strands at once: both, but not the node */
    node->comm_s = rg_board_busy_s(board, sent, received);
    node->energy_J = n->energy.total_J;
    node->bytes_sent = c->bytes_sent;
    node->bytes_received = c->bytes_received;
    node->memory_bytes = rg_mem_bytes(n->w->mem);
    node->power = power(n);
    rg_node_account_clock(n, &node->clock);
    rg_node_account_meter(n, own);
    if (n->options->heat)
        n->options->heat(n->options->heat_arg, &node->heat);
    if (node->heat.held_back[0]) {
        own->held_back = (struct rg_run_held){.known = true, .nodes = 1};
        snprintf(own->held_back.first, sizeof own->held_back.first, "rank %d: %s", node->rank,
                 node->heat.held_back);
    }
    own->energy_J = rg_node_own_joules(n);
    own->traffic.messages = c->messages;
    own->traffic.values = c->values;
    own->traffic.payload_bytes = c->bytes_sent;
    own->traffic.wire_bytes = rg_board_load_bytes(board, sent);
    if (n->medium_rate > 0)
        own->traffic.medium_s = rg_board_load_bytes(board, crossing) / n->medium_rate;
    own->memory_bytes.max_node = own->memory_bytes.total = node->memory_bytes;
    own->late_receives = c->late_receives;
    own->staleness = seen.staleness;
    own->peak_units = seen.peak_units;
    own->late = (struct rg_run_late){.known = seen.out_of_step,
                                     .gradients = (uint64_t)seen.gradients,
                                     .updates = seen.staleness_sum,
                                     .staleness_mean = NAN};
    own->rounds = (struct rg_run_rounds){.known = seen.in_rounds,
                                         .drawn = (uint64_t)seen.drawn,
                                         .left_out = (uint64_t)seen.left_out};
    account_own(n, &seen, &node->own);
    own->filtered = (struct rg_run_filtered){.known = seen.filtered,
                                             .numbers = (uint64_t)seen.numbers,
                                             .pushed = (uint64_t)seen.said,
                                             .bytes = (uint64_t)seen.said_bytes,
                                             .saved_bytes = NAN};
    if (seen.order && rg_run_order(own, seen.order) < 0)
        return RG_ERR_NOMEM;
    if (!n->options->pace)
        return 0;
    own->paced.known = true;
    own->paced.computations = c->paced;
    own->paced.overruns = c->overruns;
    rg_copy_text(own->paced.board, sizeof own->paced.board, n->options->pace);
    return 0;
}

static int receive_events(struct node *n, int rank, uint64_t count, uint64_t dropped)
{
    struct rg_trace *trace = rg_trace_new(count);
    n->run->per_node[rank].trace = trace;
    if (!trace)
        return RG_ERR_NOMEM;
    rg_trace_limit_to(trace, &n->part);
    trace->dropped = dropped;
    trace->events = count ? malloc(count * sizeof *trace->events) : NULL;
    if (count && !trace->events)
        return RG_ERR_NOMEM;
    int result = rg_recv_wait(n->w, rank, TAG_EVENTS, trace->events, count * sizeof *trace->events);
    trace->count = trace->capacity = result ? 0 : count;
    return result;
}

/* Rank 0 has every account: the run is complete, whatever becomes of anybody from here on. */
static int tell_whole(struct node *n)
{
    size_t others = (size_t)n->w->size - 1;
    struct rg_request *requests = calloc(others + 1, sizeof *requests);
    if (!requests)
        return RG_ERR_NOMEM;
    for (size_t i = 0; i < others; i++)
        rg_send(n->w, (int)i + 1, TAG_WHOLE, NULL, 0, &requests[i]);
    for (size_t i = 0; i < others; i++)
        rg_wait(n->w, &requests[i]);
    free(requests);
    return 0;
}

/* A rank that has done its part waits to hear that the others have done theirs, too. */
static int hear_whole(struct node *n)
{
    return rg_recv_wait(n->w, 0, TAG_WHOLE, NULL, 0);
}

/* What there is to account for, as bytes. A run is large, and the stack of a simulated node small:
 * what of it is touched stays in memory, a thousand times. */
static int encode_account(const struct node *n, unsigned char **bytes, size_t *size)
{
    struct rg_run *own = malloc(sizeof *own);
    if (!own)
        return RG_ERR_NOMEM;
    rg_run_init(own);
    int result = rg_run_make_nodes(own, 1);
    if (result == 0) {
        result = account(n, own);
        if (result == 0)
            result = rg_run_encode(own, bytes, size);
    }
    rg_run_free(own);
    free(own);
    return result;
}

/* Ranks above 0: the account, and what goes with it, to rank 0. */
static int send_account(struct node *n)
{
    struct rg_trace *trace = n->w->trace;
    struct report report = {.metered = rg_node_metered(n)};
    unsigned char *bytes = NULL;
    size_t size = 0;
    int result = encode_account(n, &bytes, &size);
    if (result)
        return result;
    report.bytes = size;
    if (trace) {
        report.events = trace->count;
        report.dropped = trace->dropped;
    }
    result = rg_send_wait(n->w, 0, TAG_REPORT, &report, sizeof report);
    if (result == 0) {
        result = rg_send_wait(n->w, 0, TAG_ACCOUNT, bytes, size);
    }
    free(bytes);
    if (result == 0 && n->w->ops->settle)
        result = rg_node_send_pauses(n);
    if (result == 0 && trace) {
        result =
            rg_send_wait(n->w, 0, TAG_EVENTS, trace->events, report.events * sizeof *trace->events);
    }
    return result;
}

static int receive_run(struct node *n, int rank, uint64_t size, struct rg_run *theirs)
{
    struct rg_error e;
    unsigned char *bytes = size <= ACCOUNT_MOST ? malloc((size_t)size + 1) : NULL;
    if (!bytes)
        return RG_ERR_NOMEM;
    int result = rg_recv_wait(n->w, rank, TAG_ACCOUNT, bytes, (size_t)size);
    if (result == 0)
        result = rg_run_decode(bytes, (size_t)size, theirs, &e);
    if (result == 0 && theirs->node_count != 1)
        result = RG_ERR_PROTOCOL;
    free(bytes);
    return result;
}

/* Rank 0: the account of another rank, on top of those before it. */
static int receive_account(struct node *n, int rank)
{
    struct report report;
    struct rg_run theirs;
    rg_run_init(&theirs);
    int result = rg_recv_wait(n->w, rank, TAG_REPORT, &report, sizeof report);
    if (result == 0)
        result = receive_run(n, rank, report.bytes, &theirs);
    if (result == 0) {
        rg_node_count_energy(n, rank, report.metered, &theirs);
        rg_run_add_node(n->run, &theirs);
        for (int i = 0; i < theirs.order_count && result == 0; i++)
            result = rg_run_order(n->run, theirs.orders[i]);
        n->run->per_node[rank] = theirs.per_node[0]; /* it owns nothing */
        if (n->accuracy)
            n->run->per_node[rank].own.accuracy = n->accuracy[rank];
    }
    rg_run_free(&theirs);
    if (result == 0 && n->w->ops->settle)
        result = rg_node_receive_pauses(n, rank);
    if (result == 0 && rg_node_traces(n, rank))
        result = receive_events(n, rank, report.events, report.dropped);
    return result;
}

int rg_node_gather(struct node *n)
{
    int result = rg_node_align(n);
    if (result == 0 && n->w->ops->settle)
        result = rg_node_settle(n);
    if (result)
        return result;
    if (n->w->rank > 0) {
        result = send_account(n);
        return result ? result : hear_whole(n);
    }
    if (!n->metered)
        n->metered = calloc((size_t)n->w->size, sizeof *n->metered);
    if (!n->metered || rg_run_make_nodes(n->run, n->w->size) < 0)
        return RG_ERR_NOMEM;
    rg_copy_text(n->run->energy_source, sizeof n->run->energy_source, n->energy.source);
    if ((result = account(n, n->run)) != 0)
        return result;
    rg_node_count_energy(n, 0, rg_node_metered(n), n->run);
    n->run->per_node[0].trace = n->w->trace;
    n->w->trace = NULL;
    for (int rank = 1; rank < n->w->size && result == 0; rank++)
        result = receive_account(n, rank);
    if (result == 0)
        rg_node_describe_meters(n);
    if (result == 0 && n->options->attempts) /* for which there may be no memory */
        result = rg_attempts_tell(n->options->attempts, n->w, n->run);
    return result ? result : tell_whole(n);
}
