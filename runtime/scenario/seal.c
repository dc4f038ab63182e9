/* The files that a scenario names: where they are, and the digest over what they hold.
 *
 * Failure modes handled: a file that is not there, is a folder or cannot be read; each is reported
 * with the line of the scenario that asks for it. */
#include "scenario/scenario_parts.h"

#include "base/check.h"
#include "base/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path)
{
    struct stat status;
    return path && stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static int no_memory(const struct rg_scenario *s, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
}

/* folder/written, else folder/its last part: data that was collected in one place. */
static int find_inside(struct rg_scenario *s, const char *folder, const char *written,
                       struct rg_data_value *value, struct rg_error *e)
{
    const char *slash = strrchr(written, '/');
    char *path = rg_text_inside(folder, written);
    if (path && slash && !is_file(path)) {
        char *flat = rg_text_inside(folder, slash + 1);
        if (is_file(flat)) {
            free(path);
            path = flat;
        } else {
            free(flat);
        }
    }
    if (!path)
        return no_memory(s, e);
    free(value->text);
    value->text = path;
    return 0;
}

/* The folder of this program, without its last part; "" where it is unknown. */
static void program_folder(char *folder, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    folder[RG_MAX(length, 0)] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
}

/* "FOLDER/NAME" beside a file, or in a folder; malloc'ed, NULL when memory is out. */
static char *place(char *(*join)(const char *, const char *), const char *at, const char *folder,
                   const char *name)
{
    char *path = NULL, *relative = NULL;
    if (asprintf(&relative, "%s%s", folder, name) >= 0)
        path = join(at, relative);
    free(relative);
    return path;
}

/* A shipped file is in models/data/ of the source tree or of an installed one. */
static int find_shipped(struct rg_scenario *s, const struct rg_data_attribute *attribute,
                        struct rg_data_value *value, struct rg_error *e)
{
    char program[2048];
    program_folder(program, sizeof program);
    const char *name = attribute->shipped;
    char *paths[] = {
        place(rg_text_beside, s->network_file, "../data/", name),
        place(rg_text_beside, s->file, "../models/data/", name),
        place(rg_text_beside, s->file, "", name),
        place(rg_text_inside, program, "../share/ringtmp/models/data/", name),
        place(rg_text_inside, program, "../../models/data/", name),
    };
    char *found = NULL;
    bool memory = true;
    for (size_t i = 0; i < RG_COUNT(paths); i++) {
        memory = memory && paths[i];
        if (!found && is_file(paths[i]))
            found = paths[i];
    }
    int err = 0;
    if (!memory)
        err = no_memory(s, e);
    else if (!found)
        err = rg_scenario_fail(s, s->data.line, e,
                               "<data kind=\"%s\">: %s is not at %.100s or %.100s; "
                               "%s=\"...\" may name it",
                               s->data.kind->name, name, paths[0], paths[1], attribute->name);
    for (size_t i = 0; i < RG_COUNT(paths); i++)
        if (err || paths[i] != found)
            free(paths[i]);
    if (err == 0) {
        free(value->text);
        value->text = found;
    }
    return err;
}

/* Files that nobody has named, of those that ship. */
static int find_missing(struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    int err = 0;
    for (int i = 0; attributes[i].name && err == 0; i++)
        if (attributes[i].shipped && !s->data.values[i].text)
            err = find_shipped(s, &attributes[i], &s->data.values[i], e);
    return err;
}

int rg_scenario_locate(struct rg_scenario *s, const char *folder, struct rg_error *e)
{
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    int err = 0;
    for (int i = 0; attributes[i].name && err == 0 && folder; i++) {
        struct rg_data_value *value = &s->data.values[i];
        const char *written = value->written ? value->written : attributes[i].shipped;
        if (attributes[i].type == RG_DATA_FILE && written)
            err = find_inside(s, folder, written, value, e);
    }
    return err ? err : find_missing(s, e);
}

/* Tag, size and content of a file. elsewhere: how to say where it is, if it is not there. */
static int digest_file(struct rg_digest *digest, const struct rg_scenario *s, const char *role,
                       const char *path, int line, const char *elsewhere, struct rg_error *e)
{
    static _Thread_local char block[1 << 16];
    uint64_t bytes = 0;
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return rg_scenario_fail(s, line, e, "%s \"%.200s\": a plain file is wanted", role, path);
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return rg_scenario_fail(s, line, e, "%s \"%.200s\" cannot be read: %s%s", role, path,
                                strerror(errno), errno == ENOENT ? elsewhere : "");
    int err = 0;
    rg_digest_add(digest, role, strlen(role) + 1);
    for (size_t got; err == 0 && (got = fread(block, 1, sizeof block, stream)) > 0; bytes += got)
        rg_digest_add(digest, block, got);
    if (err == 0 && ferror(stream))
        err = rg_scenario_fail(s, line, e, "%s \"%.200s\" cannot be read: %s", role, path,
                               strerror(errno));
    fclose(stream);
    char size[32];
    int length = snprintf(size, sizeof size, "#%" PRIu64, bytes);
    rg_digest_add(digest, size, (size_t)length + 1);
    return err;
}

static void add(struct rg_digest *digest, const char *key, const char *value)
{
    rg_digest_add(digest, key, strlen(key) + 1);
    rg_digest_add(digest, value, strlen(value) + 1);
}

static void add_number(struct rg_digest *digest, const char *key, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%a", value);
    add(digest, key, text);
}

static int compare_attributes(const void *a, const void *b)
{
    const struct rg_attribute *const *p = a, *const *q = b;
    return strcmp((*p)->key, (*q)->key);
}

/* In the order of the names, so that the order of --set does not matter. */
static int add_strategy(struct rg_digest *digest, const struct rg_strategy_spec *spec)
{
    const struct rg_attribute **sorted = calloc((size_t)spec->count + 1, sizeof *sorted);
    if (!sorted)
        return RG_ERR_NOMEM;
    for (int i = 0; i < spec->count; i++)
        sorted[i] = &spec->attributes[i];
    qsort(sorted, (size_t)spec->count, sizeof *sorted, compare_attributes);
    add(digest, "strategy", spec->label);
    add(digest, "kind", spec->kind);
    for (int i = 0; i < spec->count; i++)
        add(digest, sorted[i]->key, sorted[i]->value);
    free(sorted);
    return 0;
}

/* ---- settings ---- */

/* One that is kept in a scenario or record. A setting that the digest has had from the first is
 * always there; a later one only where it is not `absent`, so that scenarios without it keep their
 * digest, which results hold. */
static void add_setting(struct rg_digest *digest, const struct rg_setting_info *info,
                        const void *base)
{
    const char *name = info->sealed ? info->sealed : info->name;
    if (info->store == RG_STORE_TEXT) {
        const char *text = *rg_setting_text(info, base);
        if (info->sealed || text)
            add(digest, name, text ? text : "");
        return;
    }
    double number = rg_setting_number(info, base);
    bool absent = number == info->absent || (isnan(number) && isnan(info->absent));
    if (info->sealed || !absent)
        add_number(digest, name, isnan(number) ? -1 : number);
}

/* A record of an element: its ranks, under this word, and its other settings. */
static void add_record(struct rg_digest *digest, const char *element, const char *word,
                       const void *record)
{
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        if (!rg_setting_belongs(info, element))
            continue;
        if (info->store == RG_STORE_RANKS) {
            const int *ranks = (const void *)((const char *)record + info->at);
            add_number(digest, word, ranks[0]);
            add_number(digest, "to", ranks[1]);
        } else {
            add_setting(digest, info, record);
        }
    }
}

