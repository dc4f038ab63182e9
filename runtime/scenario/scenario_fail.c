/* Where a scenario says what a complaint is about. */
#include "scenario/settings.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* The setting of a sweep that the complaint begins with; NULL: it came with --set. */
static const struct rg_setting *origin(const struct rg_scenario *s, const char *text)
{
    for (int i = 0; i < s->point_count; i++) {
        size_t length = strlen(s->point[i].key);
        if (strncmp(text, s->point[i].key, length) == 0 &&
            (text[length] == '=' || text[length] == ' '))
            return &s->point[i];
    }
    return NULL;
}

int rg_scenario_fail(const struct rg_scenario *scenario, int line, struct rg_error *e,
                     const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct rg_setting *setting = line > 0 ? NULL : origin(scenario, text);
    if (line > 0)
        rg_fail_at(e, scenario->file, line, "%s", text);
    else if (setting)
        rg_fail_at(e, scenario->file, setting->line, "<sweep>: %s", text);
    else
        rg_fail(e, RG_ERR_INVALID, "--set %s", text);
    if (e)
        rg_one_line(e->text);
    return RG_ERR_INVALID;
}

int rg_scenario_line(const struct rg_scenario *s, const void *field)
{
    size_t at = (size_t)((const char *)field - (const char *)s);
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (!info->record && info->store != RG_STORE_NONE && info->at == at)
            return abs(s->lines[info - rg_setting_infos]);
    RG_ASSERT(!"a setting of the table");
    return 0;
}
