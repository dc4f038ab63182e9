/* Matching without sockets: cases worked by hand, between two ranks in memory (duo.h). */
#include "tests/posix/duo.h"

#include "base/check.h"
#include "posix/stream.h"
#include "tests/support/suite.h"

enum { TAG = RG_TAG_USER, KIB = 1 << 10, MIB = 1 << 20 };

/* Both ranks running. */
static void start(struct duo *d)
{
    duo_open(d, 1);
    duo_begin(d, 0);
    duo_begin(d, 1);
    duo_drain(d);
    duo_poll(d, 0);
    duo_poll(d, 1);
    CU_ASSERT_FATAL(d->rank[0].state == DUO_RUNNING && d->rank[1].state == DUO_RUNNING);
}

static void stop(struct duo *d)
{
    CU_ASSERT_PTR_NULL(d->wrong);
    if (d->wrong)
        printf("line %d: %s\n", d->wrong_line, d->wrong);
    duo_close(d);
}

/* The credit of a directed pair is RG_EAGER_LIMIT bytes: two halves go without a receive, a third
 * message only once a receive has taken one of them. */
static void test_credit(void)
{
    struct duo d;
    start(&d);
    struct duo_post *send[3];
    for (int i = 0; i < 3; i++)
        send[i] = duo_send(&d, 0, 1, TAG, MIB / 2);
    duo_drain(&d);
    const struct rg_pair *p = d.rank[0].peer;
    CU_ASSERT(duo_is_done(send[0]) && duo_is_done(send[1]) && !duo_is_done(send[2]));
    CU_ASSERT(p->tx_eager == MIB && p->tx_returned == 0 && p->head == send[2]->t && p->head->rts);
    struct duo_post *receive = duo_recv(&d, 1, 0, TAG, MIB / 2, false);
    CU_ASSERT(duo_is_done(receive) && receive->t->late);
    duo_drain(&d);
    CU_ASSERT(duo_is_done(send[2]) && send[2]->t->eager);
    CU_ASSERT(p->tx_eager == 3 * MIB / 2 && p->tx_returned == MIB / 2 && p->tx_returned_count == 1);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_PTR_NOT_NULL(duo_recv(&d, 1, 0, TAG, MIB / 2, false));
    duo_drain(&d);
    CU_ASSERT(p->tx_eager == p->tx_returned && p->tx_eager_count == p->tx_returned_count);
    stop(&d);
}

/* All credit comes back in each of many rounds, also where the receive was there first (and its
 * message fits or not), is cancelled in the middle, or takes any length up to its room. */
static void test_credit_returns(void)
{
    struct duo d;
    start(&d);
    const struct rg_pair *p = d.rank[0].peer;
    for (int round = 0; round < 40; round++) {
        size_t bytes = 200 * KIB;
        bool first = round % 2, fits = round % 3, upto = round % 5 == 0, cancelled = round % 7 == 1;
        struct duo_post *receive = NULL;
        if (first)
            receive = duo_recv(&d, 1, 0, TAG, fits || upto ? bytes : bytes / 2, upto);
        struct duo_post *send = duo_send(&d, 0, 1, TAG, bytes);
        duo_write(&d, 0, 100 * KIB);
        duo_read(&d, 1, 50 * KIB);
        if (cancelled && first && !duo_is_done(receive)) {
            duo_cancel(&d, 1, receive);
            receive = NULL;
        }
        duo_drain(&d);
        if (!receive)
            receive = duo_recv(&d, 1, 0, TAG, bytes, false);
        duo_drain(&d);
        CU_ASSERT_FATAL(duo_is_done(receive) && duo_is_done(send));
        duo_look(&d, 1, receive);
        CU_ASSERT_EQUAL(duo_look(&d, 0, send), 0);
        CU_ASSERT(p->tx_eager == p->tx_returned && p->tx_eager_count == p->tx_returned_count);
    }
    stop(&d);
}

/* A receive larger than RG_ANNOUNCE_ABOVE is told of: its message needs no RTS. One that comes
 * before its receive does. */
