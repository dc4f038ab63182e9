/* The exit status that the programs share, and a line for what went wrong. */
#include "cli/cli.h"

#include "base/check.h"

#include <stdio.h>

int rg_cli_exit_of(int error_code)
{
    switch (error_code) {
    case 0:
    case RG_ERR_NO_FIT:
        return RG_EXIT_OK;
    case RG_ERR_INVALID:
        return RG_EXIT_USAGE;
    case RG_ERR_DEADLOCK:
    case RG_ERR_TIMEOUT: /* ranks that had not finished when time was up */
        return RG_EXIT_DEADLOCK;
    case RG_ERR_PEER:
    case RG_ERR_PROTOCOL:
    case RG_ERR_REFUSED:
        return RG_EXIT_PEER;
    case RG_ERR_INTERRUPTED:
        return RG_EXIT_INTERRUPTED;
    default:
        return RG_EXIT_INTERNAL;
    }
}

int rg_cli_complain(const char *program, int error_code, const char *text)
{
    fprintf(stderr, "%s: %s\n", program, text);
    return rg_cli_exit_of(error_code);
}

int rg_cli_worse_of(int one, int other)
{
    /* From harmless to worst; what the user did outranks what came of it. */
    static const int order[] = {RG_EXIT_OK,         RG_EXIT_UNSAVED,  RG_EXIT_USAGE,
                                RG_EXIT_PEER,       RG_EXIT_DEADLOCK, RG_EXIT_INTERNAL,
                                RG_EXIT_INTERRUPTED};
    for (size_t k = RG_COUNT(order); k-- > 0;)
        if (order[k] == one || order[k] == other)
            return order[k];
    return RG_EXIT_INTERNAL;
}

int rg_cli_exit_status(const struct rg_result *result)
{
    int worst = RG_EXIT_OK;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        int status = run->unsaved[0] ? RG_EXIT_UNSAVED : RG_EXIT_OK;
        if (run->status == RG_RUN_INTERRUPTED)
            status = RG_EXIT_INTERRUPTED;
        else if (run->status == RG_RUN_LOST)
            status = RG_EXIT_PEER;
        else if (run->status == RG_RUN_FAILED)
            status = run->error_code ? rg_cli_exit_of(run->error_code) : RG_EXIT_INTERNAL;
        worst = rg_cli_worse_of(worst, status);
    }
    return worst;
}
