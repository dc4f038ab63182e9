/* How fast data is read, against plain reading in the same run.
 *
 * A CSV of 60,000 x 785 integers (MNIST as Kaggle has it, made up here) against pandas.read_csv by
 * its C engine, where /usr/bin/python3 has pandas; the same samples in idx format against a loop
 * that reads its bytes and divides them by 255. Everything from the file to arrays that training
 * takes is counted on our side: headings, classes, the split, standardising. Seconds of the
 * processor, in turns; printed are the median ratios, and for the CSV our largest resident set over
 * the arrays that training keeps, in a process of its own. */
#include "base/check.h"
#include "base/clock.h"
#include "models/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 60000, PIXELS = 784, ROUNDS = 5, PICTURES = 500 };

static char folder[] = "/tmp/rg_bench_XXXXXX";

static char *path_of(const char *name)
{
    static char paths[32][64]; /* those of the specs stay valid */
    static int next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* A pixel as MNIST has them: four in five are 0, and a border always is. */
static int pixel(int picture, int i)
{
    unsigned mixed = (unsigned)(picture * PIXELS + i) * 2654435761u;
    return i < 100 || i > 680 || mixed >> 29 > 1 ? 0 : (int)(mixed >> 16 & 255);
}

static void make_files(void)
{
    FILE *csv = fopen(path_of("big.csv"), "w"), *images = fopen(path_of("images"), "w");
    FILE *labels = fopen(path_of("labels"), "w");
    RG_ASSERT(csv && images && labels);
    fprintf(csv, "label");
    for (int i = 0; i < PIXELS; i++)
        fprintf(csv, ",pixel%d", i);
    fwrite(
        (const char[16]){0, 0, 8, 3, 0, 0, (char)(ROWS >> 8), (char)ROWS, 0, 0, 0, 28, 0, 0, 0, 28},
        1, 16, images);
    fwrite((const char[8]){0, 0, 8, 1, 0, 0, (char)(ROWS >> 8), (char)ROWS}, 1, 8, labels);
    for (int r = 0; r < ROWS; r++) {
        fprintf(csv, "\n%d", r % 10);
        putc(r % 10, labels);
        for (int i = 0; i < PIXELS; i++) {
            int value = pixel(r % PICTURES, i);
            putc(',', csv);
            if (value == 0)
                putc('0', csv);
            else
                fprintf(csv, "%d", value);
            putc(value, images);
        }
    }
    RG_ASSERT(fclose(csv) == 0 && fclose(images) == 0 && fclose(labels) == 0);
}

static struct rg_data_spec spec_of(const char *kind)
{
    return (struct rg_data_spec){.kind = rg_data_kinds[rg_data_kind_index(kind)], .seed = 1};
}

/* Seconds to read a dataset. */
static double load(const struct rg_data_spec *spec)
{
    struct rg_dataset data;
    struct rg_error e = {0};
    double begin_s = rg_clock_process_s();
    if (rg_dataset_load(spec, &data, &e) < 0)
        fprintf(stderr, "%s\n", e.text);
    RG_ASSERT(data.x && data.train + data.test == ROWS);
    double end_s = rg_clock_process_s();
    rg_dataset_free(&data);
    return end_s - begin_s;
}

/* The bytes of the images, one picture at a time. */
static double plain_loop(void)
{
    static unsigned char row[PIXELS];
    double begin_s = rg_clock_process_s();
    FILE *stream = fopen(path_of("images"), "rb");
    float *x = malloc((size_t)ROWS * PIXELS * sizeof *x);
    RG_ASSERT(stream && x && fseek(stream, 16, SEEK_SET) == 0);
    for (size_t r = 0; r < ROWS; r++) {
        RG_ASSERT(fread(row, 1, PIXELS, stream) == PIXELS);
        for (size_t i = 0; i < PIXELS; i++)
            x[r * PIXELS + i] = (float)row[i] / 255;
    }
    fclose(stream);
    double end_s = rg_clock_process_s();
    RG_ASSERT(x[PIXELS - 1] == 0);
    free(x);
    return end_s - begin_s;
}

/* Seconds of pandas, without its start; < 0: it is not there. */
static double pandas(void)
{
    char line[600];
    double seconds = -1;
    snprintf(line, sizeof line,
             "/usr/bin/python3 -c 'import pandas, time; t = time.process_time(); "
             "pandas.read_csv(\"%s\"); print(time.process_time() - t)' 2>/dev/null",
             path_of("big.csv"));
    FILE *pipe = popen(line, "r");
    if (!pipe || fscanf(pipe, "%lf", &seconds) != 1)
        seconds = -1;
    if (pipe)
        pclose(pipe);
    return seconds;
}

/* Largest resident set of a process that does nothing else, over the arrays. */
static double memory(const struct rg_data_spec *spec)
{
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        load(spec);
        _exit(0);
    }
    RG_ASSERT(child > 0 && wait4(child, NULL, 0, &usage) == child);
    return 1024.0 * (double)usage.ru_maxrss / (ROWS * (PIXELS * sizeof(float) + 1.0));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, double *ratios, double seconds)
{
    qsort(ratios, ROUNDS, sizeof *ratios, compare);
    printf("%-58s %.2f (%.2f to %.2f), ours %.2f s\n", what, ratios[ROUNDS / 2], ratios[0],
           ratios[ROUNDS - 1], seconds);
}

int main(void)
{
    double csv_ratio[ROUNDS], idx_ratio[ROUNDS], csv_s = 0, idx_s = 0;
    bool with_pandas = true;
    RG_ASSERT(mkdtemp(folder));
    make_files();
    struct rg_data_spec csv = spec_of("csv"), idx = spec_of("idx");
    rg_data_value(&csv, "file")->text = path_of("big.csv");
    rg_data_value(&csv, "label")->text = (char[]){"first"};
    rg_data_value(&idx, "images")->text = path_of("images");
    rg_data_value(&idx, "labels")->text = path_of("labels");
    double share = memory(&csv);
    for (int i = 0; i < ROUNDS; i++) {
        double theirs_s = with_pandas ? pandas() : -1;
        with_pandas = theirs_s > 0;
        csv_s = load(&csv);
        csv_ratio[i] = csv_s / theirs_s;
        double plain_s = plain_loop();
        idx_s = load(&idx);
        idx_ratio[i] = plain_s / idx_s;
    }
    if (with_pandas)
        print("CSV of 60,000 x 785 integers: seconds over pandas.read_csv", csv_ratio, csv_s);
    else
        printf("CSV of 60,000 x 785 integers: %.2f s (skipped: no pandas)\n", csv_s);
    printf("%-58s %.2f\n", "its memory over the arrays that training keeps", share);
    print("idx of 60,000 images: speed over a plain loop", idx_ratio, idx_s);
    unlink(path_of("big.csv"));
    unlink(path_of("images"));
    unlink(path_of("labels"));
    return rmdir(folder);
}