static void test_rendezvous(void)
{
    struct duo d;
    start(&d);
    struct duo_post *receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
    duo_drain(&d);
    struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB);
    CU_ASSERT(send->t->cleared);
    duo_drain(&d);
    CU_ASSERT(duo_is_done(receive) && !receive->t->late && duo_is_done(send) && !send->t->rts);
    send = duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    CU_ASSERT(send->t->rts && !send->t->begun);
    receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, true);
    duo_drain(&d);
    CU_ASSERT(duo_is_done(receive) && !receive->t->late && duo_is_done(send) && !send->t->eager);
    CU_ASSERT_EQUAL(d.rank[0].peer->tx_eager, 0);
    stop(&d);
}

/* Permission is for one message of a receive's length: up to that it goes, a byte more is announced
 * first, and its receive learns that it does not fit. */
static void test_permission_has_a_length(void)
{
    struct duo d;
    start(&d);
    for (int more = 0; more < 2; more++) {
        struct duo_post *receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
        duo_drain(&d);
        struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB + (size_t)more);
        CU_ASSERT_EQUAL(send->t->cleared, !more);
        duo_drain(&d);
        CU_ASSERT_FATAL(duo_is_done(receive));
        CU_ASSERT_EQUAL(duo_look(&d, 1, receive), more ? RG_ERR_LENGTH : 0);
    }
    stop(&d);
}

/* A message that was only announced may still be withdrawn: whether it fits matters when it begins.
 */
static void test_withdrawn(void)
{
    struct duo d;
    start(&d);
    struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    struct duo_post *receive = duo_recv(&d, 1, 0, TAG, KIB, false);
    CU_ASSERT_FALSE(duo_is_done(receive));
    duo_cancel(&d, 0, send);
    duo_drain(&d);
    CU_ASSERT_FALSE(duo_is_done(receive));
    duo_send(&d, 0, 1, TAG, KIB);
    duo_drain(&d);
    CU_ASSERT_FATAL(duo_is_done(receive));
    CU_ASSERT_EQUAL(duo_look(&d, 1, receive), 0);
    receive = duo_recv(&d, 1, 0, TAG, KIB, false);
    duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    CU_ASSERT_FATAL(duo_is_done(receive));
    CU_ASSERT_EQUAL(duo_look(&d, 1, receive), RG_ERR_LENGTH);
    stop(&d);
}

/* What the receiver told of receives that have gone counts for nothing, in this run and the next.
 */
static void test_retracted(void)
{
    struct duo d;
    start(&d);
    const struct rg_pair *p = d.rank[0].peer, *q = d.rank[1].peer;
    struct duo_post *receives[3];
    for (int i = 0; i < 3; i++)
        receives[i] = duo_recv(&d, 1, 0, TAG, (size_t)(i + 1) * MIB, false);
    duo_drain(&d);
    CU_ASSERT(p->expected_count == 3 && q->rx_permits == 3 && q->rx_permitted == 3 * MIB);
    duo_cancel(&d, 1, receives[2]);
    duo_drain(&d);
    CU_ASSERT(p->expected_count == 2 && q->rx_permits == 2);
    struct duo_post *send = duo_send(&d, 0, 1, TAG, 3 * MIB);
    CU_ASSERT(p->expected_count == 1 && !send->t->cleared); /* it does not fit: it asks */
    duo_cancel(&d, 0, send);
    duo_end(&d, 1);
    duo_poll(&d, 1);
    duo_begin(&d, 1);
    CU_ASSERT(q->rx_permits == 0 && q->rx_permitted == 0 && q->tx_announce == 0);
    stop(&d);
}

static void write_and_read(struct duo *d, int from)
{
    while (duo_write(d, from, MIB) || duo_read(d, 1 - from, MIB))
        continue;
}

/* A message is announced and its receive posted at the same time, and the message is then taken
 * back: RTS meets EXPECT, and the permission outlives them until the next message or a RETRACT. */
static void test_crossed(void)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct duo d;
        start(&d);
        const struct rg_pair *p = d.rank[0].peer, *q = d.rank[1].peer;
        struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB);
        struct duo_post *receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
        struct duo_post *other = duo_recv(&d, 1, 0, TAG + 1, 2 * MIB, false);
        duo_write(&d, 1, MIB); /* EXPECT, of both */
        write_and_read(&d, 0); /* RTS */
        duo_cancel(&d, 0, send);
        duo_drain(&d);
        CU_ASSERT(!duo_is_done(receive) && p->expected_count == 1 && q->rx_permits == 1);
        if (cancelled)
            duo_cancel(&d, 1, receive);
        send = duo_send(&d, 0, 1, TAG, 2 * MIB);
        duo_drain(&d);
        CU_ASSERT_EQUAL(duo_is_done(send), !cancelled);
        if (cancelled)
            receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
        duo_drain(&d);
        CU_ASSERT(duo_is_done(send) && duo_is_done(receive) && !duo_is_done(other));
        CU_ASSERT(p->expected_count == 1 && q->rx_permits == 1); /* the other's */
        stop(&d);
    }
}

