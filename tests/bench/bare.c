#include "tests/bench/bare.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

_Noreturn void bare_broken(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

void bare_exchange(int fd, const char *out, size_t out_bytes, char *in, size_t in_bytes)
{
    while (out_bytes || in_bytes) {
        struct pollfd look = {
            .fd = fd, .events = (short)((in_bytes ? POLLIN : 0) | (out_bytes ? POLLOUT : 0))};
        if (poll(&look, 1, -1) < 0)
            bare_broken("poll");
        if (out_bytes && (look.revents & POLLOUT)) {
            ssize_t n = send(fd, out, out_bytes, MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                bare_broken("bare send");
            out += n > 0 ? n : 0;
            out_bytes -= n > 0 ? (size_t)n : 0;
        }
        if (in_bytes && (look.revents & (POLLIN | POLLHUP))) {
            ssize_t n = recv(fd, in, in_bytes, MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                bare_broken("bare receive");
            in += n > 0 ? n : 0;
            in_bytes -= n > 0 ? (size_t)n : 0;
        }
    }
}

void bare_reduce(int fd, int rank, size_t count, float *values, float *incoming)
{
    size_t half = count / 2;
    float *restrict mine = values + (rank ? half : 0), *theirs = values + (rank ? 0 : half);
    bare_exchange(fd, (char *)theirs, half * sizeof(float), (char *)incoming, half * sizeof(float));
    for (size_t i = 0; i < half; i++)
        mine[i] += incoming[i];
    bare_exchange(fd, (char *)mine, half * sizeof(float), (char *)theirs, half * sizeof(float));
}
