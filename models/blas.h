/* OpenBLAS set up the same way in every program. */
#ifndef RG_MODELS_BLAS_H
#define RG_MODELS_BLAS_H

/* Call first thing in main. OpenBLAS reads OPENBLAS_CORETYPE when it is loaded: where it does not
 * know the processor and falls back to slow kernels, this picks kernels by the features that the
 * processor reports (never by timing, so that results repeat), sets the variable and executes the
 * program again. A value set by the user is left alone. Returns where nothing is to be done. */
void rg_blas_setup(char **argv);

void rg_blas_set_threads(int threads); /* 1 unless called */
int rg_blas_threads(void);
const char *rg_blas_kernels(void); /* what OpenBLAS runs, e.g. "SkylakeX" */
const char *rg_blas_note(void); /* one line for the user when kernels were chosen here, or NULL */
/* The kernels that the processor's features allow where those running use less of them (a user's
 * OPENBLAS_CORETYPE, say), or NULL. */
const char *rg_blas_better(void);

/* Kernels by their names: products give the same bits while they sum up to so many numbers, as far
 * as is known; INT_MAX: they are the same, 0: no length is known. */
int rg_blas_alike(const char *one, const char *other);

#endif