static void add_clocks(struct rg_digest *digest, const struct rg_scenario *s)
{
    for (int i = 0; i < s->clock_count; i++)
        add_record(digest, "clock", "clock of", &s->clocks[i]);
}

static void add_windows(struct rg_digest *digest, const struct rg_scenario *s)
{
    for (int i = 0; i < s->faults.slow.count; i++)
        add_record(digest, "slow", "slow", &s->faults.slow.window[i]);
    for (int i = 0; i < s->faults.link.count; i++)
        add_record(digest, "link", "link", &s->faults.link.window[i]);
}

static void add_offs(struct rg_digest *digest, const struct rg_scenario *s)
{
    for (int i = 0; i < s->faults.off_count; i++)
        add_record(digest, "off", "off", &s->faults.off[i]);
}

/* What a kind of data is told beside its files, whose bytes count; numbers always did. */
static void add_data(struct rg_digest *digest, const struct rg_scenario *s)
{
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    add_number(digest, "inputs", rg_data_number(&s->data, "inputs"));
    add_number(digest, "classes", rg_data_number(&s->data, "classes"));
    for (int i = 0; attributes[i].name; i++) {
        const char *name = attributes[i].name, *text = s->data.values[i].text;
        bool added = strcmp(name, "inputs") == 0 || strcmp(name, "classes") == 0;
        if (attributes[i].type != RG_DATA_FILE && text && !added)
            add(digest, name, text);
    }
}