/* Frames that the socket has not taken yet do not let a message pass what is to be said before it.
 */
static void test_withdrawn_in_order(void)
{
    struct duo d;
    start(&d);
    struct duo_post *announced = duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    d.way[0].room = 0;
    duo_recv(&d, 0, 1, TAG, KIB, false);
    duo_send(&d, 1, 0, TAG, KIB);
    write_and_read(&d, 1);
    duo_write(&d, 0, MIB); /* ACK, planned and not taken */
    CU_ASSERT(d.rank[0].peer->small_end > 0);
    duo_cancel(&d, 0, announced);
    struct duo_post *next = duo_send(&d, 0, 1, TAG, KIB);
    d.way[0].room = DUO_PIPE;
    duo_drain(&d);
    CU_ASSERT(duo_is_done(next));
    stop(&d);
}

/* A frame of the open run as if rank 0 had sent it: what rank 1 says to it. */
static const char *forge(struct duo *d, struct rg_header h)
{
    struct rg_pair *p = d->rank[1].peer;
    struct iovec part[2];
    h.run = p->match->run;
    rg_stream_room(p, part);
    CU_ASSERT_FATAL(part[0].iov_len == 0 && part[1].iov_len >= RG_MESSAGE_HEADER);
    rg_header_encode(&h, part[1].iov_base);
    return rg_stream_read(p, RG_MESSAGE_HEADER);
}

static const char *forge_data(size_t permitted, size_t bytes, uint8_t flags)
{
    struct duo d;
    start(&d);
    if (permitted) {
        duo_recv(&d, 1, 0, TAG, permitted, true);
        duo_drain(&d);
    }
    const char *wrong = forge(&d, (struct rg_header){.type = RG_FRAME_DATA,
                                                     .flags = flags,
                                                     .units = 16,
                                                     .tag = TAG + 1,
                                                     .length = bytes,
                                                     .sequence = 1});
    duo_close(&d);
    return wrong;
}

/* A message without a receive comes within the eager limit or by a permission, of its length; the
 * rest is refused before any memory is taken for it. */
static void test_beyond_the_limits(void)
{
    CU_ASSERT_PTR_NULL(forge_data(0, MIB, RG_WIRE_EAGER));
    CU_ASSERT_STRING_EQUAL(forge_data(0, MIB + 1, RG_WIRE_EAGER), "more than the eager limit");
    CU_ASSERT_STRING_EQUAL(forge_data(0, KIB, 0), "more than was asked for");
    CU_ASSERT_PTR_NULL(forge_data(2 * MIB, 2 * MIB, 0));
    CU_ASSERT_STRING_EQUAL(forge_data(2 * MIB, 2 * MIB + 1, 0), "more than was asked for");
    struct duo d;
    start(&d);
    struct rg_header back = {.type = RG_FRAME_RETRACTED, .length = 1};
    CU_ASSERT_STRING_EQUAL(forge(&d, back), "it gives back more permissions than it had");
    duo_close(&d);
}

/* A frame that was lost on the way, or came twice, is missed at the next sign of life at the
 * latest, whatever was in it. */
