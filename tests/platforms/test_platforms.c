/* Every file of platforms/ is ordinary SimGrid: an MPI program runs on it under smpirun, and finds
 * the datasheet on its hosts. The folder is listed: a new platform is tested at once. */
#include "base/check.h"
#include "scenario/scenario.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <dirent.h>
#include <sys/wait.h>

enum { MOST_RANKS = 16, SKIPPED = 77 };

static int is_xml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".xml") == 0;
}

/* Up to 16 hosts from the first to the last, so that every kind and switch has some. */
static int choose_hosts(const struct rg_platform *platform, const char *file)
{
    FILE *stream = fopen(file, "w");
    int ranks = RG_MIN(platform->count, MOST_RANKS);
    CU_ASSERT_FATAL(stream != NULL);
    for (int i = 0; i < ranks; i++)
        fprintf(stream, "%s\n",
                platform->names[ranks > 1 ? i * (platform->count - 1) / (ranks - 1) : 0]);
    CU_ASSERT_FATAL(fclose(stream) == 0);
    return ranks;
}

/* Standard output and error; the exit status. */
static int run(const char *command, char *text, size_t room)
{
    FILE *stream = popen(command, "r");
    CU_ASSERT_FATAL(stream != NULL);
    size_t have = fread(text, 1, room - 1, stream);
    text[have] = '\0';
    int status = pclose(stream);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* Runs in the scratch folder: smpirun leaves its own files there where it is ended. */
static int smpirun(const char *platform, const char *hosts, int ranks, char *text, size_t room)
{
    char command[2000];
    snprintf(command, sizeof command,
             "cd '%s' && timeout 60 '%s' -np %d -platform '%s' -hostfile '%s' "
             "--cfg=smpi/simulate-computation:no --log=root.thresh:error '%s' 2>&1",
             scratch(), RG_SMPIRUN, ranks, platform, hosts, RG_RING);
    return run(command, text, room);
}

static void try_platform(const char *name)
{
    char path[600], text[4096], wanted[100];
    struct rg_platform platform;
    struct rg_error e = {0};
    snprintf(path, sizeof path, RG_SOURCE_DIR "/platforms/%s", name);
    if (rg_platform_load(path, &platform, &e) < 0) {
        printf("\n    %s", e.text);
        CU_FAIL("a platform of the project's own is refused");
        return;
    }
    const char *hosts = scratch_path("hosts");
    int ranks = choose_hosts(&platform, hosts);
    int status = smpirun(path, hosts, ranks, text, sizeof text);
    snprintf(wanted, sizeof wanted, "%d ranks, sum %d, described %d, in ", ranks,
             ranks * (ranks - 1) / 2, ranks);
    const char *line = strstr(text, wanted);
    double seconds = line ? atof(line + strlen(wanted)) : -1;
    printf("\n    %-24s %d hosts: %.80s", name, platform.count, line ? line : text);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_PTR_NOT_NULL(line);
    CU_ASSERT(seconds >= 0 && seconds < 60);
    rg_platform_free(&platform);
}

static void all_platforms_run_under_smpirun(void)
{
    struct dirent **files = NULL;
    int count = scandir(RG_SOURCE_DIR "/platforms", &files, is_xml, alphasort);
    CU_ASSERT_FATAL(count > 0);
    for (int i = 0; i < count; i++) {
        try_platform(files[i]->d_name);
        free(files[i]);
    }
    free(files);
}

/* The check can fail: a host with more speeds than watts, and a file that SimGrid refuses. */
static void broken_platforms_are_noticed(void)
{
    static const char form[] =
        "<?xml version='1.0'?>\n"
        "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        "<platform version=\"4.1\"><cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-1\" "
        "speed=\"%s\" bw=\"1MBps\" lat=\"0s\"><prop id=\"rg_board\" value=\"x\"/>"
        "<prop id=\"wattage_per_state\" value=\"1:1:2\"/></cluster></platform>\n";
    char xml[1000], text[4096];
    const char *hosts = scratch_text("hosts", "n0\nn1\n");
    snprintf(xml, sizeof xml, form, "2Gf,1Gf");
    CU_ASSERT_EQUAL(smpirun(scratch_text("two.xml", xml), hosts, 2, text, sizeof text), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "2 ranks, sum 1, described 0, "));
    snprintf(xml, sizeof xml, form, "fast");
    CU_ASSERT_NOT_EQUAL(smpirun(scratch_text("bad.xml", xml), hosts, 2, text, sizeof text), 0);
}

static const struct suite_test tests[] = {
    {"every platform runs an MPI program under smpirun", all_platforms_run_under_smpirun},
    {"broken platforms are noticed", broken_platforms_are_noticed},
};

int main(int argc, char **argv)
{
    if (RG_SMPIRUN[0] == '\0') {
        printf("skipped: smpicc and smpirun (libsimgrid-dev) were not found\n");
        return SKIPPED;
    }
    return suite_main("platforms", tests, (int)RG_COUNT(tests), argc, argv);
}
