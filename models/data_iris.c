/* Fisher's iris (1936; UCI Machine Learning Repository, doi 10.24432/C56C76), shipped as a file of
 * comma-separated numbers. */
#include "models/data.h"

static const struct rg_data_attribute attributes[] = {
    {"file", RG_DATA_FILE, .shipped = "iris.csv", .help = "another copy of iris.csv"},
    {0},
};

const struct rg_data_kind rg_data_iris = {
    .name = "iris",
    .summary = "150 flowers, 4 measures, 3 classes",
    .attributes = attributes,
    .probe = rg_csv_probe,
    .labels = rg_csv_labels,
    .fill = rg_csv_fill,
    .close = rg_csv_close,
};
