/* The ring of bench_sim with nothing but a binary heap of events: how fast such a simulation can be
 * that knows links without sharing, and no actors. In every round a node asks for the message of
 * its predecessor, sends to its successor, computes, and waits for all three. */
#include "heap_ring.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>

struct event {
    double time;
    int node; /* one of its three is over */
};

struct heap {
    struct event *at;
    int count;
};

static void push(struct heap *heap, double time, int node)
{
    int i = heap->count++;
    for (; i > 0 && heap->at[(i - 1) / 2].time > time; i = (i - 1) / 2)
        heap->at[i] = heap->at[(i - 1) / 2];
    heap->at[i] = (struct event){time, node};
}

static struct event pop(struct heap *heap)
{
    struct event top = heap->at[0], last = heap->at[--heap->count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < heap->count; i = child) {
        if (child + 1 < heap->count && heap->at[child + 1].time < heap->at[child].time)
            child++;
        if (heap->at[child].time >= last.time)
            break;
        heap->at[i] = heap->at[child];
    }
    heap->at[i] = last;
    return top;
}

struct node {
    long round; /* begun so far: so many messages it has asked for */
    int left;   /* of three, in this round */
    /* Its messages to the successor: on their way or there; and those of them that the successor
     * has asked for and waits for; when each is there. */
    long sent, taken;
    double *arrival; /* [window + 2] */
    bool held;       /* one more would start, but the window is full */
};

struct run {
    const struct heap_ring *ring;
    struct heap heap;
    struct node *nodes;
};

static void rendezvous(struct run *run, int from, int to, double now)
{
    double done = now + run->ring->latency_s + run->ring->wire_s;
    push(&run->heap, done, from);
    push(&run->heap, done, to);
}

static double *arrival_of(const struct run *run, const struct node *node, long message)
{
    return &node->arrival[message % (run->ring->window + 2)];
}

/* The successor gets what it has asked for, once it has been sent. */
static void take(struct run *run, int from, double now)
{
    struct node *node = &run->nodes[from];
    int to = (from + 1) % run->ring->nodes;
    if (node->taken < node->sent && node->taken < run->nodes[to].round)
        push(&run->heap, fmax(now, *arrival_of(run, node, node->taken++)), to);
}

/* A message starts when it has been asked for, or fits in the window. */
static void start(struct run *run, int from, double now)
{
    const struct heap_ring *ring = run->ring;
    struct node *node = &run->nodes[from];
    bool asked = run->nodes[(from + 1) % ring->nodes].round > node->sent;
    node->held = !asked && node->sent - node->taken >= ring->window;
    if (node->held)
        return;
    double there = now + ring->wire_s + ring->latency_s;
    *arrival_of(run, node, node->sent++) = there;
    push(&run->heap, there, from);
    take(run, from, now);
}

static void begin_round(struct run *run, int me, double now)
{
    const struct heap_ring *ring = run->ring;
    int next = (me + 1) % ring->nodes, previous = (me + ring->nodes - 1) % ring->nodes;
    struct node *node = &run->nodes[me];
    long round = node->round++;
    node->left = 3;
    push(&run->heap, now + ring->compute_s(ring->arg, me, round), me);
    if (ring->rendezvous) {
        if (run->nodes[next].round == node->round)
            rendezvous(run, me, next, now);
        if (run->nodes[previous].round == node->round)
            rendezvous(run, previous, me, now);
        return;
    }
    start(run, me, now);
    take(run, previous, now);
    if (run->nodes[previous].held)
        start(run, previous, now);
}

double heap_ring_run(const struct heap_ring *ring)
{
    size_t n = (size_t)ring->nodes;
    struct run run = {.ring = ring};
    size_t room = (size_t)ring->window + 2;
    double *arrivals = calloc(n * room, sizeof *arrivals);
    run.nodes = calloc(n, sizeof *run.nodes);
    run.heap.at = calloc(3 * n, sizeof *run.heap.at);
    RG_ASSERT(arrivals && run.nodes && run.heap.at && ring->nodes >= 3);
    for (int i = 0; i < ring->nodes; i++)
        run.nodes[i].arrival = arrivals + (size_t)i * room;
    for (int i = 0; i < ring->nodes; i++)
        begin_round(&run, i, 0);
    double now = 0;
    while (run.heap.count > 0) {
        struct event event = pop(&run.heap);
        now = event.time;
        struct node *node = &run.nodes[event.node];
        if (--node->left == 0 && node->round < ring->rounds)
            begin_round(&run, event.node, now);
    }
    free(arrivals);
    free(run.nodes);
    free(run.heap.at);
    return now;
}
