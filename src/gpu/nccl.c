#include "gpu/nccl.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/library.h"

/* Older ones are not recorded in graphs together with what is not. */
enum { OLDEST = 21400 };
#define REMEDY                                                                                     \
    "Install NCCL 2 for the driver's CUDA (NVIDIA's libnccl2, or pip's nvidia-nccl-cu13), have "   \
    "`prony engines install pytorch` do it, or set PRONY_NCCL to its libnccl.so.2."

static const struct library_function functions[] = {
#define NCCL_ROW(name, symbol, returns, parameters) {symbol, offsetof(struct nccl, name)},
    NCCL_FUNCTIONS(NCCL_ROW)
#undef NCCL_ROW
};

static void *library_load(const char *path)
{
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Of the engines in Python that have one; the newest version's, which is the last by name. */
static void *installed_load(void)
{
    char pattern[PATH_MAX], cache[PATH_MAX];
    struct error ignored;
    glob_t found;
    void *library = NULL;
    if (cache_path(cache, sizeof cache, "engines", &ignored))
        return NULL;
    int length = snprintf(pattern, sizeof pattern,
                          "%s/*/*/environment/lib/python*/site-packages/nvidia/nccl/lib/"
                          "libnccl.so.2",
                          cache);
    if (length >= (int)sizeof pattern || glob(pattern, 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = found.gl_pathc; i > 0 && !library; i--)
        library = library_load(found.gl_pathv[i - 1]);
    globfree(&found);
    return library;
}

static enum status library_find(struct nccl *nccl, struct error *err)
{
    const char *named = getenv("PRONY_NCCL");
    nccl->library = library_load(named && *named ? named : "libnccl.so.2");
    const char *why = nccl->library ? "" : dlerror();
    if (nccl->library)
        return STATUS_OK;
    error_set(err, STATUS_NOT_FOUND, "a model split over GPUs needs NCCL, which cannot be loaded");
    error_where(err, "%s", why ? why : "libnccl.so.2");
    error_remedy(err, REMEDY);
    if (!named || !*named)
        nccl->library = installed_load();
    return nccl->library ? STATUS_OK : STATUS_NOT_FOUND;
}

static enum status functions_find(struct nccl *nccl, struct error *err)
{
    const char *missing =
        library_functions(nccl->library, functions, sizeof functions / sizeof functions[0], nccl);
    if (!missing)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED, "this NCCL has no %s", missing);
    return error_remedy(err, REMEDY);
}

static enum status version_check(struct nccl *nccl, struct error *err)
{
    enum status status =
        nccl_check(nccl, nccl->GetVersion(&nccl->version), err, "ask NCCL for its version");
    if (status || nccl->version >= OLDEST)
        return status;
    error_set(err, STATUS_UNSUPPORTED, "NCCL is too old: %d.%d.%d, and 2.14 is needed",
              nccl->version / 10000, nccl->version % 10000 / 100, nccl->version % 100);
    return error_remedy(err, REMEDY);
}

enum status nccl_open(struct nccl *nccl, struct error *err)
{
    *nccl = (struct nccl){0};
    enum status status = library_find(nccl, err);
    if (!status)
        status = functions_find(nccl, err);
    if (!status)
        status = version_check(nccl, err);
    if (status)
        nccl_close(nccl);
    return status;
}

void nccl_close(struct nccl *nccl)
{
    if (nccl->library)
        dlclose(nccl->library);
    *nccl = (struct nccl){0};
}

enum status nccl_check(const struct nccl *nccl, nccl_result result, struct error *err,
                       const char *doing, ...)
{
    char what[128];
    va_list arguments;
    if (result == NCCL_SUCCESS)
        return STATUS_OK;
    va_start(arguments, doing);
    vsnprintf(what, sizeof what, doing, arguments);
    va_end(arguments);
    const char *last = nccl->GetLastError(NULL);
    error_set(err, STATUS_WORKER, "cannot %s: %s", what, nccl->GetErrorString(result));
    error_where(err, "NCCL %d.%d.%d%s%s", nccl->version / 10000, nccl->version % 10000 / 100,
                nccl->version % 100, last && *last ? ": " : "", last ? last : "");
    return error_remedy(err, "NCCL_DEBUG=WARN in the environment makes NCCL say more in the log.");
}
