/* JSON written as it comes: key order and bytes are what the calls say, numbers read back to the
 * same double. Reading is jansson's business. */
#ifndef RG_RESULT_JSON_H
#define RG_RESULT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { RG_JSON_DEPTH = 16 };

struct rg_json {
    FILE *stream;
    int depth;
    struct {
        char closing;
        bool flat; /* on one line, and what is inside too */
        bool any;
    } level[RG_JSON_DEPTH];
};

/* Zero-initialise and set stream. key: NULL inside arrays and for the outermost value. */
void rg_json_object(struct rg_json *json, const char *key, bool flat);
void rg_json_array(struct rg_json *json, const char *key, bool flat);
void rg_json_close(struct rg_json *json);

void rg_json_text(struct rg_json *json, const char *key, const char *value); /* NULL: null */
void rg_json_real(struct rg_json *json, const char *key, double value);      /* NAN, inf: null */
void rg_json_count(struct rg_json *json, const char *key, uint64_t value);
void rg_json_whole(struct rg_json *json, const char *key, int64_t value);
void rg_json_flag(struct rg_json *json, const char *key, bool value);
void rg_json_null(struct rg_json *json, const char *key);
/* Text that is JSON already. */
void rg_json_raw(struct rg_json *json, const char *key, const char *value);

/* The shortest of the decimal forms that reads back to the same double. */
void rg_json_format(double value, char text[40]);

#endif
