#include "tests/posix/trio.h"

#include "base/error.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where there is a leak sanitizer: a thread of the resolver that still waits for its name server
 * when the process ends has memory that nobody points to. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:res_context_send\n";
}

static int answer_all(struct rg_world *w, void *arg)
{
    (void)arg;
    return rg_barrier(w);
}

static int talk_on(struct rg_world *w, void *arg)
{
    enum { BYTES = 100000 };
    char *buffers = calloc(2, BYTES);
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size;
    int result = buffers ? 0 : RG_ERR_NOMEM;
    (void)arg;
    for (int i = 0; i < 2000 && result == 0; i++)
        result =
            rg_sendrecv(w, next, buffers, BYTES, previous, buffers + BYTES, BYTES, RG_TAG_USER);
    free(buffers);
    return result;
}

enum { PATIENCE_S = 20 * RG_TEST_SLOWNESS };

static struct said {
    int code;
    char text[640];
} * said; /* by member, shared */
static volatile int stop;
static struct rg_mesh *volatile mesh_to_stop;

/* As ringnode does it. */
static void on_term(int number)
{
    (void)number;
    stop = 1;
    if (mesh_to_stop)
        rg_mesh_interrupt(mesh_to_stop);
}

static void use_up_descriptors(rlim_t most)
{
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){most, most});
    int spare[2] = {open("/dev/null", O_RDONLY), open("/dev/null", O_RDONLY)};
    while (open("/dev/null", O_RDONLY) >= 0)
        continue;
    close(spare[0]); /* for what a mesh has of its own */
    close(spare[1]);
}

void start_member(struct member *m, int index)
{
    fflush(NULL);
    m->pid = fork();
    if (m->pid != 0)
        return;
    struct rg_error e = {0};
    struct rg_join join = {.rank = m->rank,
                           .hosts = m->hosts,
                           .listener = m->listener,
                           .scenario = m->scenario ? m->scenario : "digest",
                           .version = m->version,
                           .nonce = m->nonce,
                           .timeout_s = m->timeout_s > 0 ? m->timeout_s : PATIENCE_S,
                           .key = m->key,
                           .cipher = m->cipher,
                           .any_address = m->any_address,
                           .outlives = m->outlives,
                           .quiet = true,
                           .stop = &stop};
    struct rg_mesh *mesh;
    signal(SIGTERM, on_term);
    if (m->descriptors)
        use_up_descriptors((rlim_t)m->descriptors);
    int result = 0, code = rg_mesh_join(&join, &mesh, &e);
    mesh_to_stop = mesh;
    if (code == 0)
        code = rg_mesh_run(mesh, rg_mesh_size(mesh), m->talks ? talk_on : answer_all, NULL, &result,
                           &e);
    struct rg_mesh_lost lost;
    mesh_to_stop = NULL;
    if (code == 0 && rg_mesh_lost(mesh, &lost))
        rg_fail(&e, lost.code, "%s", lost.text);
    said[index].code = code ? code : result;
    snprintf(said[index].text, sizeof said[index].text, "%s", e.text);
    rg_mesh_leave(mesh);
    _exit(0);
}

void wait_member(struct member *m)
{
    for (int i = 0; i < 150 * PATIENCE_S; i++) {
        if (waitpid(m->pid, NULL, WNOHANG) == m->pid)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    kill(m->pid, SIGKILL);
    waitpid(m->pid, NULL, 0);
    CU_FAIL("a rank hangs");
}

/* The letter of proc(5) for what a process does. */
static char state_of(pid_t pid)
{
    char path[40], line[200], *name_end = NULL;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *stat = fopen(path, "r");
    if (stat && fgets(line, sizeof line, stat))
        name_end = strrchr(line, ')');
    if (stat)
        fclose(stat);
    return name_end && name_end[1] == ' ' ? name_end[2] : 'X';
}

void wait_till_idle(const struct trio *t)
{
    const int looks = 30; /* calls that fail are tried again, and a rank is awake for a moment */
    int idle = 0;
    for (int i = 0; i < 100 * PATIENCE_S && idle < looks; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        idle++;
        for (int r = 0; r < RANKS; r++)
            if (t->members[r].pid > 0 && !strchr("ST", state_of(t->members[r].pid)))
                idle = 0;
    }
    CU_ASSERT_EQUAL(idle, looks);
}

int said_code(int index)
{
    return said[index].code;
}

bool has_said(int index, const char *part)
{
    return strstr(said[index].text, part) != NULL;
}

void forget_said(void)
{
    memset(said, 0, MEMBERS * sizeof *said);
}

void open_trio(struct trio *t)
{
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(RANKS, t->listeners, &t->hosts, &e), 0);
    for (int r = 0; r < RANKS; r++) {
        fcntl(t->listeners[r], F_SETFD, FD_CLOEXEC);
        t->members[r] = (struct member){.rank = r, .listener = t->listeners[r], .hosts = &t->hosts};
    }
    forget_said();
}

void close_listeners(struct trio *t)
{
    for (int r = 0; r < RANKS; r++)
        if (t->listeners[r] >= 0)
            close(t->listeners[r]);
}

void run_trio(struct trio *t)
{
    for (int r = 0; r < RANKS; r++)
        start_member(&t->members[r], r);
    close_listeners(t);
    for (int r = 0; r < RANKS; r++)
        wait_member(&t->members[r]);
    rg_hosts_free(&t->hosts);
}

void expect(int index, int code, const char *part)
{
    if (said[index].code != code || !has_said(index, part))
        printf("  member %d: %s: %s\n", index, rg_strerror(said[index].code), said[index].text);
    CU_ASSERT_EQUAL(said[index].code, code);
    CU_ASSERT(has_said(index, part));
}

void complete_trio(struct trio *t, int last)
{
    start_member(&t->members[last], last);
    close_listeners(t);
    for (int r = 0; r < RANKS; r++) {
        wait_member(&t->members[r]);
        expect(r, 0, "");
    }
}

int knock(const struct rg_host *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(host->port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

void crowd_in(const struct trio *t, const char *half, size_t length, int fds[CROWD])
{
    static const char http[] = "GET / HTTP/1.0\r\n\r\n";
    for (int i = 0; i < CROWD; i++) {
        fds[i] = knock(&t->hosts.host[i % 2]);
        CU_ASSERT_FATAL(fds[i] >= 0);
        if (i % 5 == 0)
            send(fds[i], http, sizeof http - 1, MSG_NOSIGNAL);
        else if (i % 5 == 1)
            send(fds[i], half, length, MSG_NOSIGNAL);
        else if (i % 5 == 2)
            shutdown(fds[i], SHUT_RDWR);
    }
}

int trio_main(const char *name, const struct suite_test *tests, int count, int argc, char **argv)
{
    said = mmap(NULL, MEMBERS * sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (said == MAP_FAILED)
        return 1;
    return suite_main(name, tests, count, argc, argv);
}
