/* Ranks that exchange by MPI: Open MPI 4, which is looked for when a model is split (dlopen). */
#ifndef NATIVE_MPI_H
#define NATIVE_MPI_H

#include "base/error.h"
#include "llama/ranks.h"

struct mpi;

/* Joins the ranks that mpirun has started. */
enum status mpi_open(struct mpi **mpi, struct error *err);
/* Leaves them; all ranks do. */
void mpi_close(struct mpi *mpi);

struct ranks *mpi_ranks(struct mpi *mpi);
/* While a model is loaded ranks wait for each other as long as it takes; otherwise a minute, or
 * PRONY_SHARD_TIMEOUT seconds. */
void mpi_patience(struct mpi *mpi, bool endless);

#endif
