/* The hosts file, and listeners for ranks on one machine.
 *
 * Happy path: a line a rank. Failure modes handled: a file that cannot be read, lines with more
 * than a host, ports out of range, unbalanced brackets, headings of an inventory and other text
 * that is no name, over-long names, the same place twice, no hosts: each is named with file and
 * line. */
#include "connect/join.h"

#include "base/file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_HOSTS = 4096 };

void rg_host_text(const struct rg_host *host, char text[RG_HOST_TEXT])
{
    bool brackets = strchr(host->name, ':') != NULL;
    snprintf(text, RG_HOST_TEXT, brackets ? "[%s]:%s" : "%s:%s", host->name, host->port);
}

void rg_hosts_free(struct rg_hosts *hosts)
{
    free(hosts->file);
    free(hosts->host);
    *hosts = (struct rg_hosts){0};
}

static bool set_port(struct rg_host *host, const char *text)
{
    char *end;
    errno = 0;
    long port = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || port < 1 || port > 65535)
        return false;
    snprintf(host->port, sizeof host->port, "%ld", port);
    return true;
}

/* What a resolver may be asked for. Other text comes from files that are no hosts files. */
static bool is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return *text != '-' && text[strspn(text, allowed)] == '\0';
}

/* An IPv6 address, which may name the interface that it is reached through: fe80::1%eth0. */
static bool is_address(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr value;
    size_t length = strcspn(text, "%");
    if (length >= sizeof address ||
        (text[length] && (!text[length + 1] || !is_name(text + length + 1))))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    return inet_pton(AF_INET6, address, &value) == 1;
}

/* "name", "name:port", "[address]", "[address]:port" or an IPv6 address; NULL or the complaint. */
static const char *parse_host(char *text, struct rg_host *host)
{
    char *name = text, *port = NULL;
    bool address = false;
    snprintf(host->port, sizeof host->port, "%d", RG_DEFAULT_PORT);
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return "the brackets are not [address] or [address]:port";
        name = text + 1;
        port = end[1] ? end + 2 : NULL;
        *end = '\0';
        address = true;
    } else {
        char *colon = strchr(text, ':');
        address = colon && strchr(colon + 1, ':');
        if (colon && !address) {
            port = colon + 1;
            *colon = '\0';
        }
    }
    if (!*name || strlen(name) >= sizeof host->name)
        return "a host name has 1 to 255 characters";
    if (address && !is_address(name))
        return *text == '[' ? "brackets are for an IPv6 address, as in [fd00::7]:7470; the "
                              "heading of an inventory is no host"
                            : "several colons, and no IPv6 address; a line is host[:port]";
    if (!address && !is_name(name))
        return "a host is a name of letters, digits, . - and _, or an address";
    if (port && !set_port(host, port))
        return "a port is a number from 1 to 65535";
    snprintf(host->name, sizeof host->name, "%s", name);
    return NULL;
}

static int add_host(struct rg_hosts *hosts, const struct rg_host *host, struct rg_error *e)
{
    for (int i = 0; i < hosts->count; i++)
        if (!strcmp(hosts->host[i].name, host->name) && !strcmp(hosts->host[i].port, host->port))
            return rg_fail_at(e, hosts->file, host->line,
                              "the same host and port as in line %d; ranks on one host need ports "
                              "of their own",
                              hosts->host[i].line);
    if (hosts->count == MOST_HOSTS)
        return rg_fail_at(e, hosts->file, host->line, "more than %d hosts", MOST_HOSTS);
    struct rg_host *more = realloc(hosts->host, ((size_t)hosts->count + 1) * sizeof *more);
    if (!more)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    hosts->host = more;
    hosts->host[hosts->count++] = *host;
    return 0;
}

static int parse_line(struct rg_hosts *hosts, char *text, int line, struct rg_error *e)
{
    static const char blank[] = " \t\r\n\f\v";
    text[strcspn(text, "#")] = '\0';
    text += strspn(text, blank);
    size_t length = strcspn(text, blank);
    if (length == 0)
        return 0;
    if (text[length + strspn(text + length, blank)])
        return rg_fail_at(e, hosts->file, line, "more than one word; a line is host[:port]");
    text[length] = '\0';
    struct rg_host host = {.line = line};
    const char *wrong = parse_host(text, &host);
    return wrong ? rg_fail_at(e, hosts->file, line, "%s", wrong) : add_host(hosts, &host, e);
}

int rg_hosts_load(const char *file, struct rg_hosts *hosts, struct rg_error *e)
{
    *hosts = (struct rg_hosts){.file = strdup(file)};
    if (!hosts->file)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    FILE *stream = fopen(file, "r");
    if (!stream) {
        rg_fail_at(e, file, 0, "%s", strerror(errno));
        rg_hosts_free(hosts);
        return RG_ERR_INVALID;
    }
    char *text = NULL;
    size_t room = 0;
    int result = 0;
    for (int line = 1; result == 0; line++) {
        errno = 0;
        ssize_t length = getline(&text, &room, stream);
        if (length < 0) {
            if (ferror(stream))
                result = rg_fail_at(e, file, 0, "%s", strerror(errno));
            break;
        }
        result = strlen(text) == (size_t)length
                     ? parse_line(hosts, line == 1 ? rg_skip_mark(text) : text, line, e)
                     : rg_fail_at(e, file, line, "a zero byte; this is no text");
    }
    free(text);
    fclose(stream);
    if (result == 0 && hosts->count == 0)
        result = rg_fail_at(e, file, 0, "no hosts; a line a rank is expected, host[:port]");
    if (result)
        rg_hosts_free(hosts);
    return result;
}

static int listen_loopback(struct rg_host *host, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    rg_choose_congestion(fd);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, backlog) != 0 || getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        errno = error;
        return -1;
    }
    snprintf(host->name, sizeof host->name, "127.0.0.1");
    snprintf(host->port, sizeof host->port, "%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

int rg_local_listen(int count, int *listeners, struct rg_hosts *hosts, struct rg_error *e)
{
    *hosts = (struct rg_hosts){.file = strdup("loopback"),
                               .host = calloc((size_t)count, sizeof(struct rg_host)),
                               .count = count};
    if (!hosts->file || !hosts->host) {
        rg_hosts_free(hosts);
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    for (int r = 0; r < count; r++) {
        listeners[r] = listen_loopback(&hosts->host[r], count + 128);
        if (listeners[r] < 0) {
            int result = rg_fail(e, RG_ERR_IO, "cannot listen on 127.0.0.1: %s", strerror(errno));
            while (r-- > 0)
                close(listeners[r]);
            rg_hosts_free(hosts);
            return result;
        }
    }
    return 0;
}
