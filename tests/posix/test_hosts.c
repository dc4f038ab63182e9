/* Hosts files: what they may say, and what is wrong with them, by line. */
#include "base/check.h"
#include "posix/world_posix.h"
#include "tests/support/suite.h"
#include <stdlib.h>
#include <unistd.h>

static int load(const char *text, struct rg_hosts *hosts, struct rg_error *e)
{
    static const char file[] = "test_hosts.txt";
    FILE *stream = fopen(file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    fputs(text, stream);
    fclose(stream);
    int result = rg_hosts_load(file, hosts, e);
    unlink(file);
    return result;
}

static void test_hosts(void)
{
    struct rg_hosts hosts;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(load("# boards\n"
                               "pi-0\n"
                               "  pi-1:9000   # the second\n"
                               "\n"
                               "[fd00::7]:9001\r\n"
                               "fd00::8\n"
                               "[fd00::9]\n"
                               "10.0.0.3:1\n"
                               "fe80::1%eth0\n"
                               "[fe80::1%eth0]:2\n"
                               "Pi_3.local-net",
                               &hosts, &e),
                          0);
    static const char *const expected[] = {
        "pi-0:7470",           "pi-1:9000",        "[fd00::7]:9001",
        "[fd00::8]:7470",      "[fd00::9]:7470",   "10.0.0.3:1",
        "[fe80::1%eth0]:7470", "[fe80::1%eth0]:2", "Pi_3.local-net:7470"};
    CU_ASSERT_EQUAL_FATAL(hosts.count, RG_COUNT(expected));
    for (int i = 0; i < hosts.count; i++) {
        char text[RG_HOST_TEXT];
        rg_host_text(&hosts.host[i], text);
        CU_ASSERT_STRING_EQUAL(text, expected[i]);
    }
    CU_ASSERT_EQUAL(hosts.host[2].line, 5);
    rg_hosts_free(&hosts);
    CU_ASSERT_EQUAL_FATAL(load("\xef\xbb\xbfpi-0\npi-1\n", &hosts, &e), 0); /* a byte-order mark */
    CU_ASSERT_STRING_EQUAL(hosts.host[0].name, "pi-0");
    rg_hosts_free(&hosts);
}

static void test_bad_hosts(void)
{
    static const char *const bad[] = {
        "a\nb:\n", "a\nb:0\n", "a\nb:65536\n", "a\nb:12x\n", "a\nb c\n", "a\n[::1\n", "a\n[::1]x\n",
        "a\n:80\n", "a\na:7470\n", "a\n[]:80\n", "a\nb:-1\n", "a\nb: 80\n", "a\n[::1]:\n",
        /* other people's files: inventories, lists, addresses */
        "a\n[boards]\n", "a\n[boards:vars]\n", "a\n[boards]:80\n", "a\nnode[1:5]\n",
        "a\nnode[01-20]\n", "a\n---\n", "a\nall:\n", "a\n{\n", "a\nb,c\n", "a\npi@b\n",
        "a\n10.0.0.0/24\n", "a\nb:80:90\n", "a\n[fe80::1%]\n", "a\nfe80::1%a/b\n",
        "a\n[10.0.0.1]\n", "a\nb=c\n", "a\nb\x1b[2J\n"};
    static const char line[] = "test_hosts.txt:2: ";
    struct rg_hosts hosts;
    struct rg_error e;
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        int result = load(bad[i], &hosts, &e);
        CU_ASSERT_EQUAL(result, RG_ERR_INVALID);
        if (result == 0 || strncmp(e.text, line, sizeof line - 1) != 0)
            printf("  %s: %s\n", bad[i], e.text);
        CU_ASSERT_EQUAL(strncmp(e.text, line, sizeof line - 1), 0);
    }
    CU_ASSERT_EQUAL(load("[boards]\n10.0.0.1\n10.0.0.2\n", &hosts, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "test_hosts.txt:1: brackets are for an IPv6 address"));
    CU_ASSERT_EQUAL(load("# nobody\n", &hosts, &e), RG_ERR_INVALID);
    CU_ASSERT_EQUAL(rg_hosts_load("/nonexistent/hosts", &hosts, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "/nonexistent/hosts: "));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"hosts file", test_hosts},
                                              {"bad hosts files", test_bad_hosts}};
    return suite_main("hosts", tests, RG_COUNT(tests), argc, argv);
}