/* What the run depends on and the files do not say once --set has changed it: in the order of the
 * table, what else an element holds behind its settings. A setting without a key is what the
 * scenario's file says. */
static int add_values(struct rg_digest *digest, const struct rg_scenario *s)
{
    static const struct {
        const char *element;
        void (*add)(struct rg_digest *digest, const struct rg_scenario *s);
    } groups[] = {
        {"data", add_data}, {"clock", add_clocks}, {"slow link", add_windows}, {"off", add_offs}};
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        if (!info->record && info->type.kind != RG_TYPE_FILE && (info->key || info->sealed))
            add_setting(digest, info, s);
        bool last = info->element && (!info[1].element || strcmp(info->element, info[1].element));
        for (size_t i = 0; last && i < RG_COUNT(groups); i++)
            if (strcmp(info->element, groups[i].element) == 0)
                groups[i].add(digest, s);
    }
    for (int i = 0; i < s->strategy_count; i++)
        if (add_strategy(digest, &s->strategies[i]) < 0)
            return RG_ERR_NOMEM;
    return 0;
}

/* What a platform's links and hosts do over time may stand in files of its own. */
struct profile_seal {
    struct rg_digest *digest;
    const struct rg_scenario *scenario;
    struct rg_error *e;
};

static int add_profile(void *arg, const char *path)
{
    const struct profile_seal *seal = arg;
    const struct rg_scenario *s = seal->scenario;
    return digest_file(seal->digest, s, "profile", path, rg_scenario_line(s, &s->platform_file), "",
                       seal->e);
}

/* Of the bytes of all files. */
static int seal_files(struct rg_scenario *s, struct rg_error *e)
{
    int err;
    struct rg_digest *digest = rg_digest_new();
    if (!digest)
        return no_memory(s, e);
    err = digest_file(digest, s, "scenario", s->file, rg_scenario_line(s, &s->name), "", e);
    for (const struct rg_setting_info *info = rg_setting_infos; info->help && err == 0; info++)
        if (info->type.kind == RG_TYPE_FILE && !info->record)
            err = digest_file(digest, s, info->element, *rg_setting_text(info, s),
                              abs(s->lines[info - rg_setting_infos]), "", e);
    if (err == 0) {
        struct profile_seal seal = {digest, s, e};
        err = rg_platform_profiles(s->platform_file, add_profile, &seal);
    }
    for (int i = 0; i < s->profile_count && err == 0; i++)
        err = digest_file(digest, s, "profile", s->profiles[i].file, s->profiles[i].line, "", e);
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    for (int i = 0; attributes[i].name && err == 0; i++) {
        const struct rg_data_value *value = &s->data.values[i];
        if (attributes[i].type == RG_DATA_FILE && value->text)
            err = digest_file(digest, s, attributes[i].name, value->text,
                              value->line ? value->line : s->data.line,
                              " (--data DIR names another folder)", e);
    }
    rg_digest_end(digest, s->files_digest);
    return err;
}

int rg_scenario_seal(struct rg_scenario *s, struct rg_error *e)
{
    int err = 0;
    s->digest[0] = '\0';
    if ((err = find_missing(s, e)) != 0 || (err = seal_files(s, e)) != 0)
        return err;
    struct rg_digest *digest = rg_digest_new();
    if (!digest)
        return no_memory(s, e);
    add(digest, "files", s->files_digest);
    err = add_values(digest, s);
    rg_digest_end(digest, s->digest);
    return err < 0 ? no_memory(s, e) : 0;
}