static void test_missing_frames(void)
{
    struct duo d;
    start(&d);
    struct rg_pair *p = d.rank[1].peer, *q = d.rank[0].peer;
    duo_recv(&d, 1, 0, TAG, 300 * KIB, true);
    duo_send(&d, 0, 1, TAG, 300 * KIB);
    duo_send(&d, 0, 1, TAG, KIB); /* in one frame; the other had a segment each */
    duo_recv(&d, 1, 0, TAG, KIB, false);
    duo_drain(&d);
    CU_ASSERT(q->tx_frames >= 3 && q->tx_frames == p->rx_frames);
    CU_ASSERT(p->tx_frames >= 2 && p->tx_frames == q->rx_frames);
    uint64_t before = p->rx_frames;
    rg_match_beat(q);
    duo_drain(&d);
    CU_ASSERT_EQUAL(p->rx_frames, before + 1);
    struct rg_header beat = {.type = RG_FRAME_BEAT, .sequence = before + 1};
    CU_ASSERT_PTR_NULL(forge(&d, beat));
    const char *twice = forge(&d, beat);
    CU_ASSERT(twice && strstr(twice, "some were lost, or came twice"));
    beat.sequence = before + 3;
    const char *lost = forge(&d, beat);
    CU_ASSERT(lost && strstr(lost, "some were lost, or came twice"));
    duo_close(&d);
}

/* A receive is cancelled while its message comes, and the next, which was not announced, takes it:
 * the receives behind move up by one message, and their permissions with them. */
static void test_moved_up(void)
{
    struct duo d;
    start(&d);
    struct duo_post *first = duo_recv(&d, 1, 0, TAG, 300 * KIB, true);
    struct duo_post *second = duo_recv(&d, 1, 0, TAG, 250 * KIB, true);
    struct duo_post *third = duo_recv(&d, 1, 0, TAG, 400 * KIB, true);
    duo_drain(&d);
    CU_ASSERT_EQUAL(d.rank[1].peer->rx_permits, 2);
    duo_send(&d, 0, 1, TAG, 200 * KIB);
    duo_write(&d, 0, 100 * KIB);
    duo_read(&d, 1, 50 * KIB);
    duo_cancel(&d, 1, first);
    struct duo_post *eager = duo_send(&d, 0, 1, TAG, 100 * KIB);
    struct duo_post *permitted = duo_send(&d, 0, 1, TAG, 350 * KIB);
    CU_ASSERT(!eager->t->cleared && permitted->t->cleared);
    write_and_read(&d, 0);
    duo_drain(&d);
    CU_ASSERT_PTR_NULL(d.wrong);
    CU_ASSERT_FATAL(duo_is_done(second) && duo_is_done(third));
    CU_ASSERT(second->t->arrived == 200 * KIB && third->t->arrived == 100 * KIB);
    CU_ASSERT_EQUAL(d.rank[1].peer->rx_permits, 0);
    struct duo_post *fourth = duo_recv(&d, 1, 0, TAG, 400 * KIB, true);
    CU_ASSERT_FATAL(duo_is_done(fourth));
    CU_ASSERT(fourth->t->late && fourth->t->arrived == 350 * KIB);
    stop(&d);
}

/* A rank leaves, and begins its next run, while its socket takes nothing: what it owed by then
 * (that it withdraws a message, that one has arrived) is said by its leaving. */
static void test_leaves_in_silence(void)
{
    struct duo d;
    start(&d);
    struct duo_post *announced = duo_send(&d, 0, 1, TAG, 2 * MIB);
    struct duo_post *receive = duo_recv(&d, 0, 1, TAG, KIB, false);
    duo_drain(&d);
    CU_ASSERT(announced->t->rts);
    struct duo_post *waits = duo_recv(&d, 1, 0, TAG, KIB, false);
    struct duo_post *send = duo_send(&d, 1, 0, TAG, KIB);
    d.way[0].room = 0;
    write_and_read(&d, 1);
    CU_ASSERT_FATAL(duo_is_done(receive) && !duo_is_done(send) && !duo_is_done(waits));
    duo_end(&d, 0);
    duo_poll(&d, 0);
    duo_begin(&d, 0);
    d.way[0].room = DUO_PIPE;
    duo_drain(&d);
    CU_ASSERT_PTR_NULL(d.wrong);
    CU_ASSERT_FATAL(duo_is_done(send) && duo_is_done(waits));
    CU_ASSERT_EQUAL(duo_look(&d, 1, send), 0);
    CU_ASSERT_EQUAL(duo_look(&d, 1, waits), RG_ERR_PEER);
    stop(&d);
}

