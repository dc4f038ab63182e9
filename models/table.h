/* Tables of numbers in text: how a file is written, which columns are what, and its rows, one at a
 * time. See data_csv.c for what becomes of them. */
#ifndef RG_MODELS_TABLE_H
#define RG_MODELS_TABLE_H

#include "models/data.h"
#include "models/table_text.h"

/* ---- table_format.c ---- */

/* How a file is written, told from its first lines. */
struct rg_format {
    char separator; /* ',' ';' '|' a tab, or RG_BLANKS */
    int columns;
    bool heading;     /* its first line names the columns... */
    bool number_head; /* ...with numbers */
    bool comment;     /* a comment in front of the first line names them */
    bool empty_last;  /* every line ends with a separator */
    bool *texts;      /* [columns] the first value of the column is no number */
    char **names;     /* [columns], NULL: there is no heading */
};

/* heading: as the attribute says, 0: find out, 1: there is one, 2: there is none. Errors: the file
 * cannot be read, or holds no rows. */
int rg_format_find(const char *path, int heading, struct rg_format *format, struct rg_error *e);
void rg_format_free(struct rg_format *format);
/* "column 3", with its name where it has one: for messages. */
const char *rg_format_column(const struct rg_format *format, int column, char *text, size_t size);
/* Is that what people call a column of labels? */
bool rg_format_is_label(const char *name);
/* Columns of the first rows that could be labels, the best first, as a list in words; excluding
 * `but` (-1: none). "" where there is none. */
void rg_format_suspects(const char *path, const struct rg_format *format, int but, char *text,
                        size_t size);

/* ---- table_columns.c ---- */

enum rg_role {
    RG_ROLE_NUMBER,
    RG_ROLE_CATEGORY, /* an input for each of its values */
    RG_ROLE_SKIPPED,
    RG_ROLE_LABEL,
    RG_ROLE_ONE_HOT,
    RG_ROLE_TARGET, /* a number to come near to */
    RG_ROLE_GROUP
};

struct rg_columns {
    int count;
    enum rg_role *role; /* [count] */
    bool *wanted;       /* [count] named by columns="..." or categories="..." */
    int label, group;   /* -1: none */
    int suspect;        /* the label is the last by default, but this one is called so; -1: none */
    int *targets, target_count; /* columns of a one-hot label, or numbers; label is -1 then */
    int categories;             /* how many have that role */
};

/* From label, columns, drop, categories and split of the spec. own_labels: they stand in a file of
 * their own.
 */
int rg_columns_find(const struct rg_data_spec *spec, const char *path,
                    const struct rg_format *format, bool own_labels, struct rg_columns *columns,
                    struct rg_error *e);
void rg_columns_free(struct rg_columns *columns);

/* ---- table_rows.c ---- */

enum rg_missing { RG_MISSING_REFUSE, RG_MISSING_DROP, RG_MISSING_MEAN };
#define RG_MISSING_WORDS "refuse|drop|mean" /* in that order */

struct rg_cell {
    const char *text;
    size_t length;
};

struct rg_reader {
    struct rg_lines lines, labels; /* labels: of the file of its own, or closed */
    const struct rg_format *format;
    const struct rg_columns *columns;
    enum rg_missing missing;
    struct rg_decimal decimal, label_decimal;
    bool begun;
    /* Of the row that was read last. */
    double *values;        /* [columns], NAN: missing */
    struct rg_cell *cells; /* [columns] of those that are categories; a missing one: NULL */
    const char *label, *group;
    size_t label_length, group_length;
    long dropped, filled; /* rows left out and values missing, so far */
};

/* label_path: NULL, or the file of the labels, a line a row. */
int rg_reader_open(struct rg_reader *reader, const char *path, const char *label_path,
                   const struct rg_format *format, const struct rg_columns *columns,
                   enum rg_missing missing, struct rg_error *e);
/* 1: a row, 0: the end. Errors name file and line. */
int rg_reader_next(struct rg_reader *reader, struct rg_error *e);
void rg_reader_close(struct rg_reader *reader);

/* ---- table_categories.c ---- */

/* The values of columns that are categories. */
struct rg_categories {
    const struct rg_columns *columns; /* borrowed */
    struct rg_names *values;          /* [columns->count] */
    int *
        trained; /* [columns->count] how many of them the training rows' file has, the first ones */
    int *line;   /* [columns->count] of the first one */
};

int rg_categories_make(struct rg_categories *categories, const struct rg_columns *columns);
void rg_categories_free(struct rg_categories *categories);
/* The categories of the reader's row: its values get their numbers, in the order in which they came
 * first. */
int rg_categories_take(struct rg_categories *categories, struct rg_reader *reader,
                       struct rg_error *e);
/* What comes now is rows to test. */
void rg_categories_trained(struct rg_categories *categories);

/* ---- table_inputs.c ---- */

/* Which columns are inputs, and what is taken off each. */
struct rg_inputs {
    const char *path; /* of the training rows; borrowed as the next three are */
    const struct rg_format *format;
    const struct rg_columns *columns;
    const struct rg_categories *categories;
    /* Of the rows so far; [columns->count] each. */
    uint32_t rows;
    double *low, *high, *last;
    unsigned char *steps, *rises; /* one more than the row before; more */
    /* Once they are chosen; [count] each. */
    int count;
    int *source;    /* its column */
    int *category;  /* the value for which it is 1, by its number; NULL: there are no categories */
    bool *as_is;    /* is it one of a value? NULL: none is */
    double *offset; /* taken off */
};

int rg_inputs_make(struct rg_inputs *inputs, const char *path, const struct rg_format *format,
                   const struct rg_columns *columns, const struct rg_categories *categories);
void rg_inputs_free(struct rg_inputs *inputs);
/* From values [columns->count] of a row; first: the row before it is of another file, or none. */
void rg_inputs_learn(struct rg_inputs *inputs, const double *values, bool first);
/* When all rows have been learnt from: fills the inputs in, names them in data, and notes what is
 * told of them. Errors: a column without a value, no inputs, too many. */
int rg_inputs_choose(struct rg_inputs *inputs, const struct rg_data_spec *spec,
                     struct rg_dataset *data, struct rg_error *e);
/* A row's values to its inputs x [count]; a category that is missing is NAN in all of its. */
void rg_inputs_take(const struct rg_inputs *inputs, const double *values, float *x);

#endif
