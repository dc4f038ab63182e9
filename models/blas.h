/* OpenBLAS set up the same way in every program. */
#ifndef RG_MODELS_BLAS_H
#define RG_MODELS_BLAS_H

#include <stddef.h>

/* Call first thing in main. OpenBLAS reads OPENBLAS_CORETYPE when it is loaded: where it does not
 * know the processor and falls back to slow kernels, this picks kernels by the features that the
 * processor reports (never by timing, so that results repeat), sets the variable and executes the
 * program again. A value set by the user is left alone. Returns where nothing is to be done. */
void rg_blas_setup(char **argv);

void rg_blas_set_threads(int threads); /* 1 unless called */
int rg_blas_threads(void);
const char *rg_blas_kernels(void);             /* what OpenBLAS runs, e.g. "SkylakeX" */
void rg_blas_version(char *text, size_t size); /* OpenBLAS's: "0.3.21"; empty: it does not say */
/* Bytes of address space that OpenBLAS takes for a thread at its first product. Where there are not
 * so many it tries for ever: to be seen to before. */
size_t rg_blas_addresses(void);
/* One line for the user, or NULL: kernels were chosen here, or are not those that the user's
 * OPENBLAS_CORETYPE names. */
const char *rg_blas_note(void);
/* The kernels that the processor's features allow where those running use less of them (a user's
 * OPENBLAS_CORETYPE, say), or NULL. */
const char *rg_blas_better(void);

#endif
