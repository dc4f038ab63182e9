/* Ranks that were lost, and come back (--lose shrink, spare): whoever starts one again, on its own
 * machine, starts it as at first; those that go on without it keep a door open for it, and take it
 * in at the end of an epoch.
 *
 * Failure modes handled: no door (nobody comes back, and that is said); one that is there again and
 * goes before it is in (the next attempt begins without it). */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "node/muster.h"
#include <string.h>

/* The parent of --local starts none again. */
static bool comes_back(const struct ringnode *node)
{
    return node->attempts.lose > RG_LOSE_RESTART && !node->local;
}

static bool is_back(void *arg, int seat, double date_s)
{
    const struct ringnode *node = arg;
    (void)date_s;
    return node->door && rg_door_has(node->door, seat);
}

void ringnode_expect_returns(struct ringnode *node)
{
    if (!comes_back(node))
        return;
    node->attempts.is_back = is_back;
    node->attempts.back_arg = node;
}

void ringnode_keep_door(struct ringnode *node)
{
    const struct rg_attempts *a = &node->attempts;
    struct rg_error e = {0};
    if (!comes_back(node) || (!node->door && a->present == a->seats))
        return;
    if (!node->door && rg_door_open(&node->join, node->joined.nonce, &node->door, &e) != 0) {
        fprintf(stderr, "ringnode: rank %d: nobody can come back: %s\n", node->rank, e.text);
        return; /* it takes part in the question who is back: it has seen nobody */
    }
    for (int seat = 0; seat < a->seats; seat++)
        rg_door_expect(node->door, seat, a->absent[seat] != RG_HERE);
}

bool ringnode_let_in(struct ringnode *node, int seat)
{
    const struct rg_attempts *a = &node->attempts;
    const struct rg_joined told = {.run = rg_mesh_last_run(node->mesh),
                                   .nodes = a->nodes,
                                   .present = a->present,
                                   .seats = a->seats,
                                   .seat = a->seat,
                                   .absent = a->absent};
    struct rg_connection connection;
    int rank = 0;
    while (a->seat[rank] != seat)
        rank++;
    rg_door_take(node->door, seat, &told, &connection);
    if (!node->options.quiet && node->rank == 0)
        fprintf(stderr, "ringnode: %s is there again\n", rg_mesh_host(node->mesh, rank));
    return rg_mesh_admit(node->mesh, rank, &connection, node->checksum) == 0;
}

void ringnode_come_back(struct ringnode *node)
{
    struct rg_attempts *a = &node->attempts;
    const struct rg_joined *joined = &node->joined;
    size_t seats = (size_t)a->seats;
    RG_ASSERT(joined->seats == a->seats);
    RG_ASSERT(rg_mesh_reseat(node->mesh, joined->seat) == 0);
    memcpy(a->seat, joined->seat, seats * sizeof *a->seat);
    memcpy(a->agreed, joined->seat, seats * sizeof *a->agreed);
    memcpy(a->absent, joined->absent, seats);
    a->nodes = joined->nodes;
    a->present = a->agreed_count = joined->present;
    node->rank = rg_mesh_rank(node->mesh);
    node->later = true;
}