/* Rank 1 reads what has come, in pieces: what is wrong with it, or NULL. */
static const char *read_pieces(struct duo *d, size_t piece)
{
    struct rg_pair *p = d->rank[1].peer;
    const char *wrong = NULL;
    for (struct duo_way *way = &d->way[0]; way->begin < way->end && !wrong;) {
        struct iovec part[2];
        size_t left = RG_MIN(piece, way->end - way->begin), read = 0;
        rg_stream_room(p, part);
        for (int i = 0; i < 2; i++) {
            size_t n = RG_MIN(left, part[i].iov_len);
            if (n == 0)
                continue;
            memcpy(part[i].iov_base, way->bytes + way->begin, n);
            way->begin += n;
            left -= n;
            read += n;
        }
        wrong = rg_stream_read(p, read);
    }
    return wrong;
}

/* One bit of a message's payload is another one, whether it goes to the buffer of a receive or
 * waits for one. */
static void test_damaged_payload(void)
{
    static const size_t places[] = {0, 1, KIB / 2 + 5, KIB - 1}, pieces[] = {MIB, 100, 33};
    for (size_t i = 0; i < 2 * RG_COUNT(places) * RG_COUNT(pieces); i++) {
        struct duo d;
        size_t at = places[i / 2 % RG_COUNT(places)];
        start(&d);
        d.rank[0].peer->checks = true;
        if (i % 2)
            duo_recv(&d, 1, 0, TAG, KIB, false);
        duo_drain(&d);
        duo_send(&d, 0, 1, TAG, KIB);
        duo_write(&d, 0, MIB);
        d.way[0].bytes[d.way[0].begin + RG_MESSAGE_HEADER + at] ^= 1 << at % 8;
        const char *wrong = read_pieces(&d, pieces[i / 2 / RG_COUNT(places)]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(wrong);
        CU_ASSERT_PTR_NOT_NULL(strstr(wrong, "message 1 of run 1 came damaged before byte 1024"));
        duo_close(&d);
    }
}

/* Why nothing goes to a peer that has left: it is lost, or all were asked to stop. */
static void test_absence(void)
{
    struct rg_match m = {0};
    struct rg_pair p = {.match = &m, .left = true, .gone = true};
    struct rg_transfer t = {0};
    CU_ASSERT_EQUAL(rg_match_send(&p, &t), RG_ERR_PEER);
    atomic_store(&m.winding, true);
    CU_ASSERT_EQUAL(rg_match_send(&p, &t), RG_ERR_PEER); /* it died all the same */
    p.goodbye = true;
    CU_ASSERT_EQUAL(rg_match_send(&p, &t), RG_ERR_INTERRUPTED);
    p.gone = p.goodbye = false;
    CU_ASSERT_EQUAL(rg_match_recv(&p, &t), RG_ERR_INTERRUPTED);
    atomic_store(&m.winding, false);
    CU_ASSERT_EQUAL(rg_match_recv(&p, &t), RG_ERR_PEER);
    atomic_store(&m.interrupted, true);
    CU_ASSERT_EQUAL(rg_match_recv(&p, &t), RG_ERR_INTERRUPTED);
}

/* How far a rank goes is said once in a run. */
static void test_one_pledge(void)
{
    struct duo d;
    start(&d);
    struct rg_header pledge = {
        .type = RG_FRAME_INTERRUPT, .tag = RG_WIRE_WINDING, .run = 1, .sequence = 3};
    CU_ASSERT_PTR_NULL(forge(&d, pledge));
    CU_ASSERT_TRUE(atomic_load(&d.rank[1].match.winding));
    pledge.sequence = 4;
    CU_ASSERT_STRING_EQUAL(forge(&d, pledge), "it says twice how far it goes");
    CU_ASSERT_EQUAL(d.rank[1].peer->pledge, 3);
    duo_close(&d);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"peers that have left", test_absence},
        {"credit", test_credit},
        {"credit returns", test_credit_returns},
        {"rendezvous", test_rendezvous},
        {"withdrawn", test_withdrawn},
        {"retracted", test_retracted},
        {"crossed", test_crossed},
        {"withdrawn in order", test_withdrawn_in_order},
        {"permission has a length", test_permission_has_a_length},
        {"beyond the limits", test_beyond_the_limits},
        {"missing frames", test_missing_frames},
        {"moved up", test_moved_up},
        {"damaged payload", test_damaged_payload},
        {"leaves in silence", test_leaves_in_silence},
        {"one pledge", test_one_pledge}};
    return suite_main("match", tests, (int)RG_COUNT(tests), argc, argv);
}
